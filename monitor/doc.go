// Package monitor is the control plane: it decides who may share memory with whom, and is never on
// the data path.
//
// Roles. Core decides: a pure machine without clock, goroutine or system call; events go in,
// actions come out. Daemon acts: sockets, /proc, sock_diag, memfds. A registration is one
// connection of a process to the monitor; a process and the children it forked that share its bell
// page are a family, and an arena belongs to a pair of families.
//
// Trust. Identity comes from the kernel (SO_PEERCRED, a pidfd), possession of a connection from
// /proc/PID/fd and sock_diag. Nothing that a process writes, in a message or in shared memory,
// makes the monitor write outside that process's own bell page and arenas.
package monitor
