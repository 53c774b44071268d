package main

import "encoding/binary"

const golden = 0x9e3779b97f4a7c15

// mix is the finaliser of splitmix64, as in tests/prog/prog.h.
func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

type rng uint64

func (r *rng) next() uint64 {
	*r += golden
	return mix(uint64(*r))
}

// size draws a size from 1 to limit, each power of two up to 2^20 as likely as the next.
func (r *rng) size(limit int) int {
	v := r.next()
	n := 1 + int((v>>8)%(1<<((v&255)%21)))
	return min(n, limit)
}

// fill writes the bytes of the stream that seed names, from position pos on: byte p is byte p%8,
// counted from the least significant, of mix(seed + (p/8+1)*golden).
func fill(seed, pos uint64, b []byte) {
	for len(b) > 0 {
		var w [8]byte
		binary.LittleEndian.PutUint64(w[:], mix(seed+(pos/8+1)*golden))
		n := copy(b, w[pos%8:])
		b = b[n:]
		pos += uint64(n)
	}
}
