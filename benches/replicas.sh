#!/usr/bin/env bash
# Requests per second of `web` with its sessions in Redis. Compare within one run only: replicas, Redis
# and the load share the machine. Needs wrk, and what examples/replicas/run.sh needs.
set -euo pipefail
cd "$(dirname "$0")/.."
for age in 1s 0; do
    PROFILE=release TOKEN_LIFETIME=3600 OPENID_NEAR_CACHE_AGE=$age \
        examples/replicas/run.sh node benches/replicas.mjs
done
