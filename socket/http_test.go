package socket

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/rpc"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
)

// tracked dials like Dialer and remembers its connections.
type tracked struct {
	mu    sync.Mutex
	conns []*Conn
}

func (t *tracked) dial(ctx context.Context, network, address string) (net.Conn, error) {
	c, err := new(Dialer).DialContext(ctx, network, address)
	if err == nil {
		t.mu.Lock()
		t.conns = append(t.conns, c.(*Conn))
		t.mu.Unlock()
	}
	return c, err
}

// inRings is how many of the connections have left TCP in their outbound direction.
func (t *tracked) inRings() (n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.conns {
		c.wr.Lock()
		if l := c.link.Load(); l != nil && l.sender.Opened() {
			n++
		}
		c.wr.Unlock()
	}
	return n
}

// TestHTTP: net/http's own server and client, HTTP/1.1 and HTTP/2, with and without TLS: bodies both
// ways, files, and replies that are streamed.
func TestHTTP(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	content := make([]byte, 3<<20)
	io.ReadFull(newSeeded(1), content)
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/file", func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, file) })
	mux.HandleFunc("/sum", func(w http.ResponseWriter, r *http.Request) {
		sum := sha256.New()
		io.Copy(sum, r.Body)
		fmt.Fprintf(w, "%s %x", r.Proto, sum.Sum(nil))
	})
	mux.HandleFunc("/echo", func(w http.ResponseWriter, r *http.Request) {
		http.NewResponseController(w).EnableFullDuplex()
		io.Copy(flusher{w}, r.Body)
	})
	for _, version := range []struct {
		proto string
		tls   bool
	}{{"HTTP/1.1", false}, {"HTTP/1.1", true}, {"HTTP/2.0", false}, {"HTTP/2.0", true}} {
		t.Run(fmt.Sprintf("%s tls=%v", version.proto, version.tls), func(t *testing.T) {
			withMonitor(t)
			l, err := listen()
			if err != nil {
				t.Fatal(err)
			}
			s := httptest.NewUnstartedServer(mux)
			s.Listener.Close()
			s.Listener = l
			var protocols http.Protocols
			protocols.SetHTTP1(version.proto == "HTTP/1.1")
			protocols.SetHTTP2(version.proto == "HTTP/2.0" && version.tls)
			protocols.SetUnencryptedHTTP2(version.proto == "HTTP/2.0" && !version.tls)
			s.Config.Protocols = &protocols
			if version.tls {
				s.EnableHTTP2 = version.proto == "HTTP/2.0"
				s.StartTLS()
			} else {
				s.Start()
			}
			defer s.Close()
			conns := &tracked{}
			transport := s.Client().Transport.(*http.Transport).Clone()
			transport.DialContext = conns.dial
			transport.Protocols = &protocols
			defer transport.CloseIdleConnections()
			client := http.Client{Transport: transport}
			sum := fmt.Sprintf("%s %x", version.proto, sha256.Sum256(content))
			for round := 0; round < 10 || conns.inRings() == 0 && round < 1000; round++ {
				if got := fetch(t, client, s.URL+"/sum", content); string(got) != sum {
					t.Fatalf("POST: %q", got)
				}
				if got := fetch(t, client, s.URL+"/file", nil); !bytes.Equal(got, content) {
					t.Fatalf("GET: %d other bytes", len(got))
				}
				if got := fetch(t, client, s.URL+"/echo", content); !bytes.Equal(got, content) {
					t.Fatalf("echo: %d other bytes", len(got))
				}
			}
			if conns.inRings() == 0 {
				t.Error("everything stayed on TCP")
			}
		})
	}
}

type flusher struct{ http.ResponseWriter }

func (f flusher) Write(p []byte) (int, error) {
	n, err := f.ResponseWriter.Write(p)
	return n, errors.Join(err, http.NewResponseController(f.ResponseWriter).Flush())
}

