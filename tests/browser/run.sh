#!/usr/bin/env bash
# The demo's first page, and the chat, in a browser: headless Chromium, by way of its DevTools protocol.
#
#   tests/browser/run.sh [DIR]   the pictures that were taken are left in DIR
#
# EVLOOP_HTTP_SERVER is the program, and `chat` is beside it; without it the examples are built. Debian's packages that are missing are installed.
set -euo pipefail
cd "$(dirname "$0")/../.."

missing=()
command -v chromium >/dev/null || missing+=(chromium)
command -v openssl >/dev/null || missing+=(openssl)
/usr/bin/python3 -c 'import websockets' 2>/dev/null || missing+=(python3 python3-websockets)
if [ "${#missing[@]}" -gt 0 ]; then
    command -v apt-get >/dev/null || { echo "missing: ${missing[*]}"; exit 2; }
    # Mirrors have their moments, and another apt may be at work.
    patient=(-o Acquire::Retries=3 -o DPkg::Lock::Timeout=300)
    apt-get "${patient[@]}" update -qq
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get "${patient[@]}" install -qq -y --no-install-recommends "${missing[@]}" >/dev/null
fi

if [ -z "${EVLOOP_HTTP_SERVER:-}" ]; then
    cargo build --quiet --locked --example http_server --example chat
    EVLOOP_HTTP_SERVER=${CARGO_TARGET_DIR:-target}/debug/examples/http_server
fi

# Everything is on this machine, whatever way there is to others.
export no_proxy='*' NO_PROXY='*'
scratch=$(mktemp -d)
# A browser's helpers may write a moment longer than itself.
trap 'rm -rf "$scratch" || true' EXIT
pictures=${1:-$scratch/pictures}
mkdir -p "$pictures"
status=0
# It ends by itself long before; and its children with it.
look() { timeout --kill-after=5 300 /usr/bin/python3 "tests/browser/$1.py" "$2" "$scratch" "$pictures" || status=$?; }
look page "$EVLOOP_HTTP_SERVER"
look chat "$(dirname "$EVLOOP_HTTP_SERVER")/chat"
[ -z "${1:-}" ] || echo "pictures: $pictures"
exit "$status"
