package monitor

import (
	"bufio"
	"flag"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

var rewrite = flag.Bool("rewrite", false, "write what plays do into testdata; read the difference before you commit it")

// TestPlays runs testdata/*.txt: a paragraph on what the play proves, then commands, each followed
// by a tab-indented list of the actions of Core. A command is an event's name and name=value pairs.
func TestPlays(t *testing.T) {
	plays, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(plays) == 0 {
		t.Fatalf("no plays: %v", err)
	}
	for _, path := range plays {
		t.Run(strings.TrimSuffix(filepath.Base(path), ".txt"), func(t *testing.T) {
			script, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			got, err := perform(string(script))
			if err != nil {
				t.Fatal(err)
			}
			if *rewrite {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if got != string(script) && !*rewrite {
				t.Errorf("the play went otherwise (go test -run %s -rewrite shows the difference in git):\n%s", t.Name(), got)
			}
		})
	}
}

// perform returns the script with what Core does in place of what it says Core does.
func perform(script string) (string, error) {
	var out strings.Builder
	core := NewCore(1000, 0, queue.ArenaSlots)
	lines := bufio.NewScanner(strings.NewReader(script))
	for lines.Scan() {
		line := lines.Text()
		if strings.HasPrefix(line, "\t") {
			continue
		}
		fmt.Fprintln(&out, line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		if line == "root" {
			core = NewCore(0, 0, queue.ArenaSlots)
			continue
		}
		e, err := parseEvent(line)
		if err != nil {
			return "", err
		}
		for _, a := range core.Step(e) {
			fmt.Fprintf(&out, "\t%s\n", describe(a))
		}
	}
	return out.String(), nil
}

// fields are the arguments of a command.
type fields map[string]string

func (f fields) num(name string) uint64 {
	var n uint64
	fmt.Sscan(f[name], &n)
	return n
}

func (f fields) pair() wire.Pair {
	local, remote, _ := strings.Cut(f["pair"], "-")
	return wire.Pair{Local: port(local), Remote: port(remote)}
}

func port(s string) netip.AddrPort {
	return netip.MustParseAddrPort("10.0.0.1:" + s)
}

func (f fields) slot() SlotID {
	return SlotID{Arena: uint32(f.num("arena")), Slot: uint32(f.num("slot"))}
}

func (f fields) offer(prefix string) Offer {
	o := Offer{Reg: Reg(f.num(prefix + "reg")), Cookie: f.num(prefix + "cookie"), Pair: f.pair()}
	if f[prefix+"role"] == "accept" {
		o.Role = queue.RoleAccept
	}
	return o
}

func parseEvent(line string) (Event, error) {
	words := strings.Fields(line)
	f := fields{}
	for _, w := range words[1:] {
		name, value, _ := strings.Cut(w, "=")
		f[name] = value
	}
	reg := Reg(f.num("reg"))
	switch words[0] {
	case "join":
		j := Joined{Reg: reg, PID: int(f.num("pid")), UID: 1000, Name: f["name"], ABI: queue.ABIHash, Key: f.num("key"), FreshKey: 100 + uint64(reg), Status: uint32(f.num("status"))}
		if f["abi"] != "" {
			j.ABI = f.num("abi")
		}
		j.HasPage = f["page"] == "shown"
		if f["uid"] != "" {
			j.UID = int(f.num("uid"))
		}
		return j, nil
	case "offer":
		return Offered{Offer: f.offer(""), Proof: uint32(f.num("proof")), PeerHere: f["peer"] != "absent"}, nil
	case "confirmed":
		old, new := f.offer("old"), f.offer("new")
		new.Pair = old.Pair.Mirror()
		return Confirmed{Old: old, New: new, OK: f["ok"] != "no"}, nil
	case "introfailed":
		return IntroFailed{SlotID: f.slot(), Sent: int(f.num("sent"))}, nil
	case "gone":
		return Gone{Reg: reg, Cookie: f.num("cookie"), SlotID: f.slot()}, nil
	case "noted":
		return Noted{Reg: reg, Pair: f.pair(), Status: uint32(f.num("status"))}, nil
	case "closed":
		return Closed{Reg: reg}, nil
	case "died":
		return Died{Reg: reg}, nil
	case "missed":
		return Missed{UID: 1000, Key: f.num("key")}, nil
	case "looked":
		return Looked{SlotID: f.slot(), Held: f["held"] == "yes"}, nil
	case "tick":
		return Tick{}, nil
	}
	return nil, fmt.Errorf("unknown command %q", line)
}

func describe(a Action) string {
	switch a := a.(type) {
	case Refuse:
		return fmt.Sprintf("refuse reg=%d cookie=%d: %s", a.Reg, a.Cookie, wire.StatusText(a.Status))
	case Reject:
		return fmt.Sprintf("reject reg=%d: %s", a.Reg, wire.StatusText(a.Status))
	case Admit:
		return fmt.Sprintf("admit reg=%d proc=%d page=%s key=%d", a.Reg, a.Proc, [...]string{"shared", "shown", "new"}[a.Page], a.Key)
	case Confirm:
		return fmt.Sprintf("confirm old=%d new=%d", a.Old.Cookie, a.New.Cookie)
	case Introduce:
		s := fmt.Sprintf("introduce arena=%d slot=%d epoch=%d fresh=%v", a.Arena, a.Slot, a.Epoch, a.Fresh)
		for i, e := range a.Ends {
			s += fmt.Sprintf(" end%d=(reg=%d proc=%d cookie=%d first=%v)", i, e.Reg, e.Proc, e.Cookie, e.First)
		}
		return s
	case Look:
		return fmt.Sprintf("look arena=%d slot=%d cookies=%v", a.Arena, a.Slot, a.Cookie)
	case Orphan:
		return fmt.Sprintf("orphan arena=%d slot=%d end=%d", a.Arena, a.Slot, a.End)
	case Reclaim:
		return fmt.Sprintf("reclaim arena=%d slot=%d", a.Arena, a.Slot)
	case DropArena:
		return fmt.Sprintf("drop-arena %d", a.Arena)
	case DropPage:
		return fmt.Sprintf("drop-page %d", a.Proc)
	case Bury:
		return fmt.Sprintf("bury proc=%d", a.Proc)
	case Rouse:
		return fmt.Sprintf("rouse procs=%v", a.Procs)
	case Arm:
		return fmt.Sprintf("arm %v", a.After)
	}
	return fmt.Sprintf("%T?", a)
}

// introduced is a Core with two processes, 1 and 2, and n connections between them.
func introduced(t *testing.T, n int) *Core {
	t.Helper()
	c := NewCore(1000, 0, queue.ArenaSlots)
	for reg := range 2 {
		c.Step(Joined{Reg: Reg(reg + 1), UID: 1000, ABI: queue.ABIHash, FreshKey: uint64(reg + 1)})
	}
	for i := range n {
		p := wire.Pair{Local: port(fmt.Sprint(1 + i)), Remote: port("9999")}
		old := Offer{Reg: 1, Cookie: uint64(2*i + 1), Pair: p}
		new := Offer{Reg: 2, Cookie: uint64(2*i + 2), Pair: p.Mirror(), Role: queue.RoleAccept}
		c.Step(Offered{Offer: old, PeerHere: true})
		c.Step(Offered{Offer: new, PeerHere: true})
		c.Step(Confirmed{Old: old, New: new, OK: true})
	}
	return c
}

func TestPairGetsAnotherArenaWhenOneIsFull(t *testing.T) {
	c := introduced(t, queue.ArenaSlots+1)
	if len(c.arenas) != 2 || c.arenas[1].used != queue.ArenaSlots || c.arenas[2].used != 1 {
		t.Fatalf("%d arenas", len(c.arenas))
	}
}

func TestFreedSlotRestsLongest(t *testing.T) {
	c := introduced(t, 3)
	c.Step(Gone{Reg: 1, Cookie: 3, SlotID: SlotID{Arena: 1, Slot: 1}})
	c.Step(Gone{Reg: 2, Cookie: 4, SlotID: SlotID{Arena: 1, Slot: 1}})
	c.Step(Looked{SlotID: SlotID{Arena: 1, Slot: 1}})
	free := c.arenas[1].free
	if free[0] != 3 || free[len(free)-1] != 1 {
		t.Errorf("next is slot %d, last is slot %d; want 3 and 1", free[0], free[len(free)-1])
	}
}

func TestWaitingTableIsBounded(t *testing.T) {
	c := NewCore(1000, 0, queue.ArenaSlots)
	c.Step(Joined{Reg: 1, UID: 1000, ABI: queue.ABIHash, FreshKey: 1})
	var refused []Action
	for i := range maxWaiting + 1 {
		addr := netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)})
		p := wire.Pair{Local: netip.AddrPortFrom(addr, 1), Remote: port("80")}
		refused = append(refused, c.Step(Offered{Offer: Offer{Reg: 1, Cookie: uint64(i), Pair: p}, PeerHere: true})...)
	}
	want := Refuse{Reg: 1, Cookie: 0, Status: queue.StatusNoPeer}
	if len(refused) != 1 || refused[0] != want {
		t.Errorf("got %v, want the oldest refused", refused)
	}
}
