package trace

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// importer turns the calls of a strace log into records.
type importer struct {
	w       *Writer
	process map[uint32]uint32 // of each thread
	held    map[uint32]*call  // the last call of each thread: its end may not be known before the next
	last    map[uint32]int64  // end of what each thread has recorded
	ids     map[string]uint64 // by what -y or -yy says of a descriptor
	fresh   map[string]bool   // descriptors of processes that have called connect since they were used
	tcp     map[string]bool
	serial  uint64 // ids are unique among imports, unless names of files collide in 31 bits
	calls   int
}

// Import converts a log of strace -f -ttt with -yy (or -y: then the ends of connections are not known
// to belong together), best with -T and -s. Memory: one call for each thread, one entry for each socket.
func Import(log io.Reader, path string) (calls int, err error) {
	w, err := Create(path, Header{Imported: true, Command: []string{"strace"}})
	if err != nil {
		return 0, err
	}
	im := &importer{
		w: w, process: map[uint32]uint32{}, held: map[uint32]*call{}, last: map[uint32]int64{},
		serial: uint64(crc(0, []byte(path))>>1) << 32, ids: map[string]uint64{}, fresh: map[string]bool{}, tcp: map[string]bool{},
	}
	return im.calls, errors.Join(im.read(log), w.Close())
}

