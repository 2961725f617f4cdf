# Two commands on a fresh machine with Rust from rustup: `make run` and `make test`.
.POSIX:
.DEFAULT_GOAL := build
.PHONY: build devchain run run-rented test test-rust test-web test-e2e test-fuzz lint bench bench-net bench-games bench-money soak setup setup-test page generate fuzz clean

# Where scripts/setup puts what the system has too old.
export PATH := $(CURDIR)/.tools/node_modules/.bin:$(PATH)

# The built page; the binary embeds it.
PAGE := client-web/dist/index.html
PAGE_SOURCES := $(shell find client-web/src client-web/public client-web/index.html client-web/*.json client-web/*.ts -type f 2>/dev/null)

# Always the whole workspace: another selection of crates would select other features of shared
# dependencies, and compile them anew.
#
# PROFILE=release builds, runs and measures what a node should serve others with; it takes longer to compile. Tests
# are of the dev profile.
PROFILE = dev
test test-rust test-e2e soak: override PROFILE = dev
TARGET = $${CARGO_TARGET_DIR:-$(CURDIR)/target}/$(PROFILE:dev=debug)
BUILD = cargo build --workspace --bins --locked --profile $(PROFILE)

build: setup page
	$(BUILD)

# The chain of development, with FRAME: a workspace of its own, beside the server's programs. `nearlight devchain` runs it.
DEVCHAIN = CARGO_TARGET_DIR="$${CARGO_TARGET_DIR:-$(CURDIR)/target}" cargo
devchain:
	cd devchain && $(DEVCHAIN) build --workspace --bins --locked --profile $(PROFILE)

# Installs what is missing, builds, and serves the demo scene to browsers on this machine.
run: build
	$(TARGET)/nearlight serve --set access.open=true --set webrtc.udp_port=0 --set 'games.folders=["games"]' $(ARGS)

# The same as a machine that is rented on a chain of development; says how to rent it.
run-rented: build devchain
	scripts/run-rented $(TARGET) $(ARGS)

setup:
	@scripts/setup run

setup-test:
	@scripts/setup test

page: $(PAGE)

$(PAGE): $(PAGE_SOURCES)
	npm --prefix client-web run --silent build

# Everything that guards main. What the browser decodes is left behind by the Rust tests.
test: RECOVERY =
test: setup-test page lint test-web test-rust test-fuzz test-e2e

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cd devchain && cargo fmt --all --check && $(DEVCHAIN) clippy --workspace --all-targets --locked -- -D warnings

# What scripts/setup installs must work, and is not left out by tests as if it were missing.
test-rust: devchain
	cd devchain && $(DEVCHAIN) test --workspace --locked
	NEARLIGHT_DEVCHAIN="$(TARGET)/nearlight-devchain" node --test devchain/tests/polkadot-js/rent.test.mjs
	NEARLIGHT_ENCODERS=x264,vpx-vp8,vpx-vp9,aom-av1,gst-x264enc,gst-x265enc,gst-vp8enc,gst-vp9enc,gst-av1enc \
		NEARLIGHT_HOST=1 cargo test --workspace --locked

test-web:
	npm --prefix client-web run --silent check:generated
	npm --prefix client-web run --silent lint
	npm --prefix client-web run --silent typecheck
	npm --prefix client-web test

# The same runs every time; `make fuzz` looks further.
test-fuzz:
	scripts/fuzz short

fuzz:
	scripts/fuzz 120

# The page in a real browser against the real server. The browser also decodes what encoder/tests/recovery/
# leaves behind.
RECOVERY = cargo test --workspace --locked --quiet --test recovery
test-e2e: page devchain
	cargo build --workspace --bins --locked --quiet
	$(RECOVERY)
	NEARLIGHT_HOST=1 NEARLIGHT_BIN="$(TARGET)/nearlight" npm --prefix client-web run --silent e2e

# Writes what is generated from the Rust types: the OpenAPI document and the client's types.
generate: build
	$(TARGET)/nearlight openapi > client-web/openapi.json
	npm --prefix client-web run --silent generate

# Prints every figure that README quotes. ARGS goes to the harness, such as ARGS="--only synthetic
# --runs 1". Measures the profile that `make run` builds, in which frames pass through optimised code, or PROFILE.
bench: setup-test build
	$(TARGET)/latency $(ARGS)

# The transports over emulated networks. ARGS goes to the harness: ARGS="--seconds 10 --only step,loss-3" is a
# quick look, ARGS="--runs 5" what README quotes.
bench-net:
	$(BUILD)
	$(TARGET)/bench-net $(ARGS)

# Hosted games, and a key in Chromium where there is one. ARGS goes to the harness, such as ARGS="--only capture,input --runs 1".
bench-games: setup page
	$(BUILD)
	$(TARGET)/bench-games $(ARGS)

# Receipts, their verification, the lease's local view, the chain of development, and a session while it is away. ARGS goes to
# the harness: ARGS="--only ledger --seconds 10", or ARGS="--only metered", which takes ten minutes.
bench-money: devchain
	$(BUILD)
	$(TARGET)/bench-money $(ARGS)

# What takes too long for every change: a thousand sessions in a row, a player who comes back a thousand times, sandboxes,
# whole sessions of games, and games started ahead two hundred times each, node and chain and renter's command ended a
# thousand times, pages whose network goes again and again, half an hour with a browser that has no time, fuzzing from a
# fresh seed.
soak: setup-test page devchain
	cargo build --workspace --bins --locked
	NEARLIGHT_SESSIONS=1000 cargo test --workspace --locked --test leaks many_sessions
	NEARLIGHT_RESUMES=1000 cargo test --workspace --locked --test resume -- --nocapture
	NEARLIGHT_KILLS=1000 cargo test --workspace --locked --test crash
	NEARLIGHT_NODE_KILLS=1000 cargo test --workspace --locked --test kills
	NEARLIGHT_CYCLES=200 NEARLIGHT_HOST=1 cargo test --workspace --locked --test cycles --test session_cycles
	NEARLIGHT_CYCLES=200 NEARLIGHT_HOST=1 cargo test --workspace --locked --lib started_ahead_goes_on
	cd client-web && NEARLIGHT_BIN="$(TARGET)/nearlight" NEARLIGHT_RESUMES=25 node --test e2e/resume.test.mjs
	cd client-web && NEARLIGHT_BIN="$(TARGET)/nearlight" NEARLIGHT_STARVED_MINUTES=30 node --test e2e/starved.test.mjs
	cd devchain && NEARLIGHT_CHAIN_KILLS=1000 $(DEVCHAIN) test --workspace --locked --test kept
	scripts/fuzz 600

clean:
	cargo clean
	rm -rf .tools client-web/dist client-web/node_modules testkit/assets/node_modules testkit/.venv devchain/tests/polkadot-js/node_modules
