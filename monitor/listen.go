package monitor

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/monitor/wire"
)

// RunningError says that another monitor serves the socket already.
type RunningError struct {
	Path string
	PID  string // as far as it is known
}

func (e *RunningError) Error() string {
	return fmt.Sprintf("a monitor serves %s already (pid %s): stop it first, or choose another place with --socket", e.Path, e.PID)
}

// listener is the registration socket and the lock that makes this monitor its only one.
type listener struct {
	*net.UnixListener
	lock *os.File
}

// listen makes the registration socket at path. A socket that nobody serves is replaced. The error
// is a *RunningError if somebody does.
func listen(path string) (*listener, error) {
	dir := filepath.Dir(path)
	if dir == wire.UserDir(os.Geteuid()) {
		if err := wire.MakeDir(dir); err != nil {
			return nil, err
		}
	}
	lock, err := lockFile(path)
	if err != nil {
		return nil, err
	}
	l, err := bind(path)
	if err != nil {
		lock.Close()
		return nil, err
	}
	return &listener{UnixListener: l, lock: lock}, nil
}

// Close removes the socket before the lock is given up, so that a successor's is not removed.
func (l *listener) Close() error {
	return errors.Join(l.UnixListener.Close(), l.lock.Close())
}

// lockFile takes the lock beside the socket and writes our pid into it. Without a lock two monitors
// that start at once could each take the other's new socket for a stale one.
func lockFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path+".lock", os.O_RDWR|os.O_CREATE|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock of the monitor's socket: %w (does the directory exist, and is it yours?)", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if !errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("lock %s: %w", f.Name(), err)
		}
		pid := make([]byte, 20)
		n, _ := f.ReadAt(pid, 0)
		return nil, &RunningError{Path: path, PID: strings.TrimSpace(string(pid[:n]))}
	}
	if err := errors.Join(f.Truncate(0), writePID(f)); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

func writePID(f *os.File) error {
	_, err := fmt.Fprintln(f, os.Getpid())
	return err
}

// bind makes the socket itself.
func bind(path string) (*net.UnixListener, error) {
	fi, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
	case err != nil:
		return nil, err
	case fi.Mode().Type() != fs.ModeSocket:
		return nil, fmt.Errorf("%s is not a socket (it is %s): remove it, or choose another place with --socket", path, fi.Mode())
	default:
		if err := removeStale(path); err != nil {
			return nil, err
		}
	}
	l, err := net.ListenUnix("unixpacket", &net.UnixAddr{Name: path, Net: "unixpacket"})
	if err != nil {
		return nil, err
	}
	// Until here the umask rules, and connecting needs write permission.
	mode := fs.FileMode(0o600)
	if os.Geteuid() == 0 {
		mode = 0o666
	}
	if err := os.Chmod(path, mode); err != nil {
		l.Close()
		return nil, err
	}
	return l, nil
}

// removeStale removes the socket of a monitor that died, and only that.
func removeStale(path string) error {
	c, err := wire.Dial(path)
	if err == nil {
		defer c.Close()
		pid := "unknown"
		if cred, err := c.PeerCred(); err == nil {
			pid = fmt.Sprint(cred.Pid)
		}
		return &RunningError{Path: path, PID: pid}
	}
	if !errors.Is(err, unix.ECONNREFUSED) {
		return fmt.Errorf("something else uses the monitor's socket: %w", err)
	}
	return os.Remove(path)
}
