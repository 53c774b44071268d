package wire

import (
	"strconv"

	"github.com/socksdirect/libsd/queue"
)

var statusTexts = [...]string{
	queue.StatusOK:        "ok",
	queue.StatusABI:       "built from another version of the shared-memory layout than the monitor",
	queue.StatusDenied:    "another user's monitor, or the monitor may not look at the process",
	queue.StatusNotYours:  "possession of the connection was not proved",
	queue.StatusNamespace: "in another network namespace than the monitor",
	queue.StatusSelf:      "no peer can exist: both ends are one socket or play one role",
	queue.StatusLimit:     "no slot, memory or descriptor was free",
	queue.StatusForked:    "inherited by fork before promotion",
	queue.StatusOption:    "an option or flag that a ring does not honour",
	queue.StatusStdio:     "descriptor 0, 1 or 2, or under stdio",
	queue.StatusNoPeer:    "the peer never offered its end",
	queue.StatusPolicy:    "forbidden by policy",
	queue.StatusMembers:   "an epoll registration that cannot follow",
	queue.StatusPassed:    "sent to another process with SCM_RIGHTS",
}

// StatusText says in words what a queue.Status… means, for people.
func StatusText(status uint32) string {
	if int(status) < len(statusTexts) {
		return statusTexts[status]
	}
	return "status " + strconv.FormatUint(uint64(status), 10)
}
