package model

import (
	"math"
	"syscall"
)

// Option names a socket option.
type Option = int32

// The options: SetOpt's value is in the unit given.
const (
	OptLinger0     Option = iota // 1: SO_LINGER on with 0 s; 0: off
	OptRcvTimeo                  // ms, 0: none
	OptSndTimeo                  // ms, 0: none
	OptRcvLowat                  // bytes
	OptReuseAddr                 // 0, 1
	OptError                     // SO_ERROR, read only
	OptAccepting                 // SO_ACCEPTCONN, read only
	OptLinger                    // s; 0: off
	OptNoDelay                   // 0, 1; as OptCork, without effect: who runs a program pushes what it has sent
	OptCork                      // 0, 1
	OptSndBuf                    // bytes; not so few that they would limit what is certain
	OptRcvBuf                    // bytes, likewise
	OptKeepAlive                 // 0, 1
	OptKeepIdle                  // s
	OptKeepIntvl                 // s
	OptKeepCnt                   //
	OptUserTimeout               // ms
	OptOOBInline                 // 0, 1
	OptPriority                  //
	OptDomain                    // read only, as the next two
	OptType                      //
	OptProtocol                  //
	OptBusyPoll                  // µs
	OptDontRoute                 // 0, 1
	OptBroadcast                 // 0, 1
	OptPacing                    // bytes a second; not so few that they would delay anything; MaxInt32: no limit
	OptMaxSeg                    // bytes, 0: the kernel's
	OptQuickAck                  // 0, 1: the kernel turns it off and on
	OptUnsent                    // TCP_NOTSENT_LOWAT, bytes; so many that it limits nothing
	OptSynCount                  //
	OptLinger2                   // s
	OptThin                      // TCP_THIN_LINEAR_TIMEOUTS: 0, 1
	OptSaveSyn                   // 0, 1
	OptFastOpen                  // how many connections may wait in that way; nobody connects so here
	OptState                     // of TCP_INFO, read only
	OptTOS                       //
	OptTTL                       //
	OptDiscover                  // IP_MTU_DISCOVER
	OptFreeBind                  // 0, 1
	OptRecvErr                   // IP_RECVERR: 0, 1
	OptNoPort                    // IP_BIND_ADDRESS_NO_PORT: 0, 1
	OptReusePort                 // 0, 1
	Options
)

// OptionNames are their names.
var OptionNames = [Options]string{
	"SO_LINGER 0", "SO_RCVTIMEO", "SO_SNDTIMEO", "SO_RCVLOWAT", "SO_REUSEADDR", "SO_ERROR", "SO_ACCEPTCONN", "SO_LINGER",
	"TCP_NODELAY", "TCP_CORK", "SO_SNDBUF", "SO_RCVBUF", "SO_KEEPALIVE", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT",
	"TCP_USER_TIMEOUT", "SO_OOBINLINE", "SO_PRIORITY", "SO_DOMAIN", "SO_TYPE", "SO_PROTOCOL",
	"SO_BUSY_POLL", "SO_DONTROUTE", "SO_BROADCAST", "SO_MAX_PACING_RATE", "TCP_MAXSEG", "TCP_QUICKACK",
	"TCP_NOTSENT_LOWAT", "TCP_SYNCNT", "TCP_LINGER2", "TCP_THIN_LINEAR_TIMEOUTS", "TCP_SAVE_SYN", "TCP_FASTOPEN", "TCP_INFO",
	"IP_TOS", "IP_TTL", "IP_MTU_DISCOVER", "IP_FREEBIND", "IP_RECVERR", "IP_BIND_ADDRESS_NO_PORT", "SO_REUSEPORT",
}

// ReadOnly tells whether an option cannot be set.
func ReadOnly(o Option) bool {
	switch o {
	case OptError, OptAccepting, OptDomain, OptType, OptProtocol, OptState:
		return true
	}
	return false
}

// Families of sockets. All addresses are IPv4; to a socket of Dual they are mapped to IPv6.
const (
	Inet int32 = iota
	Dual
)

// Families are their names.
var Families = []string{"AF_INET", "AF_INET6 with mapped addresses"}

