package cbuild

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestBuiltLibraryIsCurrent(t *testing.T) {
	if _, err := exec.LookPath("cc"); err != nil {
		t.Skip("no C compiler")
	}
	dir := t.TempDir()
	lib, err := Data.Build(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := Data.Current(lib); err != nil {
		t.Error(err)
	}
	left, err := os.ReadDir(dir)
	if err != nil || len(left) != 1 {
		t.Errorf("%d files left in the folder: %v", len(left), err)
	}
}

// TestNoWarnings: a wrong argument of C is only a warning.
func TestNoWarnings(t *testing.T) {
	for _, l := range []Library{Data, Trace} {
		if _, err := l.Build(t.TempDir(), "-Wall", "-Werror", "-Wno-missing-attributes"); err != nil {
			t.Error(err)
		}
	}
}

func TestForeignLibraryIsNotCurrent(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := Data.Current(exe); err == nil {
		t.Error("a program passed for libsd.so")
	}
	if err := Data.Current(filepath.Join(t.TempDir(), Data.Name)); err == nil {
		t.Error("no file passed for libsd.so")
	}
}

func TestMissingCompilerIsNamed(t *testing.T) {
	t.Setenv("CC", "no-such-compiler")
	if _, err := Data.Build(t.TempDir()); err == nil || !strings.Contains(err.Error(), "install gcc") {
		t.Errorf("got %v", err)
	}
}
