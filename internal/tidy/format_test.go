package tidy

import (
	"go/format"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestGofmt(t *testing.T) {
	for _, f := range files(t, ".go") {
		want, err := format.Source([]byte(f.text))
		if err != nil {
			t.Errorf("%s: %v", f.name, err)
		} else if string(want) != f.text {
			t.Errorf("%s: run gofmt -w on it", f.name)
		}
	}
}

// TestLength: who cannot say it in 450 lines has two things to say.
func TestLength(t *testing.T) {
	const limit = 450
	for _, f := range files(t, ".go", ".c", ".h", ".sh", ".md") {
		if n := strings.Count(f.text, "\n"); n >= limit && !f.generated() {
			t.Errorf("%s has %d lines, the limit is %d", f.name, n, limit)
		}
	}
}

// TestForbiddenText. The patterns are written so that they do not match themselves.
func TestForbiddenText(t *testing.T) {
	rules := []struct {
		why     string
		pattern string
		exts    string // where it holds; empty: everywhere
	}{
		{"finish it or file an issue", `\b(TO[D]O|FIX[M]E)\b`, ".go .c .h .s .sh"},
		{"a path of somebody's machine", `/(wor[k]|roo[t]|hom[e]/\w+)/`, ""},
		{"a package registry: every machine has its own", `prox[y]\.golang\.org|goprox[y]\.|pyp[i]\.org|GOPROX[Y]=|https?://[^/\s]*(prox[y]|mirro[r]|artifac[t]|nexu[s]|registr[y])`, ""},
	}
	for _, f := range files(t) {
		if !utf8.ValidString(f.text) {
			t.Errorf("%s is not text", f.name)
			continue
		}
		for _, r := range rules {
			if r.exts != "" && !strings.Contains(r.exts+" ", f.ext()+" ") {
				continue
			}
			for _, at := range regexp.MustCompile(r.pattern).FindAllStringIndex(f.text, -1) {
				t.Errorf("%s:%d: %q: %s", f.name, lineAt(f.text, at[0]), f.text[at[0]:at[1]], r.why)
			}
		}
	}
}
