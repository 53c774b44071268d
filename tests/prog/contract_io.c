// SPDX-License-Identifier: Apache-2.0
// Receiving and sending: partial reads, peeking, waiting for all, message calls, sendfile.
#include "contract.h"
#include <sys/mman.h>
#include <sys/sendfile.h>

static void partial_reads(struct link *l)
{
	uint8_t b[100];
	EQ(ask(l, OP_SEND, 100), 100);
	until_arrived(l->s, 100);
	EQ(read(l->s, b, 1), 1);
	verify(l, b, 1);
	EQ(read(l->s, b, 60), 60);
	verify(l, b, 60);
	EQ(read(l->s, b, 100), 39);
	verify(l, b, 39);
}

static void empty_calls(struct link *l)
{
	char c = 0;
	EQ(send(l->s, &c, 0, 0), 0);
	EQ(write(l->s, &c, 0), 0);
	EQ(read(l->s, &c, 0), 0);
	ERR(recv(l->s, &c, 0, MSG_DONTWAIT), EAGAIN);
	put(l, 5);
	EQ(ask(l, OP_RECV, 5), 5);
}

static void peek(struct link *l)
{
	uint8_t b[64];
	EQ(ask(l, OP_SEND, 32), 32);
	until_arrived(l->s, 32);
	for (int i = 0; i < 3; i++) {
		EQ(recv(l->s, b, sizeof b, MSG_PEEK), 32);
		EQ(stream_check(2, l->rx, b, 32), 32);
	}
	EQ(recv(l->s, b, 10, MSG_PEEK), 10);
	get(l, 16);
	EQ(recv(l->s, b, sizeof b, MSG_PEEK), 16);
	EQ(stream_check(2, l->rx, b, 16), 16);
	EQ(ask(l, OP_SEND, 8), 8);
	until_arrived(l->s, 24);
	EQ(recv(l->s, b, sizeof b, MSG_PEEK), 24);
	get(l, 24);
	ERR(recv(l->s, b, 1, MSG_PEEK | MSG_DONTWAIT), EAGAIN);
}

static void peek_blocks(struct link *l)
{
	uint8_t b[8];
	post_asleep(l, OP_SEND, 8);
	EQ(recv(l->s, b, 8, MSG_PEEK), 8);
	EQ(answer(l), 8);
	get(l, 8);
}

static void dontwait(struct link *l)
{
	char b[8];
	ERR(recv(l->s, b, 8, MSG_DONTWAIT), EAGAIN);
	EQ(ask(l, OP_SEND, 3), 3);
	until_arrived(l->s, 3);
	EQ(recv(l->s, b, 8, MSG_DONTWAIT), 3);
	verify(l, b, 3);
	ERR(recv(l->s, b, 8, MSG_DONTWAIT), EAGAIN);
}

static void waitall(struct link *l)
{
	uint8_t b[300000];
	EQ(ask(l, OP_SEND, 10), 10);
	post_asleep(l, OP_SEND, (long)sizeof b - 10);
	EQ(recv(l->s, b, sizeof b, MSG_WAITALL), sizeof b);
	verify(l, b, sizeof b);
	EQ(answer(l), sizeof b - 10);
}

static void waitall_ends_at_eof(struct link *l)
{
	uint8_t b[100];
	EQ(ask(l, OP_SEND, 10), 10);
	post_asleep(l, OP_SHUT_WR, 0);
	EQ(recv(l->s, b, sizeof b, MSG_WAITALL), 10);
	verify(l, b, 10);
	EQ(answer(l), 0);
	EQ(recv(l->s, b, sizeof b, MSG_WAITALL), 0);
}

static void blocked_recv(struct link *l)
{
	for (int i = 0; i < 20; i++) {
		post_asleep(l, OP_SEND, 8);
		get(l, 8);
		EQ(answer(l), 8);
	}
}

static void vectors(struct link *l)
{
	uint8_t b[100];
	struct iovec v[4] = {{b, 10}, {NULL, 0}, {b + 10, 50}, {b + 60, 40}};
	fill(l, b, 100);
	EQ(writev(l->s, v, 4), 100);
	EQ(ask(l, OP_RECV, 100), 100);
	EQ(ask(l, OP_SEND, 70), 70);
	until_arrived(l->s, 70);
	memset(b, 0, sizeof b);
	EQ(readv(l->s, v, 4), 70);
	verify(l, b, 70);
}

static void messages(struct link *l)
{
	uint8_t b[64];
	struct iovec v[2] = {{b, 20}, {b + 20, 44}};
	struct sockaddr_storage name;
	memset(&name, 0xff, sizeof name);
	struct msghdr m = {.msg_iov = v, .msg_iovlen = 2, .msg_name = &name, .msg_namelen = sizeof name};
	fill(l, b, 64);
	m.msg_name = NULL;
	m.msg_namelen = 0;
	EQ(sendmsg(l->s, &m, 0), 64);
	EQ(ask(l, OP_RECV, 64), 64);
	EQ(ask(l, OP_SEND, 64), 64);
	until_arrived(l->s, 64);
	m.msg_name = &name;
	m.msg_namelen = sizeof name;
	m.msg_flags = 0x7f;
	EQ(recvmsg(l->s, &m, 0), 64);
	EQ(m.msg_namelen, 0);
	EQ(m.msg_flags, 0);
	EQ(m.msg_controllen, 0);
	verify(l, b, 64);
}

