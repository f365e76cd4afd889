#!/usr/bin/env bash
# Builds a cargo tool in one version below `target/tools`, unless the machine has that version: tool.sh NAME VERSION.
# Built for a short life: fast to build, slow to run.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! "$1" --version 2>/dev/null | grep -qxF "$1 $2"; then
    CARGO_PROFILE_DEV_DEBUG=0 CARGO_TARGET_DIR="$PWD/target/tools/build" \
        cargo install "$1" --version "$2" --locked --debug --quiet --root target/tools
fi
