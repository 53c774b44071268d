package socket

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// filtered tells whether a filter is attached to the socket. SO_GET_FILTER has a length in
// instructions: 0 asks for their number and copies none. EACCES is a filter that is no classic BPF.
func filtered(fd int) bool {
	var instructions uint32
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_SOCKET, unix.SO_GET_FILTER,
		0, uintptr(unsafe.Pointer(&instructions)), 0)
	return errno == unix.EACCES || errno == 0 && instructions > 0
}
