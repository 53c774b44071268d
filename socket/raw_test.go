package socket

import (
	"errors"
	"io"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
)

// TestRawRead reads through SyscallConn: a look that consumes nothing, as connection pools do, parts,
// waiting, and the end.
func TestRawRead(t *testing.T) {
	onAll(t, func(t *testing.T, a, b tcp) {
		raw, err := a.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		// look is one call that may not wait.
		look := func(n, flags int) (string, error) {
			p := make([]byte, n)
			var callErr error
			if err := raw.Read(func(fd uintptr) bool {
				n, _, callErr = unix.Recvfrom(int(fd), p, flags|unix.MSG_DONTWAIT)
				return true
			}); err != nil {
				return "", err
			}
			return string(p[:max(n, 0)]), callErr
		}
		if got, err := look(1, unix.MSG_PEEK); err != syscall.EAGAIN {
			t.Errorf("idle: %q, %v", got, err)
		}
		b.Write([]byte("abcdef"))
		until(t, func() bool { got, _ := look(6, unix.MSG_PEEK); return got == "abcdef" })
		if got, err := look(2, 0); got != "ab" || err != nil {
			t.Errorf("part: %q, %v", got, err)
		}
		p := make([]byte, 3)
		if _, err := io.ReadFull(a, p); string(p) != "cde" || err != nil {
			t.Errorf("between: %q, %v", p, err)
		}
		if got, err := look(9, 0); got != "f" || err != nil {
			t.Errorf("rest: %q, %v", got, err)
		}

		got := ""
		go func() {
			time.Sleep(time.Millisecond) // most often the reader waits by then; either way it must get them
			b.Write([]byte("later"))
			b.(interface{ CloseWrite() error }).CloseWrite()
		}()
		if err := raw.Read(func(fd uintptr) bool {
			for { // until it would wait: the kernel reports an arrival once
				n, err := unix.Read(int(fd), p)
				got += string(p[:max(n, 0)])
				if n <= 0 {
					return err == nil
				}
			}
		}); err != nil || got != "later" {
			t.Errorf("waiting: %q, %v", got, err)
		}

		a.SetReadDeadline(time.Unix(1, 0))
		if err := raw.Read(func(uintptr) bool { return false }); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
	})
}

// until waits for what another goroutine, or the kernel, does soon.
func until(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it never happened")
		}
	}
}

func TestRawWrite(t *testing.T) {
	onAll(t, func(t *testing.T, a, b tcp) {
		raw, err := a.SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		const total = 3 << 20
		received := make(chan error)
		go func() { received <- receive(b, 9, total, true) }()
		src, p := io.LimitReader(newSeeded(9), total), make([]byte, 100_000)
		var left []byte
		calls := 0
		if err := raw.Write(func(fd uintptr) bool {
			for calls++; ; {
				if len(left) == 0 {
					n, _ := io.ReadFull(src, p)
					left = p[:n]
				}
				if len(left) == 0 {
					return true
				}
				n, err := unix.Write(int(fd), left)
				if err != nil {
					return false
				}
				left = left[n:]
			}
		}); err != nil {
			t.Error(err)
		}
		a.CloseWrite()
		if err := <-received; err != nil {
			t.Error(err)
		}
		var callErr error // a ring says it afterwards
		err = raw.Write(func(fd uintptr) bool {
			_, callErr = unix.Write(int(fd), []byte{1})
			return true
		})
		if !errors.Is(errors.Join(err, callErr), syscall.EPIPE) {
			t.Errorf("after CloseWrite: %v, %v", err, callErr)
		}
		t.Logf("%d calls", calls)
	})
}

// TestFile: a connection whose descriptor was handed out stays on the kernel; a promoted one's is not.
func TestFile(t *testing.T) {
	d := newByHand(t)
	a, b := d.promotedPair(t)
	defer a.Close()
	defer b.Close()
	if f, err := a.File(); !errors.Is(err, syscall.EOPNOTSUPP) {
		t.Errorf("promoted: %v, %v", f, err)
	}
	if n := d.count(queue.CountUnhooked); n != 1 {
		t.Errorf("counted %d times", n)
	}

	c, e := kernelPair(t)
	defer c.Close()
	defer e.Close()
	c.dom, e.dom = d.domain, d.domain
	f, err := c.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.Write([]byte("by the file"))
	p := make([]byte, 11)
	if _, err := io.ReadFull(e, p); string(p) != "by the file" {
		t.Errorf("%q, %v", p, err)
	}
	if c.promote(d.shared, place{slot: 100}) {
		t.Error("promoted with its descriptor handed out")
	}
	if n := d.count(queue.CountPassed); n != 1 {
		t.Errorf("counted %d times", n)
	}
}

