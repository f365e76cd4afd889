#!/usr/bin/env bash
# Runs the `web` example with its sessions in a file, and the development provider as a process of its own. Enter
# restarts `web`, and whoever is signed in stays so; Ctrl-C stops both. Needs Rust and a C compiler.
#
# PORT (3080) and PROVIDER_PORT (3081) choose the ports, FOLDER (target/durable) where the file and the session secret
# are kept. BUILT=1 takes the programs as they are.
set -euo pipefail
cd "$(dirname "$0")/../.."

port=${PORT:-3080}
provider_port=${PROVIDER_PORT:-3081}
folder=${FOLDER:-target/durable}

[ -n "${BUILT:-}" ] || cargo build --quiet --all-features --example web --example provider
programs=${CARGO_TARGET_DIR:-target}/debug/examples

umask 077
mkdir -p "$folder"
# Sessions can be read with the secret they were sealed with.
[ -s "$folder/secret" ] || head -c 48 /dev/urandom | base64 -w 0 >"$folder/secret"

provider= web=
stop() {
    [ -z "$web" ] || kill "$web" 2>/dev/null || true
    [ -z "$provider" ] || kill "$provider" 2>/dev/null || true
    wait
}
trap stop EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# Waits until a program says that it is ready.
ready() {
    for _ in $(seq 300); do
        if grep -q "^listening on " "$1"; then return; fi
        kill -0 "$2" 2>/dev/null || break
        sleep 0.1
    done
    cat "$1" >&2
    exit 1
}
start_web() {
    env PORT="$port" \
        OPENID_ISSUER="http://127.0.0.1:$provider_port" \
        OPENID_CLIENT_ID=development \
        OPENID_CLIENT_SECRET=development-secret \
        OPENID_AUDIENCE=https://api.example.com \
        OPENID_SESSION_SECRET="$(cat "$folder/secret")" \
        DATABASE_URL="sqlite:$folder/sessions.db" \
        "$programs/web" >"$folder/web.log" 2>&1 &
    web=$!
    ready "$folder/web.log" "$web"
    echo "web runs at http://127.0.0.1:$port: sign in, press Enter to restart it, reload the page: still signed in"
}

PORT=$provider_port "$programs/provider" >"$folder/provider.log" 2>&1 &
provider=$!
ready "$folder/provider.log" "$provider"
start_web
while read -r; do
    kill "$web"
    wait "$web" || true
    start_web
done
wait
