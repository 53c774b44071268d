package model

import (
	"math/bits"
	"syscall"
)

// Event bits, the same for poll and epoll.
const (
	evIn        = int32(syscall.EPOLLIN)
	evPri       = int32(syscall.EPOLLPRI)
	evOut       = int32(syscall.EPOLLOUT)
	evErr       = int32(syscall.EPOLLERR)
	evHup       = int32(syscall.EPOLLHUP)
	evRdNorm    = int32(syscall.EPOLLRDNORM)
	evRdBand    = int32(syscall.EPOLLRDBAND)
	evWrNorm    = int32(syscall.EPOLLWRNORM)
	evWrBand    = int32(syscall.EPOLLWRBAND)
	evRdHup     = int32(syscall.EPOLLRDHUP)
	evNval      = int32(0x20)
	evET        = int32(-1 << 31)
	evOneShot   = int32(1 << 30)
	evWakeup    = int32(1 << 29)
	evExclusive = int32(1 << 28)
)

// mask is what poll reports of a description: the events that certainly hold, and those that may.
func (s *State) mask(f int32) (must, may int32) {
	file := &s.files[f]
	switch file.kind {
	case otherFile:
		must = evIn | evOut | evRdNorm | evWrNorm
	case epollSet:
		switch certainly, maybe := s.anyReady(f); {
		case certainly:
			must = evIn | evRdNorm
		case maybe:
			may = evIn | evRdNorm
		}
	case unixSocket:
		must = evOut | evWrNorm | evWrBand
		if len(file.passed) > 0 || file.peer == none {
			must |= evIn | evRdNorm
		}
		if file.peer == none {
			must |= evHup | evRdHup
		}
		if file.err != 0 {
			must |= evErr
		}
	case tcpSocket:
		return s.tcpMask(&s.ends[file.end])
	}
	return must, may
}

func (s *State) tcpMask(e *endpoint) (must, may int32) {
	if e.tcp == listening {
		if len(e.queue) > 0 {
			must = evIn | evRdNorm
		}
		return must, 0
	}
	if e.shut == shutBoth || e.tcp == closed {
		must |= evHup
	}
	if e.shut&shutRd != 0 {
		must |= evIn | evRdNorm | evRdHup
	}
	if e.tcp != synSent {
		switch low := e.opt[OptRcvLowat] + truth(e.hidden()); {
		case e.sure >= low:
			must |= evIn | evRdNorm
		case size(e.rx) >= low:
			may |= evIn | evRdNorm
		}
		if e.urg.state == urgentHere {
			must |= evPri
		}
		if e.peer != none && e.shut&shutWr == 0 && s.ends[e.peer].strained {
			may |= evOut | evWrNorm
		} else {
			must |= evOut | evWrNorm
		}
	}
	if e.err != 0 {
		must |= evErr
	}
	return must, may &^ must
}

// revents are the values that poll may report for one descriptor.
func (n step) revents(fd, events int32) []int32 {
	if fd < 0 {
		return []int32{0}
	}
	f := n.fileOf(n.p, fd)
	if f == none {
		return []int32{evNval}
	}
	must, may := n.mask(f)
	events |= evErr | evHup
	options := mayShow(must, may, events)
	if before, too, ok := n.before(f); ok {
		options = append(options, mayShow(before, too, events)...)
	}
	return options
}

// mayShow is what may be reported of events; whether there is something to read and whether there is room are
// doubtful each for itself.
func mayShow(must, may, events int32) []int32 {
	const out = evOut | evWrNorm
	options := []int32{must & events}
	for _, doubt := range []int32{may & events &^ out, may & events & out} {
		if doubt == 0 {
			continue
		}
		for _, o := range options {
			options = append(options, o|doubt)
		}
	}
	return options
}

