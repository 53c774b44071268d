package trace

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"net/netip"
	"strings"
)

// The layout is that of preload/trace/format.h; a test compares the two.
const (
	Version     = 2
	RecordSize  = 64
	placeSize   = 32 // a record takes two, a short one takes one
	SegmentSize = 16384
	magic       = 0x0a65636172744453 // "SDtrace\n"
	headerCheck = 56 + 1024 + 4      // offset of the header's checksum
	commandMax  = 1024
	opSegment   = 0xffff
	short       = 0x80 // in the operation of a short record
	wordAt      = 24   // offset of the operation in a record: with what follows it is written last
)

// Op is an operation. Numbers are never given to something else.
type Op uint16

// The operations; what their fields mean is in docs/trace-format.md.
const (
	Start       Op = 1
	Forked      Op = 2
	End         Op = 3
	Names       Op = 4
	Found       Op = 5
	Socket      Op = 10
	Bind        Op = 11
	Listen      Op = 12
	Connect     Op = 13
	Accept      Op = 14
	Shutdown    Op = 15
	Close       Op = 16
	CloseRange  Op = 17
	Dup         Op = 18
	Fcntl       Op = 19
	Ioctl       Op = 20
	SetSockOpt  Op = 21
	GetSockOpt  Op = 22
	Passed      Op = 23
	Fdopen      Op = 24
	Send        Op = 30
	Recv        Op = 31
	SendFile    Op = 32
	Splice      Op = 33
	Poll        Op = 40
	Ready       Op = 41
	EpollCreate Op = 42
	EpollCtl    Op = 43
	EpollWait   Op = 44
	EpollEvent  Op = 45
)

var opNames = map[Op]string{
	Start: "start", Forked: "forked", End: "end", Names: "names", Found: "found", Socket: "socket",
	Bind: "bind", Listen: "listen", Connect: "connect", Accept: "accept", Shutdown: "shutdown",
	Close: "close", CloseRange: "close_range", Dup: "dup", Fcntl: "fcntl", Ioctl: "ioctl",
	SetSockOpt: "setsockopt", GetSockOpt: "getsockopt", Passed: "passed", Fdopen: "fdopen",
	Send: "send", Recv: "recv", SendFile: "sendfile", Splice: "splice", Poll: "poll", Ready: "ready",
	EpollCreate: "epoll_create", EpollCtl: "epoll_ctl", EpollWait: "epoll_wait", EpollEvent: "epoll_event",
}

func (o Op) String() string {
	if s, ok := opNames[o]; ok {
		return s
	}
	return fmt.Sprintf("op%d", uint16(o))
}

// HasSum says that Record.Sum is the checksum of the bytes that moved.
const HasSum = 1

// How a connection came about, in a Names record.
const (
	ByConnect = 0
	ByAccept  = 1
	Unknown   = 2
)

// Record is one operation. Times are ns of CLOCK_MONOTONIC; Result is as of system calls, -errno for a
// failure. A Names record has Local, Remote and How instead of End, Result, Arg, Sum, Flags, FD and Aux.
type Record struct {
	Op            Op
	Bits          uint16
	Start, End    int64
	ID            uint64 // SO_COOKIE of the socket, 0: none
	Result        int64
	Arg           uint64
	Sum           uint32 // CRC-32C of the bytes, without inversions: Combine
	Flags         uint32
	FD            int32
	Aux           uint32
	Local, Remote netip.AddrPort
	How           uint32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc is CRC-32C without the inversions at begin and end, so that it is linear.
func crc(sum uint32, p []byte) uint32 { return ^crc32.Update(^sum, castagnoli, p) }

func (r *Record) encode(b []byte) {
	le := binary.LittleEndian
	b = b[:RecordSize]
	clear(b)
	le.PutUint64(b[0:], uint64(r.Start))
	le.PutUint64(b[8:], r.ID)
	if r.Op == Names {
		local, remote := r.Local.Addr().As16(), r.Remote.Addr().As16()
		le.PutUint16(b[16:], r.Local.Port())
		le.PutUint16(b[18:], r.Remote.Port())
		le.PutUint32(b[20:], r.How)
		copy(b[32:], local[:])
		copy(b[48:], remote[:])
	} else {
		le.PutUint64(b[16:], uint64(r.End))
		le.PutUint64(b[32:], uint64(r.Result))
		le.PutUint64(b[40:], r.Arg)
		le.PutUint32(b[48:], r.Sum)
		le.PutUint32(b[52:], r.Flags)
		le.PutUint32(b[56:], uint32(r.FD))
		le.PutUint32(b[60:], r.Aux)
	}
	le.PutUint16(b[wordAt:], uint16(r.Op))
	le.PutUint16(b[wordAt+2:], r.Bits)
	le.PutUint32(b[wordAt+4:], check(b))
}

// check is the checksum of a record: of all but itself.
func check(b []byte) uint32 { return crc(crc(0, b[:wordAt+4]), b[placeSize:]) }

// recordSize is what the finished record at the begin of b takes; 0: it is not finished.
func recordSize(b []byte) int {
	switch {
	case binary.LittleEndian.Uint64(b[wordAt:]) == 0:
		return 0
	case b[wordAt]&short != 0:
		return placeSize
	}
	return RecordSize
}

// decode appends a finished record to all, or the one or two events that share a place. Of a short one the
// times are known by when its segment was made, or are those of the record before.
func decode(all []Record, b []byte, made int64, before *Record) ([]Record, error) {
	le := binary.LittleEndian
	if le.Uint32(b[wordAt+4:]) != check(b) {
		return nil, fmt.Errorf("the record's checksum is wrong")
	}
	op := Op(le.Uint16(b[wordAt:]))
	if len(b) == placeSize {
		op = Op(b[wordAt] &^ short)
	}
	if opNames[op] == "" {
		return nil, fmt.Errorf("no operation has the number %d", op)
	}
	if len(b) == placeSize {
		return decodeShort(all, op, b, made, before)
	}
	r := Record{Op: op, Bits: le.Uint16(b[wordAt+2:]), Start: int64(le.Uint64(b[0:])), ID: le.Uint64(b[8:])}
	if r.Op == Names {
		r.Local, r.Remote = addrPort(b[32:], le.Uint16(b[16:])), addrPort(b[48:], le.Uint16(b[18:]))
		r.How, r.FD = le.Uint32(b[20:]), -1
		return append(all, r), nil
	}
	r.End, r.Result, r.Arg = int64(le.Uint64(b[16:])), int64(le.Uint64(b[32:])), le.Uint64(b[40:])
	r.Sum, r.Flags, r.FD, r.Aux = le.Uint32(b[48:]), le.Uint32(b[52:]), int32(le.Uint32(b[56:])), le.Uint32(b[60:])
	return append(all, r), nil
}

func addrPort(b []byte, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom16([16]byte(b[:16])).Unmap(), port)
}

