// Package queue is the data plane in Go: byte rings in shared memory, the segment switch,
// the modes of sharing a direction, and bells (publish, park, wake).
//
// This file is the only source of the shared-memory ABI. preload/abi.h and docs/abi.md are
// generated from it (go generate ./queue); a test compares Go, C and the document.
//
// Conventions. "End 0" is the connecting end, "end 1" the accepting end. "Direction d" carries
// the bytes sent by end d. All counters are byte positions of the direction's stream, from 0 at
// the first byte after the handshake, modulo 2^64; they are compared by signed difference. Every
// value read from shared memory is read once into a local and checked before use.
package queue

//go:generate go run ./abigen

// ABIVersion changes whenever anything in this file changes meaning without changing shape.
// The hash over shapes and this number is what two sides compare; a mismatch means: stay on TCP.
const ABIVersion = 2

// Segment classes. A direction owns one region for each ring class, at a fixed place in the arena
// (regions are sparse: an untouched page costs nothing), so that no offset is ever read from
// shared memory.
const (
	ClassHot   = 0    // 64 KiB, where every promoted direction starts
	ClassBulk  = 1    // 256 KiB, under streaming
	ClassSpill = 2    // 8 MiB, when the reader is away: half of what Linux buffers at most (Buf)
	ClassTCP   = 0xF0 // the anchor itself; final once a ring has been left for it
	Classes    = 3

	CapHot   = 64 << 10
	CapBulk  = 256 << 10
	CapSpill = 8 << 20

	DirStride = CapHot + CapBulk + CapSpill // bytes of ring space of one direction in an arena
)

// Geometry of an arena: one memfd for a pair of processes, created and sealed by the monitor.
//
//	0            ArenaHeader (one page)
//	CtlOff       ArenaSlots × Slot
//	RingOff      ArenaSlots × 2 × DirStride: hot, bulk, spill region of direction 0, then 1
const (
	ArenaSlots = 256
	CtlOff     = 4096
	SlotSize   = 1152
	RingOff    = 512 << 10 // CtlOff + ArenaSlots*SlotSize, rounded up
	ArenaSize  = RingOff + ArenaSlots*2*DirStride
)

// Geometry of a bell page: one memfd for a process and the children it forks, mapped by its peers.
//
//	0            BellPage (one page)
//	BellOff      Bells × Bell
//	BitsOff      Bells × MembersPerBell/8 bytes
const (
	Bells          = 1024
	MembersPerBell = 16384
	BellOff        = 4096
	BitsOff        = BellOff + Bells*64
	BellPageSize   = BitsOff + Bells*MembersPerBell/8
)

// Buf of an end whose program has set no size: what the kernel lets it grow to, and starts with.
const (
	SendBuf = 4 << 20
	RecvBuf = 128 << 10
)

// Claims. Who uses end e of slot s in arena a holds a read lock on byte (e<<32 | a)<<8 | s of its bell
// page's file, through an open file description of its own (fcntl F_OFD_SETLK): the kernel gives it up
// at exit, exec and kill -9. A slot is used again only when neither end is claimed. A forked child is
// born with a lock on byte ClaimAll, until it has claimed what it inherited.
const ClaimAll = 1 << 48

// ClaimClosing is added to e by who closes an end that a fork shares: it changes its claim, asks whether
// another is left to close it, and uses the slot until it has closed.
const ClaimClosing = 2

// SegDescs is how many segment descriptors a direction keeps; a sender opens segment g+1 only
// while g+1 − RGen < SegDescs.
const SegDescs = 8

// WatchEntries is how many bells can watch one direction for one reason.
const WatchEntries = 4

// WatchLine.Closed of an end that nobody will read from.
const (
	Closing     = 1 // FIN on the anchor means that it has read all that was there when it closed
	ClosedByRST = 2 // RST on the anchor tells of what it has not read
	Dead        = 3 // it was killed: FIN means nothing
)

// LockLine.Mode, of a side that has several users.
const (
	LockShared = 1 // processes, or a process and the kernel
	LockFar    = 2 // processes in several namespaces of pids: no one of them knows whether another lives
)

// ArenaHeader. Writer: the monitor, once, before the arena is handed out.
type ArenaHeader struct {
	ABI   uint64 // hash of this layout
	Arena uint32 // number of the arena, unique in one life of the monitor
	Slots uint32 // = ArenaSlots
}

// TxLine is written by the holder of the send side and read by the receiver.
type TxLine struct {
	Tail uint64   // bytes published; invariant: Head ≤ Tail ≤ Head + capacity of the open segments; published by exchange or release store, after the payload
	Gen  uint32   // number of the newest segment; 0 = the anchor, before promotion; published after SegLine[Gen]
	CPU  uint32   // processor that published last + 1; 0 = unknown; a hint where to spin
	Buf  uint32   // SO_SNDBUF of the sending end, bytes; it and Rx.Buf together bound Tail − Head about as TCP would; 0 = no bound
	_    [44]byte // reserved for an inline copy of a small message
}

