SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

GOLANGCI_LINT_VERSION := v2.15.0
GOLANGCI_LINT := bin/golangci-lint-$(GOLANGCI_LINT_VERSION)

# The folders that have a gqlgen.yml, and those that gqlgen writes.
GQLGEN := $(dir $(wildcard gqlgen.yml schematest/gqlgen.yml entity/entitytest/gqlgen.yml))
GENERATED := $(wildcard graph/generated schematest/generated entity/entitytest/generated)

# Debian's MariaDB has 3306.
MYSQL_PORT ?= 3307

GALERA_PORT ?= 14600

.PHONY: help generate check-generated zones lint test race all-databases mysql stop-mysql galera stop-galera cluster cluster-behaviour cluster-galera cluster-group cluster-postgres cluster-sqlite chaos retries promise throughput batching soak differential lists plans interruptions bench benchmarks lines weight program release module prepare-e2e e2e provider playground check-playground screenshots

help: ## List the targets.
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { gsub("[$$][(]MYSQL_PORT[)]", "$(MYSQL_PORT)"); printf "  %-17s %s\n", $$1, $$2 }' Makefile

generate: ## Write the generated code anew, after a change of schema.graphqls or gqlgen.yml.
	@for folder in $(GQLGEN); do echo "go tool gqlgen generate, in $$folder"; (cd $$folder && go tool gqlgen generate); done

check-generated: ## Fail if the generated code is not what `make generate` writes; change nothing.
	@kept=$$(mktemp -d); tar c $(GENERATED) | tar x -C "$$kept"; \
	trap 'rm -rf $(GENERATED); tar c -C "$$kept" $(GENERATED) | tar x; rm -rf "$$kept"' EXIT; \
	rm -rf $(GENERATED); \
	$(MAKE) --no-print-directory generate; \
	for folder in $(GENERATED); do \
		diff -rq "$$kept/$$folder" $$folder || \
			{ echo "$$folder is out of date: run \`make generate\` and commit what it writes." >&2; exit 1; }; \
	done

PLAYGROUND_PACKAGES := npm --prefix playground/app ci --ignore-scripts --no-audit --no-fund --loglevel=error

playground: ## Build the page at / anew, after a change in playground/app; this needs Node 20.
	$(PLAYGROUND_PACKAGES)
	npm --prefix playground/app run --silent build

check-playground: ## Fail if the page at / is not what `make playground` builds; change nothing.
	@built=$$(mktemp -d); trap 'rm -rf "$$built"' EXIT; \
	$(PLAYGROUND_PACKAGES); \
	npm --prefix playground/app run --silent build -- "$$built/dist"; \
	diff -rq playground/dist "$$built/dist" || \
		{ echo "playground/dist is out of date: run \`make playground\` and commit what it writes." >&2; exit 1; }

# Factory is what a machine has that nobody has told its zone.
zones: ZONEINFO = $(shell go env GOROOT)/lib/time
zones: ## Write the list of time zones anew, from those that Go has; this needs unzip.
	@{ echo "# The IANA time zone database, $$(sed -n 's/^DATA=//p' $(ZONEINFO)/update.bash)"; \
		unzip -Z1 $(ZONEINFO)/zoneinfo.zip | grep -v -e '/$$' -e '^Factory$$' | LC_ALL=C sort; } >model/zones.txt

lint: $(GOLANGCI_LINT) ## Run the linters of .golangci.yml; the first time, build them in bin/ (minutes).
	$(GOLANGCI_LINT) run

$(GOLANGCI_LINT):
	GOBIN=$(CURDIR)/bin go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)
	mv bin/golangci-lint $@

test: ## Run the tests, on SQLite and on each server that ROLLCALL_TEST_MARIADB, _MYSQL and _POSTGRES name.
	go test ./...

# SQLite, translated to Go, is most of what the race detector would watch, and has nothing to find: a connection has one goroutine at
# a time, which is watched in all the other packages. Without, the tests on SQLite take a third of the time. Packages wait for their
# databases now and then, so that one more than there are processors is tested at once; more would only be late.
RACE := -race -timeout 45m -p $(shell expr 1 + $$(getconf _NPROCESSORS_ONLN)) -gcflags=github.com/ncruces/go-sqlite3-wasm/...=-race=false

# These begin first, since they take the longest.
LONG := ./graph . ./database ./session ./transfer

race: ## Run the tests under the race detector, which needs a C compiler; TESTS=… are more of go test's flags.
	go test $(RACE) $(TESTS) $(LONG) ./...

