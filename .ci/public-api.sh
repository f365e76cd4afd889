#!/usr/bin/env bash
# Compares the public items with docs/public-api.txt. `accept` writes them there instead.
# Needs a cargo-public-api that reads the rustdoc JSON of this Rust: .ci/run says which.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
mkdir -p "$target"
# Only rustdoc is told to write JSON, which is not stable: for the compiler nothing changes, so nothing is built twice.
printf '#!/bin/sh\nRUSTC_BOOTSTRAP=1 exec rustdoc "$@"\n' >"$target/rustdoc-json"
chmod +x "$target/rustdoc-json"
RUSTDOC="$target/rustdoc-json" cargo rustdoc --quiet --all-features --lib -- \
    -Z unstable-options --output-format json --cap-lints allow
# Without implementations that follow from others: of Send and Sync, for all types, and what pin-project generates.
cargo public-api --rustdoc-json "$target/doc/tower_oidc.json" --omit blanket-impls,auto-trait-impls |
    grep -v 'pin_project::__private' >"$target/public-api.txt"
if [ "${1:-}" = accept ]; then
    cp "$target/public-api.txt" docs/public-api.txt
elif ! diff -u docs/public-api.txt "$target/public-api.txt"; then
    echo "The public API differs from docs/public-api.txt. If that is meant, run: .ci/public-api.sh accept" >&2
    exit 1
fi
