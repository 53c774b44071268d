package socket_test

import (
	"fmt"
	"io"
	"log"

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
	c.CloseWrite()
	echo, err := io.ReadAll(c)
	fmt.Println(string(echo), err)
	// Output: hello <nil>
}
