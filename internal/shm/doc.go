// Package shm is the only home of what touches memory shared with another process below the
// level of Go's own types: atomic words, futex, membarrier, memfd and mmap.
//
// Memory model: x86-64 total store order. Atomic loads acquire, StoreRelease releases, everything
// else here is a full barrier. Under the race detector StoreRelease is a full barrier as well, so
// that heap-backed tests see every edge.
package shm
