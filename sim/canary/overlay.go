// Package canary plants bugs in the Go code under test: realistic mistakes, each of which the
// scenarios must find. They cannot ship: the shipping text has no trace of them; Overlay writes
// changed copies for go build -overlay, in which a variable says which bug is on.
package canary

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Bug is one planted bug.
type Bug struct {
	Name, About string
	Scenarios   []string // that find it, quickest first
	Edits       []Edit
}

// Edit replaces one piece of text, which must occur exactly once in File.
type Edit struct {
	File string // relative to the root of the module
	Old  string
	New  string
	// Expr says that Old and New are boolean expressions; else both are statements which declare
	// nothing that is used later, unless New has the word PLANTED: then New is the whole text, and
	// PLANTED in it stands for the condition that the bug is on.
	Expr bool
}

const module = "github.com/socksdirect/libsd"

// apply puts bug number n into text.
func (e Edit) apply(text string, n int) (string, error) {
	on := fmt.Sprintf("planted.Planted == %d", n)
	var with string
	switch {
	case strings.Contains(e.New, "PLANTED"):
		with = strings.ReplaceAll(e.New, "PLANTED", on)
	case e.Expr:
		with = fmt.Sprintf("(%s && (%s) || !(%s) && (%s))", on, e.New, on, e.Old)
	default:
		with = fmt.Sprintf("if %s {\n%s\n} else {\n%s\n}", on, e.New, e.Old)
	}
	// An earlier bug at the same place keeps the shipping text last.
	i := strings.LastIndex(text, e.Old)
	if i < 0 {
		return "", fmt.Errorf("%s: an earlier canary removed\n%s", e.File, e.Old)
	}
	return text[:i] + with + text[i+len(e.Old):], nil
}

// Check tells whether every edit fits the sources under root.
func Check(root string) error {
	names := map[string]bool{}
	for _, b := range Bugs {
		if names[b.Name] {
			return fmt.Errorf("two canaries are called %s", b.Name)
		}
		names[b.Name] = true
		for _, e := range b.Edits {
			text, err := os.ReadFile(filepath.Join(root, e.File))
			if err != nil {
				return err
			}
			if n := strings.Count(string(text), e.Old); n != 1 {
				return fmt.Errorf("canary %s: %s has %d times, not once:\n%s", b.Name, e.File, n, e.Old)
			}
		}
	}
	return nil
}

// Overlay writes changed copies of the sources under root into dir, and the file that go build
// -overlay wants, whose name it returns.
func Overlay(root, dir string) (string, error) {
	if err := Check(root); err != nil {
		return "", err
	}
	files := map[string]string{}
	for i, b := range Bugs {
		for _, e := range b.Edits {
			if files[e.File] == "" {
				text, err := os.ReadFile(filepath.Join(root, e.File))
				if err != nil {
					return "", err
				}
				files[e.File] = string(text)
			}
			var err error
			if files[e.File], err = e.apply(files[e.File], i+1); err != nil {
				return "", err
			}
		}
	}
	for name, text := range files {
		at := strings.Index(text, "\npackage ") + 1
		end := at + strings.Index(text[at:], "\n")
		files[name] = text[:end] + "\n\nimport planted \"" + module + "/internal/shm\"\n" + text[end:]
	}
	files["internal/shm/planted.go"] = planted
	files["sim/scene/planted.go"] = register
	replace := map[string]string{}
	for name, text := range files {
		copied := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(copied, []byte(text), 0o644); err != nil {
			return "", err
		}
		replace[filepath.Join(root, name)] = copied
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o644)
}

const planted = `package shm

// Planted is the number of the bug that is on, 0 = none.
var Planted int
`

const register = `package scene

import (
	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/sim"
	"github.com/socksdirect/libsd/sim/canary"
)

func init() {
	for i, b := range canary.Bugs {
		sim.RegisterCanary(&sim.Canary{
			Name: b.Name, About: b.About, Scenarios: b.Scenarios,
			Plant:  func() error { shm.Planted = i + 1; return nil },
			Remove: func() error { shm.Planted = 0; return nil },
		})
	}
}
`
