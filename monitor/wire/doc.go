// Package wire is the leaf through which processes and the monitor speak: the encoding of
// queue.Msg, sockets that carry it with descriptors, the place of the registration socket, and a
// client. It knows nothing of what the monitor does with a message.
//
// Roles. The monitor listens on an AF_UNIX SOCK_SEQPACKET socket. A process connects once,
// says Hello and keeps the connection for its life: closing it tells the monitor that the process
// is gone. One packet carries one message; only Welcome and Intro carry descriptors.
//
// Trust. The monitor takes who the sender is from the kernel, never from a message. A process
// accepts only a monitor of root or of its own user.
package wire
