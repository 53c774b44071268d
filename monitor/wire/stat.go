package wire

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/socksdirect/libsd/queue"
)

// MsgStat asks a monitor for its Stat, instead of Hello. The answer is JSON cut into packets; an
// empty JSON part ends it. It is not part of the ABI: only sdirect and its monitor speak it.
const MsgStat = 100

// statTimeout bounds the exchange at both ends, so that neither waits for a stopped process.
const statTimeout = 10 * time.Second

// statPart is the number of JSON bytes in one packet of an answer.
const statPart = 16 << 10

// Stat is what a monitor knows. A user sees what is his own, root sees everything.
type Stat struct {
	Monitor     MonitorStat       `json:"monitor"`
	Processes   []ProcessStat     `json:"processes"`
	Connections []ConnectionStat  `json:"connections"`
	Waiting     []WaitingStat     `json:"waiting"`
	Kept        []KeptStat        `json:"kept_on_kernel"` // the newest ones
	Counters    map[string]uint64 `json:"counters"`       // summed over the processes of this answer
	Totals      map[string]uint64 `json:"totals"`         // and over those that have ended since the monitor started
}

// MonitorStat describes the monitor itself.
type MonitorStat struct {
	PID    int    `json:"pid"`
	UID    int    `json:"uid"`
	NetNS  uint64 `json:"netns"`
	ABI    string `json:"abi"`
	Arenas int    `json:"arenas"`
}

// ProcessStat is one registration.
type ProcessStat struct {
	PID  int    `json:"pid"`
	UID  int    `json:"uid"`
	Name string `json:"name"`
	Proc uint32 `json:"proc"` // number of the bell page, which forked children share
}

// ConnectionStat is one connection with a slot.
type ConnectionStat struct {
	Local  string     `json:"local"`  // of the connecting end
	Remote string     `json:"remote"` // of the connecting end
	PID    [2]int     `json:"pid"`    // of the connecting and of the accepting end, as they registered
	Name   [2]string  `json:"name"`
	Arena  uint32     `json:"arena"`
	Slot   uint32     `json:"slot"`
	Dir    [2]DirStat `json:"directions"` // 0: sent by the connecting end
}

// DirStat is one direction of a connection, read from shared memory while it moves.
type DirStat struct {
	Path   string `json:"path"`             // "shm" or "kernel"
	Class  string `json:"class,omitempty"`  // size class of the ring
	Reason string `json:"reason,omitempty"` // why it is on the kernel
	Ring   int    `json:"ring_bytes,omitempty"`
	Unread uint64 `json:"unread_bytes"` // in the ring
	Total  uint64 `json:"total_bytes"`  // sent since the connection began, as far as rings tell
}

// WaitingStat is an end that was offered and whose peer has not been.
type WaitingStat struct {
	Local  string `json:"local"`
	Remote string `json:"remote"`
	PID    int    `json:"pid"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// KeptStat is a connection that stays on the kernel.
type KeptStat struct {
	Local  string `json:"local"`
	Remote string `json:"remote"`
	PID    int    `json:"pid"`
	Name   string `json:"name"`
	Reason string `json:"reason"`
}

// Query asks the monitor at path for its Stat; "" means SocketPath.
func Query(path string) (*Stat, error) {
	c, err := Dial(path)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.sock.SetDeadline(time.Now().Add(statTimeout)); err != nil {
		return nil, err
	}
	if err := c.Send(&queue.Msg{Type: MsgStat}); err != nil {
		return nil, err
	}
	var all []byte
	for {
		part, fds, err := c.recv(statPart + 1)
		CloseAll(fds)
		if err != nil {
			return nil, fmt.Errorf("monitor's answer: %w", err)
		}
		if len(part) == 1 {
			break
		}
		all = append(all, part[1:]...)
	}
	s := new(Stat)
	if err := json.Unmarshal(all, s); err != nil {
		return nil, errors.Join(errors.New("monitor's answer is of another version"), err)
	}
	return s, nil
}

// Answer sends s to who asked with MsgStat. It waits for a slow reader, up to a bound.
func (c *Conn) Answer(s *Stat) error {
	all, err := json.Marshal(s)
	if err != nil {
		return err
	}
	if err := c.sock.SetWriteDeadline(time.Now().Add(statTimeout)); err != nil {
		return err
	}
	// Each packet starts with a byte of its own: an empty packet would read as end of file.
	for {
		n := min(len(all), statPart)
		if _, err := c.sock.Write(append([]byte{MsgStat}, all[:n]...)); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
		all = all[n:]
	}
}
