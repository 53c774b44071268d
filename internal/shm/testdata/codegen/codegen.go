// Package codegen has each function of shm beside what it must compile to.
package codegen

import (
	"sync/atomic"

	"github.com/socksdirect/libsd/internal/shm"
)

func Load32Shm(p *uint32) uint32   { return shm.Load32(p) }
func Load32Plain(p *uint32) uint32 { return atomic.LoadUint32(p) }

func Load64Shm(p *uint64) uint64   { return shm.Load64(p) }
func Load64Plain(p *uint64) uint64 { return atomic.LoadUint64(p) }

func Store32Shm(p *uint32, v uint32)   { shm.Store32(p, v) }
func Store32Plain(p *uint32, v uint32) { atomic.StoreUint32(p, v) }

func Store64Shm(p *uint64, v uint64)   { shm.Store64(p, v) }
func Store64Plain(p *uint64, v uint64) { atomic.StoreUint64(p, v) }

func Swap64Shm(p *uint64, v uint64) uint64   { return shm.Swap64(p, v) }
func Swap64Plain(p *uint64, v uint64) uint64 { return atomic.SwapUint64(p, v) }

func CAS32Shm(p *uint32, a, b uint32) bool   { return shm.CAS32(p, a, b) }
func CAS32Plain(p *uint32, a, b uint32) bool { return atomic.CompareAndSwapUint32(p, a, b) }

func Add32Shm(p *uint32, d uint32) uint32   { return shm.Add32(p, d) }
func Add32Plain(p *uint32, d uint32) uint32 { return atomic.AddUint32(p, d) }

func Or64Shm(p *uint64, v uint64) uint64   { return shm.Or64(p, v) }
func Or64Plain(p *uint64, v uint64) uint64 { return atomic.OrUint64(p, v) }

func CopyInShm(a, b []byte) int   { return shm.CopyIn(a, b) }
func CopyInPlain(a, b []byte) int { return copy(a, b) }

func CopyOutShm(a, b []byte) int   { return shm.CopyOut(a, b) }
func CopyOutPlain(a, b []byte) int { return copy(a, b) }
