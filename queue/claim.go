package queue

import "golang.org/x/sys/unix"

// Claim takes this process's lock on an end of a slot (ClaimAll says what for). fd is that of its bell
// page, with an open file description of its own. It fails if the kernel has no memory for a lock.
func Claim(fd int, arena, slot uint32, end int) error {
	return claim(fd, unix.F_RDLCK, arena, slot, end)
}

// Unclaim gives the lock up, if there is one.
func Unclaim(fd int, arena, slot uint32, end int) error {
	return claim(fd, unix.F_UNLCK, arena, slot, end)
}

func claim(fd int, how int16, arena, slot uint32, end int) error {
	lock := unix.Flock_t{Type: how, Start: claimAt(arena, slot, end), Len: 1}
	return unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &lock)
}

// Claimed tells whether a process with the bell page fd, another open file description of it, uses this
// end of a slot. An error counts as a use.
func Claimed(fd int, arena, slot uint32, end int) bool {
	for _, at := range ClaimPlaces(arena, slot, end) {
		lock := unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1}
		if err := unix.FcntlFlock(uintptr(fd), unix.F_OFD_GETLK, &lock); err != nil || lock.Type != unix.F_UNLCK {
			return true
		}
	}
	return false
}

// ClaimPlaces is where a use of an end of a slot shows, in the order in which to look: a child claims
// what it has inherited before it gives ClaimAll up, and who closes claims the end as one that closes
// (ClaimClosing) before it gives its claim up.
func ClaimPlaces(arena, slot uint32, end int) [3]int64 {
	return [3]int64{ClaimAll, claimAt(arena, slot, end), claimAt(arena, slot, end+ClaimClosing)}
}

func claimAt(arena, slot uint32, end int) int64 {
	return (int64(end)<<32|int64(arena))<<8 | int64(slot)
}
