#!/bin/bash
# Programs that are started with a connection as their standard input and output, and use it through libc's
# stdio: they print what they print to a pipe.
. "$(dirname "$0")/servers.sh"

seq 20000 >"$dir/input"
port=8200
while read -r program; do
	port=$((port + 1))
	set -- $program
	want=$(cat "$dir/input" | "$@" | sum) # a file would tell its length
	start socat "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr" EXEC:"$program",nofork
	listening $port
	same "server: $program" "$(timeout $limit nc.openbsd -N 127.0.0.1 $port <"$dir/input" | sum)" "$want"
	# Now the client is the program, and the file comes by a server.
	port=$((port + 1))
	start socat -t 20 "TCP-LISTEN:$port,bind=127.0.0.1,reuseaddr" "FILE:$dir/input!!CREATE:$dir/output"
	listening $port
	timeout $limit socat "TCP:127.0.0.1:$port" EXEC:"$program",nofork
	await gone "$pid"
	same "client: $program" "$(sum <"$dir/output")" "$want"
done <<'P'
/usr/bin/md5sum
/bin/cat
/bin/sed -u s/^/x/
/usr/bin/tr 0-9 a-j
/usr/bin/awk {s+=$1;print}
/usr/bin/perl -pe 1
/usr/bin/sort -r
/usr/bin/wc
P
done_serving
