package model

// The calls that do the same thing: values of the argument form, and their names.

// Forms of Send.
const (
	SendSend int32 = iota
	SendWrite
	SendWritev // three pieces, as all forms with vectors
	SendTo
	SendMsg
	SendMmsg // one message; the result is the number of bytes
	SendFile
)

// Forms of Recv.
const (
	RecvRecv int32 = iota
	RecvRead
	RecvReadv
	RecvFrom
	RecvMsg
	RecvMmsg // one message; the result is the number of bytes
)

// Forms of Poll.
const (
	PollPoll int32 = iota
	PollPpoll
	PollMasked // ppoll that lets no SIGUSR1 in
	PollSelect // revents are EPOLLIN, EPOLLOUT and EPOLLPRI of the sets that were asked for
	PollPselect
)

// Forms of EpWait.
const (
	WaitWait int32 = iota
	WaitPwait
	WaitMasked // epoll_pwait that lets no SIGUSR1 in
	WaitPwait2
)

// Forms of Fork.
const (
	ForkFork  int32 = iota
	ForkVfork       // and exec of the interpreter
)

// Forms names the forms of an operation.
var Forms = map[Kind][]string{
	Send:   {"send", "write", "writev", "sendto", "sendmsg", "sendmmsg", "sendfile"},
	Recv:   {"recv", "read", "readv", "recvfrom", "recvmsg", "recvmmsg"},
	Poll:   {"poll", "ppoll", "ppoll with a mask", "select", "pselect"},
	EpWait: {"epoll_wait", "epoll_pwait", "epoll_pwait with a mask", "epoll_pwait2"},
	Fork:   {"fork", "vfork and exec"},
}

// Form is which of them an operation is.
func (o Op) Form() int32 {
	if Forms[o.Kind] == nil {
		return 0
	}
	return o.Arg[o.Kind.Args()-1]
}

// FlagLess tells whether a form of Send or Recv has no flags: files have the call, too.
func (o Op) FlagLess() bool {
	switch o.Kind {
	case Send:
		return o.Form() == SendWrite || o.Form() == SendWritev || o.Form() == SendFile
	case Recv:
		return o.Form() == RecvRead || o.Form() == RecvReadv
	}
	return false
}

// Masked tells whether SIGUSR1 waits until the call has returned.
func (o Op) Masked() bool {
	return o.Kind == Poll && o.Form() == PollMasked || o.Kind == EpWait && o.Form() == WaitMasked
}

// flags are the flags of a send or receive.
func (o Op) flags() int32 {
	if o.FlagLess() {
		return 0
	}
	return o.Arg[2]
}

// onFile is what write, read and their like say of a descriptor that is no socket, or of no bytes; ok if
// that is all.
func (n step) onFile() (b []Branch, ok bool) {
	if !n.op.FlagLess() {
		return nil, false
	}
	f := n.fileOf(n.p, n.op.Arg[0])
	switch {
	case f == none:
		return n.fail(ebadf), true
	case n.files[f].kind == epollSet && n.op.Kind == Send && n.op.Form() == SendFile && n.op.Arg[1] == 0:
		return n.one(0), true
	case n.files[f].kind == epollSet:
		return n.fail(einval), true
	case n.files[f].kind == otherFile && n.op.Kind == Send:
		return n.one(n.op.Arg[1]), true
	case n.files[f].kind == otherFile:
		return n.one(0), true
	case n.files[f].kind == unixSocket:
		return n.fail(enotsock), true
	case n.op.Arg[1] == 0 && (n.op.Kind == Recv || n.op.Form() != SendWrite):
		return n.one(0), true
	}
	return nil, false
}

// selected turns what poll would report into what select does: bits of the sets that were asked for.
func selected(events, asked int32) (r int32) {
	for set, shows := range map[int32]int32{
		evIn:  evIn | evRdNorm | evRdBand | evHup | evErr,
		evOut: evOut | evWrNorm | evWrBand | evErr,
		evPri: evPri,
	} {
		if events&shows != 0 {
			r |= set & asked
		}
	}
	return r
}
