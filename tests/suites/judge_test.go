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
		{"missing under libsd", func(n, l *Result) { n.Tests["d"] = pass }, "d: pass natively, missing under libsd", ""},
		{"fails under libsd", func(n, l *Result) { n.Tests["d"] = pass; l.Tests["d"] = fail }, "d: pass natively, fail under libsd: because", ""},
		{"skipped under libsd", func(n, l *Result) { n.Tests["d"] = pass; l.Tests["d"] = skip }, "d: pass natively, skip under libsd: no reason", ""},
		{"new and fails", func(n, l *Result) { l.Tests["d"] = fail }, "d: missing natively, fail under libsd: because", ""},
		{"nothing promoted", func(n, l *Result) { l.Counters["promoted"] = 0 }, "no connection was promoted", ""},
		{"no counters", func(n, l *Result) { l.Counters = nil }, "no connection was promoted", ""},
		{"fails natively", func(n, l *Result) { n.Tests["d"] = fail; l.Tests["d"] = fail; n.Code, l.Code = 2, 2 }, "", "d: fails natively: because"},
		{"mended by libsd", func(n, l *Result) { n.Tests["d"] = fail; l.Tests["d"] = pass; n.Code = 2 }, "", "d: passes under libsd only"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			native, libsd := good(false), good(true)
			tc.change(native, libsd)
			failures, notes := judge(suite, []*Result{native}, []*Result{libsd})
			expect(t, "failures", failures, tc.fails)
			if tc.notes != "" {
				expect(t, "notes", notes, tc.notes)
			}
		})
	}
	libsd := good(true)
	libsd.Counters = nil
	failures, _ := judge(suite.onKernel(), []*Result{good(false)}, []*Result{libsd})
	expect(t, "failures of a suite on the kernel", failures, "")
}

// TestJudgeRepetitions: a difference is forgiven if repetitions show both that Linux fails it and that libsd passes it.
func TestJudgeRepetitions(t *testing.T) {
	run := func(libsd bool, d Test) *Result {
		r := &Result{Libsd: libsd, Tests: map[string]Test{"a": pass, "d": d}, Counters: map[string]uint64{"promoted": 1}}
		if d.Verdict == Fail {
			r.Code = 1
		}
		return r
	}
	for _, tc := range []struct {
		name          string
		native, libsd []Test // repetitions
		fails, notes  string
	}{
		{"none", nil, nil, "d: pass natively, fail under libsd", ""},
		{"never natively", []Test{pass, pass}, []Test{pass, fail}, "d: pass natively, fail under libsd", ""},
		{"skipped natively", []Test{skip, {}}, []Test{pass, pass}, "d: pass natively, fail under libsd", ""},
		{"always under libsd", []Test{fail, fail}, []Test{fail, fail}, "d: pass natively, fail under libsd", ""},
		{"flaky", []Test{pass, fail}, []Test{pass, fail}, "", "d: flaky: of 2 repetitions it fails 1 natively, passes 1 under libsd"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			natives, libsds := []*Result{run(false, pass)}, []*Result{run(true, fail)}
			for i := range tc.native {
				natives, libsds = append(natives, run(false, tc.native[i])), append(libsds, run(true, tc.libsd[i]))
			}
			failures, notes := judge(Suite{Baseline: 2}, natives, libsds)
			expect(t, "failures", failures, tc.fails)
			expect(t, "notes", notes, tc.notes)
		})
	}
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
