// Package socket is net's TCP for Go programs, over shared memory where both ends of a connection
// are on one host and speak it, in pure Go.
//
// Every connection is a kernel TCP connection, its anchor, and stays one to the world: addresses,
// ports, netstat, FIN and RST are the kernel's. Once the monitor has introduced the two ends, the
// bytes of each direction continue in a ring. Without a monitor, or with a peer that knows nothing
// of it, everything works on TCP. The peer may be another Go program or any program under
// libsd.so.
//
// Roles inside the package: a domain is this process's registration with one monitor; a Conn is
// a connection; its link is what it gains by promotion.
package socket
