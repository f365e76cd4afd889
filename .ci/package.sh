#!/usr/bin/env bash
# Packs the crate as it would be published, and checks what is in the package: as it is, and with the oldest versions of
# its own dependencies that the manifest allows. A failure of the second means that a lower bound in Cargo.toml is too low.
set -euo pipefail
cd "$(dirname "$0")/.."
target=${CARGO_TARGET_DIR:-$PWD/target}
# What publishing itself would build is checked below, out of what is built already.
CARGO_TARGET_DIR=$target cargo publish --dry-run --no-verify --locked --all-features
unpacked=$target/unpacked
rm -rf "$unpacked" "$target/package"
mkdir -p "$unpacked"
CARGO_TARGET_DIR=$target cargo package --no-verify --locked --quiet
tar -x -z -f "$target"/package/tower-oidc-*.crate -C "$unpacked" --strip-components 1
cd "$unpacked"
CARGO_TARGET_DIR=$target cargo check --locked --all-features --lib --examples
# Users do not build what only tests, benches and examples need, and it would raise versions.
awk '
/^\[/ { left_out = /dev-dependencies[^]]*\]$|^\[\[(test|bench|example)\]\]$/ }
!left_out
' Cargo.toml >of-users.toml
mv of-users.toml Cargo.toml
# The option is not stable; it chooses versions and compiles nothing.
RUSTC_BOOTSTRAP=1 cargo -Z direct-minimal-versions update --quiet
CARGO_TARGET_DIR=$target cargo check --config 'profile.dev.package.aws-lc-sys.opt-level=0' --all-features --lib
