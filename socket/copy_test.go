package socket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/socksdirect/libsd/queue"
)

// sources of ReadFrom: n bytes of seed 3, and what is left to read of the source afterwards.
var sources = map[string]func(t *testing.T, content []byte) (r io.Reader, rest int64){
	"file": func(t *testing.T, content []byte) (io.Reader, int64) { return tempFile(t, content), 0 },
	"limited file": func(t *testing.T, content []byte) (io.Reader, int64) {
		return &io.LimitedReader{R: tempFile(t, append(content, 1, 2, 3)), N: int64(len(content))}, 3
	},
	"file at an offset": func(t *testing.T, content []byte) (io.Reader, int64) {
		f := tempFile(t, append([]byte("before"), content...))
		f.Seek(6, io.SeekStart)
		return f, 0
	},
	"pipe": func(t *testing.T, content []byte) (io.Reader, int64) {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.Close() })
		go func() {
			w.Write(content)
			w.Close()
		}()
		return r, 0
	},
	"buffer": func(t *testing.T, content []byte) (io.Reader, int64) { return bytes.NewReader(content), 0 },
}

func tempFile(t *testing.T, content []byte) *os.File {
	t.Helper()
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func TestCopies(t *testing.T) {
	content := make([]byte, 2_500_000)
	io.ReadFull(newSeeded(3), content)
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			onAll(t, func(t *testing.T, a, b tcp) {
				r, rest := source(t, append([]byte(nil), content...))
				var got bytes.Buffer
				var both sync.WaitGroup
				both.Go(func() {
					if n, err := b.WriteTo(&got); n != int64(len(content)) || err != nil {
						t.Errorf("WriteTo: %d, %v", n, err)
					}
				})
				if n, err := a.ReadFrom(r); n != int64(len(content)) || err != nil {
					t.Errorf("ReadFrom: %d, %v", n, err)
				}
				a.CloseWrite()
				both.Wait()
				if !bytes.Equal(got.Bytes(), content) {
					t.Errorf("%d other bytes", got.Len())
				}
				if l, ok := r.(*io.LimitedReader); ok {
					if left, _ := io.Copy(io.Discard, l.R); left != rest || l.N != 0 {
						t.Errorf("%d left behind the limit, which is %d", left, l.N)
					}
				}
			})
		})
	}
}

// TestPromotionUnderCopies introduces the ends while the kernel sends a file, and then relays through
// two connections in a row.
func TestPromotionUnderCopies(t *testing.T) {
	d := newByHand(t)
	const size = 24 << 20
	content := make([]byte, size)
	io.ReadFull(newSeeded(4), content)
	file := tempFile(t, content)
	for round := range 10 {
		a, b := kernelPair(t)
		c, e := kernelPair(t)
		for _, conn := range []*Conn{a, b, c, e} {
			conn.dom = d.domain
			conn.offered.Store(true)
		}
		file.Seek(0, io.SeekStart)
		errs := make(chan error, 3)
		go func() {
			_, err := io.Copy(a, file)
			errs <- errors.Join(err, a.CloseWrite())
		}()
		go func() {
			_, err := io.Copy(c, b)
			errs <- errors.Join(err, c.CloseWrite())
		}()
		go func() { errs <- receive(e, 4, size, true) }()
		time.Sleep(time.Duration(round) * time.Millisecond) // it may fall anywhere
		d.introduce(t, a, b)
		d.introduce(t, c, e)
		for range 3 {
			if err := <-errs; err != nil {
				t.Error(err)
			}
		}
		for _, conn := range []*Conn{a, b, c, e} {
			conn.Close()
		}
	}
	t.Logf("%d of 20 directions with bytes left TCP", d.count(queue.CountPromoted))
}

// TestBuffers: net.Buffers by either way, from several goroutines; WriteBuffers keeps each together.
func TestBuffers(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *Conn) {
		const writers, rounds = 4, 200
		var all sync.WaitGroup
		for w := range writers {
			all.Go(func() {
				for range rounds {
					v := net.Buffers{bytes.Repeat([]byte{byte(w)}, 700), nil, bytes.Repeat([]byte{byte(w)}, 300)}
					if n, err := a.WriteBuffers(&v); n != 1000 || err != nil || len(v) != 0 {
						t.Errorf("%d, %v, %d buffers left", n, err, len(v))
					}
				}
			})
		}
		go func() {
			all.Wait()
			v := net.Buffers{[]byte("the "), []byte("end")}
			v.WriteTo(a)
			a.CloseWrite()
		}()
		p := make([]byte, 1000)
		for range writers * rounds {
			if _, err := io.ReadFull(b, p); err != nil || !bytes.Equal(p, bytes.Repeat(p[:1], 1000)) {
				t.Fatalf("mixed: %v", err)
			}
		}
		if rest, err := io.ReadAll(b); string(rest) != "the end" || err != nil {
			t.Errorf("%q, %v", rest, err)
		}
	})
}

func TestDialerAndListenConfig(t *testing.T) {
	var asked []string
	control := func(network, address string, c syscall.RawConn) error {
		asked = append(asked, network+" "+address[:strings.LastIndex(address, ":")])
		return nil
	}
	l, err := (&ListenConfig{Control: control, KeepAlive: -1}).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := Dialer{Control: control, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 2)}}
	c, err := d.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if ip := c.LocalAddr().(*net.TCPAddr).IP; !ip.Equal(net.IPv4(127, 0, 0, 2)) {
		t.Errorf("dialed from %v", ip)
	}
	if got := strings.Join(asked, ", "); got != "tcp4 127.0.0.1, tcp4 127.0.0.1" {
		t.Errorf("Control: %s", got)
	}

	canceled, cancel := context.WithCancel(t.Context())
	cancel()
	_, got := d.DialContext(canceled, "tcp", l.Addr().String())
	_, want := (&net.Dialer{LocalAddr: d.LocalAddr}).DialContext(canceled, "tcp", l.Addr().String())
	if got == nil || got.Error() != want.Error() {
		t.Errorf("canceled: %v, want %v", got, want)
	}
	d = Dialer{Deadline: time.Unix(1, 0)}
	if _, err := d.Dial("tcp", l.Addr().String()); err == nil || !err.(net.Error).Timeout() {
		t.Errorf("after the deadline: %v", err)
	}
	l.(*Listener).SetDeadline(time.Unix(1, 0))
	if _, err := l.(*Listener).AcceptConn(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("accept after the deadline: %v", err)
	}
	l.Close()
	if c, err := l.Accept(); c != nil || !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept after Close: %v, %v", c, err)
	}
	// A service that listens on a Unix socket as well needs no second package.
	u, err := Listen("unix", filepath.Join(t.TempDir(), "u"))
	if err != nil {
		t.Fatal(err)
	}
	defer u.Close()
	uc, err := DialTimeout("unix", u.Addr().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	uc.Close()
}
