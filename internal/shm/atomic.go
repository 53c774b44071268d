//go:build !sim

package shm

import "sync/atomic"

// Load32 loads with acquire order.
func Load32(p *uint32) uint32 { return atomic.LoadUint32(p) }

// Load64 loads with acquire order.
func Load64(p *uint64) uint64 { return atomic.LoadUint64(p) }

// Store32 stores and drains the store buffer (XCHG).
func Store32(p *uint32, v uint32) { atomic.StoreUint32(p, v) }

// Store64 stores and drains the store buffer (XCHG).
func Store64(p *uint64, v uint64) { atomic.StoreUint64(p, v) }

// Swap32 exchanges and returns the old value.
func Swap32(p *uint32, v uint32) uint32 { return atomic.SwapUint32(p, v) }

// Swap64 exchanges and returns the old value.
func Swap64(p *uint64, v uint64) uint64 { return atomic.SwapUint64(p, v) }

// CAS32 replaces old by v and tells whether it did.
func CAS32(p *uint32, old, v uint32) bool { return atomic.CompareAndSwapUint32(p, old, v) }

// CAS64 replaces old by v and tells whether it did.
func CAS64(p *uint64, old, v uint64) bool { return atomic.CompareAndSwapUint64(p, old, v) }

// Add32 adds and returns the new value; a negative delta is its two's complement.
func Add32(p *uint32, delta uint32) uint32 { return atomic.AddUint32(p, delta) }

// Add64 adds and returns the new value.
func Add64(p *uint64, delta uint64) uint64 { return atomic.AddUint64(p, delta) }

// Or64 sets bits and returns the old value.
func Or64(p *uint64, bits uint64) uint64 { return atomic.OrUint64(p, bits) }

// AndNot64 clears bits and returns the old value.
func AndNot64(p *uint64, bits uint64) uint64 { return atomic.AndUint64(p, ^bits) }