func (im *importer) read(log io.Reader) error {
	s := &strace{waiting: map[uint32]string{}, began: map[uint32]int64{}}
	in := bufio.NewReaderSize(log, 1<<20)
	for n := 1; ; n++ {
		text, err := in.ReadString('\n')
		if text = strings.TrimRight(text, "\n"); text != "" && !strings.HasPrefix(text, "strace: ") {
			c, err := s.line(text)
			if err == nil && c != nil {
				err = im.take(c)
			}
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	for _, c := range im.held {
		if err := im.put(c, max(c.start, c.end)); err != nil {
			return err
		}
	}
	return nil
}

// take records the call before, whose end is at this one's start at the latest.
func (im *importer) take(c *call) error {
	if _, known := im.process[c.tid]; !known {
		im.process[c.tid] = c.tid
	}
	im.children(c)
	if before := im.held[c.tid]; before != nil {
		if err := im.put(before, c.start); err != nil {
			return err
		}
	}
	im.held[c.tid] = c
	return nil
}

// children notes which threads are of one process.
func (im *importer) children(c *call) {
	if (c.name == "clone" || c.name == "clone3") && c.result > 0 && strings.Contains(strings.Join(c.args, " "), "CLONE_THREAD") {
		im.process[uint32(c.result)] = im.process[c.tid]
	}
}

func (im *importer) put(c *call, latest int64) error {
	// Not what -T says: strace may have been off the processor between its two looks at the clock before
	// the call, and then the call ended later than that.
	c.end = latest
	// Times are rounded: a call does not begin before the last one's end.
	c.start = max(c.start, im.last[c.tid])
	c.end = max(c.end, c.start)
	r := Record{Start: c.start, End: c.end, Result: c.result, FD: -1}
	if c.unknown && c.name != "exit_group" || !im.fill(&r, c) {
		return nil
	}
	im.calls++
	return im.record(c.tid, &r)
}

func (im *importer) record(tid uint32, r *Record) error {
	im.last[tid] = max(im.last[tid], r.Start)
	if r.Op != Names {
		im.last[tid] = max(im.last[tid], r.End)
	}
	return im.w.Put(im.process[tid], tid, r)
}

var described = regexp.MustCompile(`^(-?\d+)(?:<(.*)>)?$`)

// socket is the descriptor of an argument and the id of its TCP socket, 0 if it is anything else.
func (im *importer) socket(c *call, arg string) (fd int32, id uint64) {
	m := described.FindStringSubmatch(arg)
	if m == nil {
		return -1, 0
	}
	n, _ := strconv.ParseInt(m[1], 10, 32)
	return int32(n), im.id(c, int32(n), m[2], Unknown)
}

func (im *importer) id(c *call, fd int32, what string, how uint32) uint64 {
	local, remote, connected := endpoints(what)
	if !connected && !strings.HasPrefix(what, "TCP") && !im.tcp[what] {
		return 0
	}
	key := fmt.Sprintf("%d %d", im.process[c.tid], fd)
	if connected && im.fresh[key] && how == Unknown {
		how = ByConnect
	}
	id, known := im.ids[what]
	if !known || connected && how != Unknown {
		im.serial++
		id = im.serial
		im.ids[what] = id
		if connected {
			names := Record{Op: Names, Start: max(c.start, im.last[c.tid]), ID: id, Local: local, Remote: remote, How: how}
			if err := im.record(c.tid, &names); err != nil {
				return 0
			}
		}
	}
	if connected {
		delete(im.fresh, key)
	}
	return id
}

// endpoints reads TCP:[1.2.3.4:5->6.7.8.9:10] or TCPv6:[[::1]:5->[::1]:10].
func endpoints(what string) (local, remote netip.AddrPort, ok bool) {
	_, inner, _ := strings.Cut(what, ":[")
	a, b, found := strings.Cut(strings.TrimSuffix(inner, "]"), "->")
	if !found || !strings.HasPrefix(what, "TCP") {
		return local, remote, false
	}
	local, err1 := netip.ParseAddrPort(a)
	remote, err2 := netip.ParseAddrPort(b)
	unmap := func(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
	return unmap(local), unmap(remote), err1 == nil && err2 == nil
}

// fill makes the record of a call; false: it is not one of a TCP socket.
func (im *importer) fill(r *Record, c *call) bool {
	switch c.name {
	case "exit_group":
		r.Op, r.Result = End, 0
		return true
	case "fork", "vfork", "clone", "clone3", "+++", "---":
		return false
	case "socket":
		if !strings.HasPrefix(c.args[0], "AF_INET") || len(c.args) < 3 || !strings.Contains(c.args[1], "SOCK_STREAM") || c.result < 0 {
			return false
		}
		im.tcp[c.returned] = true
		delete(im.ids, c.returned)
		r.Op, r.ID = Socket, im.id(c, int32(c.result), c.returned, Unknown)
		return true
	}
	if r.FD, r.ID = im.socket(c, c.args[0]); r.ID == 0 {
		return false
	}
	arg := func(i int) string {
		if i < len(c.args) {
			return c.args[i]
		}
		return ""
	}
	switch c.name {
	case "connect":
		r.Op = Connect
		im.fresh[fmt.Sprintf("%d %d", im.process[c.tid], r.FD)] = true
	case "accept", "accept4":
		r.Op = Accept
		if c.result >= 0 {
			im.tcp[c.returned] = true
			r.Arg = im.id(c, int32(c.result), c.returned, ByAccept)
		}
	case "bind":
		r.Op = Bind
	case "listen":
		r.Op = Listen
	case "close":
		r.Op = Close
	case "shutdown":
		r.Op, r.Arg = Shutdown, map[string]uint64{"SHUT_RD": syscall.SHUT_RD, "SHUT_WR": syscall.SHUT_WR}[arg(1)]
		if arg(1) == "SHUT_RDWR" {
			r.Arg = syscall.SHUT_RDWR
		}
	case "dup", "dup2", "dup3":
		r.Op, r.Arg = Dup, ^uint64(0)
	case "getsockopt":
		if r.Op = GetSockOpt; arg(1) == "SOL_SOCKET" && arg(2) == "SO_ERROR" {
			r.Arg = syscall.SOL_SOCKET<<32 | syscall.SO_ERROR
			if name := strings.Trim(arg(3), "[]"); name != "0" {
				r.Flags = uint32(errnoOf(name))
			}
		}
	case "write", "sendto", "writev", "sendmsg", "pwritev2":
		r.Op = Send
		im.bytes(r, c, arg)
	case "read", "recvfrom", "readv", "recvmsg", "preadv2":
		r.Op = Recv
		im.bytes(r, c, arg)
	case "sendfile":
		r.Op, r.Arg = SendFile, number(arg(3))
	default:
		return false
	}
	return true
}

// bytes fills in what moved, of the calls that move bytes.
func (im *importer) bytes(r *Record, c *call, arg func(int) string) {
	switch c.name {
	case "write", "read", "sendto", "recvfrom":
		r.Arg = number(arg(2))
	}
	switch c.name {
	case "sendto", "recvfrom":
		r.Flags = messageBits(arg(3))
	case "sendmsg", "recvmsg":
		r.Flags = messageBits(arg(2))
	}
	if c.result > 0 {
		if b, ok := payload(iovecs(arg(1)), c.result); ok {
			r.Sum, r.Bits = crc(0, b), HasSum
		}
	}
}

// iovecs leaves out what else is quoted in a msghdr: addresses.
func iovecs(arg string) string {
	if at := strings.Index(arg, "msg_iov=["); at >= 0 {
		return arg[at:]
	}
	return arg
}

func number(s string) uint64 {
	n, _ := strconv.ParseUint(s, 0, 64)
	return n
}

func messageBits(s string) (flags uint32) {
	for name := range strings.SplitSeq(s, "|") {
		for _, f := range messageFlags {
			if f.name == name {
				flags |= f.value
			}
		}
		if name == "MSG_CMSG_CLOEXEC" {
			flags |= unix.MSG_CMSG_CLOEXEC
		}
	}
	return flags
}
