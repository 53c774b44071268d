package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestGeneratedFilesAreFresh(t *testing.T) {
	root := filepath.Join("..", "..", "..")
	want, err := render(root)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(root, document))
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is stale: run go generate ./internal/tidy/calls", document)
	}
}

func TestEveryCallHasOneVerdict(t *testing.T) {
	for name, c := range map[string]struct {
		calls    string
		verdicts []verdict
		wrong    string
	}{
		"none":       {"read write", []verdict{{calls: "read"}}, "write"},
		"two":        {"read", []verdict{{calls: "read"}, {calls: "read"}}, "read"},
		"of nothing": {"read", []verdict{{calls: "read recv"}}, "recv"},
	} {
		if _, err := table(strings.Fields(c.calls), c.verdicts); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: error %v does not name %s", name, err, c.wrong)
		}
	}
}
