package sim

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"strings"
)

// Recording is a run as a file: text, a line for each field, then the decisions as c/n pairs.
type Recording struct {
	Scenario string
	Seed     uint64 // that drew the decisions; 0 = none did (exploration, shrinking)
	Canary   string // planted in the build that failed, "" = none
	SC       bool
	Explore  bool
	Kind     string // of the failure, "" = the run is correct
	Hash     uint64 // over all events
	Choices  []Choice
}

// Record is w's run of s.
func (w *World) Record(s *Scenario, seed uint64) Recording {
	r := Recording{Scenario: s.Name, Seed: seed, SC: w.SC, Explore: w.Explore, Hash: w.Hash(), Choices: w.trace}
	if w.fail != nil {
		r.Kind = w.fail.Kind
	}
	return r
}

// Bytes is the file.
func (r Recording) Bytes() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "sdsim 1\nscenario %s\nseed %d\n", r.Scenario, r.Seed)
	if r.Canary != "" {
		fmt.Fprintf(&b, "canary %s\n", r.Canary)
	}
	fmt.Fprintf(&b, "sc %v\nexplore %v\nkind %s\nhash %#x\nchoices %d", r.SC, r.Explore, r.Kind, r.Hash, len(r.Choices))
	for i, c := range r.Choices {
		if i%20 == 0 {
			b.WriteString("\n")
		} else {
			b.WriteString(" ")
		}
		fmt.Fprintf(&b, "%d/%d", c.C, c.N)
	}
	b.WriteString("\n")
	return b.Bytes()
}

// Write saves the recording.
func (r Recording) Write(path string) error { return os.WriteFile(path, r.Bytes(), 0o644) }

// ReadRecording loads a file that Write made.
func ReadRecording(path string) (r Recording, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	in := bufio.NewScanner(bytes.NewReader(text))
	if !in.Scan() || in.Text() != "sdsim 1" {
		return r, fmt.Errorf("%s is no recording of sdsim", path)
	}
	count := -1
	for count < 0 && in.Scan() {
		key, value, _ := strings.Cut(in.Text(), " ")
		var err error
		switch key {
		case "scenario":
			r.Scenario = value
		case "canary":
			r.Canary = value
		case "kind":
			r.Kind = value
		case "seed":
			_, err = fmt.Sscan(value, &r.Seed)
		case "sc":
			_, err = fmt.Sscan(value, &r.SC)
		case "explore":
			_, err = fmt.Sscan(value, &r.Explore)
		case "hash":
			_, err = fmt.Sscan(value, &r.Hash)
		case "choices":
			_, err = fmt.Sscan(value, &count)
		default:
			err = fmt.Errorf("unknown field %q", key)
		}
		if err != nil {
			return r, fmt.Errorf("%s: %w", path, err)
		}
	}
	for in.Scan() {
		for _, word := range strings.Fields(in.Text()) {
			var c Choice
			if _, err := fmt.Sscanf(word, "%d/%d", &c.C, &c.N); err != nil {
				return r, fmt.Errorf("%s: %w", path, err)
			}
			r.Choices = append(r.Choices, c)
		}
	}
	if count != len(r.Choices) {
		return r, fmt.Errorf("%s has %d decisions, not %d: it was cut", path, len(r.Choices), count)
	}
	return r, nil
}

// Play repeats the recorded run.
func (r Recording) Play(verbose bool) (*World, error) {
	s, err := Lookup(r.Scenario)
	if err != nil {
		return nil, err
	}
	return s.Run(Config{SC: r.SC, Explore: r.Explore, Verbose: verbose}, NewReplay(r.Choices))
}
