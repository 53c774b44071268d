# make prints what it can do.

usage:
	@echo 'make build  bin/sdirect and bin/libsd.so'
	@echo 'make demo   two programs talking through shared memory'
	@echo 'make test   every test; the tests of libsd.so need gcc'
	@echo 'make clean  remove bin'

build:
	mkdir -p bin
	CGO_ENABLED=0 go build -trimpath -o bin/sdirect ./cmd/sdirect
	bin/sdirect lib --dir bin

demo: build
	bin/sdirect demo

test: build
	go vet ./...
	go test ./...

clean:
	rm -rf bin

.PHONY: usage build demo test clean
