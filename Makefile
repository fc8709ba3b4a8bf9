# What a developer does here, one word each; `make help` lists them.

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
FUZZTIME ?= 10s

# Every folder at the top with a main.go is a command; go.work names the modules.
commands = $(patsubst %/main.go,%,$(wildcard */main.go))
# What the launcher needs beside virtual machines, and in them.
machinery = $(patsubst launcher/%/main.go,%,$(wildcard launcher/*/main.go))
modules  = $(shell go list -m -f '{{.Dir}}') tools
# All packages but those of test/, which need the binaries, the images and time.
units    = $(shell go list work | grep -v '/bottle/test/')

tags    := urfave_cli_no_docs
ldflags := -s -w -X github.com/bottlesuite/bottle/internal/daemon.Version=$(VERSION)
goflags := -trimpath -buildvcs=false -tags $(tags) -ldflags "$(ldflags)"

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help build fmt check tidy-check test test-machines bench bench-peers bench-git soak bottles fuzz docker images guest demo

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "%-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## every command, into bin/
	@mkdir -p bin
	@for c in $(commands); do \
		echo "bin/$$c"; \
		CGO_ENABLED=0 GOWORK=off go build -C $$c $(goflags) -o ../bin/$$c . || exit 1; \
	done
	@for c in $(machinery); do \
		echo "bin/$$c"; \
		GOOS=linux CGO_ENABLED=0 GOWORK=off go build -C launcher $(goflags) -o ../bin/$$c ./$$c || exit 1; \
	done

fmt: ## format all Go files
	gofmt -w .

check: tidy-check .cache/staticcheck ## formatting, tidiness, vet, staticcheck, unit tests with the race detector
	@unformatted=$$(gofmt -l .); test -z "$$unformatted" || { echo "not formatted, run 'make fmt':" $$unformatted; exit 1; }
	go vet -tags $(tags) work
	.cache/staticcheck -tags $(tags) work
	@go test -race -timeout 30m -tags $(tags) $(units)

tidy-check: ## go.mod and go.sum of every module say what its code needs
	@for m in $(modules); do GOWORK=off go -C $$m mod tidy -diff || { echo "untidy: run 'go mod tidy' in $$m"; exit 1; }; done

.cache/staticcheck: tools/go.mod tools/go.sum
	GOWORK=off go build -C tools -o ../$@ honnef.co/go/tools/cmd/staticcheck
	@touch $@

test: build ## unit tests, then the end-to-end suite (BOTTLE_REQUIRE_DOCKER=1: without Docker it fails instead of being skipped)
	@go test -timeout 20m -tags $(tags) $(units)
	@if docker version >/dev/null 2>&1; then $(MAKE) --no-print-directory images; fi
	@go test -tags $(tags) -count=1 -timeout 40m ./test/...

# Tests of the shared bottle, by what they begin with.
shared = $(shell awk '/^func Test/ { split($$2, name, /[()]/) } /inBottle\(t\)/ { print name[1] }' test/e2e/*_test.go | sort -u | paste -sd '|')

test-machines: images guest ## the end-to-end tests of the shared bottle once more, in a virtual machine
	@BOTTLE_E2E_BACKEND=smolmachines go test -tags $(tags) -count=1 -timeout 20m ./test/e2e -run '^($(shared))$$'

bench: build ## benchmarks: small ones by package, then end to end into docs/benchmarks/
	@go test -tags $(tags) -run '^$$' -bench . -benchmem $(units)
	@go run -tags $(tags) ./test/bench -o docs/benchmarks

bench-peers: build ## Debian's mitmproxy beside ours, in one run, into docs/benchmarks/
	@command -v mitmdump >/dev/null || DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends mitmproxy
	@go run -tags $(tags) ./test/bench -peers -o docs/benchmarks

bench-git: ## pushes through the git gate and past it, and its scan beside gitleaks, into docs/benchmarks/git.md
	@GOBIN=$(CURDIR)/bin GOWORK=off GOFLAGS=-mod=mod go install github.com/zricethezav/gitleaks/v8@v8.30.1
	@cd gitgated && go test -c -o ../bin/gitgated.test . && GITLEAKS=$(CURDIR)/bin/gitleaks ../bin/gitgated.test bench-table ../docs/benchmarks/git.md

soak: build ## 10 minutes each through egressd, and through both proxies, while the routes change every second (SOAK="-duration 30s")
	@go run -tags $(tags) ./test/soak $(SOAK)
	@go run -tags $(tags) ./test/soak -chain $(SOAK)

bottles: images ## ten bottles at once, and one alone: time and memory, into docs/benchmarks/
	@go run -tags $(tags) ./test/bottles -o docs/benchmarks

fuzz: ## every fuzz target for FUZZTIME each
	@grep -roE --include='*_test.go' '^func Fuzz\w+' . | while IFS=: read -r file name; do \
		go test -tags $(tags) -run '^$$' -fuzz "^$${name#func }$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" || exit 1; \
	done

docker: ## a Docker engine and the Compose plugin, installed if missing
	@tools/docker.sh

guest: build ## the kernel and init of virtual machines, into bin/guest (needs apt-get; docs/microvm.md)
	@images/guest.sh bin/guest

images: build ## the sidecars' and the agents' images, tagged :dev and :$(VERSION)
	@VERSION=$(VERSION) images/build.sh

demo: docker images ## a bottle from start to end
	@go run -tags $(tags) ./test/demo
