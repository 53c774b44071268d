package differ

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// addresses gives each program one of 127.1.0.0 to 127.128.255.255. A TIME_WAIT may keep it in use for
// a minute: all runs of a user take theirs, a block at a time, from one counter in a file. Where it begins
// is drawn, so that users keep apart.
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
	name := fmt.Sprintf("sd-differ-addresses-%d", os.Getuid())
	f, err := os.OpenFile(filepath.Join(os.TempDir(), name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		return 0, err
	}
	var b [4]byte
	switch _, err := f.ReadAt(b[:], 0); err {
	case nil:
		start = binary.NativeEndian.Uint32(b[:])
	case io.EOF: // we made it
		start = rand.Uint32()
	default:
		return 0, err
	}
	binary.NativeEndian.PutUint32(b[:], start+addressBlock)
	_, err = f.WriteAt(b[:], 0)
	return start, err
}
