package cbuild

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Find returns the path of a library that fits this program: beside the program, else in the
// user's cache, where it is built the first time.
func (l Library) Find() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return "", err
	}
	beside := filepath.Join(filepath.Dir(exe), l.Name)
	if l.Current(beside) == nil {
		return beside, nil
	}
	dir, err := l.cacheDir()
	if err != nil {
		return "", err
	}
	lib := filepath.Join(dir, l.Name)
	if l.Current(lib) == nil {
		return lib, nil
	}
	return l.Build(dir)
}

// cacheDir makes the folder of this version's library. Its content is loaded into every program
// that sdirect runs, so nobody else may be able to write there.
func (l Library) cacheDir() (string, error) {
	hash, err := l.Hash()
	if err != nil {
		return "", err
	}
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no place for %s: %w; set XDG_CACHE_HOME, or put it beside sdirect", l.Name, err)
	}
	dir := filepath.Join(base, "sdirect", hash)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	fi, err := os.Stat(dir)
	if err != nil {
		return "", err
	}
	if owner := int(fi.Sys().(*syscall.Stat_t).Uid); owner != os.Geteuid() || fi.Mode().Perm()&0o022 != 0 {
		return "", fmt.Errorf("%s can be written by others (uid %d, mode %#o): remove it, or set XDG_CACHE_HOME", dir, owner, fi.Mode().Perm())
	}
	return dir, nil
}
