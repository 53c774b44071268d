package tidy

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// noDescriptors look in libc's headers as if they took a socket, and do not.
var noDescriptors = strings.Fields(`__cmsg_nxthdr ftw ftw64 getprotobynumber getprotobynumber_r ioperm nftw nftw64
	pthread_mutexattr_setprotocol reboot`)

// inTable are the calls of the tables in docs/compatibility.md.
func inTable(t *testing.T) map[string]bool {
	t.Helper()
	names := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*`) \\|").FindAllStringSubmatch(read(t, "docs/compatibility.md"), -1) {
		for name := range strings.SplitSeq(row[1], ", ") {
			names[strings.Trim(name, "`")] = true
		}
	}
	return names
}

// TestLibcSymbols: every function of libc that takes a descriptor, as its headers say, under every name that
// it is exported by, is in a table of docs/compatibility.md. Those of a later libc, for example, fail the test.
func TestLibcSymbols(t *testing.T) {
	hooked, declared, table := interposed(t), takeDescriptors(t), inTable(t)
	found := 0
	for _, name := range libcFunctions(t) {
		if !declared[name] && !declared[plain(name)] && !slices.Contains(hooked, plain(name)) || slices.Contains(noDescriptors, name) {
			continue
		}
		found++
		if !table[name] {
			t.Errorf("libc's %s can take a socket: say in internal/tidy/calls what becomes of it", name)
		}
	}
	if found < len(hooked) {
		t.Errorf("only %d functions that take descriptors were found", found)
	}
}

// plain is the name without what marks another door to the same function.
func plain(name string) string {
	name = strings.TrimPrefix(strings.TrimLeft(name, "_"), "libc_")
	return regexp.MustCompile(`(_chk|_time64|_nocancel|_2)$`).ReplaceAllString(name, "")
}

// takeDescriptors are the functions that libc's headers declare with a parameter that is, or holds, one.
func takeDescriptors(t *testing.T) map[string]bool {
	t.Helper()
	var text strings.Builder
	for _, dir := range []string{"/usr/include", "/usr/include/sys", "/usr/include/bits"} {
		for _, multiarch := range []string{"", "/x86_64-linux-gnu"} {
			files, _ := filepath.Glob(strings.Replace(dir, "/usr/include", "/usr/include"+multiarch, 1) + "/*.h")
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				text.Write(b)
			}
		}
	}
	header := regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(text.String(), "")
	holds := regexp.MustCompile(`\bint\s+__\w*(fd|fildes|filedes|sock|from|to)\w*\b|\bint __s\b|\bint (fd|sock)\b|aiocb|struct pollfd|fd_set|struct msghdr`)
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`\b(\w+)\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)`).FindAllStringSubmatch(header, -1) {
		if holds.MatchString(m[2]) {
			names[m[1]] = true
		}
	}
	for _, name := range []string{"read", "recvmsg", "splice", "poll", "connect"} {
		if !names[name] {
			t.Fatalf("libc's headers do not declare %s: is libc6-dev installed?", name)
		}
	}
	return names
}

// libcFunctions is what programs can link to.
func libcFunctions(t *testing.T) (names []string) {
	t.Helper()
	path, err := exec.Command("gcc", "-print-file-name=libc.so.6").Output()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(strings.TrimSpace(string(path)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF && s.Version != "GLIBC_PRIVATE" && elf.ST_TYPE(s.Info) != elf.STT_OBJECT {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
