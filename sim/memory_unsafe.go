package sim

import (
	"slices"
	"unsafe"
)

// store is one entry of a store buffer: a word (data == nil) or a piece of a copy.
type store struct {
	p    unsafe.Pointer
	size uintptr
	v    uint64
	data []byte
	at   Time // when it entered the buffer; in an exploration: or before, never = it is not known
	step int
}

const (
	// drainBound is how long a store stays in a buffer at most, as simulated time: what the bounded
	// first sleep of a waiter relies on.
	drainBound = Time(1e6)
	// bufferDepth is how many stores a buffer holds: those of current processors hold 56 to 72.
	bufferDepth = 56
)

func addr(p *uint32) uintptr { return uintptr(unsafe.Pointer(p)) }

func (t *Thread) peek32(p *uint32) uint32 { return uint32(t.view(unsafe.Pointer(p), 4)) }

func (t *Thread) looked(p *uint32) { t.used(unsafe.Pointer(p), 4, false) }

func (t *Thread) event(op op, p *uint32, v uint64) { t.w.event(t, op, unsafe.Pointer(p), "", v) }

// raw reads memory itself.
func raw(p unsafe.Pointer, size uintptr) uint64 {
	switch size {
	case 8:
		return *(*uint64)(p)
	case 4:
		return uint64(*(*uint32)(p))
	case 2:
		return uint64(*(*uint16)(p))
	}
	return uint64(*(*uint8)(p))
}

// set writes memory itself.
func (w *World) set(p unsafe.Pointer, size uintptr, v uint64) {
	if w.hashing {
		w.memory ^= w.cell(p, size)
	}
	switch size {
	case 8:
		*(*uint64)(p) = v
	case 4:
		*(*uint32)(p) = uint32(v)
	case 2:
		*(*uint16)(p) = uint16(v)
	default:
		*(*uint8)(p) = uint8(v)
	}
	if w.hashing {
		w.memory ^= w.cell(p, size)
	}
	w.version++
}

// cell is the hash of a word and its content.
func (w *World) cell(p unsafe.Pointer, size uintptr) uint64 {
	return mix(w.word(p), raw(p, size))
}

// buffer and recycle keep the memory of copies, from run to run.
var buffers [][]byte

func buffer(n int) []byte {
	for i, b := range slices.Backward(buffers) {
		if cap(b) >= n {
			buffers = slices.Delete(buffers, i, i+1)
			return b[:0]
		}
	}
	return make([]byte, 0, n)
}

func recycle(b []byte) { buffers = append(buffers, b) }

// setBytes writes memory itself.
func (w *World) setBytes(p unsafe.Pointer, data []byte) {
	to := unsafe.Slice((*byte)(p), len(data))
	if w.hashing {
		for i := range to {
			w.memory ^= w.cell(unsafe.Pointer(&to[i]), 1)
		}
	}
	copy(to, data)
	w.dirty = append(w.dirty, to)
	if w.hashing {
		for i := range to {
			w.memory ^= w.cell(unsafe.Pointer(&to[i]), 1)
		}
	}
	w.version++
}

// view is what the thread sees at p: memory under its own buffered stores.
func (t *Thread) view(p unsafe.Pointer, size uintptr) uint64 {
	v := raw(p, size)
	for i := t.first; i < len(t.buf); i++ {
		s := &t.buf[i]
		if s.p == p && s.size == size && s.data == nil {
			v = s.v
		} else if lo, hi := overlap(s, p, size); lo < hi {
			var b [8]byte
			*(*uint64)(unsafe.Pointer(&b)) = v
			for a := lo; a < hi; a++ {
				b[a-uintptr(p)] = s.byteAt(a)
			}
			v = *(*uint64)(unsafe.Pointer(&b))
		}
	}
	return v
}

// overlap is the common range of addresses of a buffered store and a word.
func overlap(s *store, p unsafe.Pointer, size uintptr) (lo, hi uintptr) {
	return max(uintptr(s.p), uintptr(p)), min(uintptr(s.p)+s.size, uintptr(p)+size)
}

func (s *store) byteAt(a uintptr) byte {
	i := a - uintptr(s.p)
	if s.data != nil {
		return s.data[i]
	}
	return byte(s.v >> (8 * i))
}

// push puts a store into the buffer; under sequential consistency it goes to memory at once.
func (t *Thread) push(s store) {
	if t.w.SC {
		t.apply(&s)
		return
	}
	if len(t.buf)-t.first >= bufferDepth {
		t.drainOne()
	}
	if s.at, s.step = t.w.now, t.w.steps; t.w.Explore {
		s.at = never
	}
	t.buf = append(t.buf, s)
}

