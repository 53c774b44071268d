// Package differ compares the model of Linux with Linux, with libsd and with the Go library: it draws
// random programs, runs them on real sockets over loopback, and fails when an outcome is outside the
// set that the model allows.
package differ

import (
	"testing"

	"github.com/socksdirect/libsd/tests/harness"
)

func TestMain(m *testing.M) { harness.Main(m) }