func (n step) poll() []Branch {
	a := n.op.Arg
	first, second, ok := n.shown(a)
	if !ok {
		return n.fail(ebadf)
	}
	if n.again != nil && first[0] != 0 && second[0] != 0 { // as told
		first, second = append(first, n.arriving(first[0])...), append(second, n.arriving(second[0])...)
	}
	var b []Branch
	if n.unheard(first[0], a[0], a[1]) && n.unheard(second[0], a[2], a[3]) && first[0]|second[0] != 0 {
		b = n.on(n.clone()).sleep(0, 0)
	}
	for _, r1 := range first {
		for _, r2 := range second {
			if r1 == 0 && r2 == 0 && (n.late || n.again != nil) && (first[0] != 0 || second[0] != 0) {
				continue
			}
			next := n.on(n.clone())
			if r1 == 0 && r2 == 0 && a[4] < 0 {
				b = append(b, next.sleep(0, 0)...)
				continue
			}
			next.report(n.fileOf(n.p, a[0]), r1)
			next.report(n.fileOf(n.p, a[2]), r2)
			count := truth(r1 != 0) + truth(r2 != 0)
			if n.selects() {
				count = int32(bits.OnesCount32(uint32(r1)) + bits.OnesCount32(uint32(r2)))
			}
			one := next.branch(count)
			one.Vec = []int32{r1, r2}
			b = append(b, one)
		}
	}
	return b
}

// unheard tells whether a poll that sleeps may not have been woken for the events that one descriptor shows: a set wakes
// as EPOLLIN alone. Who looks for another reason, as a signal is, sees them.
func (n step) unheard(shown, fd, events int32) bool {
	if shown == 0 {
		return true
	}
	return n.again != nil && !n.again.ends && !n.selects() && events&evIn == 0 && n.files[n.fileOf(n.p, fd)].kind == epollSet
}

// arriving is what may be seen of mask while that comes about: nothing, of RST its error, and then that the connection
// is closed before both sides are shut (tcp_reset and tcp_done of Linux), which select shows as the error.
func (n step) arriving(mask int32) []int32 {
	options := []int32{0, mask & evErr}
	if mask&evHup != 0 && !n.selects() {
		options = append(options, mask&^(evIn|evRdNorm|evRdHup))
	}
	return options
}

func (n step) selects() bool { return n.op.Form() == PollSelect || n.op.Form() == PollPselect }

// shown are the values that each of the two descriptors may show; select wants open ones, and its sets
// hold a descriptor once.
func (n step) shown(a [MaxArgs]int32) (first, second []int32, ok bool) {
	if !n.selects() {
		return n.revents(a[0], a[1]), n.revents(a[2], a[3]), true
	}
	const sets = evIn | evOut | evPri
	asked, too := a[1]&sets, a[3]&sets
	if a[0] == a[2] {
		asked, too = asked|too, 0
	}
	show := func(fd, asked int32) []int32 {
		if fd < 0 || asked == 0 {
			return []int32{0}
		}
		if n.fileOf(n.p, fd) == none {
			return nil
		}
		var r []int32
		for _, events := range n.revents(fd, -1) {
			r = append(r, selected(events, asked))
		}
		return r
	}
	first, second = show(a[0], asked), show(a[2], too)
	return first, second, first != nil && second != nil
}

// report is that a program has learnt of events.
func (s *State) report(f, events int32) {
	if f != none && s.files[f].kind == tcpSocket && events&(evRdHup|evHup|evErr) != 0 {
		s.ends[s.files[f].end].unseen = false
	}
}

// before is the mask of a connection whose end is as if still on its way, if that may be so.
func (s *State) before(f int32) (must, may int32, ok bool) {
	file := &s.files[f]
	if !s.late || file.kind != tcpSocket || !s.ends[file.end].unseen {
		return 0, 0, false
	}
	e := s.ends[file.end]
	e.tcp, e.shut, e.err = established, e.own, 0
	must, may = s.tcpMask(&e)
	const out = evOut | evWrNorm // whether there was room is forgotten
	return must &^ out, may | must&out, true
}
