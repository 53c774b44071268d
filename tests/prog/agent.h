// SPDX-License-Identifier: Apache-2.0
// The interpreter of the programs of tests/differ: real processes that do one operation at a time, in
// one order. They share a world in memory; turn says which operation is next, and the process that it
// names does it. A coordinator, which takes no part, reads programs and watches who sleeps and dies.
#ifndef AGENT_H
#define AGENT_H

#include "prog.h"
#include <stdatomic.h>

enum { MAX_OPS = 256, MAX_PROCS = 6, MAX_ARGS = 6, MAX_VEC = 32, MAX_CONNS = 64, ADDRS = 4, PORT = 7000 };
enum { BLOCKED = -1000, BUSY = -1001, GONE = -1002, DIED = -1100, ANY_PORT = 99 };
enum { WORLD_FD = 400, DIAG_FD, ERR_FD, NULL_FD, FILE_FD, FIRST_OWN_FD = WORLD_FD };

// Kinds of operations, in the order of model.Kind.
enum kind {
	K_SOCKET, K_BIND, K_LISTEN, K_CONNECT, K_ACCEPT, K_SEND, K_RECV, K_SHUTDOWN, K_CLOSE, K_DUP, K_DUP3, K_DUPFD,
	K_SETFL, K_GETFL, K_SETFD, K_GETFD, K_SETOPT, K_GETOPT, K_INQ, K_NAME, K_POLL, K_EPCREATE, K_EPCTL, K_EPWAIT,
	K_FORK, K_EXEC, K_EXIT, K_KILL, K_SIGACT, K_PAIR, K_PASS, K_TAKE, K_REST,
	K_RESET, // the coordinator's: process 0 is as new
};

// What the runner knows of an operation.
enum {
	HINT_WATCH = 1,    // it may sleep, or end its process
	HINT_STRAINED = 2, // queues may be longer than a window: not everything will arrive
	HINT_LAST = 4,	   // it closes, or names anew, the last number of a connection
};

struct op {
	int32_t proc, kind, arg[MAX_ARGS], hint;
};

struct outcome {
	int32_t r;
	uint32_t signals;
	uint64_t sum;
	int32_t n, vec[MAX_VEC];
};

struct late { // the outcome of a call that had been reported as BLOCKED
	int32_t after, proc;
	struct outcome out;
};

// What a process does; RUNNING + t: operation t, so that no other one is taken for it.
enum call { IDLE, ASLEEP, RETURNED, RUNNING };

struct process {
	_Atomic int32_t pid;
	_Atomic uint32_t call;	// enum call
	_Atomic uint32_t ran, handled; // signals, as a set and as a count
	_Atomic uint32_t masked; // it is in a call that lets no SIGUSR1 in
	int32_t act[32];	// disposition by signal: 0 default, 1 ignore, else handler
	struct outcome late;
};

struct world {
	_Atomic uint32_t turn; // futex: the operation to do next
	_Atomic uint32_t done; // operations finished, their results written
	_Atomic uint32_t bell; // futex of the coordinator
	_Atomic uint32_t asleep;
	_Atomic uint32_t nops;
	uint32_t ip; // this program's address, host order
	int32_t coordinator;
	struct op op[MAX_OPS + 1];
	struct outcome out[MAX_OPS + 1];
	uint32_t nlate;
	struct late late[MAX_OPS];
	struct process proc[MAX_PROCS];
	bool pushes; // some socket may hold back small segments
	uint32_t nconns;
	struct conn { struct sockaddr_in a, b; bool over; } conn[MAX_CONNS];
};

extern struct world *w;
extern int me;

long futex(_Atomic uint32_t *word, int op, uint32_t value, long us);
void ring(void);
void execute(int t, struct outcome *out);
void settle(bool strained);
void note_connection(int fd);
long close_last(int fd);
long dup3_over_last(int fd, int to, int flags);
long send_form(uint32_t id, const int32_t *a);
long recv_form(const int32_t *a, struct outcome *out);
long poll_form(const int32_t *a, struct outcome *out);
long epwait_form(const int32_t *a, struct outcome *out);
long set_option(const int32_t *a);
long get_option(const int32_t *a);
socklen_t address(int fd, int i, struct sockaddr_storage *at);
void plain_address(struct sockaddr_storage *at);
void wait_gone(int pid);
void become(int index);
void agent_loop(void);

#endif
