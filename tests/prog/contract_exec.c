// SPDX-License-Identifier: Apache-2.0
// A new program inherits the connection, and writes to it. It may know nothing of who started it.
#include "contract.h"
#include <spawn.h>
#include <sys/mman.h>
#include <wordexp.h>

enum { BY_PROGRAM = 5000, FROM = 8, INHERITED = 9 }; // numbers that the shell can name

// with_file gives the new program's standard input what it is to write.
static int with_file(struct link *l)
{
	uint8_t b[BY_PROGRAM];
	int f = (int)must(memfd_create("file", 0));
	fill(l, b, sizeof b);
	write_all(f, b, sizeof b);
	must(lseek(f, 0, SEEK_SET));
	return f;
}

// Bytes of this process, then the program's, then ours again.
static void before_and_after(struct link *l, void (*exec)(void))
{
	put(l, 100);
	int f = with_file(l);
	pid_t pid = fork_link(l);
	if (pid == 0) {
		must(dup2(f, STDIN_FILENO));
		must(dup2(l->s, INHERITED)); // and not close-on-exec
		exec();
		die("exec");
	}
	child_ok(pid);
	must(close(f));
	put(l, 100);
	EQ(ask(l, OP_RECV, BY_PROGRAM + 200), BY_PROGRAM + 200);
	EQ(ask(l, OP_SEND, 10), 10);
	get(l, 10);
}

#define COMMAND "exec cat >&9"
static char *shell[] = {"sh", "-c", COMMAND, NULL}, *bare[] = {"PATH=/bin:/usr/bin", NULL};
static void by_execl(void) { execl("/bin/sh", "sh", "-c", COMMAND, (char *)NULL); }
static void by_execlp(void) { execlp("sh", "sh", "-c", COMMAND, (char *)NULL); }
static void by_execle(void) { execle("/bin/sh", "sh", "-c", COMMAND, (char *)NULL, bare); }
static void by_execv(void) { execv("/bin/sh", shell); }
static void by_execvp(void) { execvp("sh", shell); }
static void by_execvpe(void) { execvpe("sh", shell, bare); }
static void by_execve(void) { execve("/bin/sh", shell, bare); }
static void by_fexecve(void) { fexecve((int)must(open("/bin/sh", O_RDONLY)), shell, environ); }
static void by_execveat(void) { execveat(AT_FDCWD, "/bin/sh", shell, environ, 0); }
static void by_number(void) { syscall(SYS_execve, "/bin/sh", shell, environ); }
static void by_number_at(void) { syscall(SYS_execveat, AT_FDCWD, "/bin/sh", shell, environ, 0); }

static void each_exec(struct link *l)
{
	void (*const way[])(void) = {by_execl, by_execlp, by_execle, by_execv, by_execvp, by_execvpe, by_execve, by_fexecve, by_execveat, by_number, by_number_at};
	for (size_t i = 0; i < sizeof way / sizeof *way; i++)
		before_and_after(l, way[i]);
}

// A child of vfork has this process's memory, but descriptors of its own.
static void by_vfork(struct link *l)
{
	put(l, 100);
	int f = with_file(l);
	pid_t pid = vfork();
	if (pid == 0) {
		if (dup2(f, STDIN_FILENO) == STDIN_FILENO && dup2(l->s, INHERITED) == INHERITED)
			by_execl();
		_exit(1);
	}
	child_ok((pid_t)must(pid));
	must(close(f));
	put(l, 100);
	EQ(ask(l, OP_RECV, BY_PROGRAM + 200), BY_PROGRAM + 200);
}

static void spawned(struct link *l, bool search)
{
	put(l, 100);
	int f = with_file(l);
	pid_t pid;
	posix_spawn_file_actions_t a;
	char *cat[] = {"cat", NULL};
	EQ(posix_spawn_file_actions_init(&a), 0);
	EQ(posix_spawn_file_actions_adddup2(&a, f, STDIN_FILENO), 0);
	EQ(posix_spawn_file_actions_adddup2(&a, l->s, STDOUT_FILENO), 0);
	EQ(search ? posix_spawnp(&pid, "cat", &a, NULL, cat, environ) : posix_spawn(&pid, "/bin/cat", &a, NULL, cat, environ), 0);
	EQ(posix_spawn_file_actions_destroy(&a), 0);
	child_ok(pid);
	must(close(f));
	put(l, 100);
	EQ(ask(l, OP_RECV, BY_PROGRAM + 200), BY_PROGRAM + 200);
}

