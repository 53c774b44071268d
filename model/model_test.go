package model

import (
	"syscall"
	"testing"
)

// TestOpText: every operation is read back from its text.
func TestOpText(t *testing.T) {
	for k := range Kinds {
		op := Op{Proc: 2, Kind: k}
		for i := range k.Args() {
			op.Arg[i] = int32(10*i - 7)
		}
		if back, err := ParseOp(op.String()); err != nil || back != op {
			t.Errorf("%v is read back as %v: %v", op, back, err)
		}
	}
}

// TestTight: where Linux has one answer, the model has one; a judge refuses another.
func TestTight(t *testing.T) {
	id := int32(0)
	op := func(k Kind, args ...int32) Op {
		id++
		o := Op{ID: id, Kind: k}
		copy(o.Arg[:], args)
		return o
	}
	steps := []struct {
		op Op
		r  int32
	}{
		{op(Socket, 0), 3}, {op(Bind, 3, 0), 0}, {op(Listen, 3, 1), 0},
		{op(Socket, 0), 4}, {op(Connect, 4, 0), 0}, {op(Accept, 3, 0), 5},
		{op(Send, 4, 10, 0), 10}, {op(Inq, 5), 10}, {op(Close, 5), 0}, // bytes unread: RST
		{op(Recv, 4, 1, 0), -int32(syscall.ECONNRESET)}, {op(Recv, 4, 1, 0), 0},
		{op(Send, 4, 1, syscall.MSG_NOSIGNAL), -int32(syscall.EPIPE)},
	}
	s := New(false)
	for _, step := range steps {
		b := s.Step(step.op)
		if len(b) != 1 || b[0].Lo != step.r || b[0].Hi != step.r {
			t.Fatalf("%v: allowed %v, want only %d", step.op, b, step.r)
		}
		j := Judge{states: []*State{s}}
		if err := j.Observe(step.op, Outcome{R: step.r + 1}); err == nil {
			t.Fatalf("%v: the judge accepts %d", step.op, step.r+1)
		}
		s = b[0].Next(step.r)
	}
}
