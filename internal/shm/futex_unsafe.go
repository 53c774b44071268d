//go:build !sim

package shm

import (
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	futexWait = 0
	futexWake = 1
)

// FutexWait sleeps while *p is v, at most for timeout. It may return early for any reason: the
// caller looks again. It holds an operating system thread. futex(2), FUTEX_WAIT, not private.
func FutexWait(p *uint32, v uint32, timeout time.Duration) {
	ts := unix.NsecToTimespec(int64(timeout))
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(p)), futexWait, uintptr(v), uintptr(unsafe.Pointer(&ts)), 0, 0)
}

// FutexWake wakes at most n sleepers on p, in any process. futex(2), FUTEX_WAKE, not private.
func FutexWake(p *uint32, n int) {
	unix.Syscall6(unix.SYS_FUTEX, uintptr(unsafe.Pointer(p)), futexWake, uintptr(n), 0, 0, 0)
}
