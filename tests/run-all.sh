#!/bin/bash
# Everything that CI runs, cheapest first; make test. It stops at the first stage that fails and always
# ends with a list of what ran and what did not. A program that is not installed is a failure.
#
#   tests/run-all.sh            all stages
#   tests/run-all.sh race apps  some of them
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin

stages=(tools tidy vet staticcheck build unit race e2e apps)

tools() { # compilers and the programs that the tests run
	tests/install-deps.sh
	go version
	gcc --version | head -1
}

tidy() { # gofmt, import direction, exported symbols, documents, generated files
	go mod tidy -diff
	go test ./internal/tidy/... ./queue/abigen
}

vet() { go vet ./...; }

staticcheck() { go tool staticcheck ./...; }

build() { # the whole module without cgo, sdirect, libsd.so with the machine's compiler
	CGO_ENABLED=0 go build ./...
	make --no-print-directory build
}

unit() { CGO_ENABLED=0 go test -timeout 10m $(go list ./... | grep -v -e /tests -e /internal/tidy); }

race() { # on heap rings: the race detector cannot see another process
	CGO_ENABLED=1 go test -race -timeout 10m ./internal/shm ./internal/sockdiag ./queue ./monitor/... ./socket
}

e2e() { go test -count=1 -p 1 -timeout 15m ./tests; }

apps() { go test -count=1 -p 1 -timeout 15m ./tests/apps; }

ran=()
current=
started=0
summary() {
	local code=$? s
	[ -z "$current" ] || ran+=("$(printf '%-12s FAILED  %4d s' "$current" $((SECONDS - started)))")
	printf '\n%s\n' "what ran:"
	for s in "${ran[@]}"; do printf '  %s\n' "$s"; done
	for s in "${left[@]}"; do printf '  %-12s NOT RUN\n' "$s"; done
	if [ $code = 0 ]; then echo "all passed, $SECONDS s"; else echo "FAILED, $SECONDS s"; fi
	exit $code
}

left=("${@:-${stages[@]}}")
for s in "${left[@]}"; do
	[[ " ${stages[*]} " == *" $s "* ]] || { echo "no stage $s; there are: ${stages[*]}" >&2; exit 2; }
done
trap summary EXIT
while [ ${#left[@]} -gt 0 ]; do
	current=${left[0]}
	left=("${left[@]:1}")
	started=$SECONDS
	printf '\n== %s\n' "$current"
	"$current"
	ran+=("$(printf '%-12s ok      %4d s' "$current" $((SECONDS - started)))")
	current=
done
