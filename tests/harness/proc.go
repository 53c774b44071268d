package harness

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Patience bounds every wait for something that should happen at once.
const Patience = 20 * time.Second

// Proc is a running program whose output is kept.
type Proc struct {
	Cmd   *exec.Cmd
	Stdin io.WriteCloser

	done chan struct{} // closed when it has ended; err is valid then
	err  error

	mu   sync.Mutex
	out  bytes.Buffer
	more chan struct{} // closed and replaced when out grows
}

// Write collects output of the program, both streams together.
func (p *Proc) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.more)
	p.more = make(chan struct{})
	return p.out.Write(b)
}

// Output is what the program has printed.
func (p *Proc) Output() string {
	out, _ := p.state()
	return out
}

func (p *Proc) state() (string, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.out.String(), p.more
}

// Command is a command line, under libsd if sd.
func Command(sd bool, args ...string) *exec.Cmd { return run.setup.Command(sd, args...) }

func start(cmd *exec.Cmd) (*Proc, error) {
	p := &Proc{Cmd: cmd, done: make(chan struct{}), more: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p, p
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.WaitDelay = 2 * time.Second // a grandchild may keep the pipe open
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	p.Stdin = stdin
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Start starts a program; at the end of the test its process group is killed, and its output is
// shown if the test failed.
func Start(t *testing.T, cmd *exec.Cmd) *Proc {
	t.Helper()
	p, err := start(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // fails if all have ended
		<-p.done
		if t.Failed() {
			t.Logf("output of %v:\n%s", cmd.Args, tail(p.Output()))
		}
	})
	return p
}

func tail(s string) string {
	const limit = 8 << 10
	if len(s) > limit {
		return "…" + s[len(s)-limit:]
	}
	return s
}

// Line waits for a line that begins with prefix and returns the rest of it.
func (p *Proc) Line(prefix string) (string, error) {
	deadline := time.After(Patience)
	for {
		out, more := p.state()
		for line := range strings.Lines(out) {
			if rest, ok := strings.CutPrefix(line, prefix); ok && strings.HasSuffix(line, "\n") {
				return strings.TrimSpace(rest), nil
			}
		}
		select {
		case <-more:
		case <-p.done:
			if now, _ := p.state(); now == out {
				return "", fmt.Errorf("%v ended without a line %q: %v", p.Cmd.Args, prefix, p.err)
			}
		case <-deadline:
			return "", fmt.Errorf("%v: no line %q after %v", p.Cmd.Args, prefix, Patience)
		}
	}
}

// Port waits for the line "PORT n".
func (p *Proc) Port(t *testing.T) string {
	t.Helper()
	port, err := p.Line("PORT ")
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// End waits for the program's end and returns its output.
func (p *Proc) End(limit time.Duration) (string, error) {
	select {
	case <-p.done:
		return p.Output(), p.err
	case <-time.After(limit):
		return p.Output(), fmt.Errorf("it has not ended after %v", limit)
	}
}

// Wait waits for the program's end and returns its output; anything but success fails the test.
func (p *Proc) Wait(t *testing.T, limit time.Duration) string {
	t.Helper()
	out, err := p.End(limit)
	if err != nil {
		t.Fatalf("%v: %v", p.Cmd.Args, err)
	}
	return out
}

// Stop asks the program to end, kills it if it does not, and tells whether it ended well.
func (p *Proc) Stop() error {
	if err := p.Cmd.Process.Signal(syscall.SIGTERM); err != nil {
		<-p.done
		return errors.Join(fmt.Errorf("%v ended early", p.Cmd.Args), p.err)
	}
	select {
	case <-p.done:
		return nil
	case <-time.After(Patience):
		err := p.Cmd.Process.Kill()
		<-p.done
		return errors.Join(fmt.Errorf("%v did not stop", p.Cmd.Args), err)
	}
}

// Kill kills the program with SIGKILL and waits for its end. If it had ended before, the error is
// os.ErrProcessDone.
func (p *Proc) Kill() error {
	err := p.Cmd.Process.Kill()
	<-p.done
	return err
}

// Run runs a program to its end, with a time limit, and returns its output.
func Run(t *testing.T, limit time.Duration, cmd *exec.Cmd) string {
	t.Helper()
	p := Start(t, cmd)
	if err := p.Stdin.Close(); err != nil && !errors.Is(err, os.ErrClosed) { // closed when it has ended
		t.Fatal(err)
	}
	return p.Wait(t, limit)
}

// ports are below those that the kernel hands out by itself (ip_local_port_range), so that they stay free
// until a server takes them. Test runs beside this one begin elsewhere.
var ports = struct {
	sync.Mutex
	first, count, next int
}{first: 10000, count: 22000, next: rand.IntN(22000)}

// FreePort is a TCP port of 127.0.0.1 that nobody uses, another one each time.
func FreePort(t *testing.T) string {
	t.Helper()
	ports.Lock()
	defer ports.Unlock()
	for range 100 {
		ports.next++
		port := strconv.Itoa(ports.first + ports.next%ports.count)
		if l, err := net.Listen("tcp4", "127.0.0.1:"+port); err == nil {
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			return port
		}
	}
	t.Fatal("no free port")
	return ""
}

// Until tries a condition until it holds; the last error fails the test.
func Until(t *testing.T, cond func() error) {
	t.Helper()
	deadline := time.Now().Add(Patience)
	for {
		err := cond()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("not after %v: %v", Patience, err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// Serving waits until a third-party server accepts connections.
func Serving(t *testing.T, port string) {
	t.Helper()
	Until(t, func() error {
		c, err := net.Dial("tcp4", "127.0.0.1:"+port)
		if err != nil {
			return err
		}
		return c.Close()
	})
}
