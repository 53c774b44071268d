#!/bin/bash
# The first process of a suite's namespaces: when it ends, everything in them ends.
#
#   inside.sh DIR SDIRECT COMMAND...    runs the command in DIR/work, under SDIRECT run unless that is empty
#
# It leaves in DIR: log, what the command printed; monitor.log; stat.json, what the monitor counted.
dir=$1 sdirect=$2
shift 2
ip link set lo up || exit 125
cd "$dir/work" || exit 125
if [ -n "$sdirect" ]; then
	export SDIRECT_SOCKET=$dir/monitor.sock
	"$sdirect" monitor >"$dir/monitor.log" 2>&1 &
	monitor=$!
	until "$sdirect" stat >/dev/null 2>&1; do
		kill -0 "$monitor" || exit 125
		sleep 0.05
	done
	set -- "$sdirect" run --no-monitor -- "$@"
fi
code=0
"$@" </dev/null >"$dir/log" 2>&1 || code=$?
if [ -n "$sdirect" ]; then
	"$sdirect" stat --json >"$dir/stat.json" || exit 125
fi
exit "$code"
