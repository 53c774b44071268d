package trace

import (
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// TestOperationsAreThoseOfC: one list of operations, two places.
func TestOperationsAreThoseOfC(t *testing.T) {
	c, err := os.ReadFile("../preload/trace/format.h")
	if err != nil {
		t.Fatal(err)
	}
	lines := regexp.MustCompile(`(?m)^\tX\((\d+), (\w+)\)`).FindAllStringSubmatch(string(c), -1)
	for _, m := range lines {
		n, _ := strconv.Atoi(m[1])
		if opNames[Op(n)] != m[2] {
			t.Errorf("C calls operation %d %s, Go %q", n, m[2], opNames[Op(n)])
		}
	}
	if len(lines) != len(opNames) {
		t.Errorf("C has %d operations, Go %d", len(lines), len(opNames))
	}
}

func TestCombine(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 1000 {
		p := make([]byte, r.IntN(300))
		for i := range p {
			p[i] = byte(r.Uint32())
		}
		at := r.IntN(len(p) + 1)
		if got, want := Combine(crc(0, p[:at]), crc(0, p[at:]), uint64(len(p)-at)), crc(0, p); got != want {
			t.Fatalf("%d bytes cut at %d: %#x, want %#x", len(p), at, got, want)
		}
	}
}

// play builds a history: two processes, one connection, at a time that goes on by 10 ns for each event.
type play struct {
	t      *testing.T
	events []Event
	now    int64
}

const client, server = 10, 20 // sockets; the processes are 1 and 2

func newPlay(t *testing.T) *play {
	p := &play{t: t, now: 1000}
	a, b := netip.MustParseAddrPort("127.0.0.1:5000"), netip.MustParseAddrPort("127.0.0.1:80")
	p.raw(1, Record{Op: Names, ID: client, Local: a, Remote: b})
	p.raw(2, Record{Op: Names, ID: server, Local: b, Remote: a, How: ByAccept})
	return p
}

func (p *play) raw(pid uint32, r Record) *Record {
	p.now += 10
	r.Start = p.now
	if r.Op != Names {
		r.End = p.now + 5
	}
	p.events = append(p.events, Event{Record: r, PID: pid, TID: pid})
	return &p.events[len(p.events)-1].Record
}

func (p *play) op(id uint64, op Op, result int64, arg uint64) *Record {
	return p.raw(uint32(id/10), Record{Op: op, ID: id, FD: 3, Result: result, Arg: arg})
}

func (p *play) send(id uint64, s string) *Record { return p.moved(id, Send, s) }
func (p *play) recv(id uint64, s string) *Record { return p.moved(id, Recv, s) }
func (p *play) moved(id uint64, op Op, s string) *Record {
	r := p.op(id, op, int64(len(s)), 100)
	r.Sum, r.Bits = crc(0, []byte(s)), HasSum
	return r
}

func (p *play) end() {
	p.raw(1, Record{Op: End})
	p.raw(2, Record{Op: End})
}

func (p *play) save() string {
	p.t.Helper()
	path := filepath.Join(p.t.TempDir(), "play.sdt")
	w, err := Create(path, Header{PID: 1, Command: []string{"play"}})
	if err != nil {
		p.t.Fatal(err)
	}
	for i := range p.events {
		e := &p.events[i]
		if err := w.Put(e.PID, e.TID, &e.Record); err != nil {
			p.t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		p.t.Fatal(err)
	}
	return path
}

func (p *play) check() (*Verdict, error) {
	p.t.Helper()
	tr, err := Open(p.save())
	if err != nil {
		p.t.Fatal(err)
	}
	defer tr.Close()
	return tr.Check()
}

// conversation is a correct history in which no two boundaries but the last are the same.
func conversation(p *play) {
	p.send(client, "hello ")
	p.recv(server, "hel")
	p.send(client, "world")
	p.recv(server, "lo wor")
	p.recv(server, "ld")
	p.send(server, "answer")
	p.recv(client, "answer")
	p.op(client, Shutdown, 0, syscall.SHUT_WR)
	p.op(server, Recv, 0, 100)
	p.op(server, Close, 0, 0)
	p.op(client, Recv, 0, 100)
	p.op(client, Close, 0, 0)
	p.end()
}

func TestCorrectHistory(t *testing.T) {
	p := newPlay(t)
	conversation(p)
	v, err := p.check()
	if err != nil || !v.OK() || v.Verified != 17 || v.Connections != 1 || v.Unmatched != 0 {
		t.Errorf("%v, %+v", err, v)
	}
}

// TestWrongHistories: one mistake each.
func TestWrongHistories(t *testing.T) {
	for _, tc := range []struct {
		name, kind string
		play       func(p *play)
	}{
		{"another byte", "bytes", func(p *play) { p.send(client, "abc"); p.recv(server, "abd") }},
		{"bytes in another order", "bytes", func(p *play) { p.send(client, "ab"); p.send(client, "cd"); p.recv(server, "cdab") }},
		{"a byte twice", "bytes", func(p *play) { p.send(client, "ab"); p.recv(server, "ab"); p.recv(server, "b") }},
		{"received before it was sent", "bytes", func(p *play) { p.recv(server, "ab"); p.send(client, "ab") }},
		{"more than asked for", "result", func(p *play) { p.send(client, "abc"); p.recv(server, "abc").Arg = 2 }},
		{"end that nobody made", "eof", func(p *play) { p.op(server, Recv, 0, 1) }},
		{"end before the last byte", "eof", func(p *play) {
			p.send(client, "abc")
			p.op(client, Close, 0, 0)
			p.recv(server, "ab")
			p.op(server, Recv, 0, 1)
		}},
		{"bytes after the end", "eof", func(p *play) {
			p.send(client, "abc")
			p.op(client, Close, 0, 0)
			p.op(server, Recv, 0, 1)
			p.recv(server, "abc")
		}},
		{"reset that nobody made", "error", func(p *play) { p.op(server, Recv, -int64(syscall.ECONNRESET), 1) }},
		{"refused though open", "error", func(p *play) { p.op(server, Send, -int64(syscall.EPIPE), 1) }},
		{"send after shutdown", "error", func(p *play) {
			p.op(client, Shutdown, 0, syscall.SHUT_WR)
			p.send(client, "abc")
		}},
		{"no order of two threads", "linearizability", func(p *play) {
			a := p.send(client, "ab")
			a.End += 100
			p.send(client, "cd").End += 100
			p.events[len(p.events)-1].TID = 7
			p.now += 200
			p.recv(server, "acbd")
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlay(t)
			tc.play(p)
			p.end()
			v, err := p.check()
			if err != nil {
				t.Fatal(err)
			}
			if len(v.Violations) == 0 || v.Violations[0].Kind != tc.kind {
				t.Errorf("found %v, want a violation of kind %q", v.Violations, tc.kind)
			}
		})
	}
}

// TestUncertainHistories are not wrong: what is missing may have happened unseen.
func TestUncertainHistories(t *testing.T) {
	for _, tc := range []struct {
		name string
		play func(p *play)
	}{
		{"killed while sending", func(p *play) { p.recv(server, "abc"); p.op(server, Recv, 0, 1); p.raw(2, Record{Op: End}) }},
		{"reset by a kill", func(p *play) {
			p.send(server, "abc")
			p.op(server, Recv, -int64(syscall.ECONNRESET), 1)
			p.raw(2, Record{Op: End})
		}},
		{"stdio", func(p *play) { p.op(client, Fdopen, 3, 0); p.recv(server, "abc"); p.end() }},
		{"peeked", func(p *play) {
			p.send(client, "abc")
			p.recv(server, "abc").Flags = syscall.MSG_PEEK
			p.recv(server, "abc")
			p.end()
		}},
		{"two threads in either order", func(p *play) {
			p.send(client, "ab").End += 100
			p.send(client, "cd").End += 100
			p.events[len(p.events)-1].TID = 7
			p.now += 200
			p.recv(server, "cdab")
			p.end()
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newPlay(t)
			tc.play(p)
			if v, err := p.check(); err != nil || !v.OK() {
				t.Errorf("%v, %+v", err, v)
			}
		})
	}
}

// TestAnyByte: whichever byte of a file is altered, it is noticed.
func TestAnyByte(t *testing.T) {
	p := newPlay(t)
	conversation(p)
	path := p.save()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for at := 0; at < len(good); at++ {
		if at%SegmentSize > 1200 && at%97 != 0 {
			continue // unused space
		}
		bad := append([]byte(nil), good...)
		bad[at] ^= byte(1 + r.IntN(255))
		if err := os.WriteFile(path, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if accepted(path) {
			t.Errorf("byte %d altered from %#x to %#x: accepted", at, good[at], bad[at])
		}
	}
}

func accepted(path string) bool {
	tr, err := Open(path)
	if err != nil {
		return false
	}
	defer tr.Close()
	v, err := tr.Check()
	return err == nil && v.OK()
}

// TestSwappedInTime: a send and the receive of its bytes exchange their times; and any two events of
// one thread.
func TestSwappedInTime(t *testing.T) {
	p := newPlay(t)
	conversation(p)
	send, recv := &p.events[2].Record, &p.events[3].Record
	send.Start, send.End, recv.Start, recv.End = recv.Start, recv.End, send.Start, send.End
	if v, err := p.check(); err != nil || v.OK() {
		t.Errorf("a receive before its send: %v, %+v", err, v)
	}
	p = newPlay(t)
	conversation(p)
	path := p.save()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	one, two := b[SegmentSize+2*RecordSize:][:RecordSize], b[SegmentSize+3*RecordSize:][:RecordSize]
	for i := range one {
		one[i], two[i] = two[i], one[i]
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if accepted(path) {
		t.Error("two records of a thread exchanged: accepted")
	}
}

func TestTruncatedFile(t *testing.T) {
	p := newPlay(t)
	conversation(p)
	path := p.save()
	good, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{0, 100, SegmentSize, SegmentSize + 200, 2*SegmentSize + 64} {
		if err := os.Truncate(path, n); err != nil {
			t.Fatal(err)
		}
		if tr, err := Open(path); err == nil {
			tr.Close()
			t.Errorf("%d bytes left: accepted", n)
		} else if !strings.Contains(err.Error(), "truncated") && !strings.Contains(err.Error(), "whole header") {
			t.Errorf("%d bytes left: %v", n, err)
		}
		if err := os.WriteFile(path, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// TestManySegments: threads that fill several segments come out in the order of time.
func TestManySegments(t *testing.T) {
	p := newPlay(t)
	for range 2000 {
		p.send(client, "abc")
		p.recv(server, "abc")
	}
	p.end()
	tr, err := Open(p.save())
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	n, last := 0, int64(0)
	err = tr.Walk(func(e *Event) error {
		if e.End < last || e.Seq != n {
			t.Fatalf("event %d ends at %d, the one before at %d", e.Seq, e.End, last)
		}
		n, last = n+1, e.End
		return nil
	})
	if err != nil || n != len(p.events) {
		t.Errorf("%d events of %d: %v", n, len(p.events), err)
	}
	if v, err := tr.Check(); err != nil || !v.OK() || v.Verified != 6000 {
		t.Errorf("%v, %+v", err, v)
	}
}
