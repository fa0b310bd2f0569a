#!/usr/bin/env bash
# Conversations in pieces: with a preload shim, what is read and written is cut at any byte, interrupted, or not
# ready after all (reliability.md section 4: "same bytes, same result"). The shim sees the calls of libc,
# so evloop is built anew with rustix on libc, in a target directory of its own (some 15 s; the probe is
# compiled without the crates that only tests need).
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v cc >/dev/null || { echo "cc is not installed" >&2; exit 2; }
command -v openssl >/dev/null || { echo "openssl is not installed" >&2; exit 2; }

target=${CARGO_TARGET_DIR:-target}/libc
RUSTFLAGS="${RUSTFLAGS:-} --cfg=rustix_use_libc" CARGO_TARGET_DIR=$target \
    cargo build --quiet --locked --lib --no-default-features --features tls

dir=$(mktemp -d)
# What is killed leaves its files in here.
export TMPDIR=$dir
trap 'rm -rf "$dir" || true' EXIT
libc=$(find "$target/debug/deps" -name 'liblibc-*.rlib' -printf '%T@ %p\n' | sort -n | tail -n 1 | cut -d' ' -f2-)
rustc --edition 2024 -C debug-assertions=on --cfg 'feature="net"' --cfg 'feature="tls"' -o "$dir/probe" \
    --extern evloop="$target/debug/libevloop.rlib" --extern libc="$libc" -L dependency="$target/debug/deps" \
    tests/net_faults_probe.rs
cc -shared -fPIC -O1 -Wall -Werror -o "$dir/shim.so" tests/faults/io_shim.c
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$dir/key.pem" -out "$dir/certificate.pem" 2>/dev/null
export EVLOOP_PROBE_IDENTITY=$dir

checks=0
failures=0
for backend in epoll poll; do
    for scenario in echo gather file pipes descriptors accept adopt dial dial-unix both-tcp both-unix both-tls; do
        expected=$("$dir/probe" "$backend" "$scenario")
        for how in 'SHIM_MAX=1' 'SHIM_MAX=1 SHIM_EVERY=5' 'SHIM_MAX=3000 SHIM_RANDOM=1 SHIM_EVERY=7' \
            'SHIM_EVERY=3'; do
            checks=$((checks + 1))
            rm -f "$dir/count"
            # shellcheck disable=SC2086
            said=$(timeout 60 env $how SHIM_COUNT="$dir/count" LD_PRELOAD="$dir/shim.so" \
                "$dir/probe" "$backend" "$scenario" 2>"$dir/err") || said="$said (ended with $?)"
            if [ "$said" != "$expected" ] || [ "$(cat "$dir/count" 2>/dev/null || echo 0)" -eq 0 ]; then
                failures=$((failures + 1))
                echo "FAILED: $backend $scenario with $how said '$said' instead of '$expected'" >&2
                head -n 5 "$dir/err" >&2
            fi
        done
    done
done
if [ "$failures" -gt 0 ]; then
    echo "short reads and writes: $failures of $checks checks failed" >&2
    exit 1
fi
echo "short reads and writes: $checks checks passed"