static void by_posix_spawn(struct link *l)
{
	spawned(l, false);
	spawned(l, true);
}

// libc starts a shell: what it writes to the number comes after what was written here before.
static void shell_writes(struct link *l, void (*start)(FILE *from))
{
	uint8_t b[BY_PROGRAM];
	FILE *from = tmpfile();
	put(l, 100);
	fill(l, b, sizeof b);
	EQ(fwrite(b, 1, sizeof b, from), sizeof b);
	rewind(from);
	EQ(dup2(fileno(from), FROM), FROM);
	EQ(dup2(l->s, INHERITED), INHERITED);
	start(from);
	must(close(INHERITED));
	must(close(FROM));
	fclose(from);
	put(l, 100);
	EQ(ask(l, OP_RECV, BY_PROGRAM + 200), BY_PROGRAM + 200);
	EQ(ask(l, OP_SEND, 10), 10);
	get(l, 10);
}

static void run_system(FILE *from)
{
	(void)from;
	EXPECT(system(NULL) != 0);
	EQ(system("cat <&8 >&9"), 0);
}

FILE *_IO_popen(const char *, const char *);

static void run_popen(FILE *from)
{
	char b[BY_PROGRAM];
	FILE *to = popen("cat >&9", "w");
	EXPECT(to != NULL);
	EQ(fread(b, 1, sizeof b / 2, from), sizeof b / 2);
	EQ(fwrite(b, 1, sizeof b / 2, to), sizeof b / 2);
	EQ(pclose(to), 0);
	EQ(fread(b, 1, sizeof b / 2, from), sizeof b / 2);
	to = _IO_popen("cat >&9", "w");
	EQ(fwrite(b, 1, sizeof b / 2, to), sizeof b / 2);
	EQ(pclose(to), 0);
}

static void run_wordexp(FILE *from)
{
	(void)from;
	wordexp_t w;
	EQ(wordexp("$(cat <&8 >&9; echo three words more)", &w, 0), 0);
	EQ(w.we_wordc, 3);
	wordfree(&w);
	EQ(wordexp("$(cat <&8 >&9)", &w, WRDE_NOCMD), WRDE_CMDSUB);
}

static void by_system(struct link *l) { shell_writes(l, run_system); }
static void by_popen(struct link *l) { shell_writes(l, run_popen); }
static void by_wordexp(struct link *l) { shell_writes(l, run_wordexp); }

// Who tries to start what is not there goes on.
static void exec_fails(struct link *l)
{
	put(l, 100);
	EQ(execl("/nowhere", "nowhere", (char *)NULL), -1);
	EQ(errno, ENOENT);
	put(l, 100);
	EQ(ask(l, OP_RECV, 200), 200);
	EQ(ask(l, OP_SEND, 1000), 1000);
	get(l, 1000);
}

const struct check exec_checks[] = {
	{"exec_program_writes", each_exec, false},
	{"exec_program_writes_cold", each_exec, true},
	{"exec_after_vfork_writes", by_vfork, false},
	{"exec_after_vfork_writes_cold", by_vfork, true},
	{"exec_spawned_writes", by_posix_spawn, false},
	{"exec_spawned_writes_cold", by_posix_spawn, true},
	{"exec_system_writes", by_system, false},
	{"exec_system_writes_cold", by_system, true},
	{"exec_popen_writes", by_popen, false},
	{"exec_popen_writes_cold", by_popen, true},
	{"exec_wordexp_writes", by_wordexp, false},
	{"exec_wordexp_writes_cold", by_wordexp, true},
	{"exec_fails", exec_fails, false},
	{"exec_fails_cold", exec_fails, true},
	{0},
};
