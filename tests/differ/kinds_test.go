package differ

import (
	"slices"
	"syscall"

	"github.com/socksdirect/libsd/model"
)

// flags draws each flag with its chance in percent.
func (d *drawer) flags(flagsAndChances ...int32) (flags int32) {
	for i := 0; i < len(flagsAndChances); i += 2 {
		if d.chance(int(flagsAndChances[i+1])) {
			flags |= flagsAndChances[i]
		}
	}
	return flags
}

// form draws one of the calls that do an operation; the first unless chance has it.
func (d *drawer) form(k model.Kind, percent int) int32 {
	if !d.chance(percent) {
		return 0
	}
	return d.between(0, int32(len(model.Forms[k])-1))
}

// waiting is a form of Poll or EpWait. What a signal that was kept out does by default is not modelled.
func (d *drawer) waiting(k model.Kind, p int32) int32 {
	for {
		form := d.form(k, 40)
		op := model.Op{Kind: k}
		op.Arg[k.Args()-1] = form
		if !op.Masked() || d.state.Handles(p, syscall.SIGUSR1) {
			return form
		}
	}
}

func (d *drawer) family() int32 {
	if d.chance(15) {
		return model.Dual
	}
	return model.Inet
}

func (d *drawer) drawSend(p int32) {
	flags := d.flags(syscall.MSG_DONTWAIT, 50, syscall.MSG_NOSIGNAL, 50, syscall.MSG_MORE, 15, syscall.MSG_OOB, d.urgent,
		syscall.MSG_DONTROUTE, 4, syscall.MSG_EOR, 4, syscall.MSG_CONFIRM, 4)
	if d.big {
		flags |= syscall.MSG_DONTWAIT
	}
	n, form := d.size(), d.form(model.Send, 50)
	if form == model.SendFile {
		n = min(n, 64_000) // more is several sends
	}
	d.do(p, model.Send, d.conn(p), n, flags, form)
}

func (d *drawer) drawRecv(p int32) {
	flags := d.flags(syscall.MSG_DONTWAIT, 50, syscall.MSG_PEEK, 30, syscall.MSG_WAITALL, 30, syscall.MSG_TRUNC, 10, syscall.MSG_OOB, d.urgent,
		syscall.MSG_ERRQUEUE, 2, syscall.MSG_CONFIRM, 2)
	fd, n, form := d.conn(p), d.size(), d.form(model.Recv, 50)
	if d.sleepy {
		n = max(n, 1)
	}
	if _, ok := d.do(p, model.Recv, fd, n, flags, form); !ok {
		d.do(p, model.Recv, fd, n, flags|syscall.MSG_DONTWAIT, d.pick(model.RecvRecv, model.RecvFrom, model.RecvMsg, model.RecvMmsg))
	}
}

func (d *drawer) drawClose(p int32) {
	d.do(p, model.Close, d.fd(p, append([]string{"epoll", "unix", "listening", "connecting", "new"}, conns...)...))
}

// drawShutdown leaves a fresh socket alone: what its bits do to a later connection to itself is not modelled.
func (d *drawer) drawShutdown(p int32) {
	if fd := d.tcp(p); d.state.Place(p, fd) != "new" {
		d.do(p, model.Shutdown, fd, d.pick(1, 0, 2, 1))
	}
}

var pollEvents = []int32{syscall.EPOLLIN, syscall.EPOLLOUT, syscall.EPOLLIN | syscall.EPOLLOUT, syscall.EPOLLRDHUP, 0,
	syscall.EPOLLIN | syscall.EPOLLRDHUP, syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDNORM | syscall.EPOLLWRNORM,
	syscall.EPOLLPRI, syscall.EPOLLPRI | syscall.EPOLLIN, syscall.EPOLLPRI | syscall.EPOLLOUT | syscall.EPOLLRDHUP,
	syscall.EPOLLRDNORM, syscall.EPOLLWRNORM, syscall.EPOLLRDBAND | syscall.EPOLLWRBAND}

