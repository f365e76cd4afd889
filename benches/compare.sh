#!/usr/bin/env bash
# Compares with other crates, with many threads, and as everything grows. Prints the tables and draws the
# pictures in benches/figures. Its package is no part of the published crate.
set -euo pipefail
cd "$(dirname "$0")/compare"
CARGO_TARGET_DIR=../../target/compare cargo run --release
