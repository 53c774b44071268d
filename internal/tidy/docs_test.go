package tidy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	fence    = regexp.MustCompile("(?ms)^```.*?^```")
	link     = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	named    = regexp.MustCompile("`((?:\\.[\\w-]+|[\\w-]+)(?:/[\\w.*-]+)+/?)`")
	heading  = regexp.MustCompile(`(?m)^#+ +(.+)$`)
	target   = regexp.MustCompile("(?m)(?:^|`|&& )make ([a-z][\\w-]*)")
	runTest  = regexp.MustCompile(`-run (Test\w+)`)
	goFolder = regexp.MustCompile(`(?:^|\s)\./([\w/-]+)`)
)

// TestDeadLinks: links within the repository lead to a file and a heading that exist, and so does
// every file in code quotes whose first folder is one of ours.
func TestDeadLinks(t *testing.T) {
	for _, f := range files(t, ".md") {
		prose := fence.ReplaceAllString(f.text, "")
		for _, m := range link.FindAllStringSubmatch(prose, -1) {
			checkLink(t, f, m[1])
		}
		for _, m := range named.FindAllStringSubmatch(prose, -1) {
			top, _, _ := strings.Cut(m[1], "/")
			if top == "bin" || !exists(top) {
				continue
			}
			if found, err := filepath.Glob(filepath.Join(root, m[1])); err != nil || len(found) == 0 {
				t.Errorf("%s names %s, which is not there", f.name, m[1])
			}
		}
	}
}

func checkLink(t *testing.T, f file, to string) {
	if strings.Contains(to, "://") {
		return
	}
	path, anchor, _ := strings.Cut(to, "#")
	text := f.text
	if path != "" {
		path = filepath.Join(filepath.FromSlash(f.folder()), path)
		if !exists(path) {
			t.Errorf("%s links to %s, which is not there", f.name, to)
			return
		}
	}
	if anchor == "" {
		return
	}
	if path != "" {
		text = read(t, path)
	}
	for _, h := range heading.FindAllStringSubmatch(text, -1) {
		if slug(h[1]) == anchor {
			return
		}
	}
	t.Errorf("%s links to %s: no such heading", f.name, to)
}

// slug is the anchor that web pages of repositories give to a heading.
func slug(h string) string {
	h = strings.ReplaceAll(strings.ToLower(h), " ", "-")
	return regexp.MustCompile(`[^\p{L}\p{N}_-]`).ReplaceAllString(h, "")
}

func exists(name string) bool {
	_, err := os.Stat(filepath.Join(root, name))
	return err == nil
}

// TestCommandsInDocs: a command that a document names has its make target, folder and test.
func TestCommandsInDocs(t *testing.T) {
	makefile := read(t, "Makefile")
	var tests strings.Builder
	for _, f := range files(t, ".go") {
		if f.test() {
			tests.WriteString(f.text)
		}
	}
	for _, f := range files(t, ".md") {
		for _, code := range regexp.MustCompile("(?s)```.*?```|`[^`\n]+`").FindAllString(f.text, -1) {
			for _, m := range target.FindAllStringSubmatch(code, -1) {
				if !regexp.MustCompile(`(?m)^` + m[1] + `:`).MatchString(makefile) {
					t.Errorf("%s names make %s: no such target", f.name, m[1])
				}
			}
			for _, m := range runTest.FindAllStringSubmatch(code, -1) {
				if !strings.Contains(tests.String(), "func "+m[1]) {
					t.Errorf("%s names %s: no such test", f.name, m[1])
				}
			}
			for _, m := range goFolder.FindAllStringSubmatch(code, -1) {
				if strings.Contains(code, "go ") && !exists(m[1]) {
					t.Errorf("%s names ./%s, which is not there", f.name, m[1])
				}
			}
		}
	}
}

// TestGeneratorsAreChecked: each generator of a go:generate line has the test that its files are
// fresh, beside it; so go test ./... says when go generate was forgotten.
func TestGeneratorsAreChecked(t *testing.T) {
	all := files(t, ".go")
	generators := 0
	for _, f := range all {
		for _, m := range regexp.MustCompile(`(?m)^//go:generate go run \./?(\S*)`).FindAllStringSubmatch(f.text, -1) {
			generators++
			folder := filepath.ToSlash(filepath.Join(f.folder(), m[1]))
			fresh := false
			for _, g := range all {
				fresh = fresh || g.folder() == folder && g.test() && strings.Contains(g.text, "func TestGeneratedFilesAreFresh(")
			}
			if !fresh {
				t.Errorf("%s runs the generator %s, which has no TestGeneratedFilesAreFresh", f.name, folder)
			}
		}
	}
	if generators < 2 {
		t.Errorf("found %d generators; abigen and calls are two", generators)
	}
}
