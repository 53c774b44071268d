package queue

import (
	"net"
	"slices"
	"testing"
	"time"

	"github.com/socksdirect/libsd/internal/shm"
	"pgregory.net/rapid"
)

// heapBell makes a page in the heap with one bell claimed and its socket bound.
func heapBell(t testing.TB) (*Page, *OwnBell, *net.UnixConn, *Ringer) {
	t.Helper()
	page, err := NewPage(make([]byte, BellPageSize))
	if err != nil {
		t.Fatal(err)
	}
	nonce := NewNonce()
	sock, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: BellAddress(nonce), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sock.Close() })
	ringer, err := NewRinger()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { ringer.Close() })
	bell, err := page.Claim(77, nonce)
	if err != nil {
		t.Fatal(err)
	}
	return page, bell, sock, ringer
}

func TestHarvestFindsExactlyTheMarked(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		page, _ := NewPage(make([]byte, BellPageSize))
		bell, err := page.Claim(1, 2)
		if err != nil {
			t.Fatal(err)
		}
		want := rapid.SliceOfDistinct(rapid.Uint32Range(0, MembersPerBell-1), rapid.ID).Draw(t, "members")
		for i, m := range want {
			var order uint32
			if page.mark(0, m, &order); order != uint32(i)+1 {
				t.Fatalf("mark %d has number %d", i, order)
			}
			if page.mark(0, m, &order); order != uint32(i)+1 {
				t.Fatal("a set bit is marked anew")
			}
		}
		if bell.Pending() != (len(want) > 0) {
			t.Fatal("Pending is wrong")
		}
		var got []uint32
		bell.Harvest(func(m uint32) { got = append(got, m) })
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Fatalf("harvested %v, marked %v", got, want)
		}
		bell.Harvest(func(m uint32) { t.Fatalf("member %d twice", m) })
	})
}

func TestOnlyAClearBitOfASleeperRings(t *testing.T) {
	page, bell, _, _ := heapBell(t)
	var order uint32
	if page.mark(0, 5, &order) {
		t.Error("rang for a waiter that is awake")
	}
	bell.Park()
	if page.mark(0, 5, &order) {
		t.Error("rang for a bit that was set")
	}
	bell.Clear(5)
	if !page.mark(0, 5, &order) {
		t.Error("did not ring for a sleeper")
	}
	bell.Unpark()
}

func TestHostileEntriesAreIgnored(t *testing.T) {
	page, _, _, ringer := heapBell(t)
	w := &WatchLine{Entry: [WatchEntries]uint32{0xffff_ffff, Bells<<16 | 1 + 1<<16, 0x0000_1234, 1<<16 | MembersPerBell}}
	if n := w.Notify(page, ringer); n != 0 {
		t.Errorf("rang %d times", n)
	}
}

func TestWatchLineIsFullAfterFour(t *testing.T) {
	w := new(WatchLine)
	for m := range uint32(WatchEntries) {
		if !w.Arm(Entry(0, m)) {
			t.Fatal("full too early")
		}
	}
	if w.Arm(Entry(0, 9)) {
		t.Error("a fifth entry fitted")
	}
	w.Disarm(Entry(0, 2))
	if !w.Arm(Entry(0, 9)) {
		t.Error("a freed place was not used")
	}
}

// TestNoWakeUpIsLost has a sender publish single bytes at random moments and a receiver park for
// each by the handshake of the architecture: clear, look, sleep FirstSleep, look, sleep without
// bound. It ends only if every byte wakes.
func TestNoWakeUpIsLost(t *testing.T) {
	d, rings := new(Direction), CarveRings(make([]byte, DirStride))
	s, _ := NewSender(d, rings)
	r, _ := NewReceiver(d, rings)
	page, bell, sock, ringer := heapBell(t)
	const member = 300
	bell.Set(member)
	d.RxWatch.Arm(bell.Entry(member))
	s.Open(nearWrap)
	if err := enter(r); err != nil {
		t.Fatal(err)
	}
	rounds := 20000
	if testing.Short() || raceEnabled {
		rounds = 2000
	}
	go func() {
		dice := newStream(3)
		for n := range rounds {
			shm.Pause(uint32(dice.next() % 200))
			for done := false; !done; {
				k, _ := s.Write([]byte{byte(n)})
				done = k == 1
			}
			d.RxWatch.Notify(page, ringer)
		}
	}()
	p := make([]byte, 1)
	sleeps := 0
	for n := 0; n < rounds; {
		bell.Clear(member)
		bounded := true
		for {
			k, _ := r.Read(p)
			if k == 1 {
				if p[0] != byte(n) {
					t.Fatalf("byte %d is %d", n, p[0])
				}
				n++
				break
			}
			limit := time.Now().Add(FirstSleep)
			if !bounded {
				limit = time.Now().Add(time.Minute) // stands for no bound: a lost wake-up fails the test
			}
			sock.SetReadDeadline(limit)
			bell.Park()
			if !bell.Pending() {
				sleeps++
				if _, _, err := sock.ReadFromUnix(p); err != nil && !bounded {
					t.Fatalf("byte %d woke nobody", n)
				}
			}
			bell.Unpark()
			woken := false
			bell.Harvest(func(m uint32) { woken = woken || m == member })
			bounded = woken
			if woken {
				bell.Clear(member)
			}
		}
	}
	t.Logf("%d sleeps for %d bytes", sleeps, rounds)
}
