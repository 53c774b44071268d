package queue

import (
	"bytes"
	"testing"
)

// TestConsumedSegmentsAreFree: a receiver that has read every byte and does not look again has not
// said by RGen that it left the segments behind; the sender must find room all the same.
func TestConsumedSegmentsAreFree(t *testing.T) {
	_, _, s, r := heapPair(t)
	s.Open(nearWrap)
	if err := enter(r); err != nil {
		t.Fatal(err)
	}
	data := newStream(3)
	out, in := make([]byte, 2<<20), make([]byte, 2<<20)
	for round := range 20 {
		data.fill(out)
		for sent := 0; sent < len(out); {
			n, err := s.Write(out[sent:])
			if err != nil {
				t.Fatal(err)
			}
			if sent += n; sent == len(out) {
				break
			}
			if grown, err := s.Grow(); !grown || err != nil {
				t.Fatalf("round %d: full after %d bytes in ring %d: %v", round, sent, s.Class(), err)
			}
		}
		for got := 0; got < len(in); {
			n, where := r.Read(in[got:min(got+100_000, len(in))])
			if where != InRing {
				t.Fatalf("round %d: after %d bytes the receiver is at %d", round, got, where)
			}
			got += n
		}
		if !bytes.Equal(in, out) {
			t.Fatalf("round %d: other bytes", round)
		}
		if _, err := s.Shrink(); err != nil {
			t.Fatal(err)
		}
	}
}
