# audisp-history. `make help` lists the targets. Needs Go and make only.

SHELL := /bin/sh
.DEFAULT_GOAL := build

GO      ?= go
BIN     := bin/audisp-history
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
# How long each fuzz target runs, or how often (100000x).
FUZZTIME ?= 2m

.PHONY: build run test vm-test lint soak bench fuzz clean help

# Always handed to go, which knows better than make what has changed.
# -buildvcs=false: the version comes from VERSION, and a checkout owned by
# somebody else must not stop the build.
build: ## the program, static: bin/audisp-history
	CGO_ENABLED=0 $(GO) build -trimpath -buildvcs=false -ldflags '-s -w -X main.version=$(VERSION)' -o $(BIN) ./plugin

run: build ## build, and show what the program does on a captured boot
	@./testdata/demo.sh $(BIN)

# The race detector needs a C compiler with its library's headers.
test: ## go vet and all tests, with the race detector
	@race=-race; export CGO_ENABLED=1; \
	if ! printf '#include <stdlib.h>\nint main(void) { return 0; }\n' | $$($(GO) env CC) -x c -o /dev/null - 2>/dev/null; then \
		echo "no working C compiler: testing without the race detector"; race=; CGO_ENABLED=0; \
	fi; \
	echo "$(GO) vet ./..."; \
	$(GO) vet ./... || exit 1; \
	echo "$(GO) test $$race -shuffle=on ./..."; \
	$(GO) test $$race -shuffle=on ./...

vm-test: build ## whole virtual machines: boot, restarts, containers, logins (some ten minutes; root, qemu: tools/vm/README.md)
	tools/vm/test

lint: ## the linters pinned in tools/go.mod (the first time builds them: some minutes)
	$(GO) tool -modfile=tools/go.mod golangci-lint run ./...

soak: ## ten million transitions: nothing grows
	AUDISP_HISTORY_SOAK=1 $(GO) test -count=1 -run '^TestSoak$$' -v ./plugin

bench: ## the benchmarks: ns and allocations per record
	$(GO) test -run '^$$' -bench . -benchmem ./enrich/... ./plugin/...

fuzz: ## every fuzz target for FUZZTIME each (2m)
	@GO='$(GO)' ./tools/fuzz.sh $(FUZZTIME)

clean: ## remove what was built
	rm -rf bin dist

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-7s  %s\n", $$1, $$2 }' Makefile
