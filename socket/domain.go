package socket

import (
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// registerEvery bounds how often a process without a monitor looks for one.
const registerEvery = time.Second

// domain is a registration with one monitor: its bell page, its one bell, and the connections
// which may be promoted through it. When the monitor dies its promoted connections live on in it,
// and new connections get a new domain.
type domain struct {
	client  *wire.Client // nil in tests that introduce by hand
	page    *queue.Page
	bell    *queue.OwnBell
	sock    bellSocket // bound to the bell's address
	ringer  bellRinger
	anchors anchorSet
	pageFD  int // claims are locked on it; wire.NoFD where client is nil

	mu      shm.Mutex // guards what follows
	conns   map[uint64]*Conn
	arenas  map[uint32]sharedArena
	members []member // by member of the bell
	free    []uint32
}

// member is a waiter of one of the links; the zero value is free.
type member struct {
	wake chan struct{}
	link *link
}

// sharedArena is what one pair of processes shares: the arena and the other one's bell page.
// It stays mapped: the monitor sends the descriptors once.
type sharedArena struct {
	arena *queue.Arena
	peer  *queue.Page
}

var current struct {
	sync.Mutex
	*domain
	tried time.Time
}

// currentDomain is the registration for new connections, or nil while there is no monitor.
func currentDomain() *domain {
	current.Lock()
	defer current.Unlock()
	if current.domain != nil || time.Since(current.tried) < registerEvery {
		return current.domain
	}
	current.tried = time.Now()
	d, err := register()
	if err != nil {
		return nil // no monitor is no error: the connection stays on TCP
	}
	current.domain = d
	go d.receive()
	return d
}

// register says Hello and sets up the bell.
func register() (*domain, error) {
	client, err := wire.Dial("")
	if err != nil {
		return nil, err
	}
	welcome, err := client.Hello(0)
	if err == nil && welcome.Bell == wire.NoFD {
		err = fmt.Errorf("socket: the monitor sent no bell page")
	}
	var d *domain
	if err == nil {
		d, err = newDomainOf(welcome.Bell)
	}
	if err != nil {
		client.Close()
		return nil, err
	}
	d.client = client
	return d, nil
}

// newDomainOf sets up a domain with the bell page that came with Welcome, and keeps its descriptor.
func newDomainOf(bell int) (*domain, error) {
	kept, err := unix.FcntlInt(uintptr(bell), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		unix.Close(bell)
		return nil, os.NewSyscallError("fcntl", err)
	}
	page, err := mapPage(bell)
	var d *domain
	if err == nil {
		d, err = newDomain(page)
	}
	if err != nil {
		unix.Close(kept)
		return nil, err
	}
	d.pageFD = kept
	return d, nil
}

// newDomain takes a bell of page and starts to listen to it.
func newDomain(page *queue.Page) (*domain, error) {
	nonce := queue.NewNonce()
	sock, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: queue.BellAddress(nonce), Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	ringer, err := queue.NewRinger()
	if err != nil {
		sock.Close()
		return nil, err
	}
	anchors, err := newAnchorSet()
	if err != nil {
		sock.Close()
		ringer.Close()
		return nil, err
	}
	bell, err := page.Claim(uint32(os.Getpid()), nonce)
	if err != nil {
		sock.Close()
		ringer.Close()
		anchors.close()
		return nil, err
	}
	d := &domain{
		page: page, pageFD: wire.NoFD, bell: bell, sock: sock, ringer: ringer, anchors: anchors,
		conns: make(map[uint64]*Conn), arenas: make(map[uint32]sharedArena),
	}
	go d.dispatch()
	go d.anchors.watch(d.stir)
	return d, nil
}

// mapPage maps a bell page and closes its descriptor.
func mapPage(fd int) (*queue.Page, error) {
	mem, err := mapSealed(fd, queue.BellPageSize)
	if err != nil {
		return nil, err
	}
	p, err := queue.NewPage(mem)
	if err == nil && p.ABI() != queue.ABIHash {
		err = fmt.Errorf("socket: bell page of layout %#x, want %#x", p.ABI(), queue.ABIHash)
	}
	return p, err
}

// mapArena maps an arena and closes its descriptor.
func mapArena(fd int) (*queue.Arena, error) {
	mem, err := mapSealed(fd, queue.ArenaSize)
	if err != nil {
		return nil, err
	}
	a, err := queue.NewArena(mem)
	if err == nil && a.ABI() != queue.ABIHash {
		err = fmt.Errorf("socket: arena of layout %#x, want %#x", a.ABI(), queue.ABIHash)
	}
	return a, err
}

func mapSealed(fd, size int) ([]byte, error) {
	defer unix.Close(fd)
	if err := shm.CheckSealed(fd, int64(size)); err != nil {
		return nil, err
	}
	return shm.Map(fd, size)
}

// dispatch turns rings of the bell into wake-ups of goroutines. It is asleep in the netpoller
// while nothing rings.
func (d *domain) dispatch() {
	var buf [1]byte
	for {
		d.bell.Park()
		if !d.bell.Pending() {
			d.page.Count(queue.CountPark, 1)
			if _, _, err := d.sock.ReadFromUnix(buf[:]); err != nil {
				return
			}
		}
		d.bell.Unpark()
		d.mu.Lock()
		d.bell.Harvest(func(number uint32) {
			if int(number) < len(d.members) && d.members[number].wake != nil {
				wake(d.members[number].wake)
			}
		})
		d.mu.Unlock()
	}
}

// wake leaves a token in a channel of capacity 1; one is enough for any number of wake-ups.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// join takes a member of the bell whose rings wake m. Its bit starts set: nobody rings yet.
func (d *domain) join(m member) (number uint32, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.free); n > 0 {
		number, d.free = d.free[n-1], d.free[:n-1]
		d.members[number] = m
	} else if len(d.members) < queue.MembersPerBell {
		number = uint32(len(d.members))
		d.members = append(d.members, m)
	} else {
		return 0, false
	}
	d.bell.Set(number)
	return number, true
}

// leave gives a member back. No watch line names it any more.
func (d *domain) leave(number uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.members[number] = member{}
	d.free = append(d.free, number)
}
