#!/usr/bin/env bash
# The soak of reliability.md section 8: mixed load with faults against the demo server, for so many seconds
# (180 unless said; 1800 before a release). EVLOOP_CHAOS_SEED repeats a run, EVLOOP_HTTP_SERVER names
# another build of the server.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v strace >/dev/null || { echo "strace is not installed" >&2; exit 2; }
seconds=${1:-180}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "usage: $0 [SECONDS]" >&2; exit 2; }

cargo build --quiet --release --locked --example http_server
SOAK_SECONDS=$seconds timeout $((seconds + 120)) \
    cargo test --quiet --release --locked --test soak -- --ignored --nocapture
