package socket_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"syscall"
	"time"

	"github.com/socksdirect/libsd/socket"
)

// What works with package net works with this one. Under a monitor (sdirect monitor) the bytes of
// both directions move to shared memory; without one they stay on TCP.
func Example() {
	l, err := socket.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	go func() {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		defer c.Close()
		io.Copy(c, c) // until the other end has called CloseWrite
	}()

	c, err := socket.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer c.Close()
	fmt.Fprint(c, "hello")
	c.(*socket.Conn).CloseWrite() // as with *net.TCPConn
	echo, err := io.ReadAll(c)
	fmt.Println(string(echo), err)
	// Output: hello <nil>
}

// A server of net/http needs the listener, a client the dialer.
func ExampleDialer_http() {
	l, err := socket.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "hello ", r.URL.Path)
	})}
	go server.Serve(l)
	defer server.Close()

	dialer := &socket.Dialer{Timeout: 5 * time.Second}
	client := http.Client{Transport: &http.Transport{DialContext: dialer.DialContext}}
	defer client.CloseIdleConnections()
	reply, err := client.Get("http://" + l.Addr().String() + "/world")
	if err != nil {
		log.Fatal(err)
	}
	defer reply.Body.Close()
	body, err := io.ReadAll(reply.Body)
	fmt.Println(string(body), err)
	// Output: hello /world <nil>
}

// Control sees the kernel's socket before it listens, as with package net.
func ExampleListenConfig() {
	lc := socket.ListenConfig{Control: func(network, address string, c syscall.RawConn) error {
		var err error
		ctlErr := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_REUSEADDR, 1)
		})
		return errors.Join(ctlErr, err)
	}}
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	fmt.Println(l.Addr().Network())
	// Output: tcp
}

// Errors are those of package net.
func ExampleDial_errors() {
	l, err := socket.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()
	c, err := socket.Dial("tcp", l.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	c.SetReadDeadline(time.Now().Add(time.Millisecond))
	_, err = c.Read(make([]byte, 1))
	fmt.Println(errors.Is(err, os.ErrDeadlineExceeded), err.(net.Error).Timeout())
	c.Close()
	_, err = c.Read(make([]byte, 1))
	fmt.Println(errors.Is(err, net.ErrClosed))
	_, err = socket.Dial("tcp", "127.0.0.1:1") // nobody listens on port 1
	fmt.Println(errors.Is(err, syscall.ECONNREFUSED))
	// Output:
	// true true
	// true
	// true
}
