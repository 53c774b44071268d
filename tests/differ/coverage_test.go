package differ

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/socksdirect/libsd/model"
)

// coverage counts operations by what they were done on.
type coverage struct {
	mu       sync.Mutex
	programs int
	ops      int
	seen     map[model.Kind]map[string]int
	places   map[string]int
	aspects  map[string]int
}

func newCoverage() *coverage {
	return &coverage{seen: map[model.Kind]map[string]int{}, places: map[string]int{}, aspects: map[string]int{}}
}

// onDescriptor are the operations whose first argument is a descriptor.
func onDescriptor(k model.Kind) bool {
	switch k {
	case model.Socket, model.EpCreate, model.Fork, model.Exec, model.Exit, model.Kill, model.SigAct, model.Pair, model.Rest:
		return false
	}
	return true
}

func (c *coverage) visit(s *model.State, op model.Op) {
	place := "-"
	if onDescriptor(op.Kind) {
		place = s.Place(op.Proc, op.Arg[0])
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.seen[op.Kind] == nil {
		c.seen[op.Kind] = map[string]int{}
	}
	c.seen[op.Kind][place]++
	c.places[place]++
	for _, name := range aspects(op) {
		c.aspects[name]++
	}
	c.ops++
}

// enough programs visit everything; fewer need not.
const enough = 10_000

// report prints the distribution; it fails for an operation or a state that enough programs never
// visited, unless the style excludes it, and tells whether there were enough.
func (c *coverage) report(t *testing.T, st style) (want bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	want = c.programs >= enough
	var b strings.Builder
	fmt.Fprintf(&b, "%d programs, %d operations\n%-10s%9s", c.programs, c.ops, "", "-")
	for _, place := range model.Places {
		fmt.Fprintf(&b, "%12s", place)
	}
	b.WriteString("\n")
	for k := range model.Kinds {
		fmt.Fprintf(&b, "%-10v%9s", k, number(c.seen[k]["-"]))
		total := c.seen[k]["-"]
		for _, place := range model.Places {
			fmt.Fprintf(&b, "%12s", number(c.seen[k][place]))
			total += c.seen[k][place]
		}
		b.WriteString("\n")
		if want && total == 0 && !slices.Contains(st.excluded, k) {
			t.Errorf("no program has %v", k)
		}
	}
	for _, place := range model.Places {
		if want && c.places[place] == 0 && !slices.Contains(st.unmet, place) {
			t.Errorf("no operation met the state %s", place)
		}
	}
	t.Log("\n" + b.String())
	if testing.CoverMode() != "" {
		t.Logf("%.1f %% of the statements that -coverpkg names were reached", 100*testing.Coverage())
	}
	return want
}

func number(n int) string {
	if n == 0 {
		return "."
	}
	return fmt.Sprint(n)
}
