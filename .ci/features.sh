#!/usr/bin/env bash
# Checks each pair of features. `client` and `full` only add up others.
set -euo pipefail
cd "$(dirname "$0")/.."
mapfile -t features < <(cargo metadata --no-deps --format-version 1 | python3 -c '
import json, sys
features = set(json.load(sys.stdin)["packages"][0]["features"])
print("\n".join(sorted(features - {"default", "full", "client"})))')
pairs=0
for first in "${features[@]}"; do
    for second in "${features[@]}"; do
        [[ $first < $second ]] || continue
        cargo rustc --quiet --lib --profile check --no-default-features --features "$first,$second" -- -D warnings ||
            { echo "with the features $first and $second" >&2; exit 1; }
        pairs=$((pairs + 1))
    done
done
echo "$pairs pairs of features"
