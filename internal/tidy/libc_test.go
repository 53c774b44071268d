package tidy

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// notHooked are functions of libc that can be given a socket, and why libsd.so does not stand before them.
// Others than these, of a later libc for example, fail the test.
var notHooked = []struct{ why, names string }{
	{"the kernel refuses them on sockets", `__lseek __pread64 __pread64_chk __pread_chk __pwrite64 copy_file_range
		fallocate fallocate64 fchdir fdopendir ftruncate ftruncate64 getdents64 getdirentries
		getdirentries64 inotify_add_watch inotify_rm_watch fanotify_mark lseek lseek64 mmap mmap64 posix_fadvise
		posix_fadvise64 posix_fallocate posix_fallocate64 pread pread64 preadv preadv64 pwrite pwrite64 pwritev pwritev64
		readahead signalfd sync_file_range tee timerfd_gettime timerfd_settime vmsplice setns process_madvise
		pidfd_send_signal fsconfig fsmount move_mount open_by_handle_at`},
	{"the anchor answers for the connection", `bind fchmod fchown fdatasync fgetxattr flistxattr flock fpathconf
		fremovexattr fsetxattr fstat fstat64 fstatfs fstatfs64 fstatvfs fstatvfs64 fsync futimens futimes getpeername
		getsockname isfdtype listen lockf lockf64 statx syncfs`},
	{"the anchor is no terminal", `__ptsname_r_chk __ttyname_r_chk grantpt gtty isatty login_tty ptsname ptsname_r stty
		tcdrain tcflow tcflush tcgetattr tcgetpgrp tcgetsid tcsendbreak tcsetattr tcsetpgrp ttyname ttyname_r unlockpt`},
	{"the anchor is no directory", `__openat64_2 __openat_2 __readlinkat_chk faccessat fchmodat fchownat
		fspick fstatat fstatat64 futimesat linkat mkdirat mkfifoat mknodat mount_setattr name_to_handle_at open_tree openat
		openat64 readlinkat renameat renameat2 scandirat scandirat64 symlinkat unlinkat utimensat`},
	{"of what aio_read and its like have begun, which is nothing", `aio_cancel aio_cancel64 aio_error aio_error64 aio_fsync
		aio_fsync64 aio_return aio_return64 aio_suspend aio_suspend64`},
	{"in a child, which starts another program (docs/compatibility.md)", `posix_spawn_file_actions_addclose
		posix_spawn_file_actions_addclosefrom_np posix_spawn_file_actions_addfchdir_np
		posix_spawn_file_actions_addopen posix_spawn_file_actions_addtcsetpgrp_np`},
	{"for other descriptors; on a socket a direct call (docs/compatibility.md)", `__backtrace_symbols_fd
		backtrace_symbols_fd eventfd_read eventfd_write`},
	{"what looks like a descriptor is none, or a new one that is no connection", `__cmsg_nxthdr ftw ftw64
		getprotobynumber getprotobynumber_r ioperm nftw nftw64 pthread_mutexattr_setprotocol reboot socketpair`},
}

// TestLibcSymbols: every function of libc that takes a descriptor, as its headers say, under every name that
// it is exported by, is interposed or listed above.
func TestLibcSymbols(t *testing.T) {
	listed := map[string]string{}
	for _, group := range notHooked {
		for name := range strings.FieldsSeq(group.names) {
			if listed[name] != "" {
				t.Errorf("%s is listed twice: %s; %s", name, listed[name], group.why)
			}
			listed[name] = group.why
		}
	}
	hooked, declared := interposed(t), takeDescriptors(t)
	found := 0
	for _, name := range libcFunctions(t) {
		is := slices.Contains(hooked, name)
		if is && listed[name] != "" {
			t.Errorf("%s is interposed, and listed: %s", name, listed[name])
		}
		if !declared[name] && !declared[plain(name)] && !slices.Contains(hooked, plain(name)) {
			continue
		}
		found++
		if !is && listed[name] == "" {
			t.Errorf("libc's %s can take a socket: interpose it, or say in notHooked why not", name)
		}
	}
	if found < len(hooked) {
		t.Errorf("only %d functions that take descriptors were found", found)
	}
}

// plain is the name without what marks another door to the same function.
func plain(name string) string {
	name = strings.TrimPrefix(strings.TrimLeft(name, "_"), "libc_")
	return regexp.MustCompile(`(_chk|_time64|_nocancel|_2)$`).ReplaceAllString(name, "")
}

// takeDescriptors are the functions that libc's headers declare with a parameter that is, or holds, one.
func takeDescriptors(t *testing.T) map[string]bool {
	t.Helper()
	var text strings.Builder
	for _, dir := range []string{"/usr/include", "/usr/include/sys", "/usr/include/bits"} {
		for _, multiarch := range []string{"", "/x86_64-linux-gnu"} {
			files, _ := filepath.Glob(strings.Replace(dir, "/usr/include", "/usr/include"+multiarch, 1) + "/*.h")
			for _, f := range files {
				b, err := os.ReadFile(f)
				if err != nil {
					t.Fatal(err)
				}
				text.Write(b)
			}
		}
	}
	header := regexp.MustCompile(`(?s)/\*.*?\*/`).ReplaceAllString(text.String(), "")
	holds := regexp.MustCompile(`\bint\s+__\w*(fd|fildes|filedes|sock|from|to)\w*\b|\bint __s\b|\bint (fd|sock)\b|aiocb|struct pollfd|fd_set|struct msghdr`)
	names := map[string]bool{}
	for _, m := range regexp.MustCompile(`\b(\w+)\s*\(([^()]*(?:\([^()]*\)[^()]*)*)\)`).FindAllStringSubmatch(header, -1) {
		if holds.MatchString(m[2]) {
			names[m[1]] = true
		}
	}
	for _, name := range []string{"read", "recvmsg", "splice", "poll", "connect"} {
		if !names[name] {
			t.Fatalf("libc's headers do not declare %s: is libc6-dev installed?", name)
		}
	}
	return names
}

// libcFunctions is what programs can link to.
func libcFunctions(t *testing.T) (names []string) {
	t.Helper()
	path, err := exec.Command("gcc", "-print-file-name=libc.so.6").Output()
	if err != nil {
		t.Fatal(err)
	}
	f, err := elf.Open(strings.TrimSpace(string(path)))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	symbols, err := f.DynamicSymbols()
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range symbols {
		if s.Section != elf.SHN_UNDEF && s.Version != "GLIBC_PRIVATE" && elf.ST_TYPE(s.Info) != elf.STT_OBJECT {
			names = append(names, s.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
