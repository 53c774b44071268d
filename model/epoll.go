package model

import (
	"slices"
	"syscall"
)

// item is a registration in an epoll set. The kernel knows it by description and number.
type item struct {
	file   int32 // none: deleted
	fd     int32
	events int32 // without ERR and HUP, which are always meant
	off    bool  // EPOLLONESHOT has fired
	maybe  bool  // it may be on the ready list
	extra  int8  // late only: how often it was reported though it was not certainly on it
}

// mostExtra: a connection moves to rings and back, and each move may be an edge.
const mostExtra = 2

// Keys of a wake-up: the events that it is about.
const (
	all     = int32(0)
	in      = int32(syscall.EPOLLIN | syscall.EPOLLPRI | syscall.EPOLLRDNORM | syscall.EPOLLRDBAND)
	room    = int32(syscall.EPOLLOUT | syscall.EPOLLWRNORM | syscall.EPOLLWRBAND)
	failure = int32(syscall.EPOLLERR)
)

// maxNesting is how deep sets may watch sets.
const maxNesting = 5

func (n step) epCreate() []Branch {
	f := n.newFile(file{kind: epollSet, end: none})
	return n.one(n.install(n.p, f, 0, n.op.Arg[0] != 0))
}

func (n step) epCtl() []Branch {
	ep, f := n.fileOf(n.p, n.op.Arg[0]), n.fileOf(n.p, n.op.Arg[2])
	op, fd, events := n.op.Arg[1], n.op.Arg[2], n.op.Arg[3]
	switch {
	case ep == none || f == none:
		return n.fail(ebadf)
	case n.files[f].kind == otherFile:
		return n.fail(eperm)
	case ep == f || n.files[ep].kind != epollSet:
		return n.fail(einval)
	}
	if op != syscall.EPOLL_CTL_DEL && events&evExclusive != 0 {
		ok := evIn | evOut | evErr | evHup | evWakeup | evET | evExclusive
		if op == syscall.EPOLL_CTL_MOD || n.files[f].kind == epollSet || events&^ok != 0 {
			return n.fail(einval)
		}
	}
	set := &n.files[ep]
	if op == syscall.EPOLL_CTL_ADD && n.files[f].kind == epollSet && (n.watches(f, ep) || n.above(ep)+n.below(f) > maxNesting) {
		return n.fail(eloop)
	}
	at := int32(slices.IndexFunc(set.items, func(it item) bool { return it.file == f && it.fd == fd }))
	switch op {
	case syscall.EPOLL_CTL_ADD:
		if at != none {
			return n.fail(eexist)
		}
		set.items = append(set.items, item{file: f, fd: fd, events: events})
		at = int32(len(set.items) - 1)
	case syscall.EPOLL_CTL_MOD:
		if at == none {
			return n.fail(enoent)
		}
		if set.items[at].events&evExclusive != 0 {
			return n.fail(einval)
		}
		set.items[at] = item{file: f, fd: fd, events: events, maybe: set.items[at].maybe, extra: set.items[at].extra}
	case syscall.EPOLL_CTL_DEL:
		if at == none {
			return n.fail(enoent)
		}
		set.remove(at)
		return n.one(0)
	default:
		return n.fail(einval)
	}
	must, may := n.mask(f)
	switch it := &set.items[at]; {
	case must&it.interest() != 0:
		n.markReady(ep, at)
	case may&it.interest() != 0:
		it.maybe = true
	}
	return n.one(0)
}

func (it *item) interest() int32 {
	if it.off {
		return 0
	}
	return it.events | evErr | evHup
}

func (f *file) remove(at int32) {
	f.items[at] = item{file: none}
	f.ready = slices.DeleteFunc(f.ready, func(i int32) bool { return i == at })
}

// forget removes a description from all sets: it is closed for good.
func (s *State) forget(f int32) {
	for i := range s.files {
		for at := range s.files[i].items {
			if s.files[i].items[at].file == f {
				s.files[i].remove(int32(at))
			}
		}
	}
}

// watches tells whether set a watches set b, directly or through others.
func (s *State) watches(a, b int32) bool {
	return a == b || slices.ContainsFunc(s.files[a].items, func(it item) bool { return it.file != none && s.watches(it.file, b) })
}

