#!/bin/bash
# socat and nc: fork for each connection, exec with the connection as standard input and output, relays, ends of
# one direction.
. "$(dirname "$0")/servers.sh"

serve() { # PORT ACTION
	start socat -t 20 "TCP-LISTEN:$1,bind=127.0.0.1,fork,reuseaddr" "$2"
	listening "$1"
}
serve 8101 EXEC:/bin/cat
serve 8102 TCP:127.0.0.1:8101
serve 8103 EXEC:/usr/bin/md5sum,nofork
serve 8104 'SYSTEM:while read l\; do echo got_$l\; done'
serve 8105 TCP:127.0.0.1:8102
serve 8107 PIPE

ask() { timeout $limit socat -t 20 - "TCP:127.0.0.1:$1"; }
# echoes NAME N PORT PREFIX: as answers, by socat.
echoes() {
	local i ok=0
	for i in $(seq "$2"); do [ "$(echo "line$i" | ask "$3")" = "$4line$i" ] && ok=$((ok + 1)); done
	same "$1" "$ok" "$2"
}
echoes "cat behind a relay" 40 8102 ''
echoes "a shell" 20 8104 got_
echoes "a pipe" 20 8107 ''
same "eight clients at a time" "$(seq 80 | xargs -P 8 -I{} sh -c '[ "$(echo a{} | timeout 60 socat -t 20 - TCP:127.0.0.1:8101)" = a{} ] && echo ok' | tally)" "80 ok"

random 50000000 "$dir/file"
want=$(sum <"$dir/file")
same "50 MB into md5sum" "$(ask 8103 <"$dir/file" | cut -c 1-32)" "$want"
for port in 8101 8102 8105; do
	same "50 MB to and fro by port $port" "$(ask $port <"$dir/file" | sum)" "$want"
done
same "ten lines and their end" "$(seq 10 | ask 8105)" "$(seq 10)"

# One direction at a time.
start nc.openbsd -l -N 127.0.0.1 8106
sink=$pid
listening 8106
timeout $limit nc.openbsd -N 127.0.0.1 8106 <"$dir/file" >"$dir/back"
await gone $sink
same "nc sends 50 MB" "$(sum <"$log")" "$want"
start socat -u "FILE:$dir/file" TCP-LISTEN:8108,bind=127.0.0.1
listening 8108
same "nc receives 50 MB" "$(timeout $limit nc.openbsd -d 127.0.0.1 8108 | sum)" "$want"

# The reply comes when the whole request, with its end, has arrived.
start socat -t 20 TCP-LISTEN:8109,bind=127.0.0.1,fork,reuseaddr 'SYSTEM:sort -n | tail -n 1'
listening 8109
same "a reply after the end of the request" "$(seq 200000 | ask 8109)" 200000
# A reader that goes away early ends the writer.
start socat -u TCP-LISTEN:8110,bind=127.0.0.1 'SYSTEM:head -c 1000000 >/dev/null'
listening 8110
timeout $limit sh -c 'yes | socat -u - TCP:127.0.0.1:8110' 2>"$dir/early"
check "a reader that leaves ends its writer" await gone "$pid"
done_serving
