package monitor

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/queue"
)

// page is the bell page of a family.
type page struct {
	file  *os.File
	bells *queue.Page
	uid   int // of the family's first process
}

// newPage makes a bell page. It fails when memory or descriptors are short.
func newPage(key uint64) (*page, error) {
	f, err := shm.CreateSealed("sdirect-bells", queue.BellPageSize)
	if err != nil {
		return nil, err
	}
	p, err := mapPage(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	h := p.header()
	h.Key = key
	shm.Store64(&h.ABI, queue.ABIHash)
	return p, nil
}

func mapPage(f *os.File) (*page, error) {
	mem, err := shm.Map(int(f.Fd()), queue.BellPageSize)
	if err != nil {
		return nil, err
	}
	bells, err := queue.NewPage(mem)
	return &page{file: f, bells: bells}, err
}

func (p *page) header() *queue.BellPage { return shm.At[queue.BellPage](p.bells.Memory(), 0) }

func (p *page) bell(i int) *queue.Bell {
	return shm.At[queue.Bell](p.bells.Memory(), queue.BellOff+i*(queue.BitsOff-queue.BellOff)/queue.Bells)
}

// reopen makes another open file description of a memfd: claims belong to descriptions.
func reopen(fd int) (*os.File, error) {
	return os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), os.O_RDWR, 0)
}

// adoptPage takes over a bell page that an earlier monitor made and a process shows, and closes fd. It
// fails if the page is not what key says, or could be shrunk under us.
func adoptPage(fd int, key uint64) (*page, error) {
	defer unix.Close(fd)
	if err := shm.CheckSealed(fd, queue.BellPageSize); err != nil {
		return nil, err
	}
	f, err := reopen(fd)
	if err != nil {
		return nil, err
	}
	p, err := mapPage(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	if abi, has := shm.Load64(&p.header().ABI), shm.Load64(&p.header().Key); abi != queue.ABIHash || has != key {
		p.close()
		return nil, fmt.Errorf("bell page has layout %#x and another key, or another layout than %#x", abi, queue.ABIHash)
	}
	return p, nil
}

// own makes it the page of a family.
func (p *page) own(proc uint32, uid int) {
	p.uid = uid
	shm.Store32(&p.header().Proc, proc)
}

// counters adds what the family has counted to sum.
func (p *page) counters(sum counters) counters {
	for i := range sum {
		sum[i] += shm.Load64(&p.header().Count[i])
	}
	return sum
}

// mail tells the family that a message lies in one of its registration sockets.
func (p *page) mail() { shm.Add32(&p.header().Mail, 1) }

func (p *page) close() error {
	return errors.Join(shm.Unmap(p.bells.Memory()), p.file.Close())
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
