package socket

import (
	"bytes"
	"errors"
	"io"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/queue"
)

// endings are the ways in which an anchor ends; the kernel counts FIN as a byte received after
// some of them only.
var endings = map[string]func(from, to *Conn){
	"open":     func(from, to *Conn) {},
	"FIN":      func(from, to *Conn) { from.tcp.CloseWrite() },
	"both FIN": func(from, to *Conn) { from.tcp.CloseWrite(); to.tcp.CloseWrite() },
	"our FIN":  func(from, to *Conn) { to.tcp.CloseWrite(); from.tcp.CloseWrite() },
	"close":    func(from, to *Conn) { from.tcp.Close() },
	"RST":      func(from, to *Conn) { from.tcp.SetLinger(0); from.tcp.Close() },
	"RST told": func(from, to *Conn) { from.tcp.SetLinger(0); from.tcp.Close(); to.Write(make([]byte, 1)) },
}

// TestLeftOnTheAnchor: of what was sent before the ring, with or without more behind the ring, the last byte of which
// may be urgent.
func TestLeftOnTheAnchor(t *testing.T) {
	for name, end := range endings {
		for _, behind := range []string{"", "one", "many", "urgent"} {
			t.Run(name+"/"+behind, func(t *testing.T) {
				from, to := newByHand(t).promotedPair(t)
				defer from.Close()
				defer to.Close()
				const n = 100
				if _, err := from.tcp.Write(make([]byte, n)); err != nil {
					t.Fatal(err)
				}
				if _, err := from.Write([]byte("in the ring")); err != nil || !from.link.Load().sender.Opened() {
					t.Fatalf("the writer stays on TCP: %v", err)
				}
				if behind != "" {
					if ok, err := from.link.Load().sender.SwitchToTCP(); !ok || err != nil {
						t.Fatalf("not back on TCP: %v", err)
					}
					write(t, from, behind)
				}
				end(from, to)
				l := to.link.Load()
				for read := uint64(0); ; read += 20 {
					l.recver.Look()
					if left, err := l.left(); left != n-read || err != nil {
						t.Errorf("after %d bytes: %d left, %v", read, left, err)
					}
					if read == n {
						break
					}
					if k, err := to.tcp.recv(make([]byte, 20), 0); k != 20 {
						t.Fatalf("read %d, %v", k, err)
					}
				}
			})
		}
	}
}

// TestIdleBehindTheRing: a reader whose sender has gone back to TCP sleeps until something comes.
func TestIdleBehindTheRing(t *testing.T) {
	from, to := newByHand(t).promotedPair(t)
	defer from.Close()
	defer to.Close()
	l := to.link.Load()
	for behind := range 2 { // the first takes the reader to the ring
		if _, err := from.Write([]byte("in the ring")); err != nil {
			t.Fatal(err)
		}
		if where, _ := l.recver.Look(); behind == 1 && (where != queue.InRing || !l.readable()) {
			t.Errorf("nothing to read in the ring: the stream is %v", where)
		}
		if _, err := io.ReadFull(to, make([]byte, 11)); err != nil {
			t.Fatal(err)
		}
	}
	if ok, err := from.link.Load().sender.SwitchToTCP(); !ok || err != nil {
		t.Fatalf("not back on TCP: %v", err)
	}
	if l.readable() {
		t.Error("it spins for ever")
	}
	got := make(chan error)
	go func() {
		b := make([]byte, 300)
		n, err := io.ReadFull(to, b)
		if err == nil && n != len(b) {
			err = io.ErrUnexpectedEOF
		}
		got <- err
	}()
	write(t, from, "many")
	if err := <-got; err != nil {
		t.Error(err)
	}
}

// write sends what is behind the ring.
func write(t *testing.T, c *Conn, what string) {
	t.Helper()
	b, flags := make([]byte, 300), 0
	switch what {
	case "one":
		b = b[:1]
	case "urgent":
		flags = unix.MSG_OOB
	}
	err := c.tcp.raw.Write(func(fd uintptr) bool {
		if err := unix.Sendto(int(fd), b, flags, nil); err != nil {
			t.Error(err)
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestEndBeforeTheReaderLeavesTCP: when the reader first looks, there are bytes on the anchor and in
// the ring, and the anchor has ended already.
func TestEndBeforeTheReaderLeavesTCP(t *testing.T) {
	for name, end := range endings {
		t.Run(name, func(t *testing.T) {
			from, to := newByHand(t).promotedPair(t)
			defer from.Close()
			defer to.Close()
			from.tcp.Write([]byte("on the anchor, "))
			if _, err := from.Write([]byte("in the ring")); err != nil || !from.link.Load().sender.Opened() {
				t.Fatalf("the writer stays on TCP: %v", err)
			}
			end(from, to)
			want := []byte("on the anchor, in the ring")
			got := make([]byte, len(want))
			if _, err := io.ReadFull(to, got); !bytes.Equal(got, want) {
				t.Errorf("read %q, %v", got, err)
			}
			if name == "open" {
				to.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
			}
			rest, err := io.ReadAll(to)
			if len(rest) > 0 {
				t.Errorf("then read %q", rest)
			}
			if reset := errors.Is(err, syscall.ECONNRESET); reset != (name == "RST") {
				t.Errorf("the stream ends with %v", err)
			}
		})
	}
}

// TestOneGoroutineOwnsBothEnds: what Linux buffers, a ring must take while nobody reads.
func TestOneGoroutineOwnsBothEnds(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *Conn) {
		out, in := make([]byte, 2<<20), make([]byte, 2<<20)
		for round := range 20 {
			io.ReadFull(newSeeded(byte(round)), out)
			a.SetWriteDeadline(time.Now().Add(20 * time.Second))
			if n, err := a.Write(out); err != nil {
				t.Fatalf("round %d: %d bytes written: %v", round, n, err)
			}
			if _, err := io.ReadFull(b, in); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(in, out) {
				t.Fatalf("round %d: other bytes", round)
			}
		}
	})
}
