package model

import "syscall"

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
	Options
)

// OptionNames are their names.
var OptionNames = [Options]string{
	"SO_LINGER 0", "SO_RCVTIMEO", "SO_SNDTIMEO", "SO_RCVLOWAT", "SO_REUSEADDR", "SO_ERROR", "SO_ACCEPTCONN", "SO_LINGER",
	"TCP_NODELAY", "TCP_CORK", "SO_SNDBUF", "SO_RCVBUF", "SO_KEEPALIVE", "TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT",
	"TCP_USER_TIMEOUT", "SO_OOBINLINE", "SO_PRIORITY", "SO_DOMAIN", "SO_TYPE", "SO_PROTOCOL",
}

// ReadOnly tells whether an option cannot be set.
func ReadOnly(o Option) bool { return o == OptError || o == OptAccepting || o >= OptDomain }

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
	o[OptDomain], o[OptType], o[OptProtocol] = syscall.AF_INET, syscall.SOCK_STREAM, syscall.IPPROTO_TCP
	if family == Dual {
		o[OptDomain] = syscall.AF_INET6
	}
	return o
}

// inherited are those of a connection that a listener accepts.
func (o options) inherited() options {
	o[OptPriority] = 0
	return o
}

func (n step) setOpt() []Branch {
	e, errno := n.tcpOf(n.p, n.op.Arg[0])
	if errno != 0 {
		return n.fail(errno)
	}
	end, opt, v := &n.ends[e], n.op.Arg[1], n.op.Arg[2]
	end.opt[opt] = v
	switch opt {
	case OptLinger0, OptLinger:
		end.opt[OptLinger0+OptLinger-opt] = 0
	case OptSndBuf, OptRcvBuf:
		end.opt[opt] = 2 * v
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
	case (opt == OptSndBuf || opt == OptRcvBuf) && end.opt[opt] == 0: // the kernel adapts it
		b := n.branch(most)
		b.Lo = 1
		return []Branch{b}
	}
	return n.one(end.opt[opt])
}
