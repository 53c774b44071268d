//go:build !race && !sim

package shm

// StoreRelease64 is a plain store which the compiler cannot move: earlier loads and stores are
// visible before it, but it may stay in the store buffer while later loads run.
//
//go:noescape
func StoreRelease64(p *uint64, v uint64)

// StoreRelease32 is StoreRelease64 for 32 bits.
//
//go:noescape
func StoreRelease32(p *uint32, v uint32)
