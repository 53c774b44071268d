package main

import (
	"fmt"
	"maps"
	"slices"
)

// judge compares the two runs of a suite. Failures fail the runner; notes are for people.
func judge(s Suite, native, libsd *Result) (failures, notes []string) {
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
	if native.Code == 0 && libsd.Code != 0 {
		fail("under libsd: it ended with %d, natively with 0", libsd.Code)
	}
	if !s.Kernel && libsd.Counters["promoted"] == 0 {
		fail("under libsd: no connection was promoted: all of this ran on the kernel")
	}
	for _, name := range slices.Sorted(maps.Keys(native.Tests)) {
		n := native.Tests[name]
		l, both := libsd.Tests[name]
		switch {
		case n.Verdict == Pass && !both:
			fail("%s: passes natively, missing under libsd", name)
		case n.Verdict == Pass && l.Verdict != Pass:
			fail("%s: passes natively, %s under libsd: %s", name, l.Verdict, l.Why)
		case n.Verdict == Fail:
			note("%s: fails natively: %s", name, n.Why)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(libsd.Tests)) {
		n, both := native.Tests[name]
		switch l := libsd.Tests[name]; {
		case !both && l.Verdict == Fail:
			fail("%s: missing natively, fails under libsd: %s", name, l.Why)
		case l.Verdict == Pass && n.Verdict != Pass:
			note("%s: passes under libsd only", name)
		}
	}
	return failures, notes
}

func wayOf(r *Result) string {
	if r.Libsd {
		return "under libsd"
	}
	return "natively"
}
