package sockdiag

import (
	"net"
	"net/netip"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// connect makes a TCP connection over network to a listener at addr and returns both ends.
func connect(t *testing.T, network, addr, target string) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen(network, addr)
	if err != nil {
		t.Skipf("%s %s: %v", network, addr, err)
	}
	t.Cleanup(func() { l.Close() })
	_, port, _ := net.SplitHostPort(l.Addr().String())
	c, err := net.Dial("tcp", net.JoinHostPort(target, port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func addrs(c net.Conn) (local, remote netip.AddrPort) {
	return c.LocalAddr().(*net.TCPAddr).AddrPort(), c.RemoteAddr().(*net.TCPAddr).AddrPort()
}

// identity is the cookie and inode of c by the socket itself.
func identity(t *testing.T, c syscall.Conn) (cookie uint64, inode uint32) {
	t.Helper()
	raw, err := c.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	raw.Control(func(fd uintptr) {
		var st unix.Stat_t
		if err := unix.Fstat(int(fd), &st); err != nil {
			t.Error(err)
		}
		inode = uint32(st.Ino)
		if cookie, err = unix.GetsockoptUint64(int(fd), unix.SOL_SOCKET, unix.SO_COOKIE); err != nil {
			t.Error(err)
		}
	})
	return cookie, inode
}

func TestFindNamesBothEnds(t *testing.T) {
	cases := []struct{ name, network, listen, target string }{
		{"IPv4", "tcp4", "127.0.0.1:0", "127.0.0.1"},
		{"IPv6", "tcp6", "[::1]:0", "::1"},
		{"v4-mapped server", "tcp", "[::]:0", "127.0.0.1"},
	}
	diag, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer diag.Close()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			client, server := connect(t, tc.network, tc.listen, tc.target)
			for _, end := range []*net.TCPConn{client, server} {
				local, remote := addrs(end)
				got, found, err := diag.Find(local, remote)
				if err != nil || !found {
					t.Fatalf("%v: found %v, %v", local, found, err)
				}
				cookie, inode := identity(t, end)
				if got.Cookie != cookie || got.Inode != inode || got.State != StateEstablished {
					t.Errorf("got %+v, want cookie %d inode %d", got, cookie, inode)
				}
			}
		})
	}
}

func TestFindIgnoresListeners(t *testing.T) {
	diag, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer diag.Close()
	client, _ := connect(t, "tcp4", "127.0.0.1:0", "127.0.0.1")
	local, remote := addrs(client)
	absent := netip.AddrPortFrom(local.Addr(), 1)
	if _, found, err := diag.Find(remote, absent); found || err != nil {
		t.Errorf("found %v, %v: want nothing", found, err)
	}
}

func TestClosedSocketIsNotHeld(t *testing.T) {
	diag, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	defer diag.Close()
	client, _ := connect(t, "tcp4", "127.0.0.1:0", "127.0.0.1")
	local, remote := addrs(client)
	cookie, _ := identity(t, client)
	client.Close()
	s, found, err := diag.Find(local, remote)
	if err != nil {
		t.Fatal(err)
	}
	if found && s.Held(cookie) {
		t.Errorf("closed socket is held: %+v", s)
	}
}