all-databases: export ROLLCALL_TEST_MARIADB ?= mysql://root@127.0.0.1:3306/
all-databases: export ROLLCALL_TEST_MYSQL ?= mysql://root@127.0.0.1:$(MYSQL_PORT)/
all-databases: export ROLLCALL_TEST_POSTGRES ?= postgres://postgres@127.0.0.1:5432/test?sslmode=disable
all-databases: mysql race ## Run them so on SQLite, MariaDB, MySQL and PostgreSQL, by default those on this machine.

mysql: ## Start a real MySQL on 127.0.0.1:$(MYSQL_PORT), from Debian unstable; nothing is installed.
	database/databasetest/mysql.sh start $(MYSQL_PORT)

stop-mysql: ## Stop it and delete its data.
	database/databasetest/mysql.sh stop $(MYSQL_PORT)

galera: ## Start a Galera cluster of two nodes on 127.0.0.1, whose URLs are for ROLLCALL_TEST_GALERA; this needs mariadb-server, galera-4 and rsync.
	CLUSTER_PORT=$(GALERA_PORT) CLUSTER_NODES=2 CLUSTER_SERVERS=0 cluster/galera.sh start

stop-galera: ## Stop it and delete its data.
	CLUSTER_PORT=$(GALERA_PORT) CLUSTER_NODES=2 cluster/galera.sh stop

# Each kind has its own ports, so that one may be tested while others run.
CLUSTER_KINDS := galera group postgres sqlite

cluster: export ROLLCALL_TEST_CLUSTER ?= galera postgres
cluster: ## Prove what several servers promise on the set-ups that ROLLCALL_TEST_CLUSTER names (galera postgres), in short; cluster/ says what they need. CLUSTER_HOSTS=all gives each server all nodes.
	@$(MAKE) --no-print-directory --jobs $(ROLLCALL_TEST_CLUSTER:%=on-%)

on-%: ## The same on one of them, with the set-up's name before each line.
	@ROLLCALL_TEST_CLUSTER=$* go test -count=1 -timeout 60m -v $(TESTS) ./cluster 2>&1 | sed -u 's/^/$*: /'

cluster-behaviour: export ROLLCALL_TEST_CLUSTER ?= galera postgres
cluster-behaviour: export CLUSTER_SERVERS := 0
cluster-behaviour: ## Run the API's tests there through ROLLCALL_TEST_SERVERS (3) servers of each directory, to which requests go in turn; `make cluster` does so too.
	go test -count=1 -timeout 60m -v -run TestTheBehaviourSuitePasses ./cluster

$(CLUSTER_KINDS:%=cluster-%): export ROLLCALL_TEST_CLUSTER_FAULTS ?= 100
$(CLUSTER_KINDS:%=cluster-%): export ROLLCALL_TEST_CLUSTER_ATTEMPTS ?= 500
$(CLUSTER_KINDS:%=cluster-%): export ROLLCALL_TEST_CLUSTER_READS ?= 10000
$(CLUSTER_KINDS:%=cluster-%): export ROLLCALL_TEST_CLUSTER_RESUMES ?= 1000
$(CLUSTER_KINDS:%=cluster-%): export ROLLCALL_TEST_CLUSTER_ROUNDS ?= 6
cluster-galera: ## The same at length on Galera: ROLLCALL_TEST_CLUSTER_FAULTS (100) kills and cuts, _ATTEMPTS (500) races, _READS (10000), _RESUMES (1000), _ROUNDS (6) of restarts.
cluster-group: ## The same on MySQL's Group Replication.
cluster-postgres: ## The same on PostgreSQL with a standby, behind PgBouncer.
cluster-sqlite: ## The same on one SQLite file with two servers.
$(CLUSTER_KINDS:%=cluster-%): cluster-%:
	ROLLCALL_TEST_CLUSTER=$* go test -count=1 -timeout 0 -v ./cluster

chaos: export ROLLCALL_TEST_CHAOS ?= 60s
chaos: ## Run the chaos tests, of the session and of bulks, versions and keys, each for as long as ROLLCALL_TEST_CHAOS says (60s) on each database of `make test`.
	go test $(RACE) -count=1 -timeout 0 -v -run 'TestTheSessionKeepsItsPromises/.*/^Chaos' ./session
	go test $(RACE) -count=1 -timeout 0 -v -run TestBulksVersionsAndKeysHold ./graph

