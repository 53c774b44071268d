package monitor

import (
	"fmt"
	"os"

	"github.com/socksdirect/libsd/internal/shm"
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
	counted := map[uint32]bool{}
	for _, p := range st.Processes {
		if page := d.pages[p.Proc]; page != nil && !counted[p.Proc] {
			counted[p.Proc] = true
			for i, name := range counterNames {
				st.Counters[name] += shm.Load64(&page.header().Count[i])
			}
		}
	}
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
