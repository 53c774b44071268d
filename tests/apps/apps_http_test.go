package apps

import (
	"path/filepath"
	"testing"

	"github.com/socksdirect/libsd/tests/harness"
)

// TestPythonHTTP: curl fetches a file from python3's http.server; 1 GiB with -full.
func TestPythonHTTP(t *testing.T) {
	const python = "/usr/bin/python3"
	harness.Require(t, python, "curl")
	site := harness.Dir(t)
	_, want := randomFile(t, site, "file", harness.Size(32<<20, 1<<30))
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		port := harness.FreePort(t)
		harness.Start(t, harness.Command(m.Server, python, "-m", "http.server", "-b", "127.0.0.1", "-d", site, port))
		harness.Serving(t, port)
		got := filepath.Join(harness.Dir(t), "got")
		for range 3 {
			harness.Run(t, limit, harness.Command(m.Client, "curl", "-sS", "--fail", "-o", got, "http://127.0.0.1:"+port+"/file"))
			if sum := fileSum(t, got); sum != want {
				t.Errorf("SHA-256 is %s, expected %s", sum, want)
			}
		}
		harness.Promoted(t, m)
	})
}
