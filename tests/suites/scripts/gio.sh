#!/bin/bash
# GLib's own tests of GSocket, GSocketService, proxies, D-Bus over TCP and TLS.
. "$(dirname "$0")/common.sh"

export HOME=$PWD
for t in glib/{socket,socket-listener,socket-service,gsocketclient-slow,proxy-test,pollable,gdbus-peer,gdbus-server-auth} glib-networking/connection-gnutls; do
	tap "/usr/libexec/installed-tests/$t"
done
done_testing
