#!/usr/bin/env bash
# Counts instructions and compares them with the budgets. Counts repeat, so a breach is a change of the code.
# Needs valgrind; builds gungraun-runner if it is missing.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(cargo metadata --format-version 1 --all-features |
    python3 -c 'import json, sys; print(next(p["version"] for p in json.load(sys.stdin)["packages"] if p["name"] == "gungraun"))')
export PATH="$PWD/target/tools/bin:$PATH"
.ci/tool.sh gungraun-runner "$version"

counts=$(mktemp)
trap 'rm -f "$counts"' EXIT
cargo bench --bench instructions --features introspection,login,outbound,testing | tee "$counts"

awk '
/^instructions::/ { split($1, path, "::"); split($2, id, ":"); name = path[3] "/" id[1] }
/Instructions:/   { split($2, counts, "|"); count[name] = counts[1] }

function most(what, added, budget) {
    rows++
    printf "%-34s %9d added, budget %9d\n", what, added, budget
    # Counts vary by some instructions from build to build.
    if (added > 1.03 * budget) { print "  over budget"; over = 1 }
}
function row(of) {
    if (!(of in count)) { print "no count for " of; missing = 1 }
    return count[of]
}
END {
    bare = row("bare/inner")
    most("accepted, seen before", row("accept_again/rs256") - bare, 1750)
    most("a claim policy over a scope policy", row("require/claim") - row("require/scope"), 300)
    most("accepted, new, RS256", row("accept/rs256") - bare, 1.09 * row("signature_alone/rs256"))
    most("accepted, new, ES256", row("accept/es256") - bare, 1.05 * row("signature_alone/es256"))
    most("accepted, new, EdDSA", row("accept/eddsa") - bare, 1.05 * row("signature_alone/eddsa"))
    most("bad signature, RS256", row("refuse_signature/rs256") - bare, 1.09 * row("signature_alone/rs256"))
    most("expired", row("refuse/expired") - bare, 13000)
    most("wrong audience", row("refuse/wrong_audience") - bare, 13000)
    most("wrong issuer", row("refuse/wrong_issuer") - bare, 13000)
    most("introspected, seen before", row("introspected_again/opaque") - bare, 1.2 * (row("accept_again/rs256") - bare))
    in_axum = row("bare_in_axum/inner")
    most("garbage, with axum\x27s body", row("refuse_unread_in_axum/garbage") - in_axum, 2700)
    most("no header, with axum\x27s body", row("refuse_unread_in_axum/none") - in_axum, 1000)
    most("garbage", row("refuse_unread/garbage") - bare, 2700)
    most("no header", row("refuse_unread/none") - bare, 900)
    page = row("bare_page/inner")
    most("session in memory, nothing due", row("session/nothing_due") - page, 6000)
    most("callback, without the provider", row("sign_in/callback") - page, 4 * row("signature_alone/rs256"))
    most("outbound, a fresh token", row("leave/fresh_token") - row("bare_client/inner"), 4100)
    most("axum, Router::layer, seen before", row("route/within") - row("route/idle"), 1750)
    most("axum, around, seen before", row("route/around") - row("route/bare"), 1750)
    exit over || missing || rows != 19
}' "$counts"
