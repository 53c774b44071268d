package wire

import (
	"errors"
	"fmt"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
)

// MaxFDs is how many descriptors one packet carries at most.
const MaxFDs = 2

// Conn is one end of a registration socket. Sends may run beside receives.
type Conn struct {
	sock *net.UnixConn
}

// NewConn takes over sock, which must be of the network "unixpacket".
func NewConn(sock *net.UnixConn) *Conn { return &Conn{sock: sock} }

// Close ends the registration: the monitor takes it for the death of the process.
func (c *Conn) Close() error { return c.sock.Close() }

// SetReadDeadline bounds Recv; the zero time means no bound.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.sock.SetReadDeadline(t) }

// SyscallConn gives access to socket options.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return c.sock.SyscallConn() }

// Send sends m with fds and waits while the socket is full. The descriptors stay the caller's.
func (c *Conn) Send(m *queue.Msg, fds ...int) error {
	_, _, err := c.sock.WriteMsgUnix(Encode(m), rights(fds), nil)
	return err
}

// TrySend is Send without waiting: unix.EAGAIN says that the receiver does not read.
func (c *Conn) TrySend(m *queue.Msg, fds ...int) error {
	raw, err := c.sock.SyscallConn()
	if err != nil {
		return err
	}
	var sendErr error
	err = raw.Write(func(fd uintptr) bool {
		sendErr = unix.Sendmsg(int(fd), Encode(m), rights(fds), nil, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL)
		return true
	})
	return errors.Join(err, sendErr)
}

// Recv waits for one message. The descriptors are the caller's and close-on-exec. io.EOF means
// that the other side is gone.
func (c *Conn) Recv() (queue.Msg, []int, error) {
	// One byte more than a message, so that a longer packet shows.
	b, fds, err := c.recv(MsgSize + 1)
	if err != nil {
		return queue.Msg{}, nil, err
	}
	m, err := Decode(b)
	if err != nil {
		CloseAll(fds)
		return m, nil, err
	}
	return m, fds, nil
}

func (c *Conn) recv(size int) ([]byte, []int, error) {
	b := make([]byte, size)
	oob := make([]byte, unix.CmsgSpace(MaxFDs*4))
	n, oobn, flags, _, err := c.sock.ReadMsgUnix(b, oob)
	if err != nil {
		return nil, nil, err
	}
	fds, err := parseRights(oob[:oobn])
	if err == nil && flags&(unix.MSG_TRUNC|unix.MSG_CTRUNC) != 0 {
		err = errors.New("wire: packet was cut: too long, or no descriptor number is free (raise RLIMIT_NOFILE)")
	}
	if err != nil {
		CloseAll(fds)
		return nil, nil, err
	}
	return b[:n], fds, nil
}

// CloseAll closes descriptors that came with a message and are not wanted.
func CloseAll(fds []int) {
	for _, fd := range fds {
		unix.Close(fd)
	}
}

func rights(fds []int) []byte {
	if len(fds) == 0 {
		return nil
	}
	return unix.UnixRights(fds...)
}

func parseRights(oob []byte) ([]int, error) {
	if len(oob) == 0 {
		return nil, nil
	}
	cmsgs, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, os.NewSyscallError("recvmsg", err)
	}
	var all []int
	for i := range cmsgs {
		fds, err := unix.ParseUnixRights(&cmsgs[i])
		if err != nil {
			return all, fmt.Errorf("wire: control message that carries no descriptors: %w", err)
		}
		all = append(all, fds...)
	}
	return all, nil
}
