package main

import (
	"bufio"
	"bytes"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"strings"

	"golang.org/x/sys/unix"
)

// obstacles tells why the loader or libsd.so would not get at a program's calls: nothing means
// that run works for it. Scripts are judged by their interpreter.
func obstacles(prog string) ([]string, error) {
	for range 5 { // as many interpreters as the kernel follows
		interpreter, err := shebang(prog)
		if err != nil {
			return nil, err
		}
		if interpreter == "" {
			break
		}
		if prog, err = lookPath(interpreter); err != nil {
			return nil, err
		}
	}
	var found []string
	fi, err := os.Stat(prog)
	if err != nil {
		return nil, err
	}
	if fi.Mode()&(fs.ModeSetuid|fs.ModeSetgid) != 0 {
		found = append(found, prog+" is set-uid or set-gid: the loader ignores LD_PRELOAD for it")
	}
	if n, err := unix.Getxattr(prog, "security.capability", nil); err == nil && n > 0 {
		found = append(found, prog+" has file capabilities: the loader ignores LD_PRELOAD for it")
	}
	more, err := elfObstacles(prog)
	return append(found, more...), err
}

func elfObstacles(prog string) ([]string, error) {
	f, err := elf.Open(prog)
	if err != nil {
		return nil, fmt.Errorf("%s is neither a script nor an ELF program: %w", prog, err)
	}
	defer f.Close()
	var found []string
	if f.Class != elf.ELFCLASS64 || f.Machine != machine() {
		found = append(found, fmt.Sprintf("%s is for %v %v: libsd.so is built for this machine's main architecture", prog, f.Class, f.Machine))
	}
	switch loader := interpreterOf(f); {
	case loader == "":
		found = append(found, prog+" is statically linked: there is no loader to load libsd.so")
	case strings.Contains(loader, "musl"):
		found = append(found, prog+" uses musl's loader: libsd.so is built for glibc")
	}
	if info, err := buildinfo.ReadFile(prog); err == nil {
		found = append(found, fmt.Sprintf("%s is a Go program (%s): it calls the kernel itself; use the package github.com/socksdirect/libsd/socket in it", prog, info.GoVersion))
	}
	return found, nil
}

// interpreterOf is the loader that the program names.
func interpreterOf(f *elf.File) string {
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			b := make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err != nil {
				return ""
			}
			return string(bytes.TrimRight(b, "\x00"))
		}
	}
	return ""
}

func machine() elf.Machine {
	if runtime.GOARCH == "arm64" {
		return elf.EM_AARCH64
	}
	return elf.EM_X86_64
}

// shebang is the interpreter of a script, or "" for other files. "env NAME" counts as NAME.
func shebang(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	line, _ := bufio.NewReaderSize(f, 256).ReadString('\n')
	rest, ok := strings.CutPrefix(line, "#!")
	words := strings.Fields(rest)
	if !ok || len(words) == 0 {
		return "", nil
	}
	if strings.HasSuffix(words[0], "/env") && len(words) > 1 && !strings.HasPrefix(words[1], "-") {
		return words[1], nil
	}
	return words[0], nil
}
