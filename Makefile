# audisp-history. `make help` lists the targets. Needs Go and make only.

SHELL := /bin/sh
.DEFAULT_GOAL := build

GO      ?= go
BIN     := bin/audisp-history
VERSION := $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  := $(shell git rev-parse --short=12 HEAD 2>/dev/null)
GOBUILD := -trimpath -buildvcs=false -ldflags '-s -w -buildid= -X main.version=$(VERSION) -X main.commit=$(COMMIT)'
DIST    := dist
# Worked out only where it is used.
ifeq ($(origin VERSION),command line)
PACKAGE_VERSION = $(VERSION)
else
PACKAGE_VERSION = $(shell ./packaging/version.sh 2>/dev/null)
endif
# How long each fuzz target runs, or how often (100000x).
FUZZTIME ?= 2m

.PHONY: build run test vm-test lint soak e2e bench fuzz packages packages-test packages-vm-test dist clean help

# Always handed to go, which knows better than make what has changed.
# -buildvcs=false: the version comes from VERSION, and a checkout owned by
# somebody else must not stop the build.
build: ## the program, static: bin/audisp-history
	CGO_ENABLED=0 $(GO) build $(GOBUILD) -o $(BIN) ./plugin

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

vm-test: build ## whole virtual machines: boot, restarts, containers, logins (some quarter of an hour; root, qemu: tools/vm/README.md)
	tools/vm/test

lint: ## the linters pinned in tools/go.mod (the first time builds them: some minutes)
	$(GO) tool -modfile=tools/go.mod golangci-lint run ./...

soak: ## ten million transitions: nothing grows
	AUDISP_HISTORY_SOAK=1 $(GO) test -count=1 -run '^TestSoak$$' -v ./plugin

# It starts an auditd of its own, whose rules are for its own processes only, and puts the kernel's settings back.
e2e: ## under a real auditd: needs root, and a machine that nobody else audits
	@for package in auditd gcc; do command -v $$package >/dev/null || apt-get install -y --no-install-recommends $$package libc6-dev || exit 1; done
	AUDISP_HISTORY_E2E=1 $(GO) test -count=1 -timeout 20m -v ./plugin/e2e

bench: ## the benchmarks: ns and allocations per record
	$(GO) test -run '^$$' -bench . -benchmem ./enrich/... ./plugin/...

fuzz: ## every fuzz target for FUZZTIME each (2m)
	@GO='$(GO)' ./tools/fuzz.sh $(FUZZTIME)

# The time in the packages is that of the commit, so that it gives the same
# bytes each time. Without git VERSION= gives the version, and SOURCE_DATE_EPOCH
# in the environment the time, else that of CHANGELOG.md. Needs dpkg, rpm, and selinux-policy-dev for the SELinux module.
packages: ## deb and rpm for amd64 and arm64: dist/
	@set -e; version='$(PACKAGE_VERSION)'; \
	[ -n "$$version" ] || { echo "make packages: no version: it comes from git, and this is no checkout, or there is no git; give one, as in make packages VERSION=1.0.0" >&2; exit 1; }; \
	time=$$(git log -1 --format=%ct 2>/dev/null) || time=$${SOURCE_DATE_EPOCH:-$$(stat -c %Y CHANGELOG.md)}; \
	mkdir -p $(DIST); rm -f $(DIST)/*.deb $(DIST)/*.rpm $(DIST)/SHA256SUMS; \
	export VERSION=$$version SOURCE_DATE_EPOCH=$$time GO='$(GO)'; \
	for arch in amd64 arm64; do \
		CGO_ENABLED=0 GOARCH=$$arch $(GO) build $(GOBUILD) -o bin/$$arch/audisp-history ./plugin; \
		./packaging/build.sh $$arch bin/$$arch/audisp-history $(DIST); \
	done; \
	ls -l $(DIST)

dist: packages ## the packages and their checksums, SHA256SUMS
	cd $(DIST) && sha256sum *.deb *.rpm >SHA256SUMS && cat SHA256SUMS

packages-test: ## the packages: the same bytes twice, lintian, rpmlint, SELinux, every script
	$(GO) test -tags packages -count=1 ./packaging

packages-vm-test: ## a virtual machine: install as README says, log in, upgrade, remove, purge
	./packaging/vm/run

clean: ## remove what was built
	rm -rf bin dist

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s  %s\n", $$1, $$2 }' Makefile
