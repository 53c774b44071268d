package sim

import "math"

// Faults is what may go wrong in a run. Under exploration each fault may strike at each step, as
// often as is left; in other runs the steps are drawn before the run (Plan). Safety is checked with
// faults; once they have struck, the rest of the run is the test of liveness: everything must finish.
type Faults struct {
	Kills   int // processes, of those that are mortal
	Signals int // early ends of sleeps
	Ticks   int // under exploration: deadlines that come while something else could happen; -1 = any number

	Struck bool // a process was killed

	planned []fault // by step
}

type fault struct {
	step int
	kind optionKind
	p    *Process
	hold int // steps for which a process is stopped
}

const stopFault = optionKind(100)

// Mortal says that p may be killed.
func (p *Process) Mortal() { p.mortal = true }

// Plan draws when faults strike within horizon steps from now: kills of processes that are mortal now,
// stops of any process, signals.
func (w *World) Plan(horizon int) {
	f := &w.Faults
	if w.Explore {
		return
	}
	for range f.Kills {
		var mortal []*Process
		for _, p := range w.procs {
			if p.mortal {
				mortal = append(mortal, p)
			}
		}
		if len(mortal) > 0 {
			f.add(fault{w.steps + w.when(horizon), kill, mortal[w.Choose(len(mortal), "victim")], 0})
		}
	}
	for range f.Signals {
		f.add(fault{w.steps + w.when(horizon), intr, nil, 0})
	}
	for range w.Choose(3, "stops") {
		f.add(fault{w.steps + w.when(horizon), stopFault, w.procs[w.Choose(len(w.procs), "stopped")], w.when(horizon)})
	}
	w.next = f.due()
}

// Doom draws the step within horizon steps from now at which p is killed.
func (w *World) Doom(p *Process, horizon int) {
	w.Faults.add(fault{w.steps + w.when(horizon), kill, p, 0})
	w.next = w.Faults.due()
}

// when draws a step; early ones are more likely than late ones.
func (w *World) when(horizon int) int {
	for horizon > 8 && w.Choose(3, "sooner") == 0 {
		horizon /= 4
	}
	return 1 + w.Choose(horizon, "at step")
}

func (f *Faults) add(x fault) {
	i := 0
	for i < len(f.planned) && f.planned[i].step <= x.step {
		i++
	}
	f.planned = append(f.planned[:i], append([]fault{x}, f.planned[i:]...)...)
}

func (f *Faults) due() int {
	if len(f.planned) == 0 {
		return math.MaxInt
	}
	return f.planned[0].step
}

// strike does what is due and returns when the next is.
func (f *Faults) strike(w *World) int {
	for f.due() <= w.steps {
		x := f.planned[0]
		f.planned = f.planned[1:]
		switch x.kind {
		case kill:
			w.Kill(x.p)
		case stopFault:
			if !x.p.Killed && !x.p.stopped {
				x.p.stopped = true
				w.event(nil, opStop, nil, x.p.Name, 0)
				f.add(fault{w.steps + x.hold, cont, x.p, 0})
			}
		case cont:
			w.resumeProcess(x.p)
		case intr:
			for _, t := range w.threads {
				if t.state == blocked && !t.woken {
					w.event(t, opSignal, nil, "", 0)
					t.deadline = w.now
					break
				}
			}
		}
	}
	return f.due()
}

func (w *World) resumeProcess(p *Process) {
	if p.stopped {
		p.stopped = false
		w.event(nil, opCont, nil, p.Name, 0)
		w.changed()
	}
}

// options adds what may strike at this step of an exploration.
func (f *Faults) options(w *World, o []option) []option {
	if f.Kills > 0 {
		for _, p := range w.procs {
			if p.mortal && !p.Killed {
				o = append(o, option{kind: kill, p: p})
			}
		}
	}
	if f.Signals > 0 {
		for _, t := range w.threads {
			if t.state == blocked && !t.woken {
				o = append(o, option{kind: intr, t: t})
			}
		}
	}
	return o
}
