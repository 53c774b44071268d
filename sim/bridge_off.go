//go:build !sim

package sim

// Install fails: without -tags sim the code under test does not come here.
func Install(*World) { panic("sim: build with -tags sim") }
