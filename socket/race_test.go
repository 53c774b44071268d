//go:build race

package socket

// raceEnabled is set under the race detector and shortens tests that the race detector makes twenty times slower.
const raceEnabled = true
