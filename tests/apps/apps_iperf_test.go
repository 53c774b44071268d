package apps

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/socksdirect/libsd/tests/harness"
)

type iperfReport struct {
	Error string
	End   struct {
		Streams []struct{ Receiver struct{ Bytes float64 } }
		SumSent struct{ Bytes float64 } `json:"sum_sent"`
		SumRecv struct {
			Bytes float64
			Rate  float64 `json:"bits_per_second"`
		} `json:"sum_received"`
	}
}

// TestIperf3: forward, reverse, four streams, small writes: no error, and every byte sent arrives.
func TestIperf3(t *testing.T) {
	harness.Require(t, "iperf3")
	seconds := harness.Size("1", "5")
	harness.EachMode(t, func(t *testing.T, m harness.Mode) {
		port := harness.FreePort(t)
		server := harness.Start(t, harness.Command(m.Server, "iperf3", "-s", "-B", "127.0.0.1", "-p", port, "--forceflush"))
		for i, load := range [][]string{
			{"-t", seconds},
			{"-t", seconds, "-R"},
			{"-t", seconds, "-P", "4"},
			{"-t", seconds, "-P", "4", "-R"},
			{"-n", "300M", "-Z"},
			{"-n", "10M", "-l", "64"},
		} {
			// It refuses a client that comes before it is done with the last one.
			if _, err := server.Line(fmt.Sprintf("Server listening on %s (test #%d)", port, i+1)); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"iperf3", "-c", "127.0.0.1", "-p", port, "-J"}, load...)
			out := harness.Run(t, limit, harness.Command(m.Client, args...))
			var r iperfReport
			if err := json.Unmarshal([]byte(out), &r); err != nil || r.Error != "" {
				t.Errorf("%v: %v %s", load, err, r.Error)
				continue
			}
			t.Logf("%v: %.1f Gbit/s", load, r.End.SumRecv.Rate/1e9)
			if r.End.SumRecv.Bytes <= 0 || r.End.SumRecv.Bytes > r.End.SumSent.Bytes {
				t.Errorf("%v: %.0f bytes sent, %.0f received", load, r.End.SumSent.Bytes, r.End.SumRecv.Bytes)
			}
			for i, s := range r.End.Streams {
				if s.Receiver.Bytes <= 0 {
					t.Errorf("%v: stream %d received nothing", load, i)
				}
			}
		}
		harness.Promoted(t, m)
	})
}
