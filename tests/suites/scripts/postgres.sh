#!/bin/bash
# PostgreSQL: a process for each connection, signals as wake-ups, COPY both ways, requests to cancel; and a pool
# of connections before it.
. "$(dirname "$0")/servers.sh"

bin=$(ls -d /usr/lib/postgresql/*/bin | tail -n 1)
data=$dir/data
install -d -o postgres "$data"
as() { # it does not run as root
	if [ "$(id -u)" = 0 ]; then HOME=$dir exec setpriv --reuid=postgres --regid=postgres --clear-groups "$@"; else exec "$@"; fi
}
initdb() (as "$bin/initdb" -D "$data/d" -U postgres -A trust -N)
check "a cluster" initdb
server() {
	start as "$bin/postgres" -D "$data/d" -p 5433 -c listen_addresses=127.0.0.1 -c unix_socket_directories= \
		-c fsync=off -c max_connections=60 -c min_parallel_table_scan_size=0 -c parallel_setup_cost=0 -c parallel_tuple_cost=0
	postmaster=$pid
	listening 5433
	await sql 'select 1' >/dev/null
}
export PGHOST=127.0.0.1 PGPORT=5433 PGUSER=postgres PGDATABASE=postgres
sql() { timeout $limit "$bin/psql" -XAtq "${@/#/-c}" 2>&1; }
# bench NAME TRANSACTIONS OPTION...: all of them, none failed.
bench() {
	local name=$1 n=$2 out
	shift 2
	out=$(timeout $limit "$bin/pgbench" -n "$@" 2>&1)
	same "$name" "$(sed -n 's/^number of transactions actually processed: //p; s/^number of failed transactions: //p' <<<"$out")" "$n/$n
0 (0.000%)"
}
server
check "tables" timeout $limit "$bin/pgbench" -i -q -s 2
bench "queries" 16000 -S -c 8 -j 2 -t 2000
bench "prepared queries" 8000 -S -M prepared -c 4 -j 2 -t 2000
bench "transactions" 2400 -c 8 -j 2 -t 300
same "each transaction once" "$(sql 'select count(*) from pgbench_history')" 2400
same "and whole" "$(sql 'select (select sum(abalance) from pgbench_accounts) = (select sum(delta) from pgbench_history),
	(select sum(tbalance) from pgbench_tellers) = (select sum(bbalance) from pgbench_branches)')" "t|t"
bench "a connection for each query" 200 -C -S -c 4 -j 2 -t 50
echo 'select g, repeat(chr(65 + g % 26), 500) from generate_series(1, 2000) g' >"$dir/rows.sql"
bench "answers of a megabyte" 120 -f "$dir/rows.sql" -c 4 -j 2 -t 30

check "200,000 rows" sql 'create table a as select g, md5(g::text) from generate_series(1, 200000) g' 'create table b (like a)'
sql 'copy a to stdout' | sql 'copy b from stdin'
same "COPY out and in" "$(sql 'select count(*) from b' 'select count(*) from (select * from a except select * from b) x')" "200000
0"
same "COPY out in text" "$(sql 'copy (select g from a order by g) to stdout' | sum)" "$(seq 200000 | sum)"
same "by a cursor" "$(sql '\set FETCH_COUNT 500' 'select g from a order by g' | sum)" "$(seq 200000 | sum)"
same "in parallel workers" "$(sql 'set debug_parallel_query = on' 'set max_parallel_workers_per_gather = 2' 'select count(distinct md5) from a' | tail -n 1)" 200000
same "ten at a time" "$(seq 10 | xargs -P 10 -I{} timeout $limit "$bin/psql" -XAtqc 'select sum(g) from a' | tally)" "10 20000100000"

# A request to cancel, by a connection that the handler of SIGINT makes; then an end from outside.
runs() { [ "$(sql "select count(*) from pg_stat_activity where query like 'select pg_sleep($1)%' and state = 'active'")" = 1 ]; }
"$bin/psql" -XAtqc 'select pg_sleep(100)' >"$dir/cancel" 2>&1 &
client=$!
await runs 100
kill -INT $client
check "a cancelled client ends" await gone $client
same "cancelled" "$(cat "$dir/cancel")" "Cancel request sent
ERROR:  canceling statement due to user request"
"$bin/psql" -XAtqc 'select pg_sleep(101)' >"$dir/ended" 2>&1 &
client=$!
await runs 101
sql "select pg_terminate_backend(pid) from pg_stat_activity where query like 'select pg_sleep(101)%'" >/dev/null
check "a terminated client ends" await gone $client
check "and is told why" grep -q 'terminating connection due to administrator command' "$dir/ended"
mkfifo "$dir/in"
"$bin/psql" -XAtq <"$dir/in" >"$dir/heard" 2>&1 &
listener=$!
exec 9>"$dir/in"
echo 'listen news;' >&9
hears() { [ "$(sql "select count(*) from pg_stat_activity where query = 'listen news;' and state = 'idle'")" = 1 ]; }
await hears
sql "notify news, 'it came'" >/dev/null
echo 'select 1;' >&9
exec 9>&-
wait $listener
check "a notification" grep -q 'notification "news" with payload "it came"' "$dir/heard"

cat >"$data/pool.ini" <<C
[databases]
postgres = host=127.0.0.1 port=5433 user=postgres
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = 6433
auth_type = any
pool_mode = transaction
default_pool_size = 4
unix_socket_dir =
logfile = $data/pool.log
C
start as pgbouncer -q "$data/pool.ini"
listening 6433
PGPORT=6433
bench "queries through a pool" 8000 -S -c 8 -j 2 -t 1000
bench "transactions through a pool" 1600 -c 8 -j 2 -t 200
same "COPY through a pool" "$(sql 'copy (select g from a order by g) to stdout' | sum)" "$(seq 200000 | sum)"
PGPORT=5433
same "each transaction once, through a pool" "$(sql 'select count(*) from pgbench_history')" 4000
check "the server stops" stop $postmaster INT
server
same "and starts again" "$(sql 'select count(*) from a')" 200000
done_serving
