package monitor

import (
	"container/list"

	"github.com/socksdirect/libsd/monitor/wire"
)

// waitingTable holds offers whose peer has not been offered. The kernel has at most one
// established socket for an address pair, so the pair is the key.
type waitingTable struct {
	byPair   map[wire.Pair]*list.Element
	byCookie map[uint64]*list.Element
	byReg    map[Reg]map[uint64]*list.Element
	order    *list.List // of Offer, oldest first
}

func newWaitingTable() waitingTable {
	return waitingTable{
		byPair:   map[wire.Pair]*list.Element{},
		byCookie: map[uint64]*list.Element{},
		byReg:    map[Reg]map[uint64]*list.Element{},
		order:    list.New(),
	}
}

// add puts o in and returns the offers that had to leave: stale ones for the same addresses or
// cookie, and the oldest if the table was full.
func (w *waitingTable) add(o Offer) (evicted []Offer) {
	if el := w.byPair[o.Pair]; el != nil {
		evicted = append(evicted, w.remove(el))
	}
	if el := w.byCookie[o.Cookie]; el != nil {
		evicted = append(evicted, w.remove(el))
	}
	if w.order.Len() >= maxWaiting {
		evicted = append(evicted, w.remove(w.order.Front()))
	}
	el := w.order.PushBack(o)
	w.byPair[o.Pair] = el
	w.byCookie[o.Cookie] = el
	if w.byReg[o.Reg] == nil {
		w.byReg[o.Reg] = map[uint64]*list.Element{}
	}
	w.byReg[o.Reg][o.Cookie] = el
	return evicted
}

// take removes and returns the offer with these addresses.
func (w *waitingTable) take(p wire.Pair) (Offer, bool) {
	el := w.byPair[p]
	if el == nil {
		return Offer{}, false
	}
	return w.remove(el), true
}

// drop removes one offer of a registration.
func (w *waitingTable) drop(reg Reg, cookie uint64) {
	if el := w.byReg[reg][cookie]; el != nil {
		w.remove(el)
	}
}

// dropAll removes every offer of a registration.
func (w *waitingTable) dropAll(reg Reg) {
	for _, el := range w.byReg[reg] {
		w.remove(el)
	}
}

func (w *waitingTable) remove(el *list.Element) Offer {
	o := w.order.Remove(el).(Offer)
	delete(w.byPair, o.Pair)
	delete(w.byCookie, o.Cookie)
	delete(w.byReg[o.Reg], o.Cookie)
	if len(w.byReg[o.Reg]) == 0 {
		delete(w.byReg, o.Reg)
	}
	return o
}