// options are the values of a socket's options that are nothing but values.
type options [Options]int32

// fresh are a new socket's.
func fresh(family int32) (o options) {
	o[OptRcvLowat], o[OptNoDelay] = 1, 1 // the latter is set at once
	o[OptKeepIdle], o[OptKeepIntvl], o[OptKeepCnt] = 7200, 75, 9
	o[OptPacing], o[OptSynCount], o[OptLinger2] = math.MaxInt32, 6, 60
	o[OptTTL], o[OptDiscover] = 64, syscall.IP_PMTUDISC_WANT
	o[OptDomain], o[OptType], o[OptProtocol] = syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_TCP
	if family == Dual {
		o[OptDomain] = syscall.AF_INET6
	}
	return o
}

// inherited are those of a connection that a listener accepts.
func (o options) inherited() options {
	o[OptPriority], o[OptFastOpen] = 0, 0
	return o
}

// tosPriority is what SO_PRIORITY becomes by another IP_TOS.
var tosPriority = map[int32]int32{0: 0, 0x10: 6}

func (n step) setOpt() []Branch {
	e, errno := n.tcpOf(n.p, n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	end, opt, v := &n.ends[e], n.op.Arg[1], n.op.Arg[2]
	if opt == OptFastOpen && end.tcp != closed && end.tcp != listening {
		return n.fail(einval)
	}
	was := end.opt[opt]
	end.opt[opt] = v
	switch opt {
	case OptTOS:
		if v != was {
			end.opt[OptPriority] = tosPriority[v]
		}
	case OptLinger0, OptLinger:
		end.opt[OptLinger0+OptLinger-opt] = 0
	case OptSndBuf:
		end.opt[opt] = 2 * v
		n.roomSet(e)
	case OptRcvBuf:
		end.opt[opt] = 2 * v
	case OptUnsent:
		n.roomSet(e)
	case OptRcvLowat:
		end.opt[opt] = max(v, 1)
		switch { // tcp_set_rcvlowat looks for data that is enough now
		case end.done || end.sure >= end.opt[opt]:
			n.wake(e, in)
		case len(end.rx) > 0:
			n.perhaps(e, in)
		}
	}
	return n.one(0)
}

// roomSet: sk_stream_write_space looks whether there is room now, and does not ask whether there was.
func (s *State) roomSet(e int32) {
	const out = evOut | evWrNorm
	switch must, may := s.tcpMask(&s.ends[e]); {
	case must&out != 0:
		s.wake(e, out)
	case may&out != 0:
		s.perhaps(e, out)
	}
}

func (n step) getOpt() []Branch {
	e, errno := n.tcpOf(n.p, n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	end, opt := &n.ends[e], n.op.Arg[1]
	switch {
	case opt == OptError:
		errno, end.err = end.err, 0
		return n.one(errno)
	case opt == OptAccepting:
		return n.one(truth(end.tcp == listening))
	}
	if lo, hi, ok := n.adapted(end, opt); ok {
		b := n.branch(hi)
		b.Lo = lo
		return []Branch{b}
	}
	return n.one(end.opt[opt])
}

// adapted is the range of an option whose value the kernel chooses; ok if it is one.
func (s *State) adapted(e *endpoint, opt Option) (lo, hi int32, ok bool) {
	switch v := e.opt[opt]; {
	case (opt == OptSndBuf || opt == OptRcvBuf) && v == 0:
		return 1, most, true
	case opt == OptMaxSeg: // of the segments there are; tcp_disconnect, of a listener too, forgets what was set
		return 48, 65_535, true
	case opt == OptQuickAck:
		return 0, 1, true
	case opt == OptState:
		state := tcpInfo[e.tcp]
		if e.tcp == finWait { // the peer may take its time to acknowledge
			return finWait1, state, true
		}
		return state, state, true
	}
	return 0, 0, false
}

// tcpInfo is what TCP_INFO calls a state, when what was sent has been acknowledged.
var tcpInfo = [tcpStates]int32{closed: 7, listening: 10, synSent: 2, established: 1, finWait: finWait1 + 1, closeWait: 8, lastAck: 9, closing: 11}

const finWait1 = 4
