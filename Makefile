# Patchbay. `make help` lists the targets; each sets up what it needs.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

GO      ?= go
# One form of compiled packages for all targets: what one has compiled the next need not compile again.
export GOFLAGS ?= -trimpath
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -s -w -X main.version=$(VERSION)
BIN     := bin/patchbay$(if $(filter Windows_NT,$(OS)),.exe,)
JS      := backend/internal/e2e/js
CLIENTS := backend/internal/e2e/clients
UI      := frontend
UI_SRC  := $(shell find $(UI)/src $(UI)/public -type f) $(addprefix $(UI)/,index.html package-lock.json svelte.config.js tsconfig.json vite.config.ts)
FUZZTIME ?= 30s
COVERAGE := 85

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# On a desktop the window is built as well, where what it needs is installed; without it the page opens in the browser.
HERE_WINDOW := $(shell [ -n "$$DISPLAY$$WAYLAND_DISPLAY" ] && command -v gcc >/dev/null && pkg-config --exists webkit2gtk-4.1 2>/dev/null && echo window)

.PHONY: run
run: build $(HERE_WINDOW) ## set up, build and start Patchbay: in the tray of a desktop; elsewhere it prints what to do next
	./$(BIN)

.PHONY: serve
serve: build ## set up, build and start Patchbay without a desktop
	./$(BIN) serve

.PHONY: demo
demo: build ## the whole product against simulated upstreams, no account needed
	./$(BIN) demo

.PHONY: build
build: ui ## build bin/patchbay, the page with it
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o $(BIN) .

.PHONY: ui
ui: $(UI)/dist/index.html ## build the page, if its sources changed

$(UI)/node_modules/.ready: $(UI)/package-lock.json
	cd $(UI) && npm ci --no-audit --no-fund --loglevel=error
	touch $@

$(UI)/dist/index.html: $(UI)/node_modules/.ready $(UI_SRC)
	cd $(UI) && npm run --silent build
	touch $@

.PHONY: page
page: build ## the page in Chromium, against the program itself; its texts, types and size
	cd $(UI) && npm run --silent check && npm run --silent test

.PHONY: page-long
page-long: build ## what the page keeps in memory over an hour's feed, in about two minutes
	cd $(UI) && npm run --silent long

.PHONY: screenshots
screenshots: build ## every page in both themes, two sizes and three languages, into build/screenshots
	cd $(UI) && npm run --silent screenshots

.PHONY: page-quick
page-quick: build ## the page's texts, types and size, and its shell in Chromium: every page opens, can be read by everybody and fits every width
	cd $(UI) && npm run --silent check && npx playwright test --project=unit --project=page '/unit/|shell'

.PHONY: test
test: check race e2e keyring tray page desktop ## everything that must be green

.PHONY: check
check: ## fast: format, vet, imports
	@out=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$out" ]; then echo "gofmt would change:"; echo "$$out"; exit 1; fi
	CGO_ENABLED=0 $(GO) vet ./...
	CGO_ENABLED=0 $(GO) test ./backend/internal/archtest

.PHONY: static
static: ## static analysis, and whether the icons are those of their drawing; builds its tools first
	CGO_ENABLED=0 $(GO) tool -modfile=build/tools/go.mod staticcheck ./...
	cd build/appicon && $(GO) test .

.PHONY: unit
unit: ## unit tests, without the race detector
	$(GO) test ./...

.PHONY: race
race: ## Go tests with the race detector, but those of the whole program: e2e runs these, race-all all
	$(GO) test -race -timeout 20m $$($(GO) list ./... | grep -v /internal/e2e$$)

.PHONY: race-all
race-all: ## all Go tests with the race detector
	$(GO) test -race -timeout 30m ./...

.PHONY: cover
cover: ## all Go tests once more, for the statement coverage of backend
	$(GO) test -timeout 20m -coverpkg=./backend/... -coverprofile=coverage.out ./...
	$(GO) run ./build/ci/coverage -min $(COVERAGE) coverage.out

.PHONY: chaos
chaos: ## a hundred thousand requests among failing accounts, in virtual time; REQUESTS=n and SEED=n choose others
	CGO_ENABLED=0 $(GO) test -count=1 -v -timeout 20m ./backend/internal/chaos -chaos.requests=$(or $(REQUESTS),100000) -chaos.seed=$(or $(SEED),0)

.PHONY: e2e
e2e: build $(JS)/node_modules/.ready ## the whole program: scripts, faults, kills; official SDKs in Go and JavaScript, each to each upstream
	CGO_ENABLED=0 $(GO) test -count=1 -timeout 20m ./backend/internal/e2e
	CGO_ENABLED=0 PATCHBAY_E2E=1 $(GO) test -count=1 -v -timeout 20m -run '^TestSDKMatrix' ./backend/internal/e2e

.PHONY: keyring
keyring: ## the vault against a real gnome-keyring in a session of its own (Linux)
	CGO_ENABLED=0 ./build/ci/keyring.sh

