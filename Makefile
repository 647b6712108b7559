SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT := bin/golangci-lint-$(GOLANGCI_LINT_VERSION)

.PHONY: help generate check-generated lint test race all-databases bench

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' Makefile

generate: ## Write graph/generated anew, after a change of schema.graphqls or gqlgen.yml.
	go tool gqlgen generate

check-generated: ## Fail if graph/generated is not what `make generate` writes; change nothing.
	@kept=$$(mktemp -d); mv graph/generated "$$kept"; \
	trap 'rm -rf graph/generated; mv "$$kept/generated" graph; rmdir "$$kept"' EXIT; \
	$(MAKE) --no-print-directory generate; \
	diff -rq "$$kept/generated" graph/generated || \
		{ echo 'graph/generated is out of date: run `make generate` and commit what it writes.' >&2; exit 1; }

lint: $(GOLANGCI_LINT) ## Run the linters of .golangci.yml; the first time, build them in bin/ (minutes).
	$(GOLANGCI_LINT) run

$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv bin/golangci-lint $@

test: ## Run the tests, on SQLite and on each server that ROLLCALL_TEST_MYSQL and ROLLCALL_TEST_POSTGRES name.
	go test ./...

race: ## Run the tests under the race detector, which needs a C compiler.
	go test -race ./...

all-databases: export ROLLCALL_TEST_MYSQL ?= mysql://root@127.0.0.1:3306/
all-databases: export ROLLCALL_TEST_POSTGRES ?= postgres://postgres@127.0.0.1:5432/test?sslmode=disable
all-databases: race ## Run them so on SQLite, MariaDB and PostgreSQL, by default those on this machine.

bench: ## Run the benchmarks.
	go test -run '^$$' -bench . -benchmem ./...
