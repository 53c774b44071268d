// SPDX-License-Identifier: Apache-2.0
// One connection of the traffic program: what was sent, what was received, what is expected.
#ifndef TRAFFIC_H
#define TRAFFIC_H

#include "prog.h"

enum { CHUNK_MAX = 1 << 20 };

struct conn {
	int fd;
	uint64_t total;            // bytes to send, and to receive
	uint64_t tx_seed, rx_seed; // streams of the two directions
	uint64_t tx, rx;           // positions
	struct rng tx_rng, rx_rng; // sizes and kinds of calls
	uint8_t *tx_buf, *rx_buf;  // CHUNK_MAX each
	size_t tx_off, tx_len;     // unsent part of tx_buf
	bool tx_done, rx_done;
	bool blocking;
};

// conn_init names the streams after the port of the connecting side.
void conn_init(struct conn *c, int fd, bool client, uint64_t seed, uint64_t total, bool blocking);
void conn_free(struct conn *c);

// tx_step makes one sending call, or shuts down the direction when all is sent.
// rx_step makes one receiving call (two with a peek) and checks the bytes, or sees the end.
// Both return false if the call would block.
bool tx_step(struct conn *c);
bool rx_step(struct conn *c);

// Loops over all connections until every one is done.
void loop_blocking(struct conn *c, int n);
void loop_epoll(struct conn *c, int n, bool edge);
void loop_poll(struct conn *c, int n);
void loop_select(struct conn *c, int n);
// loop_fork forks in the middle: the child goes on with one half of the inherited connections while the
// parent uses the other.
void loop_fork(struct conn *c, int n);

#endif
