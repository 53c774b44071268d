package model

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

// variants are the copies of a settled state that differ in whether a FIN behind a long queue has come.
func (s *State) variants() []*State {
	all := []*State{s.clone()}
	for i := range s.ends {
		if e := &s.ends[i]; len(e.wire) == 0 || e.wire[0] != fin {
			continue
		}
		for _, v := range all {
			w := v.clone()
			w.ends[i].sure = size(w.ends[i].rx)
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
	if sig == fin && end.sure < size(end.rx) {
		return false
	}
	end.wire = end.wire[1:]
	switch sig {
	case fin:
		s.finished(e)
	case finAck:
		if end.tcp == lastAck {
			end.tcp, end.peer = closed, none
		}
	case rst:
		s.wasReset(e)
	}
	return true
}

// finished is the arrival of FIN.
func (s *State) finished(e int32) {
	end := &s.ends[e]
	end.done = true
	end.shut |= shutRd
	switch end.tcp {
	case established:
		end.tcp = closeWait
	case finWait: // TIME_WAIT, which shows as closed
		s.emit(end.peer, finAck)
		end.tcp, end.timeWait, end.peer = closed, true, none
	}
	s.wake(e, all)
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
	end.wire = nil
	s.wake(e, failure)
	s.wake(e, all)
}

// data is the arrival of bytes that from has sent to e.
func (s *State) data(from, e int32, x Extent) {
	end := &s.ends[e]
	if end.tcp == closed || end.orphan || end.tcp == finWait && end.shut&shutRd != 0 {
		// Nobody will read it: RST to the sender, and an end whose own FIN is out is reset as well.
		if end.tcp != closed {
			end.tcp, end.peer = closed, none
			end.err = econnrst
			end.shut = shutBoth
			s.wake(e, failure)
			s.wake(e, all)
		}
		s.emit(from, rst)
		return
	}
	end.rx = append(end.rx, x)
	total := size(end.rx)
	if total <= certain {
		end.sure = total
	} else {
		end.strained = true
		end.sure = max(end.sure, certain)
	}
	s.wake(e, in)
}
