package socket

import (
	"errors"
	"io"
	"syscall"
	"testing"
)

// onBoth runs a scenario on the kernel and promoted: what a program sees must be the same.
func onBoth(t *testing.T, scenario func(t *testing.T, a, b *Conn)) {
	t.Run("kernel", func(t *testing.T) {
		a, b := kernelPair(t)
		defer a.Close()
		defer b.Close()
		exchange(t, a, b)
		scenario(t, a, b)
	})
	t.Run("promoted", func(t *testing.T) {
		a, b := newByHand(t).promotedPair(t)
		defer a.Close()
		defer b.Close()
		exchange(t, a, b)
		if !a.link.Load().sender.Opened() || !b.link.Load().sender.Opened() {
			t.Fatal("the rings are not in use")
		}
		scenario(t, a, b)
	})
}

// exchange sends a byte each way.
func exchange(t *testing.T, a, b *Conn) {
	t.Helper()
	for _, way := range []struct{ from, to *Conn }{{a, b}, {b, a}} {
		if _, err := way.from.Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(way.to, make([]byte, 1)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestHalfClose(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *Conn) {
		a.Write([]byte("request"))
		a.CloseWrite()
		if got, err := io.ReadAll(b); string(got) != "request" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
		if _, err := a.Write([]byte("late")); !errors.Is(err, syscall.EPIPE) {
			t.Errorf("write after CloseWrite: %v", err)
		}
		b.Write([]byte("answer"))
		b.Close()
		if got, err := io.ReadAll(a); string(got) != "answer" || err != nil {
			t.Fatalf("%q, %v", got, err)
		}
	})
}

func TestPeerReadsAllThenCloses(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *Conn) {
		b.Close()
		if n, err := a.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Fatalf("%d, %v", n, err)
		}
		// The kernel takes the first write, which draws RST, and refuses later ones.
		var err error
		until(t, func() bool { _, err = a.Write([]byte{1}); return err != nil })
		if !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("write to a closed peer: %v", err)
		}
	})
}

func TestPeerClosesWithUnreadBytes(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *Conn) {
		b.Write([]byte("last words"))
		a.Write([]byte("never read"))
		p := make([]byte, 100)
		if n, err := a.Read(p); string(p[:n]) != "last words" {
			t.Fatalf("%q, %v", p[:n], err)
		}
		b.Close()
		if _, err := a.Read(p); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("first read: %v", err)
		}
		if _, err := a.Read(p); err != io.EOF {
			t.Errorf("second read: %v", err)
		}
	})
}

func TestBlockedWriterLearnsOfTheDeath(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *Conn) {
		failed := make(chan error)
		go func() {
			_, err := a.Write(make([]byte, 64<<20))
			failed <- err
		}()
		io.ReadFull(b, make([]byte, 1<<20))
		b.Close()
		if err := <-failed; !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
			t.Errorf("blocked write: %v", err)
		}
	})
}

func TestCloseReadEndsABlockedRead(t *testing.T) {
	onBoth(t, func(t *testing.T, a, b *Conn) {
		ended := make(chan error)
		go func() {
			_, err := a.Read(make([]byte, 1))
			ended <- err
		}()
		a.CloseRead()
		if err := <-ended; err != io.EOF {
			t.Errorf("read: %v", err)
		}
	})
}

func BenchmarkPingPong(b *testing.B) {
	for _, c := range []struct {
		name string
		pair func(testing.TB) (*Conn, *Conn)
	}{{"kernel", kernelPair}, {"promoted", newByHand(b).promotedPair}} {
		b.Run(c.name, func(b *testing.B) {
			x, y := c.pair(b)
			defer x.Close()
			defer y.Close()
			go func() {
				p := make([]byte, 64)
				for {
					n, err := y.Read(p)
					if err != nil {
						return
					}
					y.Write(p[:n])
				}
			}()
			p := make([]byte, 64)
			for b.Loop() {
				x.Write(p)
				io.ReadFull(x, p)
			}
		})
	}
}

func BenchmarkStream(b *testing.B) {
	for _, c := range []struct {
		name string
		pair func(testing.TB) (*Conn, *Conn)
	}{{"kernel", kernelPair}, {"promoted", newByHand(b).promotedPair}} {
		b.Run(c.name, func(b *testing.B) {
			x, y := c.pair(b)
			defer x.Close()
			go func() {
				io.Copy(io.Discard, y)
				y.Close()
			}()
			p := make([]byte, 64<<10)
			b.SetBytes(int64(len(p)))
			for b.Loop() {
				x.Write(p)
			}
		})
	}
}
