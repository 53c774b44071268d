#!/bin/bash
# HAProxy before nginx: one and two threads, epoll, poll and select, splice between two connections, connections that are kept,
# closed and shared by many clients; a reload under load, at which the new worker asks the old one for its listeners.
. "$(dirname "$0")/servers.sh"

mkdir "$dir/html"
random 768 "$dir/bits"
base64 -w 0 "$dir/bits" >"$dir/html/small"
random 10485760 "$dir/html/large"
large=$(sum <"$dir/html/large")
cat >"$dir/nginx.conf" <<C
daemon off; user nobody nogroup; worker_processes 1; pid $dir/pid; error_log $dir/err notice;
events { worker_connections 1024; }
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
	client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
	server { listen 127.0.0.1:8081; root $dir/html; }
}
C
start nginx -e "$dir/err" -c "$dir/nginx.conf"
listening 8081
url=http://127.0.0.1:8090

# proxy MODE GLOBAL DEFAULTS SERVER starts HAProxy with lines added to these sections; options of it in $how.
how=()
proxy() {
	cat >"$dir/haproxy.conf" <<C
global
	maxconn 300
	stats socket $dir/stats.sock mode 600 level admin expose-fd listeners
	$2
defaults
	mode $1
	timeout connect 5s
	timeout client 20s
	timeout server 20s
	$3
frontend here
	bind 127.0.0.1:8090
	default_backend there
backend there
	server one 127.0.0.1:8081 $4
	server two 127.0.0.1:8081 $4
C
	start haproxy "${how[@]}" -db -f "$dir/haproxy.conf"
	haproxy=$pid
	listening 8090
}

# proxied NAME: what comes through is what nginx has.
proxied() {
	requests "$1: keep-alive" 3000 -k -c 32 $url/small
	requests "$1: a connection for each request" 1000 -c 32 $url/small
	downloads "$1: 10 MB, four at a time" 4 $url/large "$large"
	same "$1: a slow reader" "$(curl -sS --limit-rate 12M $url/large | sum)" "$large"
	same "$1: many files by one connection" "$(curl -sS $url/small $url/large $url/small | sum)" \
		"$(cat "$dir/html/small" "$dir/html/large" "$dir/html/small" | sum)"
}

# variant NAME MODE GLOBAL DEFAULTS SERVER
variant() {
	proxy "${@:2}"
	proxied "$1"
	check "$1: it stops" stop "$haproxy"
}

splice='option splice-request
	option splice-response'
variant "http" http "nbthread 2" "" ""
variant "http, one thread" http "nbthread 1" "" ""
variant "http, closed by both" http "nbthread 2" "option httpclose" ""
variant "http, servers' connections for all clients" http "nbthread 2" "http-reuse always" "check inter 200ms"
variant "tcp" tcp "nbthread 2" "" ""
variant "tcp, spliced" tcp "nbthread 2" "$splice" ""
variant "http, spliced, one thread" http "nbthread 1" "$splice" ""
variant "poll" http $'noepoll\n\tnbthread 1' "" ""
variant "select" http $'noepoll\n\tnopoll\n\tnbthread 1' "" ""

how=(-W -S "$dir/master.sock")
proxy http "nbthread 2" "" ""
# The master executes itself once more after it has forked, and ignores SIGUSR2 until it is done.
workers() { [ "$(grep -c 'New worker' "$log")" -ge "$1" ] && listens_to_usr2; }
listens_to_usr2() {
	local blk cgt
	blk=$(sed -n 's/^SigBlk:\t//p' "/proc/$haproxy/status") cgt=$(sed -n 's/^SigCgt:\t//p' "/proc/$haproxy/status")
	[ $((0x$cgt & ~0x$blk & 1 << 11)) -ne 0 ]
}
await workers 1
requests "requests during two reloads" 4000 -c 16 $url/small >"$dir/during" &
during=$!
for n in 2 3; do
	kill -USR2 "$haproxy"
	check "worker $n begins" await workers $n
done
wait $during
cat "$dir/during"
proxied "after the reloads"
check "the master stops" stop "$haproxy"
done_serving
