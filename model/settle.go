package model

import "slices"

// settle lets everything arrive that may: the data as far as the window is sure to allow, then FIN
// and RST. FIN waits behind data that may not have arrived.
func (s *State) settle() {
	for again := true; again; {
		again = false
		for i := range s.ends {
			for s.arrive(int32(i)) {
				again = true
			}
		}
	}
}

// variants are the copies of a settled state that differ in whether what waits for room has come.
func (s *State) variants() []*State {
	all := []*State{s.clone()}
	for i := range s.ends {
		e := int32(i)
		for _, v := range all {
			wire := v.ends[e].wire
			if len(wire) == 0 {
				continue
			}
			w := v.clone()
			switch wire[0] {
			case doubt:
				w.ends[e].wire = wire[1:]
				w.reset(e)
				v.ends[e].wire = wire[1:]
				if !slices.Contains(v.ends[e].wire, tail) {
					v.ends[e].wire = slices.Insert(slices.Clone(v.ends[e].wire), 0, tail)
				}
				v.finish(e)
				v.settle()
				x := v.clone()
				x.refuseData(e)
				x.settle()
				all = append(all, x)
			case useless, tail:
				w.refuseData(e)
			default:
				w.ends[e].sure = size(w.ends[e].rx)
			}
			w.settle()
			all = append(all, w)
		}
	}
	return all
}

// arrive delivers one signal to an endpoint.
func (s *State) arrive(e int32) bool {
	end := &s.ends[e]
	if len(end.wire) == 0 {
		return false
	}
	sig := end.wire[0]
	waits := end.sure < size(end.rx) || sig == useless && end.strained // a window that opens after SHUT_RD is not told
	if sig != finAck && sig != rst && waits {
		if !slices.Contains(end.wire, rst) {
			return false
		}
		sig = rst // it overtakes what waits for room
	}
	end.wire = end.wire[1:]
	switch sig {
	case fin:
		s.finished(e)
	case finAck:
		if end.tcp == lastAck || end.tcp == closing {
			s.wait(e, end.tcp == closing)
		}
	case rst:
		s.wasReset(e)
	case useless:
		s.refuseData(e)
	}
	return true
}

// finished is the arrival of FIN.
func (s *State) finished(e int32) {
	end := &s.ends[e]
	end.done, end.unseen = true, true
	end.shut |= shutRd
	switch end.tcp {
	case established:
		end.tcp = closeWait
	case finWait:
		if end.peer != e && slices.Contains(s.ends[end.peer].wire, fin) {
			end.tcp = closing
			break
		}
		s.emit(end.peer, finAck)
		s.wait(e, true)
	}
	s.wake(e, all)
}

// wait is the end of an endpoint whose FIN was sent first: TIME_WAIT keeps the address, while the
// socket shows as closed.
func (s *State) wait(e int32, timeWait bool) {
	end := &s.ends[e]
	end.tcp, end.peer, end.timeWait = closed, none, timeWait
	if timeWait {
		s.newEnd(endpoint{tcp: closed, timeWait: true, orphan: true, file: none, peer: none, parent: none, addr: end.addr, opt: end.opt})
	}
}

// wasReset is the arrival of RST.
func (s *State) wasReset(e int32) {
	end := &s.ends[e]
	switch end.tcp {
	case closed:
		return
	case synSent:
		end.err = econnref
	case closeWait:
		end.err = epipe
	default:
		end.err = econnrst
	}
	end.tcp, end.shut, end.peer = closed, shutBoth, none
	end.wire, end.unseen = nil, true
	s.wake(e, failure)
	s.wake(e, all)
}

// data is the arrival of bytes that from has sent to e, the last of them perhaps urgent.
func (s *State) data(from, e int32, x Extent, urgent bool) {
	end := &s.ends[e]
	if end.tcp == closed {
		s.emit(from, rst)
		return
	}
	if urgent {
		s.marked(e, x.N)
	}
	if end.deaf() {
		s.emit(e, useless) // it may have to wait for room
		return
	}
	had := size(end.rx)
	end.rx = append(end.rx, x)
	total := had + x.N
	switch {
	case end.strained && had > 0: // for all that is known it waits behind the rest
		s.perhaps(e, in)
		return
	case end.strained:
	case total <= certain:
		end.sure = total
	default:
		end.strained = true
		end.sure = max(end.sure, certain)
	}
	switch low := end.opt[OptRcvLowat]; {
	case total >= low:
		s.wake(e, in)
	case end.strained:
		s.perhaps(e, in)
	}
}

// refuseData is the arrival of data that nobody will read: the whole connection is reset.
func (s *State) refuseData(e int32) {
	end := &s.ends[e]
	s.emit(end.peer, rst)
	end.tcp, end.peer, end.wire = closed, none, nil
	end.err = econnrst
	end.shut = shutBoth
	s.wake(e, failure)
	s.wake(e, all)
}