func (d *drawer) drawPoll(p int32) {
	fd2, ms := int32(-1), int32(0)
	if d.chance(40) {
		fd2 = d.fd(p, append([]string{"epoll", "listening"}, conns...)...)
	}
	if d.sleepy {
		ms = d.pick(-1, 0, 2)
	}
	d.do(p, model.Poll, d.tcp(p), d.pick(pollEvents...), fd2, d.pick(pollEvents...), ms, d.waiting(model.Poll, p))
}

func (d *drawer) drawEpCreate(p int32) { d.do(p, model.EpCreate, d.pick(0, cloexec)) }

func (d *drawer) drawEpCtl(p int32) {
	places := append([]string{"listening", "connecting", "new", "epoll", "unix"}, conns...)
	ep, fd := d.fd(p, "epoll"), d.fd(p, places...)
	events := d.pick(pollEvents...)
	const et, oneshot, exclusive = -1 << 31, 1 << 30, 1 << 28
	events |= d.pick(0, et, et, oneshot, et|oneshot, 0, exclusive)
	d.do(p, model.EpCtl, ep, d.pick(syscall.EPOLL_CTL_ADD, syscall.EPOLL_CTL_ADD, syscall.EPOLL_CTL_MOD, syscall.EPOLL_CTL_DEL), fd, events)
}

func (d *drawer) drawEpWait(p int32) {
	ms := int32(0)
	if d.sleepy {
		ms = d.pick(-1, 0, 2)
	}
	d.do(p, model.EpWait, d.fd(p, "epoll"), d.pick(8, 8, 1), ms, d.waiting(model.EpWait, p))
}

func (d *drawer) drawDup(p int32) {
	fd := d.fd(p, append([]string{"listening", "epoll"}, conns...)...)
	switch d.pick(0, 1, 2) {
	case 0:
		d.do(p, model.Dup, fd)
	case 1:
		d.do(p, model.Dup3, fd, d.between(3, 12), d.pick(0, cloexec))
	case 2:
		d.do(p, model.DupFD, fd, d.between(3, 14), d.pick(0, 1))
	}
}

func (d *drawer) drawFlags(p int32) {
	fd := d.tcp(p)
	switch d.pick(0, 1, 2, 3) {
	case 0:
		d.do(p, model.SetFL, fd, d.pick(nonblock, 0))
	case 1:
		d.do(p, model.GetFL, fd)
	case 2:
		d.do(p, model.SetFD, fd, d.pick(0, 1))
	case 3:
		d.do(p, model.GetFD, fd)
	}
}

// values are what options are set to.
var values = map[model.Option][]int32{
	model.OptLinger0: {0, 1}, model.OptReuseAddr: {0, 1}, model.OptNoDelay: {0, 1}, model.OptCork: {0, 1}, model.OptKeepAlive: {0, 1},
	model.OptOOBInline: {0, 1}, model.OptRcvTimeo: {0, 8}, model.OptSndTimeo: {0, 8}, model.OptRcvLowat: {1, 2, 50}, model.OptLinger: {0, 1},
	model.OptSndBuf: {100_000, 200_000}, model.OptRcvBuf: {100_000, 200_000}, model.OptKeepIdle: {30, 7200}, model.OptKeepIntvl: {10, 75},
	model.OptKeepCnt: {3, 9}, model.OptUserTimeout: {0, 30_000}, model.OptPriority: {0, 3},
	model.OptBusyPoll: {0, 50}, model.OptDontRoute: {0, 1}, model.OptBroadcast: {0, 1}, model.OptPacing: {1 << 30, 2_000_000_000},
	model.OptMaxSeg: {0, 1000}, model.OptQuickAck: {0, 1}, model.OptUnsent: {0, 1 << 30}, model.OptSynCount: {3, 6}, model.OptLinger2: {30, 60},
	model.OptThin: {0, 1}, model.OptSaveSyn: {0, 1}, model.OptFastOpen: {0, 5}, model.OptTOS: {0, 16}, model.OptTTL: {64, 5},
	model.OptDiscover: {syscall.IP_PMTUDISC_WANT, syscall.IP_PMTUDISC_DO}, model.OptFreeBind: {0, 1}, model.OptRecvErr: {0, 1}, model.OptNoPort: {0, 1}, model.OptReusePort: {0, 1},
}

