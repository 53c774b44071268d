package main

import (
	"maps"
	"strings"
	"testing"
)

func TestReadTAP(t *testing.T) {
	r := &Result{Tests: map[string]Test{}}
	in := "1..3\nok one thing\nnothing ok\n# ok\nnot ok two - it broke - twice\nnot ok three\nok three\nokay\n ok four\nok five\nok six # SKIP no camel\n"
	if err := r.readTAP(strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	want := map[string]Test{"one thing": pass, "two": {Fail, "it broke - twice"}, "three": {Fail, ""}, "five": pass, "six": {Skip, "no camel"}}
	if !maps.Equal(r.Tests, want) {
		t.Errorf("%v, want %v", r.Tests, want)
	}
	if r.ran() != 4 || r.count(Fail) != 2 {
		t.Errorf("%d ran, %d failed", r.ran(), r.count(Fail))
	}
}

func TestReadJUnit(t *testing.T) {
	const in = `<testsuites tests="7" errors="1" failures="1"><testsuite start="x">
<testcase name="m.C.passes" status="run" result="completed" time="0.1" />
<testcase classname="p.C" name="pytest" time="1" />
<testcase name="m.C.fails" status="run" result="completed"><failure>Traceback
  somewhere
AssertionError: 1 != 2
</failure></testcase>
<testcase name="m.C.breaks" status="run"><error message="OSError">Traceback</error></testcase>
<testcase name="m.C.skipped" status="run"><skipped>needs a camel</skipped></testcase>
<testcase name="m.C.parts" status="run"><skipped>one part</skipped></testcase>
<testcase name="m.C.parts" status="run" />
</testsuite><testsuite>
<testcase name="m.D.one" status="run" /><testcase name="m.D.one" status="run"><failure>x</failure></testcase>
</testsuite></testsuites>`
	r := &Result{Tests: map[string]Test{}}
	if err := r.readJUnit(strings.NewReader(in)); err != nil {
		t.Fatal(err)
	}
	want := map[string]Test{
		"m.C.passes": pass, "p.C.pytest": pass, "m.C.fails": {Fail, "AssertionError: 1 != 2"}, "m.C.breaks": {Fail, "OSError"},
		"m.C.skipped": {Skip, "needs a camel"}, "m.C.parts": pass, "m.D.one": {Fail, "x"},
	}
	if !maps.Equal(r.Tests, want) {
		t.Errorf("%v, want %v", r.Tests, want)
	}
	if err := r.readJUnit(strings.NewReader(in[:len(in)-20])); err == nil {
		t.Error("a file that is cut is taken")
	}
}
