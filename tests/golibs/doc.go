// Package golibs runs other people's Go libraries over package socket. It is a module of its own, so
// that nobody who uses libsd gets their dependencies.
package golibs
