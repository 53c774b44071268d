package main

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/socksdirect/libsd/monitor/wire"
)

// A monitor in the background is started by two programs in a row, so that it becomes a child of
// init: the program that run becomes must not find a child that it never made.
//
//	run, or monitor --background ──▶ stage "launch" ──▶ stage "serve", the monitor
//
// The monitor closes the pipe at descriptor readyFD after writing "ok" to it when it serves; the
// launcher passes the outcome on in its exit code.
const (
	envStage = "SDIRECT_BACKGROUND_STAGE"
	readyFD  = 3
)

// ensureMonitor starts a monitor in the background unless one answers at socket.
func ensureMonitor(socket string) error {
	if os.Getenv(envStage) == "launch" {
		return launch(socket)
	}
	if answers(socket) {
		return nil
	}
	cmd, err := self("launch", "monitor", "--background", "--socket", socket)
	if err != nil {
		return err
	}
	out, err := cmd.CombinedOutput()
	// Somebody else may have started one in the same moment.
	if err != nil && !answers(socket) {
		return fmt.Errorf("no monitor answers at %s and none could be started: %s", socket, strings.TrimPrefix(strings.TrimSpace(string(out)), "sdirect: "))
	}
	return nil
}

// launch starts the monitor in a session of its own and waits until it serves.
func launch(socket string) error {
	dir := filepath.Dir(socket)
	if dir == wire.UserDir(os.Geteuid()) {
		if err := wire.MakeDir(dir); err != nil {
			return err
		}
	}
	log, err := os.OpenFile(logPath(socket), os.O_WRONLY|os.O_CREATE|os.O_APPEND|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("log of the monitor: %w", err)
	}
	defer log.Close()
	before, err := log.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	ready, child, err := os.Pipe()
	if err != nil {
		return err
	}
	// Descriptors that the shell gave us (a lock, a pipe's end) must not live as long as a daemon.
	if err := unix.CloseRange(3, ^uint(0), unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return os.NewSyscallError("close_range", err)
	}
	cmd, err := self("serve", "monitor", "--socket", socket)
	if err != nil {
		return err
	}
	cmd.Dir, cmd.Stdout, cmd.Stderr = "/", log, log
	cmd.ExtraFiles = []*os.File{child} // becomes readyFD
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	child.Close()
	if said, _ := io.ReadAll(ready); string(said) == "ok" {
		return nil
	}
	cmd.Wait()
	return fmt.Errorf("it ended: %s(log: %s)", tail(logPath(socket), before), logPath(socket))
}

// self is a command that runs this program without what makes it a program under sdirect.
func self(stage string, args ...string) (*exec.Cmd, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), "LD_PRELOAD=", envStage+"="+stage)
	return cmd, nil
}

// signalReady tells the launcher, if there is one, that the socket is served.
func signalReady() error {
	if os.Getenv(envStage) != "serve" {
		return nil
	}
	f := os.NewFile(readyFD, "ready")
	defer f.Close()
	_, err := f.WriteString("ok")
	return err
}

// tail is what was written to a log after offset.
func tail(path string, offset int64) string {
	f, err := os.Open(path)
	if err != nil {
		return ""
	}
	defer f.Close()
	text, _ := io.ReadAll(io.NewSectionReader(f, offset, 2000))
	return string(text)
}
