# make prints what it can do.

usage:
	@echo 'make demo   kernel and libsd side by side: a C program and Redis; about two minutes'
	@echo 'make test   everything that CI runs; about twenty minutes'
	@echo 'make suites the tests of CPython and of others, with and without libsd; about an hour'
	@echo 'make build  bin/sdirect, bin/libsd.so and bin/sdsim'
	@echo 'make clean  remove bin'

build:
	mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -o bin/sdirect ./cmd/sdirect
	bin/sdirect lib --dir bin
	CGO_ENABLED=1 go build -trimpath -tags sim -o bin/sdsim ./cmd/sdsim

# What sdirect trace replay runs: the simulator, with the C core of libsd.so in it.

sdreplay:
	mkdir -p bin
	CGO_ENABLED=1 go build -trimpath -tags sim -o bin/sdreplay ./cmd/sdreplay

# Both install what this machine lacks when they run as root on Debian, else they say what to install.

demo:
	@tests/install-deps.sh demo
	@$(MAKE) --no-print-directory build
	@bin/sdirect demo

test:
	@tests/run-all.sh

# The tests of others, natively and under libsd; installs what they need.

suites: build
	@go run ./tests/suites

clean:
	rm -rf bin

.PHONY: usage build sdreplay demo test suites clean
