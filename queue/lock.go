package queue

import (
	"time"

	"github.com/socksdirect/libsd/internal/shm"
)

const (
	lockSleeper   = 1 << 31                // LockLine.Word: somebody sleeps on it
	lockSleepMax  = 100 * time.Millisecond // then the owner's life is looked at
	lockOwnerMask = lockSleeper - 1
)

// Lock takes a side shared between processes (LOCKED mode) for pid, sleeping while another holds
// it. alive tells whether a pid lives; a lock whose owner is dead is taken over, and broken tells
// so: payload is published last, so the dead one's torn operation is invisible. The taker calls
// Reload. No operation sleeps while it holds the lock.
func (l *LockLine) Lock(pid uint32, alive func(pid uint32) bool) (broken bool) {
	slept := uint32(0) // lockSleeper from the first sleep on: others may still sleep
	for i := 0; ; i++ {
		word := shm.Load32(&l.Word)
		owner := word & lockOwnerMask
		switch {
		case owner == 0:
			// The sleeper bit stays: who takes the lock wakes the next when leaving.
			if shm.CAS32(&l.Word, word, pid|word&lockSleeper|slept) {
				return false
			}
		case i < lockSpins:
			shm.Pause(4)
			shm.Yield()
		case !alive(owner):
			if shm.CAS32(&l.Word, word, pid|lockSleeper) {
				return true
			}
		case word&lockSleeper != 0 || shm.CAS32(&l.Word, word, word|lockSleeper):
			shm.FutexWait(&l.Word, word|lockSleeper, lockSleepMax)
			slept = lockSleeper
		}
	}
}

// Unlock gives the side up. Precondition: this process holds it.
func (l *LockLine) Unlock() {
	if shm.Swap32(&l.Word, 0)&lockSleeper != 0 {
		shm.FutexWake(&l.Word, 1)
	}
}

// Share makes the side LOCKED for good: from now on every operation takes the lock.
func (l *LockLine) Share() { shm.Store32(&l.Mode, LockShared) }

// Shared tells whether the side is LOCKED.
func (l *LockLine) Shared() bool { return shm.Load32(&l.Mode) != 0 }
