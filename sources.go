// Package libsd carries the C sources of libsd.so, so that the sdirect program can build the
// library on the machine where it runs. They are embedded from here because Go refuses C files
// beside Go code without cgo.
package libsd

import "embed"

// Preload is the folder preload/.
//
//go:embed preload
var Preload embed.FS
