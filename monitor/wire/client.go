package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
)

// NoFD stands for a descriptor that a message did not carry.
const NoFD = -1

// ErrForeign says that the socket belongs to a monitor of another ordinary user, which could hand
// out memory that it reads along.
var ErrForeign = errors.New("monitor belongs to another user: only root's or your own is trusted")

// RefusedError says that the monitor answered Hello with a status other than queue.StatusOK.
type RefusedError struct {
	Status uint32 // one of queue.Status…
}

func (e *RefusedError) Error() string {
	return "monitor refused the registration: " + StatusText(e.Status)
}

// Client is a process's side of a registration. Methods may be called from several goroutines,
// Recv from one.
type Client struct {
	*Conn
}

// Welcome is the monitor's answer to Hello.
type Welcome struct {
	Proc uint32 // number of the process
	Bell int    // bell memfd, the caller's to map and close; NoFD if the inherited page is to be used
}

// Event is a message from the monitor after Welcome: MsgIntro or MsgRefuse.
type Event struct {
	queue.Msg
	Arena    int // arena memfd with the first Intro for this arena, the caller's to close; else NoFD
	PeerBell int // bell memfd of the peer, likewise
}

// Dial connects to the monitor at path; "" means SocketPath. It fails with ErrForeign if the
// monitor runs neither as root nor as this user, and with ECONNREFUSED or ENOENT if there is none.
func Dial(path string) (*Client, error) {
	if path == "" {
		var err error
		if path, err = SocketPath(); err != nil {
			return nil, err
		}
	}
	sock, err := net.DialUnix("unixpacket", nil, &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	c := &Client{Conn: NewConn(sock)}
	cred, err := c.PeerCred()
	if err == nil && cred.Uid != 0 && int(cred.Uid) != os.Geteuid() {
		err = fmt.Errorf("%s: %w (it is uid %d's)", path, ErrForeign, cred.Uid)
	}
	if err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// PeerCred is who called connect or listen at the other side, from the kernel.
func (c *Conn) PeerCred() (*unix.Ucred, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return nil, err
	}
	var cred *unix.Ucred
	var optErr error
	err = raw.Control(func(fd uintptr) {
		cred, optErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	})
	return cred, errors.Join(err, os.NewSyscallError("getsockopt SO_PEERCRED", optErr))
}

// Hello registers this process. key is 0, or the Key of the bell page inherited from the parent.
// The error is a *RefusedError if the monitor does not want this process.
func (c *Client) Hello(key uint64) (Welcome, error) {
	hello := &queue.Msg{Type: queue.MsgHello, ABI: queue.ABIHash, Key: key, Name: Name(comm())}
	if err := c.Send(hello); err != nil {
		return Welcome{}, err
	}
	m, fds, err := c.Conn.Recv()
	if err != nil {
		return Welcome{}, err
	}
	if m.Type != queue.MsgWelcome || m.Status != queue.StatusOK {
		CloseAll(fds)
		if m.Type == queue.MsgWelcome {
			return Welcome{}, &RefusedError{Status: m.Status}
		}
		return Welcome{}, fmt.Errorf("monitor answered Hello with message type %d", m.Type)
	}
	w := Welcome{Proc: m.Proc, Bell: NoFD}
	if len(fds) > 0 {
		w.Bell = fds[0]
		CloseAll(fds[1:])
	}
	return w, nil
}

// Offer tells the monitor of an established connection: its descriptor number, its SO_COOKIE, its
// role (queue.RoleConnect or RoleAccept) and its addresses. The answer comes through Recv, as late
// as the peer's own offer.
func (c *Client) Offer(fd int, cookie uint64, role uint32, p Pair) error {
	m := &queue.Msg{Type: queue.MsgOffer, FD: uint32(fd), Cookie: cookie, Role: role}
	SetPair(m, p)
	return c.Send(m)
}

// Gone tells the monitor that the process closed its last descriptor of a connection;
// arena 0: it was offered, and not introduced as far as the process knows.
func (c *Client) Gone(cookie uint64, arena, slot uint32) error {
	return c.Send(&queue.Msg{Type: queue.MsgGone, Cookie: cookie, Arena: arena, Slot: slot})
}

// Note tells the monitor why a connection stays on the kernel (a queue.Status…), for sdirect stat.
func (c *Client) Note(cookie uint64, status uint32, p Pair) error {
	m := &queue.Msg{Type: queue.MsgNote, Cookie: cookie, Status: status}
	SetPair(m, p)
	return c.Send(m)
}

// Recv waits for the next message of the monitor. io.EOF means that the monitor is gone:
// connections with a slot go on, a new registration is needed for others.
func (c *Client) Recv() (Event, error) {
	m, fds, err := c.Conn.Recv()
	if err != nil {
		return Event{}, err
	}
	e := Event{Msg: m, Arena: NoFD, PeerBell: NoFD}
	switch {
	case m.Type == queue.MsgIntro && len(fds) == 2:
		e.Arena, e.PeerBell = fds[0], fds[1]
	case len(fds) != 0:
		CloseAll(fds)
		return Event{}, fmt.Errorf("monitor sent message type %d with %d descriptors", m.Type, len(fds))
	}
	return e, nil
}

// comm is the name of this process as ps shows it.
func comm() string {
	b, err := os.ReadFile("/proc/self/comm")
	if err != nil {
		return filepath.Base(os.Args[0])
	}
	return strings.TrimSuffix(string(b), "\n")
}
