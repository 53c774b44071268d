package tidy

import (
	"debug/elf"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/socksdirect/libsd/internal/cbuild"
)

// TestExportedSymbols: one list of interposed calls, three places. The third is a library that is
// built here; without a C compiler the test fails.
func TestExportedSymbols(t *testing.T) {
	table := interposed(t)
	same(t, "preload/libsd.map", mapped(t), "preload/real.h", table)
	same(t, "libsd.so", exported(t), "preload/real.h", table)
}

// interposed is the table in preload/real.h.
func interposed(t *testing.T) (names []string) {
	for _, m := range regexp.MustCompile(`(?m)^\tX\([^,]+, (\w+), \(`).FindAllStringSubmatch(read(t, "preload/real.h"), -1) {
		names = append(names, m[1])
	}
	return sorted(t, "preload/real.h", names)
}

// mapped is what the linker is told to export.
func mapped(t *testing.T) []string {
	_, rest, found := strings.Cut(read(t, "preload/libsd.map"), "global:")
	global, _, closed := strings.Cut(rest, "local:")
	if !found || !closed {
		t.Fatal("preload/libsd.map has no global: and local: part")
	}
	names := strings.FieldsFunc(global, func(r rune) bool { return strings.ContainsRune("; \t\n", r) })
	return sorted(t, "preload/libsd.map", names)
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
