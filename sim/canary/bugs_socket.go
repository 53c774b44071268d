package canary

const (
	page    = "queue/bellpage.go"
	bell    = "queue/bell.go"
	domain  = "socket/domain.go"
	link    = "socket/link.go"
	read    = "socket/read.go"
	left    = "socket/left.go"
	end     = "socket/end.go"
	write   = "socket/write.go"
	waits   = "socket/wait.go"
	watches = "socket/watch.go"
	conns   = "socket/conn.go"
)

var traffic = []string{"requests", "conn"}

var waking = []Bug{
	{"late-park", "a sleep is announced after the last look", traffic, []Edit{{domain,
		"d.bell.Park()\n\t\tif !d.bell.Pending() {",
		"pending := PLANTED && d.bell.Pending()\n\t\td.bell.Park()\n\t\tif PLANTED && !pending || !(PLANTED) && !d.bell.Pending() {", false}}},
	{"no-look-before-sleep", "the dispatcher sleeps without looking whether a bell was marked", traffic, []Edit{{domain,
		"!d.bell.Pending()", "true", true}}},
	{"unbounded-first-sleep", "a wait sleeps without bound right after its bit was cleared", traffic, []Edit{{waits,
		"w.sleep(queue.FirstSleep, limit, closed)", "w.sleep(0, limit, closed)", true}}},
	{"no-look-after-clear", "a wait clears its bit and sleeps without looking again", traffic, []Edit{{waits,
		"w.dom.bell.Clear(w.member)\n\t\tw.stage = armed", "w.dom.bell.Clear(w.member)\n\t\tif PLANTED {\n\t\t\tw.sleep(0, limit, closed)\n\t\t}\n\t\tw.stage = armed", false}}},
	{"bit-not-cleared", "a wait sleeps with its bit set", traffic, []Edit{{waits,
		"w.dom.bell.Clear(w.member)", "", false}}},
	{"parked-first", "the ringer looks for sleepers before it marks the summary", traffic, []Edit{{page,
		"shm.Or64(&b.Summary[w/64], 1<<(w%64))\n\treturn shm.Load32(&b.Parked) != 0",
		"parked := shm.Load32(&b.Parked) != 0\n\tshm.Or64(&b.Summary[w/64], 1<<(w%64))\n\treturn parked", false}}},
	{"no-summary", "a member is marked, but not in the summary", traffic, []Edit{{page,
		"shm.Or64(&b.Summary[w/64], 1<<(w%64))", "_ = w", false}}},
	{"ring-first", "the bell is rung before the bytes are published", traffic, []Edit{
		{write, "if n, err = l.sender.Write(p); n > 0 {", "if PLANTED {\n\t\tl.notify(&l.out().RxWatch)\n\t}\n\tif n, err = l.sender.Write(p); n > 0 && !(PLANTED) {", false}}},
	{"no-ring", "bytes are published and nobody is told", traffic, []Edit{{write,
		"n, err = l.sender.Write(p); n > 0", "n, err = l.sender.Write(p); n > 0 && !(PLANTED)", false}}},
	{"no-room-ring", "bytes are consumed and a sender that waits for room is not told", []string{"waiting"}, []Edit{{read,
		"l.notify(&l.in().TxWatch)", "", false}}},
	{"parked-flag", "a sleep is not counted as one", traffic, []Edit{{bell,
		"shm.Add32(&o.bell.Parked, 1)", "", false}}},
	{"end-wakes-nobody", "what happens on the anchor wakes no reader", traffic, []Edit{{watches,
		"wake(l.rx.wake)", "", false}}},
	{"deadline-on-tcp-only", "a read deadline that was set before the promotion is forgotten", []string{"waiting"}, []Edit{{conns,
		"c.rdLimit.set(t)", "if c.link.Load() != nil {\n\t\tc.rdLimit.set(t)\n\t}", false}}},
	{"deadline-unheard", "a long sleep does not end at the deadline", []string{"waiting"}, []Edit{{waits,
		"w.sleep(bound, limit, closed)", "w.sleep(bound, nil, closed)", true}}},
	{"close-unheard", "a long sleep does not end at Close", []string{"waiting"}, []Edit{{waits,
		"w.sleep(bound, limit, closed)", "w.sleep(bound, limit, nil)", true}}},
}

