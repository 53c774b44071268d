package shm

import (
	"fmt"
	"unsafe"
)

// At views the bytes of mem from offset off (bytes) as a T. T must hold no pointers. It panics
// when T does not fit or is not aligned: offsets come from the layout, never from a peer.
func At[T any](mem []byte, off int) *T {
	var t T
	size, align := int(unsafe.Sizeof(t)), uintptr(unsafe.Alignof(t))
	if off < 0 || off > len(mem)-size {
		panic(fmt.Sprintf("shm: %d bytes at %d do not fit in %d", size, off, len(mem)))
	}
	p := unsafe.Pointer(&mem[off])
	if uintptr(p)%align != 0 {
		panic(fmt.Sprintf("shm: offset %d is not aligned to %d", off, align))
	}
	return (*T)(p)
}

// Bytes views *v as its bytes. T must hold no pointers.
func Bytes[T any](v *T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v))
}
