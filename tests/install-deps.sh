#!/bin/sh
# Installs what the demo or the tests need and this machine lacks, on Debian 12 as root. Daemons are
# not started. Anywhere else it says what to install.
#
#   tests/install-deps.sh          for make test
#   tests/install-deps.sh demo     for make demo
#   tests/install-deps.sh packages NAME...
set -eu
PATH=$PATH:/usr/sbin:/sbin

# program:package, or a package alone
demo="gcc:gcc redis-server:redis-server redis-benchmark:redis-tools"
test="$demo make:make strace:strace ss:iproute2 curl:curl python3:python3 redis-cli:redis-tools
  memcached:memcached memccapable:libmemcached-tools memcslap:libmemcached-tools iperf3:iperf3
  nginx:nginx-light wrk:wrk socat:socat nc:netcat-openbsd"
case ${1:-test} in
demo) want=$demo ;;
test) want=$test ;;
packages) shift; want=$* ;;
*) echo "usage: $0 [demo|test|packages NAME...]" >&2; exit 2 ;;
esac

present() {
	case $1 in
	*:*) command -v "${1%%:*}" ;;
	*) dpkg-query -W -f '${Status}\n' "$1" 2>/dev/null | grep 'ok installed' ;;
	esac >/dev/null
}

lacking() {
	missing=
	for p in $want; do
		present "$p" || missing="$missing ${p#*:}"
	done
	# The compiler is of no use without libc's headers.
	[ -e /usr/include/stdio.h ] || missing="$missing libc6-dev"
	missing=$(printf '%s\n' $missing | sort -u | tr '\n' ' ')
	[ -n "${missing% }" ]
}

lacking || exit 0
if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
	echo "not installed: $missing" >&2
	echo "on Debian or Ubuntu, as root: apt-get install $missing" >&2
	exit 1
fi
echo "installing: $missing"
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
	trap 'rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' >"$policy"
	chmod 755 "$policy"
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086 # a list of words
apt-get install -y -qq --no-install-recommends $missing >/dev/null </dev/null
if lacking; then
	echo "still not there after the installation: $missing" >&2
	exit 1
fi
