package sim

import (
	"fmt"
	"math/bits"
	"reflect"
	"unsafe"
)

type op uint8

const (
	OpSwap op = iota // the order of internal/shm
	OpCAS
	OpAdd
	OpOr
	OpAnd
	opLoad
	opStore
	opCopyIn
	opCopyOut
	opDrain
	opNote
	opTick
	opKill
	opStop
	opCont
	opSignal
)

var opNames = [...]string{"swap", "cas", "add", "or", "and", "load", "store", "copy-in", "copy-out",
	"drain", "", "tick", "KILL", "STOP", "CONTINUE", "signal"}

// event is one line of a run's history.
type event struct {
	step  int
	t     *Thread
	op    op
	p     unsafe.Pointer
	label string
	v     uint64
}

// shown is how many events a failure shows.
const shown = 30

// log keeps the last events, or all, and a hash over all.
type log struct {
	all  []event // Verbose
	last [shown]event
	n    int
	hash uint64
}

// event records what a thread did (t == nil: the world) and what it saw.
func (w *World) event(t *Thread, op op, p unsafe.Pointer, label string, v uint64) {
	if v>>40 == 0x7f { // where libraries are loaded: an address, which differs from run to run
		if r := w.find(uintptr(v)); r != nil {
			v = r.id + v - uint64(r.base)
		}
	}
	h := uint64(op)<<56 ^ v
	if p != nil {
		word := w.wordOf(t, p)
		h = mix(h, word)
	}
	if t != nil {
		if op != opDrain {
			t.hist = mix(t.hist, h)
		}
		h ^= uint64(t.ID+1) << 48
	}
	l := &w.log
	l.hash = mix(l.hash, h)
	e := &l.last[l.n%shown]
	*e = event{w.steps, t, op, p, label, v}
	l.n++
	if w.Verbose {
		l.all = append(l.all, *e)
	}
}

// Hash is the hash over all events so far: equal for equal runs.
func (w *World) Hash() uint64 { return w.log.hash }

// History is the last events as text, oldest first; all of them if Verbose.
func (w *World) History() []string {
	l := &w.log
	events := l.all
	if !w.Verbose {
		for i := max(0, l.n-shown); i < l.n; i++ {
			events = append(events, l.last[i%shown])
		}
	}
	lines := make([]string, len(events))
	for i, e := range events {
		who := "world"
		if e.t != nil {
			who = e.t.String()
		}
		what := opNames[e.op]
		if e.p != nil {
			what += " " + w.nameOf(e.p)
		}
		lines[i] = fmt.Sprintf("%6d %-16s %s %s = %#x", e.step, who, what, e.label, e.v)
	}
	return lines
}

// mix is a step of a hash, quick rather than strong.
func mix(h, x uint64) uint64 {
	hi, lo := bits.Mul64(h^0x9e3779b97f4a7c15, x^0xbf58476d1ce4e5b9)
	return hi ^ lo ^ bits.RotateLeft64(h, 23)
}

// region is memory with a name, so that runs at other addresses have the same events.
type region struct {
	name   string
	base   uintptr
	size   uintptr
	id     uint64
	fields func(off uintptr) string
}

// Region names size bytes at p.
func (w *World) Region(name string, p unsafe.Pointer, size uintptr, fields func(off uintptr) string) {
	w.regions = append(w.regions, region{name, uintptr(p), size, mix(0x5e9, uint64(len(w.regions))), fields})
}

// Share names the variable that p points to, fields by their names in Go.
func Share[T any](w *World, name string, p *T) {
	w.Region(name, unsafe.Pointer(p), unsafe.Sizeof(*p), func(off uintptr) string {
		return fieldAt(reflect.TypeFor[T](), off)
	})
}

// ShareBytes names memory without structure.
func (w *World) ShareBytes(name string, b []byte) {
	w.Region(name, unsafe.Pointer(&b[0]), uintptr(len(b)), func(off uintptr) string { return fmt.Sprintf("[%d]", off) })
}

func fieldAt(t reflect.Type, off uintptr) string {
	switch t.Kind() {
	case reflect.Struct:
		for i := range t.NumField() {
			f := t.Field(i)
			if off >= f.Offset && off < f.Offset+f.Type.Size() {
				return "." + f.Name + fieldAt(f.Type, off-f.Offset)
			}
		}
	case reflect.Array:
		if n := t.Elem().Size(); n > 0 {
			return fmt.Sprintf("[%d]", off/n) + fieldAt(t.Elem(), off%n)
		}
	}
	return ""
}

func (w *World) find(p uintptr) *region {
	if w.last < len(w.regions) {
		if r := &w.regions[w.last]; p-r.base < r.size {
			return r
		}
	}
	for i := range w.regions {
		if r := &w.regions[i]; p-r.base < r.size {
			w.last = i
			return r
		}
	}
	return nil
}

// wordIDs are the identities of words in no region; they keep the words alive.
type wordIDs map[unsafe.Pointer]uint64

// word is the identity of an address: of its region and offset, else of who touched it first.
func (w *World) word(p unsafe.Pointer) uint64 { return w.wordOf(w.cur, p) }

func (w *World) wordOf(t *Thread, p unsafe.Pointer) uint64 {
	a := uintptr(p)
	if r := w.find(a); r != nil {
		return r.id + uint64(a-r.base)
	}
	id, ok := w.touched[p]
	if !ok {
		if w.touched == nil {
			w.touched = wordIDs{}
		}
		id = mix(0xadd, uint64(len(w.touched)))
		if t != nil {
			t.touched++
			id = mix(uint64(t.ID)+0xf1d, t.touched)
		}
		w.touched[p] = id
	}
	return id
}

func (w *World) nameOf(p unsafe.Pointer) string {
	if r := w.find(uintptr(p)); r != nil {
		return r.name + r.fields(uintptr(p)-r.base)
	}
	return fmt.Sprintf("word %x", w.touched[p]&0xffffff)
}
