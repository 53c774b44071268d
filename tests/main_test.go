// Package tests runs our own test programs (tests/prog, tests/gotraffic) natively and under libsd.
package tests

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/socksdirect/libsd/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }

// kernelShare reads "KERNEL x of y" from a program's report: the share of the bytes that the
// kernel's TCP carried.
func kernelShare(t *testing.T, out string) float64 {
	t.Helper()
	var x, y float64
	_, rest, _ := strings.Cut(out, "KERNEL ")
	if _, err := fmt.Sscanf(rest, "%f of %f", &x, &y); err != nil || y == 0 {
		t.Fatalf("no KERNEL in %q: %v", out, err)
	}
	return x / y
}

// wantShare checks that the bytes went the way that the mode promises.
func wantShare(t *testing.T, m harness.Mode, out string) {
	t.Helper()
	share := kernelShare(t, out)
	if m.Both() && share > 0.5 {
		t.Errorf("not promoted: %.0f %% of the bytes went through the kernel's TCP", share*100)
	}
	if !m.Both() && share < 0.8 { // TCP_INFO lags a little when segments were pruned
		t.Errorf("the kernel's TCP carried only %.0f %% of the bytes", share*100)
	}
}

func itoa(n int) string { return strconv.Itoa(n) }
