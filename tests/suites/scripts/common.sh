# Sourced by the scripts beside it. Each runs in an empty directory and in network and process namespaces of
# its own, which end with it: ports are free, and nothing has to be stopped.
# shellcheck shell=bash
set -u

failed=0

# ok NAME and not_ok NAME WHY report one test.
ok() { printf 'ok %s\n' "$1"; }
not_ok() {
	printf 'not ok %s - %s\n' "$1" "$2"
	failed=1
}

# check NAME COMMAND... is a test that passes if the command succeeds.
check() {
	local name=$1 code=0
	shift
	"$@" || code=$?
	if [ "$code" = 0 ]; then ok "$name"; else not_ok "$name" "$* ended with $code"; fi
}

# same NAME GOT WANT is a test that passes if both are the same text.
same() { if [ "$2" = "$3" ]; then ok "$1"; else not_ok "$1" "got '$2', want '$3'"; fi; }

# tap PROGRAM... runs a program that reports in TAP itself, with numbers: NAME becomes PROGRAM:NAME. That it ends well, in
# two minutes, is a test too.
tap() {
	local name=${1##*/} code=0
	timeout 120 "$@" >"$name.tap" 2>"$name.err" || code=$?
	sed -n -E "s|^((not )?ok) [0-9]+ (- )?|\\1 $name:|p" "$name.tap"
	if [ "$code" = 0 ]; then ok "$name"; else not_ok "$name" "it ended with $code: $(tail -n 1 "$name.err")"; fi
}

# await COMMAND... repeats a command until it succeeds, for 20 s.
await() {
	local end=$((SECONDS + 20))
	until "$@"; do
		[ "$SECONDS" -lt "$end" ] || { echo "not after 20 s: $*" >&2; return 1; }
		sleep 0.05
	done
}

# serving PORT waits until somebody accepts connections on a port of 127.0.0.1.
serving() { await reachable "$1"; }
reachable() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

# done_testing is the last line of a script.
done_testing() { exit "$failed"; }
