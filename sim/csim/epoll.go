//go:build sim && cgo

package csim

import (
	"fmt"
	"slices"
	"time"

	"golang.org/x/sys/unix"
)

// epollSet is an epoll set of the kernel. An item is queued when something happens to its file; it
// leaves the queue when it is found idle, or reported by an edge.
type epollSet struct {
	holders
	w     *World
	items []*epollItem
}

type epollItem struct {
	fd     int
	f      file
	events uint32
	data   uint64
	queued bool
}

// eventSize is the size of struct epoll_event: events, then data, packed.
const eventSize = 12

func (i *epollItem) mask() uint32 {
	if i.events == 0 { // EPOLLONESHOT has fired
		return 0
	}
	return uint32(i.f.poll()) & (i.events | always)
}

func (s *epollSet) poll() uint16 {
	for _, i := range s.items {
		if i.queued && i.mask() != 0 {
			return unix.POLLIN
		}
	}
	return 0
}

func (s *epollSet) close() {
	s.w.sets = slices.DeleteFunc(s.w.sets, func(x *epollSet) bool { return x == s })
}

// happened tells the sets that hold f.
func (w *World) happened(f file) {
	for _, s := range w.sets {
		for _, i := range s.items {
			if i.f == f && i.events != 0 {
				i.queued = true
				w.happened(s)
			}
		}
	}
	w.Changed()
}

// forget takes a file that is closed out of all sets.
func (w *World) forget(f file) {
	for _, s := range w.sets {
		s.items = slices.DeleteFunc(s.items, func(i *epollItem) bool { return i.f == f })
	}
}

func (p *Process) epollCtl(s *epollSet, op, fd int, ev addr) int64 {
	f := p.fds[fd]
	if f == nil {
		return errno(unix.EBADF)
	}
	at := slices.IndexFunc(s.items, func(i *epollItem) bool { return i.fd == fd && i.f == f })
	switch {
	case op == unix.EPOLL_CTL_ADD && at >= 0:
		return errno(unix.EEXIST)
	case op == unix.EPOLL_CTL_ADD:
		s.items = append(s.items, &epollItem{fd: fd, f: f})
		at = len(s.items) - 1
	case at < 0:
		return errno(unix.ENOENT)
	case op == unix.EPOLL_CTL_DEL:
		s.items = slices.Delete(s.items, at, at+1)
		return 0
	}
	i := s.items[at]
	i.events, i.data = event(ev).get()
	if i.mask() != 0 {
		p.w.happened(f)
	}
	return 0
}

// waitOn reports at most n events.
func (t *Thread) waitOn(s *epollSet, to addr, n int, timeout time.Duration) int64 {
	if timeout != 0 && !t.Block("epoll_wait", func() bool { return s.poll() != 0 }, timeout) && timeout < 0 {
		return errno(unix.EINTR)
	}
	if timeout == 0 {
		t.Syscall("epoll_wait")
	}
	got := 0
	for _, i := range s.items {
		if got == n {
			break
		}
		if !i.queued {
			continue
		}
		m := i.mask()
		if m == 0 {
			i.queued = false
			continue
		}
		event(to+addr(got*eventSize)).put(m, i.data)
		got++
		if i.events&unix.EPOLLET != 0 {
			i.queued = false
		}
		if i.events&unix.EPOLLONESHOT != 0 {
			i.events = 0
		}
	}
	return int64(got)
}

func (t *Thread) onEpoll(s *epollSet, n int, a [6]int64) int64 {
	switch n {
	case unix.SYS_EPOLL_CTL:
		return t.p.epollCtl(s, int(a[1]), int(a[2]), addr(a[3]))
	case unix.SYS_EPOLL_PWAIT2:
		timeout := time.Duration(-1)
		if a[3] != 0 {
			timeout = timespec(addr(a[3]))
		}
		return t.waitOn(s, addr(a[1]), int(a[2]), timeout)
	case unix.SYS_EPOLL_PWAIT:
		return t.waitOn(s, addr(a[1]), int(a[2]), time.Duration(a[3])*time.Millisecond)
	}
	panic(fmt.Sprint("system call ", n, " on an epoll set"))
}
