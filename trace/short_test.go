package trace

import (
	"encoding/binary"
	"math"
	"os"
	"testing"
)

// TestShort: what is read is what was written, whether it fits into one place or not.
func TestShort(t *testing.T) {
	p := &play{t: t, now: 1000}
	want := []Record{
		{Op: Send, ID: 7, FD: 5, Result: 3, Arg: 100, Sum: 0xfedcba98, Bits: HasSum},
		{Op: Recv, ID: math.MaxUint32, FD: math.MaxUint16, Result: -11, Arg: math.MaxUint32},
		{Op: Recv, ID: math.MaxUint32 + 1, FD: 5, Result: 3, Arg: 100},
		{Op: Send, ID: 7, FD: 5, Result: 3, Arg: math.MaxUint32 + 1},
		{Op: Send, ID: 7, FD: 5, Result: 3, Arg: 100, Flags: 0x40},
		{Op: EpollWait, FD: 4, Result: 2, Arg: 512, Flags: math.MaxUint32},
		{Op: EpollCtl, ID: 7, FD: 5, Arg: math.MaxUint64 - 5, Flags: 0x80000001, Aux: 63 | 3<<28},
		{Op: EpollCtl, ID: 7, FD: 5, Arg: 5, Flags: 1, Aux: 64 | 1<<28},
		{Op: EpollCtl, ID: 7, FD: 5, Result: -17, Aux: 6 | 1<<28},
		{Op: EpollCtl, ID: 7, FD: 70000, Arg: 5, Aux: 6 | 1<<28},
	}
	for i := range want {
		want[i] = *p.raw(1, want[i])
	}
	tr, err := Open(p.save())
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	err = tr.Walk(func(e *Event) error {
		if e.Record != want[e.Seq] {
			t.Errorf("read %+v, written %+v", e.Record, want[e.Seq])
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestEventsInOnePlace: events have the times of the epoll_wait that reported them, and are numbered.
func TestEventsInOnePlace(t *testing.T) {
	le := binary.LittleEndian
	place := func(n byte, flags, flags2 uint32, arg, arg2 uint64) []byte {
		b := make([]byte, placeSize)
		le.PutUint32(b[0:], flags)
		le.PutUint32(b[4:], flags2)
		le.PutUint64(b[8:], arg)
		le.PutUint64(b[16:], arg2)
		b[wordAt], b[wordAt+1], b[wordAt+2] = byte(EpollEvent)|short, n, 4
		le.PutUint32(b[wordAt+4:], check(b))
		return b
	}
	wait := Record{Op: EpollWait, Start: 10, End: 20, FD: 4, Result: 3}
	all, err := decode(nil, place(2, 1, 4, 77, 78), 0, &wait)
	if err != nil || len(all) != 2 {
		t.Fatalf("%v, %v", all, err)
	}
	last, err := decode(nil, place(1, 5, 0, 79, 0), 0, &all[1])
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range append(all, last...) {
		want := Record{Op: EpollEvent, Start: 10, End: 20, FD: 4, Result: int64(i), Arg: uint64(77 + i), Flags: []uint32{1, 4, 5}[i]}
		if e != want {
			t.Errorf("read %+v, want %+v", e, want)
		}
	}
	if _, err := decode(nil, place(3, 1, 1, 1, 1), 0, &wait); err == nil {
		t.Error("three events in a place of two: accepted")
	}
}

// TestTorn: a process may be killed at any store of a record; the words are stored in order, but for the
// one that says that all is there.
func TestTorn(t *testing.T) {
	for _, last := range []Record{{Op: Recv, ID: 7, FD: 5, Result: 3, Arg: 100}, {Op: Recv, ID: 7, FD: 5, Result: 3, Arg: 100, Flags: 2}} {
		p := newPlay(t)
		p.send(client, "abc")
		p.recv(server, "abc")
		p.raw(1, last)
		path := p.save()
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		at := SegmentSize + RecordSize + RecordSize + placeSize // after the head, names and a short send
		size := recordSize(good[at:])
		for _, stored := range [][]int{{0}, {0, 1}, {0, 1, 2}, {0, 1, 2, 4}, {0, 1, 2, 4, 5, 6, 7}} {
			if len(stored) > 3 && size == placeSize {
				continue
			}
			bad := append([]byte(nil), good...)
			clear(bad[at : at+size])
			for _, w := range stored {
				copy(bad[at+8*w:at+8*w+8], good[at+8*w:])
			}
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			tr, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			if v, err := tr.Check(); err != nil || !v.OK() || tr.Torn() != 1 {
				t.Errorf("%d bytes, words %v stored: %v, %d torn", size, stored, err, tr.Torn())
			}
			tr.Close()
		}
	}
}
