// Package trace reads, judges and converts histories of what programs did with their TCP sockets:
// what sdirect run --trace has recorded, or strace has printed. The format is in docs/trace-format.md.
//
//	format.go   records, as preload/trace/format.h lays them out
//	reader.go   files of many threads as one history, in bounded memory
//	writer.go   files that were not recorded: imports and tests
//	sum.go      checksums that combine over any chunking
//	survey.go   which sockets are two ends of one connection
//	judge.go    is the history one that Linux allows
//	stream.go   one direction of a connection: the bytes received are the bytes sent
//	linear.go   one direction that several threads use: porcupine
//	import.go   logs of strace, which strace.go reads line by line
//	print.go    a history as text; html.go: as a timeline
package trace
