package trace

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Print writes the history as strace would: process, time since the first event, call, result, and
// how long it took.
func (t *Trace) Print(w io.Writer) error {
	for _, f := range t.Files {
		if _, err := fmt.Fprintf(w, "# %s: process %d: %s\n", f.Path, f.PID, strings.Join(f.Command, " ")); err != nil {
			return err
		}
	}
	first := int64(-1)
	err := t.Walk(func(e *Event) error {
		if first < 0 {
			first = e.Start
		}
		_, err := fmt.Fprintf(w, "%d %d/%d %s %s\n", e.Seq, e.PID, e.TID, seconds(e.Start-first), e.Record.String())
		return err
	})
	if n := t.Lost(); err == nil && n > 0 {
		_, err = fmt.Fprintf(w, "# %d events found no room in their files\n", n)
	}
	return err
}

func seconds(ns int64) string { return fmt.Sprintf("%d.%09d", ns/1e9, ns%1e9) }

// String is the operation as a call.
func (r *Record) String() string {
	if r.Op == Names {
		return fmt.Sprintf("names(#%d) %s -> %s %s", r.ID, r.Local, r.Remote, []string{"connected", "accepted", "found"}[min(r.How, 2)])
	}
	return fmt.Sprintf("%s(%s) = %s <%s>", r.Op, r.arguments(), r.result(), seconds(r.End-r.Start))
}

func (r *Record) result() string {
	if r.Result < 0 {
		e := syscall.Errno(-r.Result)
		return fmt.Sprintf("-1 %s (%v)", unix.ErrnoName(e), e)
	}
	if r.Bits&HasSum != 0 {
		return fmt.Sprintf("%d sum %08x", r.Result, r.Sum)
	}
	return fmt.Sprint(r.Result)
}

func (r *Record) arguments() string {
	fd := fmt.Sprintf("%d#%d", r.FD, r.ID)
	switch r.Op {
	case Start, Forked, End, EpollCreate:
		return ""
	case Send, Recv:
		if r.Flags != 0 {
			return fmt.Sprintf("%s, %d, %s", fd, r.Arg, bits(r.Flags, messageFlags))
		}
		return fmt.Sprintf("%s, %d", fd, r.Arg)
	case SendFile:
		return fmt.Sprintf("%s, %d, %d", fd, r.Aux, r.Arg)
	case Splice:
		return fmt.Sprintf("%s %s, %d", []string{"from", "to"}[r.Flags&1], fd, r.Arg)
	case Socket:
		return fmt.Sprintf("family %d, type %#x, #%d", r.Flags, r.Arg, r.ID)
	case Listen, Dup:
		return fmt.Sprintf("%s, %d", fd, int64(r.Arg))
	case Accept:
		return fmt.Sprintf("%s, %#x) gives (#%d", fd, r.Flags, r.Arg)
	case Shutdown:
		return fmt.Sprintf("%s, %s", fd, []string{"SHUT_RD", "SHUT_WR", "SHUT_RDWR", "?"}[r.Arg&3])
	case CloseRange:
		return fmt.Sprintf("%d, %d", uint32(r.Arg), uint32(r.Arg>>32))
	case Fcntl, Ioctl:
		return fmt.Sprintf("%s, %#x, %#x", fd, r.Flags, r.Arg)
	case SetSockOpt, GetSockOpt:
		return fmt.Sprintf("%s, %d, %d, %d", fd, r.Arg>>32, uint32(r.Arg), int32(r.Flags))
	case Poll:
		return fmt.Sprintf("%d sockets, %d ms", r.Arg, int32(r.Flags))
	case Ready:
		return fmt.Sprintf("%s, %s of %s", fd, bits(uint32(r.Arg>>16), events), bits(uint32(uint16(r.Arg)), events))
	case EpollCtl:
		return fmt.Sprintf("%d, %s, %s, %s, data %#x", r.Aux&(1<<28-1), []string{"?", "ADD", "DEL", "MOD"}[r.Aux>>28&3], fd, bits(r.Flags, events), r.Arg)
	case EpollWait:
		return fmt.Sprintf("%d, room %d, %d ms", r.FD, r.Arg, int32(r.Flags))
	case EpollEvent:
		return fmt.Sprintf("%d, %s, data %#x", r.FD, bits(r.Flags, events), r.Arg)
	}
	return fd
}

var messageFlags = []bit{
	{unix.MSG_OOB, "MSG_OOB"}, {unix.MSG_PEEK, "MSG_PEEK"}, {unix.MSG_TRUNC, "MSG_TRUNC"},
	{unix.MSG_DONTWAIT, "MSG_DONTWAIT"}, {unix.MSG_WAITALL, "MSG_WAITALL"}, {unix.MSG_NOSIGNAL, "MSG_NOSIGNAL"},
	{unix.MSG_MORE, "MSG_MORE"}, {unix.MSG_ERRQUEUE, "MSG_ERRQUEUE"},
}

// events of poll and epoll have the same numbers.
var events = []bit{
	{unix.POLLIN, "IN"}, {unix.POLLPRI, "PRI"}, {unix.POLLOUT, "OUT"}, {unix.POLLERR, "ERR"}, {unix.POLLHUP, "HUP"},
	{unix.POLLNVAL, "NVAL"}, {unix.POLLRDHUP, "RDHUP"}, {unix.EPOLLET, "ET"}, {unix.EPOLLONESHOT, "ONESHOT"},
	{unix.EPOLLEXCLUSIVE, "EXCLUSIVE"},
}

type bit struct {
	value uint32
	name  string
}

func bits(v uint32, names []bit) string {
	var all []string
	for _, b := range names {
		if v&b.value != 0 {
			all = append(all, b.name)
			v &^= b.value
		}
	}
	if v != 0 || len(all) == 0 {
		all = append(all, fmt.Sprintf("%#x", v))
	}
	return strings.Join(all, "|")
}

// Print writes the verdict.
func (v *Verdict) Print(w io.Writer) {
	fmt.Fprintf(w, "%d events, %d sockets, %d connections with both ends recorded\n", v.Events, v.Sockets, v.Connections)
	fmt.Fprintf(w, "%d bytes received as they were sent; %d compared by number only; %d not compared\n", v.Verified, v.Opaque, v.Unmatched)
	if v.Concurrent > 0 {
		fmt.Fprintf(w, "%d directions used by several threads at a time: judged by porcupine\n", v.Concurrent)
	}
	for _, why := range slices.Sorted(maps.Keys(v.Unjudged)) {
		fmt.Fprintf(w, "not judged whole: %d: %s\n", v.Unjudged[why], why)
	}
	if v.Torn > 0 {
		fmt.Fprintf(w, "%d records were not finished by a process that was killed\n", v.Torn)
	}
	if v.Lost > 0 {
		fmt.Fprintf(w, "WRONG %d events found no room: record with a larger --trace-limit\n", v.Lost)
	}
	for _, bad := range v.Violations {
		fmt.Fprintln(w, "WRONG", bad)
	}
	if v.OK() {
		fmt.Fprintln(w, "OK")
	}
}