func (d *drawer) drawOption(p int32) {
	fd, opt := d.tcp(p), d.between(0, model.Options-1)
	if d.chance(int(d.urgent)) {
		opt = model.OptOOBInline
	}
	readOnly := model.ReadOnly(opt)
	if opt == model.OptReusePort { // which of several listeners gets a connection is not modelled
		readOnly = !slices.Contains(conns, d.state.Place(p, fd))
	}
	if opt == model.OptOOBInline { // makes bytes readable and wakes nobody
		readOnly = len(d.state.Sleepers()) > 0
	}
	if readOnly || d.chance(30) {
		d.do(p, model.GetOpt, fd, opt)
		return
	}
	d.do(p, model.SetOpt, fd, opt, d.pick(values[opt]...))
}

func (d *drawer) drawAsk(p int32) {
	if fd := d.tcp(p); d.chance(50) {
		d.do(p, model.Name, fd, d.pick(0, 1))
	} else {
		d.do(p, model.Inq, fd, d.pick(0, 1))
	}
}

func (d *drawer) drawSetup(p int32) {
	addr := d.pick(0, 0, 1, 2)
	switch d.pick(0, 1, 2, 3, 4) {
	case 0:
		d.do(p, model.Socket, d.pick(nonblock, 0), d.family())
	case 1:
		d.do(p, model.Bind, d.fd(p, "new"), addr)
	case 2:
		d.do(p, model.Listen, d.fd(p, "new", "listening"), d.pick(4, 1, 0))
	case 3:
		if d.chance(30) && len(d.state.Sleepers()) == 0 {
			d.do(p, model.Connect, d.fd(p, append([]string{"listening", "connecting"}, conns...)...), model.Unspec)
			return
		}
		d.do(p, model.Connect, d.fd(p, "new", "connecting", "established", "failed"), addr)
	case 4:
		d.do(p, model.Accept, d.fd(p, "listening"), d.pick(nonblock, 0))
	}
}

func (d *drawer) drawProcess(p int32) {
	switch d.pick(0, 1, 2) {
	case 0:
		if child := d.state.Born(); child < maxProcs {
			d.do(p, model.Fork, child, d.form(model.Fork, 30))
		}
	case 1:
		d.do(p, model.Exec)
	case 2:
		if len(d.state.Procs()) > 1 {
			d.do(p, model.Exit)
		}
	}
}

func (d *drawer) drawSignal(p int32) {
	if d.chance(50) {
		target := d.between(0, d.state.Born()-1)
		d.do(p, model.Kill, target, d.pick(int32(syscall.SIGUSR1), int32(syscall.SIGUSR1), int32(syscall.SIGKILL)))
		return
	}
	d.do(p, model.SigAct, d.pick(int32(syscall.SIGUSR1), int32(syscall.SIGPIPE)), d.pick(model.SigHandler, model.SigRestart, model.SigIgnore, model.SigDefault))
}

func (d *drawer) drawRest(p int32) { d.do(p, model.Rest, 50) }

func (d *drawer) drawRights(p int32) {
	switch d.pick(0, 1, 2) {
	case 0:
		d.do(p, model.Pair, d.pick(0, cloexec))
	case 1:
		if what := d.conn(p); d.state.Place(p, what) != "unix" {
			d.do(p, model.Pass, d.fd(p, "unix"), what)
		}
	case 2:
		d.do(p, model.Take, d.fd(p, "unix"), d.pick(0, 1))
	}
}