// fetch is GET without a body, else POST.
func fetch(t *testing.T, client http.Client, url string, body []byte) []byte {
	t.Helper()
	method := "GET"
	var r io.Reader
	if body != nil {
		method, r = "POST", struct{ io.Reader }{bytes.NewReader(body)}
	}
	request, err := http.NewRequest(method, url, r)
	if err != nil {
		t.Fatal(err)
	}
	reply, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	got, err := io.ReadAll(reply.Body)
	if err != nil || reply.StatusCode != http.StatusOK {
		t.Fatalf("%s after %d bytes: %v", reply.Status, len(got), err)
	}
	return got
}

type Arith struct{}

func (Arith) Multiply(args [2]int, reply *int) error { *reply = args[0] * args[1]; return nil }

func TestRPC(t *testing.T) {
	withMonitor(t)
	server := rpc.NewServer()
	if err := server.Register(Arith{}); err != nil {
		t.Fatal(err)
	}
	l, err := listen()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go server.Accept(l)
	conn, err := dial(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	client := rpc.NewClient(conn)
	defer client.Close()
	for i := 0; i < 1000 || !conn.Promoted() && i < 100_000; i++ {
		var product int
		if err := client.Call("Arith.Multiply", [2]int{i, 7}, &product); err != nil || product != 7*i {
			t.Fatalf("%d × 7 = %d, %v", i, product, err)
		}
	}
	if !conn.Promoted() {
		t.Error("never promoted")
	}
}

// TestServerLeaksNothing has 1,000 connections to an http.Server at once, promoted, and closes them:
// goroutines, members of the bell, and the heap return to where they were.
func TestServerLeaksNothing(t *testing.T) {
	withMonitor(t)
	const conns, rounds = 1000, 4
	var goroutines int
	var heap uint64
	for round := range rounds {
		l, err := listen()
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })}
		served := make(chan error, 1)
		go func() { served <- server.Serve(l) }()
		dialed := &tracked{}
		var clients [conns]http.Client
		for i := range clients {
			clients[i].Transport = &http.Transport{DialContext: dialed.dial}
		}
		url := "http://" + l.Addr().String()
		for i := 0; i < 4 || dialed.inRings() < conns/2 && i < 100; i++ { // each lives and becomes worth promoting
			for i := range clients {
				fetch(t, clients[i], url, nil)
			}
		}
		// One more where a connection was not idle again in time, by the 50 ms of http.Transport.
		if n := len(dialed.conns); n < conns {
			t.Fatalf("%d connections, want %d", n, conns)
		}
		t.Logf("%d of %d in rings, %d goroutines, %d KiB of heap and stacks", dialed.inRings(), conns, runtime.NumGoroutine(), inUse()>>10)
		if dialed.inRings() < conns/2 {
			t.Error("most connections stayed on TCP")
		}
		if round == 1 { // now the server's ends close first
			server.Close()
		}
		for i := range clients {
			clients[i].CloseIdleConnections()
		}
		server.Close()
		<-served
		clients, dialed = [conns]http.Client{}, nil

		if round == 0 { // lazy beginnings are paid: the domain, its arenas, pools
			until(t, func() bool { return members() == 0 })
			goroutines = settled(t)
			heap = inUse()
			continue
		}
		until(t, func() bool { return members() == 0 && runtime.NumGoroutine() <= goroutines })
		t.Logf("left: %d goroutines (%d before), %d KiB (%d before)", runtime.NumGoroutine(), goroutines, inUse()>>10, heap>>10)
	}
	// A Conn that were not let go, or its link, in each of the rounds would be more.
	until(t, func() bool { return inUse() < heap+(rounds-1)*conns*512 })
}

// members is how many waiters of the current domain there are.
func members() (n int) {
	current.Lock()
	d := current.domain
	current.Unlock()
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, m := range d.members {
		if m.wake != nil {
			n++
		}
	}
	return n + len(d.conns)
}

// settled is the number of goroutines once it stays the same.
func settled(t *testing.T) (n int) {
	t.Helper()
	same := 0
	until(t, func() bool {
		if now := runtime.NumGoroutine(); now == n {
			same++
		} else {
			n, same = now, 0
		}
		return same == 50
	})
	return n
}

// inUse is what lives on the heap and in stacks, in bytes.
func inUse() uint64 {
	runtime.GC()
	runtime.GC() // pools let go at the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc + m.StackInuse
}
