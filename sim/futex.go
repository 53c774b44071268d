package sim

import (
	"time"
)

// FutexWait is futex(2) FUTEX_WAIT on the word at p: it sleeps if the word is v. It may return for
// no reason, as after a signal.
func (t *Thread) FutexWait(p *uint32, v uint32, timeout time.Duration) {
	if t.state == dead {
		return
	}
	t.Syscall("futex-wait")
	now := t.peek32(p)
	t.looked(p)
	t.event(opLoad, p, uint64(now))
	if now != v {
		return
	}
	t.futex = addr(p)
	t.sleep("futex-wait", nil, timeout)
	t.Observe("futex-woken", 0)
}

// FutexWake is futex(2) FUTEX_WAKE: it wakes at most n sleepers, in the order of their numbers.
func (t *Thread) FutexWake(p *uint32, n int) {
	if t.state == dead {
		return
	}
	t.Syscall("futex-wake")
	for _, s := range t.w.threads {
		if n > 0 && s.state == blocked && !s.woken && s.futex == addr(p) {
			s.Wake()
			n--
		}
	}
}

// Membarrier is membarrier(2) PRIVATE_EXPEDITED: it drains the store buffers of the process.
func (t *Thread) Membarrier() {
	if t.state == dead {
		return
	}
	t.Syscall("membarrier")
	if r := t.w.reduce; r != nil {
		r.note(t, t.Proc.fence(), true)
	}
	for _, s := range t.Proc.threads {
		s.drainAll()
	}
}

// Sleep lets time pass.
func (t *Thread) Sleep(d time.Duration) { t.Block("sleep", nil, d) }
