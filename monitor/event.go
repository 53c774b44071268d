package monitor

import (
	"time"

	"github.com/socksdirect/libsd/monitor/wire"
)

// Reg is the number of a registration: one connection of one process to the monitor.
type Reg uint32

// Offer is an end of a connection that its process wants promoted.
type Offer struct {
	Reg    Reg
	FD     uint32 // number of the anchor in the process, for proofs only
	Cookie uint64 // SO_COOKIE
	Role   uint32 // queue.RoleConnect or queue.RoleAccept
	Pair   wire.Pair
}

// SlotID names a slot of an arena.
type SlotID struct {
	Arena, Slot uint32
}

// Event is an input of Core. Each is something that happened, with what the Daemon found out.
type Event interface{ isEvent() }

type (
	// Joined: a process said Hello. Status is what the kernel's view of it allows; HasPage says
	// that it showed a sound bell page with Key, as it does when the monitor that made the page is
	// gone; FreshKey is a random number to be its key if it needs a new page.
	Joined struct {
		Reg      Reg
		PID, UID int
		Name     string
		ABI      uint64
		Key      uint64
		HasPage  bool
		FreshKey uint64
		Status   uint32
	}
	// Offered: a process offered an end. Proof is the outcome of the proof of possession;
	// PeerHere says that a socket with mirrored addresses lives in this network namespace.
	Offered struct {
		Offer
		Proof    uint32
		PeerHere bool
	}
	// Confirmed answers Confirm: OK says that Old is still what it was when it was offered.
	Confirmed struct {
		Old, New Offer
		OK       bool
	}
	// IntroFailed answers Introduce when only the first Sent ends (0 or 1) got their message.
	IntroFailed struct {
		SlotID
		Sent int
	}
	// Gone: a process closed its last descriptor of a connection.
	Gone struct {
		Reg    Reg
		Cookie uint64
		SlotID
	}
	// Noted: a process keeps a connection on the kernel for the reason Status.
	Noted struct {
		Reg    Reg
		Pair   wire.Pair
		Status uint32
	}
	// Closed: a registration ended, by exit, by exec or because the process chose to.
	Closed struct{ Reg Reg }
	// Died: the process of a registration is dead.
	Died struct{ Reg Reg }
	// Missed: a process said Hello with Key, and was dead before the kernel told who it was.
	Missed struct {
		UID int
		Key uint64
	}
	// Looked answers Look: Held says that a process still claims the slot or has one of the two sockets.
	Looked struct {
		SlotID
		Held bool
	}
	// Tick: the time set by Arm is over.
	Tick struct{}
)

func (Joined) isEvent()      {}
func (Offered) isEvent()     {}
func (Confirmed) isEvent()   {}
func (IntroFailed) isEvent() {}
func (Gone) isEvent()        {}
func (Noted) isEvent()       {}
func (Closed) isEvent()      {}
func (Died) isEvent()        {}
func (Missed) isEvent()      {}
func (Looked) isEvent()      {}
func (Tick) isEvent()        {}

// Action is an output of Core: what the Daemon is to do, in this order.
type Action interface{ isAction() }

type (
	// Admit: send Welcome, after doing with the bell page of Proc what Page says.
	Admit struct {
		Reg  Reg
		Proc uint32
		Page PageOrigin
		Key  uint64
	}
	// Reject: send Welcome with Status and hang up.
	Reject struct {
		Reg    Reg
		Status uint32
	}
	// Refuse: the connection stays on the kernel.
	Refuse struct {
		Reg    Reg
		Cookie uint64
		Status uint32
	}
	// Confirm: prove Old again, now that New, its other end, is there; answer with Confirmed.
	Confirm struct{ Old, New Offer }
	// Introduce: prepare the slot and send Intro to both ends, end 0 first; answer with
	// IntroFailed if that was not possible for both. If Fresh, make the arena first.
	Introduce struct {
		SlotID
		Epoch uint32
		Fresh bool
		Ends  [2]IntroEnd
	}
	// Look: ask the kernel whether any process claims the slot or has one of these sockets; answer
	// with Looked.
	Look struct {
		SlotID
		Procs  [2]uint32
		Pair   wire.Pair // as end 0 sees it
		Cookie [2]uint64
	}
	// Orphan: a process died that had end End of the slot, perhaps with its last descriptor. If nobody uses
	// it any more, tell the other end as a close would.
	Orphan struct {
		Look
		End int
	}
	// Reclaim: give the memory of the slot's rings back and zero its control block.
	Reclaim struct{ SlotID }
	// DropArena: close the arena's memfd; mappings of processes live on.
	DropArena struct{ Arena uint32 }
	// DropPage: unmap and close the bell page of a family that is gone. Should a forked child turn
	// up later, it shows the page itself.
	DropPage struct{ Proc uint32 }
	// Bury: free the bells in the page of Proc whose owners, Reg's process among them, are dead.
	Bury struct {
		Reg  Reg
		Proc uint32
	}
	// Rouse: ring every bell in the pages of Procs that somebody sleeps on: he may wait for the dead, who
	// may have marked his bell and not rung.
	Rouse struct{ Procs []uint32 }
	// Arm: send Tick after this time; an earlier Arm is void.
	Arm struct{ After time.Duration }
)

// PageOrigin says where the bell page of a process comes from.
type PageOrigin int

const (
	PageShared PageOrigin = iota // another registration of the family has it
	PageShown                    // the process brought it from the time of an earlier monitor
	PageNew                      // to be made, with the key, and sent with Welcome
)

// IntroEnd is one addressee of Introduce.
type IntroEnd struct {
	Reg    Reg
	Proc   uint32
	Cookie uint64
	First  bool // this registration has not got the arena's descriptors yet
}

func (Admit) isAction()     {}
func (Reject) isAction()    {}
func (Refuse) isAction()    {}
func (Confirm) isAction()   {}
func (Introduce) isAction() {}
func (Look) isAction()      {}
func (Orphan) isAction()    {}
func (Reclaim) isAction()   {}
func (DropArena) isAction() {}
func (DropPage) isAction()  {}
func (Bury) isAction()      {}
func (Rouse) isAction()     {}
func (Arm) isAction()       {}
