package tidy

import (
	"debug/elf"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/socksdirect/libsd/internal/cbuild"
)

// notTraced are no calls on sockets, or on streams, of which fdopen is noted; or they move no
// byte, or are other names: a recording shows what libc exports under the usual ones.
var notTraced = []string{"execve", "execv", "execvp", "execvpe", "execl", "execlp", "execle", "fexecve", "execveat",
	"posix_spawn", "posix_spawnp", "posix_spawn_file_actions_adddup2", "system", "popen", "_IO_popen", "wordexp", "_Fork", "clone", "__clone",
	"sockatmark", "syscall", "pidfd_getfd", "dlopen", "aio_read", "aio_read64", "aio_write", "aio_write64", "lio_listio", "lio_listio64",
	"__read", "__write", "__send", "__connect", "__close", "__fcntl", "__dup2", "__poll", "__select",
	"fclose", "freopen", "freopen64", "sigaction", "__sigaction", "signal", "bsd_signal", "ssignal", "sysv_signal", "__sysv_signal", "sigset", "siginterrupt"}

// TestTracedSymbols: what libsd.so does with sockets, the recorder sees; and both of its lists are one.
func TestTracedSymbols(t *testing.T) {
	traced := functions(t, "preload/trace/next.h")
	same(t, "preload/trace/libsdtrace.map", mapped(t, "preload/trace/libsdtrace.map"), "preload/trace/next.h",
		append(slices.Clone(traced), "sd_trace_file")) // which libsd.so calls
	for _, n := range interposed(t) {
		if !slices.Contains(traced, n) && !slices.Contains(notTraced, n) {
			t.Errorf("preload/trace/next.h lacks %s, which libsd.so interposes: trace it, or say in notTraced why not", n)
		}
	}
}

// TestExportedSymbols: one list of interposed calls, three places. The third is a library that is
// built here; without a C compiler the test fails.
func TestExportedSymbols(t *testing.T) {
	table := interposed(t)
	same(t, "preload/libsd.map", mapped(t, "preload/libsd.map"), "preload/real.h", table)
	same(t, "libsd.so", exported(t), "preload/real.h", table)
}

// interposed is the table in preload/real.h.
func interposed(t *testing.T) []string { return functions(t, "preload/real.h") }

// functions is the table of a header.
func functions(t *testing.T, header string) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^\tX\([^,]+, (\w+), \(`).FindAllStringSubmatch(read(t, header), -1) {
		names = append(names, m[1])
	}
	return sorted(t, header, names)
}

// mapped is what the linker is told to export.
func mapped(t *testing.T, file string) []string {
	_, rest, found := strings.Cut(read(t, file), "global:")
	global, _, closed := strings.Cut(rest, "local:")
	if !found || !closed {
		t.Fatal(file + " has no global: and local: part")
	}
	names := strings.FieldsFunc(global, func(r rune) bool { return strings.ContainsRune("; \t\n", r) })
	return sorted(t, file, names)
}

// exported is what nm -D --defined-only shows.
func exported(t *testing.T) (names []string) {
	lib, err := cbuild.Data.Build(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(lib)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF {
			names = append(names, s.Name)
		}
	}
	return sorted(t, lib, names)
}

func sorted(t *testing.T, where string, names []string) []string {
	t.Helper()
	slices.Sort(names)
	if len(names) == 0 {
		t.Fatalf("%s lists no function", where)
	}
	for i, n := range names[1:] {
		if n == names[i] {
			t.Errorf("%s lists %s twice", where, n)
		}
	}
	return names
}

func same(t *testing.T, aName string, a []string, bName string, b []string) {
	t.Helper()
	for _, n := range a {
		if !slices.Contains(b, n) {
			t.Errorf("%s has %s, %s has not", aName, n, bName)
		}
	}
	for _, n := range b {
		if !slices.Contains(a, n) {
			t.Errorf("%s has %s, %s has not", bName, n, aName)
		}
	}
}
