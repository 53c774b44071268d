#!/bin/bash
# Node.js's own tests of TCP, TLS and clusters. A file of them is a test.
. "$(dirname "$0")/common.sh"

for t in "$SOURCES"/nodejs/test/{parallel,sequential}/test-{net,tls,cluster}-*.js; do
	name=${t##*/}
	options=$(sed -n 's|^// Flags: ||p' "$t" | head -n 1)
	code=0
	# shellcheck disable=SC2086 # a list of options
	timeout 30 node $options "$t" >"$name.log" 2>&1 || code=$?
	same "$name" "$code" 0
done
done_testing
