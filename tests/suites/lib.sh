# Sourced by scripts/*.sh. A script starts servers on 127.0.0.1, in a network namespace of its own, loads
# them, and prints a line for each assertion: "ok NAME", or "not ok NAME - why". It prints the same names
# in every run, so that a run under libsd can be compared with one without. At its end it stops what it
# started, by process number.
set -u
PATH=$PATH:/usr/sbin:/sbin
dir=$(mktemp -d "${TMPDIR:-/tmp}/suite.XXXXXX")
chmod 755 "$dir"
started=() # processes that stop at SIGTERM
logs=0
failed=0
limit=60 # seconds; for anything that is waited for

failure() {
	failed=1
	echo "not ok $1 - $(printf %s "$2" | tr -s '[:space:]' ' ' | tail -c 400)"
}

# check NAME COMMAND...: the command succeeds.
check() {
	local name=$1 out
	shift
	if out=$("$@" 2>&1); then echo "ok $name"; else failure "$name" "$out"; fi
}

# equal NAME GOT EXPECTED
equal() {
	if [ "$2" = "$3" ]; then echo "ok $1"; else failure "$1" "${2:0:200} instead of ${3:0:200}"; fi
}

# bail WHY: without this nothing else can be said.
bail() {
	failed=1
	echo "Bail out! $1"
	exit 1
}

# start COMMAND...: in the background until the end of the script; its number is in $pid.
start() {
	logs=$((logs + 1))
	log=$dir/log.$logs
	"$@" >"$log" 2>&1 </dev/null &
	pid=$!
	started+=("$pid")
}

# within COMMAND...: the command succeeds soon.
within() {
	local end=$((SECONDS + limit))
	until "$@"; do
		[ $SECONDS -lt $end ] || return 1
		sleep 0.05
	done
}

# A listener is looked for in the kernel's table: a connection made to find it would be served.
listens() {
	grep -qE ":$(printf %04X "$1") 0+:0000 0A " /proc/net/tcp /proc/net/tcp6
}

# listening PORT...
listening() {
	local port
	for port; do
		within listens "$port" || bail "nobody listens on port $port: $(tail -n 3 "$log" | tr '\n' ' ')"
	done
}

gone() { ! kill -0 "$1" 2>/dev/null; }

# stop PID [SIGNAL]: it ends at the signal.
stop() {
	kill "-${2:-TERM}" "$1"
	within gone "$1"
}

contains() { grep -q -- "$2" "$1"; }
sum() { md5sum | cut -c 1-32; }

# random BYTES FILE
random() {
	head -c "$1" /dev/urandom >"$2"
	chmod 644 "$2"
}

# requests NAME N OPTION... URL: ab makes N requests, and none fails.
requests() {
	local name=$1 n=$2 out
	shift 2
	out=$(timeout $((2 * limit)) ab -q -n "$n" "$@" 2>&1)
	if grep -qE "^Complete requests: +$n$" <<<"$out" && grep -qE '^Failed requests: +0$' <<<"$out" &&
		! grep -qE '^(Non-2xx responses|Write errors):' <<<"$out"; then
		echo "ok $name"
	else
		failure "$name" "$(grep -E 'Complete|Failed|Connect:|Non-2xx|errors|apr_' <<<"$out" || echo "$out")"
	fi
}

# downloads NAME N URL SUM: N at a time, all whole.
downloads() {
	local got
	got=$(seq "$2" | timeout $limit xargs -P "$2" -I{} sh -c "curl -sS --fail '$3' | md5sum | cut -c 1-32" 2>&1 | sort | uniq -c | tr -s ' ')
	equal "$1" "$got" " $2 $4"
}

finish() {
	local p late=
	for p in "${started[@]}"; do kill "$p" 2>/dev/null; done
	for p in "${started[@]}"; do
		within gone "$p" || { late="$late $p" && kill -KILL "$p"; }
	done
	equal "all servers stop" "$late" ""
	[ $failed = 0 ] || tail -n 20 "$dir"/log.* >&2
	rm -rf "$dir"
	exit $failed
}
trap finish EXIT
