package sim

import (
	"maps"
	"slices"
	"unsafe"
)

// reduction lets an exploration leave out decisions that make no difference (partial-order
// reduction, by singleton persistent sets).
//
// A step of a thread on a word is made at once if no other thread will ever use that word in a
// conflicting way: stores to it if this is a load, any use if it is a store, a locked operation or a
// copy. The same goes for the oldest store of a buffer. Such a step commutes with all that the others
// can do until it is made, and nothing they do keeps it from being made; so every run in which it
// comes later ends in the same states, finds the same failures and the same deadlocks as the one in
// which it comes now. No thread is ignored: the steps of a thread between two decisions are finite
// (Config.Limit), and at each decision there is every possibility.
//
// What a thread will use is not known but learnt, with which lock held: an exploration begins with
// "nothing", notes every use, and begins again with what it has learnt if that is more than before.
// The last pass, the one that counts, has met no use outside of what it took for granted. That
// settles it: take the shortest run, of all runs, that has such a use, or a failure, which the pass
// did not come to. The pass left it at a step made at once; up to its last step this run has only
// uses known to commute with that step, so the run with that step moved to its front (or put there)
// does the same at its end; go on from there until the pass has all possibilities.
//
// What a thread will use is kept for each Checkpoint, as the body depends on nothing before it. A
// lock (Hold) orders the uses of what is only used under it: then who holds it is alone with them
// until it is released. Others cannot see that a store enters a buffer either, unless all buffers can
// be drained by something else: a death, a deadline, a membarrier of a thread of the same process.
//
// What bodies share other than through memory is not seen here: it must be used under a lock that
// they Hold, or only be added to, or be such that earlier is stricter.
type reduction struct {
	later  map[uint64]map[uint64]use // what this pass takes for granted: by Checkpoint, then word
	learnt map[uint64]map[uint64]use // by runs so far
	news   bool                      // learnt is more than later
	trace  bool                      // also record the decisions that are left out
}

// use is how a word will be used.
type use struct {
	store bool
	lock  uint64 // held at each use; 0 = none
}

func newReduction() *reduction { return &reduction{learnt: map[uint64]map[uint64]use{}} }

// next begins a pass.
func (r *reduction) next() {
	r.news, r.later = false, map[uint64]map[uint64]use{}
	for phase, uses := range r.learnt {
		r.later[phase] = maps.Clone(uses)
	}
}

// enter tells that t comes to a Checkpoint.
func (r *reduction) enter(t *Thread, phase uint64) {
	t.later = r.later[phase]
	if !slices.Contains(t.phases, phase) {
		t.phases = append(t.phases, phase)
	}
}

// note learns that t uses a word, which who started t will use by that.
func (r *reduction) note(t *Thread, word uint64, store bool) {
	for a := t; a != nil; a = a.parent {
		for _, phase := range a.phases {
			u, known := r.learnt[phase][word]
			if known && (u.store || !store) && (u.lock == 0 || u.lock == t.lock) {
				continue
			}
			if !known {
				u.lock = t.lock
			}
			if u.lock != t.lock {
				u.lock = 0
			}
			u.store = u.store || store
			if r.learnt[phase] == nil {
				r.learnt[phase] = map[uint64]use{}
			}
			r.learnt[phase][word], r.news = u, true
		}
	}
}

// used notes a use of memory.
func (t *Thread) used(p unsafe.Pointer, size uintptr, store bool) {
	if r := t.w.reduce; r != nil {
		for g := range t.w.granules(t, p, size) {
			r.note(t, g, store)
		}
	}
}

// alone tells whether no other thread will use memory in a way that conflicts with t's use.
func (t *Thread) alone(p unsafe.Pointer, size uintptr, store bool) bool {
	if t.w.reduce == nil {
		return false
	}
	for g := range t.w.granules(t, p, size) {
		for _, o := range t.w.threads {
			if o == t || o.state == done || o.state == dead {
				continue
			}
			u, known := o.later[g]
			if known && (store || u.store) && (u.lock == 0 || u.lock != t.lock) {
				return false
			}
			for i := o.first; i < len(o.buf); i++ {
				if s := &o.buf[i]; uintptr(s.p) < uintptr(p)+size+8 && uintptr(p) < uintptr(s.p)+s.size+8 {
					return false
				}
			}
		}
	}
	return true
}

// aloneLocked is alone for a locked operation, which drains the buffer.
func (t *Thread) aloneLocked(p unsafe.Pointer, size uintptr) bool {
	return t.alone(p, size, true) && t.aloneBuffer()
}

// aloneOn is alone for a system call that uses one object.
func (t *Thread) aloneOn(object uint64) bool {
	if t.w.reduce == nil {
		return false
	}
	for _, o := range t.w.threads {
		if _, known := o.later[object]; known && o != t && o.state != done && o.state != dead {
			return false
		}
	}
	return t.aloneBuffer()
}

// aloneBuffer tells whether nobody can tell when the buffer drains.
func (t *Thread) aloneBuffer() bool {
	for i := t.first; i < len(t.buf); i++ {
		if s := &t.buf[i]; !t.alone(s.p, s.size, true) {
			return false
		}
	}
	return true
}

// aloneStore tells whether nobody can tell when a store enters the buffer.
func (t *Thread) aloneStore(p unsafe.Pointer, size uintptr) bool {
	w := t.w
	if w.reduce == nil {
		return false
	}
	if w.SC || t.Proc.mortal && w.Faults.Kills > 0 || !w.Timeless && w.Faults.Ticks != 0 {
		return t.alone(p, size, true)
	}
	for _, o := range t.Proc.threads {
		if _, fences := o.later[t.Proc.fence()]; fences && o != t && o.state != done {
			return t.alone(p, size, true)
		}
	}
	return true
}

// fence stands for the membarriers of p among words.
func (p *Process) fence() uint64 { return mix(0xfe9ce, uint64(p.PID)) }

// granules are the identities of the words of 8 bytes that memory touches.
func (w *World) granules(t *Thread, p unsafe.Pointer, size uintptr) func(func(uint64) bool) {
	return func(f func(uint64) bool) {
		r := w.find(uintptr(p))
		if r == nil {
			f(w.wordOf(t, p))
			return
		}
		for off := (uintptr(p) - r.base) &^ 7; off < uintptr(p)-r.base+size; off += 8 {
			if !f(r.id + uint64(off)) {
				return
			}
		}
	}
}

// drainAlone drains what nobody can tell when it is.
func (w *World) drainAlone(cur *Thread) {
	if w.reduce == nil {
		return
	}
	for _, t := range w.threads {
		for t.first < len(t.buf) && t.alone(t.buf[t.first].p, t.buf[t.first].size, true) {
			w.leftOut(cur, option{kind: drain, t: t})
			t.drainOne()
			w.event(t, opDrain, nil, "", 0)
		}
	}
}

// leftOut is a decision for o that the chooser is not asked for.
func (w *World) leftOut(cur *Thread, o option) {
	if w.reduce.trace {
		if w.gather(cur); len(w.options) > 1 {
			w.trace = append(w.trace, Choice{uint32(slices.Index(w.options, o)), uint32(len(w.options))})
		}
	}
}

// Hold tells that t has the lock with this number, at most one at a time. Two that hold one are a
// failure.
func (t *Thread) Hold(lock uint64) {
	for _, o := range t.w.threads {
		if o != t && o.lock == lock && o.state != dead {
			t.w.Failf("exclusion", "%s and %s hold lock %d", o, t, lock)
		}
	}
	t.lock = lock
}

// Release tells that t is about to give its lock up.
func (t *Thread) Release() { t.lock = 0 }
