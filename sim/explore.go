package sim

// explorer is a chooser which wants to know states.
type explorer interface {
	Chooser
	// Visit tells whether the state was not seen before; if it was, the run is over.
	Visit(state uint64) bool
}

// Explorer makes all runs there are. A run takes the first possibility at each decision, but for a
// list of deviations; at each decision after its last deviation, one more list for each other
// possibility is queued. Lists come in the order in which they were queued, so that few deviations
// come before many and the first failure is a short one. A run ends at a state that was seen before.
//
// A state is hashed (64 bits) from memory, store buffers, kernel objects, and for each thread from
// everything that it did and saw since its last Checkpoint.
type Explorer struct {
	Deviations int // of a run at most; 0 = any number

	queue []deviation // queue[0] is the run without any
	next  int         // run in queue
	level int         // deviations of the run
	path  []Choice    // of the run, up to its last deviation
	depth int
	seen  map[uint64]struct{}
}

// deviation is one decision more than the list that ends with parent has.
type deviation struct {
	parent int32
	depth  uint32
	choice uint32
}

// NewExplorer explores all runs.
func NewExplorer() *Explorer {
	return &Explorer{queue: []deviation{{parent: -1}}, seen: map[uint64]struct{}{}}
}

// States is how many different states were seen.
func (e *Explorer) States() int { return len(e.seen) }

// Runs is how many runs were made, the present one included.
func (e *Explorer) Runs() int { return e.next + 1 }

// Open is how many more runs are queued.
func (e *Explorer) Open() int { return len(e.queue) - e.next - 1 }

// Visit remembers the state after the last deviation.
func (e *Explorer) Visit(state uint64) bool {
	if e.Deviations > 0 {
		state = mix(state, uint64(e.level)) // with fewer deviations made, more can follow
	}
	if e.depth < len(e.path) {
		return true
	}
	if _, ok := e.seen[state]; ok {
		return false
	}
	e.seen[state] = struct{}{}
	return true
}

// Choose follows the list, then takes the first possibility.
func (e *Explorer) Choose(n int, _ string) int {
	d := e.depth
	e.depth++
	if d < len(e.path) {
		return int(e.path[d].C)
	}
	for c := 1; c < n && (e.Deviations == 0 || e.level < e.Deviations); c++ {
		e.queue = append(e.queue, deviation{int32(e.next), uint32(d), uint32(c)})
	}
	return 0
}

// Next prepares the next run and tells whether there is one.
func (e *Explorer) Next() bool {
	if e.next++; e.next == len(e.queue) {
		return false
	}
	e.depth, e.level = 0, 1
	last := e.queue[e.next]
	e.path = append(e.path[:0], make([]Choice, last.depth+1)...)
	for d := last; ; d = e.queue[d.parent] {
		e.path[d.depth].C = d.choice
		if d.parent <= 0 {
			return true
		}
		e.level++
	}
}
