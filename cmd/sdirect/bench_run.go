package main

import (
	"bufio"
	"bytes"
	"context"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

//go:embed benchprog/bench.c
var benchSource []byte

// benchLimit bounds one measurement.
const benchLimit = 60 * time.Second

// benchProg is the path of the compiled program.
type benchProg string

// measured is what a client of the program prints.
type measured struct {
	Mean        float64 `json:"mean_ns"`
	P50         float64 `json:"p50_ns"`
	P99         float64 `json:"p99_ns"`
	Bytes       float64 `json:"bytes"`
	NS          float64 `json:"ns"`
	KernelShare float64 `json:"kernel_share"` // of the bytes, carried by the kernel's TCP
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

func buildBench() (prog benchProg, remove func(), err error) {
	dir, err := os.MkdirTemp("", "sdirect-bench-")
	if err != nil {
		return "", nil, err
	}
	remove = func() { os.RemoveAll(dir) }
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	out := filepath.Join(dir, "bench")
	cmd := exec.Command(cc, "-O2", "-x", "c", "-o", out, "-")
	cmd.Stdin = bytes.NewReader(benchSource)
	if msg, err := cmd.CombinedOutput(); err != nil {
		remove()
		return "", nil, fmt.Errorf("compiling the benchmark: %w\n%s", err, msg)
	}
	return benchProg(out), remove, nil
}

// sideCommand is a command line natively or under libsd.
func sideCommand(ctx context.Context, libsd bool, args ...string) (*exec.Cmd, error) {
	if libsd {
		self, err := os.Executable()
		if err != nil {
			return nil, err
		}
		args = append([]string{self, "run", "--"}, args...)
	}
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.WaitDelay = time.Second
	if !libsd {
		cmd.Env = append(os.Environ(), "LD_PRELOAD=")
	}
	return cmd, nil
}

// measure runs one test once.
func (p benchProg) measure(libsd bool, test string, at place, length time.Duration) (m measured, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), benchLimit)
	defer cancel()
	if at.hog {
		stop, err := p.hog(ctx, at.client)
		if err != nil {
			return m, err
		}
		defer stop()
	}
	server, port, err := p.serve(ctx, libsd, at.server)
	if err != nil {
		return m, err
	}
	client, err := sideCommand(ctx, libsd, string(p), test, strconv.Itoa(at.client), strconv.FormatInt(length.Milliseconds(), 10), port)
	if err != nil {
		return m, err
	}
	var errs strings.Builder
	client.Stderr = &errs
	out, err := client.Output()
	if err != nil {
		cancel()
		return m, fmt.Errorf("%s: %w\n%s", test, errors.Join(err, server.Wait()), errs.String())
	}
	if err := server.Wait(); err != nil {
		return m, fmt.Errorf("%s, server: %w", test, err)
	}
	return m, json.Unmarshal(out, &m)
}

// serve starts a server and returns its port.
func (p benchProg) serve(ctx context.Context, libsd bool, cpu int) (*exec.Cmd, string, error) {
	cmd, err := sideCommand(ctx, libsd, string(p), "server", strconv.Itoa(cpu))
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
	cmd := exec.CommandContext(ctx, string(p), "hog", strconv.Itoa(cpu))
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return func() {
		cmd.Process.Kill()
		cmd.Wait()
	}, nil
}
