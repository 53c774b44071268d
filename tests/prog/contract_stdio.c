// SPDX-License-Identifier: Apache-2.0
// libc's stdio over a connection: streams of fdopen, dprintf, the standard streams, also of a program
// that is started with one.
#include "contract.h"
#include <sys/mman.h>

enum { BIG = 300000 };

static void streams(struct link *l)
{
	static uint8_t b[BIG];
	char *line = NULL;
	size_t room = 0;
	FILE *r = fdopen(l->s, "r"), *w = fdopen((int)must(dup(l->s)), "w");
	EXPECT(r && w);
	EQ(fileno(r), l->s);
	EXPECT(fileno(w) != l->s);
	for (int i = 0; i < 50; i++) {
		post(l, OP_ECHO, 100);
		fill(l, b, 100);
		EQ(fwrite(b, 1, 60, w), 60);
		for (int k = 60; k < 100; k++)
			EQ(putc(b[k], w), b[k]);
		EQ(fflush(w), 0);
		EQ(fread(b, 1, 99, r), 99);
		b[99] = (uint8_t)getc(r);
		verify(l, b, 100);
		EQ(answer(l), 100);
	}
	EQ(ask(l, OP_SEND, 5000), 5000);
	ssize_t n = getline(&line, &room, r);
	EXPECT(n > 0 && line[n - 1] == '\n');
	verify(l, line, (size_t)n);
	EQ(fread(b, 1, 5000 - (size_t)n, r), 5000 - n);
	verify(l, b, 5000 - (size_t)n);
	free(line);

	post(l, OP_RECV, BIG);
	fill(l, b, BIG);
	EQ(fwrite(b, 1, BIG, w), BIG);
	EQ(fflush(w), 0);
	EQ(answer(l), BIG);

	fill(l, b, 10);
	EQ(fwrite(b, 1, 10, w), 10);
	EQ(fclose(w), 0);
	EQ(ask(l, OP_RECV, 10), 10);
	EQ(ask(l, OP_TRY, 1), -EAGAIN);
	EQ(ask(l, OP_SHUT_WR, 0), 0);
	EQ(getc(r), EOF);
	EXPECT(feof(r) && !ferror(r));
	EQ(fclose(r), 0);
	l->s = -1;
	EQ(ask(l, OP_DRAIN, 0), 0);
}

static void stream_answers(struct link *l)
{
	ERR((long)(intptr_t)fdopen(l->s, "z") - 1, EINVAL);
	FILE *f = fdopen(l->s, "r+");
	ERR(fseek(f, 0, SEEK_CUR), ESPIPE);
	ERR(ftell(f), ESPIPE);
	set_nonblock(l->s, true);
	ERR(getc(f), EAGAIN);
	EXPECT(ferror(f) && !feof(f));
	clearerr(f);
	EQ(ask(l, OP_SEND, 1), 1);
	until_arrived(l->s, 1);
	uint8_t c = (uint8_t)getc(f);
	verify(l, &c, 1);
}

static void fclose_frees_the_number(struct link *l)
{
	int s = l->s, n;
	char c = 1;
	EQ(fclose(fdopen(s, "w")), 0);
	l->s = -1;
	EQ(ask(l, OP_DRAIN, 0), 0);
	do
		n = (int)must(open("/dev/zero", O_RDONLY));
	while (n < s);
	EQ(n, s);
	EQ(read(n, &c, 1), 1);
	EQ(c, 0);
}

// The stream and its number go on with a file; the connection is closed.
static void reopened(struct link *l)
{
	char path[64], line[16];
	uint8_t b[10];
	int s = l->s, file = (int)must(memfd_create("file", 0));
	FILE *f = fdopen(s, "r+");
	snprintf(path, sizeof path, "/proc/self/fd/%d", file);
	fill(l, b, sizeof b);
	EQ(fwrite(b, 1, sizeof b, f), sizeof b);
	EXPECT(freopen(path, "w", f) == f);
	l->s = -1;
	EQ(ask(l, OP_DRAIN, 0), sizeof b);
	EQ(fileno(f), s);
	EQ(getc(f), EOF);
	clearerr(f);
	EQ(fprintf(f, "a line\n"), 7);
	EQ(fflush(f), 0);
	EQ(pread(file, line, sizeof line, 0), 7);
	EXPECT(freopen(path, "r", f) == f);
	EXPECT(fgets(line, sizeof line, f));
	EQ(strcmp(line, "a line\n"), 0);
	EQ(ftell(f), 7);
	EQ(fseek(f, 2, SEEK_SET), 0);
	EQ(getc(f), 'l');
	EQ(fclose(f), 0);
	ERR(fcntl(s, F_GETFD), EBADF);
}

int __dprintf_chk(int, int, const char *, ...);
int __vdprintf_chk(int, int, const char *, va_list);

