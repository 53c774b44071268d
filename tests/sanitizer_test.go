package tests

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/socksdirect/libsd/internal/cbuild"
	"github.com/socksdirect/libsd/tests/harness"
)

// sanitized are the tests that run again under each sanitizer, in mode both. The monitor's death, the
// users and the count of system calls say nothing about memory.
const sanitized = "^(TestContract|TestTraffic|TestPromotionUnderTraffic|TestSelfPair|TestKill|TestStopped)$"

// TestSanitizers runs the suite with a libsd.so that checks its own memory accesses, and one that
// checks for undefined behaviour. Not one report is allowed.
func TestSanitizers(t *testing.T) {
	if harness.SDirect() == "" {
		t.Skip("a native run has no libsd.so")
	}
	for _, s := range []struct{ name, runtime, options string }{
		// The runtime comes second, after libsd.so: as sdirect run arranges LD_PRELOAD. Programs
		// leave memory to the kernel when they end; leaks are looked for by TestKill and TestIdle. A
		// crash needs no report of its own, and its handlers are not the program's.
		{"address", "libasan.so", "ASAN_OPTIONS=verify_asan_link_order=0:detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_sigfpe=0:log_path="},
		{"undefined", "libubsan.so", "UBSAN_OPTIONS=print_stacktrace=1:log_path="},
	} {
		t.Run(s.name, func(t *testing.T) {
			dir := harness.Dir(t)
			runtime := findRuntime(t, s.runtime)
			lib, err := cbuild.Data.Build(dir, "-fsanitize="+s.name, "-g", "-fno-omit-frame-pointer")
			if err != nil {
				t.Fatal(err)
			}
			wantNeeded(t, lib, filepath.Base(runtime))
			if err := harness.Copy(harness.SDirect(), filepath.Join(dir, "sdirect")); err != nil {
				t.Fatal(err)
			}
			if err := cbuild.Data.Current(lib); err != nil {
				t.Fatal(err)
			}
			exe, err := os.Executable()
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.Command(exe, "-test.run", sanitized, "-test.timeout", "60m")
			cmd.Env = append(os.Environ(), "SD_MODES=both", "SD_FULL=0", "SD_PROGRAMS="+harness.Programs(), "SD_SDIRECT="+filepath.Join(dir, "sdirect"),
				"SD_RUN_ENV=LD_PRELOAD="+runtime+" "+s.options+filepath.Join(dir, "report"))
			out, err := harness.Start(t, cmd).End(30 * time.Minute)
			if err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			reports, err := filepath.Glob(filepath.Join(dir, "report.*"))
			if err != nil {
				t.Fatal(err)
			}
			for i, r := range reports {
				if text, err := os.ReadFile(r); err != nil || i < 3 {
					t.Errorf("%v %.6000s", err, text)
				}
			}
			if len(reports) > 0 {
				t.Errorf("%d reports", len(reports))
			}
		})
	}
}

// findRuntime is the compiler's sanitizer library.
func findRuntime(t *testing.T, name string) string {
	t.Helper()
	out, err := exec.Command("gcc", "-print-file-name="+name).Output()
	if err != nil {
		t.Fatal(err)
	}
	path, err := filepath.EvalSymlinks(strings.TrimSpace(string(out)))
	if err != nil || !filepath.IsAbs(path) {
		t.Fatalf("gcc has no %s: %v", name, err)
	}
	return path
}

// wantNeeded checks that the build is what it should be.
func wantNeeded(t *testing.T, lib, runtime string) {
	t.Helper()
	f, err := elf.Open(lib)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libs, err := f.ImportedLibraries()
	if err != nil || !slices.ContainsFunc(libs, func(l string) bool { return strings.HasPrefix(runtime, l) }) {
		t.Fatalf("%s needs %v, not %s: %v", lib, libs, runtime, err)
	}
}
