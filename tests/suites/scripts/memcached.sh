#!/bin/bash
# memcached: connections that one thread accepts and others serve by epoll; sendmsg; both protocols.
. "$(dirname "$0")/servers.sh"

start memcached -u nobody -l 127.0.0.1 -p 11311 -t 4 -U 0 -m 256 -I 8m
listening 11311

capable() { timeout $limit memccapable -h 127.0.0.1 -p 11311 2>&1; }
same "memccapable" "$(capable | grep -c '\[pass\]')" 54

stat_of() { printf 'stats\r\nquit\r\n' | timeout $limit nc.openbsd 127.0.0.1 11311 | tr -d '\r' | sed -n "s/^STAT $1 //p"; }
slap() { timeout $limit memcslap --servers=127.0.0.1:11311 --concurrency=8 --execute-number=5000 --test="$@" 2>&1; }
before=$(stat_of cmd_set)
check "memcslap: set" slap set --flush
same "each item is stored once" "$(($(stat_of cmd_set) - before))" 40000
check "memcslap: get" slap get
check "memcslap: binary" slap set --binary
check "memcslap: non-blocking" slap set --non-blocking

# Text, by one connection: what is stored is what comes back.
random 3000000 "$dir/bits"
base64 -w 0 "$dir/bits" >"$dir/value"
n=$(stat -c %s "$dir/value")
talk() { timeout $limit nc.openbsd 127.0.0.1 11311 | tr -d '\r'; }
same "4 MB are stored" "$({ printf 'set large 0 0 %d\r\n' "$n" && cat "$dir/value" && printf '\r\nquit\r\n'; } | talk)" STORED
same "and read" "$(printf 'get large\r\nquit\r\n' | talk | sed -n 2p | base64 -d | sum)" "$(sum <"$dir/bits")"
{
	seq 20000 | sed 's/.*/set key& 0 0 5\r\nxx&xxxxx/; s/\(\r*\)$/\1/' | awk '/^set/ { print; next } { print substr($0, 1, 5) "\r" }'
	printf 'quit\r\n'
} >"$dir/sets"
same "20,000 commands in one piece" "$(talk <"$dir/sets" | tally)" "20000 STORED"
same "their items" "$({ seq 20000 | sed 's/.*/get key&\r/' && printf 'quit\r\n'; } | talk | grep -c '^VALUE key')" 20000
same "a counter, 8 clients at a time" "$(
	printf 'set total 0 0 1\r\n0\r\nquit\r\n' | talk >/dev/null
	{ for _ in $(seq 2000); do printf 'incr total 1\r\n'; done && printf 'quit\r\n'; } >"$dir/incr"
	seq 8 | xargs -P 8 -I{} sh -c "timeout $limit nc.openbsd 127.0.0.1 11311 <'$dir/incr' >/dev/null"
	printf 'get total\r\nquit\r\n' | talk | sed -n 2p
)" 16000
done_serving
