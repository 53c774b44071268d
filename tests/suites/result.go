package main

import (
	"bufio"
	"cmp"
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

// Verdict is what a suite says of one of its tests.
type Verdict string

const (
	Pass Verdict = "pass"
	Fail Verdict = "fail"
	Skip Verdict = "skip"

	missing Verdict = "missing" // for people: it has none
)

// Test is one test of a suite.
type Test struct {
	Verdict Verdict `json:"verdict"`
	Why     string  `json:"why,omitempty"` // of a failure or skip
}

func (t Test) orMissing() Test {
	t.Verdict = cmp.Or(t.Verdict, missing)
	return t
}

// Result is one run of a suite.
type Result struct {
	Suite    string            `json:"suite"`
	Libsd    bool              `json:"libsd"`
	Tests    map[string]Test   `json:"tests"`
	Code     int               `json:"exit_code"`
	TimedOut bool              `json:"timed_out,omitempty"`
	Seconds  float64           `json:"seconds"`
	Counters map[string]uint64 `json:"counters,omitempty"` // of all processes under libsd
}

func (r *Result) count(v Verdict) (n int) {
	for _, t := range r.Tests {
		if t.Verdict == v {
			n++
		}
	}
	return n
}

// ran counts the tests that were not skipped.
func (r *Result) ran() int { return len(r.Tests) - r.count(Skip) }

func (r *Result) took() time.Duration {
	return time.Duration(r.Seconds * float64(time.Second)).Round(time.Second)
}

func (r *Result) print() {
	fmt.Printf("    %-12s %d passed, %d skipped, %d failed, %v", wayOf(r)+":", r.count(Pass), r.count(Skip), r.count(Fail), r.took())
	if r.Libsd {
		fmt.Printf(", promoted %d", r.Counters["promoted"])
	}
	fmt.Println()
}

// add notes a verdict. Of several under one name (subtests; a class whose teardown fails) the one that matters most counts.
func (r *Result) add(name string, t Test) {
	order := map[Verdict]int{Skip: 1, Pass: 2, Fail: 3}
	if order[t.Verdict] > order[r.Tests[name].Verdict] {
		r.Tests[name] = t
	}
}

// readTAP adds the tests of a script: lines "ok NAME", "ok NAME # SKIP why", "not ok NAME - why". Other lines are for
// people.
func (r *Result) readTAP(in io.Reader) error {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if name, ok := strings.CutPrefix(lines.Text(), "ok "); ok {
			if name, why, skipped := strings.Cut(name, " # SKIP"); skipped {
				r.add(name, Test{Skip, strings.TrimSpace(why)})
			} else {
				r.add(name, Test{Verdict: Pass})
			}
		} else if rest, ok := strings.CutPrefix(lines.Text(), "not ok "); ok {
			name, why, _ := strings.Cut(rest, " - ")
			r.add(name, Test{Fail, why})
		}
	}
	return lines.Err()
}

// readJUnit adds the tests that a file in the XML of JUnit tells of.
func (r *Result) readJUnit(in io.Reader) error {
	type reason struct {
		Message string `xml:"message,attr"`
		Text    string `xml:",chardata"`
	}
	var doc struct {
		Cases []struct {
			Class   string  `xml:"classname,attr"` // pytest's; regrtest has it in the name
			Name    string  `xml:"name,attr"`
			Failure *reason `xml:"failure"`
			Error   *reason `xml:"error"`
			Skipped *reason `xml:"skipped"`
		} `xml:"testsuite>testcase"`
	}
	if err := xml.NewDecoder(in).Decode(&doc); err != nil {
		return fmt.Errorf("no verdicts of tests: %w", err)
	}
	for _, c := range doc.Cases {
		t := Test{Verdict: Pass}
		switch bad := cmp.Or(c.Failure, c.Error); {
		case bad != nil:
			t = Test{Fail, lastLine(cmp.Or(bad.Message, bad.Text))}
		case c.Skipped != nil:
			t = Test{Skip, lastLine(cmp.Or(c.Skipped.Message, c.Skipped.Text))}
		}
		r.add(strings.TrimPrefix(c.Class+"."+c.Name, "."), t)
	}
	return nil
}

// lastLine of a traceback is the exception.
func lastLine(s string) string {
	s = strings.TrimSpace(s)
	return s[strings.LastIndex(s, "\n")+1:]
}
