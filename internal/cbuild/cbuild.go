// Package cbuild builds libsd.so and libsdtrace.so from the embedded C sources with the machine's C
// compiler, and tells whether a library was built from these sources.
package cbuild

import (
	"bytes"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	libsd "github.com/socksdirect/libsd"
)

// Library is a shared library that programs are run with.
type Library struct {
	Name   string   // of its file
	folder string   // of its sources
	shared []string // headers from elsewhere
}

// The libraries: the data plane, and the recorder that run --trace puts before it.
var (
	Data  = Library{Name: "libsd.so", folder: "preload"}
	Trace = Library{Name: "libsdtrace.so", folder: "preload/trace", shared: []string{"preload/sys.h"}}
)

// flags of the compiler. initial-exec thread-local storage is safe because the library is loaded
// at program start, and costs no call.
var flags = []string{
	"-std=gnu11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-shared", "-fvisibility=hidden", "-ftls-model=initial-exec",
}

// source is one embedded file that goes into the library.
type source struct {
	name string
	text []byte
}

// sources lists them in the order of their names.
func (l Library) sources() ([]source, error) {
	var all []source
	err := fs.WalkDir(libsd.Preload, ".", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || path.Dir(p) != l.folder && !slices.Contains(l.shared, p) {
			return err
		}
		switch path.Ext(p) {
		case ".c", ".h", ".S", ".map":
			text, err := fs.ReadFile(libsd.Preload, p)
			all = append(all, source{path.Base(p), text})
			return err
		}
		return nil
	})
	return all, err
}

// Hash identifies the sources and flags: 40 hexadecimal digits. A built library carries it as its
// build id.
func (l Library) Hash() (string, error) {
	all, err := l.sources()
	if err != nil {
		return "", err
	}
	h := sha256.New()
	fmt.Fprintln(h, flags)
	for _, s := range all {
		fmt.Fprintf(h, "%s %d\n%s", s.name, len(s.text), s.text)
	}
	return hex.EncodeToString(h.Sum(nil)[:20]), nil
}

// Current tells whether the library at path was built from these sources; if not, the error says
// what is wrong.
func (l Library) Current(path string) error {
	want, err := l.Hash()
	if err != nil {
		return err
	}
	f, err := elf.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	note := f.Section(".note.gnu.build-id")
	if note == nil {
		return fmt.Errorf("%s has no build id: it was not built by sdirect", path)
	}
	data, err := note.Data()
	if err != nil {
		return err
	}
	id, _ := hex.DecodeString(want)
	if !bytes.HasSuffix(data, id) {
		return fmt.Errorf("%s was built from other sources than this sdirect", path)
	}
	return nil
}

// Build compiles the library into dir and returns its path. A library that is there already is
// replaced in one step, so that programs that start meanwhile find either. Extra flags (a sanitizer's,
// say) do not change what Current takes the library for.
func (l Library) Build(dir string, extra ...string) (string, error) {
	hash, err := l.Hash()
	if err != nil {
		return "", err
	}
	tmp, err := os.MkdirTemp(dir, ".libsd-build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(tmp)
	args, err := l.unpack(tmp)
	if err != nil {
		return "", err
	}
	cc := os.Getenv("CC")
	if cc == "" {
		cc = "cc"
	}
	args = slices.Concat(flags, extra, []string{"-Wl,--build-id=0x" + hash, "-o", l.Name}, args)
	cmd := exec.Command(cc, append(args, "-ldl", "-pthread")...)
	cmd.Dir = tmp
	// The program that is to run may have us preloaded; the compiler needs nothing of that.
	cmd.Env = append(os.Environ(), "LD_PRELOAD=")
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return "", fmt.Errorf("no C compiler: install gcc (on Debian: apt-get install gcc libc6-dev), set CC, or put a %s beside sdirect", l.Name)
	}
	if err != nil {
		// The first complaint is the one that matters.
		return "", fmt.Errorf("%s: %w\n%.2000s", strings.Join(cmd.Args, " "), err, out)
	}
	lib := filepath.Join(dir, l.Name)
	return lib, os.Rename(filepath.Join(tmp, l.Name), lib)
}

// unpack writes the sources into dir and returns what the compiler must be told of them.
func (l Library) unpack(dir string) (args []string, err error) {
	all, err := l.sources()
	if err != nil {
		return nil, err
	}
	for _, s := range all {
		if err := os.WriteFile(filepath.Join(dir, s.name), s.text, 0o644); err != nil {
			return nil, err
		}
		switch filepath.Ext(s.name) {
		case ".c", ".S":
			args = append(args, s.name)
		case ".map":
			args = append(args, "-Wl,--version-script="+s.name)
		}
	}
	return args, nil
}
