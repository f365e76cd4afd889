#!/usr/bin/env bash
# Checks the crate with the oldest versions of its own dependencies that the manifest allows, in a copy beside the build.
# A failure means that a lower bound in Cargo.toml is too low.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
copy=$target/minimal-versions
rm -rf "$copy"
mkdir -p "$copy"
cp -r src docs README.md Cargo.lock "$copy"
# Users do not build what only tests, benches and examples need, and it would raise versions.
awk '
/^\[/ { left_out = /dev-dependencies\]$|^\[\[(test|bench|example)\]\]$/ }
!left_out
' Cargo.toml >"$copy/Cargo.toml"
cd "$copy"
# The option is not stable; it chooses versions and compiles nothing.
RUSTC_BOOTSTRAP=1 cargo -Z direct-minimal-versions update --quiet
CARGO_TARGET_DIR=$target cargo check --all-features --lib
