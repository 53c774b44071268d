package socket

import (
	"sync"
	"time"
)

// deadline is a time limit which goroutines wait for as a channel and which may move while they
// wait. The zero value is no limit.
type deadline struct {
	mu      sync.Mutex
	timer   timer
	expired chan struct{} // closed when the time has come; nil until somebody asked
}

// set moves the deadline; the zero time means none. A time in the past expires at once.
func (d *deadline) set(t time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.timer != nil && !d.timer.Stop() {
		<-d.expired // the timer's function runs or ran: it closes before anything else
	}
	d.timer = nil
	if d.expired == nil || d.passedLocked() {
		d.expired = make(chan struct{})
	}
	if t.IsZero() {
		return
	}
	expired := d.expired
	if wait := timeTo(t); wait > 0 {
		d.timer = afterFunc(wait, func() { close(expired) })
	} else {
		close(expired)
	}
}

// wait returns the channel that is closed at the deadline.
func (d *deadline) wait() <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.expired == nil {
		d.expired = make(chan struct{})
	}
	return d.expired
}

// passed tells whether the time has come.
func (d *deadline) passed() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.passedLocked()
}

func (d *deadline) passedLocked() bool {
	select {
	case <-d.expired: // a nil channel blocks: no deadline was ever set
		return true
	default:
		return false
	}
}
