package monitor

import (
	"fmt"
	"os"

	"github.com/socksdirect/libsd/monitor/wire"
	"github.com/socksdirect/libsd/queue"
)

// counterNames are the names under which sdirect stat shows BellPage.Count.
var counterNames = map[int]string{
	queue.CountPromoted:      "promoted",
	queue.CountSwitch:        "switch",
	queue.CountToTCP:         "to-tcp",
	queue.CountRing:          "ring",
	queue.CountPark:          "park",
	queue.CountForeignWrite:  "foreign-write",
	queue.CountBadPeer:       "bad-peer",
	queue.CountForked:        "forked",
	queue.CountOption:        "option",
	queue.CountStdio:         "stdio",
	queue.CountUnhooked:      "unhooked",
	queue.CountWatchFull:     "watch-full",
	queue.CountNoMonitor:     "no-monitor",
	queue.CountExecInherited: "exec-inherited",
	queue.CountReset:         "reset",
	queue.CountLockBroken:    "lock-broken",
	queue.CountPassed:        "passed",
}

// counters are those of one bell page, or of several, indexed by queue.Count….
type counters [len(queue.BellPage{}.Count)]uint64

func (c counters) named() map[string]uint64 {
	named := map[string]uint64{}
	for i, name := range counterNames {
		named[name] = c[i]
	}
	return named
}

// answer serves one MsgStat. The snapshot is taken by the goroutine of Run; the sending, which may
// have to wait for the reader, is not.
func (d *Daemon) answer(conn *wire.Conn) {
	cred, err := conn.PeerCred()
	if err != nil {
		d.log.Warn("query", "err", err)
		return
	}
	ready := make(chan *wire.Stat, 1)
	if !d.post(func() { ready <- d.stat(int(cred.Uid)) }) {
		return
	}
	select {
	case st := <-ready:
		if err := conn.Answer(st); err != nil {
			d.log.Debug("query", "err", err)
		}
	case <-d.done:
	}
}

// stat completes a snapshot with what lies in shared memory.
func (d *Daemon) stat(uid int) *wire.Stat {
	st := d.core.Snapshot(uid)
	st.Monitor.PID, st.Monitor.UID, st.Monitor.NetNS = os.Getpid(), d.uid, d.netns
	st.Monitor.ABI = fmt.Sprintf("%016x", queue.ABIHash)
	for i := range st.Connections {
		c := &st.Connections[i]
		s, err := readSlot(d.arenas[c.Arena], c.Slot)
		if err != nil {
			d.log.Warn("reading a slot", "arena", c.Arena, "slot", c.Slot, "err", err)
			continue
		}
		for dir := range c.Dir {
			c.Dir[dir] = describeDirection(s, dir)
		}
	}
	var living, all counters
	counted := map[uint32]bool{}
	for _, p := range st.Processes {
		if page := d.pages[p.Proc]; page != nil && !counted[p.Proc] {
			counted[p.Proc] = true
			living = page.counters(living)
		}
	}
	for _, page := range d.pages {
		if d.core.Visible(uid, page.uid) {
			all = page.counters(all)
		}
	}
	for owner, ended := range d.ended {
		if d.core.Visible(uid, owner) {
			for i, n := range ended {
				all[i] += n
			}
		}
	}
	st.Counters, st.Totals = living.named(), all.named()
	return st
}

var classNames = map[uint32]struct {
	name     string
	capBytes int
}{
	queue.ClassHot:   {"hot", queue.CapHot},
	queue.ClassBulk:  {"bulk", queue.CapBulk},
	queue.ClassSpill: {"spill", queue.CapSpill},
}

// describeDirection says where direction dir of a connection flows. Processes write s: any value
// may be in it.
func describeDirection(s *queue.Slot, dir int) wire.DirStat {
	d := &s.Dir[dir]
	if d.Tx.Gen == 0 {
		reason := "nothing was sent since both ends attached"
		if s.Hdr.Attached[0] == 0 || s.Hdr.Attached[1] == 0 {
			reason = "an end has not attached yet"
		}
		return wire.DirStat{Path: "kernel", Reason: reason}
	}
	stat := wire.DirStat{Total: d.Tx.Tail, Unread: d.Tx.Tail - d.Rx.Head}
	class := d.Seg.Class[d.Tx.Gen%queue.SegDescs]
	ring, ok := classNames[class]
	switch {
	case ok:
		stat.Path, stat.Class, stat.Ring = "shm", ring.name, ring.capBytes
	case class == queue.ClassTCP:
		stat.Path = "kernel"
		stat.Reason = fmt.Sprintf("left the ring at byte %d", d.Seg.Base[d.Tx.Gen%queue.SegDescs])
	default:
		stat.Path, stat.Reason = "kernel", fmt.Sprintf("bad class %#x in shared memory", class)
	}
	return stat
}