static void from_has_no_address(struct link *l)
{
	uint8_t b[4];
	struct sockaddr_storage name;
	socklen_t len = sizeof name;
	EQ(ask(l, OP_SEND, 4), 4);
	EQ(recvfrom(l->s, b, 4, 0, (void *)&name, &len), 4);
	EQ(len, 0);
	verify(l, b, 4);
	len = (socklen_t)-1;
	EQ(ask(l, OP_SEND, 4), 4);
	ERR(recvfrom(l->s, b, 4, 0, (void *)&name, &len), EINVAL); // and the bytes are gone
	verify(l, b, 4);
	ERR(recv(l->s, b, 4, MSG_DONTWAIT), EAGAIN);
}

static void many_messages(struct link *l)
{
	uint8_t b[3][30];
	struct iovec v[3];
	struct mmsghdr m[3];
	memset(m, 0, sizeof m);
	for (int i = 0; i < 3; i++) {
		fill(l, b[i], 30);
		v[i] = (struct iovec){b[i], 30};
		m[i].msg_hdr = (struct msghdr){.msg_iov = &v[i], .msg_iovlen = 1};
	}
	EQ(sendmmsg(l->s, m, 3, 0), 3);
	for (int i = 0; i < 3; i++)
		EQ(m[i].msg_len, 30);
	EQ(ask(l, OP_RECV, 90), 90);
	EQ(ask(l, OP_SEND, 75), 75);
	until_arrived(l->s, 75);
	EQ(recvmmsg(l->s, m, 3, MSG_DONTWAIT, NULL), 3);
	EQ(m[0].msg_len, 30);
	EQ(m[2].msg_len, 15);
	verify(l, b[0], 30);
	verify(l, b[1], 30);
	verify(l, b[2], 15);
}

static void from_file(struct link *l)
{
	enum { SIZE = 300000 };
	static uint8_t b[SIZE];
	int f = (int)must(memfd_create("file", MFD_CLOEXEC));
	off_t off = 1000;
	fill(l, b, SIZE - 1000);
	must(lseek(f, 1000, SEEK_SET));
	write_all(f, b, SIZE - 1000);
	post(l, OP_RECV, SIZE - 1000);
	while (off < SIZE)
		EXPECT(must(sendfile(l->s, f, &off, (size_t)(SIZE - off))) > 0);
	EQ(answer(l), SIZE - 1000);
	EQ(sendfile(l->s, f, &off, 100), 0);
	fill(l, b, 100);
	EQ(pwrite(f, b, 100, 0), 100);
	must(lseek(f, 0, SEEK_SET));
	EQ(sendfile(l->s, f, NULL, 100), 100);
	EQ(lseek(f, 0, SEEK_CUR), 100);
	EQ(ask(l, OP_RECV, 100), 100);
}

// Nothing is sent, and the stream goes on.
static void from_file_refused(struct link *l)
{
	int f = (int)must(memfd_create("file", MFD_CLOEXEC)), p[2];
	off_t below = -1, start = 0;
	must(ftruncate(f, 100));
	must(pipe2(p, O_CLOEXEC));
	EQ(must(write(p[1], "x", 1)), 1);
	ERR(sendfile(l->s, f, &below, 10), EINVAL);
	ERR(sendfile(l->s, f, &start, (size_t)-1), EINVAL);
	ERR(sendfile(l->s, f, (off_t *)8, 10), EFAULT);
	ERR(sendfile(l->s, -1, NULL, 10), EBADF);
	ERR(sendfile(l->s, l->s, NULL, 10), EINVAL);
	ERR(sendfile(l->s, p[0], NULL, 10), EINVAL);
	ERR(sendfile(l->s, p[0], &start, 10), ESPIPE);
	ERR(sendfile(l->s, p[1], NULL, 10), EBADF);
	EQ(sendfile(l->s, f, &start, 0), 0);
	EQ(start, 0);
	EQ(ask(l, OP_SEND, 30), 30);
	get(l, 30);
}

// tcp(7): MSG_TRUNC drops what it returns, into no buffer at all.
static void truncated(struct link *l)
{
	uint8_t b[100] = {0};
	EQ(ask(l, OP_SEND, 200), 200);
	until_arrived(l->s, 200);
	EQ(recv(l->s, NULL, 50, MSG_TRUNC | MSG_PEEK), 50);
	EQ(recv(l->s, NULL, 50, MSG_TRUNC), 50);
	l->rx += 50;
	EQ(recv(l->s, b, 50, MSG_TRUNC | MSG_WAITALL), 50);
	l->rx += 50;
	for (int i = 0; i < 50; i++)
		EQ(b[i], 0);
	get(l, 100);
}

static void seek_is_refused(struct link *l)
{
	char c;
	ERR(lseek(l->s, 0, SEEK_CUR), ESPIPE);
	ERR(pread(l->s, &c, 1, 0), ESPIPE);
	ERR(pwrite(l->s, &c, 1, 0), ESPIPE);
}

const struct check io_checks[] = {
	{"partial_reads", partial_reads, false},
	{"partial_reads_cold", partial_reads, true},
	{"empty_calls", empty_calls, false},
	{"peek", peek, false},
	{"peek_cold", peek, true},
	{"peek_blocks", peek_blocks, false},
	{"dontwait", dontwait, false},
	{"waitall", waitall, false},
	{"waitall_cold", waitall, true},
	{"waitall_ends_at_eof", waitall_ends_at_eof, false},
	{"blocked_recv", blocked_recv, false},
	{"vectors", vectors, false},
	{"messages", messages, false},
	{"from_has_no_address", from_has_no_address, false},
	{"many_messages", many_messages, false},
	{"from_file", from_file, false},
	{"from_file_cold", from_file, true},
	{"from_file_refused", from_file_refused, false},
	{"truncated", truncated, false},
	{"truncated_cold", truncated, true},
	{"seek_is_refused", seek_is_refused, false},
	{0},
};
