#!/bin/bash
# Small programs that measure: sockperf, qperf, NetPIPE, nuttcp. recvfrom and sendto on connections, select, poll
# and epoll, fdopen.
. "$(dirname "$0")/servers.sh"

start sockperf server --tcp -i 127.0.0.1 -p 5311
listening 5311
# perf NAME OPTION...: sockperf ends without an error, with a summary.
perf() {
	local name=$1 out
	shift
	if out=$(timeout $limit sockperf "$@" 2>&1) && grep -q 'Summary' <<<"$out" &&
		! grep -qE 'ERROR|dropped messages = [1-9]|duplicated messages = [1-9]|out-of-order messages = [1-9]' <<<"$out"; then
		ok "$name"
	else
		not_ok "$name" "$(tr "\n" " " <<<"$out" | tail -c 300)"
	fi
}
perf "sockperf: ping-pong" ping-pong --tcp -i 127.0.0.1 -p 5311 -t 2 -m 14
perf "sockperf: ping-pong of 20,000 bytes" ping-pong --tcp -i 127.0.0.1 -p 5311 -t 2 -m 20000
perf "sockperf: under load" under-load --tcp -i 127.0.0.1 -p 5311 -t 2 --mps 20000 -m 200
perf "sockperf: throughput" throughput --tcp -i 127.0.0.1 -p 5311 -t 2 -m 1400
printf 'T:127.0.0.1:5312\nT:127.0.0.1:5313\nT:127.0.0.1:5314\n' >"$dir/feed"
for way in s p e; do
	start sockperf server -f "$dir/feed" -F $way
	listening 5312 5313 5314
	perf "sockperf: three connections, -F $way" ping-pong -f "$dir/feed" -F $way -t 2
	check "sockperf: the server with -F $way stops" stop "$pid" INT
done

start qperf -lp 5320
listening 5320
# qmeasure NAME N OPTION...: N lines with a value.
qmeasure() {
	local name=$1 n=$2
	shift 2
	same "$name" "$(timeout $limit qperf 127.0.0.1 -lp 5320 "$@" 2>&1 | grep -cE '^ +(latency|bw) += +[1-9]')" "$n"
}
qmeasure "qperf: latency and bandwidth" 2 -t 1 tcp_lat tcp_bw
qmeasure "qperf: sizes" 5 -t 1 -oo msg_size:1:64K:*16 tcp_lat

start NPtcp
server=$pid
listening 5002
timeout $limit NPtcp -h 127.0.0.1 -u 131072 -n 50 -o "$dir/np.out" >"$dir/np" 2>&1
same "NetPIPE ends" "$?" 0
check "NetPIPE: its server ends" await gone $server
check "NetPIPE: a rate for each size" awk 'NF && $2 <= 0 { exit 1 } END { exit NR < 40 }' "$dir/np.out"

start nuttcp -S --nofork -P 5330 -p 5331
listening 5330
transfer() { timeout $limit nuttcp -P 5330 -p 5331 -fparse "$@" 127.0.0.1 2>&1; }
# nut NAME OPTION...: what was asked for has moved.
nut() {
	local name=$1 out
	shift
	out=$(transfer "$@")
	check "$name" grep -qE 'megabytes=[1-9][0-9.]*.* rate_Mbps=[1-9]' <<<"$out"
}
nut "nuttcp: to the server" -T2
nut "nuttcp: from the server" -T2 -r
nut "nuttcp: small pieces" -n100000 -l100
nut "nuttcp: three connections" -T2 -N3
done_serving