func (t *Thread) apply(s *store) {
	t.used(s.p, s.size, true)
	if s.data != nil {
		t.w.setBytes(s.p, s.data)
		recycle(s.data)
	} else {
		t.w.set(s.p, s.size, s.v)
	}
}

// drainOne moves the oldest store to memory.
func (t *Thread) drainOne() {
	s := &t.buf[t.first]
	t.apply(s)
	*s = store{}
	if t.first++; t.first == len(t.buf) {
		t.buf, t.first = t.buf[:0], 0
	}
}

func (t *Thread) drainAll() {
	for t.first < len(t.buf) {
		t.drainOne()
	}
}

// Load is a load with acquire order of size (1, 2, 4, 8) bytes.
func (t *Thread) Load(p unsafe.Pointer, size uintptr) uint64 {
	if t.state == dead {
		return raw(p, size)
	}
	t.step("load", t.alone(p, size, false))
	t.used(p, size, false)
	v := t.view(p, size)
	t.w.event(t, opLoad, p, "", v)
	return v
}

// Store is a plain store: it goes through the store buffer.
func (t *Thread) Store(p unsafe.Pointer, size uintptr, v uint64) {
	if t.state == dead {
		return
	}
	t.step("store", t.aloneStore(p, size))
	t.push(store{p: p, size: size, v: v})
	t.w.event(t, opStore, p, "", v)
}

// Locked is a locked operation, a full barrier; a and b are its operands. It returns
// the value that was there.
func (t *Thread) Locked(op op, p unsafe.Pointer, size uintptr, a, b uint64) (old uint64) {
	if t.state == dead {
		if op == OpCAS {
			return a
		}
		return raw(p, size)
	}
	t.step(opNames[op], t.aloneLocked(p, size))
	t.used(p, size, true)
	t.drainAll()
	old = raw(p, size)
	v := op.apply(old, a, b)
	if v != old {
		t.w.set(p, size, v)
	}
	t.w.event(t, op, p, "", old)
	return old
}

// apply is what a locked operation makes of a value.
func (o op) apply(old, a, b uint64) uint64 {
	switch o {
	case OpSwap:
		return a
	case OpCAS:
		if old == a {
			return b
		}
	case OpAdd:
		return old + a
	case OpOr:
		return old | a
	case OpAnd:
		return old & a
	}
	return old
}

// CopyIn stores src at dst in two pieces.
func (t *Thread) CopyIn(dst, src []byte) {
	t.pieces(len(src), func(lo, hi int) {
		p := unsafe.Pointer(&dst[lo])
		t.step("copy-in", t.aloneStore(p, uintptr(hi-lo)))
		data := append(buffer(hi-lo), src[lo:hi]...)
		t.w.event(t, opCopyIn, p, "", uint64(hi-lo))
		t.push(store{p: p, size: uintptr(hi - lo), data: data})
	})
}

// CopyOut loads src into dst in two pieces.
func (t *Thread) CopyOut(dst, src []byte) {
	t.pieces(len(src), func(lo, hi int) {
		from := unsafe.Pointer(&src[lo])
		t.step("copy-out", t.alone(from, uintptr(hi-lo), false))
		t.used(from, uintptr(hi-lo), false)
		copy(dst[lo:hi], src[lo:hi])
		for i := t.first; i < len(t.buf); i++ {
			s := &t.buf[i]
			a, b := overlap(s, from, uintptr(hi-lo))
			for ; a < b; a++ {
				dst[lo+int(a-uintptr(from))] = s.byteAt(a)
			}
		}
		t.w.event(t, opCopyOut, from, "", digest(dst[lo:hi]))
	})
}

func (t *Thread) pieces(n int, f func(lo, hi int)) {
	if t.state == dead || n == 0 {
		return
	}
	if half := n / 2; half > 0 {
		f(0, half)
		f(half, n)
	} else {
		f(0, n)
	}
}

// digest hashes what a copy read: all of a short one, samples of a long one.
func digest(b []byte) uint64 {
	h := uint64(len(b))
	if len(b) < 64 {
		for _, c := range b {
			h = mix(h, uint64(c))
		}
		return h
	}
	for i := 0; i < 8; i++ {
		h = mix(h, *(*uint64)(unsafe.Pointer(&b[i*(len(b)-8)/7])))
	}
	return h
}
