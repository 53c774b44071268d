package model

import (
	"fmt"
	"slices"
	"strings"
	"syscall"
)

// Results that are no system call's.
const (
	Blocked = -1000 // the call sleeps; its result comes later
	Busy    = -1001 // the process sleeps in an earlier call: nothing was done
	Gone    = -1002 // there is no such process
	Died    = -1100 // - signal: the process was killed by it
)

// Outcome is what an operation answered.
type Outcome struct {
	R       int32   // the result, -errno, or one of the above
	Signals uint32  // signals whose handlers have run since the last operation, bit 1<<signal
	Sum     uint64  // Digest of the bytes received
	Vec     []int32 // poll: revents; epoll_wait: pairs (data, events), sorted; socketpair: both descriptors
}

func (o Outcome) String() string {
	var b strings.Builder
	switch {
	case o.R == Blocked:
		b.WriteString("blocked")
	case o.R == Busy:
		b.WriteString("busy")
	case o.R == Gone:
		b.WriteString("gone")
	case o.R <= Died:
		fmt.Fprintf(&b, "killed by signal %d", Died-o.R)
	case o.R < 0:
		fmt.Fprintf(&b, "%d (%v)", o.R, syscall.Errno(-o.R))
	default:
		fmt.Fprint(&b, o.R)
	}
	if len(o.Vec) > 0 {
		fmt.Fprintf(&b, " %v", o.Vec)
	}
	if o.Sum != 0 {
		fmt.Fprintf(&b, " sum %016x", o.Sum)
	}
	if o.Signals != 0 {
		fmt.Fprintf(&b, " signals %#x", o.Signals)
	}
	return b.String()
}

// Branch is an interval of allowed results, all else being equal. Next is the state after one of
// them; Bytes is what the operation then has received.
type Branch struct {
	Lo, Hi  int32
	Signals uint32
	Vec     []int32
	Bytes   func(r int32) []Extent
	Next    func(r int32) *State
}

// Allows tells whether the branch has this outcome.
func (b Branch) Allows(o Outcome) bool {
	if o.R < b.Lo || o.R > b.Hi || o.Signals != b.Signals || !slices.Equal(o.Vec, b.Vec) {
		return false
	}
	var want uint64
	if b.Bytes != nil {
		want = Digest(b.Bytes(o.R))
	}
	return o.Sum == want
}

func (b Branch) String() string {
	s := Outcome{R: b.Hi, Signals: b.Signals, Vec: b.Vec}.String()
	if b.Lo != b.Hi {
		s = fmt.Sprintf("%v to %s", Outcome{R: b.Lo}, s)
	}
	if b.Bytes != nil {
		s += fmt.Sprintf(" bytes %v", b.Bytes(b.Hi))
	}
	return s
}

// Extent is bytes [Off, Off+N) of what operation ID sent.
type Extent struct {
	ID  int32
	Off int32
	N   int32
}

// Byte is byte off of what operation id sends.
func Byte(id, off int32) byte {
	x := uint32(id)*0x9e3779b9 + uint32(off)*0x85ebca6b
	return byte(x >> 24)
}

// Digest is a hash of the bytes of extents; no bytes have 0.
func Digest(bytes []Extent) (h uint64) {
	for _, e := range bytes {
		for off := e.Off; off < e.Off+e.N; off++ {
			h = (h + uint64(Byte(e.ID, off)) + 1) * 0x100000001b3
		}
	}
	return h
}

// DigestBytes is Digest of bytes that are there.
func DigestBytes(b []byte) (h uint64) {
	for _, x := range b {
		h = (h + uint64(x) + 1) * 0x100000001b3
	}
	return h
}

// split cuts the first n bytes off; the rest shares no memory that either side writes.
func split(x []Extent, n int32) (first, rest []Extent) {
	for i, e := range x {
		if n < e.N {
			rest = slices.Clone(x[i:])
			rest[0].Off += n
			rest[0].N -= n
			if n > 0 {
				e.N = n
				first = append(first, e)
			}
			return first, rest
		}
		first = append(first, e)
		n -= e.N
	}
	return first, nil
}

func size(x []Extent) (n int32) {
	for _, e := range x {
		n += e.N
	}
	return n
}