// options that a ring does not honour, set through SyscallConn.
var options = map[string]func(fd int) error{
	"SO_RCVLOWAT":  func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, 100) },
	"SO_TIMESTAMP": func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMP, 1) },
	"SO_ZEROCOPY":  func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1) },
	"SO_OOBINLINE": func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_OOBINLINE, 1) },
	"SO_MAX_PACING_RATE": func(fd int) error {
		return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, 1<<20)
	},
	"TCP_INQ": func(fd int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_INQ, 1) },
	"TCP_ULP": func(fd int) error { return unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_ULP, "tls") },
	"O_ASYNC": func(fd int) error {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_SETFL, unix.O_ASYNC|unix.O_NONBLOCK)
		return err
	},
	"SO_ATTACH_FILTER": func(fd int) error { // accept everything
		all := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0xffffffff}}
		return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(all)), Filter: &all[0]})
	},
}

func TestOptionsThatARingDoesNotHonour(t *testing.T) {
	for name, set := range options {
		t.Run(name, func(t *testing.T) {
			d := newByHand(t)
			control := func(c *Conn) {
				raw, _ := c.SyscallConn()
				var err error
				raw.Control(func(fd uintptr) { err = set(int(fd)) })
				if errors.Is(err, syscall.ENOENT) && name == "TCP_ULP" {
					t.Skip("no kernel TLS here")
				}
				if err != nil {
					t.Fatal(err)
				}
			}
			a, b := kernelPair(t)
			defer a.Close()
			defer b.Close()
			a.dom, b.dom = d.domain, d.domain
			if !a.tcp.honoured() {
				t.Fatal("a fresh connection is not honoured")
			}
			control(a)
			if a.promote(d.shared, place{slot: 100}) || d.count(queue.CountOption) != 1 {
				t.Errorf("set before: promoted %v, counted %d times", a.Promoted(), d.count(queue.CountOption))
			}
			c, e := d.promotedPair(t)
			defer c.Close()
			defer e.Close()
			control(c)
			if n := d.count(queue.CountUnhooked); n != 1 {
				t.Errorf("set after: counted %d times", n)
			}
		})
	}
}

// TestForeignWrite: bytes on the anchor that the ring does not know of reset the connection, counted,
// whether the reader waits already or comes later.
func TestForeignWrite(t *testing.T) {
	for name, before := range map[string]bool{"a waiting reader": false, "a later reader": true} {
		t.Run(name, func(t *testing.T) {
			d := newByHand(t)
			a, b := d.promotedPair(t)
			defer a.Close()
			defer b.Close()
			exchange(t, a, b)
			failed := make(chan error, 1)
			read := func() {
				n, err := b.Read(make([]byte, 100))
				if n > 0 {
					n, err = b.Read(make([]byte, 100))
				}
				if n > 0 {
					t.Errorf("%d bytes after the ring's", n)
				}
				failed <- err
			}
			if !before {
				go read()
			}
			a.Write([]byte("in the ring"))
			a.tcp.Write([]byte("beside it"))
			if before {
				go read()
			}
			if err := <-failed; !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("%v", err)
			}
			if n := d.count(queue.CountForeignWrite); n != 1 {
				t.Errorf("counted %d times", n)
			}
			if _, err := io.Copy(io.Discard, a); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the writer: %v", err)
			}
		})
	}
}

// TestPeerShutBothWays: a peer that has shut down both directions and left bytes unread has not closed,
// so there is no reset until somebody writes to it.
func TestPeerShutBothWays(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *Conn) {
		a.Write([]byte("unread"))
		b.CloseRead()
		b.CloseWrite()
		if n, err := a.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("%d, %v", n, err)
		}
		until(t, func() bool { _, err := a.Write([]byte{1}); return err != nil })
	})
}
