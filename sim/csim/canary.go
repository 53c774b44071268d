//go:build sim && cgo

package csim

import "github.com/socksdirect/libsd/sim"

// Edit replaces one piece of a source file of the C core.
type Edit struct{ File, Old, New string }

// mistakes are edits of the C core, each a bug that somebody could make. They exist as text only.
var mistakes = []struct {
	name, about string
	scenes      []string
	edits       []Edit
}{
	{"c-publish-first", "a send publishes Tail, then copies the bytes", scenes("c-stream"), edit("ring.c",
		"copy_iov(tx->mem + sd_class_off[tx->class], cap, tx->tail - tx->base, iov, skip + done, k, 1);\n\t\ttx->tail += k;\n\t\tdone += k;\n\t\tsd_tx_publish(tx, exchange && done == n);",
		"tx->tail += k;\n\t\tsd_tx_publish(tx, exchange && done + k == n);\n\t\tcopy_iov(tx->mem + sd_class_off[tx->class], cap, tx->tail - k - tx->base, iov, skip + done, k, 1);\n\t\tdone += k;")},
	{"c-publish-first-small", "the same in the path of small sends", scenes("c-stream", "c-echo"), edit("ring_fast.h",
		"sd_copy(tx->at, b, n);\n\tsd_tx_advance(tx, n, exchange);",
		"sd_tx_advance(tx, n, exchange);\n\tsd_copy(tx->at - n, b, n);")},
	{"c-consume-first", "a receive gives space back, then copies the bytes out", scenes("c-stream"), edit("ring.c",
		"copy_iov(rx->mem + sd_class_off[class], cap, head - sd_base_of(d, rgen), iov, skip + done, k, 0);\n\t\tdone += k;\n\t\thead += k;\n\t\tif (!peek)\n\t\t\tsd_store(&d->rx.head, head);",
		"if (!peek)\n\t\t\tsd_store(&d->rx.head, head + k);\n\t\tcopy_iov(rx->mem + sd_class_off[class], cap, head - sd_base_of(d, rgen), iov, skip + done, k, 0);\n\t\tdone += k;\n\t\thead += k;")},
	{"c-wake-first", "a small send wakes the receiver, then publishes", scenes("c-echo", "c-stream"), edit("send.c",
		"sd_tx_append(&c->tx, b, n, c->burst == 0);\n\tpublished(c, fd);",
		"int first = c->burst == 0;\n\tpublished(c, fd);\n\tsd_tx_append(&c->tx, b, n, first);")},
	{"c-no-recheck", "who parks does not look again before it sleeps", scenes("c-echo", "c-stream"), []Edit{
		{"wait.c", "int exact = 0, marked", "int exact = 0, first = 1, marked"},
		{"wait.c", "|| sd_ready(c, fd, what))\n\t\t\tbreak;", "|| (!first && sd_ready(c, fd, what)) || (first = 0))\n\t\t\tbreak;"}}},
	{"c-clock-after-look", "poll sleeps without a limit once store buffers have drained, but looked before that", scenes("c-park-poll"), edit("poll.c",
		"if ((result = look(fds, n, &kernel)) != 0)\n\t\t\tbreak;", "if ((result = look(fds, n, &kernel)) != 0)\n\t\t\tbreak;\n\t\tnow = sd_now_ns();")},
	{"c-parked-store", "who parks says so by a plain store", scenes("c-echo", "c-stream"), edit("wait.c",
		"armed = sd_watch_arm(a.line, a.bell, 0);\n\t\tsd_add(&b->parked, 1);",
		"armed = sd_watch_arm(a.line, a.bell, 0);\n\t\tsd_store(&b->parked, 1);")},
	{"c-careless", "a sender publishes by plain stores although the receiver sleeps", scenes("c-stream", "c-echo"), edit("ring_fast.h",
		"if (exchange || sd_peek(&tx->d->rx_watch.careful))", "if (exchange)")},
	{"c-beyond-base", "a receiver reads beyond the end of a segment", scenes("c-stream"), edit("ring.c",
		"if (left < k)\n\t\t\t\tk = left;", "")},
	{"c-gen-before-tail", "a receiver looks at Gen, then at Tail", scenes("c-stream"), edit("ring.c",
		"rx->tail = sd_load(&rx->d->tx.tail);\n\trx->gen = sd_load(&rx->d->tx.gen);",
		"rx->gen = sd_load(&rx->d->tx.gen);\n\trx->tail = sd_load(&rx->d->tx.tail);")},
	{"c-gen-before-base", "a sender publishes Gen before the segment's description", scenes("c-stream"), edit("ring.c",
		"sd_poke(&d->seg.base[gen % SD_SEG_DESCS], tx->tail);\n\tsd_poke(&d->seg.class[gen % SD_SEG_DESCS], class);\n\tsd_store(&d->tx.gen, gen);",
		"sd_store(&d->tx.gen, gen);\n\tsd_poke(&d->seg.base[gen % SD_SEG_DESCS], tx->tail);\n\tsd_poke(&d->seg.class[gen % SD_SEG_DESCS], class);")},
	{"c-region-in-use", "a sender opens a segment in a region that is still being read", scenes("c-stream"), edit("ring.c",
		"for (uint32_t g = rgen; g != gen + 1; g++) {", "for (uint32_t g = gen; g != gen + 1; g++) {")},
	{"c-stale-tail", "a new holder of the send side goes on at the Tail that it knew", scenes("c-fork"), edit("ring.c",
		"tx->tail = sd_peek(&d->tx.tail);\n\ttx->gen", "tx->gen")},
	{"c-unlock-first", "the send side is unlocked before the bytes are published", scenes("c-shared", "c-fork"), edit("send.c",
		"ssize_t r = ring_try(c, iov, n, skip, want, spill);\n\tif (locked)\n\t\tsd_unlock(&d->tx_lock);",
		"if (locked)\n\t\tsd_unlock(&d->tx_lock);\n\tssize_t r = ring_try(c, iov, n, skip, want, spill);")},
	{"c-lock-by-store", "the lock is looked at, then taken by a store", scenes("c-shared"), edit("lock.c",
		"uint32_t me = sd_g.pid;\n\tif (sd_cas(&l->word, 0, me))\n\t\treturn;",
		"uint32_t me = sd_g.pid;\n\tif (sd_load(&l->word) == 0) {\n\t\tsd_store(&l->word, me);\n\t\treturn;\n\t}")},
	{"c-live-owner", "a lock is taken from an owner that is only slow", scenes("c-shared", "c-fork"), edit("lock.c",
		"if (owner_dead(w)) {", "if ((w & SLEPT) || owner_dead(w)) {")},
	{"c-dead-owner", "a lock is never taken from a dead owner", scenes("c-fork"), edit("lock.c",
		"if (owner_dead(w)) {", "if (0) {")},
	{"c-mutex-no-wake", "a mutex that was slept on is released without a wake-up", scenes("c-shared", "c-threads"), edit("lock.c",
		"if (sd_xchg(m, 0) == 2)", "if (sd_xchg(m, 0) == 3)")},
	{"c-early-eof", "EOF as soon as FIN is seen", scenes("c-stream", "c-kill"), edit("recv.c",
		"if (sd_rx_unread(&c->rx) != 0) { /* published", "if (0) { /* published")},
	{"c-wrong-n", "the promotion point forgets bytes that are on their way", scenes("c-stream", "c-echo"), edit("conn.c",
		"return a.tcpi_bytes_acked + q - (end == 0);", "return a.tcpi_bytes_acked - (end == 0);")},
	{"c-syn-byte", "the promotion point counts the SYN", scenes("c-stream"), edit("conn.c",
		"return a.tcpi_bytes_acked + q - (end == 0);", "return a.tcpi_bytes_acked + q;")},
	{"c-ring-too-early", "a receiver goes to the ring before it has read TCP up to N", scenes("c-stream", "c-echo"), edit("recv.c",
		"if (left != 0) {", "if (left > 8) {")},
	{"c-send-inside", "promotion while another thread is inside a send on TCP", scenes("c-shared"), edit("conn.c",
		"if (sd_load(&c->ksend) == 0 && sd_tx_gen(d) == 0) {", "if (sd_tx_gen(d) == 0) {")},
	{"c-late-send", "a send that was on its way to TCP goes there after promotion", scenes("c-shared"), edit("send.c",
		"r = -ESTALE;\n", "r = sd_sys(SYS_sendmsg, fd, &m, flags);\n")},
	{"c-fork-unmarked", "fork does not mark promoted connections as shared", scenes("c-fork"), edit("fork.c",
		"sd_store(&sd_in(c)->rx_lock.mode, 1);\n\t\t\tsd_conn_share_tx(c);", "")},
	{"c-fork-candidate", "after a fork both processes may promote the connection", scenes("c-fork"), edit("fork.c",
		"} else if (st != SD_ST_KERNEL) {", "} else if (0) {")},
	{"c-fork-thoughtless", "fork leaves what is known of rings to the paths that do not think", scenes("c-fork-both"), edit("fork.c",
		"sd_conn_think(c);\n\t\t} else", "} else")},
	{"c-death-unasked", "who waits for room asks only the anchor for the end of the peer", scenes("c-mon-death"), edit("conn.c",
		"sd_conn_hung_up(c, fd, anchor_mask(fd)); /* FIN may be behind bytes that nobody reads */", "")},
	{"c-claim-by-mapping", "slots are claimed by what the bell page was mapped by, which the mappings of children keep", scenes("c-mon-orphan"), edit("claim.c",
		"int fd = reopen(mapped);", "int fd = -1;")},
	{"c-fork-unclaimed", "a child does not claim the slots that it has inherited", scenes("c-mon-heirs"), edit("claim.c",
		"all &= sd_claim(c->peer->arena, c->slotno, c->end);", ";")},
	{"c-fork-locked", "a child inherits the lock that its parent held over the fork", scenes("c-fork-both"), edit("fork.c",
		"sd_promote_mutex = 0;", "")},
	{"c-fork-pid", "a child takes locks in its parent's name", scenes("c-fork-both", "c-fork"), edit("fork.c",
		"sd_g.pid = sd_sys(SYS_getpid);", "")},
	{"c-edge-unseen", "an edge is lost that comes between a member's evaluation and the note of what was seen", scenes("c-park-set"), edit("epoll_wait.c",
		"remember(m);\n\t\tmask = sd_member_mask(m);",
		"mask = sd_member_mask(m);\n\t\tremember(m);")},
	{"c-no-relook", "an epoll set does not look again once store buffers have drained", scenes("c-park-set"), edit("epoll_wait.c",
		"\t\tsd_set_relook(s);\n", "\t\t;\n")},
	{"c-set-no-recheck", "epoll_wait does not look at its bell before it sleeps", scenes("c-epoll", "c-pool"), edit("epoll_wait.c",
		"int wake = s->hot_head != NULL || (b == NULL && s->bell != NULL) || (b && sd_bell_pending(b));",
		"int wake = s->hot_head != NULL || (b == NULL && s->bell != NULL);")},
	{"c-mod-no-rearm", "EPOLL_CTL_MOD does not look whether the member is ready", scenes("c-epoll"), edit("epoll_ctl.c",
		"if (m->ours) {\n\t\t\t\tsd_member_heat(m);\n\t\t\t\tsd_set_wake(s);\n\t\t\t}", "")},
	{"c-level-once", "a level is reported once", scenes("c-epoll", "c-pool"), edit("epoll_wait.c",
		"else if (!(m->events & EPOLLET))\n\t\tsd_member_heat(m);", "")},
	{"c-summary-late", "a publisher looks for sleepers before it marks their summary", scenes("c-park-set"), edit("bell.c",
		"sd_or(&b->summary[member / 4096], 1ull << (member / 64 % 64));\n\tif (!sd_multi() && !sd_peek(&b->keeps) && in_force(page, e))\n\t\treturn;\n\tif (sd_load(&b->parked)) {",
		"uint32_t parked = sd_load(&b->parked);\n\tsd_or(&b->summary[member / 4096], 1ull << (member / 64 % 64));\n\tif (!sd_multi() && !sd_peek(&b->keeps) && in_force(page, e))\n\t\treturn;\n\tif (parked) {")},
	{"c-rung-by-two", "of two threads each takes the other's mark for a ring", scenes("c-epoll-cross"), edit("bell.c",
		"if (!sd_multi() && !sd_peek(&b->keeps) && in_force(page, e))", "if (!sd_peek(&b->keeps) && in_force(page, e))")},
	{"c-arm-before-told", "poll arms its connections, then says that it is waiting for those that other threads attach", scenes("c-park-late"), edit("poll.c",
		"\t\tsd_add(&w->waiting, 1);\n\tif (b) {\n\t\tarmed = arm(fds, n, w->bell, 1);", "\t\t;\n\tif (b) {\n\t\tarmed = arm(fds, n, w->bell, 1);\n\t\tsd_add(&w->waiting, 1);")},
	{"c-rung-keeps", "a sender takes a bit that package socket keeps for one that says its owner is being woken", scenes("c-go-two"), edit("bell.c",
		"if (!sd_multi() && !sd_peek(&b->keeps) && in_force(page, e))", "if (!sd_multi() && in_force(page, e))")},
	{"c-rung-once", "who has rung a bell does not ring again though the sleeper has harvested", scenes("c-epoll-two"), edit("bell.c",
		"rung.forks == sd_peek(&forks) &&", "rung.forks == sd_peek(&forks) || 0 &&")},
	{"c-peek-twice", "a peek that spans TCP, ring and TCP again shows the first bytes twice", scenes("c-threads"), edit("recv.c",
		"ssize_t r = before ? peek_behind", "ssize_t r = 0 ? peek_behind")},
	{"c-peek-leaves-tcp", "a peek that goes on from TCP into the ring leaves TCP, where what it saw still is", scenes("c-threads", "c-back"), edit("ring.c",
		"done == 0 && sd_peek(&d->rx.rgen) != 0", "done == 0")},
	{"c-counted-last", "a receive asks whether the stream has left TCP, then how much has come", scenes("c-back"), edit("recv.c",
		"sd_sys(SYS_ioctl, fd, SIOCINQ, &q);\n\t\tif (sd_tx_gen(sd_in(c)) != 0)\n\t\t\treturn -ESTALE;", "if (sd_tx_gen(sd_in(c)) != 0)\n\t\t\treturn -ESTALE;\n\t\tsd_sys(SYS_ioctl, fd, SIOCINQ, &q);")},
	{"c-back-asked-first", "what is left before the ring is counted by a generation that may have changed", scenes("c-back"), edit("left.c",
		" || back != back_on_tcp(in))", ")")},
	{"c-foreign-in-passing", "bytes of a stream that has just gone back to TCP are taken for somebody else's", scenes("c-back"), edit("recv.c",
		"return sd_rx_on_tcp(sd_in(c)) ? 1 : bad_peer", "return bad_peer")},
	{"c-death-before-arming", "a sender does not look again, once it has armed, whether its peer has died", scenes("c-mon-death"), edit("wait.c",
		"int gone = what == SD_WAIT_TX && attached && sd_tx_closed(&c->tx);", "int gone = 0;")},
	{"c-own-fin", "a thread takes the effect of its own process's shutdown for the peer's close", scenes("c-threads"), edit("end.c",
		"if (sd_conn_demote_tx(c) && unread) {", "if ((sd_conn_demote_tx(c), unread)) {")},
}

func scenes(names ...string) []string { return names }

func edit(file, old, new string) []Edit { return []Edit{{file, old, new}} }

func init() {
	for _, m := range mistakes {
		sim.RegisterCanary(&sim.Canary{
			Name:      m.name,
			About:     m.about,
			Scenarios: m.scenes,
			Plant:     func() error { return Use(m.edits...) },
			Remove:    func() error { return Use() },
		})
	}
}
