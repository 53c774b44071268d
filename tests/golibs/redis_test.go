package golibs

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// startRedis starts redis-server under libsd.so and gives its address.
func startRedis(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	cmd := exec.Command("redis-server", "--port", strconv.Itoa(l.Addr().(*net.TCPAddr).Port), "--bind", "127.0.0.1",
		"--save", "", "--appendonly", "no", "--dir", t.TempDir())
	cmd.Env = libsd(t)
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	return address
}

// TestRedis: commands from many goroutines through a pool, whose health check peeks at idle
// connections; pipelines, transactions, large values, publish and subscribe, blocking commands and
// their deadlines.
func TestRedis(t *testing.T) {
	ctx := t.Context()
	var dialed dialer
	client := redis.NewClient(&redis.Options{
		Addr: startRedis(t), PoolSize: 8, Dialer: dialed.DialContext, ReadTimeout: 20 * time.Second,
	})
	defer client.Close()
	started := time.Now()
	for client.Ping(ctx).Err() != nil {
		if time.Since(started) > 20*time.Second {
			t.Fatal("no answer from redis-server")
		}
	}

	var workers sync.WaitGroup
	for w := range 8 {
		workers.Go(func() {
			key := fmt.Sprint("key", w)
			for i := 0; i < 300 || !dialed.promoted() && i < 30_000; i++ {
				value := strings.Repeat(strconv.Itoa(i), 1+i%500)
				if err := client.Set(ctx, key, value, 0).Err(); err != nil {
					t.Error(err)
					return
				}
				if got, err := client.Get(ctx, key).Result(); err != nil || got != value {
					t.Errorf("GET %s: %d bytes of %d, %v", key, len(got), len(value), err)
					return
				}
			}
			if _, err := client.TxPipelined(ctx, func(p redis.Pipeliner) error {
				for range 100 {
					p.Incr(ctx, "count")
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
	workers.Wait()
	if n, err := client.Get(ctx, "count").Int(); n != 800 || err != nil {
		t.Errorf("counted to %d, %v", n, err)
	}
	if !dialed.promoted() {
		t.Error("some connection stayed on TCP")
	}
	if n := client.PoolStats().StaleConns; n != 0 {
		t.Errorf("the pool found %d good connections bad", n)
	}

	large := strings.Repeat("0123456789abcdef", 1<<19) // 8 MiB
	if err := client.Set(ctx, "large", large, 0).Err(); err != nil {
		t.Error(err)
	}
	if got, err := client.Get(ctx, "large").Result(); got != large || err != nil {
		t.Errorf("%d bytes of %d, %v", len(got), len(large), err)
	}

	sub := client.Subscribe(ctx, "news")
	defer sub.Close()
	if _, err := sub.Receive(ctx); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		if err := client.Publish(ctx, "news", i).Err(); err != nil {
			t.Fatal(err)
		}
		if m, err := sub.ReceiveMessage(ctx); err != nil || m.Payload != strconv.Itoa(i) {
			t.Fatalf("message %d: %v, %v", i, m, err)
		}
	}

	if err := client.BLPop(ctx, time.Second, "nothing").Err(); !errors.Is(err, redis.Nil) {
		t.Errorf("BLPOP: %v", err)
	}
	expired, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	impatient := redis.NewClient(&redis.Options{Addr: client.Options().Addr, Dialer: dialed.DialContext, ContextTimeoutEnabled: true})
	defer impatient.Close()
	if err := impatient.BLPop(expired, 0, "nothing").Err(); !errors.Is(err, context.DeadlineExceeded) && !isTimeout(err) {
		t.Errorf("BLPOP after the deadline: %v", err)
	}
}

func isTimeout(err error) bool {
	var e net.Error
	return errors.As(err, &e) && e.Timeout()
}
