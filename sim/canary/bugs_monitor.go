package canary

const (
	reclaim  = "monitor/reclaim.go"
	registry = "monitor/registry.go"
)

// decisions are bugs of monitor.Core, which the C core meets.
var decisions = []Bug{
	{"mon-crossed", "an end that is closed before it hears of its introduction keeps its slot", []string{"c-mon-slots"}, []Edit{{reclaim,
		"id = c.cookies[e.Cookie]", "", false}}},
	{"mon-offers-of-the-dead", "offers outlive the registration that made them", []string{"c-mon-slots"}, []Edit{{registry,
		"c.waiting.dropAll(reg)", "", false}}},
	{"mon-ends-of-the-dead", "the end of a registration gives nothing up", []string{"c-mon-slots"}, []Edit{{registry,
		"if s.ends[end].reg == reg {\n", "if s.ends[end].reg == reg && !(PLANTED) {\n", false}}},
}