static void formatted(int fd, bool checked, const char *format, ...)
{
	va_list ap;
	va_start(ap, format);
	EQ(checked ? __vdprintf_chk(fd, 1, format, ap) : vdprintf(fd, format, ap), 3);
	va_end(ap);
}

static void dprintfs(struct link *l)
{
	uint8_t b[12];
	int on = 1;
	must(setsockopt(l->s, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on)); // several sends for each answer
	for (int i = 0; i < 50; i++) {
		fill(l, b, 12);
		EQ(dprintf(l->s, "%c%c%c", b[0], b[1], b[2]), 3);
		EQ(__dprintf_chk(l->s, 1, "%c%c%c", b[3], b[4], b[5]), 3);
		formatted(l->s, false, "%c%c%c", b[6], b[7], b[8]);
		formatted(l->s, true, "%c%c%c", b[9], b[10], b[11]);
		EQ(ask(l, OP_RECV, 12), 12);
		EQ(ask(l, OP_SEND, 12), 12);
		get(l, 12);
	}
}

// What is sent by number and what is printed keep their order.
static void standard_output(struct link *l)
{
	uint8_t b[2000];
	put(l, 1000);
	EQ(dup2(l->s, STDOUT_FILENO), STDOUT_FILENO);
	for (int i = 0; i < 50; i++) {
		fill(l, b, sizeof b);
		EQ(fwrite(b, 1, sizeof b, stdout), sizeof b);
		EQ(fflush(stdout), 0);
		put(l, 1000);
	}
	EQ(ask(l, OP_RECV, 151000), 151000);
	EQ(ask(l, OP_SEND, 10), 10);
	get(l, 10);
	EXPECT(freopen("/dev/null", "w", stdout) != NULL);
	EQ(puts("to nobody"), 10);
	EQ(write(STDOUT_FILENO, "x", 1), 1);
	must(close(l->s));
	l->s = -1;
	EQ(ask(l, OP_DRAIN, 0), 0);
}

static void standard_input(struct link *l)
{
	uint8_t b[100];
	EQ(dup2(l->s, STDIN_FILENO), STDIN_FILENO);
	for (int i = 0; i < 50; i++) {
		post(l, OP_ECHO, 100);
		put(l, 100);
		if (i % 2)
			EQ(fread(b, 1, 100, stdin), 100);
		else
			read_all(l->s, b, 100);
		verify(l, b, 100);
		EQ(answer(l), 100);
	}
}

static void accepted_as_standard_input(struct link *l)
{
	int port, ls = other_listener(l, &port), c = connect_to(l->v6, port);
	char b[8], line[8];
	must(close(STDIN_FILENO));
	EQ(accept_one(ls), STDIN_FILENO);
	for (int i = 0; i < 50; i++) {
		write_all(STDIN_FILENO, "pong\n", 5);
		read_all(c, b, 5);
		write_all(c, "ping\n", 5);
		EXPECT(fgets(line, sizeof line, stdin));
		EQ(strcmp(line, "ping\n"), 0);
	}
	close(c);
	EQ(fgets(line, sizeof line, stdin), NULL);
}

// The new program writes; it may know nothing of who started it.
static void program_writes(struct link *l)
{
	uint8_t b[5000];
	put(l, 100);
	pid_t pid = fork_link(l);
	if (pid == 0) {
		int f = (int)must(memfd_create("file", 0));
		fill(l, b, sizeof b);
		write_all(f, b, sizeof b);
		must(lseek(f, 0, SEEK_SET));
		must(dup2(f, STDIN_FILENO));
		must(dup2(l->s, STDOUT_FILENO));
		execlp("cat", "cat", NULL);
		die("exec cat");
	}
	child_ok(pid);
	l->tx += sizeof b;
	put(l, 100);
	EQ(ask(l, OP_RECV, 5200), 5200);
	EQ(ask(l, OP_SEND, 10), 10);
	get(l, 10);
}

const struct check stdio_checks[] = {
	{"stdio_streams", streams, false},
	{"stdio_streams_cold", streams, true},
	{"stdio_stream_answers", stream_answers, false},
	{"stdio_stream_answers_cold", stream_answers, true},
	{"stdio_fclose_frees_the_number", fclose_frees_the_number, false},
	{"stdio_fclose_frees_the_number_cold", fclose_frees_the_number, true},
	{"stdio_reopened", reopened, false},
	{"stdio_reopened_cold", reopened, true},
	{"stdio_dprintfs", dprintfs, false},
	{"stdio_dprintfs_cold", dprintfs, true},
	{"stdio_standard_output", standard_output, false},
	{"stdio_standard_output_cold", standard_output, true},
	{"stdio_standard_input", standard_input, false},
	{"stdio_standard_input_cold", standard_input, true},
	{"stdio_accepted_as_standard_input", accepted_as_standard_input, true},
	{"stdio_program_writes", program_writes, false},
	{"stdio_program_writes_cold", program_writes, true},
	{0},
};
