package monitor

import (
	"encoding/binary"
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/queue"
)

// The monitor reads and writes arenas as files, or maps their slots for a moment: it needs no mapping of
// gigabytes for each pair.

// newArenaFile makes the memfd of an arena, sparse and sealed in size, with its header.
func newArenaFile(num uint32) (*os.File, error) {
	f, err := shm.CreateSealed("sdirect-arena", queue.ArenaSize)
	if err != nil {
		return nil, err
	}
	header := queue.ArenaHeader{ABI: queue.ABIHash, Arena: num, Slots: queue.ArenaSlots}
	if _, err := f.WriteAt(encode(&header), 0); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// writeSlot zeroes a slot's control block but for the identity of its connection.
func writeSlot(f *os.File, slot, epoch uint32, cookie [2]uint64) error {
	s := queue.Slot{Hdr: queue.SlotHeader{Cookie: cookie, Epoch: epoch}}
	_, err := f.WriteAt(encode(&s), slotOffset(slot))
	return err
}

// readSlot copies a control block; its fields move meanwhile, so they are for people's eyes only.
func readSlot(f *os.File, slot uint32) (*queue.Slot, error) {
	b := make([]byte, queue.SlotSize)
	if _, err := f.ReadAt(b, slotOffset(slot)); err != nil {
		return nil, err
	}
	s := new(queue.Slot)
	_, err := binary.Decode(b, binary.LittleEndian, s)
	return s, err
}

// orphanSlot marks a slot whose end nobody has any more as a close would have, and if that was not done calls
// tell with what may be waited for at the other end.
func orphanSlot(f *os.File, slot uint32, end int, tell func(*queue.WatchLine)) error {
	mem, err := shm.Map(int(f.Fd()), queue.RingOff)
	if err != nil {
		return err
	}
	s := shm.At[queue.Slot](mem, int(slotOffset(slot)))
	if to, from := &s.Dir[1-end], &s.Dir[end]; shm.CAS32(&to.RxWatch.Closed, 0, queue.Dead) {
		tell(&to.TxWatch)
		tell(&from.RxWatch)
	}
	return shm.Unmap(mem)
}

// punchSlot gives the memory of a slot's rings back to the system.
func punchSlot(f *os.File, slot uint32) error {
	const perSlot = 2 * queue.DirStride
	err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE,
		queue.RingOff+int64(slot)*perSlot, perSlot)
	return os.NewSyscallError("fallocate", err)
}

func slotOffset(slot uint32) int64 { return queue.CtlOff + int64(slot)*queue.SlotSize }

func encode(v any) []byte {
	b, err := binary.Append(nil, binary.LittleEndian, v)
	if err != nil {
		panic(fmt.Sprintf("monitor: %T has no fixed size: %v", v, err))
	}
	return b
}
