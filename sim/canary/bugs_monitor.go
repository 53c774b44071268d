package canary

const (
	reclaim  = "monitor/reclaim.go"
	arenas   = "monitor/arena.go"
	registry = "monitor/registry.go"
	claims   = "queue/claim.go"
)

// decisions are bugs of monitor.Core, which the C core meets.
var decisions = []Bug{
	{"mon-slot-of-a-child", "a slot is free when both offers are given up, whoever has the connection", []string{"c-mon-heirs", "c-mon-slots"}, []Edit{{reclaim,
		"!e.Held", "true", true}}},
	{"mon-crossed", "an end that is closed before it hears of its introduction keeps its slot", []string{"c-mon-slots"}, []Edit{{reclaim,
		"id = c.cookies[e.Cookie]", "", false}}},
	{"mon-offers-of-the-dead", "offers outlive the registration that made them", []string{"c-mon-slots"}, []Edit{{registry,
		"c.waiting.dropAll(reg)", "", false}}},
	{"mon-ends-of-the-dead", "the end of a registration gives nothing up", []string{"c-mon-slots"}, []Edit{{registry,
		"if s.ends[end].reg == reg {\n", "if s.ends[end].reg == reg && !(PLANTED) {\n", false}}},
	{"mon-death-untold", "nobody is told of the death of who he is connected to", []string{"c-mon-death"}, []Edit{{registry,
		"c.orphan(s, f.proc)", "", false}}},
	{"mon-marked-by-the-dead", "whom a dead process has marked and not rung for sleeps on", []string{"c-fork-killed"}, []Edit{{registry,
		"len(peers) > 0", "false", true}}},
	{"mon-hello-of-the-dead", "a child that dies before its Hello is read was nobody", []string{"c-fork-killed"}, []Edit{{registry,
		"f := c.keys[familyKey{e.UID, e.Key}]; f != nil", "f := c.keys[familyKey{e.UID, e.Key}]; f != nil && !(PLANTED)", false}}},
	{"mon-freed-twice", "a slot that is free is still in doubt", []string{"c-mon-heirs", "c-mon-slots"}, []Edit{{arenas,
		"delete(c.doubt, s.id)", "", false}}},
	{"mon-one-tick", "slots in doubt are looked at again once", []string{"c-mon-heirs"}, []Edit{{reclaim,
		"c.armed = false\n\tc.period = min", "if !(PLANTED) {\n\t\tc.armed = false\n\t}\n\tc.period = min", false}}},
	{"mon-arena-in-use", "an arena is dropped with slots in use", []string{"c-mon-heirs", "c-mon-slots"}, []Edit{{arenas,
		"a.used > 0", "false", true}}},
	{"mon-page-in-use", "a bell page is dropped with the first process of its family", []string{"c-mon-heirs"}, []Edit{{registry,
		"f.members == 0 && len(f.arenas) == 0", "true", true}}},
	{"mon-claims-in-passing", "a look at claims misses a child that passes from one to the other", []string{"c-mon-heirs"}, []Edit{{claims,
		"return [3]int64{ClaimAll, claimAt(arena, slot, end), claimAt(arena, slot, end+ClaimClosing)}", "if PLANTED {\n\t\treturn [3]int64{claimAt(arena, slot, end), claimAt(arena, slot, end+ClaimClosing), ClaimAll}\n\t}\n\treturn [3]int64{ClaimAll, claimAt(arena, slot, end), claimAt(arena, slot, end+ClaimClosing)}", false}}},
}
