// SPDX-License-Identifier: Apache-2.0
// What only the kernel does: such a connection stays with it, or goes back to it.
#include "contract.h"

static void urgent_byte_is_beside_the_stream(struct link *l)
{
	for (int i = 0; i < 3; i++) {
		put(l, 1000);
		EQ(send(l->s, "!", 1, MSG_OOB), 1);
		put(l, 1000);
		EQ(ask(l, OP_RECV, 2000), 2000);
		EQ(ask(l, OP_SEND, 1000), 1000);
		get(l, 1000);
	}
}

static void nothing_urgent(struct link *l)
{
	char c;
	ERR(recv(l->s, &c, 1, MSG_OOB), EINVAL);
	ERR(recv(l->s, &c, 1, MSG_ERRQUEUE), EAGAIN);
	EQ(ask(l, OP_SEND, 10), 10);
	until_arrived(l->s, 10);
	ERR(recv(l->s, &c, 1, MSG_OOB), EINVAL);
	ERR(recv(l->s, &c, 1, MSG_ERRQUEUE), EAGAIN);
	get(l, 10);
}

static void low_water(struct link *l)
{
	int hundred = 100;
	must(setsockopt(l->s, SOL_SOCKET, SO_RCVLOWAT, &hundred, sizeof hundred));
	EQ(ask(l, OP_SEND, 50), 50);
	until_arrived(l->s, 50);
	EQ(ready(l->s, POLLIN), 0);
	EQ(ask(l, OP_SEND, 50), 50);
	until_event(l->s, POLLIN);
	get(l, 100);
}

static volatile sig_atomic_t told;
static void tell(int sig) { (void)sig; told = 1; }

static void owner_is_told(struct link *l)
{
	struct sigaction a = {.sa_handler = tell, .sa_flags = SA_RESTART};
	must(sigaction(SIGIO, &a, NULL));
	must(fcntl(l->s, F_SETOWN, getpid()));
	must(fcntl(l->s, F_SETFL, must(fcntl(l->s, F_GETFL)) | O_ASYNC));
	for (int turn = 0; turn < 300; turn++) {
		told = 0;
		EQ(ask(l, OP_SEND, 10), 10);
		for (int i = 0; !told; i++) {
			EXPECT(i < 5000);
			nap_us(1000);
		}
		get(l, 10);
	}
}

static void exclusive_member(struct link *l)
{
	struct epoll_event e = {.events = EPOLLIN | EPOLLEXCLUSIVE}, got;
	int ep = (int)must(epoll_create1(EPOLL_CLOEXEC));
	must(epoll_ctl(ep, EPOLL_CTL_ADD, l->s, &e));
	for (int i = 0; i < 100; i++) {
		EQ(epoll_wait(ep, &got, 1, 0), 0);
		EQ(ask(l, OP_SEND, 10), 10);
		EQ(epoll_wait(ep, &got, 1, 10000), 1);
		EQ(got.events, EPOLLIN);
		get(l, 10);
	}
	ERR(epoll_ctl(ep, EPOLL_CTL_MOD, l->s, &e), EINVAL);
}

const struct check anchor_checks[] = {
	{"anchor_urgent_byte_is_beside_the_stream", urgent_byte_is_beside_the_stream, false},
	{"anchor_urgent_byte_is_beside_the_stream_cold", urgent_byte_is_beside_the_stream, true},
	{"anchor_nothing_urgent", nothing_urgent, false},
	{"anchor_nothing_urgent_cold", nothing_urgent, true},
	{"anchor_low_water_cold", low_water, true},
	{"anchor_owner_is_told_cold", owner_is_told, true},
	{"anchor_exclusive_member_cold", exclusive_member, true},
	{0},
};
