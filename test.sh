#!/usr/bin/env bash
# Runs every test, and fetches first what they need: Node's packages for the certified provider.
# Needs Rust, a C compiler, Node 20 or later and npm.
set -euo pipefail
cd "$(dirname "$0")"

for program in cargo node npm cc; do
    if ! command -v "$program" >/dev/null; then
        echo "test.sh needs $program: install it and run this again" >&2
        exit 1
    fi
done
if [ ! -d tests/idp/node_modules/oidc-provider ]; then
    npm install --prefix tests/idp --no-package-lock --no-audit --no-fund
fi

# The examples are built first: the end-to-end tests start them as programs.
cargo build --all-features --examples
cargo test --all-features --lib --tests -- --include-ignored
cargo test --all-features --doc
cargo test --no-default-features --lib --tests
