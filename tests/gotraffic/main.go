// Gotraffic is the Go twin of tests/prog/traffic.c: seeded random bytes both ways at once.
//
//	gotraffic [-api net|socket] server CONNS BYTES SEED FAMILY
//	gotraffic [-api net|socket] client CONNS BYTES SEED FAMILY PORT
package main

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/socket"
)

const chunkMax = 1 << 20

// conn is what the program needs of a connection.
type conn interface {
	net.Conn
	syscall.Conn
	CloseWrite() error
}

// api makes connections.
type api struct {
	listen func(address string) (net.Listener, error)
	dial   func(address string) (net.Conn, error)
}

var apis = map[string]api{
	"net": {
		listen: func(address string) (net.Listener, error) { return net.Listen("tcp", address) },
		dial:   func(address string) (net.Conn, error) { return net.Dial("tcp", address) },
	},
	"socket": {
		listen: func(address string) (net.Listener, error) { return socket.Listen("tcp", address) },
		dial:   func(address string) (net.Conn, error) { return socket.Dial("tcp", address) },
	},
}

func main() {
	log.SetFlags(0)
	name := flag.String("api", "net", "package that makes the connections")
	flag.Parse()
	if err := run(*name, flag.Args()); err != nil {
		log.Fatal(err)
	}
}

func run(name string, args []string) error {
	a, ok := apis[name]
	if !ok || len(args) < 5 {
		return fmt.Errorf("usage: gotraffic [-api net|socket] server|client CONNS BYTES SEED FAMILY [PORT]")
	}
	var num [3]uint64
	for i := range num {
		var err error
		if num[i], err = strconv.ParseUint(args[1+i], 0, 64); err != nil {
			return err
		}
	}
	host := "127.0.0.1"
	if args[4] == "6" {
		host = "::1"
	}
	client := args[0] == "client"
	var conns []conn
	var err error
	if client {
		conns, err = dialAll(a, net.JoinHostPort(host, args[len(args)-1]), int(num[0]))
	} else {
		conns, err = acceptAll(a, net.JoinHostPort(host, "0"), int(num[0]))
	}
	if err != nil {
		return err
	}
	start := time.Now()
	done := make(chan error)
	for _, c := range conns {
		port := c.RemoteAddr().(*net.TCPAddr).Port
		if client {
			port = c.LocalAddr().(*net.TCPAddr).Port
		}
		tx, rx := seeds(num[2], port, client)
		go func() { done <- transmit(c, tx, num[1]) }()
		go func() { done <- receive(c, rx, num[1]) }()
	}
	for range 2 * len(conns) {
		err = errors.Join(err, <-done)
	}
	var kernel uint64
	for _, c := range conns {
		k, infoErr := kernelBytes(c)
		kernel += k
		err = errors.Join(err, infoErr, c.Close())
	}
	if err == nil {
		fmt.Printf("OK %s %s: %d x %d bytes each way, %.2f s, KERNEL %d of %d\n", args[0], name, num[0], num[1],
			time.Since(start).Seconds(), kernel, 2*num[0]*num[1])
	}
	return err
}

func dialAll(a api, address string, n int) (conns []conn, err error) {
	for range n {
		c, err := a.dial(address)
		if err != nil {
			return nil, err
		}
		conns = append(conns, c.(conn))
	}
	return conns, nil
}

func acceptAll(a api, address string, n int) (conns []conn, err error) {
	l, err := a.listen(address)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	fmt.Fprintln(os.Stdout, "PORT", l.Addr().(*net.TCPAddr).Port)
	for range n {
		c, err := l.Accept()
		if err != nil {
			return nil, err
		}
		conns = append(conns, c.(conn))
	}
	return conns, nil
}

// seeds names the streams after the port of the connecting side.
func seeds(seed uint64, port int, client bool) (tx, rx uint64) {
	base := mix(seed ^ uint64(port)<<32)
	if client {
		return mix(base), mix(base + 1)
	}
	return mix(base + 1), mix(base)
}

// kernelBytes is what the kernel's own TCP has carried on a connection, both ways.
func kernelBytes(c conn) (n uint64, err error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, err
	}
	var infoErr error
	err = raw.Control(func(fd uintptr) {
		var ti *unix.TCPInfo
		if ti, infoErr = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO); infoErr == nil {
			n = ti.Bytes_received + ti.Bytes_sent
		}
	})
	return n, errors.Join(err, infoErr)
}

func transmit(c conn, seed, total uint64) error {
	sizes, buf := rng(mix(seed)), make([]byte, chunkMax)
	for pos := uint64(0); pos < total; {
		b := buf[:sizes.size(int(min(total-pos, chunkMax)))]
		fill(seed, pos, b)
		n, err := c.Write(b)
		if err != nil {
			return fmt.Errorf("write at %d: %w", pos, err)
		}
		pos += uint64(n)
	}
	return c.CloseWrite()
}

func receive(c conn, seed, total uint64) error {
	sizes, buf, want := rng(mix(seed+7)), make([]byte, chunkMax), make([]byte, chunkMax)
	for pos := uint64(0); ; {
		n, err := c.Read(buf[:sizes.size(chunkMax)])
		fill(seed, pos, want[:n])
		if !bytes.Equal(buf[:n], want[:n]) {
			return fmt.Errorf("wrong bytes in [%d, %d)", pos, pos+uint64(n))
		}
		pos += uint64(n)
		if err == io.EOF && pos == total {
			return nil
		}
		if err != nil || pos > total {
			return fmt.Errorf("after %d of %d bytes: %w", pos, total, err)
		}
	}
}
