# The shortcuts of this repository. Go is all that they need.

GO ?= go

.PHONY: all build test bench lint generate render lifecycle image e2e real playground playground-stop packages clean

all: lint test build

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags="-s -w" -o bin/function-dittoserver .

test:
	$(GO) test ./...

# What a call costs, beside other functions, over any number of servers: writes
# docs/performance.md. About 20 minutes on two idle cores. For a quick look:
# make bench BENCH="-servers 1,200 -calls 1000"
BENCH ?= -memory-calls 1000000 -write
bench:
	cd test/bench && $(GO) run . $(BENCH)

# golangci-lint, where it is installed, has more to say: .golangci.yml.
lint:
	$(GO) vet ./...
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }

# Deep copies, the schemas of the XRDs and the Input, and the field reference.
generate:
	$(GO) generate ./...

# What is composed for an example, and its life: make render XR=example/sqlite.yaml
XR ?= example/percona.yaml
render:
	$(GO) run . render $(XR)

lifecycle:
	$(GO) run . render $(XR) --lifecycle

image:
	docker build . --tag function-dittoserver

# A real control plane, for tests and for a person: see test/e2e.
e2e real playground playground-stop packages:
	$(MAKE) -C test/e2e $@

clean:
	rm -rf bin