// below and above are the lengths of the longest chains of sets under and over one, itself included.
func (s *State) below(f int32) (depth int32) {
	if s.files[f].kind != epollSet {
		return 0
	}
	for _, it := range s.files[f].items {
		if it.file != none {
			depth = max(depth, s.below(it.file))
		}
	}
	return depth + 1
}

func (s *State) above(f int32) (depth int32) {
	for i := range s.files {
		if slices.ContainsFunc(s.files[i].items, func(it item) bool { return it.file == f }) {
			depth = max(depth, s.above(int32(i)))
		}
	}
	return depth + 1
}

// wake tells everybody who watches an endpoint.
func (s *State) wake(e, key int32) {
	if f := s.ends[e].file; f != none {
		s.wakeFile(f, key)
	}
}

func (s *State) wakeFile(f, key int32) {
	for i := range s.files {
		for at := range s.files[i].items {
			it := &s.files[i].items[at]
			if it.file == f && !it.off && (key == all || key&it.interest() != 0) {
				s.markReady(int32(i), int32(at))
			}
		}
	}
}

// markReady puts an item on its set's ready list and wakes who watches the set.
func (s *State) markReady(ep, at int32) {
	set := &s.files[ep]
	if !slices.Contains(set.ready, at) {
		set.ready = append(set.ready, at)
	}
	s.wakeFile(ep, evIn) // by this name alone
}

// perhaps says that events may have come to those who watch an endpoint.
func (s *State) perhaps(e, events int32) {
	if e == none || s.ends[e].file == none {
		return
	}
	for i := range s.files {
		for at := range s.files[i].items {
			if it := &s.files[i].items[at]; it.file == s.ends[e].file && it.interest()&events != 0 {
				it.maybe = true
			}
		}
	}
}

// coming is in if bytes are on their way to a description: each arrival is an edge, whatever has been there before.
func (s *State) coming(file int32) int32 {
	if e := s.files[file].end; e != none && s.ends[e].sure < size(s.ends[e].rx) {
		return in
	}
	return 0
}

// roomy says that an endpoint has certainly room to send again; an edge may have been reported already.
func (s *State) roomy(e int32) {
	if e == none || s.ends[e].file == none {
		return
	}
	s.perhaps(e, evOut|evWrNorm)
	for i := range s.files {
		for at := range s.files[i].items {
			it := &s.files[i].items[at]
			if it.file == s.ends[e].file && it.interest()&(evOut|evWrNorm) != 0 && it.events&evET == 0 {
				s.markReady(int32(i), int32(at))
			}
		}
	}
}

// anyReady tells whether epoll_wait would report something, and whether it may.
func (s *State) anyReady(ep int32) (certainly, maybe bool) {
	set := &s.files[ep]
	for at := range set.items {
		it := &set.items[at]
		if it.file == none {
			continue
		}
		must, may := s.mask(it.file)
		listed := slices.Contains(set.ready, int32(at))
		certainly = certainly || listed && must&it.interest() != 0
		maybe = maybe || (listed || it.maybe) && (must|may)&it.interest() != 0
	}
	return certainly, maybe
}

// reports are the event masks that epoll_wait may give of an item; 0: it is not reported.
func (s *State) reports(ep, at int32) []int32 {
	it := &s.files[ep].items[at]
	must, may := s.mask(it.file)
	options := mayShow(must, may, it.interest())
	listed := slices.Contains(s.files[ep].ready, at)
	if before, too, ok := s.before(it.file); ok && listed && (before|too)&it.interest() != 0 {
		options = append(options, mayShow(before, too, it.interest())...)
		if it.events&evET != 0 { // the end is what made it ready again
			options = append(options, 0)
		}
		return options
	}
	switch {
	case listed:
		return options
	case !it.maybe && may&it.interest() == 0:
		return []int32{0}
	case options[0] == 0:
		return options
	}
	return append([]int32{0}, options...)
}

