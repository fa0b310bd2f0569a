#!/usr/bin/env bash
# Faults injected into the system calls that files are served and stored with (reliability.md R16, R17, sections 4 and 5):
# the demo server with strace attached, and curl. Each injection must have taken place. What is answered must be a clear
# status, the whole file, or a connection that was visibly cut; nothing half-written is left, what was there before
# stays, others are served, and the descriptors are as many as before.
#
#   tests/faults/files.sh            builds examples/http_server
#   tests/faults/files.sh PROGRAM    takes this one
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in strace curl; do
    command -v $tool >/dev/null || { echo "$tool is not installed" >&2; exit 2; }
done
probe=${1:-}
if [ -z "$probe" ]; then
    cargo build --quiet --locked --example http_server || exit 2
    probe=${CARGO_TARGET_DIR:-target}/debug/examples/http_server
fi
. tests/faults/words.sh

mkdir "$dir/root" "$dir/up"
head -c 3000 /dev/urandom >"$dir/root/small"
head -c 12000000 /dev/urandom >"$dir/root/large"
head -c 400000 /dev/urandom >"$dir/body"
echo 'as it was' >"$dir/up/old"
pid=
stop() {
    [ -z "$pid" ] || { kill "$pid" 2>/dev/null && wait "$pid" || true; }
    pid=
}
trap 'stop; rm -rf "$dir" || true' EXIT

# start BACKEND
start() {
    : >"$dir/out"
    "$probe" --listen 127.0.0.1:0 --backend "$1" --root "$dir/root" --upload-dir "$dir/up" --quiet \
        >"$dir/out" 2>"$dir/err" </dev/null &
    pid=$!
    local n
    for ((n = 0; n < 600; n++)); do
        url=$(sed -n 's/^listening on //p' "$dir/out")
        [ -z "$url" ] || break
        sleep 0.05
    done
    [ -n "$url" ] || { echo "it does not say that it listens" >&2; exit 2; }
}
descriptors() { find "/proc/$pid/fd" -mindepth 1 2>/dev/null | wc -l; }
sockets() { find "/proc/$pid/fd" -mindepth 1 -lname 'socket:*' 2>/dev/null | wc -l; }
ask() { curl -sS -m 30 --noproxy '*' "$@"; }

# attached CALLS [INJECTION…]: strace from now on, until `detached`.
attached() {
    # What the one before has said is not to be taken for this one's.
    : >"$trace"
    : >"$dir/strace.err"
    local options=(-f -y -p "$pid" -o "$trace" -e "trace=$1") n injection
    for injection in "${@:2}"; do options+=(-e "inject=$injection"); done
    strace "${options[@]}" 2>"$dir/strace.err" &
    tracer=$!
    for ((n = 0; n < 1000; n++)); do
        grep -q attached "$dir/strace.err" && return
        sleep 0.02
    done
    fail "strace does not attach: $(cat "$dir/strace.err")"
}
detached() { kill "$tracer" 2>/dev/null; wait "$tracer" 2>/dev/null || true; }

# asked CURL...: asks; what has become of it is in $got and $code.
asked() {
    rm -f "$dir/got"
    got=$(ask -o "$dir/got" -w '%{http_code}' "$@" 2>"$dir/curl.err") && code=0 || code=$?
}

# want EXPECTED WHAT: the status was one of EXPECTED, divided by |. 200 has all the bytes of $good; `cut` is a connection that
# ended early.
want() {
    local expected=$1 what=$2 size
    checks=$((checks + 1))
    if [ $code -ne 0 ]; then
        size=$(stat -c %s "$dir/got" 2>/dev/null || echo 0)
        # 18, 52, 55, 56: less than was said, nothing, or a reset.
        case "$code|$expected" in
            *cut*) [[ "18 52 55 56" == *"$code"* ]] && return ;;
        esac
        fail "$what: curl ended with $code after $size bytes: $(cat "$dir/curl.err")"
    elif [[ "|$expected|" != *"|$got|"* ]]; then
        fail "$what: status $got, not $expected"
    elif [ "$got" = 200 ] && [ -n "$good" ] && ! cmp -s "$good" "$dir/got"; then
        fail "$what: other bytes"
    fi
}

