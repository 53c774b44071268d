// SPDX-License-Identifier: Apache-2.0
// Making the connection of a check and using our end of it.
#include "contract.h"

enum { TX_SEED = 1, RX_SEED = 2, WARM_UP = 20, PATIENCE_MS = 5000, WORDS = 16 };

struct peer_thread { int ctl; bool client, v6; };

static void *peer_thread(void *arg)
{
	struct peer_thread p = *(struct peer_thread *)arg;
	free(arg);
	peer_main(p.ctl, p.client, p.v6);
	close(p.ctl);
	return NULL;
}

// exec_peer becomes the peer program: SD_PEER_PREFIX, split at spaces, then this program.
static void exec_peer(int ctl, bool client, bool v6)
{
	static char self[4096];
	char num[16], *argv[WORDS + 8], *prefix = getenv("SD_PEER_PREFIX");
	int n = 0;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (char *w = prefix ? strtok(strdup(prefix), " ") : NULL; w && n < WORDS; w = strtok(NULL, " "))
		argv[n++] = w;
	self[must(readlink("/proc/self/exe", self, sizeof self - 1))] = 0;
	snprintf(num, sizeof num, "%d", ctl);
	must(fcntl(ctl, F_SETFD, 0));
	argv[n++] = self;
	argv[n++] = "peer";
	argv[n++] = num;
	argv[n++] = client ? "client" : "server";
	argv[n++] = v6 ? "6" : "4";
	argv[n] = NULL;
	execvp(argv[0], argv);
	die("exec %s", argv[0]);
}

void link_open(struct link *l, bool thread, bool client, bool v6)
{
	int sp[2], port, fd;
	must(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sp));
	*l = (struct link){.ctl = sp[0], .peer_fd = -1, .v6 = v6, .client = client};
	if (thread) {
		struct peer_thread *p = malloc(sizeof *p);
		pthread_t t;
		*p = (struct peer_thread){sp[1], !client, v6};
		if (pthread_create(&t, NULL, peer_thread, p) || pthread_detach(t))
			die("pthread_create");
	} else {
		if (must(fork()) == 0)
			exec_peer(sp[1], !client, v6);
		close(sp[1]);
	}
	if (client) {
		must(recv(l->ctl, &port, sizeof port, 0));
		l->s = connect_to(v6, port);
	} else {
		int ls = listen_on(v6, 0);
		port = local_port(ls);
		must(send(l->ctl, &port, sizeof port, 0));
		l->s = accept_one(ls);
		close(ls);
	}
	must(recv(l->ctl, &fd, sizeof fd, 0));
	if (thread)
		l->peer_fd = fd;
}

void link_close(struct link *l)
{
	if (l->s >= 0)
		close(l->s);
	post(l, OP_QUIT, 0);
	char c;
	recv(l->ctl, &c, 1, 0); // the end of ctl: the peer has closed
	close(l->ctl);
}

static void round_trip(struct link *l)
{
	post(l, OP_ECHO, 8);
	put(l, 8);
	get(l, 8);
	EQ(answer(l), 8);
}

// warm_up makes round trips. With SD_WANT_PROMOTED it goes on until they no longer pass through the
// kernel's TCP, and fails if that never happens.
void warm_up(struct link *l)
{
	for (int i = 0; i < WARM_UP; i++)
		round_trip(l);
	if (!getenv("SD_WANT_PROMOTED"))
		return;
	for (int i = 0; i < PATIENCE_MS; i++) {
		uint64_t before = kernel_bytes(l->s);
		round_trip(l);
		if (kernel_bytes(l->s) == before)
			return;
		nap_us(1000);
	}
	fail(__FILE__, __LINE__, "the connection was never promoted", 0, 1);
}

void fill(struct link *l, void *buf, size_t n)
{
	stream_fill(TX_SEED, l->tx, buf, n);
	l->tx += n;
}

