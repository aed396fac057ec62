# Every target first installs what it needs and does not find; see scripts/install-needs.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help demo test build format lint worlds needs proof-needs clean prove-channel prove-handoff simulate chaos fuzz sanitize bench

# Compilers at a time. Each takes one to two gigabytes.
JOBS ?= 2
# Passed to what the target runs: make demo ARGS="--once --json"
ARGS ?=
# How long make chaos and make fuzz take.
MINUTES ?= 10
# Of make chaos; a fresh one when left out.
SEED ?=
# Of make bench: core, handshake, channel, handoff, assets, registry, growth or start.
PART ?=
SOURCES := Package.swift Sources Tests Benchmarks/Package.swift Benchmarks/Sources

help:
	@echo 'make demo [ARGS=…]   two servers, one portal, one player who crosses (ARGS=--once ends afterwards)'
	@echo 'make test [ARGS=…]   every test (ARGS="--filter Name" for some)'
	@echo 'make build           the program and the library, for debugging'
	@echo 'make format          formats the Swift sources in place'
	@echo 'make lint            says what make format would change'
	@echo 'make prove-channel    each claim about the channel between servers, with pass or fail'
	@echo 'make prove-handoff    models, planted bugs and fixed seeds of the handoff between servers'
	@echo 'make simulate [ARGS=…] whole federations under one seed; ARGS="--seed 7 --crossings 10000"'
	@echo 'make chaos MINUTES=10  three real servers, hundreds of players, and everything that goes wrong'
	@echo '                     (ARGS=--lossy-disk: on disks that lose what was not synchronised)'
	@echo 'make fuzz MINUTES=10  coverage-guided fuzzing of every decoder that faces a peer or a player'
	@echo 'make sanitize        every test under the thread and the address sanitizer'
	@echo 'make bench [PART=…]  measures beside what one would use otherwise; BENCHMARKS.md'
	@echo 'make worlds          makes Examples/worlds anew (needs python3)'
	@echo 'make needs           installs what building needs'

# What is built is told on standard error, so that standard output is the demo's own.
demo: needs
	@swift build -j $(JOBS) --product aether >&2
	@"$$(swift build --show-bin-path)/aether" demo $(ARGS)

# Without the vectors of others the tests that read them say so.
test: needs
	@VECTORS_DIR=$$(scripts/vectors-dir); [[ -z $$VECTORS_DIR ]] || export VECTORS_DIR; set -x; swift test -j $(JOBS) $(ARGS)

build: needs
	swift build -j $(JOBS) $(ARGS)

format: needs
	swift format format --in-place --parallel --recursive $(SOURCES)

lint: needs
	swift format lint --strict --parallel --recursive $(SOURCES)

prove-channel: needs proof-needs
	scripts/prove-channel $(ARGS)

prove-handoff: needs proof-needs
	scripts/prove-handoff $(ARGS)

# In release: a simulated crossing is mostly signatures, which are slow in a debug build.
simulate: needs
	@swift build -c release -j $(JOBS) --product aether >&2
	@"$$(swift build -c release --show-bin-path)/aether" simulate $(ARGS)

chaos: needs proof-needs
	@swift build -j $(JOBS) --product aether >&2
	@AETHER_BINARY="$$(swift build --show-bin-path)/aether" Chaos/run --minutes $(MINUTES) $(if $(SEED),--seed $(SEED)) $(ARGS)

fuzz: needs
	Fuzz/run $(MINUTES) $(ARGS)

# Each sanitizer needs a build of its own, dependencies included.
sanitize: needs
	scripts/sanitize thread $(ARGS)
	scripts/sanitize address $(ARGS)

# A package of its own: nobody who builds or tests the federation builds its measures. How the program starts is measured
# with the program itself.
bench: needs
	@swift build --package-path Benchmarks -c release -j $(JOBS) >&2
ifneq ($(filter start,$(or $(PART),start)),)
	@swift build --package-path Benchmarks -c release -j $(JOBS) --product aether >&2
endif
	@"$$(swift build --package-path Benchmarks -c release --show-bin-path)/bench" $(if $(PART),--part $(PART)) $(ARGS)

worlds:
	scripts/make-worlds

needs:
	@scripts/install-needs

proof-needs:
	@scripts/install-needs --proofs

clean:
	swift package clean
