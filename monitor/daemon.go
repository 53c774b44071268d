package monitor

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/socksdirect/libsd/internal/sockdiag"
	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// Daemon does what Core decides. One goroutine, that of Run, owns everything here; readers of
// sockets and waiters for deaths post functions to it. It sleeps without a timer while nothing
// happens and no slot is in doubt.
type Daemon struct {
	log      *slog.Logger
	listener *listener
	diag     *sockdiag.Conn
	ringer   *queue.Ringer
	netns    uint64
	uid      int

	posts chan func()
	done  chan struct{} // closed when Run returns
	timer *time.Timer

	core    *Core
	clients map[Reg]*client
	pages   map[uint32]*page
	ended   map[int]counters // of pages that are gone, by user
	arenas  map[uint32]*os.File
	lastReg Reg

	perProcess map[int]int // clients by pid
}

// New makes the registration socket at path and everything else that can fail. The error is a
// *RunningError if another monitor serves path.
func New(path string, log *slog.Logger) (*Daemon, error) {
	netns, err := wire.NetNS("self")
	if err != nil {
		return nil, err
	}
	diag, err := sockdiag.Open()
	if err != nil {
		return nil, fmt.Errorf("%w: does the kernel have CONFIG_INET_DIAG?", err)
	}
	ringer, err := queue.NewRinger()
	if err != nil {
		return nil, errors.Join(err, diag.Close())
	}
	l, err := listen(path)
	if err != nil {
		return nil, errors.Join(err, diag.Close(), ringer.Close())
	}
	timer := time.NewTimer(time.Hour)
	timer.Stop()
	return &Daemon{
		log: log, listener: l, diag: diag, ringer: ringer, netns: netns, uid: os.Geteuid(),
		posts: make(chan func(), 64), done: make(chan struct{}), timer: timer,
		core:    NewCore(os.Geteuid(), uint32(random()>>33), queue.ArenaSlots),
		clients: map[Reg]*client{}, pages: map[uint32]*page{}, ended: map[int]counters{}, arenas: map[uint32]*os.File{},
		perProcess: map[int]int{},
	}, nil
}

// Run serves until ctx is done, then removes the socket. Connections that processes have go on.
func (d *Daemon) Run(ctx context.Context) error {
	d.log.Info("serving", "socket", d.listener.Addr().String(), "netns", d.netns, "uid", d.uid, "pid", os.Getpid())
	go d.accept()
	defer d.shutdown()
	for {
		select {
		case f := <-d.posts:
			f()
		case <-d.timer.C:
			d.step(Tick{})
		case <-ctx.Done():
			d.log.Info("stopping", "processes", len(d.clients), "arenas", len(d.arenas))
			return nil
		}
	}
}

// post has f run by the goroutine of Run. It is false when that is over.
func (d *Daemon) post(f func()) bool {
	select {
	case d.posts <- f:
		return true
	case <-d.done:
		return false
	}
}

// accept takes connections until the listener closes.
func (d *Daemon) accept() {
	for {
		sock, err := d.listener.AcceptUnix()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			// Out of descriptors, most likely: others will be closed.
			d.log.Error("cannot accept processes: raise RLIMIT_NOFILE if this repeats", "err", err)
			select {
			case <-time.After(time.Second):
			case <-d.done:
				return
			}
			continue
		}
		go d.serve(wire.NewConn(sock))
	}
}

// step runs Core on an event, and on those that its actions lead to.
func (d *Daemon) step(e Event) {
	events := []Event{e}
	for len(events) > 0 {
		actions := d.core.Step(events[0])
		events = events[1:]
		for _, a := range actions {
			if next := d.act(a); next != nil {
				events = append(events, next)
			}
		}
	}
}

func (d *Daemon) shutdown() {
	close(d.done)
	if err := d.listener.Close(); err != nil {
		d.log.Warn("removing the socket", "err", err)
	}
	d.timer.Stop()
	for _, c := range d.clients {
		c.conn.Close()
		c.proc.pidfd.Close()
	}
	for _, p := range d.pages {
		p.close()
	}
	for _, f := range d.arenas {
		f.Close()
	}
	d.ringer.Close()
	d.diag.Close()
}

func random() uint64 {
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand
	return binary.LittleEndian.Uint64(b[:])
}
