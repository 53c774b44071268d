#!/bin/bash
# Everything that CI runs, cheapest first; make test. It stops at the first stage that fails and always
# ends with a list of what ran and what did not. A program that is not installed is a failure.
#
#   tests/run-all.sh            all stages
#   tests/run-all.sh race apps  some of them
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH=$PATH:/usr/sbin:/sbin

stages=(tools tidy vet staticcheck build unit race sim golibs differ e2e apps suites)

tools() { # compilers and the programs that the tests run
	tests/install-deps.sh
	go version
	gcc --version | head -1
}

tidy() { # gofmt, import direction, exported symbols, documents, generated files
	go mod tidy -diff
	go -C tests/golibs mod tidy -diff
	go test ./internal/tidy/... ./queue/abigen
}

vet() {
	go vet ./...
	go -C tests/golibs vet ./...
}

staticcheck() { go tool staticcheck ./...; }

build() { # the whole module without cgo, sdirect, libsd.so with the machine's compiler
	CGO_ENABLED=0 go build ./...
	make --no-print-directory build
}

unit() { CGO_ENABLED=0 gotest $(go list ./... | grep -v -e /tests -e /internal/tidy); }

race() { # on heap rings: the race detector cannot see another process
	CGO_ENABLED=1 gotest -race ./internal/shm ./internal/sockdiag ./queue ./monitor/... ./socket
}

sim() { # the simulator: vet, its tests, recordings of planted bugs, small explorations
	go vet -tags sim ./...
	go tool staticcheck -tags sim ./sim/... ./cmd/sdsim ./queue ./internal/shm
	CGO_ENABLED=1 gotest -tags sim ./sim/... ./cmd/sdsim
	bin/sdsim run --seeds 1-400 --time 40s --quiet
	bin/sdsim explore token-2x1 lock-2x2 lock-2x1-kill park-signal promote promotion
}

golibs() { # libraries of others over package socket: a module of its own
	cd tests/golibs
	CGO_ENABLED=1 gotest -race ./...
	cd ../..
}

differ() { gotest -count=1 ./tests/differ -rapid.seed=20261122; } # random programs, the same ones each time

e2e() { gotest -count=1 ./tests; }

apps() { gotest -count=1 ./tests/apps; }

suites() { # the tests of others, with and without libsd; all of them: make suites
	gotest -count=1 ./tests/suites
	go run ./tests/suites --bounded
}

# gotest shows one line for each package, the output of tests that fail, and remembers what was
# skipped. With CI=true only what no machine can run may be: there, nothing is missing.
gotest() {
	local ok=0 skipped
	go test -v -p 1 -timeout 30m "$@" >"$log" 2>&1 || ok=$?
	if [ $ok != 0 ]; then
		output_of FAIL <"$log"
		return $ok
	fi
	grep -E '^(ok|\?) ' "$log"
	skipped=$(output_of SKIP <"$log")
	[ -n "$skipped" ] || return 0
	printf '%s\n' "$skipped"
	skips+=$skipped$'\n'
	if [ "${CI:-}" = true ] && grep '_test.go:' <<<"$skipped" | grep -v -E 'both ends are in one program|no tcp6 here|no kernel TLS here|::1'; then
		echo "skipped, though CI has everything" >&2
		return 1
	fi
}

# output_of picks from the output of go test -v what belongs to tests that FAIL or SKIP. If none is
# named though go test failed (it does not compile, time is up), it shows the end.
output_of() {
	awk -v verdict="$1:" '
		{ last[NR] = $0 }
		/^=== / { test = $3; next }
		/^ *--- / { if ($2 == verdict) { named[++n] = $3; line[n] = $0 }; next }
		{ out[test] = out[test] $0 "\n" }
		END {
			for (i = 1; i <= n; i++) printf "%s\n%s", line[i], out[named[i]]
			if (n == 0 && verdict == "FAIL:")
				for (i = NR > 200 ? NR - 200 : 1; i <= NR; i++) print last[i]
		}'
}

log=$(mktemp)
skips=
ran=()
current=
started=0
summary() {
	local code=$? s
	[ -z "$current" ] || ran+=("$(printf '%-12s FAILED  %4d s' "$current" $((SECONDS - started)))")
	printf '\n%s\n' "what ran:"
	for s in "${ran[@]}"; do printf '  %s\n' "$s"; done
	for s in "${left[@]}"; do printf '  %-12s NOT RUN\n' "$s"; done
	if [ -n "$skips" ]; then printf 'skipped:\n%s' "$skips"; fi
	rm -f "$log"
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
