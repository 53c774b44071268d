#!/bin/bash
# libsoup's own tests: HTTP clients and servers on GLib's main loop. Left out: those that start an Apache by a
# configuration which Debian's refuses, and http2-test, ssl-test and server-test, which abort, hang or die of SIGSEGV in themselves natively on
# a busy machine.
. "$(dirname "$0")/common.sh"

export HOME=$PWD
for t in chunk-io coding context continue forms http2-body-stream misc multipart ntlm redirect request-body \
	server-auth session sniffing streaming timeout websocket; do
	tap "/usr/libexec/installed-tests/libsoup-3.0/$t-test"
done
done_testing
