#!/bin/bash
# stress-ng's workers that use sockets, each for a fixed number of operations.
. "$(dirname "$0")/common.sh"

stress() { stress-ng --temp-path . --timeout 60 --verify "$@"; }

check sock stress --sock 2 --sock-domain ipv4 --sock-opts random --sock-ops 2000
check sock-ipv6 stress --sock 2 --sock-domain ipv6 --sock-opts random --sock-ops 1000
check epoll stress --epoll 2 --epoll-domain ipv4 --epoll-ops 2000
check sockmany stress --sockmany 1 --sockmany-ops 20000
check sockabuse stress --sockabuse 1 --sockabuse-ops 1000
check sendfile stress --sendfile 1 --sendfile-ops 500
done_testing
