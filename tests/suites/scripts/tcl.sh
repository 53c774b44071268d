#!/bin/bash
# Tcl's own tests of sockets, HTTP, channels and events.
. "$(dirname "$0")/common.sh"

cp -r "$SOURCES/tcl8.6/tests" .
for t in socket http http11 httpold io ioCmd event chan chanio zlib; do
	code=0
	(cd tests && timeout 200 tclsh "$t.test" -singleproc 1 -verbose pse) >"$t.log" 2>&1 || code=$?
	sed -n -E 's/^\+{4} ([^ ]+) PASSED$/ok \1/p; s/^\+{4} ([^ ]+) SKIPPED: /ok \1 # SKIP /p; s/^==== ([^ ]+) .*FAILED$/not ok \1/p' "$t.log"
	same "$t.test" "$code" 0
done
done_testing
