#!/bin/bash
# Perl's own tests of sockets: IO, Socket, IO::Socket::IP, libnet, HTTP::Tiny. A file of them is a test.
. "$(dirname "$0")/common.sh"

cp -r "$SOURCES"/perl/{dist/IO,cpan/{Socket,IO-Socket-IP,libnet,HTTP-Tiny}} .
for module in *; do
	cd "$module" || exit 1
	for t in t/*.t; do
		case $module/$t in
		IO/t/IO.t | IO/t/io_udp.t | IO/t/io_multihomed.t) continue ;; # run in a tree of Perl's only
		esac
		name=$module/${t##*/}
		timeout 60 prove -Ilib -I. "$t" >"../$module-${t##*/}.log" 2>&1
		code=$?
		if [ "$code" = 0 ] && grep -q 'skipped:\|NOTESTS' "../$module-${t##*/}.log"; then
			printf 'ok %s # SKIP %s\n' "$name" "$(grep -o 'skipped: .*' "../$module-${t##*/}.log")"
		else
			same "$name" "$code" 0
		fi
	done
	cd ..
done
done_testing
