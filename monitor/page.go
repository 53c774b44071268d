package monitor

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/queue"
)

// page is the bell page of a family. The monitor keeps it mapped up to the bells' end; the bits
// are none of its business.
type page struct {
	file *os.File
	mem  []byte
}

// newPage makes a bell page. It fails when memory or descriptors are short.
func newPage(proc uint32, key uint64) (*page, error) {
	f, err := shm.CreateSealed("sdirect-bells", queue.BellPageSize)
	if err != nil {
		return nil, err
	}
	mem, err := shm.Map(int(f.Fd()), queue.BitsOff)
	if err != nil {
		f.Close()
		return nil, err
	}
	p := &page{file: f, mem: mem}
	h := p.header()
	h.Key, h.Proc = key, proc
	shm.Store64(&h.ABI, queue.ABIHash)
	return p, nil
}

func (p *page) header() *queue.BellPage { return shm.At[queue.BellPage](p.mem, 0) }

func (p *page) bell(i int) *queue.Bell {
	return shm.At[queue.Bell](p.mem, queue.BellOff+i*(queue.BitsOff-queue.BellOff)/queue.Bells)
}

// mail tells the family that a message lies in one of its registration sockets.
func (p *page) mail() { shm.Add32(&p.header().Mail, 1) }

func (p *page) close() error {
	return errors.Join(shm.Unmap(p.mem), p.file.Close())
}

// bury frees the bells whose owners are dead.
func (p *page) bury(dead func(pid uint32) bool) {
	for i := range queue.Bells {
		b := p.bell(i)
		owner := shm.Load32(&b.Owner)
		if owner == 0 || !dead(owner) {
			continue
		}
		shm.Store32(&b.Parked, 0)
		shm.CAS32(&b.Owner, owner, 0)
	}
}

// sleepers is the nonces of the bells that somebody sleeps on.
func (p *page) sleepers() []uint64 {
	var nonces []uint64
	for i := range queue.Bells {
		b := p.bell(i)
		if shm.Load32(&b.Owner) != 0 && shm.Load32(&b.Parked) != 0 {
			nonces = append(nonces, shm.Load64(&b.Nonce))
		}
	}
	return nonces
}

// ringer wakes sleepers.
type ringer struct{ fd int }

func newRinger() (ringer, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	return ringer{fd: fd}, os.NewSyscallError("socket", err)
}

func (r ringer) close() error { return unix.Close(r.fd) }

// ring sends an empty datagram to a bell. An error is of no interest: the bell is gone, or has a
// datagram already.
func (r ringer) ring(nonce uint64) {
	addr := &unix.SockaddrUnix{Name: fmt.Sprintf("@sdbell-%016x", nonce)}
	_ = unix.Sendto(r.fd, nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, addr)
}
