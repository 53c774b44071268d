package main

// others are the calls that can be given a socket and that libsd.so does not stand before, and the ways around
// it. internal/tidy/libc_test.go looks here for every function of libc that takes a descriptor.
var others = []cell{
	{"bind listen", "", kernel, "", "life_bind_and_listen_errors life_bound_before_connect other_named other_named_cold"},
	{"getsockname getpeername", "", kernel, "", "names name_is_cut not_connected flag_names_refused"},
	{"lseek lseek64 __lseek pread pread64 __pread64 __pread_chk __pread64_chk pwrite pwrite64 __pwrite64 preadv preadv64 pwritev pwritev64", "", kernel,
		"ESPIPE", "seek_is_refused other_positions other_positions_cold"},
	{"tee vmsplice copy_file_range", "", kernel, "EINVAL, EBADF", "splice_is_refused splice_is_refused_cold"},
	{"ftruncate ftruncate64 fsync fdatasync fallocate fallocate64 posix_fallocate posix_fallocate64 readahead sync_file_range", "", kernel,
		"refused", "other_as_a_file other_as_a_file_cold"},
	{"syncfs posix_fadvise posix_fadvise64", "", kernel, "no effect", "other_as_a_file other_as_a_file_cold"},
	{"mmap mmap64", "", kernel, "of a TCP socket: for TCP_ZEROCOPY_RECEIVE", "other_mapped"},
	{"fstat fstat64 statx fstatfs fstatfs64 fstatvfs fstatvfs64 fpathconf isfdtype", "", kernel, "", "other_status other_status_cold flags_of_the_number"},
	{"flock lockf lockf64", "", kernel, "", "other_owners_and_locks other_owners_and_locks_cold"},
	{"fchmod fchown futimens futimes fgetxattr fsetxattr flistxattr fremovexattr", "", kernel, "", "other_owners_and_locks other_owners_and_locks_cold"},
	{`openat openat64 __openat_2 __openat64_2 fstatat fstatat64 faccessat fchmodat fchownat futimesat utimensat linkat unlinkat symlinkat
		readlinkat __readlinkat_chk renameat renameat2 mkdirat mkfifoat mknodat scandirat scandirat64 name_to_handle_at
		open_by_handle_at open_tree move_mount mount_setattr fspick fchdir fdopendir getdents64 getdirentries getdirentries64`,
		"as a directory", kernel, "ENOTDIR", "other_no_directory"},
	{`isatty ttyname ttyname_r __ttyname_r_chk ptsname ptsname_r __ptsname_r_chk grantpt unlockpt login_tty gtty stty tcdrain tcflow tcflush
		tcgetattr tcsetattr tcgetpgrp tcsetpgrp tcgetsid tcsendbreak`, "as a terminal", kernel, "ENOTTY", "other_no_terminal"},
	{"inotify_add_watch inotify_rm_watch fanotify_mark signalfd timerfd_gettime timerfd_settime pidfd_send_signal process_madvise setns fsconfig fsmount",
		"as another kind of descriptor", kernel, "EINVAL, EBADF", "other_no_other_kind"},
	{"aio_cancel aio_cancel64 aio_error aio_error64 aio_fsync aio_fsync64 aio_return aio_return64 aio_suspend aio_suspend64", "", none,
		"of what aio_read and its like have begun", "unhooked_asynchronous unhooked_asynchronous_cold"},
	{`posix_spawn_file_actions_addclose posix_spawn_file_actions_addclosefrom_np posix_spawn_file_actions_addfchdir_np
		posix_spawn_file_actions_addopen posix_spawn_file_actions_addtcsetpgrp_np`, "", none,
		"in a child, which starts another program", "exec_spawned_writes exec_spawned_writes_cold"},
	{"fork daemon forkpty", "a promoted connection", ring, "handlers of `pthread_atfork`: shared by parent and child, under a lock",
		"fork_child_uses fork_turns fork_both_send fork_in_a_burst fork_child_closes_parent_goes_on"},
	{"", "a candidate", degrade, "stays on the kernel in both (`forked`): its path would not be shared", "fork_child_uses_cold fork_turns_cold fork_in_a_burst_cold"},
	{"vfork", "", both, "the child's calls act on the kernel, the parent's table stays as it is", "exec_after_vfork_writes exec_after_vfork_writes_cold"},
	{"socketpair", "", kernel, "untouched", "kind_unix_pairs"},
	{"AF_UNIX", "stream, datagram, seqpacket; SO_PEERCRED", kernel, "untouched", "kind_unix_pairs kind_unix_named"},
	{"UDP", "", kernel, "untouched", "kind_datagrams"},
	{"MPTCP", "", kernel, "untouched", "kind_multipath"},
	{"AF_NETLINK", "", kernel, "untouched", "kind_kernel_messages"},
	{"SOCK_RAW AF_PACKET AF_VSOCK AF_ALG SCTP", "", kernel, "untouched", "kind_families"},
	{"io_uring_enter SYSCALL eventfd_read eventfd_write backtrace_symbols_fd __backtrace_symbols_fd", "before the promotion", kernel,
		"io_uring, the instruction, and libc's calls for other descriptors: the kernel counts, and libsd asks it for the switch byte",
		"unhooked_uring_sends_cold unhooked_uring_receives_cold unhooked_direct_write_cold unhooked_inside_libc_cold"},
	{"", "connections made or accepted by io_uring", kernel, "libsd knows nothing of them", "unhooked_uring_makes"},
	{"", "shutdown, close", both, "the peer gets all, then the end; the number may then be used by socket, accept and dup, by nothing else", "unhooked_uring_shuts unhooked_uring_shuts_cold unhooked_uring_closes unhooked_uring_closes_cold unhooked_direct_close unhooked_direct_close_cold"},
	{"", "writes on a promoted connection", never, "nothing can stand in: a foreign write (`foreign-write`), for which the peer resets the connection", "unhooked_uring_sends unhooked_direct_write unhooked_direct_message unhooked_inside_libc"},
	{"", "reads and polls on a promoted connection", never, "see only what comes by the anchor, which is nothing before the end, and take nothing", "unhooked_uring_receives unhooked_uring_polls unhooked_direct_read unhooked_inside_libc"},
	{"dlmopen", "a namespace of its own", never, "the module has a libc of its own, whose calls are as the instruction", "module_in_a_namespace module_in_a_namespace_cold"},
	{"ld.so", "a static program inherits: writes", kernel, "as any program that is started (`exec-inherited`)", "unhooked_static_program_writes unhooked_static_program_writes_cold unhooked_program_with_a_number unhooked_program_with_a_number_cold"},
	{"", "a static program inherits: reads", never, "of what comes by a ring it gets nothing, and takes nothing (`exec-inherited`)", "unhooked_static_program_reads unhooked_static_program_reads_cold"},
}
