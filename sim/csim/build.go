//go:build sim && cgo

package csim

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	libsd "github.com/socksdirect/libsd"
)

// glue is what the C core finds around it in a simulated process.
//
//go:embed core
var glue embed.FS

// Sources of libsd.so that a simulated process has stand-ins for: its start, and the handling of real signals.
var replaced = []string{"init.c", "signal.c"}

var (
	compile = []string{"-std=gnu11", "-D_GNU_SOURCE", "-O2", "-fPIC", "-fvisibility=hidden", "-w", "-DSD_SIM", "-include", "small.h", "-c"}
	link    = []string{"-shared", "-Wl,-Bsymbolic", "-Wl,-z,now", "-pthread"}
)

// sources is the C core by file name, with edits made.
func sources(edits []Edit) (map[string]string, error) {
	all := map[string]string{}
	for dir, files := range map[string]fs.FS{"preload": libsd.Preload, "core": glue} {
		names, err := fs.Glob(files, dir+"/*.[ch]")
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			b, err := fs.ReadFile(files, name)
			if err != nil {
				return nil, err
			}
			if base := path.Base(name); !slices.Contains(replaced, base) {
				all[base] = string(b)
			}
		}
	}
	for _, e := range edits {
		if n := strings.Count(all[e.File], e.Old); n != 1 {
			return nil, fmt.Errorf("%s has %d places that read %q, want 1", e.File, n, e.Old)
		}
		all[e.File] = strings.Replace(all[e.File], e.Old, e.New, 1)
	}
	return all, nil
}

// hash is over texts, in the order of their names.
func hash(texts map[string]string) string {
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		fmt.Fprintf(h, "%s %d\n%s", name, len(texts[name]), texts[name])
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// build compiles the C core for the simulator, with memory of the sizes that ship if full, and returns the
// library. Objects and libraries are kept under their hash, so that a canary costs the compilation of the
// file that it is in.
func build(edits []Edit, full bool) (string, error) {
	all, err := sources(edits)
	if err != nil {
		return "", err
	}
	if full {
		all["small.h"] = "#define SIM_FULL\n" + all["small.h"]
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		cache = os.TempDir()
	}
	cache = filepath.Join(cache, "sdsim")
	lib := filepath.Join(cache, hash(all)+".so")
	if _, err := os.Stat(lib); err == nil {
		return lib, nil
	}
	if err := os.MkdirAll(cache, 0o700); err != nil {
		return "", err
	}
	dir, err := os.MkdirTemp(cache, "build-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	headers := map[string]string{}
	for name, text := range all {
		if path.Ext(name) == ".h" {
			headers[name] = text
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			return "", err
		}
	}
	var (
		objects []string
		wait    sync.WaitGroup
		failed  = make(chan error, len(all))
	)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		if path.Ext(name) != ".c" {
			continue
		}
		unit := maps.Clone(headers)
		unit[name] = all[name]
		object := filepath.Join(cache, hash(unit)+".o")
		objects = append(objects, object)
		if _, err := os.Stat(object); err == nil {
			continue
		}
		wait.Go(func() { failed <- cc(dir, object, append(slices.Clone(compile), name)) })
	}
	wait.Wait()
	close(failed)
	for err := range failed {
		if err != nil {
			return "", err
		}
	}
	return lib, cc(dir, lib, append(slices.Clone(link), objects...))
}

// cc runs the C compiler in dir; what it makes appears at once.
func cc(dir, to string, args []string) error {
	name := os.Getenv("CC")
	if name == "" {
		name = "cc"
	}
	part := filepath.Join(dir, filepath.Base(to))
	cmd := exec.Command(name, append(args, "-o", part)...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%.2000s", name, err, out)
	}
	return os.Rename(part, to)
}

// copies are files with the same content: the loader tells libraries apart by inode.
func copies(lib, dir string, n int) (paths []string, err error) {
	b, err := os.ReadFile(lib)
	if err != nil {
		return nil, err
	}
	for i := range n {
		p := filepath.Join(dir, fmt.Sprintf("core%d.so", i))
		if err := os.WriteFile(p, b, 0o755); err != nil {
			return nil, err
		}
		paths = append(paths, p)
	}
	return paths, nil
}
