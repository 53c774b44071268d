//go:build !sim

package shm

import (
	"sync"

	"golang.org/x/sys/unix"
)

// membarrier(2), linux/membarrier.h.
const (
	membarrierPrivateExpedited         = 1 << 3
	membarrierRegisterPrivateExpedited = 1 << 4
)

var registerMembarrier = sync.OnceValue(func() error {
	_, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierRegisterPrivateExpedited, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
})

// RegisterBarrier prepares Barrier for this process. An error (old kernel, seccomp) means that
// nothing may depend on Barrier. The registration is inherited by fork and cleared by exec.
func RegisterBarrier() error { return registerMembarrier() }

// Barrier drains the store buffers of all running threads of this process (about 3 µs). There is
// no such thing between processes: membarrier's GLOBAL_EXPEDITED was seen to fail silently.
func Barrier() error {
	if err := registerMembarrier(); err != nil {
		return err
	}
	if _, _, errno := unix.Syscall(unix.SYS_MEMBARRIER, membarrierPrivateExpedited, 0, 0); errno != 0 {
		return errno
	}
	return nil
}
