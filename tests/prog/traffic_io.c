// SPDX-License-Identifier: Apache-2.0
// The calls that carry the traffic, of all kinds, and the check of what they carried.
#include "traffic.h"

void conn_init(struct conn *c, int fd, bool client, uint64_t seed, uint64_t total, bool blocking)
{
	int port = client ? local_port(fd) : peer_port(fd);
	uint64_t base = mix(seed ^ (uint64_t)port << 32);
	*c = (struct conn){.fd = fd, .total = total, .blocking = blocking};
	c->tx_seed = mix(base + (client ? 0 : 1));
	c->rx_seed = mix(base + (client ? 1 : 0));
	c->tx_rng.s = mix(c->tx_seed);
	c->rx_rng.s = mix(c->tx_seed + 7);
	c->tx_buf = malloc(CHUNK_MAX);
	c->rx_buf = malloc(CHUNK_MAX);
	if (!c->tx_buf || !c->rx_buf)
		die("out of memory");
	if (!blocking)
		set_nonblock(fd, true);
}

void conn_free(struct conn *c)
{
	must(close(c->fd));
	free(c->tx_buf);
	free(c->rx_buf);
}

// split cuts a buffer into up to three pieces at random places.
static int split(struct rng *r, uint8_t *b, size_t n, struct iovec v[3])
{
	size_t a = rng_next(r) % (n + 1), k = rng_next(r) % (n - a + 1);
	v[0] = (struct iovec){b, a};
	v[1] = (struct iovec){b + a, k};
	v[2] = (struct iovec){b + a + k, n - a - k};
	return 3;
}

static ssize_t send_some(struct conn *c, uint8_t *b, size_t n)
{
	struct iovec v[3];
	struct msghdr m = {.msg_iov = v};
	switch (rng_next(&c->tx_rng) % 6) {
	case 0:
		return write(c->fd, b, n);
	case 1:
		return send(c->fd, b, n, MSG_NOSIGNAL);
	case 2:
		return sendto(c->fd, b, n, 0, NULL, 0);
	case 3:
		return writev(c->fd, v, split(&c->tx_rng, b, n, v));
	case 4:
		m.msg_iovlen = (size_t)split(&c->tx_rng, b, n, v);
		return sendmsg(c->fd, &m, MSG_NOSIGNAL);
	default:
		return send(c->fd, b, n, c->blocking ? 0 : MSG_DONTWAIT);
	}
}

bool tx_step(struct conn *c)
{
	if (c->tx == c->total) {
		must(shutdown(c->fd, SHUT_WR));
		c->tx_done = true;
		return true;
	}
	if (c->tx_off == c->tx_len) {
		uint64_t left = c->total - c->tx;
		c->tx_len = rng_size(&c->tx_rng, left < CHUNK_MAX ? left : CHUNK_MAX);
		c->tx_off = 0;
		stream_fill(c->tx_seed, c->tx, c->tx_buf, c->tx_len);
	}
	ssize_t r = send_some(c, c->tx_buf + c->tx_off, c->tx_len - c->tx_off);
	if (r < 0 && errno == EAGAIN && !c->blocking)
		return false;
	if (must(r) == 0)
		die("a send of %zu bytes sent none", c->tx_len - c->tx_off);
	c->tx_off += (size_t)r;
	c->tx += (size_t)r;
	return true;
}

static void check(struct conn *c, const uint8_t *b, size_t n, const char *how)
{
	size_t good = stream_check(c->rx_seed, c->rx, b, n);
	errno = 0;
	if (good != n)
		die("%s: wrong byte %02x at position %llu (call returned %zu bytes at %llu)", how, b[good],
		    (unsigned long long)(c->rx + good), n, (unsigned long long)c->rx);
	if (c->rx + n > c->total)
		die("%s: %llu bytes, expected %llu", how, (unsigned long long)(c->rx + n), (unsigned long long)c->total);
}

static ssize_t recv_some(struct conn *c, uint8_t *b, size_t n)
{
	struct iovec v[3];
	struct msghdr m = {.msg_iov = v};
	ssize_t r;
	uint64_t left = c->total - c->rx;
	switch (rng_next(&c->rx_rng) % 8) {
	case 0:
		return read(c->fd, b, n);
	case 1:
		return recv(c->fd, b, n, 0);
	case 2:
		return recvfrom(c->fd, b, n, 0, NULL, NULL);
	case 3:
		return readv(c->fd, v, split(&c->rx_rng, b, n, v));
	case 4:
		m.msg_iovlen = (size_t)split(&c->rx_rng, b, n, v);
		return recvmsg(c->fd, &m, 0);
	case 5:
		r = recv(c->fd, b, n, MSG_PEEK);
		if (r <= 0)
			return r;
		check(c, b, (size_t)r, "peek");
		memset(b, 0, (size_t)r);
		return recv(c->fd, b, (size_t)r, 0);
	case 6:
		if (n > left)
			n = left;
		if (n == 0 || !c->blocking)
			return recv(c->fd, b, n ? n : 1, MSG_DONTWAIT);
		r = recv(c->fd, b, n, MSG_WAITALL);
		if (r >= 0 && (size_t)r != n)
			die("MSG_WAITALL: %zd of %zu bytes", r, n);
		return r;
	default:
		return recv(c->fd, b, n, c->blocking ? 0 : MSG_DONTWAIT);
	}
}

bool rx_step(struct conn *c)
{
	size_t n = rng_size(&c->rx_rng, CHUNK_MAX);
	ssize_t r = recv_some(c, c->rx_buf, n);
	if (r < 0 && errno == EAGAIN)
		return c->blocking; // a blocking socket answers it only to MSG_DONTWAIT
	if (must(r) == 0) {
		errno = 0;
		if (c->rx != c->total)
			die("EOF after %llu bytes, expected %llu", (unsigned long long)c->rx, (unsigned long long)c->total);
		c->rx_done = true;
		return true;
	}
	check(c, c->rx_buf, (size_t)r, "read");
	c->rx += (size_t)r;
	return true;
}
