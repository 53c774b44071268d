package main

import (
	"os"
	"path/filepath"

	"github.com/socksdirect/libsd/monitor/wire"
)

// monitorSocket is the place of the monitor to use: that of $SDIRECT_SOCKET, else root's if it
// answers, because it can introduce processes of different users, else one's own.
func monitorSocket() (string, error) {
	own, err := ownSocket()
	if err != nil || os.Getenv(wire.EnvSocket) != "" || os.Geteuid() == 0 {
		return own, err
	}
	system, err := wire.UserSocketPath(0)
	if err != nil {
		return "", err
	}
	if answers(system) {
		return system, nil
	}
	return own, nil
}

// ownSocket is the place for a monitor of one's own. It is absolute, because programs change their
// directory.
func ownSocket() (string, error) {
	socket, err := wire.SocketPath()
	if err != nil {
		return "", err
	}
	return filepath.Abs(socket)
}

// answers tells whether a monitor that we trust serves the socket.
func answers(socket string) bool {
	c, err := wire.Dial(socket)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// logPath is where a monitor in the background writes: beside its socket.
func logPath(socket string) string {
	return filepath.Join(filepath.Dir(socket), filepath.Base(socket)+".log")
}
