#!/usr/bin/env bash
# What sessions cost in memory, Redis, PostgreSQL and SQLite: prints a table and draws benches/figures/sessions.svg.
# Starts the servers itself, on free ports. Compare within one run only.
# Usage: benches/sessions.sh [number of sessions]...    FOLDER=<a folder on the disk to measure>
set -euo pipefail
cd "$(dirname "$0")/.."
cargo bench --bench sessions --features login,postgres,redis,sqlite,testing -- "$@"
