package model

import (
	"fmt"
	"strconv"
	"strings"
)

// Kind names an operation.
type Kind int32

// The operations. Their arguments, in the order of Op.Arg, are in kinds.
const (
	Socket Kind = iota
	Bind
	Listen
	Connect
	Accept
	Send
	Recv
	Shutdown
	Close
	Dup
	Dup3
	DupFD
	SetFL
	GetFL
	SetFD
	GetFD
	SetOpt
	GetOpt
	Inq
	Name
	Poll
	EpCreate
	EpCtl
	EpWait
	Fork
	Exec
	Exit
	Kill
	SigAct
	Pair
	Pass
	Take
	Rest
	Kinds // their number
)

// kinds gives the name of each operation and of its arguments.
var kinds = [Kinds]struct {
	name string
	args []string
}{
	Socket:   {"socket", []string{"flags", "family"}},        // SOCK_NONBLOCK, SOCK_CLOEXEC; a Family
	Bind:     {"bind", []string{"fd", "addr"}},               // addr: one of the program's addresses
	Listen:   {"listen", []string{"fd", "backlog"}},          //
	Connect:  {"connect", []string{"fd", "addr"}},            // or Unspec
	Accept:   {"accept", []string{"fd", "flags"}},            //
	Send:     {"send", []string{"fd", "n", "flags", "form"}}, // the bytes are named by the operation: Op.ID
	Recv:     {"recv", []string{"fd", "n", "flags", "form"}}, //
	Shutdown: {"shutdown", []string{"fd", "how"}},            //
	Close:    {"close", []string{"fd"}},                      //
	Dup:      {"dup", []string{"fd"}},                        //
	Dup3:     {"dup3", []string{"fd", "to", "flags"}},        //
	DupFD:    {"dupfd", []string{"fd", "min", "cloexec"}},
	SetFL:    {"setfl", []string{"fd", "flags"}}, // F_SETFL: O_NONBLOCK or 0
	GetFL:    {"getfl", []string{"fd"}},          // O_NONBLOCK or 0
	SetFD:    {"setfd", []string{"fd", "flags"}},
	GetFD:    {"getfd", []string{"fd"}},
	SetOpt:   {"setopt", []string{"fd", "opt", "value"}},                         // opt: an Option
	GetOpt:   {"getopt", []string{"fd", "opt"}},                                  //
	Inq:      {"inq", []string{"fd", "mark"}},                                    // FIONREAD, or SIOCATMARK
	Name:     {"name", []string{"fd", "peer"}},                                   // getsockname, getpeername: the address, AnyPort
	Poll:     {"poll", []string{"fd", "events", "fd2", "events2", "ms", "form"}}, // fd2 < 0: one descriptor
	EpCreate: {"epcreate", []string{"flags"}},
	EpCtl:    {"epctl", []string{"ep", "op", "fd", "events"}}, // the user's data is the descriptor
	EpWait:   {"epwait", []string{"ep", "max", "ms", "form"}},
	Fork:     {"fork", []string{"child", "form"}}, // the child is that process
	Exec:     {"exec", nil},                       // of the same interpreter
	Exit:     {"exit", nil},
	Kill:     {"kill", []string{"proc", "sig"}},
	SigAct:   {"sigact", []string{"sig", "how"}}, // how: a Disposition
	Pair:     {"pair", []string{"flags"}},        // socketpair(AF_UNIX, SOCK_SEQPACKET); the second is the first + 1 or later
	Pass:     {"pass", []string{"fd", "what"}},   // SCM_RIGHTS
	Take:     {"take", []string{"fd", "flags"}},
	Rest:     {"rest", []string{"us"}}, // the process does nothing for a while
}

// MaxArgs is the largest number of arguments.
const MaxArgs = 6

// Disposition of a signal.
type Disposition = int32

// The dispositions.
const (
	SigDefault Disposition = iota
	SigIgnore
	SigHandler // without SA_RESTART
	SigRestart // a handler with SA_RESTART
	Dispositions
)

// Op is an operation of one process. ID is its place in the program, from 1.
type Op struct {
	ID   int32
	Proc int32
	Kind Kind
	Arg  [MaxArgs]int32
}

func (k Kind) String() string { return kinds[k].name }

// Args is how many arguments the operation has.
func (k Kind) Args() int { return len(kinds[k].args) }

// String is one line: "2 send fd=3 n=10 flags=0".
func (o Op) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d %s", o.Proc, o.Kind)
	for i, name := range kinds[o.Kind].args {
		fmt.Fprintf(&b, " %s=%d", name, o.Arg[i])
	}
	return b.String()
}

// ParseOp is the inverse of String; the ID is the caller's. Arguments left out at the end are 0.
func ParseOp(line string) (Op, error) {
	f := strings.Fields(line)
	if len(f) < 2 {
		return Op{}, fmt.Errorf("%q is not an operation", line)
	}
	proc, err := strconv.ParseInt(f[0], 10, 32)
	if err != nil {
		return Op{}, fmt.Errorf("%q: no process: %w", line, err)
	}
	for k := range Kinds {
		if kinds[k].name != f[1] {
			continue
		}
		op := Op{Proc: int32(proc), Kind: k}
		if len(f)-2 > k.Args() {
			return Op{}, fmt.Errorf("%q: %s takes %v", line, k, kinds[k].args)
		}
		for i, field := range f[2:] {
			name := kinds[k].args[i]
			value, ok := strings.CutPrefix(field, name+"=")
			n, err := strconv.ParseInt(value, 10, 32)
			if !ok || err != nil {
				return Op{}, fmt.Errorf("%q: want %s=number", line, name)
			}
			op.Arg[i] = int32(n)
		}
		return op, nil
	}
	return Op{}, fmt.Errorf("%q: no operation %q", line, f[1])
}