func (n step) epWait() []Branch {
	ep, most, ms := n.fileOf(n.p, n.op.Arg[0]), int(n.op.Arg[1]), n.op.Arg[2]
	switch {
	case ep == none: // before 6.15 or so, whether there is room for an event came first
		return n.fail(ebadf)
	case most <= 0 || n.files[ep].kind != epollSet:
		return n.fail(einval)
	}
	chosen := [][]int32{{}} // each is a list of pairs (item, events)
	certain := false
	for at := range n.files[ep].items {
		if n.files[ep].items[at].file == none {
			continue
		}
		options := n.reports(ep, int32(at))
		certain = certain || options[0] != 0
		var more [][]int32
		for _, c := range chosen {
			for _, r := range options {
				if r == 0 {
					more = append(more, c)
				} else {
					more = append(more, append(slices.Clip(c), int32(at), r))
				}
			}
		}
		chosen = more
	}
	var b []Branch
	for _, c := range chosen {
		if n.late && certain && len(c) == 0 {
			continue
		}
		for _, some := range n.told(c, most) {
			next := n.on(n.clone())
			if len(some) == 0 && ms < 0 {
				next.settleReady(ep, nil)
				b = append(b, next.sleep(0, 0)...)
				continue
			}
			for i := 0; i < len(some); i += 2 {
				next.report(n.files[ep].items[some[i]].file, some[i+1])
			}
			next.settleReady(ep, some)
			one := next.branch(int32(len(some) / 2))
			one.Vec = n.events(ep, some)
			b = append(b, one)
		}
	}
	return b
}

// told are the ways to report at most k of the pairs. One operation may change several sockets, one after the other:
// whoever sleeps may be woken by the first.
func (n step) told(pairs []int32, k int) (ways [][]int32) {
	if n.again == nil || len(pairs) == 0 {
		return subsets(pairs, k)
	}
	for fewer := range min(k, len(pairs)/2) {
		ways = append(ways, subsets(pairs, fewer+1)...)
	}
	return ways
}

// subsets are the ways to report at most k of the pairs.
func subsets(pairs []int32, k int) [][]int32 {
	if len(pairs)/2 <= k {
		return [][]int32{pairs}
	}
	if k == 0 {
		return [][]int32{{}}
	}
	out := subsets(pairs[2:], k)
	for _, rest := range subsets(pairs[2:], k-1) {
		out = append(out, append(slices.Clone(pairs[:2]), rest...))
	}
	return out
}

// events is what the program sees: the data of each item and its events, by data.
func (s *State) events(ep int32, pairs []int32) (vec []int32) {
	for i := 0; i < len(pairs); i += 2 {
		vec = append(vec, s.files[ep].items[pairs[i]].fd, pairs[i+1])
	}
	return SortPairs(vec)
}

// SortPairs orders pairs by first, then second number.
func SortPairs(v []int32) []int32 {
	type pair [2]int32
	var p []pair
	for i := 0; i+1 < len(v); i += 2 {
		p = append(p, pair{v[i], v[i+1]})
	}
	slices.SortFunc(p, func(a, b pair) int { return slices.Compare(a[:], b[:]) })
	for i := range p {
		v[2*i], v[2*i+1] = p[i][0], p[i][1]
	}
	return v
}

// settleReady takes the reported items off the ready list, and all that are not ready after all. A
// level-triggered one that was reported goes to its end.
func (s *State) settleReady(ep int32, reported []int32) {
	set := &s.files[ep]
	var again, left []int32
	for at := range set.items {
		it := &set.items[at]
		if it.file == none {
			continue
		}
		must, may := s.mask(it.file)
		i := index(reported, int32(at))
		listed := slices.Contains(set.ready, int32(at))
		switch {
		case i >= 0 && it.events&evOneShot != 0:
			it.off, it.maybe = true, false
		case i >= 0 && it.events&evET != 0:
			if s.late && !listed && it.extra < mostExtra {
				it.extra++
			}
			it.maybe = (may|s.coming(it.file))&it.interest() != 0 || s.late && it.extra < mostExtra
		case i >= 0:
			again = append(again, int32(at))
		case listed && (must|may)&it.interest() != 0:
			left = append(left, int32(at))
		}
	}
	set.ready = append(left, again...)
}

func index(pairs []int32, at int32) int {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] == at {
			return i
		}
	}
	return -1
}