# row CALL FAULT EXPECTED CURL...: with this call failing so. Then everything is as before.
row() {
    local what="$backend $1:$2 ${*: -1}" call=$1 fault=$2 expected=$3 n; shift 3
    # Attaching takes a moment, which may be too long: then once more.
    for n in 1 2 3; do
        rm -f "$dir/up/new"
        echo 'as it was' >"$dir/up/old"
        attached "$call" "$call:$fault"
        asked "$@"
        detached
        ! grep -q '(INJECTED)' "$trace" || break
        [ "$n" -lt 3 ] || fail "$what was never injected"
    done
    want "$expected" "$what"
    after "$what"
}

# after WHAT: nothing is left of it, and others are served.
after() {
    local what=$1 n left code=0
    kill -0 "$pid" 2>/dev/null || { wait "$pid" || code=$?; echo "$what: the server has ended with $code: $(cat "$dir/err" "$trace")" >&2; exit 1; }
    [ "$(ask "$url/plaintext" 2>&1)" = 'Hello, World!' ] || fail "$what: others are not served"
    for ((n = 0; n < 500; n++)); do
        left=$(find "$dir/up" -name '.*' -type f)
        [ -z "$left" ] && [ "$(descriptors)" -le "$before" ] && break
        sleep 0.02
    done
    [ -z "$left" ] || fail "$what: it leaves $left"
    [ "$(descriptors)" -le "$before" ] || fail "$what: $(descriptors) descriptors, $before before"
    [ "$(tr -d '\0' <"$dir/up/old" | head -c 100)" = 'as it was' ] || fail "$what: the old file is another"
    [ ! -e "$dir/up/new" ] || cmp -s "$dir/body" "$dir/up/new" || fail "$what: half a file has the name"
    rm -f "$dir/up/new"
}

# Stat has several names.
stat_call() {
    attached fstat,newfstatat,statx
    ask -o /dev/null "$url/files/small"
    detached
    sed -nE 's/^[0-9]+ +([a-z0-9]+)\(.*small.*/\1/p' "$trace" | head -n 1
}

# nth CALL TEXT CURL...: the number of the first such call whose line has TEXT.
nth() {
    local call=$1 text=$2; shift 2
    attached "$call"
    ask -o /dev/null "$@" || true
    detached
    rm -f "$dir/up/new"
    grep "$call(" "$trace" | grep -n -- "$text" | head -n 1 | cut -d: -f1
}

