# eRaft: make help lists what there is.
GO ?= go
.DEFAULT_GOAL := build
SEEDS ?= 1..2000
FOR ?= 5m
SLICE ?= 1000001..1001200
SEED ?= 0
.PHONY: help build setup demo test lint generate drift unit race integration sim slice mutants robustness fmt clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup:
	@scripts/setup.sh
setup-test:
	@scripts/setup.sh test

build: setup ## build bin/eraft
	$(GO) build -o bin/eraft ./cmd/eraft

demo: build ## three nodes, one killed with -9, nothing lost
	bin/eraft demo

test: setup-test lint drift unit race slice integration ## set up, lint, and every test

lint: ## gofmt, go vet, staticcheck
	@files=$$(gofmt -l $$(git ls-files '*.go' | grep -v '\.pb\.go$$')); test -z "$$files" || { echo "not gofmt'ed: $$files"; exit 1; }
	$(GO) vet ./...
	$(GO) -C tools build -o ../bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	bin/staticcheck ./...

generate: ## generate Go from messages/*.proto
	$(GO) generate ./messages

drift: generate ## fail if the generated code is not what the .proto files say
	@git diff --exit-code -- messages || { echo "generated code differs: commit what 'make generate' made"; exit 1; }

unit: ## tests of every package but the clusters
	$(GO) test $$($(GO) list ./... | grep -v /tests)
	CGO_ENABLED=0 $(GO) build ./client ./messages ./actors/... ./cluster/clustertest
	CGO_ENABLED=0 $(GO) test ./cluster -run TestWithoutCgo
	CGO_ENABLED=0 $(GO) test ./cluster/clustertest -run 'TestOneSeedOneRun|TestSwarm' -seeds 2

sim: build ## simulated clusters through many seeds: make sim SEEDS=1..20000 FOR=30m
	bin/eraft sim --seeds $(SEEDS) --for $(FOR) --ledger docs/simulation-ledger.jsonl

slice: build ## up to three minutes of seeds beyond those of the ledger, always the same
	bin/eraft sim --seeds $(SLICE) --for 3m

race: ## most packages under the race detector
	$(GO) test -race ./actors/... ./persistence ./persistence/memory ./raftactor/... ./meta ./shardkv ./router
	$(GO) test -race ./cluster/clustertest -run 'TestSwarm|TestOneSeedOneRun|TestBootstraps' -seeds 10 -bootstraps 10 -timeout 30m

integration: build ## real clusters: in one process, and as processes that are killed
	$(GO) test ./tests/...

mutants: setup ## plant known bugs; the simulator must find each (hours)
	$(GO) run ./tests/mutants

robustness: FOR = 10m
robustness: build ## real processes in network namespaces, killed and cut off: FOR=10m SEED=7 (root)
	$(GO) build -o bin/robustness ./tests/robustness
	bin/robustness -for $(FOR) -seed $(SEED) -eraft bin/eraft

fmt: ## gofmt everything
	gofmt -w $$(git ls-files '*.go' | grep -v '\.pb\.go$$')

clean: ## remove what was built
	rm -rf bin
