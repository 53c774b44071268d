package wire

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/socksdirect/libsd/queue"
)

// EnvSocket names the environment variable that overrides the place of the registration socket.
const EnvSocket = "SDIRECT_SOCKET"

// SystemDir is where root's monitor, which serves every user, has its socket.
const SystemDir = "/run/sdirect"

// SocketPath is the registration socket of this process: $SDIRECT_SOCKET, else the socket of its
// user for its network namespace. It fails only if /proc is not mounted.
func SocketPath() (string, error) {
	if p := os.Getenv(EnvSocket); p != "" {
		return p, nil
	}
	return UserSocketPath(os.Geteuid())
}

// UserSocketPath is the place of the socket of a user's monitor for the network namespace of this
// process, whatever the environment says of SDIRECT_SOCKET.
func UserSocketPath(uid int) (string, error) {
	ns, err := NetNS("self")
	if err != nil {
		return "", err
	}
	return filepath.Join(UserDir(uid), fmt.Sprintf("net-%d-%08x.sock", ns, queue.ABIHash>>32)), nil
}

// UserDir is the directory of a user's socket and log. After sudo or su, $XDG_RUNTIME_DIR may be
// another user's, or gone with his session; then it counts as not set.
func UserDir(uid int) string {
	if uid == 0 {
		return SystemDir
	}
	if dir := os.Getenv("XDG_RUNTIME_DIR"); ownDir(dir) && uid == os.Geteuid() {
		return filepath.Join(dir, "sdirect")
	}
	return "/tmp/sdirect-" + strconv.Itoa(uid)
}

func ownDir(dir string) bool {
	fi, err := os.Stat(dir)
	return err == nil && fi.IsDir() && int(fi.Sys().(*syscall.Stat_t).Uid) == os.Geteuid()
}

// NetNS is the inode of the network namespace of a process, given as its number or "self".
func NetNS(pid string) (uint64, error) {
	fi, err := os.Stat("/proc/" + pid + "/ns/net")
	if err != nil {
		return 0, fmt.Errorf("network namespace of process %s: %w", pid, err)
	}
	return fi.Sys().(*syscall.Stat_t).Ino, nil
}

// dirMode is what others may do in the directory of a user's socket: root's is for everyone to
// look up, a user's for nobody else.
func dirMode(uid int) fs.FileMode {
	if uid == 0 {
		return 0o755
	}
	return 0o700
}

// MakeDir makes the directory of this user's socket, or checks the one that is there.
func MakeDir(dir string) error {
	uid := os.Geteuid()
	err := os.Mkdir(dir, dirMode(uid))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("directory of the monitor's socket: %w", err)
	}
	if err == nil {
		// Mkdir obeys the umask; a stricter one would lock other users out of root's directory.
		if err := os.Chmod(dir, dirMode(uid)); err != nil {
			return err
		}
	}
	return CheckDir(dir, uid)
}

// CheckDir tells whether nobody but uid can place a socket in dir. Anybody may create names in
// /tmp, so a directory that is there already proves nothing by its name.
func CheckDir(dir string, uid int) error {
	fi, err := os.Lstat(dir)
	if err != nil {
		return fmt.Errorf("directory of the monitor's socket: %w", err)
	}
	if !fi.IsDir() {
		return fmt.Errorf("%s is not a directory (it is %s): remove it, or choose another place with %s", dir, fi.Mode().Type(), EnvSocket)
	}
	if owner := int(fi.Sys().(*syscall.Stat_t).Uid); owner != uid {
		return fmt.Errorf("%s belongs to uid %d, not %d: somebody else made it; remove it, or choose another place with %s", dir, owner, uid, EnvSocket)
	}
	if loose := fi.Mode().Perm() &^ dirMode(uid); loose != 0 {
		return fmt.Errorf("%s has mode %#o, at most %#o is safe: run chmod %o %s", dir, fi.Mode().Perm(), dirMode(uid), dirMode(uid), dir)
	}
	return nil
}
