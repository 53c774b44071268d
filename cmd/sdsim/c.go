//go:build sim && cgo

package main

import "github.com/socksdirect/libsd/sim/csim"

// The scenarios of the C core need a C compiler, at build time and to plant bugs in it.
func init() { prepare = func() error { return csim.Use() } }
