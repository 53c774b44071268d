package harness

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/internal/shm"
	"github.com/socksdirect/libsd/queue"
)

func readProc(t *testing.T, pid int, name string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// CPUTime is the processor time that a process has used, user and system, to the nanosecond: its clock
// of clock_getcpuclockid(3).
func CPUTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	const sched = 2
	var ts unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|sched), &ts); err != nil {
		t.Fatal(err)
	}
	return time.Duration(ts.Nano())
}

// Memory is the proportional set size of a process in bytes.
func Memory(t *testing.T, pid int) int {
	t.Helper()
	for line := range strings.Lines(readProc(t, pid, "smaps_rollup")) {
		if rest, ok := strings.CutPrefix(line, "Pss:"); ok {
			kb, err := strconv.Atoi(strings.Fields(rest)[0])
			if err != nil {
				t.Fatal(err)
			}
			return kb << 10
		}
	}
	t.Fatal("smaps_rollup has no Pss")
	return 0
}

// Bells counts the bells in a process's bell page that have an owner, and those that somebody is said
// to sleep on.
func Bells(t *testing.T, pid int) (owned, parked int) {
	t.Helper()
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	fds, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		path := filepath.Join(dir, fd.Name())
		if name, err := os.Readlink(path); err != nil || !strings.HasPrefix(name, "/memfd:sdirect-bells") {
			continue
		}
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		page := make([]byte, queue.BitsOff)
		if _, err := f.ReadAt(page, 0); err != nil {
			t.Fatal(err)
		}
		for i := range queue.Bells {
			b := shm.At[queue.Bell](page, queue.BellOff+i*(queue.BitsOff-queue.BellOff)/queue.Bells)
			if b.Owner != 0 {
				owned++
			}
			if b.Parked != 0 {
				parked++
			}
		}
		return owned, parked
	}
	t.Fatalf("process %d keeps no bell page", pid)
	return 0, 0
}

// Holdings counts the descriptors and the memfd mappings of a process.
func Holdings(t *testing.T, pid int) (descriptors, mappings int) {
	t.Helper()
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(readProc(t, pid, "maps")) {
		if strings.Contains(line, "/memfd:") {
			mappings++
		}
	}
	return len(fds), mappings
}