// SegLine holds the descriptors of segments. Writer: the sender, before it publishes Gen.
// Segment g is described at index g % SegDescs, covers [Base(g), Base(g+1)), and byte p of it
// lies at (p − Base(g)) mod capacity in its class's region.
type SegLine struct {
	Base  [SegDescs]uint64 // bytes; position of the segment's first byte
	Class [SegDescs]uint32 // ClassHot, ClassBulk, ClassSpill or ClassTCP
	_     [32]byte
}

// RxLine is written by the holder of the receive side and read by the sender.
type RxLine struct {
	Head uint64 // bytes consumed; set once by the sender to N before it publishes Gen = 1
	RGen uint32 // segment being read; every region used only by older segments is free again
	CPU  uint32 // processor that consumed last + 1; 0 = unknown
	Buf  uint32 // SO_RCVBUF of the receiving end, bytes; 0 = no bound
	Low  uint32 // SO_RCVLOWAT of the receiving end, bytes; only its own processes read it
	_    [40]byte
}

// WatchLine names the bells to be rung when a direction changes. Writer: the watching side, by
// compare-and-swap of an entry; reader: the other side, after each publication.
// An entry is 0 (free) or (bell + 1) << 16 | member; bell is an index in the watcher's bell page.
type WatchLine struct {
	Entry [WatchEntries]uint32
	// Careful: writer: the watching side, when it starts and stops to sleep often; 1 = publish by
	// exchange. Once it has been 1 for a millisecond, a sleep needs no time limit (Bell).
	Careful uint32
	// Closed: writer: the watching side, before its last close, when it has shut both ways or ended the
	// stream by connect with AF_UNSPEC; the monitor when it has died. Not 0 = a sender looks at its anchor, and
	// for the peer's socket, before each send. It is in the line of the entries, which a sender reads anyway.
	// Used in RxWatch only.
	Closed uint32
	// Order: writer: who sets the bit of the entry with the same index, before, and who sends by TCP while that bit
	// is not set; Marks of the bell then. The watcher, who sets 0 when it arms the entry and when it has told of
	// what came by TCP: a sender keeps a number of its own that has not been told.
	Order [WatchEntries]uint32
	_     [24]byte
}

// LockLine is the LOCKED mode of one side of a direction: a futex lock between the processes and
// threads which share that side.
type LockLine struct {
	Word uint32 // 0 = free, else owner's pid; bit 31 = somebody sleeps on it
	// Mode: writer: who shares the side, by fork as a rule, before it does; it never falls. 0: one process uses it.
	Mode uint32
	_    [56]byte
}

// Direction is all shared state of one direction except the bytes.
type Direction struct {
	Tx      TxLine
	Seg     SegLine
	Rx      RxLine
	RxWatch WatchLine // watchers of the receiver: rung when bytes arrive
	TxWatch WatchLine // watchers of the sender: rung when space appears
	TxLock  LockLine
	RxLock  LockLine
}

// SlotHeader identifies the connection. Cookie, Epoch: written by the monitor before introduction.
type SlotHeader struct {
	Cookie   [2]uint64 // SO_COOKIE of the anchor of end 0 and of end 1
	Epoch    uint32    // how often this slot was handed out
	_        uint32
	Attached [2]uint32 // writer: end i; 1 = it has mapped the slot and reads what is put into it
	Err      [2]uint32 // writer: end i; errno that its next call must report once, 0 = none
	RdShut   [2]uint32 // writer: end i; 1 = shutdown(SHUT_RD) was called
	// InEdges, OutEdges: writer, reader: who shares end i (locked add); calls there that wake whoever watches it for
	// input, for output, whatever they change. Not counted while one process uses the end.
	InEdges, OutEdges [2]uint32
}

// Slot is the control block of one connection.
type Slot struct {
	Hdr SlotHeader
	Dir [2]Direction
	_   [64]byte
}

// BellPage is the first page of a process's bell memfd.
type BellPage struct {
	ABI  uint64 // writer: monitor; hash of this layout
	Key  uint64 // writer: monitor; a forked child shows it to register with its parent's page
	Proc uint32 // writer: monitor; number of the process
	_    [44]byte
	Mail uint32 // writer: monitor; count of messages sent to the process on its registration socket
	_    [60]byte
	// Count: writer: the process and its forked children (locked add); reader: the monitor, for
	// stat. Indexed by the Count… constants.
	Count [64]uint64
}

