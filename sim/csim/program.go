//go:build sim && cgo

package csim

import (
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// Calls that a simulated program makes; a negative result is -errno.

func (t *Thread) send(fd int, b []byte, flags int) int64 {
	copy(t.mem.bytes(len(b)), b)
	return t.Call("sim_send", int64(fd), int64(t.mem), int64(len(b)), int64(flags))
}

// recv returns the bytes that were read, or no bytes and 0 or -errno.
func (t *Thread) recv(fd, n, flags int) ([]byte, int64) {
	r := t.Call("sim_recv", int64(fd), int64(t.mem), int64(n), int64(flags))
	if r > int64(n) {
		t.p.w.Failf("result", "%s: recv of %d bytes returns %d", t, n, r)
	}
	return t.mem.bytes(int(max(r, 0))), min(r, 0)
}

func (t *Thread) close(fd int)         { t.Call("sim_close", int64(fd)) }
func (t *Thread) shutdown(fd, how int) { t.Call("sim_shutdown", int64(fd), int64(how)) }
func (t *Thread) nap(d time.Duration)  { t.Call("sim_nap", int64(d)) }

// poll waits for events of one descriptor, ms = -1 without a limit.
func (t *Thread) poll(fd int, events int16, ms int) int16 {
	f := at[pollfd](t.mem)
	*f = pollfd{int32(fd), events, 0}
	if r := t.Call("sim_poll", int64(t.mem), 1, int64(ms)); r < 0 {
		t.p.w.Failf("result", "%s: poll returns %d", t, r)
	}
	return f.revents
}

func (t *Thread) epollCreate() int { return int(t.Call("sim_epoll_create")) }

func (t *Thread) epollCtl(ep, op, fd int, events uint32) {
	event(t.mem).put(events, uint64(fd))
	if r := t.Call("sim_epoll_ctl", int64(ep), int64(op), int64(fd), int64(t.mem)); r != 0 {
		t.p.w.Failf("result", "%s: epoll_ctl returns %d", t, r)
	}
}

// epollWait waits for one event without a limit; epollLook asks for one that is there, 0: none.
func (t *Thread) epollWait(ep int) uint32 { return t.epollOne(ep, -1) }
func (t *Thread) epollLook(ep int) uint32 { return t.epollOne(ep, 0) }

func (t *Thread) epollOne(ep, ms int) uint32 {
	for {
		switch r := t.Call("sim_epoll_wait", int64(ep), int64(t.mem), 1, int64(ms)); {
		case r == 1:
			events, _ := event(t.mem).get()
			return events
		case r == 0 && ms == 0:
			return 0
		case r != -int64(unix.EINTR):
			t.p.w.Failf("result", "%s: epoll_wait returns %d", t, r)
		}
	}
}

// start is what happens before main: libsd.so initialises itself. page: its bell page, nil before it is
// registered.
func (t *Thread) start(threads int, page *memory) {
	at := addr(0)
	if page != nil {
		at = page.at
	}
	t.Call("sim_start", int64(at), int64(t.p.w.cores))
	t.Call("sim_threads", int64(threads))
}

// main starts a process's first thread: body runs when libsd.so is ready and knows fd, which end of
// a connection it is, and that the process will have so many threads. In one run of three the scenario's
// only connection is introduced by then.
func (p *Process) main(fd, role, threads int, body func(t *Thread)) {
	w := p.w
	if w.monitor == nil && w.early == nil {
		if w.Choose(3, "early") == 0 {
			w.introduceAll()
		} else {
			w.startMonitor()
		}
	}
	if w.early != nil {
		p.attached(fd, role, threads, body)
		return
	}
	p.Go("main", func(t *Thread) {
		p.multi(1)
		t.start(threads, nil)
		t.Call("sim_track", int64(fd), int64(role))
		p.multi(threads)
		body(t)
	})
}

// introduced is what two processes have whose connection is introduced before they start, without a monitor.
type introduced struct {
	arena *memory
	pages [2]*memory
}

func (w *World) introduceAll() {
	w.early = &introduced{arena: w.newMemory(false)}
	for i, e := range w.ends {
		*at[uint64](w.early.arena.slot(0) + addr(8*i)) = e.cookie
		w.early.pages[i] = w.newMemory(true)
	}
}

// attached is main for such a process.
func (p *Process) attached(fd, role, threads int, body func(t *Thread)) {
	p.known(fd, role, threads, func(t *Thread, m *introduced) {
		t.Call("sim_attach", int64(fd), int64(role), int64(m.arena.at), int64(m.pages[1-role].at))
	}, body)
}

func (p *Process) attachedAlone(fd, role int, body func(t *Thread)) { p.attached(fd, role, 1, body) }

// attachedMeanwhile is the same, but a second thread attaches while body runs.
func (p *Process) attachedMeanwhile(fd, role int, body func(t *Thread)) {
	late := p.w.Choose(60, "late")
	p.known(fd, role, 2, func(t *Thread, m *introduced) {
		t.Call("sim_track", int64(fd), int64(role))
	}, func(t *Thread) {
		m := p.w.early
		p.Go("intro", func(t *Thread) {
			t.later(late)
			t.Call("sim_introduce", int64(fd), int64(role), int64(m.arena.at), int64(m.pages[1-role].at))
		})
		body(t)
	})
}

func (p *Process) known(fd, role, threads int, know func(t *Thread, m *introduced), body func(t *Thread)) {
	if p.w.early == nil {
		p.w.introduceAll()
	}
	m := p.w.early
	p.quiet = true
	p.Go("main", func(t *Thread) {
		p.multi(1)
		t.quiet = true
		t.start(threads, m.pages[role])
		know(t, m)
		t.quiet = false
		p.multi(threads)
		// What happened quietly is seen by others: nothing happens before all of it.
		p.quiet = false
		t.Block("introduced", func() bool {
			return !slices.ContainsFunc(p.w.procs, func(p *Process) bool { return p.quiet && !p.Killed })
		}, -1)
		body(t)
	})
}

// byteAt is byte i of stream s.
func byteAt(s int, i int) byte { return byte(i*7 + i>>8*31 + s*101) }

// stream is a check of one direction: bytes as sent, each once, in order.
type stream struct {
	w        *World
	id       int
	sent     int // accepted by send
	received int
	ended    bool // EOF was read
}

// pump sends n bytes in pieces of up to most.
func (s *stream) pump(t *Thread, fd, n, most, flags int) int64 {
	b := make([]byte, most)
	for s.sent < n {
		k := min(1+s.w.Choose(most, "size"), n-s.sent)
		for i := range k {
			b[i] = byteAt(s.id, s.sent+i)
		}
		r := t.send(fd, b[:k], flags)
		if r == -int64(unix.EAGAIN) {
			t.poll(fd, unix.POLLOUT, -1)
			continue
		}
		if r < 0 {
			return r
		}
		if r == 0 || r > int64(k) {
			s.w.Failf("result", "%s: send of %d bytes returns %d", t, k, r)
		}
		s.sent += int(r)
	}
	return 0
}

// check compares bytes that were read with what was to come.
func (s *stream) check(t *Thread, b []byte, consumed bool) {
	for i, c := range b {
		if want := byteAt(s.id, s.received+i); c != want {
			s.w.Failf("stream", "%s: byte %d of stream %d is %#x, not %#x", t, s.received+i, s.id, c, want)
		}
	}
	if consumed {
		s.received += len(b)
	}
}

// drain reads up to n bytes in pieces of up to most, in all ways there are; it returns 0 at EOF.
func (s *stream) drain(t *Thread, fd, n, most int) int64 {
	style := s.w.Choose(6, "read style")
	for s.received < n {
		k, flags := min(1+s.w.Choose(most, "size"), n-s.received), 0
		switch style {
		case 1:
			flags = unix.MSG_PEEK
		case 2:
			flags = unix.MSG_WAITALL
		case 3:
			flags = unix.MSG_DONTWAIT
		case 4:
			t.poll(fd, unix.POLLIN, -1)
		}
		b, err := t.recv(fd, k, flags)
		switch {
		case err == -int64(unix.EAGAIN) && style == 3:
			if t.poll(fd, unix.POLLIN, -1) == 0 {
				s.w.Failf("result", "%s: poll without a limit returned nothing", t)
			}
			continue
		case err < 0:
			return err
		case len(b) == 0:
			s.ended = true
			return 0
		}
		s.check(t, b, style != 1)
		if style == 1 {
			b, err = t.recv(fd, len(b), 0)
			if err < 0 || len(b) == 0 {
				s.w.Failf("stream", "%s: peeked bytes are gone: %d", t, err)
			}
			s.check(t, b, true)
		}
	}
	return 1
}
