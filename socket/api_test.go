package socket

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"reflect"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestMethods: whatever can be called on a *net.TCPConn can be called on a *Conn.
func TestMethods(t *testing.T) {
	for _, pair := range []struct{ theirs, ours any }{{&net.TCPConn{}, &Conn{}}, {&net.TCPListener{}, &Listener{}}} {
		theirs, ours := reflect.TypeOf(pair.theirs), reflect.TypeOf(pair.ours)
		for i := range theirs.NumMethod() {
			want := theirs.Method(i)
			if want.Name == "AcceptTCP" { // AcceptConn
				continue
			}
			got, ok := ours.MethodByName(want.Name)
			if !ok {
				t.Errorf("%v has %s, %v has not", theirs, want.Name, ours)
			} else if g, w := signature(got.Type), signature(want.Type); g != w {
				t.Errorf("%v.%s is %s, want %s", ours, want.Name, g, w)
			}
		}
	}
}

// TestFields: whatever can be set in a net.Dialer or net.ListenConfig, but for what is deprecated.
func TestFields(t *testing.T) {
	for _, pair := range []struct{ theirs, ours any }{{net.Dialer{}, Dialer{}}, {net.ListenConfig{}, ListenConfig{}}} {
		theirs, ours := reflect.TypeOf(pair.theirs), reflect.TypeOf(pair.ours)
		for i := range theirs.NumField() {
			want := theirs.Field(i)
			if !want.IsExported() || want.Name == "DualStack" || want.Name == "Cancel" {
				continue
			}
			if got, ok := ours.FieldByName(want.Name); !ok || got.Type != want.Type {
				t.Errorf("%v lacks %s %v", ours, want.Name, want.Type)
			}
		}
	}
}

// signature is a method's type without its receiver.
func signature(f reflect.Type) string {
	var in, out []string
	for i := 1; i < f.NumIn(); i++ {
		in = append(in, f.In(i).String())
	}
	for i := range f.NumOut() {
		out = append(out, f.Out(i).String())
	}
	return fmt.Sprint(in, out)
}

// tcp is what *net.TCPConn and *Conn have in common.
type tcp interface {
	net.Conn
	syscall.Conn
	io.ReaderFrom
	io.WriterTo
	CloseRead() error
	CloseWrite() error
	SetLinger(int) error
	File() (*os.File, error)
}

// onAll runs a scenario with package net's own connection, with ours on the kernel, and with ours
// promoted.
func onAll(t *testing.T, scenario func(t *testing.T, a, b tcp)) {
	t.Run("net", func(t *testing.T) {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		a, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		b, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		scenario(t, a.(tcp), b.(tcp))
	})
	onBoth(t, func(t *testing.T, a, b *Conn) { scenario(t, a, b) })
}

var failures = []struct {
	name    string
	errorOf func(a, b tcp) error
}{
	{"read after the deadline", func(a, b tcp) error {
		a.SetReadDeadline(time.Unix(1, 0))
		return second(a.Read(make([]byte, 1)))
	}},
	{"read of nothing after the deadline", func(a, b tcp) error {
		a.SetReadDeadline(time.Unix(1, 0))
		return second(a.Read(nil))
	}},
	{"write after the deadline", func(a, b tcp) error {
		a.SetWriteDeadline(time.Unix(1, 0))
		return second(a.Write(make([]byte, 1)))
	}},
	{"blocked write at the deadline", func(a, b tcp) error {
		a.SetWriteDeadline(time.Now().Add(20 * time.Millisecond))
		return second(a.Write(make([]byte, 32<<20)))
	}},
	{"read after Close", func(a, b tcp) error { a.Close(); return second(a.Read(make([]byte, 1))) }},
	{"write after Close", func(a, b tcp) error { a.Close(); return second(a.Write(make([]byte, 1))) }},
	{"Close after Close", func(a, b tcp) error { a.Close(); return a.Close() }},
	{"SetDeadline after Close", func(a, b tcp) error { a.Close(); return a.SetDeadline(time.Time{}) }},
	{"CloseWrite after Close", func(a, b tcp) error { a.Close(); return a.CloseWrite() }},
	{"File after Close", func(a, b tcp) error { a.Close(); return second(a.File()) }},
	{"ReadFrom after Close", func(a, b tcp) error {
		a.Close()
		return second(a.ReadFrom(strings.NewReader("x")))
	}},
	{"WriteTo after Close", func(a, b tcp) error { a.Close(); return second(a.WriteTo(io.Discard)) }},
	{"write after CloseWrite", func(a, b tcp) error {
		a.CloseWrite()
		return second(a.Write(make([]byte, 1)))
	}},
	{"read after CloseRead", func(a, b tcp) error { a.CloseRead(); return second(a.Read(make([]byte, 1))) }},
	{"read after RST", func(a, b tcp) error {
		b.SetLinger(0)
		b.Close()
		return second(a.Read(make([]byte, 1)))
	}},
}

func second[T any](_ T, err error) error { return err }

// TestErrorsAreThoseOfPackageNet compares types and texts all the way down.
func TestErrorsAreThoseOfPackageNet(t *testing.T) {
	for _, f := range failures {
		t.Run(f.name, func(t *testing.T) {
			want := ""
			onAll(t, func(t *testing.T, a, b tcp) {
				got := describe(f.errorOf(a, b), a)
				if want == "" {
					want = got
				}
				if got != want {
					t.Errorf("\n  got  %s\n  want %s", got, want)
				}
			})
		})
	}
}

func describe(err error, c net.Conn) string {
	if err == nil {
		return "nil"
	}
	s := strings.NewReplacer(c.LocalAddr().String(), "LOCAL", c.RemoteAddr().String(), "REMOTE").Replace(err.Error())
	for ; err != nil; err = errors.Unwrap(err) {
		s += fmt.Sprintf(" | %T", err)
		if e, ok := err.(*net.OpError); ok {
			s += fmt.Sprintf("(%s %s %T %T timeout %v)", e.Op, e.Net, e.Source, e.Addr, e.Timeout())
		}
	}
	return s
}

// TestDialAndListenErrors: what cannot be made, and networks that are not ours.
func TestDialAndListenErrors(t *testing.T) {
	for _, to := range []struct{ network, address string }{
		{"tcp", "127.0.0.1:1"}, {"tcp4", "[::1]:1"}, {"tcp", "127.0.0.1"}, {"tcp", "127.0.0.1:notaport"},
		{"nonsense", "127.0.0.1:1"}, {"unix", "/nonexistent/socket"},
	} {
		c, got := Dial(to.network, to.address)
		_, want := net.Dial(to.network, to.address)
		if c != nil || got == nil || got.Error() != want.Error() || reflect.TypeOf(got) != reflect.TypeOf(want) {
			t.Errorf("Dial %v: %v %T %v, want %v", to, c, got, got, want)
		}
		l, want := net.Listen(to.network, to.address)
		if want == nil {
			l.Close()
			continue
		}
		if l, got := Listen(to.network, to.address); l != nil || got == nil || got.Error() != want.Error() {
			t.Errorf("Listen %v: %v, %v, want %v", to, l, got, want)
		}
	}
}
