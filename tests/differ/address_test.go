package differ

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// addresses gives each program one of 127.1.0.0 to 127.128.255.255. A TIME_WAIT may keep it in use for
// a minute: all runs on this machine take theirs, a block at a time, from one counter in a file.
var addresses struct {
	sync.Mutex
	next, end uint32
}

const addressBlock = 512

func nextAddress() (uint32, error) {
	addresses.Lock()
	defer addresses.Unlock()
	if addresses.next == addresses.end {
		start, err := nextBlock()
		if err != nil {
			return 0, err
		}
		addresses.next, addresses.end = start, start+addressBlock
	}
	addresses.next++
	return 127<<24 + 1<<16 + (addresses.next-1)&0x7fffff, nil
}

// nextBlock moves the counter on under the file's lock.
func nextBlock() (start uint32, err error) {
	f, err := os.OpenFile(filepath.Join(os.TempDir(), "sd-differ-addresses"), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return 0, err
	}
	var b [4]byte
	if _, err := f.ReadAt(b[:], 0); err == nil {
		start = binary.NativeEndian.Uint32(b[:])
	}
	binary.NativeEndian.PutUint32(b[:], start+addressBlock)
	_, err = f.WriteAt(b[:], 0)
	return start, err
}
