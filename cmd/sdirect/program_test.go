package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestObstacles(t *testing.T) {
	dir := t.TempDir()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	script := filepath.Join(dir, "script")
	setuid := filepath.Join(dir, "setuid")
	sh, err := filepath.EvalSymlinks("/bin/sh")
	if err != nil {
		t.Fatal(err)
	}
	binary, err := os.ReadFile(sh)
	if err != nil {
		t.Fatal(err)
	}
	for path, text := range map[string][]byte{script: []byte("#! " + exe + " -x\n"), setuid: binary} {
		if err := os.WriteFile(path, text, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(setuid, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	for prog, want := range map[string]string{
		sh:     "",
		exe:    "is a Go program",
		script: "is a Go program",
		setuid: "is set-uid",
	} {
		found, err := obstacles(prog)
		if err != nil {
			t.Errorf("%s: %v", prog, err)
		}
		if got := strings.Join(found, "\n"); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%s: %q, want %q", prog, got, want)
		}
	}
}