.PHONY: tray
tray: ## the tray's menu on a session bus of its own, clicked on as a panel does; the end of that bus (Linux)
	@if [ "$$(uname -s)" != Linux ]; then echo "tray: this test is for Linux; skipped"; exit 0; fi; \
	CGO_ENABLED=0 PATCHBAY_TEST_BUS=1 dbus-run-session -- $(GO) test -count=1 -run '^TestTrayOnASessionBus$$' ./app/tray && \
	CGO_ENABLED=0 PATCHBAY_TEST_BUS=1 $(GO) test -count=1 -run '^TestPatchbayOutlivesItsSessionBus$$' ./app

WINDOW_TAGS := desktop,production,webkit2_41

.PHONY: window
window: ui ## build bin/patchbay-window, the window for Linux; needs libwebkit2gtk-4.1-dev
	$(GO) build -trimpath -tags $(WINDOW_TAGS) -ldflags '$(LDFLAGS)' -o bin/patchbay-window .

# A story that fails is told once more, and says so: window managers and web views have moods of their own.
tell = ./build/ci/desktop-env.sh --timeout $(1) $(3) -- ./build/ci/desktop.sh $(2)
story = $(tell) || { echo 'desktop: $(2): FAILED, and is told once more'; $(tell); }

.PHONY: desktop
desktop: build window ## Patchbay on a desktop of its own under Xvfb: tray, window, kills, a taken port, no window, tray, bus or key (Linux); pictures in bin/desktop
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/unlock ./build/ci/unlock
	$(call story,300,main)
	$(call story,180,taken)
	$(call story,180,fallback)
	$(call story,180,no-tray,--tray none)
	$(call story,180,no-bus)
	$(call story,180,locked)

.PHONY: cross
cross: ## type-check everything that needs no C compiler for Windows and macOS
	GOOS=windows CGO_ENABLED=0 $(GO) vet . ./app/...
	GOOS=darwin CGO_ENABLED=0 $(GO) vet . ./app/...

.PHONY: e2e-clients
e2e-clients: build $(CLIENTS)/node_modules/.ready ## real client programs, installed from npm and pinned
	PATCHBAY_E2E_CLIENTS=1 $(GO) test -count=1 -v -timeout 20m -run '^TestClients' ./backend/internal/e2e

$(JS)/node_modules/.ready: $(JS)/package-lock.json
	cd $(JS) && npm ci --no-audit --no-fund --loglevel=error
	touch $@

# No lock file: the programs are pinned exactly, and bring one binary per platform that a lock of another platform lacks.
$(CLIENTS)/node_modules/.ready: $(CLIENTS)/package.json
	cd $(CLIENTS) && npm install --no-package-lock --no-audit --no-fund --loglevel=error
	touch $@

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (30s)
	./build/ci/fuzz.sh $(FUZZTIME)

.PHONY: bench
bench: build ## speed and memory against a plain reverse proxy for every pair of formats, about 20 minutes; then the codecs' benchmarks
	$(GO) run ./build/bench -patchbay $(BIN)
	$(GO) test -run '^$$' -bench . -benchmem ./backend/...

.PHONY: bench-quick
bench-quick: build ## the same for every pair in about two minutes, memory for two of them
	$(GO) run ./build/bench -quick -patchbay $(BIN)

.PHONY: golden
golden: ## rewrite the golden files; read the diff
	$(GO) test ./backend/wire/... -update

.PHONY: generate
generate: ## run the generators; their output is committed
	$(GO) generate ./...

.PHONY: package
package: ## what people install, into dist/: deb, archives, AppImage, Windows installer (on a Mac: the disk image), sums, bill of materials
	@if [ -f frontend/package.json ]; then npm --prefix frontend ci --no-audit --no-fund --loglevel=error && npm --prefix frontend run build; fi
	$(GO) run ./build/package -version $(VERSION) $(PACKAGE)

.PHONY: test-packages
test-packages: ## build the Linux packages twice and compare; install, start and purge the deb in a fresh Debian; the container's steps (root)
	./build/package/test.sh

.PHONY: test-wine
test-wine: ## the Windows program and its installer under Wine: serve, keychain, tray, start at login, silent install and uninstall
	./build/windows/test-wine.sh

.PHONY: icons
icons: ## draw all icons anew from build/appicon/mark.svg; they are committed
	cd build/appicon && $(GO) run .

.PHONY: lint
lint: ## the whole set of linters; slow the first time
	$(GO) tool -modfile=build/tools/lint/go.mod golangci-lint run --config build/golangci.yml ./...

.PHONY: vuln
vuln: ## known vulnerabilities in dependencies
	$(GO) tool -modfile=build/tools/go.mod govulncheck ./...

.PHONY: test-all
test-all: test page-long static race-all cover chaos cross fuzz e2e-clients test-packages ## test, and what is slower than that

.PHONY: clean
clean: ## remove what was built
	rm -rf bin coverage.out $(JS)/node_modules $(CLIENTS)/node_modules $(UI)/node_modules $(UI)/dist/assets $(UI)/dist/*.*
