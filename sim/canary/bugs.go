package canary

import "slices"

// Bugs is all planted bugs. Their order is their numbers.
var Bugs = slices.Concat(rings, sharing, waking, connections, decisions, waiting)

const (
	sender   = "queue/sender.go"
	receiver = "queue/receiver.go"
	change   = "queue/switch.go"
	segments = "queue/segment.go"
	lock     = "queue/lock.go"
	token    = "queue/token.go"
)

var rings = []Bug{
	{"publish-first", "the tail is published before the payload", []string{"ring"}, []Edit{{sender,
		"copyIn(ring, (s.tail-seg.base)%uint64(len(ring)), part)\n\t\ts.publish(s.tail + uint64(len(part)))",
		"at := s.tail\n\t\ts.publish(s.tail + uint64(len(part)))\n\t\tcopyIn(ring, (at-seg.base)%uint64(len(ring)), part)", false}}},
	{"consume-first", "the head is published before the bytes are copied out", []string{"ring"}, []Edit{{receiver,
		"copyOut(part, ring, (r.head-r.seg.base)%uint64(len(ring)))",
		"shm.StoreRelease64(&r.d.Rx.Head, r.head+uint64(len(part)))\n\t\t\tcopyOut(part, ring, (r.head-r.seg.base)%uint64(len(ring)))", false}}},
	{"gen-before-base", "a segment is published before its descriptor", []string{"ring"}, []Edit{{sender,
		"shm.StoreRelease64(&s.d.Seg.Base[i], s.tail)\n\tshm.StoreRelease32(&s.d.Seg.Class[i], class)\n\tshm.StoreRelease32(&s.d.Tx.Gen, g)",
		"shm.StoreRelease32(&s.d.Tx.Gen, g)\n\tshm.StoreRelease64(&s.d.Seg.Base[i], s.tail)\n\tshm.StoreRelease32(&s.d.Seg.Class[i], class)", false}}},
	{"gen-before-tail", "the receiver looks at the segment's number before it looks at the tail", []string{"ring"}, []Edit{{receiver,
		"tail := shm.Load64(&r.d.Tx.Tail)\n\t\tgen := shm.Load32(&r.d.Tx.Gen) // after tail: bytes of a segment are published after it\n",
		"var tail uint64\n\t\tvar gen uint32\n\t\tif PLANTED {\n\t\t\tgen, tail = shm.Load32(&r.d.Tx.Gen), shm.Load64(&r.d.Tx.Tail)\n\t\t} else {\n\t\t\ttail, gen = shm.Load64(&r.d.Tx.Tail), shm.Load32(&r.d.Tx.Gen)\n\t\t}\n", false}}},
	{"beyond-base", "the receiver reads beyond the end of its segment", []string{"ring"}, []Edit{{receiver,
		"distance(next, tail) > 0", "false", true}}},
	{"region-in-use", "a switch goes to a region that holds unread bytes", []string{"ring"}, []Edit{{change,
		"s.inUse(rgen, class)", "false", true}}},
	{"one-too-many", "a full ring takes one byte more", []string{"ring"}, []Edit{{sender,
		"return min(capacity-used, s.allowed()), nil", "return min(capacity-used+1, s.allowed()), nil", false}}},
	{"open-before-tail", "the first segment is published before its positions", []string{"ring"}, []Edit{{sender,
		"shm.StoreRelease64(&s.d.Rx.Head, n)\n\tshm.StoreRelease64(&s.d.Tx.Tail, n)\n\ts.tail, s.head = n, n\n\ts.begin(ClassHot)",
		"s.tail, s.head = n, n\n\ts.begin(ClassHot)\n\tshm.StoreRelease64(&s.d.Rx.Head, n)\n\tshm.StoreRelease64(&s.d.Tx.Tail, n)", false}}},
	{"no-wrap-in", "a copy into the ring forgets the part after the wrap", []string{"ring"}, []Edit{{segments,
		"shm.CopyIn(ring, p[n:])", "", false}}},
	{"no-wrap-out", "a copy out of the ring forgets the part after the wrap", []string{"ring"}, []Edit{{segments,
		"shm.CopyOut(p[n:], ring)", "", false}}},
	{"unsigned-distance", "positions are compared as unsigned numbers", []string{"ring"}, []Edit{{segments,
		"return int64(to - from)", "if to < from {\n\t\treturn -1\n\t}\n\treturn int64(to - from)", false}}},
	{"absolute-offset", "offsets count from the stream's start, not from the segment's", []string{"ring"}, []Edit{{sender,
		"copyIn(ring, (s.tail-seg.base)%uint64(len(ring)), part)", "copyIn(ring, s.tail%uint64(len(ring)), part)", false}}},
	{"leave-early", "the receiver enters the next segment without having drained this one", []string{"ring"}, []Edit{{receiver,
		"if next == r.head {\n", "if PLANTED && distance(next, tail) > 0 {\n\t\t\t\tr.head = next\n\t\t\t}\n\t\t\tif next == r.head {\n", false}}},
	{"stuck-segment", "the receiver does not tell that it entered a segment", []string{"ring"}, []Edit{{receiver,
		"shm.StoreRelease32(&r.d.Rx.RGen, g)", "", false}}},
}

