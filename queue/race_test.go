//go:build race

package queue

// raceEnabled shortens tests that the race detector makes twenty times slower.
const raceEnabled = true
