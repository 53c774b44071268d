package differ

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/socksdirect/libsd/model"
)

// aspects names what is particular about an operation: its call, its flags, its option. Each has been
// drawn by enough programs, or is left out on purpose.
func aspects(op model.Op) (names []string) {
	say := func(format string, args ...any) { names = append(names, fmt.Sprintf(format, args...)) }
	if forms := model.Forms[op.Kind]; forms != nil {
		say("%v: %s", op.Kind, forms[op.Form()])
	}
	for _, f := range flagsOf[op.Kind] {
		if op.Arg[f.arg]&f.bit != 0 && !op.FlagLess() {
			say("%v: %s", op.Kind, f.name)
		}
	}
	switch op.Kind {
	case model.SetOpt, model.GetOpt:
		say("%v: %s", op.Kind, model.OptionNames[op.Arg[1]])
	case model.Socket:
		say("socket: %s", model.Families[op.Arg[1]])
	case model.Connect:
		if op.Arg[1] == model.Unspec {
			say("connect: AF_UNSPEC")
		}
	}
	return names
}

type flagBit struct {
	arg  int
	bit  int32
	name string
}

var flagsOf = map[model.Kind][]flagBit{
	model.Send: {{2, syscall.MSG_DONTWAIT, "MSG_DONTWAIT"}, {2, syscall.MSG_NOSIGNAL, "MSG_NOSIGNAL"}, {2, msgMore, "MSG_MORE"}, {2, syscall.MSG_OOB, "MSG_OOB"},
		{2, syscall.MSG_DONTROUTE, "MSG_DONTROUTE"}, {2, syscall.MSG_EOR, "MSG_EOR"}, {2, syscall.MSG_CONFIRM, "MSG_CONFIRM"}},
	model.Recv: {{2, syscall.MSG_DONTWAIT, "MSG_DONTWAIT"}, {2, syscall.MSG_PEEK, "MSG_PEEK"}, {2, syscall.MSG_WAITALL, "MSG_WAITALL"}, {2, syscall.MSG_TRUNC, "MSG_TRUNC"}, {2, syscall.MSG_OOB, "MSG_OOB"},
		{2, syscall.MSG_ERRQUEUE, "MSG_ERRQUEUE"}, {2, syscall.MSG_CONFIRM, "MSG_CONFIRM"}},
	model.EpCtl: {{3, -1 << 31, "EPOLLET"}, {3, 1 << 30, "EPOLLONESHOT"}, {3, 1 << 28, "EPOLLEXCLUSIVE"},
		{3, syscall.EPOLLIN, "EPOLLIN"}, {3, syscall.EPOLLOUT, "EPOLLOUT"}, {3, syscall.EPOLLRDHUP, "EPOLLRDHUP"}, {3, syscall.EPOLLPRI, "EPOLLPRI"}},
	model.Poll: {{1, syscall.EPOLLIN, "POLLIN"}, {1, syscall.EPOLLOUT, "POLLOUT"}, {1, syscall.EPOLLRDHUP, "POLLRDHUP"}, {1, syscall.EPOLLPRI, "POLLPRI"}},
	model.Inq:  {{1, 1, "SIOCATMARK"}},
}

const msgMore = 0x8000

// all are the aspects that there are.
func all() (names []string) {
	for k := range model.Kinds {
		for form := range max(1, len(model.Forms[k])) {
			op := model.Op{Kind: k}
			if model.Forms[k] != nil {
				op.Arg[k.Args()-1] = int32(form)
			}
			for _, f := range flagsOf[k] {
				op.Arg[f.arg] |= f.bit
			}
			names = append(names, aspects(op)...)
		}
	}
	for o := range model.Options {
		names = append(names, aspects(model.Op{Kind: model.GetOpt, Arg: [model.MaxArgs]int32{0, o}})...)
		if !model.ReadOnly(o) {
			names = append(names, aspects(model.Op{Kind: model.SetOpt, Arg: [model.MaxArgs]int32{0, o}})...)
		}
	}
	names = append(names, aspects(model.Op{Kind: model.Socket, Arg: [model.MaxArgs]int32{0, model.Dual}})...)
	return append(names, aspects(model.Op{Kind: model.Connect, Arg: [model.MaxArgs]int32{0, model.Unspec}})...)
}

// reportAspects prints how often each was drawn; it fails for one that enough programs never drew.
func (c *coverage) reportAspects(t *testing.T, st style, enough bool) {
	var b strings.Builder
	told := map[string]bool{}
	for _, name := range all() {
		if told[name] {
			continue
		}
		told[name] = true
		fmt.Fprintf(&b, "%8s  %s\n", number(c.aspects[name]), name)
		if enough && c.aspects[name] == 0 && !st.without[name] {
			t.Errorf("no program has %s", name)
		}
	}
	t.Log("\n" + b.String())
}
