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

func TestTableRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		calls string
		cells []cell
		wrong string
	}{
		"no verdict":       {"read write", []cell{{calls: "read", checks: "peek"}}, "write"},
		"two verdicts":     {"read", []cell{{calls: "read", checks: "peek"}, {calls: "read"}}, "read"},
		"no check":         {"read", []cell{{calls: "read"}}, "read"},
		"no such call":     {"read", []cell{{calls: "read recv"}}, "recv"},
		"no such check":    {"read", []cell{{calls: "read", checks: "peek poke"}}, "poke"},
		"no reason":        {"read", []cell{{calls: "read", path: degrade}}, "read"},
		"nobody's verdict": {"read", []cell{{when: "late"}, {calls: "read"}}, "first"},
	} {
		if _, err := table(strings.Fields(c.calls), []string{"peek"}, c.cells); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: error %v does not name %s", name, err, c.wrong)
		}
	}
}
