#!/usr/bin/env bash
# Checks each feature alone, those tests that one feature brings, and the pairs of features that have code in common:
# those with a room, with introspection or with `testing`. The others are adapters and stores, which know nothing of each
# other. `client` and `full` only add up others, and one that turns the other on needs no check with it.
set -euo pipefail
cd "$(dirname "$0")/.."
metadata=$(cargo metadata --no-deps --format-version 1)
# "alone NAME" and "pair NAME,NAME", by the manifest.
sets() {
    python3 -c '
import itertools, json, sys
features = json.load(sys.stdin)["packages"][0]["features"]
names = sorted(set(features) - {"default", "full", "client"})
shared = {"login", "outbound", "introspection", "testing"}
print("alone ")
for name in names:
    print(f"alone {name}")
for first, second in itertools.combinations(names, 2):
    if {first, second} & shared and second not in features[first] and first not in features[second]:
        print(f"pair {first},{second}")' <<<"$metadata"
}
mapfile -t alone < <(sets | sed -n 's/^alone //p')
mapfile -t pairs < <(sets | sed -n 's/^pair //p')
[ "${#alone[@]}" -gt 12 ] && [ "${#pairs[@]}" -gt 25 ]

# Runs cargo, and says with which features it failed.
with() {
    local features=$1
    shift
    if ! cargo "$1" --quiet --no-default-features --features "$features" "${@:2}"; then
        echo "with the features '$features'" >&2
        exit 1
    fi
}
for feature in "${alone[@]}"; do
    with "$feature" clippy --lib -- -D warnings
done
# Of those below, the ones that share the most code; and an adapter with the room whose answers it carries.
for features in introspection,reqwest openidconnect,testing login,testing login,reqwest login,axum login,outbound \
    outbound,reqwest outbound,testing,tonic; do
    with "$features" clippy --lib -- -D warnings
done
# Without any feature they run: test.sh.
for feature in introspection,reqwest login outbound testing; do
    with "$feature" check --lib --tests
done
for pair in "${pairs[@]}"; do
    with "$pair" rustc --lib --profile check -- -D warnings
done
echo "${#alone[@]} features alone, ${#pairs[@]} pairs"
