package sim

import "fmt"

// option is one thing that can happen next.
type option struct {
	kind optionKind
	t    *Thread
	p    *Process
}

type optionKind uint8

const (
	run   optionKind = iota // t goes on
	drain                   // the oldest store of t's buffer reaches memory
	tick                    // the earliest deadline comes
	kill                    // p is killed
	cont                    // p is continued
	intr                    // a signal ends t's system call
)

// pause is called by t between two of its steps: whatever may happen there, happens.
func (w *World) pause(t *Thread) {
	if w.steps >= w.Limit {
		w.hang("livelock", fmt.Sprintf("not finished after %d steps:", w.steps))
		t.suspend()
	}
	if next := w.schedule(t); next != t {
		w.target = next
		t.suspend()
	}
}

// switchFrom is pause for a thread that cannot go on.
func (w *World) switchFrom(t *Thread) { w.pause(t) }

// schedule decides what happens until a thread runs, and which. cur is the one that ran; nil is
// returned when the run is over.
func (w *World) schedule(cur *Thread) *Thread {
	for w.fail == nil {
		if w.steps >= w.next {
			w.next = w.Faults.strike(w)
		}
		w.drainAlone(cur)
		if w.gather(cur); len(w.options) == 0 {
			if !w.finished() {
				w.hang("deadlock", "nothing can happen any more:")
			}
			return nil
		}
		if w.finished() {
			return nil
		}
		i := 0
		if len(w.options) > 1 {
			if w.Explore {
				if e, ok := w.chooser.(explorer); ok && !e.Visit(w.state()) {
					w.stuck = true
					return nil
				}
			}
			i = w.Choose(len(w.options), "step")
		}
		switch o := w.options[i]; o.kind {
		case run:
			o.t.start()
			w.quantum = 1
			if w.stay > 1 {
				w.quantum = 1 + w.Choose(w.stay, "quantum")
			}
			return o.t
		case drain:
			o.t.drainOne()
			w.event(o.t, opDrain, nil, "", 0)
		case tick:
			if len(w.options) > 1 && w.Faults.Ticks > 0 {
				w.Faults.Ticks--
			}
			w.advance()
		case kill:
			w.Faults.Kills--
			w.Kill(o.p)
		case cont:
			w.resumeProcess(o.p)
		case intr:
			w.Faults.Signals--
			w.event(o.t, opSignal, nil, "", 0)
			o.t.state, o.t.woken = ready, false
			o.t.futex = 0
		}
	}
	return nil
}

// start makes a thread that was chosen the running one.
func (t *Thread) start() {
	if t.state == blocked || t.state == idle {
		t.state = ready
	}
}

func (t *Thread) canRun() bool {
	if t.Proc.stopped {
		return false
	}
	switch t.state {
	case ready:
		return true
	case blocked:
		return t.woken || t.deadline <= t.w.now || t.ready != nil && t.ready()
	case idle:
		return t.version != t.w.version
	}
	return false
}

// gather lists what can happen. What goes on without a switch comes first.
func (w *World) gather(cur *Thread) {
	o := w.options[:0]
	if cur != nil && cur.canRun() {
		o = append(o, option{kind: run, t: cur})
	}
	timed := false
	for _, t := range w.threads {
		if t != cur && t.canRun() {
			o = append(o, option{kind: run, t: t})
		}
		timed = timed || t.state == blocked && t.deadline != never && t.deadline > w.now && !t.Proc.stopped
	}
	for _, t := range w.threads {
		if t.first < len(t.buf) {
			o = append(o, option{kind: drain, t: t})
		}
	}
	if timed && !w.Timeless && (!w.Explore || w.Faults.Ticks != 0 || len(o) == 0) {
		o = append(o, option{kind: tick})
	}
	if len(o) == 0 {
		for _, p := range w.procs {
			if p.stopped {
				o = append(o, option{kind: cont, p: p})
			}
		}
	}
	if len(o) == 0 {
		for _, t := range w.threads { // a bounded spin ends by itself
			if t.state == idle {
				o = append(o, option{kind: run, t: t})
			}
		}
	}
	if w.Explore && len(o) > 0 { // no fault is to help out of a deadlock
		o = w.Faults.options(w, o)
	}
	w.options = o
}

// advance moves the clock to the earliest deadline. Stores as old as drainBound have drained by then.
func (w *World) advance() {
	to := never
	for _, t := range w.threads {
		if t.state == blocked && t.deadline > w.now && !t.Proc.stopped {
			to = min(to, t.deadline)
		}
	}
	w.now = to
	for _, t := range w.threads {
		w.date(t, to)
		for t.first < len(t.buf) && t.buf[t.first].at+drainBound <= to {
			t.drainOne()
		}
	}
	w.event(nil, opTick, nil, "", uint64(to))
	w.changed()
}

// date bounds when the stores of t's buffer came into it, in an exploration: before now, and before
// whoever went to sleep after them did. As code takes no time, this is all that is known; so a store
// stays for as long as it may.
func (w *World) date(t *Thread, now Time) {
	for i := t.first; i < len(t.buf) && w.Explore; i++ {
		s := &t.buf[i]
		s.at = min(s.at, now)
		for _, o := range w.threads {
			if o.state == blocked && o.deadline != never && s.step < o.slept {
				s.at = min(s.at, o.since)
			}
		}
	}
}

// state is a hash of everything that the future depends on.
func (w *World) state() uint64 {
	h := w.memory
	for _, t := range w.threads {
		h = mix(h, t.hist)
		h = mix(h, uint64(t.state)<<1|b2u(t.woken))
		if t.state == blocked {
			h = mix(h, uint64(t.deadline-w.now))
		}
		h = mix(h, b2u(t.version != w.version)) // whether its next Spin waits
		for i := t.first; i < len(t.buf); i++ {
			s := &t.buf[i]
			h = mix(h, w.word(s.p))
			if s.data != nil {
				h = mix(h, digest(s.data))
			} else {
				h = mix(h, s.v)
			}
			if !w.Timeless {
				h = mix(h, w.age(s))
			}
		}
		h = mix(h, 0xb0f)
	}
	for _, p := range w.procs {
		h = mix(h, b2u(p.Killed)<<2|b2u(p.exited)<<1|b2u(p.stopped))
	}
	for _, f := range w.kernel {
		h = mix(h, f())
	}
	h = mix(h, uint64(w.Faults.Kills)<<16|uint64(w.Faults.Signals)<<8|uint64(w.Faults.Ticks))
	return h
}

// age is what the future of a buffered store depends on.
func (w *World) age(s *store) uint64 {
	h := uint64(1)
	if s.at != never {
		h = uint64(w.now - s.at)
	}
	for _, o := range w.threads {
		if o.state == blocked && o.deadline != never {
			h = mix(h, b2u(s.step < o.slept))
		}
	}
	return h
}

func b2u(b bool) uint64 {
	if b {
		return 1
	}
	return 0
}
