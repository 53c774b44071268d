package tidy

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const root = "../.."

// file is one file of the tree; its name is relative to the root.
type file struct {
	name string
	text string
}

func (f file) ext() string     { return filepath.Ext(f.name) }
func (f file) folder() string  { return filepath.ToSlash(filepath.Dir(f.name)) }
func (f file) test() bool      { return strings.HasSuffix(f.name, "_test.go") }
func (f file) generated() bool { return strings.Contains(head(f.text, 200), "Code generated") }

func head(s string, n int) string { return s[:min(len(s), n)] }

// files reads all files of the tree whose names end in one of exts; without exts, all.
func files(t *testing.T, exts ...string) (all []file) {
	t.Helper()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		switch {
		case err != nil:
			return err
		case d.IsDir() && (name == ".git" || name == "bin" || name == "build"):
			return filepath.SkipDir
		case !d.Type().IsRegular() || name == ".git": // a worktree has a file of that name
			return nil
		case len(exts) > 0 && !slices.Contains(exts, filepath.Ext(name)):
			return nil
		}
		text, err := os.ReadFile(path)
		all = append(all, file{filepath.ToSlash(name), string(text)})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) == 0 {
		t.Fatalf("no %v file under %s", exts, root)
	}
	return all
}

// read is the text of one file of the tree.
func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// lineAt is the number of the line of byte at.
func lineAt(text string, at int) int { return 1 + strings.Count(text[:at], "\n") }
