package apps

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/socksdirect/libsd/tests/harness"
)

const nginxConfig = `
worker_processes 2; daemon off; pid %[1]s/pid; error_log %[1]s/err notice; %[4]s
events { worker_connections 1024; multi_accept on; }
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
	client_body_temp_path %[1]s/b; proxy_temp_path %[1]s/p; fastcgi_temp_path %[1]s/f; uwsgi_temp_path %[1]s/u; scgi_temp_path %[1]s/s;
	server { listen 127.0.0.1:%[2]s; root %[1]s/html; }
	server { listen 127.0.0.1:%[3]s; location / { proxy_pass http://127.0.0.1:%[2]s; proxy_http_version 1.1; } }
}
`

type nginx struct {
	dir, direct, proxy string
	sum                string // of the file large
	master             *harness.Proc
}

// startNginx starts a server and a proxy to it, with the files small and large.
func startNginx(t *testing.T, m harness.Mode) nginx {
	t.Helper()
	harness.Require(t, "nginx", "wrk", "curl")
	n := nginx{dir: harness.Dir(t), direct: harness.FreePort(t), proxy: harness.FreePort(t)}
	html := filepath.Join(n.dir, "html")
	if err := os.Mkdir(html, 0o755); err != nil {
		t.Fatal(err)
	}
	_, n.sum = randomFile(t, html, "large", 10<<20)
	randomFile(t, html, "small", 1024)
	user := ""
	if os.Getuid() == 0 {
		user = "user nobody nogroup;"
	}
	config := filepath.Join(n.dir, "conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, n.dir, n.direct, n.proxy, user), 0o644); err != nil {
		t.Fatal(err)
	}
	n.master = harness.Start(t, m.ServerCommand("nginx", "-c", config))
	harness.Serving(t, n.direct)
	return n
}

// TestNginx: two workers, direct and as a proxy of itself: wrk sees no error, checksums are
// right, and the workers of a reload serve as well.
func TestNginx(t *testing.T) {
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		n := startNginx(t, m)
		for _, port := range []string{n.direct, n.proxy} {
			wrk(t, m, port)
			for range 4 {
				got := filepath.Join(n.dir, "got")
				harness.Run(t, limit, m.ClientCommand("curl", "-sS", "--fail", "-o", got, "http://127.0.0.1:"+port+"/large"))
				if sum := fileSum(t, got); sum != n.sum {
					t.Errorf("SHA-256 is %s, expected %s", sum, n.sum)
				}
			}
		}
		harness.Promoted(t, m)
		if err := n.master.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, func() error { // the kernel, too, ends idle connections of old workers
			log, err := os.ReadFile(filepath.Join(n.dir, "err"))
			if old := strings.Count(string(log), "exited with code 0"); err == nil && old < 2 {
				err = fmt.Errorf("%d old workers have ended", old)
			}
			return err
		})
		wrk(t, m, n.direct)
	})
}

func wrk(t *testing.T, m harness.Mode, port string) {
	t.Helper()
	out := harness.Run(t, limit, m.ClientCommand("wrk", "-t2", "-c32", "-d"+harness.Size("1s", "5s"), "http://127.0.0.1:"+port+"/small"))
	rate, _ := wrkResult(t, out)
	t.Logf("%.0f requests/s", rate)
}

var wrkNumbers = regexp.MustCompile(`(?s)\n\s*(\d+) requests in .*Requests/sec:\s*([\d.]+)`)

// wrkResult demands that there were requests and no errors.
func wrkResult(t *testing.T, out string) (rate, requests float64) {
	t.Helper()
	n := wrkNumbers.FindStringSubmatch(out)
	if n == nil || n[1] == "0" {
		t.Fatalf("no requests:\n%s", out)
	}
	if strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors") {
		t.Errorf("errors:\n%s", out)
	}
	if _, err := fmt.Sscan(n[1]+" "+n[2], &requests, &rate); err != nil {
		t.Fatal(err)
	}
	return rate, requests
}