retries: export ROLLCALL_TEST_RETRIES ?= 10000
retries: ## Create ROLLCALL_TEST_RETRIES (10000) rows, and as many users, through connections that are cut at every stage, on each database of `make test`.
	go test $(RACE) -count=1 -timeout 0 -v -run 'TestTheSessionKeepsItsPromises/.*/^Creations' ./session
	go test $(RACE) -count=1 -timeout 0 -v -run TestUsersThatAreCreatedThroughCutConnections ./graph

promise: export ROLLCALL_TEST_PROMISE ?= 100000
promise: export ROLLCALL_TEST_REPLAY ?= 10000
promise: export ROLLCALL_TEST_RESUMES ?= 1000
promise: ## Follow the log of ROLLCALL_TEST_PROMISE (100000) changes by three servers, keep copies by clients that are cut off ROLLCALL_TEST_RESUMES (1000) times, and replay that of ROLLCALL_TEST_REPLAY (10000) random mutations, while connections are killed, on each database of `make test`, and on the nodes that ROLLCALL_TEST_GALERA lists.
	go test -count=1 -timeout 0 -v -run TestTheTablesHoldWhatTheLogTells ./directory
	go test -count=1 -timeout 0 -v -run 'TestWhoFollowsTheLog|TestWhoIsCutOff' ./graph

throughput: DATABASE ?= sqlite:
throughput: ## Measure how many mutations 16 writers get done, beside other builds, and when subscribers are told (THROUGHPUT=--help), on SQLite or DATABASE=…
	cd bench && go run . throughput --database='$(DATABASE)' $(THROUGHPUT)

batching: export ROLLCALL_TEST_BATCHING ?= 10000
batching: ## Count the statements of ROLLCALL_TEST_BATCHING (10000) mixed operations on each database of `make test`.
	go test $(RACE) -count=1 -timeout 0 -v -run TestStatementsNeverVaryUnderLoad ./graph

soak: export ROLLCALL_TEST_SOAK ?= 60s
soak: ## Beset the server with idle, slow, hostile and greedy clients for ROLLCALL_TEST_SOAK (60s) on each database of `make test`.
	go test -count=1 -timeout 0 -v -run 'TestANormalClientIsServedUnderSiege|TestOthersAreServedBesideAGreedyClient' .

differential: export ROLLCALL_TEST_DIFFERENTIAL ?= 5000
differential: ## Compare the answers to ROLLCALL_TEST_DIFFERENTIAL (5000) random queries with those of resolvers, on each database of `make test`.
	go test $(RACE) -count=1 -timeout 0 -v -run Engine ./graph

lists: export ROLLCALL_TEST_LISTS ?= 3000
lists: ## Compare ROLLCALL_TEST_LISTS (3000) random lists, of any filter, search, order and window, with those of a model, on each database of `make test`.
	go test $(RACE) -count=1 -timeout 0 -v -run TestListsAreThoseOfAModelInMemory ./graph

plans: export ROLLCALL_TEST_PLANS ?= 100000
plans: ## Look at the servers' plans of filtered lists of ROLLCALL_TEST_PLANS (100000) users, on each server of `make test`.
	go test -count=1 -timeout 0 -v -run TestNoFilterThatAnIndexServesScansATable ./graph

interruptions: export ROLLCALL_TEST_CUTS ?= 1
interruptions: export ROLLCALL_TEST_KILLS ?= 40
interruptions: ## Interrupt the migrations at one statement in ROLLCALL_TEST_CUTS (1) on each server of `make test`, at ROLLCALL_TEST_KILLS (40) moments on SQLite.
	go test -count=1 -timeout 0 -v -run TestMigrateCompletes ./database .

bench: DATABASE ?= sqlite:
bench: ## Compare the server with one written by hand, or with other builds (BENCH=--help), on SQLite or DATABASE=mysql://root@127.0.0.1:3306/; about ten minutes.
	cd bench && go run . compare --database='$(DATABASE)' $(BENCH)

scale: DATABASE ?= sqlite:
scale: ## Measure the server in a directory of a million users (SCALE=--help), on SQLite or DATABASE=…; that takes up to an hour, and stays there to be used again.
	cd bench && go run . scale --database='$(DATABASE)' $(SCALE)

benchmarks: ## Run the benchmarks, and those beside other libraries.
	go test -run '^$$' -bench . -benchmem ./...
	go -C bench test -run '^$$' -bench . -benchmem ./...

