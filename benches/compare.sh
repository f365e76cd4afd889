#!/usr/bin/env bash
# Measures other crates, many threads, and growth. Prints the tables and draws the pictures in benches/figures.
# Its package is no part of the published crate.
set -euo pipefail
cd "$(dirname "$0")/compare"
CARGO_TARGET_DIR=../../target/compare cargo run --release
