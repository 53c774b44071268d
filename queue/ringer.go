package queue

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// BellAddress is the abstract Unix datagram address of the bell with this nonce, in the form
// which package net takes ("@" for the leading zero byte).
func BellAddress(nonce uint64) string { return fmt.Sprintf("@sdbell-%016x", nonce) }

// NewNonce draws a nonce for a bell: an address that others cannot have taken in advance.
func NewNonce() uint64 {
	var b [8]byte
	rand.Read(b[:])
	return binary.LittleEndian.Uint64(b[:])
}

// Ringer rings bells of other processes, from one socket of its own for all of them.
type Ringer struct{ fd int }

// NewRinger opens the socket.
func NewRinger() (*Ringer, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	return &Ringer{fd}, nil
}

// Ring wakes the owner of a bell. It never blocks and reports nothing: a full queue means that
// the owner has wake-ups to read, and a refusal that it is gone, which its anchors tell.
func (r *Ringer) Ring(nonce uint64) {
	unix.Sendto(r.fd, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, &unix.SockaddrUnix{Name: BellAddress(nonce)})
}

// Close closes the socket.
func (r *Ringer) Close() error { return unix.Close(r.fd) }
