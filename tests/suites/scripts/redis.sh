#!/bin/bash
# Redis: an event loop, level-triggered; pipelines; fork while it serves; a replica; a second thread for I/O.
. "$(dirname "$0")/servers.sh"

server() { # PORT OPTION...
	local port=$1
	shift
	start redis-server --port "$port" --bind 127.0.0.1 --dir "$dir" --save '' --appendonly no --enable-debug-command yes "$@"
	listening "$port"
	await pongs "$port"
}
pongs() { [ "$(redis-cli -p "$1" ping 2>&1)" = PONG ]; }
cli() { timeout $limit redis-cli -p 7777 "$@"; }
field() { cli info | tr -d '\r' | sed -n "s/^$1://p"; }
digest() { timeout $limit redis-cli -p "$1" debug digest; }

# bench NAME N TESTS OPTION...: all tests end, with a rate.
bench() {
	local name=$1 n=$2 tests=$3 want
	shift 3
	want=$(tr ',' '\n' <<<"$tests" | wc -l)
	same "$name" "$(timeout $limit redis-benchmark -p 7777 -n "$n" -t "$tests" --csv "$@" 2>&1 | grep -cE '^"[^"]+","[1-9][0-9.]+"')" "$want"
}

server 7777
bench "benchmark" 10000 ping_inline,ping_mbulk,set,get,incr,lpush,lpop,sadd,hset,mset -c 50
bench "pipelines" 100000 set,get,lpush -c 50 -P 16
bench "one connection" 5000 set,get -c 1
bench "values of 64 KiB" 2000 set,get -c 10 -d 65536
cli flushall >/dev/null

timeout $limit redis-benchmark -p 7777 -n 40000 -c 50 -P 16 -q incr total >/dev/null
same "each command of a pipeline once" "$(cli get total)" 40000

seq 50000 | sed 's/.*/SET mass:& value:&/' | cli --pipe >"$dir/pipe" 2>&1
same "mass insertion" "$(tail -n 1 "$dir/pipe") $(cli get mass:49999)" "errors: 0, replies: 50000 value:49999"

random 20000000 "$dir/large"
base64 -w 0 "$dir/large" >"$dir/text"
check "a value of 26 MB is stored" cli -x set large <"$dir/text"
same "and read" "$(cli --raw get large | base64 -d | sum)" "$(sum <"$dir/large")"

timeout $limit redis-cli -p 7777 subscribe channel >"$dir/heard" 2>&1 &
subscriber=$!
subscribed() { [ "$(cli --raw pubsub numsub channel | tail -n 1)" = 1 ]; }
await subscribed
seq 500 | sed 's/.*/publish channel message-&/' | cli >/dev/null
heard_all() { [ "$(grep -c '^message-' "$dir/heard")" = 500 ]; }
check "500 messages to a subscriber" await heard_all
kill $subscriber
same "in order" "$(grep '^message-' "$dir/heard" | sum)" "$(seq -f 'message-%g' 500 | sum)"

timeout $limit redis-cli -p 7777 blpop queue 30 >"$dir/popped" &
popper=$!
blocked() { [ "$(field blocked_clients)" = 1 ]; }
await blocked
cli rpush queue handed-over >/dev/null
wait $popper
same "a blocked client is woken" "$(tail -n 1 "$dir/popped")" handed-over

# BGSAVE forks with all connections open, while they are used.
timeout $limit redis-benchmark -p 7777 -n 100000 -c 20 -P 4 -r 20000 --csv -t set,hset >"$dir/load" 2>&1 &
load=$!
saved() { [ "$(field rdb_bgsave_in_progress)" = 0 ] && [ "$(field rdb_last_bgsave_status)" = ok ]; }
saves() {
	for _ in 1 2 3; do
		cli bgsave | grep -q 'started' || return 1
		await saved || return 1
	done
}
check "three BGSAVEs under load" saves
wait $load
same "the load under BGSAVE ends well" "$? $(grep -cE '^"[^"]+","[1-9][0-9.]+"' "$dir/load")" "0 2"

server 7778 --replicaof 127.0.0.1 7777 --dbfilename replica.rdb
linked() { [ "$(redis-cli -p 7778 info | tr -d '\r' | sed -n 's/^master_link_status://p')" = up ]; }
check "a replica synchronises" await linked
timeout $limit redis-benchmark -p 7777 -n 50000 -c 20 -P 16 -r 10000 -t set -q >/dev/null
same "the replica has acknowledged" "$(printf 'set last 1\nwait 1 20000\n' | cli | tail -n 1)" 1
same "the replica is equal" "$(digest 7778)" "$(digest 7777)"

check "SAVE" cli save
before=$(digest 7777)
cli shutdown nosave
server 7777 --io-threads 3 --io-threads-do-reads yes
same "a new server reads the file" "$(digest 7777)" "$before"
bench "threads for I/O" 50000 set,get,lpush -c 50 -P 16
done_serving
