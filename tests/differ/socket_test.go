package differ

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"pgregory.net/rapid"

	"github.com/socksdirect/libsd/model"
	"github.com/socksdirect/libsd/tests/harness"
)

// goConns is what programs for package socket leave out, because no net.Conn and no net.Listener can
// say it.
var goConns = style{
	warm: true,
	dir:  "socket",
	excluded: []model.Kind{
		model.Dup, model.Dup3, model.DupFD, model.GetFL, model.SetFD, model.GetFD, model.GetOpt, model.Inq, model.Name,
		model.Poll, model.EpCreate, model.EpCtl, model.EpWait, model.Fork, model.Exec, model.Exit, model.Kill,
		model.Pair, model.Pass, model.Take,
	},
	unmet: []string{"bad", "other", "epoll", "unix", "connecting", "lastAck", "closing"},
}

// useMonitor has this process register with the monitor of the test run.
func useMonitor(t *testing.T) {
	if harness.SDirect() == "" {
		t.Skip("SD_MODES selects native runs only")
	}
	for _, kv := range harness.Command(false, "true").Env {
		if value, ok := strings.CutPrefix(kv, "SDIRECT_SOCKET="); ok {
			os.Setenv("SDIRECT_SOCKET", value)
		}
	}
}

// TestSocket: programs of what net.Conn and net.Listener offer, through package socket. All descriptors
// are of this process; SIGPIPE is ignored, as it is for Go.
func TestSocket(t *testing.T) {
	useMonitor(t)
	setChecks(t, programs()/workers)
	c := newCoverage()
	promoted := 0 // guarded by c.mu
	t.Run("programs", func(t *testing.T) {
		for w := range workers {
			t.Run(fmt.Sprint(w), func(t *testing.T) {
				t.Parallel()
				var failed *failure
				defer func() {
					if failed != nil {
						failed.keep(t, goConns, 0, tryConns)
					}
				}()
				rapid.Check(t, func(rt *rapid.T) {
					p := drawConns(rt, c, w)
					transcript, n, err := runConns(p)
					c.mu.Lock()
					promoted += n
					c.mu.Unlock()
					if err != nil {
						if failed == nil {
							failed = &failure{p, transcript, err}
						}
						rt.Fatalf("\n%s%v", transcript, err)
					}
				})
			})
		}
	})
	if !t.Failed() {
		c.report(t, goConns)
	}
	t.Logf("%d ends were promoted", promoted)
	if promoted == 0 {
		t.Error("no connection was promoted")
	}
}

func tryConns(_ style, p *program) (transcript string, err error) {
	transcript, _, err = runConns(p)
	return transcript, err
}

// TestSocketReplays runs the programs of testdata/socket, counter-examples of earlier days.
func TestSocketReplays(t *testing.T) {
	useMonitor(t)
	names, err := filepath.Glob("testdata/socket/*.txt")
	if err != nil || len(names) == 0 {
		t.Fatalf("no replays: %v", err)
	}
	for _, name := range names {
		t.Run(strings.TrimSuffix(filepath.Base(name), ".txt"), func(t *testing.T) {
			p := readProgram(t, name)
			for range harness.Size(20, 2000) {
				if transcript, err := tryConns(goConns, p); err != nil {
					t.Fatalf("\n%s%v", transcript, err)
				}
			}
		})
	}
}

// drawConns draws connections and what is done with them.
func drawConns(t *rapid.T, c *coverage, worker int) *program {
	d := newDrawer(t, goConns, c, worker)
	d.do(0, model.SigAct, int32(syscall.SIGPIPE), model.SigIgnore)
	l := d.listen()
	dialed := d.dial()
	accepted, _ := d.do(0, model.Accept, l, 0)
	if !d.chance(30) {
		d.warm(0, dialed, 0, accepted)
	}
	for range d.length() {
		d.connStep()
	}
	c.mu.Lock()
	c.programs++
	c.mu.Unlock()
	return &d.program
}

// listen is net.Listen; Accept has a deadline, which to the model is a call that does not wait.
func (d *drawer) listen() int32 {
	l, _ := d.do(0, model.Socket, 0)
	d.do(0, model.SetOpt, l, model.OptReuseAddr, 1)
	d.do(0, model.Bind, l, 0)
	d.do(0, model.Listen, l, 4096)
	d.do(0, model.SetFL, l, nonblock)
	return l
}

// dial is net.Dial.
func (d *drawer) dial() int32 {
	fd, _ := d.do(0, model.Socket, 0)
	if r, _ := d.do(0, model.Connect, fd, 0); r < 0 {
		d.do(0, model.Close, fd)
	}
	return fd
}

func (d *drawer) connStep() {
	var open, listeners []int32
	for _, fd := range d.state.Open(0) {
		if d.state.Place(0, fd) == "listening" {
			listeners = append(listeners, fd)
		} else {
			open = append(open, fd)
		}
	}
	if len(open) == 0 || d.chance(8) {
		d.listenerStep(listeners, len(open))
		return
	}
	fd := d.pick(open...)
	switch d.pick(0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 4, 5) {
	case 0:
		d.do(0, model.Send, fd, d.size(), syscall.MSG_DONTWAIT) // it has a deadline
	case 1: // as a Write; one of nothing asks nobody
		if n := d.size(); n > 0 {
			d.do(0, model.Recv, fd, n, syscall.MSG_DONTWAIT)
		}
	case 2:
		d.do(0, model.Shutdown, fd, d.pick(syscall.SHUT_WR, syscall.SHUT_WR, syscall.SHUT_RD))
	case 3:
		d.do(0, model.Close, fd)
	case 4:
		d.do(0, model.SetOpt, fd, model.OptLinger0, d.pick(1, 0))
	case 5:
		d.do(0, model.Rest, 50)
	}
}

func (d *drawer) listenerStep(listeners []int32, open int) {
	switch {
	case len(listeners) == 0 && d.chance(70):
		d.listen()
	case len(listeners) == 0 || open < 6 && d.chance(50):
		d.dial()
	case d.chance(15):
		d.do(0, model.Close, listeners[0])
	default:
		d.do(0, model.Accept, listeners[0], 0)
	}
}
