// SPDX-License-Identifier: Apache-2.0
// A connection within this process whose buffers have sizes, for the checks of room and of refusals.
#ifndef CONTRACT_ROOM_H
#define CONTRACT_ROOM_H

#include "contract.h"

struct sizes { int send, recv; }; // 0: as they are

// pair makes it, end 0 the sender's. Set before it is made, the size of the receive buffer is the listener's.
void pair(struct link *l, bool by_kernel, struct sizes s, bool before, int end[2]);
void warm(int end[2], bool promote);
bool own_promote(void); // both ends are under libsd, whatever the peer is
void round_trip(int end[2]);
// taken fills it: it refuses after a while, too, though nothing is on its way on TCP.
size_t taken(int fd);
// taken_at_once fills it to the first refusal, in such pieces. Linux may not have had an acknowledgement by then.
size_t taken_at_once(int fd, size_t piece);
void drain(int fd, size_t n);
#endif