var connections = []Bug{
	{"wrong-n", "a direction leaves TCP one byte late", []string{"promotion", "requests"}, []Edit{{write,
		"l.sender.Open(n)", "l.sender.Open(n + 1)", false}}},
	{"skip-tcp", "a reader enters the ring without reading TCP to N", traffic, []Edit{{read,
		"left == 0 {\n\t\t\t\tif !l.recver.Enter", "left == 0 || PLANTED {\n\t\t\t\tif !l.recver.Enter", false}}},
	{"early-eof", "the anchor is looked at after the ring: bytes published before FIN are lost", []string{"promotion", "conn"}, []Edit{{read,
		"n, err := l.take(p, peek)\n", "n, err := l.take(p, peek)\n\tif PLANTED {\n\t\tended = l.fin.Load() || l.rst.Load()\n\t}\n", false}}},
	{"end-unasked", "who meets the end before the watcher of the anchor does not ask whether the peer died", []string{"death"}, []Edit{{end,
		"if !l.fin.Load() || l.c.rdShut.Load() {", "if !(PLANTED) && !l.fin.Load() || l.c.rdShut.Load() {", false}}},
	{"anchor-eof", "the anchor's end counts though the stream has left it", []string{"promotion", "conn"}, []Edit{{left,
		"return 0, where != queue.OnAnchor, err", "return 0, where != queue.OnAnchor && !(PLANTED), err", false}}},
	{"attached-in-the-kernel", "the peer may leave TCP while a reader is in the kernel, and comes back", []string{"c-go-back"}, []Edit{{link,
		"spawn(l.evict)", "if PLANTED {\n\t\t\tl.slot.Attach(at.end)\n\t\t}\n\t\tspawn(l.evict)", false}}},
	{"young-uncounted", "a reader asks whether the stream has left TCP, then reads what there is", []string{"c-go-back"}, []Edit{
		{left, "for seen := 0; ; seen = 1 {\n", "for seen := 0; ; seen = 1 {\n\t\tearly, _ := l.recver.Look() // PLANTED\n", false},
		{left, "if where, _ := l.recver.Look(); where != queue.OnAnchor {", "where, _ := l.recver.Look()\n\t\tif PLANTED {\n\t\t\twhere = early\n\t\t}\n\t\tif where != queue.OnAnchor {", false},
		{left, "n, err := l.c.tcp.recv(p[:min", "if PLANTED {\n\t\t\t\tqueued = len(p)\n\t\t\t}\n\t\t\tn, err := l.c.tcp.recv(p[:min", false}}},
	{"back-unasked", "what came behind the ring is counted as from before it", []string{"c-go-back"}, []Edit{{left,
		"came >= n && !back", "came >= n && (!back || PLANTED)", false}}},
	{"unseen-reader", "a reader goes into the kernel without saying so", traffic, []Edit{{read,
		"c.inKernel.Store(true)", "", false}}},
	{"no-second-look", "a reader that said so does not look again whether it was promoted", traffic, []Edit{{read,
		"l := c.link.Load()\n\tif l != nil {\n\t\tc.inKernel", "var l *link\n\tif !(PLANTED) {\n\t\tl = c.link.Load()\n\t}\n\tif l != nil {\n\t\tc.inKernel", false}}},
	{"watch-leak", "a closed connection leaves its watch entry", []string{"conn"}, []Edit{{link,
		"l.rx.unwatch(&l.in().RxWatch)", "", false}}},
	{"attach-late", "a sender does not wait until its peer looks into the ring", traffic, []Edit{{write,
		"!l.slot.IsAttached(1-l.place.end)", "false", true}}},
	{"half-close-forever", "a sender with a half-closed peer does not ask whether that is gone", []string{"waiting"}, []Edit{{write,
		"l.tx.slowPoll = halfPoll", "", false}}},
	{"write-in-pieces", "a writer lets others in while it waits for room", []string{"requests"}, []Edit{{write,
		"l.tx.step(func() bool { return l.writable(n) }, limit, l.c.closed)", "l.c.wr.Unlock()\n\tl.tx.step(func() bool { return l.writable(n) }, limit, l.c.closed)\n\tl.c.wr.Lock()", false}}},
	{"readers-at-once", "two goroutines read at the same time", []string{"requests"}, []Edit{{read,
		"c.rd.Lock()\n\tdefer c.rd.Unlock()", "if !(PLANTED) {\n\t\tc.rd.Lock()\n\t\tdefer c.rd.Unlock()\n\t}", false}}},
}
