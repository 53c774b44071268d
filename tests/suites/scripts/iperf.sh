#!/bin/bash
# iperf3 and iperf: full speed one way, both ways, on several connections, by sendfile, in small pieces.
. "$(dirname "$0")/servers.sh"

cat >"$dir/judge.py" <<'P'
import json, sys
r = json.load(sys.stdin)
assert 'error' not in r, r['error']
want = int(sys.argv[1])
for s in r['end']['streams']:
    sent, got = s['sender']['bytes'], s['receiver']['bytes']
    assert got > 0, 'a stream without data'
    assert not want or sent == got, f'{sent} bytes sent, {got} received'
P
start iperf3 -s -B 127.0.0.1 -p 5301
listening 5301
# moved NAME EXACT OPTION...: no error, no stream without data; EXACT 1: at the receiver is what was sent.
moved() {
	local name=$1 exact=$2 out
	shift 2
	out=$(timeout $limit iperf3 -c 127.0.0.1 -p 5301 -J "$@" 2>&1)
	check "$name" python3 "$dir/judge.py" "$exact" <<<"$out"
}
moved "iperf3: to the server" 0 -t 2
moved "iperf3: from the server" 0 -t 2 -R
moved "iperf3: four connections" 0 -t 2 -P 4
moved "iperf3: both ways" 0 -t 2 --bidir
moved "iperf3: sendfile" 0 -t 2 -Z
moved "iperf3: an amount" 0 -n 500M
moved "iperf3: small pieces" 0 -n 20M -l 64
moved "iperf3: a window" 0 -t 1 -w 64K
moved "iperf3: no delay" 0 -t 1 -N -l 1000
moved "iperf3: a rate" 0 -t 2 -b 100M
check "iperf3: the server goes on" kill -0 "$pid"

start iperf -s -B 127.0.0.1 -p 5302
listening 5302
rates() { timeout $limit iperf -c 127.0.0.1 -p 5302 -f m "$@" 2>&1; }
# streams NAME N OPTION...: N lines with a rate.
streams() {
	local name=$1 n=$2 out
	shift 2
	out=$(rates "$@")
	if [ "$(grep -cE '[1-9][0-9.]* Mbits/sec' <<<"$out")" = "$n" ] && ! grep -qi 'fail\|error\|warning' <<<"$out"; then
		ok "$name"
	else
		not_ok "$name" "$(tr "\n" " " <<<"$out" | tail -c 300)"
	fi
}
streams "iperf: to the server" 1 -t 2
streams "iperf: four connections and their sum" 5 -t 2 -P 4
streams "iperf: both ways" 2 -t 2 -d -L 5303
streams "iperf: an amount" 1 -n 500M
done_serving
