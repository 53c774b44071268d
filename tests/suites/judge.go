package main

import (
	"fmt"
	"maps"
	"slices"
)

// judge compares the first runs of a suite, natively and under libsd; the others, which repeat both, tell what is flaky.
// Failures fail the runner; notes are for people.
func judge(s Suite, natives, libsds []*Result) (failures, notes []string) {
	native, libsd := natives[0], libsds[0]
	fail := func(format string, a ...any) { failures = append(failures, fmt.Sprintf(format, a...)) }
	note := func(format string, a ...any) { notes = append(notes, fmt.Sprintf(format, a...)) }
	for _, r := range []*Result{native, libsd} {
		way := wayOf(r)
		switch {
		case r.TimedOut:
			fail("%s: it did not end within %v", way, s.Limit)
		case r.Code != 0 && r.count(Fail) == 0:
			fail("%s: it ended with %d though no test failed", way, r.Code)
		}
		if r.ran() < s.Baseline {
			fail("%s: %d tests ran, there must be %d", way, r.ran(), s.Baseline)
		}
	}
	if !s.Kernel && libsd.Counters["promoted"] == 0 {
		fail("under libsd: no connection was promoted: all of this ran on the kernel")
	}
	excused := 0
	for _, name := range differing(native, libsd) {
		failed, passed := tally(name, natives[1:], Fail), tally(name, libsds[1:], Pass)
		if failed > 0 && passed > 0 {
			excused++
			note("%s: flaky: of %d repetitions it fails %d natively, passes %d under libsd", name, len(natives)-1, failed, passed)
			continue
		}
		n, l := native.Tests[name].orMissing(), libsd.Tests[name].orMissing()
		fail("%s: %s natively, %s under libsd: %s", name, n.Verdict, l.Verdict, l.Why)
	}
	if native.Code == 0 && libsd.Code != 0 && excused == 0 {
		fail("under libsd: it ended with %d, natively with 0", libsd.Code)
	}
	for _, name := range slices.Sorted(maps.Keys(native.Tests)) {
		n, l := native.Tests[name], libsd.Tests[name]
		if n.Verdict == Fail {
			note("%s: fails natively: %s", name, n.Why)
		}
		if l.Verdict == Pass && n.Verdict != Pass {
			note("%s: passes under libsd only", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(libsd.Tests)) {
		if _, both := native.Tests[name]; !both && libsd.Tests[name].Verdict == Pass {
			note("%s: passes under libsd only", name)
		}
	}
	return failures, notes
}

// differing names the tests that pass natively and not under libsd, or fail under libsd alone.
func differing(native, libsd *Result) (names []string) {
	for name, l := range libsd.Tests {
		if l.Verdict == Fail && native.Tests[name].Verdict != Fail {
			names = append(names, name)
		}
	}
	for name, n := range native.Tests {
		if l := libsd.Tests[name].Verdict; n.Verdict == Pass && l != Pass && l != Fail {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// tally counts the runs in which a test has a verdict.
func tally(name string, runs []*Result, v Verdict) (n int) {
	for _, r := range runs {
		if r.Tests[name].Verdict == v {
			n++
		}
	}
	return n
}

func wayOf(r *Result) string {
	if r.Libsd {
		return "under libsd"
	}
	return "natively"
}
