package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/socksdirect/libsd/monitor/wire"
)

// redisLoads are the runs of redis-benchmark: connections, requests.
var redisLoads = []struct{ connections, requests string }{
	{"1", "30000"},
	{"50", "60000"},
}

// redisRun is one line of redis-benchmark: a command's rate and latencies in milliseconds.
type redisRun struct{ rate, p50, p99 float64 }

// redisKey names what is compared.
type redisKey struct{ command, connections string }

// runRedis measures SET and GET natively and under libsd in turns.
func runRedis(progress io.Writer, rounds int) ([]row, error) {
	for _, p := range []string{"redis-server", "redis-benchmark"} {
		if _, err := exec.LookPath(p); err != nil {
			return nil, fmt.Errorf("%w: run tests/install-deps.sh", err)
		}
	}
	var got [2]map[redisKey][]redisRun
	var failed error
	for side := range got {
		got[side] = map[redisKey][]redisRun{}
	}
	for round := range rounds {
		for side := range got {
			fmt.Fprintf(progress, "\r\033[KRedis, %s: round %d of %d", [2]string{"kernel", "libsd"}[side], round+1, rounds)
			if err := redisRound(side == 1, got[side]); err != nil {
				failed = errors.Join(failed, fmt.Errorf("round %d of Redis: %w", round+1, err))
			}
		}
	}
	fmt.Fprint(progress, "\r\033[K")
	var rows []row
	for _, load := range redisLoads {
		for _, command := range []string{"SET", "GET"} {
			key := redisKey{command, load.connections}
			if len(got[0][key]) > 0 && len(got[1][key]) > 0 {
				rows = append(rows, redisRows(key, got[0][key], got[1][key])...)
			}
		}
	}
	return rows, failed
}

func redisRows(key redisKey, kernel, libsd []redisRun) []row {
	title, where := "Redis "+key.command, key.connections+" connections"
	if key.connections == "1" {
		where = "1 connection"
	}
	of := func(runs []redisRun, get func(redisRun) float64) float64 {
		var v []float64
		for _, r := range runs {
			v = append(v, get(r))
		}
		return median(v)
	}
	pair := func(quantity, unit string, lower bool, get func(redisRun) float64) row {
		r := row{Test: title, Place: where, Quantity: quantity, Unit: unit, Kernel: of(kernel, get), Libsd: of(libsd, get)}
		r.Ratio = r.Libsd / r.Kernel
		if lower {
			r.Ratio = r.Kernel / r.Libsd
		}
		return r
	}
	return []row{
		pair("requests", "k/s", false, func(r redisRun) float64 { return r.rate / 1e3 }),
		pair("latency p50", "ms", true, func(r redisRun) float64 { return r.p50 }),
		pair("latency p99", "ms", true, func(r redisRun) float64 { return r.p99 }),
	}
}

// redisRound runs a server of its own and all loads against it.
func redisRound(libsd bool, into map[redisKey][]redisRun) error {
	ctx, cancel := context.WithTimeout(context.Background(), benchLimit)
	defer cancel()
	port, err := freePort()
	if err != nil {
		return err
	}
	var sdirect string
	if libsd {
		if sdirect, err = os.Executable(); err != nil {
			return err
		}
	}
	server := sideCommand(ctx, sdirect, "redis-server", "--port", port, "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no")
	server.Dir = os.TempDir()
	server.Cancel = func() error { return server.Process.Signal(syscall.SIGTERM) }
	if err := server.Start(); err != nil {
		return err
	}
	defer func() {
		cancel()
		server.Wait()
	}()
	if err := listening(ctx, port); err != nil {
		return err
	}
	for _, load := range redisLoads {
		runs, err := redisBenchmark(ctx, sdirect, port, load.connections, load.requests)
		if err != nil {
			return err
		}
		for command, r := range runs {
			key := redisKey{command, load.connections}
			into[key] = append(into[key], r)
		}
	}
	if libsd {
		return hasPromoted()
	}
	return nil
}

func redisBenchmark(ctx context.Context, sdirect string, port, connections, requests string) (map[string]redisRun, error) {
	cmd := sideCommand(ctx, sdirect, "redis-benchmark", "-h", "127.0.0.1", "-p", port, "-t", "set,get", "-c", connections, "-n", requests, "--csv")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("redis-benchmark: %w", err)
	}
	lines, err := csv.NewReader(strings.NewReader(string(out))).ReadAll()
	if err != nil {
		return nil, fmt.Errorf("redis-benchmark: %w", err)
	}
	const rate, p50, p99, columns = 1, 4, 6, 8
	runs := map[string]redisRun{}
	for _, f := range lines {
		if len(f) != columns || f[0] == "test" {
			continue
		}
		var v [columns]float64
		for _, i := range []int{rate, p50, p99} {
			if v[i], err = strconv.ParseFloat(f[i], 64); err != nil {
				return nil, fmt.Errorf("redis-benchmark: %w", err)
			}
		}
		runs[f[0]] = redisRun{v[rate], v[p50], v[p99]}
	}
	if len(runs) != 2 {
		return nil, fmt.Errorf("redis-benchmark printed %d results instead of 2: %s", len(runs), out)
	}
	return runs, nil
}

// hasPromoted asks the monitor whether any live process has moved a connection to shared memory.
func hasPromoted() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	out, err := exec.Command(self, "stat", "--json").Output()
	if err != nil {
		return fmt.Errorf("sdirect stat: %w", err)
	}
	var st wire.Stat
	if err := json.Unmarshal(out, &st); err != nil {
		return fmt.Errorf("sdirect stat: %w", err)
	}
	if st.Counters["promoted"] == 0 {
		return errors.New("no connection was promoted under libsd: these figures are the kernel's")
	}
	return nil
}

func freePort() (string, error) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return strconv.Itoa(l.Addr().(*net.TCPAddr).Port), nil
}

// listening waits until a server accepts connections.
func listening(ctx context.Context, port string) error {
	for {
		c, err := net.Dial("tcp4", "127.0.0.1:"+port)
		if err == nil {
			return c.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the server does not answer: %w", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}
