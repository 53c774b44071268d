#!/bin/sh
# Installs what building, the tests and the demo need on Debian 12. Daemons are not started.
# As root, or through sudo.
set -eu
packages="gcc libc6-dev make strace iproute2 curl python3
  redis-server redis-tools memcached libmemcached-tools iperf3 nginx-light wrk socat netcat-openbsd"
missing=
for p in $packages; do
	dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
as_root=
[ "$(id -u)" = 0 ] || as_root=sudo
policy=/usr/sbin/policy-rc.d
ours=
if [ ! -e "$policy" ]; then
	ours=yes
	trap '[ -z "$ours" ] || $as_root rm -f "$policy"' EXIT
	printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
	$as_root chmod 755 "$policy"
fi
$as_root apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing
