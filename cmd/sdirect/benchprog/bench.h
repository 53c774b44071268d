// SPDX-License-Identifier: Apache-2.0
// What the parts of the benchmark share.
#ifndef BENCH_H
#define BENCH_H

#include <stdint.h>
#include <stdlib.h>

enum { MSG = 8, BULK = 1 << 20 };

long must(long r, const char *what);
uint64_t now(void); // ns of CLOCK_MONOTONIC
void pin(int cpu);  // -1: not
uint32_t percentile(uint32_t *t, size_t n, unsigned percent); // sorts t

int listener(int backlog); // on a port of 127.0.0.1, which it prints
int connected(int port);
void send_all(int fd, const char *b, size_t n);
int recv_all(int fd, char *b, size_t n); // 0: the stream ended before the first byte
// kernel_bytes is what the kernel's own TCP has carried; a raw system call, to ask nobody else.
uint64_t kernel_bytes(int fd);
int preloaded(void); // something is
// warm_until is when to stop waiting for a connection to leave the kernel's TCP.
uint64_t warm_until(void);

void print_latencies(uint32_t *t, size_t n, uint64_t ns, double kernel_share);

void epoll_server(void);
void epoll_client(int port, int other_port, uint64_t ns, int connections);
// The floor: the same traffic between two processors through shared memory, and nothing else.
void floor_pingpong(int server_cpu, int client_cpu, uint64_t ns);
void floor_stream(int server_cpu, int client_cpu, uint64_t ns, size_t size);

#endif
