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

func TestTablesRefuse(t *testing.T) {
	as := func(p path, n int) (many []cell) {
		for range n {
			many = append(many, cell{calls: "", path: p, remarks: "so", checks: "peek"})
		}
		return many
	}
	read := cell{calls: "read", path: ring, checks: "peek"}
	bind := cell{calls: "bind", path: kernel, checks: "peek"}
	for name, c := range map[string]struct {
		calls  string
		hooked []cell
		others []cell
		wrong  string
	}{
		"no verdict":              {"read write", []cell{read}, []cell{bind}, "write"},
		"two verdicts":            {"read", []cell{read, read}, []cell{bind}, "read"},
		"no check":                {"read", []cell{{calls: "read"}}, []cell{bind}, "read"},
		"no check of another":     {"read", []cell{read}, []cell{{calls: "bind"}}, "bind"},
		"no such call":            {"read", []cell{{calls: "read recv", checks: "peek"}}, []cell{bind}, "recv"},
		"no such check":           {"read", []cell{{calls: "read", checks: "peek poke"}}, []cell{bind}, "poke"},
		"no reason":               {"read", []cell{{calls: "read", path: degrade, checks: "peek"}}, []cell{bind}, "read"},
		"no reason for never":     {"read", []cell{read}, []cell{{calls: "bind", path: never, checks: "peek"}}, "bind"},
		"nobody's verdict":        {"read", []cell{{when: "late"}, read}, []cell{bind}, "first"},
		"another that is hooked":  {"read", []cell{read}, []cell{read}, "read"},
		"one in ten":              {"read", append([]cell{read}, as(ring, 7)...), append([]cell{bind}, as(never, 1)...), "1 of 10"},
		"one in ten, by degrades": {"read", append([]cell{read}, as(degrade, 2)...), append([]cell{bind}, as(kernel, 16)...), "2 of 20"},
	} {
		if _, err := tables(strings.Fields(c.calls), []string{"peek"}, c.hooked, c.others); err == nil || !strings.Contains(err.Error(), c.wrong) {
			t.Errorf("%s: error %v does not name %s", name, err, c.wrong)
		}
	}
	if _, err := tables([]string{"read"}, []string{"peek"}, append([]cell{read}, as(degrade, 1)...), append([]cell{bind}, as(ring, 8)...)); err != nil {
		t.Error(err)
	}
}
