package model

import (
	"slices"
	"syscall"
)

func (n step) send() []Branch {
	if b, ok := n.onFile(); ok {
		return b
	}
	e, errno := n.tcpOf(n.p, n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	end, want, flags := &n.ends[e], n.op.Arg[1], n.op.flags()
	wait := n.waits(end, flags)
	switch {
	case end.tcp == synSent && !wait:
		return n.fail(eagain)
	case end.tcp == synSent:
		return n.sleep(end.opt[OptSndTimeo], -eagain)
	case end.err != 0 && end.err != epipe:
		errno, end.err = end.err, 0
		return n.fail(errno)
	case end.err == epipe || end.tcp != established && end.tcp != closeWait || end.shut&shutWr != 0:
		end.err = 0
		return n.broken(flags)
	}
	peer := &n.ends[end.peer]
	queued := size(peer.rx)
	if queued+want <= certain && !peer.strained {
		return []Branch{n.sent(e, want, want)}
	}
	if want == 0 {
		return n.one(0)
	}
	if wait && n.limit(end.opt[OptSndTimeo]) == 0 {
		// It takes all, or sleeps after an unknown part.
		asleep := n.on(n.clone())
		asleep.ends[asleep.ends[e].peer].strained = true
		return append([]Branch{n.sent(e, want, want)}, asleep.sleep(0, 0)...)
	}
	var b []Branch
	full := n.on(n.clone())
	if queued < most {
		b = append(b, n.sent(e, 1, want))
	}
	if queued+want > certain {
		full.ends[full.ends[e].peer].strained = true
		b = append(b, full.fail(eagain)...)
	}
	return b
}

// sent is a send that took between lo and hi bytes.
func (n step) sent(e, lo, hi int32) Branch {
	b := n.branch(hi)
	b.Lo = lo
	b.Next = func(r int32) *State {
		next := n.clone()
		if r > 0 {
			if r < n.op.Arg[1] {
				next.ends[next.ends[e].peer].strained = true
			}
			next.data(e, next.ends[e].peer, Extent{ID: n.op.ID, N: r}, n.op.flags()&syscall.MSG_OOB != 0)
		}
		next.settle()
		return next
	}
	return b
}

// broken is EPIPE, with SIGPIPE unless the flags forbid it.
func (n step) broken(flags int32) []Branch {
	if flags&syscall.MSG_NOSIGNAL == 0 {
		switch n.procs[n.p].act[sigPipe] {
		case SigDefault:
			n.end(n.p)
			return n.one(Died - int32(syscall.SIGPIPE))
		case SigHandler, SigRestart:
			n.procs[n.p].ran |= 1 << sigNumber[sigPipe]
		}
	}
	return n.fail(epipe)
}

func (n step) recv() []Branch {
	if b, ok := n.onFile(); ok {
		return b
	}
	e, errno := n.tcpOf(n.p, n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	end, want, flags := &n.ends[e], n.op.Arg[1], n.op.flags()
	if flags&syscall.MSG_ERRQUEUE != 0 { // nothing here makes it tell anything
		return n.fail(eagain)
	}
	if n.op.Form() == RecvMmsg && n.again == nil && end.err != 0 { // it looks for an error before anything else
		errno, end.err, end.unseen = end.err, 0, false
		return n.fail(errno)
	}
	if end.tcp == listening {
		return n.fail(enotconn)
	}
	if flags&syscall.MSG_OOB != 0 {
		return n.recvUrgent(e)
	}
	me := &n.procs[n.p]
	got := me.got
	me.got = nil
	if len(got) > 0 && end.atMark() {
		return []Branch{n.received(e, got, 0, 0)}
	}
	peek := flags&syscall.MSG_PEEK != 0
	if skip, _ := end.next(); skip > 0 && n.op.Arg[1] > 0 && !peek {
		end.take(skip)
	}
	skip, stop := end.next()
	want -= size(got)
	wait := n.waits(end, flags)
	target := max(1, min(end.opt[OptRcvLowat], n.op.Arg[1]))
	if flags&syscall.MSG_WAITALL != 0 {
		target = max(1, n.op.Arg[1])
	}
	if n.again != nil {
		target = n.again.target
	}
	hi := min(want, stop)
	lo := min(hi, end.sure-skip)
	marked := end.urg.state != noUrgent && end.urg.mark > 0
	over := end.err != 0 || end.tcp == closed || end.shut&shutRd != 0
	switch {
	case n.again != nil && !n.again.ends && !over && (peek || !marked) && 0 < size(end.rx) && size(end.rx) < end.opt[OptRcvLowat]:
		me.got = got
		return n.sleepFor(target, 0, 0) // it is not even woken, whatever SO_RCVLOWAT was when it fell asleep
	case n.op.Arg[1] == 0 && end.sure > 0:
		return n.one(0)
	case len(end.rx) > 0 && end.sure == 0 && end.tcp == closed: // what had arrived before RST is not known
		lost := n.on(n.clone())
		lost.ends[e].rx = nil
		return append([]Branch{n.received(e, got, min(1, hi), hi)}, lost.recv()...)
	case len(end.rx) > 0 && end.sure == 0: // it has shut its side, so reading has told nobody of the room
		return []Branch{n.received(e, got, 0, hi)}
	case hi > 0 && (size(got)+lo >= target || !wait || over || marked && hi == stop || n.limit(end.opt[OptRcvTimeo]) != 0), len(got) > 0 && (over || lo == want):
		return []Branch{n.received(e, got, lo, hi)}
	case hi > 0: // it keeps what there is and waits for more
		var b []Branch
		if hi == want { // all of it is on the way, and reading makes room for it
			b = append(b, n.on(n.clone()).received(e, got, hi, hi))
		}
		if !peek {
			me.got = append(slices.Clip(got), end.take(hi)...)
			end.sure = size(end.rx)
		}
		return append(b, n.sleepFor(target, 0, 0)...)
	case len(got) > 0:
		me.got = got
		return n.sleepFor(target, 0, 0)
	case end.done:
		end.unseen = false
		return n.one(0)
	case end.err != 0:
		errno, end.err, end.unseen = end.err, 0, false
		return n.fail(errno)
	case end.shut&shutRd != 0:
		return n.one(0)
	case end.tcp == closed:
		return n.fail(enotconn)
	case !wait:
		return n.fail(eagain)
	}
	if n.op.Arg[1] == 0 {
		return n.sleepFor(target, end.opt[OptRcvTimeo], 0) // it waits once for nothing
	}
	return n.sleepFor(target, end.opt[OptRcvTimeo], -eagain)
}

// received is a recv that adds between lo and hi bytes to what it has.
func (n step) received(e int32, got []Extent, lo, hi int32) Branch {
	had := size(got)
	b := n.branch(had + hi)
	b.Lo = had + lo
	if n.op.flags()&syscall.MSG_TRUNC == 0 {
		b.Bytes = func(r int32) []Extent {
			skip, _ := n.ends[e].next()
			_, read := split(n.ends[e].rx, skip)
			first, _ := split(read, r-had)
			return append(slices.Clip(got), first...)
		}
	}
	if n.op.flags()&syscall.MSG_PEEK != 0 {
		return b
	}
	b.Next = func(r int32) *State {
		next := n.clone()
		end := &next.ends[e]
		end.take(r - had)
		total := size(end.rx)
		if end.tcp != closed && end.shut&shutRd == 0 {
			end.sure = min(total, max(end.sure, 1)) // the window is told when there is much room, or no data
		}
		if end.strained && total > 0 {
			next.perhaps(e, evIn|evRdNorm)
		}
		if total == 0 && end.strained && end.shut&shutRd == 0 {
			end.strained = false
			next.roomy(end.peer)
		}
		next.settle()
		return next
	}
	return b
}

func (n step) inq() []Branch {
	f := n.fileOf(n.p, n.op.Arg[0])
	switch {
	case f == none:
		return n.fail(ebadf)
	case n.files[f].kind == otherFile:
		return n.fail(enotty)
	case n.files[f].kind == epollSet:
		return n.fail(einval) // since Linux 6.9
	case n.files[f].kind == unixSocket:
		return n.fail(enotsock)
	}
	end := &n.ends[n.files[f].end]
	switch {
	case n.op.Arg[1] != 0:
		return n.one(truth(end.atMark()))
	case end.tcp == listening:
		return n.fail(einval)
	case end.opt[OptOOBInline] == 0 && end.urg.state != noUrgent && end.urg.mark < size(end.rx):
		return n.one(end.urg.mark)
	}
	b := n.branch(size(end.rx))
	b.Lo = end.sure
	return []Branch{b}
}
