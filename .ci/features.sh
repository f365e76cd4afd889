#!/usr/bin/env bash
# Checks the pairs of features that have code in common: those with a room, with introspection or with `testing`. The
# others are adapters and stores, which know nothing of each other. `client` and `full` only add up others, and one that
# turns the other on needs no check with it.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t pairs < <(cargo metadata --no-deps --format-version 1 | python3 -c '
import itertools, json, sys
features = json.load(sys.stdin)["packages"][0]["features"]
names = sorted(set(features) - {"default", "full", "client"})
shared = {"login", "outbound", "introspection", "testing"}
for first, second in itertools.combinations(names, 2):
    if not {first, second} & shared:
        continue
    if second not in features[first] and first not in features[second]:
        print(f"{first},{second}")')
[ "${#pairs[@]}" -gt 25 ]
for pair in "${pairs[@]}"; do
    if ! cargo rustc --quiet --lib --profile check --no-default-features --features "$pair" -- -D warnings; then
        echo "with the features $pair" >&2
        exit 1
    fi
done
echo "${#pairs[@]} pairs of features"
