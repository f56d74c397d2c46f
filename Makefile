# The shortcuts of this repository. Go is all that they need.

GO ?= go

.PHONY: all build test bench nightly lint generate render lifecycle image e2e real playground playground-stop packages clean

all: lint test build

build:
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags="-s -w" -o bin/function-dittoserver .

test:
	$(GO) test ./...

# What a call costs, beside other functions, over any number of servers: writes
# docs/performance.md. About 20 minutes on two idle cores. For a quick look:
# make bench BENCH="-servers 1,200 -calls 1000"
# With -memory-calls 1000000 it also checks, for longer, that memory stays flat.
BENCH ?= -calls 1500 -write
bench:
	cd test/bench && $(GO) run . $(BENCH)

# Ten thousand random lives, and half an hour of fuzzing. What fails is a seed, shown
# with the shortest history that fails, and a file below testdata/fuzz to keep.
nightly:
	$(GO) test -count=1 -timeout 4h -run TestProperties . -property.cases 10000 -property.time 3h -property.fails 20
	$(GO) test -run '^$$' -fuzz FuzzRunFunction -fuzztime 30m -fuzzminimizetime 1x .
	$(GO) test -count=1 -timeout 1h -run TestRandomEdits . -edits.time 10m

# Vet, gofmt and golangci-lint by .golangci.yml, for every module but those that pin
# programs. golangci-lint is pinned by one of them and built by Go, the first time in
# about two minutes.
GOLANGCI_LINT = $(GO) tool -modfile=$(CURDIR)/test/tools/golangci-lint/go.mod golangci-lint run --allow-parallel-runners --config $(CURDIR)/.golangci.yml
MODULES = $(filter-out %/tools/golangci-lint/ test/e2e/tools/%,$(dir $(shell git ls-files '*go.mod')))
lint:
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$unformatted" || { echo "not formatted: $$unformatted"; exit 1; }
	@set -e; for module in $(MODULES); do (set -x; cd $$module && $(GO) vet ./... && $(GOLANGCI_LINT) ./...); done

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
