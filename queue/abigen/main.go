// Command abigen writes what is derived from queue/layout.go: preload/abi.h for the C side,
// docs/abi.md for people, and queue/abihash.go, the number by which two sides recognise the
// same layout. Run it with go generate ./queue.
package main

import (
	"fmt"
	"os"
	"path/filepath"
)

// outputs renders every generated file, keyed by its path from the module's root.
func outputs(layout string) (map[string][]byte, error) {
	m, err := parse(layout)
	if err != nil {
		return nil, err
	}
	return map[string][]byte{
		"preload/abi.h":    cHeader(m),
		"docs/abi.md":      document(m),
		"queue/abihash.go": goHash(m),
	}, nil
}

func main() {
	// go generate runs in the directory of layout.go.
	out, err := outputs("layout.go")
	if err == nil {
		for path, text := range out {
			if err = os.WriteFile(filepath.Join("..", path), text, 0o644); err != nil {
				break
			}
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "abigen:", err)
		os.Exit(1)
	}
}