// Bell is where one waiter (a blocked thread, an epoll set, a Go process) is woken. Who sets a bit
// that was clear must set the bit's summary bit and, if Parked is not 0, ring: send an empty
// datagram to the abstract Unix address "\0sdbell-" + 16 hexadecimal digits of Nonce.
// Who waits increments Parked (locked), looks at Summary and at what it waits for, and sleeps.
// Bits are cleared by the owner: the summary word first, then the words it names, then it looks.
type Bell struct {
	Parked  uint32    // writer: owner; threads asleep or about to sleep on this bell
	Owner   uint32    // pid that holds this bell, 0 = free; claimed by compare-and-swap, freed by the owner or, after its death, by the monitor
	Nonce   uint64    // writer: owner, before the bell is named in any WatchLine
	Summary [4]uint64 // bit w of the array: word w of the bits may be non-zero
	Keeps   uint32    // writer: owner, before the bell is named in any WatchLine; 1 = bits stay set after a harvest, so a set bit does not say that the owner is being woken
	Marks   uint32    // writer: who writes an Order (locked add), and the owner for what is ready unmarked; an epoll set tells of its members in this order
	_       [8]byte
}

// Counters in BellPage.Count. The names are what sdirect stat prints.
const (
	CountPromoted      = 0  // directions switched from TCP to a ring by this process
	CountSwitch        = 1  // segment switches (growth, shrink)
	CountToTCP         = 2  // directions switched back to TCP
	CountRing          = 3  // bells rung (system calls made to wake a peer)
	CountPark          = 4  // times a thread went to sleep
	CountForeignWrite  = 5  // bytes found on an anchor beyond the promotion point: reset
	CountBadPeer       = 6  // impossible value in shared memory: reset
	CountForked        = 7  // kept on the kernel: inherited by fork before promotion
	CountOption        = 8  // kept on the kernel: an option or flag that is not honoured on a ring
	CountStdio         = 9  // kept on the kernel: descriptor 0, 1 or 2, or fdopen
	CountUnhooked      = 10 // call that is not supported on a promoted descriptor
	CountWatchFull     = 11 // bounded sleeps because all watch entries or bells were taken
	CountNoMonitor     = 12 // registrations that failed
	CountExecInherited = 13 // promoted descriptors that a started program inherited
	CountReset         = 14 // resets reported because the peer died with unread bytes
	CountLockBroken    = 15 // locks taken over from a dead process
	CountPassed        = 16 // promoted or candidate descriptors sent with SCM_RIGHTS
)

// Messages on the registration socket (AF_UNIX SOCK_SEQPACKET); one Msg for each packet.
const (
	MsgHello   = 1 // process → monitor: ABI, Key (0, or that of an inherited bell page), Name
	MsgWelcome = 2 // monitor → process: Status, Proc; descriptor: bell memfd (absent if Key matched)
	MsgOffer   = 3 // process → monitor: FD, Cookie, Role and addresses of an established connection
	MsgIntro   = 4 // monitor → process: Cookie, End, Arena, Slot, Peer; descriptors, the first time that a process meets this arena: arena memfd, bell memfd of the peer
	MsgRefuse  = 5 // monitor → process: Cookie, Status = why the connection stays on the kernel
	MsgGone    = 6 // process → monitor: Cookie, Arena, Slot (Arena 0: it was not introduced): its last descriptor of the connection is closed
	MsgNote    = 7 // process → monitor: Cookie, addresses, Status: it decided to keep a connection on the kernel
)

// Roles in an Offer.
const (
	RoleConnect = 0
	RoleAccept  = 1
)

// Reasons for a connection to be on the kernel, and outcomes of Hello; in Msg.Status.
const (
	StatusOK        = 0
	StatusABI       = 1  // layouts differ
	StatusDenied    = 2  // another user's monitor
	StatusNotYours  = 3  // possession of the anchor was not proved
	StatusNamespace = 4  // another network namespace than the monitor's
	StatusSelf      = 5  // both ends are one socket, or no mirrored connection can exist
	StatusLimit     = 6  // no slot, memory or descriptor
	StatusForked    = 7  // inherited by fork before promotion
	StatusOption    = 8  // an option or flag that is not honoured on a ring
	StatusStdio     = 9  // descriptor 0, 1 or 2, or fdopen
	StatusNoPeer    = 10 // the peer never offered its end
	StatusPolicy    = 11 // forbidden
	StatusMembers   = 12 // an epoll registration that cannot follow
	StatusPassed    = 13 // sent with SCM_RIGHTS
)

// Msg is every message on the registration socket. Unused fields are 0. Addresses are in network
// byte order, IPv4 as ::ffff:a.b.c.d; ports are in host byte order.
type Msg struct {
	Type   uint32
	Status uint32
	Cookie uint64 // SO_COOKIE of the sender's anchor
	ABI    uint64
	Key    uint64
	FD     uint32 // number of the anchor in the sender's descriptor table
	Role   uint32
	LPort  uint32
	RPort  uint32
	LAddr  [16]byte
	RAddr  [16]byte
	Arena  uint32
	Slot   uint32
	End    uint32 // 0 or 1
	Peer   uint32 // Proc of the peer
	Proc   uint32
	_      uint32
	Name   [16]byte // comm of the process
}