for backend in epoll poll; do
    start "$backend"
    nobody=$(sockets)
    ask -o /dev/null "$url/files/small" && ask -o /dev/null "$url/plaintext"
    # Those who have asked are gone when there are no more sockets than before them.
    for ((n = 0; n < 500; n++)); do
        [ "$(sockets)" -gt "$nobody" ] || break
        sleep 0.02
    done
    before=$(descriptors)

    # --- Serving: opened, looked at, read.
    good=$dir/root/small
    for name in small large; do
        good=$dir/root/$name
        for error in EMFILE ENFILE ENOMEM; do row openat2 error=$error:when=1+ 503 "$url/files/$name"; done
        row openat2 error=EIO:when=1+ 500 "$url/files/$name"
        row openat2 error=EACCES:when=1+ 403 "$url/files/$name"
        row openat2 error=ELOOP:when=1+ 404 "$url/files/$name"
        row openat2 error=EINTR:when=1..3 200 "$url/files/$name"
        # Directories that are being moved; again and again it is given up.
        row openat2 error=EAGAIN:when=1..3 200 "$url/files/$name"
        row openat2 error=EAGAIN:when=1+ 503 "$url/files/$name"
    done
    look=$(stat_call)
    [ -n "$look" ] || fail "$backend: files are not looked at"
    for error in EIO ENOMEM EOVERFLOW; do row "$look" error=$error:when=1+ '404|500|503' "$url/files/large"; done
    good=$dir/root/small
    row pread64 error=EIO:when=1 500 "$url/files/small"
    row pread64 error=EINTR:when=1..3 200 "$url/files/small"
    # Shorter than it was said to be, time and again.
    row pread64 retval=0:when=1+ 503 "$url/files/small"
    good=
    row getdents64 error=EIO:when=1 '500|cut' "$url/files/"
    row getdents64 error=EINTR:when=1 '200|500|cut' "$url/files/"

    # --- Sent by the system.
    good=$dir/root/large
    for error in EIO ENOMEM EPIPE ECONNRESET; do
        for when in 1 2 3; do row sendfile error=$error:when=$when 'cut|500' "$url/files/large"; done
    done
    for error in EINTR EAGAIN; do
        row sendfile error=$error:when=1..3 200 "$url/files/large"
        row sendfile error=$error:when=1+2 200 "$url/files/large"
    done
    # The file has become shorter.
    row sendfile retval=0:when=2 cut "$url/files/large"
    # What the system cannot send is copied.
    for error in EINVAL ENOSYS; do row sendfile error=$error 200 "$url/files/large"; done

    # --- Storing.
    good=
    put=(-H Expect: -T "$dir/body")
    for error in ENOSPC EDQUOT; do row openat error=$error:when=1 507 "${put[@]}" "$url/upload/new"; done
    for error in EACCES EROFS; do row openat error=$error:when=1 403 "${put[@]}" "$url/upload/new"; done
    for error in EIO EMFILE; do row openat error=$error:when=1 '500|503' "${put[@]}" "$url/upload/new"; done
    row openat error=EINTR:when=1..2 201 "${put[@]}" "$url/upload/new"
    row openat error=EEXIST:when=1..2 201 "${put[@]}" "$url/upload/new"
    for name in new old; do
        for when in 1 3; do
            for error in ENOSPC EDQUOT EFBIG; do row write error=$error:when=$when '507|cut' "${put[@]}" "$url/upload/$name"; done
            row write error=EIO:when=$when '500|cut' "${put[@]}" "$url/upload/$name"
        done
        row renameat error=EIO:when=1 500 "${put[@]}" "$url/upload/$name"
        row renameat error=ENOSPC:when=1 507 "${put[@]}" "$url/upload/$name"
        row renameat error=EACCES:when=1 403 "${put[@]}" "$url/upload/$name"
    done
    row write error=EINTR:when=1..2 201 "${put[@]}" "$url/upload/new"
    row renameat error=EINTR:when=1 201 "${put[@]}" "$url/upload/new"
    # A file system that cannot rename without replacing (NFS, FUSE): the file gets a second name, and loses the first.
    for error in EINVAL ENOSYS EOPNOTSUPP; do
        row renameat2 error=$error:when=1 201 "${put[@]}" -H 'If-None-Match: *' "$url/upload/new"
    done
    row renameat2 error=EEXIST:when=1 409 "${put[@]}" -H 'If-None-Match: *' "$url/upload/new"
    row openat2 error=EIO:when=1+ 500 "${put[@]}" "$url/upload/new"

    # Some file systems say only when a file is closed that it could not be written. Strace does not let it be closed.
    close=$(nth close '\.part' "${put[@]}" "$url/upload/new")
    [ -n "$close" ] || fail "$backend: files are not closed"
    for error in EIO ENOSPC EDQUOT; do
        before=$((before + 1))
        row close error=$error:when="$close" '500|507' "${put[@]}" "$url/upload/new"
    done

    # It cannot even be removed: it stays, under a name that nobody is served, and nobody is told that it went well.
    attached write,unlinkat write:error=ENOSPC:when=1 unlinkat:error=EIO:when=1
    asked "${put[@]}" "$url/upload/new"
    detached
    want '507|cut' "$backend: a file that cannot be removed"
    [ "$(grep -c INJECTED "$trace")" = 2 ] || fail "$backend: unlinkat was not injected"
    [ "$(find "$dir/up" -name '.*' -type f | wc -l)" = 1 ] || fail "$backend: what cannot be removed is not there"
    find "$dir/up" -name '.*' -type f -delete
    after "$backend: a file that cannot be removed"

    # Afterwards everything works.
    good=
    asked "${put[@]}" "$url/upload/new"
    want 201 "$backend: the end"
    cmp -s "$dir/body" "$dir/up/new" || fail "$backend: the end: other bytes"
    rm "$dir/up/new"
    kill -TERM "$pid"
    code=0; wait "$pid" || code=$?
    pid=
    [ $code = 0 ] || fail "$backend: it ended with $code"
    ! grep -qi panic "$dir/err" || fail "$backend: a panic: $(cat "$dir/err")"
done

if [ "$failures" -gt 0 ]; then
    echo "files: $failures of $checks checks failed" >&2
    exit 1
fi
echo "files: $checks checks passed"
