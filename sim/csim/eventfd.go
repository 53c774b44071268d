//go:build sim && cgo

package csim

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// eventfd is a counter that a process reads to nothing (eventfd(2), without EFD_SEMAPHORE).
type eventfd struct {
	holders
	w *World
	n uint64
}

func (e *eventfd) poll() uint16 {
	if e.n > 0 {
		return unix.POLLIN
	}
	return 0
}

func (*eventfd) close() {}

func (e *eventfd) call(n int, a [6]int64) int64 {
	word := at[uint64](addr(a[1]))
	switch n {
	case unix.SYS_WRITE:
		e.n += *word
		e.w.happened(e)
		return 8
	case unix.SYS_READ:
		if e.n == 0 {
			return errno(unix.EAGAIN)
		}
		*word, e.n = e.n, 0
		return 8
	}
	panic(fmt.Sprint("system call ", n, " on an eventfd"))
}
