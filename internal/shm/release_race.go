//go:build race && !sim

package shm

import "sync/atomic"

// StoreRelease64 is the store which the race detector understands.
func StoreRelease64(p *uint64, v uint64) { atomic.StoreUint64(p, v) }

// StoreRelease32 is the store which the race detector understands.
func StoreRelease32(p *uint32, v uint32) { atomic.StoreUint32(p, v) }
