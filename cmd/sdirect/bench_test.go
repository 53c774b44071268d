package main

import (
	"encoding/json"
	"testing"
)

// TestBench: every side that was asked for has figures, on a ring where it says so. How large they are
// is for a quiet machine to say.
func TestBench(t *testing.T) {
	socket := testSocket(t)
	out, errs, code := sdirect(socket, "bench", "--rounds", "1", "--time", "20ms", "--only", "pingpong,pipe", "--against", built.path, "--json")
	var rows []row
	if err := json.Unmarshal([]byte(out), &rows); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	seen := map[string]int{}
	for _, r := range rows {
		seen[r.Test]++
		if r.Quantity == "added" {
			continue // may be anything on a busy machine
		}
		if r.Kernel <= 0 || r.Libsd <= 0 || r.Against <= 0 || r.Ratio <= 0 {
			t.Errorf("a side has no figure: %+v", r)
		}
		if r.Place == "two cores" && r.Floor <= 0 {
			t.Errorf("no floor: %+v", r)
		}
	}
	if seen["8 B ping-pong"] == 0 || seen["read of a pipe"] == 0 {
		t.Errorf("rows are missing: %v", seen)
	}
	if _, _, code := sdirect(socket, "bench", "--only", "nothing"); code == 0 {
		t.Error("a test that does not exist was run")
	}
}