var sharing = []Bug{
	{"stale-head", "the receive side changes hands and keeps its cached head", []string{"segment"}, []Edit{{receiver,
		"r.head = shm.Load64(&r.d.Rx.Head)\n\tif r.rgen == 0", "if !(PLANTED) || r.head == 0 {\n\t\tr.head = shm.Load64(&r.d.Rx.Head)\n\t}\n\tif r.rgen == 0", false}}},
	{"stale-segment", "the receive side changes hands and keeps its cached segment", []string{"segment"}, []Edit{{receiver,
		"r.seg = segment{shm.Load64(&r.d.Seg.Base[i]), shm.Load32(&r.d.Seg.Class[i])}", "if Capacity(r.seg.class) == 0 || len(r.rings[r.seg.class]) == 0 {\n\t\treturn nil\n\t}", false}}},
	{"last-part-unpublished", "what a read drains is not published as consumed", []string{"segment"}, []Edit{{receiver,
		"if !r.peeking {\n\t\t\t\tshm.StoreRelease64", "if !r.peeking && !(PLANTED && avail == 0) {\n\t\t\t\tshm.StoreRelease64", false}}},
	{"token-no-membarrier", "a taker of a token does not drain the holder's store buffer", []string{"token"}, []Edit{{token,
		"err := t.all.barrier()", "var err error\n\t\tif !(PLANTED) {\n\t\t\terr = t.all.barrier()\n\t\t}", false}}},
	{"token-unlock-first", "a new holder lets the next taker in before it is busy", []string{"token"}, []Edit{{token,
		"shm.StoreRelease32(&t.busy, 1)\n\tk.taker.Unlock()", "k.taker.Unlock()\n\tshm.StoreRelease32(&t.busy, 1)", false}}},
	{"token-late-want", "a taker says that it wants the token after the barrier", []string{"token"}, []Edit{
		{token, "shm.Add32(&holder.want, 1)\n", "if !(PLANTED) {\n\t\t\tshm.Add32(&holder.want, 1)\n\t\t}\n", false},
		{token, "if err == nil {\n\t\t\tholder.awaitIdle", "if PLANTED {\n\t\t\tshm.Add32(&holder.want, 1)\n\t\t}\n\t\tif err == nil {\n\t\t\tholder.awaitIdle", false}}},
	{"token-busy-taken", "a token is taken while its holder is busy", []string{"token"}, []Edit{{token,
		"holder.awaitIdle()", "", false}}},
	{"token-silent-back-out", "a thread that lost its token stops being busy and wakes nobody", []string{"token"}, []Edit{{token,
		"t.leave() // not busy", "if PLANTED {\n\t\tshm.StoreRelease32(&t.busy, 0)\n\t} else {\n\t\tt.leave()\n\t} // not busy", false}}},
	{"token-silent-leave", "a holder leaves and wakes nobody", []string{"token"}, []Edit{{token,
		"if shm.Load32(&t.want) != 0 {\n\t\tshm.FutexWake(&t.busy, math.MaxInt32)\n\t}", "", false}}},
	{"token-not-busy", "a holder works without being busy", []string{"token"}, []Edit{{token,
		"shm.StoreRelease32(&t.busy, 1)\n\tif shm.Load32(&k.word) == t.number {", "if !(PLANTED) {\n\t\tshm.StoreRelease32(&t.busy, 1)\n\t}\n\tif shm.Load32(&k.word) == t.number {", false}}},
	{"lock-forgets-sleepers", "who slept takes the lock without saying that others may sleep", []string{"lock"}, []Edit{{lock,
		"slept = lockSleeper", "", false}}},
	{"lock-no-wake", "who gives a lock up wakes nobody", []string{"lock"}, []Edit{{lock,
		"shm.FutexWake(&l.Word, 1)", "", false}}},
	{"lock-by-store", "a free lock is taken by a store", []string{"lock"}, []Edit{{lock,
		"shm.CAS32(&l.Word, word, pid|word&lockSleeper|slept)", "shm.Swap32(&l.Word, pid|word&lockSleeper|slept) != 1<<30", true}}},
	{"lock-of-the-living", "a lock is taken from an owner that lives", []string{"lock"}, []Edit{{lock,
		"!alive(owner)", "true", true}}},
	{"lock-of-the-dead", "a lock is never taken from an owner that is dead", []string{"lock"}, []Edit{{lock,
		"!alive(owner)", "false", true}}},
	{"unlock-by-look", "a lock is given up by a look and a store", []string{"lock"}, []Edit{{lock,
		"shm.Swap32(&l.Word, 0)&lockSleeper != 0", "unlockByLook(l)", true},
		{lock, "// Share makes the side", "func unlockByLook(l *LockLine) bool {\n\tw := shm.Load32(&l.Word)\n\tshm.StoreRelease32(&l.Word, 0) // PLANTED\n\treturn w&lockSleeper != 0\n}\n\n// Share makes the side", false}}},
}