// Header is what a file says of its process image.
type Header struct {
	Limit       uint64 // segments that fit, the header's included
	Began, Date int64  // ns of CLOCK_MONOTONIC, and then of CLOCK_REALTIME
	PID, Parent uint32
	Imported    bool
	Command     []string
	Lost        uint64 // events that found no room
	LostNS      int64  // when the first of them ended
}

func (h *Header) encode(b []byte) {
	le := binary.LittleEndian
	clear(b[:SegmentSize])
	le.PutUint64(b[0:], magic)
	le.PutUint32(b[8:], Version)
	le.PutUint32(b[12:], SegmentSize)
	le.PutUint64(b[16:], h.Limit)
	le.PutUint64(b[24:], uint64(h.Began))
	le.PutUint64(b[32:], uint64(h.Date))
	le.PutUint32(b[40:], h.PID)
	le.PutUint32(b[44:], h.Parent)
	if h.Imported {
		le.PutUint32(b[48:], 1)
	}
	command := strings.Join(h.Command, "\x00")
	le.PutUint32(b[52:], uint32(copy(b[56:56+commandMax], command)))
	le.PutUint32(b[headerCheck:], crc(0, b[:headerCheck]))
}

func (h *Header) decode(b []byte) error {
	le := binary.LittleEndian
	switch {
	case le.Uint64(b) != magic:
		return fmt.Errorf("not a trace")
	case le.Uint32(b[8:]) != Version:
		return fmt.Errorf("a trace of version %d; this program reads version %d", le.Uint32(b[8:]), Version)
	case le.Uint32(b[headerCheck:]) != crc(0, b[:headerCheck]):
		return fmt.Errorf("the header's checksum is wrong")
	case le.Uint32(b[12:]) != SegmentSize:
		return fmt.Errorf("segments of %d bytes; this program reads %d", le.Uint32(b[12:]), SegmentSize)
	}
	*h = Header{
		Limit: le.Uint64(b[16:]), Began: int64(le.Uint64(b[24:])), Date: int64(le.Uint64(b[32:])),
		PID: le.Uint32(b[40:]), Parent: le.Uint32(b[44:]), Imported: le.Uint32(b[48:]) == 1,
		Lost: le.Uint64(b[headerCheck+4:]), LostNS: int64(le.Uint64(b[headerCheck+12:])),
	}
	command := string(b[56 : 56+min(le.Uint32(b[52:]), commandMax)])
	h.Command = strings.Split(strings.TrimSuffix(command, "\x00"), "\x00")
	return nil
}

// segment is the head of a segment: whose records follow.
type segment struct {
	index, pid, tid, turn uint32
	made                  int64
}

func (s *segment) encode(b []byte) {
	le := binary.LittleEndian
	clear(b[:RecordSize])
	le.PutUint64(b[0:], magic)
	le.PutUint32(b[8:], s.index)
	le.PutUint32(b[12:], s.pid)
	le.PutUint32(b[16:], s.tid)
	le.PutUint32(b[20:], s.turn)
	le.PutUint64(b[24:], uint64(s.made))
	le.PutUint16(b[56:], opSegment)
	le.PutUint32(b[60:], crc(0, b[:60]))
}

func (s *segment) decode(b []byte) error {
	le := binary.LittleEndian
	if le.Uint64(b) != magic || le.Uint16(b[56:]) != opSegment || le.Uint32(b[60:]) != crc(0, b[:60]) {
		return fmt.Errorf("the segment's head is damaged")
	}
	*s = segment{le.Uint32(b[8:]), le.Uint32(b[12:]), le.Uint32(b[16:]), le.Uint32(b[20:]), int64(le.Uint64(b[24:]))}
	return nil
}
