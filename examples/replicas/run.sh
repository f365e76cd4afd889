#!/usr/bin/env bash
# Starts three replicas of the `web` example on one Redis, with a certified provider, and stops them on
# Ctrl-C. `run.sh prove` sends them 1 000 requests when a token expires, counts the grants, and stops.
# Fetches what is missing: redis-server, and oidc-provider for Node 20 or later.
set -euo pipefail
cd "$(dirname "$0")/../.."

for program in cargo node npm; do
    if ! command -v "$program" >/dev/null; then
        echo "$0 needs $program: install it and run this again" >&2
        exit 1
    fi
done
if ! command -v redis-server >/dev/null; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends redis-server
fi
if [ ! -d tests/idp/node_modules/oidc-provider ]; then
    npm install --prefix tests/idp --no-package-lock --no-audit --no-fund
fi
# The build of the example: `debug`, or `release` if the environment says so.
profile=${PROFILE:-debug}
options=(--all-features --example web)
[ "$profile" = debug ] || options+=(--release)
cargo build --quiet "${options[@]}"

folder=$(mktemp -d)
pids=()
stop() {
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
    wait 2>/dev/null || true
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 130' INT TERM

free_port() {
    node -e 'const s = require("node:net").createServer().listen(0, "127.0.0.1", () => { console.log(s.address().port); s.close(); });'
}
# Waits until a log has this line, and prints it.
ready() {
    for _ in $(seq 300); do
        if grep -m1 "$2" "$1" 2>/dev/null; then return; fi
        sleep 0.1
    done
    echo "$1 does not say: $2" >&2
    cat "$1" >&2
    exit 1
}

redis=$(free_port)
redis-server --port "$redis" --bind 127.0.0.1 --save "" --appendonly no --dir "$folder" >"$folder/redis.log" &
pids+=($!)
ready "$folder/redis.log" "Ready to accept connections" >/dev/null

ports=(3081 3082 3083)
node tests/idp/start.mjs \
    "{\"lifetime\": ${TOKEN_LIFETIME:-10}, \"origin\": \"http://127.0.0.1:${ports[0]}\"}" >"$folder/provider.log" &
pids+=($!)
issuer=$(ready "$folder/provider.log" "^ready " | cut -d' ' -f2)

for port in "${ports[@]}"; do
    env PORT="$port" \
        OPENID_ISSUER="$issuer" \
        OPENID_CLIENT_ID=web \
        OPENID_CLIENT_SECRET=web-secret \
        OPENID_AUDIENCE=https://api.example.com \
        OPENID_RESOURCE=https://api.example.com \
        OPENID_SESSION_SECRET="the same secret in every replica: 32 characters or more" \
        DOMAIN_SERVER="http://127.0.0.1:${ports[0]}" \
        REDIS_URL="redis://127.0.0.1:$redis" \
        "target/$profile/examples/web" >"$folder/web-$port.log" 2>&1 &
    pids+=($!)
done
for port in "${ports[@]}"; do ready "$folder/web-$port.log" "^listening on "; done

export ISSUER="$issuer" PORTS="${ports[*]}" REDIS_PORT="$redis"
case "${1:-}" in
"")
    echo "sign in at http://127.0.0.1:${ports[0]}: the other replicas know you as well; Ctrl-C stops all"
    wait "${pids[@]}"
    ;;
prove) node examples/replicas/prove.mjs ;;
*) "$@" ;; # Another program, with the three running.
esac
