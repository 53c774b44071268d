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

// TestNginx: two workers, direct and as a proxy of itself: wrk sees no error, checksums are
// right, and the workers of a reload serve as well.
func TestNginx(t *testing.T) {
	harness.Require(t, "nginx", "wrk", "curl")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		dir, direct, proxy := harness.Dir(t), harness.FreePort(t), harness.FreePort(t)
		if err := os.Mkdir(filepath.Join(dir, "html"), 0o755); err != nil {
			t.Fatal(err)
		}
		_, want := randomFile(t, filepath.Join(dir, "html"), "large", 10<<20)
		randomFile(t, filepath.Join(dir, "html"), "small", 1024)
		user := ""
		if os.Getuid() == 0 {
			user = "user nobody nogroup;"
		}
		config := filepath.Join(dir, "conf")
		if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, dir, direct, proxy, user), 0o644); err != nil {
			t.Fatal(err)
		}
		master := harness.Start(t, harness.Command(m.Server, "nginx", "-c", config))
		harness.Serving(t, direct)
		for _, port := range []string{direct, proxy} {
			wrk(t, m, port)
			for range 4 {
				got := filepath.Join(dir, "got")
				harness.Run(t, limit, harness.Command(m.Client, "curl", "-sS", "--fail", "-o", got, "http://127.0.0.1:"+port+"/large"))
				if sum := fileSum(t, got); sum != want {
					t.Errorf("SHA-256 is %s, expected %s", sum, want)
				}
			}
		}
		harness.Promoted(t, m)
		if err := master.Cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		harness.Until(t, func() error { // the kernel, too, ends idle connections of old workers
			log, err := os.ReadFile(filepath.Join(dir, "err"))
			if n := strings.Count(string(log), "exited with code 0"); err == nil && n < 2 {
				err = fmt.Errorf("%d old workers have ended", n)
			}
			return err
		})
		wrk(t, m, direct)
	})
}

var wrkRequests = regexp.MustCompile(`(?m)^\s*(\d+) requests in `)

func wrk(t *testing.T, m harness.Mode, port string) {
	t.Helper()
	out := harness.Run(t, limit, harness.Command(m.Client, "wrk", "-t2", "-c32", "-d"+harness.Size("1s", "5s"), "http://127.0.0.1:"+port+"/small"))
	if n := wrkRequests.FindStringSubmatch(out); n == nil || n[1] == "0" {
		t.Errorf("no requests:\n%s", out)
	}
	if strings.Contains(out, "Non-2xx") || strings.Contains(out, "Socket errors") {
		t.Errorf("errors:\n%s", out)
	}
	for line := range strings.Lines(out) {
		if strings.HasPrefix(line, "Requests/sec") {
			t.Log(strings.TrimSpace(line))
		}
	}
}
