package main

// path is where a call's effect happens on a connection that has been promoted.
type path string

const (
	ring    path = "ring"             // in shared memory
	kernel  path = "kernel"           // at the anchor, with bookkeeping
	both    path = "ring and kernel"  // what either of them says
	degrade path = "degrade, counted" // not supported there
	none    path = "none"             // it is not about connections
)

// verdict tells what becomes of calls that behave alike.
type verdict struct {
	calls   string
	path    path
	remarks string
}

var verdicts = []verdict{
	{"read readv recv recvfrom __read_chk __recv_chk __recvfrom_chk", ring,
		"blocking, O_NONBLOCK, SO_RCVTIMEO, MSG_DONTWAIT, MSG_PEEK, MSG_WAITALL; MSG_OOB and MSG_ERRQUEUE ask the anchor"},
	{"recvmsg recvmmsg", ring, "no ancillary data: the options that would make some keep a connection on the kernel"},
	{"preadv2 preadv64v2 pwritev2 pwritev64v2", ring, "with offset -1 and no flag but RWF_NOWAIT; else the anchor answers (ESPIPE)"},
	{"write writev send sendto", ring, "SO_SNDTIMEO, MSG_DONTWAIT, MSG_NOSIGNAL and SIGPIPE as on Linux; MSG_OOB moves the direction back to TCP for good"},
	{"sendmsg sendmmsg", ring, "MSG_MORE, as TCP_CORK, holds nothing back; `sendmsg` looks for descriptors in SCM_RIGHTS: a candidate stays on the kernel, a promoted one is counted (`passed`)"},
	{"sendfile sendfile64", ring, "from regular files and block devices through a buffer; EINVAL for others"},
	{"splice", degrade, "EINVAL (`unhooked`), to which programs answer with read and write; a candidate stays on the kernel (`option`)"},
	{"socket", kernel, "only what this call made, and no fork, duplicate or SCM_RIGHTS has shared since, can become a candidate"},
	{"connect accept accept4", kernel, "the connection becomes a candidate; TCP over IPv4 and IPv6 only; a socket that was shared before it was connected (`forked`), or that AF_UNSPEC has disconnected, stays on the kernel"},
	{"shutdown", kernel, "SHUT_WR ends the last ring; the rest of the direction is TCP's, which sends FIN"},
	{"setsockopt", kernel, "the anchor keeps every option; one that a ring does not honour keeps a candidate on the kernel (`option`), on a promoted connection it is counted (`unhooked`); see below"},
	{"getsockopt", kernel, "SO_ERROR adds an error that the rings know of"},
	{"ioctl", both, "FIONREAD counts the rings; FIOASYNC as O_ASYNC; everything else is the anchor's"},
	{"fcntl fcntl64", kernel, "F_DUPFD makes an alias; O_ASYNC keeps a candidate on the kernel (`option`), on a promoted connection it is counted (`unhooked`)"},
	{"close close_range closefrom", both, "unread bytes make the kernel send RST; descriptors of libsd's own stay open"},
	{"dup dup2 dup3", both, "an alias of the same connection or epoll set; a candidate that gets the number 0, 1 or 2 stays on the kernel (`stdio`), a promoted connection sends by TCP from then on"},
	{"fdopen", both, "a candidate stays on the kernel (`stdio`); on a promoted connection the stream reads and writes by our `read` and `write`"},
	{"freopen freopen64 fclose", both, "as close; the stream of a promoted connection cannot be reopened: EOPNOTSUPP (`unhooked`)"},
	{"dprintf vdprintf __dprintf_chk __vdprintf_chk", ring, "formats, then `write`"},
	{"poll ppoll __poll_chk __ppoll_chk select pselect", both, "any mixture of descriptors; a call with nothing of ours in it goes straight to the kernel"},
	{"epoll_create epoll_create1 epoll_ctl", both, "level, edge, oneshot and nested sets; EPOLLEXCLUSIVE keeps a candidate on the kernel (`option`)"},
	{"epoll_wait epoll_pwait epoll_pwait2", both, "the kernel's set and the rings of its members"},
	{"sigaction __sigaction signal bsd_signal ssignal sysv_signal __sysv_signal sigset siginterrupt", none,
		"handlers run through a stub: it tells a waiting call whether SA_RESTART restarts it, and waits for the end of an operation; what was installed is what is read back"},
}
