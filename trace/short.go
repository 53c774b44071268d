package trace

import (
	"encoding/binary"
	"fmt"
	"math"
)

// encodeShort fills one place with r, if r is of the commonest operations and its values fit.
func (r *Record) encodeShort(b []byte, made int64) bool {
	since, took := r.Start-made, r.End-r.Start
	if since != int64(int32(since)) || took != int64(uint32(took)) || r.ID > math.MaxUint32 || r.FD < 0 || r.FD > math.MaxUint16 {
		return false
	}
	result, sum, arg, bits := uint32(r.Result), r.Sum, uint32(r.Arg), uint8(r.Bits)
	switch {
	case (r.Op == Send || r.Op == Recv) && r.Flags == 0 && r.Aux == 0:
	case r.Op == EpollWait && r.ID == 0 && r.Sum == 0 && r.Aux == 0:
		sum = r.Flags
	case r.Op == EpollCtl && r.Result == 0 && r.Sum == 0 && r.Aux>>28 < 4 && r.Aux&0xfffffff < 64:
		result, sum, bits = r.Flags, uint32(r.Arg), uint8(r.Aux>>28|r.Aux<<2)
		arg = uint32(r.Arg >> 32)
	default:
		return false
	}
	if r.Op != EpollCtl && (r.Result != int64(int32(r.Result)) || r.Arg > math.MaxUint32) {
		return false
	}
	le := binary.LittleEndian
	le.PutUint32(b[0:], uint32(since))
	le.PutUint32(b[4:], uint32(took))
	le.PutUint32(b[8:], uint32(r.ID))
	le.PutUint32(b[12:], result)
	le.PutUint32(b[16:], sum)
	le.PutUint32(b[20:], arg)
	b[wordAt], b[wordAt+1] = uint8(r.Op)|short, bits
	le.PutUint16(b[wordAt+2:], uint16(r.FD))
	le.PutUint32(b[wordAt+4:], check(b[:placeSize]))
	return true
}

func decodeShort(all []Record, op Op, b []byte, made int64, before *Record) ([]Record, error) {
	le := binary.LittleEndian
	bits, fd := b[wordAt+1], int32(le.Uint16(b[wordAt+2:]))
	if op == EpollEvent {
		return decodeEvents(all, b, int(bits), fd, before)
	}
	r := Record{Op: op, Start: made + int64(int32(le.Uint32(b[0:]))), ID: uint64(le.Uint32(b[8:])), FD: fd}
	r.End = r.Start + int64(le.Uint32(b[4:]))
	switch op {
	case EpollCtl:
		r.Flags, r.Arg, r.Aux = le.Uint32(b[12:]), le.Uint64(b[16:]), uint32(bits&3)<<28|uint32(bits>>2)
	case EpollWait:
		r.Result, r.Flags, r.Arg = int64(int32(le.Uint32(b[12:]))), le.Uint32(b[16:]), uint64(le.Uint32(b[20:]))
	case Send, Recv:
		r.Result, r.Sum, r.Arg = int64(int32(le.Uint32(b[12:]))), le.Uint32(b[16:]), uint64(le.Uint32(b[20:]))
		r.Bits = uint16(bits)
	default:
		return nil, fmt.Errorf("%s is never short", op)
	}
	return append(all, r), nil
}

// decodeEvents: they are numbered on, and have the times of the epoll_wait that reported them; if a signal
// handler's records came between, its end.
func decodeEvents(all []Record, b []byte, n int, fd int32, before *Record) ([]Record, error) {
	le := binary.LittleEndian
	if n < 1 || n > 2 {
		return nil, fmt.Errorf("%d events in one place", n)
	}
	r := Record{Op: EpollEvent, Start: before.End, End: before.End, FD: fd}
	switch before.Op {
	case EpollWait:
		r.Start = before.Start
	case EpollEvent:
		r.Start, r.Result = before.Start, before.Result+1
	}
	for i := range n {
		r.Flags, r.Arg = le.Uint32(b[4*i:]), le.Uint64(b[8+8*i:])
		all = append(all, r)
		r.Result++
	}
	return all, nil
}
