package main

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/socksdirect/libsd/queue"
)

const layoutFile = "../layout.go"

// shared is every structure of the ABI; a missing one fails TestShapesAgree.
var shared = []any{
	queue.ArenaHeader{}, queue.TxLine{}, queue.SegLine{}, queue.RxLine{}, queue.WatchLine{},
	queue.LockLine{}, queue.Direction{}, queue.SlotHeader{}, queue.Slot{}, queue.BellPage{},
	queue.Bell{}, queue.Msg{},
}

func TestGeneratedFilesAreFresh(t *testing.T) {
	out, err := outputs(layoutFile)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range out {
		got, err := os.ReadFile(filepath.Join("..", "..", path))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s is stale: run go generate ./queue", path)
		}
	}
}

// TestShapesAgree compares three independent readings of the layout: the Go compiler's, the C
// compiler's, and the table that people read. Named fields only; padding shows in the offsets.
func TestShapesAgree(t *testing.T) {
	m, err := parse(layoutFile)
	if err != nil {
		t.Fatal(err)
	}
	inGo := goShapes()
	for name, got := range map[string]map[string]string{
		"C":           cShapes(t, m),
		"docs/abi.md": documentShapes(t),
	} {
		for key, want := range inGo {
			if got[key] != want {
				t.Errorf("%s: %s at %q, in Go at %q", name, key, got[key], want)
			}
		}
		for key := range got {
			if _, ok := inGo[key]; !ok {
				t.Errorf("%s has %s, which Go has not", name, key)
			}
		}
	}
}

// goShapes maps "Struct.field" (snake case) to "offset size", and "Struct" to its size.
func goShapes() map[string]string {
	shapes := make(map[string]string)
	for _, v := range shared {
		t := reflect.TypeOf(v)
		shapes[t.Name()] = fmt.Sprint(t.Size())
		for i := range t.NumField() {
			if f := t.Field(i); f.Name != "_" {
				shapes[t.Name()+"."+snake(f.Name)] = fmt.Sprintf("%d %d", f.Offset, f.Type.Size())
			}
		}
	}
	return shapes
}

func cShapes(t *testing.T, m *model) map[string]string {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		t.Skip("no C compiler")
	}
	var src strings.Builder
	src.WriteString("#include \"abi.h\"\n#include <stdio.h>\nint main(void) {\n")
	for _, s := range m.structs {
		fmt.Fprintf(&src, "printf(\"%s=%%zu\\n\", sizeof(%s));\n", s.name, cStruct(s.name))
		for _, f := range s.fields {
			if f.name != "" {
				n := snake(f.name)
				fmt.Fprintf(&src, "printf(\"%s.%s=%%zu %%zu\\n\", offsetof(%s, %s), sizeof(((%s *)0)->%s));\n",
					s.name, n, cStruct(s.name), n, cStruct(s.name), n)
			}
		}
	}
	src.WriteString("}\n")
	dir := t.TempDir()
	file, bin := filepath.Join(dir, "shapes.c"), filepath.Join(dir, "shapes")
	if err := os.WriteFile(file, []byte(src.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	build := exec.Command(cc, "-std=c11", "-Wall", "-Werror", "-I", "../../preload", "-o", bin, file)
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := exec.Command(bin).Output()
	if err != nil {
		t.Fatal(err)
	}
	shapes := make(map[string]string)
	for line := range strings.Lines(string(out)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		shapes[key] = value
	}
	return shapes
}

func documentShapes(t *testing.T) map[string]string {
	text, err := os.ReadFile("../../docs/abi.md")
	if err != nil {
		t.Fatal(err)
	}
	shapes := make(map[string]string)
	name := ""
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if h, ok := strings.CutPrefix(line, "### "); ok {
			name = h
		}
		if size, ok := strings.CutSuffix(line, " bytes."); ok && strings.HasPrefix(line, "C: ") {
			shapes[name] = size[strings.LastIndex(size, " ")+1:]
		}
		cells := strings.Split(line, "|")
		if len(cells) == 8 && name != "" && strings.TrimSpace(cells[1]) == name {
			if f := strings.TrimSpace(cells[2]); !strings.HasPrefix(f, "pad") {
				shapes[name+"."+f] = strings.TrimSpace(cells[3]) + " " + strings.TrimSpace(cells[4])
			}
		}
	}
	return shapes
}

func TestHashIsTheSameInGoAndSeesEveryShape(t *testing.T) {
	m, err := parse(layoutFile)
	if err != nil {
		t.Fatal(err)
	}
	if m.hash() != queue.ABIHash {
		t.Errorf("hash %#x, queue.ABIHash %#x", m.hash(), queue.ABIHash)
	}
	seen := map[uint64]bool{m.hash(): true}
	m.structs[1].fields[0].offset += 8
	seen[m.hash()] = true
	m.consts[1].consts[0].value++
	seen[m.hash()] = true
	m.version++
	seen[m.hash()] = true
	if len(seen) != 4 {
		t.Errorf("a change did not change the hash: %v", maps.Keys(seen))
	}
}

func TestSnake(t *testing.T) {
	for in, want := range map[string]string{
		"ABIVersion": "abi_version", "RGen": "rgen", "LAddr": "laddr", "CPU": "cpu", "RdShut": "rd_shut",
		"CountToTCP": "count_to_tcp", "StatusABI": "status_abi", "MembersPerBell": "members_per_bell",
	} {
		if got := snake(in); got != want {
			t.Errorf("snake(%s) = %s, want %s", in, got, want)
		}
	}
}
