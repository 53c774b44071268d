package queue

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"

	"github.com/socksdirect/libsd/internal/shm"
)

// ringsAt is where the ring memory begins in the memfd of these tests; the direction is at 0.
const ringsAt = 4096

// peerEnv makes the test binary a peer process instead: the arguments of testdata/peer.c.
const peerEnv = "SDIRECT_TEST_PEER"

func TestMain(m *testing.M) {
	if os.Getenv(peerEnv) != "" {
		if err := goPeer(os.Args[1:]); err != nil {
			os.Stderr.WriteString(err.Error() + "\n")
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func goPeer(args []string) error {
	var n [5]uint64
	for i := range n {
		n[i], _ = strconv.ParseUint(args[i+1], 0, 64)
	}
	mem, err := shm.Map(int(n[0]), ringsAt+DirStride)
	if err != nil {
		return err
	}
	return end(args[0], mem, n[1], int(n[2]), int(n[3]), n[4])
}

// end runs one end of a direction in mem until the stream of total bytes is over.
func end(role string, mem []byte, seed uint64, total, every int, base uint64) error {
	d, rings := shm.At[Direction](mem, 0), CarveRings(mem[ringsAt:])
	if role == "write" {
		s, err := NewSender(d, rings)
		if err != nil {
			return err
		}
		s.Open(base)
		_, err = pump(s, seed, total, every)
		return err
	}
	r, err := NewReceiver(d, rings)
	if err != nil {
		return err
	}
	if err := enter(r); err != nil {
		return err
	}
	return drain(r, seed, total)
}

// TestStreamBetweenProcesses runs every pair of (Go here, Go or C there), both roles, with and
// without forced switches, from just below the wrap of all counters.
func TestStreamBetweenProcesses(t *testing.T) {
	total := 32 << 20
	if testing.Short() || raceEnabled {
		total = 4 << 20
	}
	peers := map[string]string{"Go": os.Args[0]}
	if c, err := buildPeer(t); err != nil {
		t.Log("no C peer:", err)
	} else {
		peers["C"] = c
	}
	for lang, bin := range peers {
		for _, roles := range [][2]string{{"write", "read"}, {"read", "write"}} {
			for _, every := range []int{0, 2} {
				t.Run(lang+" "+roles[1]+"s, every "+strconv.Itoa(every), func(t *testing.T) {
					f, err := shm.CreateSealed("test", ringsAt+DirStride)
					if err != nil {
						t.Fatal(err)
					}
					defer f.Close()
					mem, err := shm.Map(int(f.Fd()), ringsAt+DirStride)
					if err != nil {
						t.Fatal(err)
					}
					defer shm.Unmap(mem)
					var base uint64 = nearWrap
					peer := exec.CommandContext(t.Context(), bin, roles[1], "3", "99", strconv.Itoa(total),
						strconv.Itoa(every), strconv.FormatUint(base, 10))
					peer.Env = append(os.Environ(), peerEnv+"=1")
					peer.ExtraFiles = []*os.File{f}
					peer.Stderr = os.Stderr
					if err := peer.Start(); err != nil {
						t.Fatal(err)
					}
					err = end(roles[0], mem, 99, total, every, base)
					if err != nil {
						peer.Process.Kill() // it waits for bytes that will not come
					}
					if err := errors.Join(err, peer.Wait()); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}
}

func buildPeer(t *testing.T) (string, error) {
	cc, err := exec.LookPath("gcc")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(t.TempDir(), "peer")
	out, err := exec.Command(cc, "-std=gnu11", "-O2", "-Wall", "-I", "../preload",
		"-o", bin, "testdata/peer.c", "../preload/ring.c").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin, nil
}
