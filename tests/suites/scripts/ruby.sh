#!/bin/bash
# Ruby's own tests of sockets, HTTP, TLS and DRb.
. "$(dirname "$0")/common.sh"

# run FILE: Ruby's runner tells "[1/8] TestSocket_TCPSocket#test_recvfrom = 0.00 s" of each test, "1) Failure:" and its name of a failed one.
run() {
	local name=${1%.rb}
	name=${name//\//-}
	(cd "$SOURCES/ruby3.1" && timeout 200 ruby -Itest/lib -Itool/lib -Itest -r ./tool/lib/core_assertions.rb -r test/unit \
		-e 'Test::Unit::TestCase.include Test::Unit::CoreAssertions; load ARGV.shift' "test/$1" -v) >"$name.log" 2>&1
	awk '/^\[ *[0-9]+\/[0-9]+\] .* = [0-9.]+ s/ { sub(/^\[[^]]*\] /, ""); verdict[$1] = "ok " $1 }
		/^ +[0-9]+\) (Failure|Error|Skipped):$/ { bad = $2; getline; sub(/:$/, "", $1)
			verdict[$1] = bad == "Skipped:" ? "ok " $1 " # SKIP" : "not ok " $1 }
		END { for (t in verdict) print verdict[t] }' "$name.log"
	check "$1" grep -qE '^[0-9]+ tests, ' "$name.log"
}

for t in socket/test_{addrinfo,ancdata,basicsocket,nonblock,socket,sockopt,tcp,udp,unix}.rb net/http/test_http{,s}.rb net/protocol/test_protocol.rb \
	io/nonblock/test_flush.rb io/wait/test_io_wait.rb openssl/test_{ssl,pair}.rb drb/test_drb.rb; do
	run "$t"
done
done_testing