void verify(struct link *l, const void *buf, size_t n)
{
	EQ(stream_check(RX_SEED, l->rx, buf, n), n);
	l->rx += n;
}

void put(struct link *l, size_t n)
{
	uint8_t *b = malloc(n);
	fill(l, b, n);
	for (size_t done = 0; done < n;)
		done += (size_t)must(send(l->s, b + done, n - done, MSG_NOSIGNAL));
	free(b);
}

void get(struct link *l, size_t n)
{
	uint8_t *b = malloc(n);
	read_all(l->s, b, n);
	verify(l, b, n);
	free(b);
}

size_t stuff(struct link *l)
{
	// TCP takes more when what is on its way has arrived, which may be after a retransmission: it is full
	// when it refuses though nothing is on its way.
	enum { PIECE = 16 << 10, LIMIT = 64 << 20 };
	uint8_t b[PIECE];
	uint64_t start = l->tx;
	bool settled = false;
	while (l->tx - start < LIMIT) {
		stream_fill(TX_SEED, l->tx, b, PIECE);
		ssize_t r = send(l->s, b, PIECE, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (r < 0) {
			EQ(errno, EAGAIN);
			if (settled)
				return l->tx - start;
			settled = kernel_info(l->s).tcpi_unacked == 0;
			if (!settled)
				nap_us(1000);
			continue;
		}
		settled = false;
		l->tx += (uint64_t)r;
	}
	fail(__FILE__, __LINE__, "the connection is never full", (long)(l->tx - start), LIMIT);
}

void until_arrived(int fd, size_t n)
{
	int have = 0;
	for (int i = 0; i < PATIENCE_MS * 10; i++) {
		must(ioctl(fd, FIONREAD, &have));
		if ((size_t)have >= n)
			return;
		nap_us(100);
	}
	fail(__FILE__, __LINE__, "bytes never arrived", have, (long)n);
}

int watched(int fd, uint32_t events)
{
	struct epoll_event e = {.events = events};
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e));
	return ep;
}

void until_event(int fd, short event)
{
	struct pollfd p = {fd, event, 0};
	for (int i = 0; i < PATIENCE_MS; i++) {
		must(poll(&p, 1, 1));
		if (p.revents & event)
			return;
		if (p.revents)
			nap_us(1000);
	}
	fail(__FILE__, __LINE__, "poll never reported", p.revents, event);
}

short ready(int fd, short events)
{
	struct pollfd p = {fd, events, 0};
	must(poll(&p, 1, 0));
	return p.revents;
}

int other_listener(struct link *l, int *port)
{
	int ls = listen_on(l->v6, 0);
	*port = local_port(ls);
	return ls;
}

struct deed {
	struct link *l;
	void (*act)(struct link *);
	pid_t sleeper;
	pthread_t thread;
};

static void *once_asleep(void *arg)
{
	struct deed *d = arg;
	until_asleep(getpid(), d->sleeper);
	d->act(d->l);
	return NULL;
}

struct deed *meanwhile(struct link *l, void (*act)(struct link *))
{
	struct deed *d = malloc(sizeof *d);
	*d = (struct deed){l, act, gettid(), 0};
	EQ(pthread_create(&d->thread, NULL, once_asleep, d), 0);
	return d;
}

void joined(struct deed *d)
{
	EQ(pthread_join(d->thread, NULL), 0);
	free(d);
}

pid_t fork_link(struct link *l)
{
	fflush(stdout);
	pid_t pid = (pid_t)must(fork());
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (l->peer_fd >= 0)
			close(l->peer_fd);
		close(l->ctl);
	}
	return pid;
}

void child_ok(pid_t pid)
{
	int st;
	must(waitpid(pid, &st, 0));
	EQ(st, 0);
}

void fail(const char *file, int line, const char *what, long got, long want)
{
	fprintf(stderr, "# %s:%d: %s: got %ld, want %ld\n", file, line, what, got, want);
	_exit(1);
}
