#!/bin/bash
# nginx: listeners used in forked workers, edge-triggered epoll, sendfile, writev, TCP_CORK; reload and exec of a
# new program that inherits the listeners, under load.
. "$(dirname "$0")/servers.sh"

mkdir "$dir/html"
random 768 "$dir/bits"
base64 -w 0 "$dir/bits" >"$dir/html/small"
random 10485760 "$dir/html/large"
large=$(sum <"$dir/html/large")
cat >"$dir/conf" <<C
user nobody nogroup; worker_processes 2; pid $dir/pid; error_log $dir/err notice;
events { worker_connections 1024; multi_accept on; }
http {
	access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000;
	client_body_temp_path $dir/b; proxy_temp_path $dir/p; fastcgi_temp_path $dir/f; uwsgi_temp_path $dir/u; scgi_temp_path $dir/s;
	upstream kept { server 127.0.0.1:8081; keepalive 16; }
	server { listen 127.0.0.1:8081; root $dir/html; }
	server { listen 127.0.0.1:8082; location / { proxy_pass http://kept; proxy_http_version 1.1; proxy_set_header Connection ""; } }
	server { listen 127.0.0.1:8083; location / { proxy_pass http://127.0.0.1:8081; } }
	server { listen 127.0.0.1:8084 reuseport; root $dir/html; sendfile off; tcp_nopush off; }
}
C
"$(command -v nginx)" -e "$dir/err" -c "$dir/conf" # only a daemon with a path changes its program
log=$dir/err
listening 8081 8082 8083 8084
await test -s "$dir/pid"
master=$(cat "$dir/pid")
servers+=("$master")
url=http://127.0.0.1

requests "keep-alive" 30000 -k -c 32 $url:8081/small
requests "a connection for each request" 4000 -c 32 $url:8081/small
requests "proxy that keeps connections" 5000 -k -c 32 $url:8082/small
requests "proxy with new connections" 1500 -c 16 $url:8083/small
requests "without sendfile" 5000 -k -c 16 $url:8084/small

# loaded NAME URL: wrk sees no error.
loaded() {
	local out
	out=$(timeout $limit wrk -t2 -c32 -d2s "$2" 2>&1)
	if grep -qE '^ +[1-9][0-9]* requests in' <<<"$out" && ! grep -qE 'Socket errors|Non-2xx' <<<"$out"; then
		ok "$1"
	else
		not_ok "$1" "$(tr "\n" " " <<<"$out" | tail -c 300)"
	fi
}
loaded "wrk" $url:8081/small
loaded "wrk through the proxy" $url:8082/small

siege() { HOME=$dir command siege -b -c 16 -r 100 $url:8081/small 2>&1; }
out=$(siege)
same "siege" "$(grep -E '"(transactions|failed_transactions)"' <<<"$out" | tr -dc '0-9\n' | tr '\n' ' ')" "1600 0 "

for port in 8081 8082 8083 8084; do
	downloads "10 MB, four at a time, from port $port" 4 $url:$port/large "$large"
done
same "a slow reader" "$(curl -sS --limit-rate 8M $url:8082/large | sum)" "$large"
same "a part of a file" "$(curl -sS -r 1000-2000999 $url:8081/large | sum)" "$(tail -c +1001 "$dir/html/large" | head -c 2000000 | sum)"
same "many files by one connection" "$(curl -sS $url:8081/small $url:8081/large $url:8081/small | sum)" \
	"$(cat "$dir/html/small" "$dir/html/large" "$dir/html/small" | sum)"

# Requests of their own connection may not fail while workers change.
ended() { [ "$(grep -c 'exited with code 0' "$dir/err")" -ge "$1" ]; }
reload() {
	kill -HUP "$master"
	check "the old workers end after a reload" await ended 2
	kill -HUP "$master"
	await ended 4
}
requests "requests during two reloads" 6000 -c 16 $url:8081/small >"$dir/during" &
during=$!
reload
wait $during
cat "$dir/during"
loaded "wrk after the reloads" $url:8081/small

requests "requests during the change of the program" 6000 -c 16 $url:8081/small >"$dir/during" &
during=$!
kill -USR2 "$master"
replaced() { [ -e "$dir/pid.oldbin" ] && [ -s "$dir/pid" ] && [ "$(cat "$dir/pid")" != "$master" ]; }
check "a new master inherits the listeners" await replaced
successor=$(cat "$dir/pid")
servers+=("$successor")
check "the old master quits" stop "$master" QUIT
wait $during
cat "$dir/during"
requests "the new master's workers" 5000 -k -c 32 $url:8081/small
same "and their files" "$(curl -sS $url:8082/large | sum)" "$large"
done_serving
