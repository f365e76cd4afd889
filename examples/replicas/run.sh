#!/usr/bin/env bash
# Starts three replicas of the `web` example on one Redis, or with STORE=postgres on one PostgreSQL, with a
# certified provider, and stops them on Ctrl-C. `run.sh prove` sends them 1 000 requests when a token expires, counts
# the grants, and stops.
# Fetches what is missing: redis-server or postgresql, and oidc-provider for Node 20 or later.
set -euo pipefail
cd "$(dirname "$0")/../.."

for program in cargo node npm; do
    if ! command -v "$program" >/dev/null; then
        echo "$0 needs $program: install it and run this again" >&2
        exit 1
    fi
done
# Distributions keep the server's programs of PostgreSQL off the path.
find_postgres() {
    command -v initdb || ls -d /usr/lib/postgresql/*/bin/initdb 2>/dev/null | sort -V | tail -1
}
store=${STORE:-redis}
case "$store" in
redis) is_there=$(command -v redis-server || true) package=redis-server ;;
postgres) is_there=$(find_postgres || true) package=postgresql ;;
*)
    echo "STORE is $store: it can be redis or postgres" >&2
    exit 1
    ;;
esac
if [ -z "$is_there" ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    DEBIAN_FRONTEND=noninteractive "${as_root[@]}" apt-get install -y -qq --no-install-recommends "$package"
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

store_port=$(free_port)
start_redis() {
    redis-server --port "$store_port" --bind 127.0.0.1 --save "" --appendonly no --dir "$folder" >"$folder/redis.log" &
    pids+=($!)
    ready "$folder/redis.log" "Ready to accept connections" >/dev/null
    store_setting="REDIS_URL=redis://127.0.0.1:$store_port"
}
start_postgres() {
    local programs data="$folder/postgres/data" as_user=()
    programs=$(dirname "$(readlink -f "$(find_postgres)")")
    mkdir "$folder/postgres"
    # It refuses root.
    if [ "$(id -u)" -eq 0 ]; then
        as_user=(setpriv --reuid=postgres --regid=postgres --init-groups)
        chmod 711 "$folder"
        chown postgres: "$folder/postgres"
    fi
    "${as_user[@]}" "$programs/initdb" --auth=trust --username=postgres --locale=C --encoding=UTF8 --no-sync \
        --pgdata "$data" >"$folder/initdb.log"
    "${as_user[@]}" "$programs/postgres" -D "$data" -k "$folder/postgres" -p "$store_port" \
        -c listen_addresses=127.0.0.1 -c fsync=off 2>"$folder/postgres.log" &
    pids+=($!)
    ready "$folder/postgres.log" "ready to accept connections" >/dev/null
    store_setting="DATABASE_URL=postgres://postgres@127.0.0.1:$store_port/postgres"
}
"start_$store"

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
        "$store_setting" \
        "target/$profile/examples/web" >"$folder/web-$port.log" 2>&1 &
    pids+=($!)
done
for port in "${ports[@]}"; do ready "$folder/web-$port.log" "^listening on "; done

export ISSUER="$issuer" PORTS="${ports[*]}" STORE_PORT="$store_port"
case "${1:-}" in
"")
    echo "sign in at http://127.0.0.1:${ports[0]}: the other replicas know you as well; Ctrl-C stops all"
    wait "${pids[@]}"
    ;;
prove) node examples/replicas/prove.mjs ;;
*) "$@" ;; # Another program, with the three running.
esac
