package apps

import (
	"cmp"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/socksdirect/libsd/tests/harness"
	"github.com/socksdirect/libsd/trace"
)

// tamper demands that a recorded history is rejected when one byte of it is altered, and when a send
// and the receive that got its bytes are exchanged in time.
func tamper(t *testing.T, dir string) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 20 {
		alterByte(t, dir, r)
	}
	for range harness.Size(3, 10) {
		exchange(t, dir, r)
	}
}

// accepted tells whether trace check takes the history for a correct one.
func accepted(t *testing.T, dir string) bool {
	t.Helper()
	h, err := trace.Open(dir)
	if err != nil {
		return false
	}
	defer h.Close()
	v, err := h.Check()
	return err == nil && v.OK()
}

// alterByte alters a byte of the header or of the segments that each file has, and puts it back.
func alterByte(t *testing.T, dir string, r *rand.Rand) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.sdt"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files: %v", err)
	}
	f, err := os.OpenFile(files[r.IntN(len(files))], os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	at := int64(r.IntN(1088))
	if r.IntN(4) > 0 {
		at = trace.SegmentSize + int64(r.IntN(trace.SegmentSize))
	}
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	was := b[0]
	b[0] ^= byte(1 + r.IntN(255))
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
	if accepted(t, dir) {
		t.Errorf("%s: byte %d altered from %#x to %#x: accepted", f.Name(), at, was, b[0])
	}
	if _, err := f.WriteAt([]byte{was}, at); err != nil {
		t.Fatal(err)
	}
}

// exchange writes the history anew with the times of a send and of the receive of its bytes exchanged.
func exchange(t *testing.T, dir string, r *rand.Rand) {
	t.Helper()
	h, err := trace.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	type thread struct{ pid, tid uint32 }
	events := map[thread][]*trace.Event{}
	var sends []*trace.Event
	type names struct{ local, remote netip.AddrPort }
	of := map[uint64]names{}
	last := map[names]*trace.Event{}            // send of the socket with these names
	matching := map[*trace.Event]*trace.Event{} // of a send, the receive of the same bytes at the other end
	err = h.Walk(func(e *trace.Event) error {
		c := *e
		k := thread{e.PID, e.TID}
		events[k] = append(events[k], &c)
		n := of[e.ID]
		switch {
		case e.Op == trace.Names:
			of[e.ID] = names{e.Local, e.Remote}
		case e.Op == trace.Send && e.Result > 0:
			sends = append(sends, &c)
			last[n] = &c
		case e.Op == trace.Recv && e.Result > 0:
			if s := last[names{n.remote, n.local}]; s != nil && s.Result == e.Result && s.Sum == e.Sum && s.End < e.Start {
				matching[s] = &c
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	sends = slices.DeleteFunc(sends, func(s *trace.Event) bool { return matching[s] == nil })
	if len(sends) == 0 {
		t.Fatal("no send whose bytes were received at once")
	}
	a := sends[r.IntN(len(sends))]
	b := matching[a]
	a.Start, a.End, b.Start, b.End = b.Start, b.End, a.Start, a.End
	path := filepath.Join(t.TempDir(), "exchanged.sdt")
	w, err := trace.Create(path, h.Files[0].Header)
	if err != nil {
		t.Fatal(err)
	}
	for k, list := range events {
		slices.SortStableFunc(list, func(a, b *trace.Event) int { return cmp.Compare(a.End, b.End) })
		for _, e := range list {
			if err := w.Put(k.pid, k.tid, &e.Record); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if accepted(t, path) {
		t.Errorf("exchanged: accepted\n%d %s\n%d %s", a.Seq, a.Record.String(), b.Seq, b.Record.String())
	}
}

func TestTraceTampered(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		if !m.Both() {
			return
		}
		dir := harness.Dir(t)
		setup := *m.Setup()
		setup.Trace = dir
		m = m.In(&setup)
		r := startRedis(t, m)
		bench := harness.Start(t, m.ClientCommand("redis-benchmark", "-h", "127.0.0.1", "-p", r.port, "-t", "set,get", "-c", "10", "-n", "1000", "--csv"))
		bench.Wait(t, limit)
		if err := r.server.Stop(); err != nil {
			t.Fatal(err)
		}
		if !accepted(t, dir) {
			t.Fatal("what was recorded is not accepted")
		}
		tamper(t, dir)
	})
}
