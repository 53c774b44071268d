// Package tidy is the project's rules as tests: what a reviewer should never have to say.
//
//	format_test.go   gofmt; length of files; nothing left to do; no trace of a machine
//	imports_test.go  who may import whom; atomics, futex, mmap, unsafe in their one place
//	exports_test.go  libsd.so exports what preload/libsd.map and preload/real.h list
//	docs_test.go     what the documents link to and name exists; generators have a freshness test
//
// The rules hold for every file in the tree that is not built (bin) and not git's.
package tidy
