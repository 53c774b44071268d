package main

import (
	"bufio"
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed benchprog
var benchSources embed.FS

// benchLimit bounds one measurement.
const benchLimit = 60 * time.Second

// benchProg is the folder of the compiled programs, and the other sdirect to run them under.
type benchProg struct{ dir, against string }

// benchBuilds are the programs: files and flags of the compiler.
var benchBuilds = [][]string{
	{"-o", "bench", "bench.c", "common.c", "epoll.c", "floor.c"},
	{"-o", "libnull.so", "null.c", "-fPIC", "-shared", "-Wl,-soname,libnull.so"},
	{"-o", "calls", "calls.c", "common.c", "-pthread"},
	{"-o", "null-calls", "calls.c", "common.c", "-pthread", "-Wl,--no-as-needed,-rpath,$ORIGIN", "-L.", "-lnull"},
}

// measured is what a program prints.
type measured struct {
	Mean        float64 `json:"mean_ns"`
	P50         float64 `json:"p50_ns"`
	P99         float64 `json:"p99_ns"`
	Bytes       float64 `json:"bytes"`
	NS          float64 `json:"ns"`
	KernelShare float64 `json:"kernel_share"` // of the bytes, carried by the kernel's TCP
	Few         float64 `json:"few_ns"`       // for each event
	Many        float64 `json:"many_ns"`
	Setup       float64 `json:"setup_ns"`  // for each connection
	Direct      float64 `json:"direct_ns"` // for each call
	Named       float64 `json:"named_ns"`
}

// place says on which processors the two programs run.
type place struct {
	name           string
	server, client int
	hog            bool // beside a program that uses up the client's processor
}

// benchPlaces are two processors if there are two, and one.
func benchPlaces() ([]place, error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, os.NewSyscallError("sched_getaffinity", err)
	}
	var cpus []int
	for cpu := 0; cpu < 8*len(set)*8 && len(cpus) < 2; cpu++ {
		if set.IsSet(cpu) {
			cpus = append(cpus, cpu)
		}
	}
	one := []place{
		{"one core", cpus[0], cpus[0], false},
		{"one core beside a hog", cpus[0], cpus[0], true},
	}
	if len(cpus) < 2 {
		return one, nil
	}
	return append([]place{{"two cores", cpus[1], cpus[0], false}}, one...), nil
}

func buildBench(against string) (prog benchProg, remove func(), err error) {
	dir, err := os.MkdirTemp("", "sdirect-bench-")
	if err != nil {
		return prog, nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	if err := compileBench(dir); err != nil {
		remove()
		return prog, nil, err
	}
	return benchProg{dir, against}, remove, nil
}

func compileBench(dir string) error {
	sources, err := fs.Sub(benchSources, "benchprog")
	if err != nil {
		return err
	}
	if err := os.CopyFS(dir, sources); err != nil {
		return err
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	for _, args := range benchBuilds {
		cmd := exec.Command(cc, append([]string{"-O2"}, args...)...)
		cmd.Dir = dir
		if msg, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("compiling the benchmark: %w\n%s", err, msg)
		}
	}
	return nil
}

// sideCommand is a command line natively or under the sdirect at path.
func sideCommand(ctx context.Context, sdirect string, args ...string) *exec.Cmd {
	if sdirect != "" {
		args = append([]string{sdirect, "run", "--"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second
	if sdirect == "" {
		cmd.Env = append(os.Environ(), "LD_PRELOAD=")
	}
	return cmd
}

// command runs one of the programs on one side.
func (p benchProg) command(ctx context.Context, on side, program string, args ...string) (*exec.Cmd, error) {
	var sdirect string
	var err error
	switch on {
	case onLibsd:
		sdirect, err = os.Executable()
	case onAgainst:
		sdirect = p.against
	}
	return sideCommand(ctx, sdirect, append([]string{filepath.Join(p.dir, program)}, args...)...), err
}

func ms(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// result runs a program that prints what it measured.
func result(cmd *exec.Cmd) (m measured, err error) {
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.Output()
	if err != nil {
		return m, fmt.Errorf("%s: %w\n%s", strings.Join(cmd.Args, " "), err, errs.String())
	}
	return m, json.Unmarshal(out, &m)
}

// traffic runs a test between a client and a server once.
func (p benchProg) traffic(on side, test string, at place, length time.Duration) (m measured, err error) {
	return p.between(on, at, []string{"server"}, func(ports []string) []string {
		return []string{test, strconv.Itoa(at.client), ms(length), ports[0]}
	})
}

// epoll has a server for each of its sets.
func (p benchProg) epoll(on side, at place, length time.Duration) (m measured, err error) {
	return p.between(on, at, []string{"epoll-server", "epoll-server"}, func(ports []string) []string {
		return []string{"epoll", strconv.Itoa(at.client), ms(length), ports[0], strconv.Itoa(epollConnections), ports[1]}
	})
}

func (p benchProg) between(on side, at place, servers []string, client func(ports []string) []string) (m measured, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), benchLimit)
	defer cancel()
	if at.hog {
		stop, err := p.hog(ctx, at.client)
		if err != nil {
			return m, err
		}
		defer stop()
	}
	var ports []string
	var started []*exec.Cmd
	for _, name := range servers {
		server, port, err := p.serve(ctx, on, name, at.server)
		if err != nil {
			return m, err
		}
		ports, started = append(ports, port), append(started, server)
	}
	cmd, err := p.command(ctx, on, "bench", client(ports)...)
	if err != nil {
		return m, err
	}
	m, err = result(cmd)
	if err != nil {
		cancel()
	}
	for _, server := range started {
		err = errors.Join(err, server.Wait())
	}
	return m, err
}

func (p benchProg) floor(test string, at place, length time.Duration) (measured, error) {
	ctx, cancel := context.WithTimeout(context.Background(), benchLimit)
	defer cancel()
	cmd, err := p.command(ctx, onFloor, "bench", "floor", strconv.Itoa(at.client), ms(length), test, strconv.Itoa(at.server))
	if err != nil {
		return measured{}, err
	}
	return result(cmd)
}

func (p benchProg) calls(on side, test string, length time.Duration) (measured, error) {
	ctx, cancel := context.WithTimeout(context.Background(), benchLimit)
	defer cancel()
	program, library := "calls", "libc.so.6"
	if test == "null" || test == "look-up" {
		program, library = "null-calls", "libnull.so"
	}
	cmd, err := p.command(ctx, on, program, test, ms(length), library)
	if err != nil {
		return measured{}, err
	}
	return result(cmd)
}

// serve starts a server and returns its port.
func (p benchProg) serve(ctx context.Context, on side, name string, cpu int) (*exec.Cmd, string, error) {
	cmd, err := p.command(ctx, on, "bench", name, strconv.Itoa(cpu))
	if err != nil {
		return nil, "", err
	}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	port, ok := strings.CutPrefix(strings.TrimSpace(line), "PORT ")
	if !ok {
		return nil, "", fmt.Errorf("the server printed %q instead of its port: %w", line, errors.Join(err, cmd.Wait()))
	}
	return cmd, port, nil
}

func (p benchProg) hog(ctx context.Context, cpu int) (stop func(), err error) {
	cmd := exec.CommandContext(ctx, filepath.Join(p.dir, "bench"), "hog", strconv.Itoa(cpu))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		cmd.Process.Kill()
		cmd.Wait()
	}, nil
}