# No generated code, no tests, no packages for tests (whose names end in test), and nothing of bench/ and e2e/.
lines: COMMIT ?=
lines: ## Count the lines of production Go in each package, of the working tree or of COMMIT=main.
	@git grep -c '' $(COMMIT) -- '*.go' ':!*_test.go' ':!*test/*' ':!*/generated/*' ':!*/testdata/*' ':!bench/*' ':!e2e/*' | \
		awk -F: '{ if (!sub("/[^/]*$$", "", $$(NF - 1))) $$(NF - 1) = "."; lines[$$(NF - 1)] += $$NF; all += $$NF } \
		END { for (folder in lines) printf "%7d  %s\n", lines[folder], folder | "sort -k 2"; close("sort -k 2"); printf "%7d  in all\n", all }'

weight: ## Build from empty caches, and print how long that takes, how large modules and program are, and when it is ready.
	.ci/weight

# A commit is built to the same bytes, whenever and wherever: with the Go that go.mod names, and told what no other folder or machine says otherwise.
# The date is the commit's. The Dockerfile says both, since an image is built without git.
RELEASE_COMMIT ?= $(shell git describe --always --exclude='*' --abbrev=12 --dirty=-changed)
RELEASE_DATE ?= $(shell TZ=UTC0 git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ)
RELEASE_BUILD = GOTOOLCHAIN=go$(shell sed -n 's/^go //p' go.mod) GOFLAGS=-mod=readonly GOAMD64=v1 GOARM64=v8.0 GOEXPERIMENT= CGO_ENABLED=0 \
	go build -trimpath -buildvcs=false -ldflags='-s -w -X main.commit=$(RELEASE_COMMIT) -X main.date=$(RELEASE_DATE)'

program: ## Build ./rollcall for GOOS and GOARCH, this machine's by default, as releases have it.
	$(RELEASE_BUILD) -o rollcall .

CYCLONEDX_VERSION := v1.10.0
CYCLONEDX := bin/cyclonedx-gomod-$(CYCLONEDX_VERSION)

$(CYCLONEDX):
	GOBIN=$(CURDIR)/bin go install -trimpath github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@$(CYCLONEDX_VERSION)
	mv bin/cyclonedx-gomod $@

module: ## Give the module the path MODULE=example.com/you/rollcall, where `go install` then finds it.
	.ci/module '$(MODULE)'

PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

release: $(CYCLONEDX) ## Build the programs of a release in dist/, for PLATFORMS, each with what it is made of (CycloneDX), and their SHA-256.
	rm -rf dist
	mkdir dist
	cp LICENSE dist
	for platform in $(PLATFORMS); do \
		program=dist/rollcall-$${platform/\//-}; [[ $$platform != windows/* ]] || program+=.exe; \
		GOOS=$${platform%/*} GOARCH=$${platform#*/} $(RELEASE_BUILD) -o $$program .; \
		$(CYCLONEDX) bin -json -noserial -notimestamp -std -version=v$(shell sed -n 's/^const release = "\(.*\)"/\1/p' config.go) -output=$$program.cdx.json $$program; \
	done
	cd dist && sha256sum -- * >SHA256SUMS

# What e2e and screenshots need: packages, and the program.
prepare-e2e:
	npm --prefix e2e ci --no-audit --no-fund --loglevel=error
	go build -o e2e/bin/rollcall .

e2e screenshots: export ROLLCALL_E2E_BINARY := $(CURDIR)/e2e/bin/rollcall
e2e: prepare-e2e ## Run real clients and a browser against the server, on SQLite and on the servers that ROLLCALL_TEST_MARIADB and _MYSQL name, all at once.
	@$(MAKE) --no-print-directory --jobs --keep-going clients-on-SQLite $(if $(ROLLCALL_TEST_MARIADB),clients-on-MARIADB) $(if $(ROLLCALL_TEST_MYSQL),clients-on-MYSQL)

# The same on one of them, with its name before each line.
clients-on-%:
	@ROLLCALL_E2E_MYSQL=$${ROLLCALL_TEST_$*:-} npm --prefix e2e test 2>&1 | sed -u 's/^/$*: /'

provider: ## Start an OpenID provider on 127.0.0.1:9400 that lets everybody in, to try logins with.
	npm --prefix e2e ci --no-audit --no-fund --loglevel=error
	node e2e/try-provider.js

screenshots: prepare-e2e ## Take the README's pictures of the Playground anew, with Chromium.
	node e2e/screenshots.js
