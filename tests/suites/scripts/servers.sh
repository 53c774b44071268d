# Sourced by the scripts of applications: servers on 127.0.0.1 that are waited for, bounded load on them, and an end
# at which they must stop.
# shellcheck shell=bash
. "${BASH_SOURCE[0]%/*}/common.sh"
PATH=$PATH:/usr/sbin:/sbin
dir=$PWD
limit=60 # seconds, for any one client
servers=() # processes that stop at SIGTERM
logs=0

# start COMMAND... in the background; its number is in $pid, what it prints in $log.
start() {
	logs=$((logs + 1))
	log=$dir/server.$logs
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	servers+=("$pid")
}

# listening PORT... A listener is looked for in the kernel's table: a connection made to find it would be served.
listening() {
	local port
	for port; do
		if ! await listens "$port"; then
			not_ok "port $port" "nobody listens: $(tail -n 3 "$log" | tr '\n' ' ')"
			exit 1
		fi
	done
}
listens() { grep -qE ":$(printf %04X "$1") 0+:0000 0A " /proc/net/tcp /proc/net/tcp6; }

# stop PID [SIGNAL]: it ends.
stop() {
	kill "-${2:-TERM}" "$1"
	await gone "$1"
}
gone() { ! kill -0 "$1" 2>/dev/null; }

sum() { md5sum | cut -c 1-32; }

# random BYTES FILE, for everybody to read.
random() {
	head -c "$1" /dev/urandom >"$2"
	chmod 644 "$2"
}

# tally counts equal lines: "N LINE".
tally() { sort | uniq -c | sed 's/^ *//'; }

# requests NAME N OPTION... URL: ab makes N requests, and none fails.
requests() {
	local name=$1 n=$2 out
	shift 2
	out=$(timeout $limit ab -q -n "$n" "$@" 2>&1)
	if grep -qE "^Complete requests: +$n$" <<<"$out" && grep -qE '^Failed requests: +0$' <<<"$out" &&
		! grep -qE '^(Non-2xx responses|Write errors):' <<<"$out"; then
		ok "$name"
	else
		not_ok "$name" "$(grep -E 'Complete|Failed|Connect:|Non-2xx|errors|apr_' <<<"$out" | tr '\n' ' ')"
		printf '%s\n' "$out"
	fi
}

# downloads NAME N URL SUM: N at a time, all whole.
downloads() {
	same "$1" "$(seq "$2" | timeout $limit xargs -P "$2" -I{} sh -c "curl -sS --fail '$3' | md5sum | cut -c 1-32" | tally)" "$2 $4"
}

# answers NAME N PORT PREFIX: N lines, each by a connection of its own, come back with the prefix.
answers() {
	local i right=0
	for i in $(seq "$2"); do
		[ "$(echo "line$i" | timeout $limit nc.openbsd -N 127.0.0.1 "$3")" = "$4line$i" ] && right=$((right + 1))
	done
	same "$1" "$right" "$2"
}

# done_serving is the last line of a script.
done_serving() {
	local p late=
	for p in "${servers[@]}"; do kill "$p" 2>/dev/null; done
	for p in "${servers[@]}"; do await gone "$p" || late="$late $p"; done
	same "all servers stop" "$late" ""
	[ $failed = 0 ] || tail -n 20 server.*
	done_testing
}
