//go:build !race && !sim

package shm

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestSeamCostsNothing: what the simulator replaces compiles, in production, to the instructions of
// sync/atomic and copy.
func TestSeamCostsNothing(t *testing.T) {
	out, err := exec.Command("go", "build", "-gcflags=-S", "-o", "/dev/null", "./testdata/codegen").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	code := map[string][]string{}
	name := ""
	header := regexp.MustCompile(`codegen\.(\w+) STEXT`)
	// 0x0000 00000 (file:line)	INSTRUCTION
	line := regexp.MustCompile(`^\s+0x[0-9a-f]+ \d+ \([^)]*\)\t(.*)`)
	// What is no code, and the no-ops (NOP, XCHG AX, AX) that mark where something was inlined when it
	// is the first thing in a function.
	aside := regexp.MustCompile(`^(TEXT|FUNCDATA|PCDATA)\b|^NOP$|^XCHGL\tAX, AX$`)
	for _, l := range strings.Split(string(out), "\n") {
		if m := header.FindStringSubmatch(l); m != nil {
			name = m[1]
		} else if m := line.FindStringSubmatch(l); m != nil && !aside.MatchString(m[1]) {
			op := strings.Replace(strings.Fields(m[1])[0], "CMOVQGT", "CMOVQLT", 1) // the same minimum
			code[name] = append(code[name], op)
		}
	}
	compared := 0
	for name, ours := range code {
		base, is := strings.CutSuffix(name, "Shm")
		if !is {
			continue
		}
		compared++
		plain := code[base+"Plain"]
		if !slices.Equal(ours, plain) || len(ours) < 2 {
			t.Errorf("%s: %v, plain: %v", base, ours, plain)
		}
	}
	if compared != 10 {
		t.Errorf("compared %d functions, want 10", compared)
	}
}
