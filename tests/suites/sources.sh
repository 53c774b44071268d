#!/bin/bash
# Brings the sources of Debian packages whose tests no package installs: sources.sh DIR NAME... unpacks each to DIR/NAME.
# apt's own lists stay as they are.
set -euo pipefail
dir=$1
shift
targets() { apt-get indextargets --format "deb-src \$(REPO_URI) \$(RELEASE) \$(COMPONENT)" 'Created-By: Packages' 'Origin: Debian'; }
mkdir -p "$dir/lists/partial"
cd "$dir"
[ -n "$(targets)" ] || apt-get update -qq
targets | grep -v -- '-\(updates\|security\) ' >sources.list
apt() { apt-get -qq -o Dir::Etc::SourceList="$dir/sources.list" -o Dir::Etc::SourceParts=- -o Dir::State::Lists="$dir/lists" -o APT::Sandbox::User=root "$@"; }
apt update
for name; do
	mkdir "$name.new"
	(cd "$name.new" && apt source "$name") >"$name.log" 2>&1 || { tail -n 3 "$name.log" >&2; exit 1; }
	mv "$name.new"/*/ "$name"
	rm -r "$name.new"
done
