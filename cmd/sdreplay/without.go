//go:build !sim || !cgo

package main

import (
	"fmt"
	"os"
)

func main() {
	fmt.Fprintln(os.Stderr, "sdreplay: this build has no simulator: CGO_ENABLED=1 go build -tags sim ./cmd/sdreplay")
	os.Exit(1)
}
