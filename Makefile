# Two commands do all the set-up on a machine with Rust and Node:
#   make run    build what is missing, start everything in one process, print the URLs
#   make test   install what the tests need (Debian packages, as root), then run them all
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.ONESHELL:
.PHONY: run run-services build web types image test bench lint test-rust test-web test-api test-kubernetes test-e2e deps fmt help

# Flags for `make run`, e.g. `make run ARGS="--http-port 9000 --tls-self-signed"`.
ARGS ?=
# Flags for `make bench`, e.g. `make bench BENCH_ARGS="--only forwarding --rounds 9"`.
BENCH_ARGS ?=
WEB_SOURCES := $(shell find web/app web/packages web/examples web/package-lock.json web/tsconfig.base.json \
	\( -name node_modules -o -name dist \) -prune -o -type f -print 2>/dev/null)

help: ## What can be made
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-16s %s\n", $$1, $$2}'

run: web/dist/index.html ## Everything in one process, development mode, with a demo broadcast
	cargo build --release --package madang
	exec target/release/madang --dev --demo $(ARGS)

run-services: web/dist/index.html ## The four services as four processes on one Postgres
	cargo build --release --package meta-service --package signaling-service --package turn-relay --package sfu-service
	exec scripts/run-services target/release

build: web/dist/index.html ## Release binaries
	cargo build --release --workspace

web: web/dist/index.html ## The pages

types: web/node_modules/.installed ## TypeScript types of REST and STOMP bodies, from crates/contract
	MADANG_WRITE_SCHEMA=1 cargo test --package contract --test schema --locked
	cd web
	npm run types --workspace packages/sdk

image: ## The container image madang:dev, where there is a container engine
	scripts/check-image

web/node_modules/.installed: web/package-lock.json
	cd web
	npm ci --no-audit --no-fund
	touch node_modules/.installed

web/dist/index.html: web/node_modules/.installed $(WEB_SOURCES)
	cd web
	npm run build
	touch dist/index.html

deps: ## Debian packages that the tests need, where missing
	scripts/install-test-deps

test: deps lint test-rust test-web test-api test-kubernetes image test-e2e ## Everything that CI runs
	echo "all suites passed"

bench: ## What a packet, a viewer and a session cost here; see docs/benchmarks.md
	cargo build --release --locked --package madang --package probe
	cargo run --release --locked --package bench --bin madang-bench -- $(BENCH_ARGS)

lint: web/dist/index.html ## Formatting, lints, docs, licences
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --locked
	scripts/cargo-deny check bans licenses sources

test-rust: web/dist/index.html ## Unit, property and service tests, on a real Postgres
	cargo test --workspace --locked

test-api: ## Generated requests against the OpenAPI document
	meta-service/tests/schemathesis.sh

test-kubernetes: ## Manifests against the schema of Kubernetes and our own settings
	scripts/check-kubernetes

test-web: web/node_modules/.installed ## Type check, lint and unit tests of the pages
	cd web
	npm run check
	npm test

test-e2e: web/dist/index.html ## Real browsers against real servers
	cargo build --workspace --bins --locked
	cd web
	npm run e2e

fmt: ## Format everything
	cargo fmt --all
	cd web && npm run format
