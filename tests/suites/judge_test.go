package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	pass = Test{Verdict: Pass}
	fail = Test{Fail, "because"}
	skip = Test{Skip, "no reason"}
)

// TestJudge: each way to fail fails, and nothing else does.
func TestJudge(t *testing.T) {
	suite := Suite{Name: "s", Limit: time.Minute, Baseline: 2}
	good := func(libsd bool) *Result {
		r := &Result{Libsd: libsd, Tests: map[string]Test{"a": pass, "b": pass, "c": skip}}
		if libsd {
			r.Counters = map[string]uint64{"promoted": 1}
		}
		return r
	}
	for _, tc := range []struct {
		name   string
		change func(native, libsd *Result)
		fails  string // in a failure; "": none
		notes  string // in a note
	}{
		{"the same", func(n, l *Result) {}, "", ""},
		{"hangs natively", func(n, l *Result) { n.TimedOut, n.Code = true, -1 }, "natively: it did not end within 1m0s", ""},
		{"hangs under libsd", func(n, l *Result) { l.TimedOut, l.Code = true, -1 }, "under libsd: it did not end within 1m0s", ""},
		{"dies natively", func(n, l *Result) { n.Code = 139 }, "natively: it ended with 139 though no test failed", ""},
		{"dies under libsd", func(n, l *Result) { l.Code = 139 }, "under libsd: it ended with 139", ""},
		{"ends otherwise", func(n, l *Result) { l.Code = 1; l.Tests["d"] = fail; n.Tests["d"] = skip }, "natively with 0", ""},
		{"too few natively", func(n, l *Result) { n.Tests["a"] = skip }, "natively: 1 tests ran, there must be 2", "a: passes under libsd only"},
		{"too few under libsd", func(n, l *Result) { delete(l.Tests, "a") }, "under libsd: 1 tests ran, there must be 2", ""},
		{"missing under libsd", func(n, l *Result) { n.Tests["d"] = pass }, "d: passes natively, missing under libsd", ""},
		{"fails under libsd", func(n, l *Result) { n.Tests["d"] = pass; l.Tests["d"] = fail }, "d: passes natively, fail under libsd: because", ""},
		{"skipped under libsd", func(n, l *Result) { n.Tests["d"] = pass; l.Tests["d"] = skip }, "d: passes natively, skip under libsd: no reason", ""},
		{"new and fails", func(n, l *Result) { l.Tests["d"] = fail }, "d: missing natively, fails under libsd: because", ""},
		{"nothing promoted", func(n, l *Result) { l.Counters["promoted"] = 0 }, "no connection was promoted", ""},
		{"no counters", func(n, l *Result) { l.Counters = nil }, "no connection was promoted", ""},
		{"fails natively", func(n, l *Result) { n.Tests["d"] = fail; l.Tests["d"] = fail; n.Code, l.Code = 2, 2 }, "", "d: fails natively: because"},
		{"mended by libsd", func(n, l *Result) { n.Tests["d"] = fail; l.Tests["d"] = pass; n.Code = 2 }, "", "d: passes under libsd only"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			native, libsd := good(false), good(true)
			tc.change(native, libsd)
			failures, notes := judge(suite, native, libsd)
			expect(t, "failures", failures, tc.fails)
			if tc.notes != "" {
				expect(t, "notes", notes, tc.notes)
			}
		})
	}
	libsd := good(true)
	libsd.Counters = nil
	failures, _ := judge(suite.onKernel(), good(false), libsd)
	expect(t, "failures of a suite on the kernel", failures, "")
}

func expect(t *testing.T, what string, lines []string, part string) {
	t.Helper()
	if part == "" {
		if len(lines) != 0 {
			t.Errorf("%s: %q", what, lines)
		}
	} else if !slices.ContainsFunc(lines, func(s string) bool { return strings.Contains(s, part) }) {
		t.Errorf("%s: none with %q: %q", what, part, lines)
	}
}

func TestChoose(t *testing.T) {
	all := []Suite{{Name: "a", Bounded: true}, {Name: "b"}, {Name: "c", Bounded: true}}
	for _, tc := range []struct {
		bounded bool
		only    string
		want    string // "": an error
	}{
		{false, "", "abc"}, {true, "", "ac"}, {false, "b,a", "ab"}, {true, "a,b", "a"}, {true, "b", ""}, {false, "d", ""}, {false, "a,d", ""},
	} {
		chosen, err := choose(all, tc.bounded, tc.only)
		got := ""
		for _, s := range chosen {
			got += s.Name
		}
		if got != tc.want || (err == nil) != (tc.want != "") {
			t.Errorf("bounded %v, only %q: %q, %v", tc.bounded, tc.only, got, err)
		}
	}
}

// TestTable: what the table promises can fail.
func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range suites {
		if seen[s.Name] || s.Baseline < 1 || s.Limit < time.Second || len(s.Packages) == 0 {
			t.Errorf("%+v: twice, or without a baseline, a limit or packages", s)
		}
		seen[s.Name] = true
	}
}
