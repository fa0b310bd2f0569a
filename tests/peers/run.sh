#!/usr/bin/env bash
# Other people's clients and proxies against the demo server: curl, wrk, ab, h2load, Python's http.client and websockets,
# openssl, nginx, haproxy.
#
#   tests/peers/run.sh                 builds examples/http_server and starts it
#   tests/peers/run.sh PROGRAM         starts this one, which takes the same options
#   tests/peers/run.sh --at HOST:PORT  uses one that runs; what needs options of ours is left out
#
# What the server has no option or route for is left out too, and that is said.
#
# Prints `ok NAME` or `FAILED NAME: why` for each check, the counts at the end, and exits 1 if one failed. Takes
# about a minute. No port is fixed: the server's is the system's choice, the proxies listen on Unix sockets.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/../.." || exit 2

need() { # need COMMAND PACKAGE: installs a Debian package if the command is missing
    command -v "$1" >/dev/null && return
    command -v apt-get >/dev/null || { echo "missing: $1" >&2; exit 2; }
    [ -n "${apt_updated:-}" ] || { apt-get update -qq && apt_updated=1; }
    # Nothing is to be started that the package would start.
    DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 apt-get install -qq -y "$2" >/dev/null || { echo "cannot install: $2" >&2; exit 2; }
}
PATH=$PATH:/usr/sbin:/sbin
need curl curl
need python3 python3
need wrk wrk
need ab apache2-utils
need h2load nghttp2-client
need nginx nginx-light
need haproxy haproxy
need openssl openssl
# Debian's package is for Debian's Python, which need not be the first.
python=
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import websockets' 2>/dev/null; then python=$candidate; break; fi
done
if [ -z "$python" ] && command -v apt-get >/dev/null; then
    DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-websockets >/dev/null 2>&1
    if /usr/bin/python3 -c 'import websockets' 2>/dev/null; then python=/usr/bin/python3; fi
fi

# Everything is on this machine, whatever way there is to others.
export no_proxy='*' NO_PROXY='*'
dir=$(mktemp -d)
results=$dir/results
: >"$results"
pids=()
finish() {
    local pid
    for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null; done
    for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null; done
    rm -rf "$dir"
}
trap finish EXIT
trap 'exit 130' INT TERM

say() { printf '%s\n' "$1" | tee -a "$results"; }
check() { # check NAME COMMAND...: what it prints is why it failed
    local name=$1 why; shift
    if why=$("$@" 2>&1 </dev/null); then
        say "ok $name"
    else
        why=$(tr -s '\r\n\t ' ' ' <<<"$why" | tr -cd '[:print:]' | tail -c 300)
        say "FAILED $name: ${why:-no reason given}"
    fi
}
is() { # is GOT EXPECTED [WHAT]
    [ "$1" = "$2" ] && return
    echo "${3:-it} is '${1:0:120}', not '${2:0:120}'"
    return 1
}
has() { # has FILE REGEX: one line does
    grep -qiE -- "$2" "$1" && return
    echo "no line with '$2' in: $(head -c 600 "$1")"
    return 1
}
lacks() { # lacks FILE REGEX
    ! grep -iE -- "$2" "$1"
}
get() { timeout 130 curl -sS -m 120 --noproxy '*' "$@"; }
status() { # status EXPECTED ARGUMENT...: the status of a request is one of these, divided by |
    local expected=$1 got; shift
    got=$(get -o /dev/null -w '%{http_code}' "$@" 2>"$dir/status.err")
    [[ "|$expected|" == *"|$got|"* ]] || { echo "status $got, not $expected; $(cat "$dir/status.err")"; return 1; }
}
wait_until() { # wait_until SECONDS COMMAND...
    local end=$((SECONDS + $1)); shift
    until "$@" 2>/dev/null; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.05
    done
}

# --- The server.

server=
if [ "${1:-}" = --at ]; then
    at=${2:?usage: $0 --at HOST:PORT}
else
    program=${1:-}
    if [ -z "$program" ]; then
        cargo build --quiet --locked --example http_server || exit 2
        program=${CARGO_TARGET_DIR:-target}/debug/examples/http_server
    fi
    mkdir "$dir/root" "$dir/uploads"
    head -c 300000 /dev/urandom >"$dir/root/file.bin"
    echo '<p>hello' >"$dir/root/page.html"
    options=()
    for option in "--root $dir/root" "--upload-dir $dir/uploads"; do
        # shellcheck disable=SC2206
        if "$program" --help | grep -q -- "^ *${option% *} "; then options+=($option); fi
    done
    "$program" --listen 127.0.0.1:0 "${options[@]}" >"$dir/server.out" 2>"$dir/server.err" </dev/null &
    server=$!
    pids+=("$server")
    wait_until 30 grep -q '^listening on http://' "$dir/server.out" \
        || { echo "FAILED start: it does not say that it listens: $(head -c 500 "$dir/server.err")"; exit 1; }
    at=$(sed -n '1s|^listening on http://||p' "$dir/server.out")
fi
url=http://$at
hello='Hello, World!'
there() { # there METHOD PATH: somebody answers that
    local code
    code=$(get -o /dev/null -w '%{http_code}' -m 2 -X "$1" "$url$2" 2>/dev/null)
    [ "$code" != 404 ]
}
left_out() { echo "left out $1: it is not there"; }
files= uploads= forms= events= sockets=
[ -z "$server" ] || [ ! -e "$dir/root" ] || ! there GET /files/page.html || files=yes
[ -z "$server" ] || ! there PUT /upload/try || uploads=yes
! there POST /form || forms=yes
! there GET '/events?ms=50' || events=yes
! there GET /ws || sockets=yes

head -c 65536 /dev/urandom >"$dir/small"
head -c 1048576 /dev/urandom >"$dir/middle"
head -c 104857600 /dev/urandom >"$dir/large"

# --- curl.

curl_get() {
    is "$(get -D "$dir/head" "$url/plaintext")" "$hello" body && has "$dir/head" '^HTTP/1.1 200 ' \
        && has "$dir/head" '^content-length: 13' && has "$dir/head" '^content-type: text/plain' && has "$dir/head" '^date: ' \
        && lacks "$dir/head" '^(connection: close|transfer-encoding)' && is "$(get "$url/json")" '{"message":"Hello, World!"}'
}
curl_head() {
    get -I -w 'size %{size_download}\n' "$url/plaintext" >"$dir/head" || return
    has "$dir/head" '^HTTP/1.1 200 ' && has "$dir/head" '^content-length: 13' && has "$dir/head" '^size 0'
}
curl_query() { is "$(get "$url/query?a=1&b=%20x+y&a" | tr -d ' \n')" '[["a","1"],["b","xy"],["a",""]]'; }
curl_post_fixed() {
    get -D "$dir/head" -o "$dir/back" -H 'Content-Type: x/y' -H 'Expect:' --data-binary "@$dir/small" "$url/echo" \
        && cmp "$dir/small" "$dir/back" && has "$dir/head" '^content-length: 65536' && has "$dir/head" '^content-type: x/y'
}
curl_post_chunked() {
    get -D "$dir/head" -o "$dir/back" -H 'Transfer-Encoding: chunked' -H 'Expect:' --data-binary "@$dir/small" "$url/echo" \
        && cmp "$dir/small" "$dir/back" && has "$dir/head" '^transfer-encoding: chunked' && lacks "$dir/head" '^content-length'
}
curl_post_nothing() {
    get -D "$dir/head" -o "$dir/back" -X POST -H 'Content-Length: 0' "$url/echo" && has "$dir/head" '^HTTP/1.1 200 ' && is "$(wc -c <"$dir/back")" 0
}
curl_continue() { # It waits for the 100 for ten seconds, and would be too late.
    local took
    took=$(get -v --expect100-timeout 10 -w '%{time_total}' -o "$dir/back" -H 'Expect: 100-continue' --data-binary "@$dir/small" "$url/echo" 2>"$dir/log") \
        && has "$dir/log" '^< HTTP/1.1 100 ' && cmp "$dir/small" "$dir/back" && { [ "${took%.*}" -lt 5 ] || { echo "took $took s"; false; }; }
}
curl_other_expectation() { status 417 -H 'Expect: wonders' -d x "$url/echo"; }
sums() { # sums NAME ARGUMENT...: what comes back has the checksum of the file
    local name=$1 sum; shift
    sum=$(timeout 130 curl -sS -m 120 --noproxy '*' "$@" | sha256sum) && is "$sum" "$(sha256sum <"$dir/$name")" checksum
}
curl_large_fixed() { sums large -X POST -T "$dir/large" "$url/echo"; }
curl_large_chunked() { sums large -X POST -T - "$url/echo" <"$dir/large"; }
curl_reuse() { is "$(get -w '%{num_connects}' -o /dev/null -o /dev/null -o /dev/null "$url/plaintext" "$url/json" "$url/plaintext")" 100 'connects per request'; }
curl_reuse_after_error() { is "$(get -w '%{num_connects}' -o /dev/null -o /dev/null "$url/nothing-here" "$url/plaintext")" 10 'connects per request'; }
curl_http10() {
    is "$(get -0 -D "$dir/head" "$url/plaintext")" "$hello" && lacks "$dir/head" '^(transfer-encoding|connection: keep-alive)' \
        && get -0 -D "$dir/head" -o /dev/null -H 'Connection: keep-alive' "$url/plaintext" && has "$dir/head" '^connection: keep-alive'
}
curl_http10_stream() {
    is "$(get -0 -D "$dir/head" "$url/stream?n=5&ms=1" | wc -l)" 5 lines && lacks "$dir/head" '^(transfer-encoding|content-length)'
}
curl_stream() {
    is "$(get -D "$dir/head" "$url/stream?n=20&ms=1" | wc -l)" 20 lines && has "$dir/head" '^transfer-encoding: chunked'
}
three_events() { # three_events ARGUMENT...: they come, and are no more than a small part of what somebody might gather
    timeout 20 curl -sSN -m 10 --noproxy '*' -D "$dir/head" "$@" 2>/dev/null | grep -m 3 '^data:' >"$dir/events"
    has "$dir/head" '^content-type: text/event-stream' && { [ "$(grep -c '^data:' "$dir/events")" -ge 3 ] || { echo 'fewer than 3 events'; false; }; }
}
curl_events() { three_events "$url/events?ms=50"; }
curl_h2c_is_ignored() { is "$(get --http2 -w ' %{http_version}' "$url/plaintext")" "$hello 1.1"; }
curl_h2_is_refused() {
    ! get --http2-prior-knowledge "$url/plaintext" >/dev/null 2>"$dir/log" && curl_get
}
curl_slow() { # Ten at once, 900 ms each: one after the other would take nine seconds.
    local took
    took=$(get -Z --parallel-immediate --parallel-max 10 -o /dev/null -w '%{http_code} %{time_total}\n' "$url/slow?ms=900&n=[1-10]") || return
    is "$(grep -c '^200 ' <<<"$took")" 10 'count of 200' && ! grep -E ' ([6-9]|[0-9]{2,})\.' <<<"$took"
}
curl_worker() { status 200 "$url/worker?ms=20"; }
curl_form() {
    get -o "$dir/back" --data-urlencode 'name=a b&c' -d 'n=1' "$url/form" && has "$dir/back" 'a b&c' && python3 -m json.tool "$dir/back" "$dir/json"
}
curl_multipart() {
    get -o "$dir/back" -F 'field=some text' -F "file=@$dir/small;filename=up.bin;type=x/y" "$url/form" \
        && has "$dir/back" 'some text' && has "$dir/back" 'up\.bin' && has "$dir/back" '65536' && python3 -m json.tool "$dir/back" "$dir/json"
}
curl_upload() { get -T "$dir/middle" "$url/upload/middle.bin" -o /dev/null -f && cmp "$dir/middle" "$dir/uploads/middle.bin"; }
curl_file() {
    get -D "$dir/head" -o "$dir/back" "$url/files/file.bin" && cmp "$dir/root/file.bin" "$dir/back" && has "$dir/head" '^content-length: 300000' \
        && is "$(get "$url/files/page.html")" '<p>hello' && status 404 "$url/files/none"
}
curl_file_range() {
    get -r 1000-1999 -D "$dir/head" -o "$dir/back" "$url/files/file.bin" && has "$dir/head" '^HTTP/1.1 206' \
        && cmp <(tail -c +1001 "$dir/root/file.bin" | head -c 1000) "$dir/back"
}
curl_file_ranges() { # Several parts, the end, behind the end, and going on with half a download.
    get -r 0-9,299990-299999 -D "$dir/head" -o "$dir/back" "$url/files/file.bin" && has "$dir/head" '^HTTP/1.1 206' \
        && has "$dir/head" '^content-type: multipart/byteranges' && [ "$(grep -ac '^Content-Range: bytes' "$dir/back")" = 2 ] \
        && get -r -100 -o "$dir/back" "$url/files/file.bin" && cmp <(tail -c 100 "$dir/root/file.bin") "$dir/back" \
        && status 416 -r 300000- "$url/files/file.bin" && head -c 123456 "$dir/root/file.bin" >"$dir/back" \
        && get -C - -o "$dir/back" "$url/files/file.bin" && cmp "$dir/root/file.bin" "$dir/back"
}
curl_file_times() { # -z asks for what is newer; -R and --etag-compare go by what was said.
    get -R -o "$dir/back" --etag-save "$dir/etag" "$url/files/file.bin" && [ "$(stat -c %Y "$dir/back")" = "$(stat -c %Y "$dir/root/file.bin")" ] \
        && status 304 -z "$dir/back" "$url/files/file.bin" && status 304 --etag-compare "$dir/etag" "$url/files/file.bin" \
        && status 200 -z 'Thu, 01 Jan 1970 00:00:00 GMT' "$url/files/file.bin"
}
curl_file_head() { get -I "$url/files/file.bin" >"$dir/head" && has "$dir/head" '^content-length: 300000' && has "$dir/head" '^accept-ranges: bytes'; }
curl_listing() { get -o "$dir/back" "$url/files/" && has "$dir/back" 'file\.bin' && status 301 "$url/files"; }
curl_upload_again() {
    status 204 -T "$dir/small" "$url/upload/middle.bin" && cmp "$dir/small" "$dir/uploads/middle.bin" \
        && status 412 -H 'If-None-Match: *' -T "$dir/middle" "$url/upload/middle.bin" && cmp "$dir/small" "$dir/uploads/middle.bin" \
        && status 201 -H 'Transfer-Encoding: chunked' -T - "$url/upload/chunked.bin" <"$dir/middle" && cmp "$dir/middle" "$dir/uploads/chunked.bin"
}
curl_file_conditional() {
    local etag
    etag=$(get -I "$url/files/file.bin" | tr -d '\r' | sed -n 's/^etag: //Ip')
    [ -n "$etag" ] && status 304 -H "If-None-Match: $etag" "$url/files/file.bin"
}
curl_traversal() {
    local path
    for path in /files/../../etc/passwd /files/%2e%2e/%2e%2e/etc/passwd /files/..%2f..%2fetc/passwd /files/..%5c..%5cetc/passwd /../etc/passwd /files//etc/passwd; do
        status '400|403|404' --path-as-is "$url$path" || { echo "for $path"; return 1; }
    done
    status 400 "$url/files/%00" && status 400 "$url/%zz" && status 400 "$url/%c0%ae"
}
curl_errors() {
    local target
    target=/$(head -c 9000 /dev/zero | tr '\0' a)
    status 404 "$url/nothing-here" && status 414 "$url$target" && status '501|405' -X FROBNICATE "$url/plaintext" \
        && status '405|501' -X TRACE "$url/plaintext"
}
# Whoever sends it all without waiting to be told may lose the answer: the server reads no more than a little of the rest.
curl_too_large() { status 413 -H 'Expect: 100-continue' --data-binary "@$dir/nine" "$url/form"; }
curl_large_head() {
    local value fields=() n
    value=$(head -c 70000 /dev/zero | tr '\0' a)
    for n in $(seq 110); do fields+=(-H "X-$n: $n"); done
    status 431 -H "X-Large: $value" "$url/plaintext" && status 431 "${fields[@]}" "$url/plaintext"
}
curl_wrong_method() { status 405 -D "$dir/head" -X DELETE "$url/plaintext" && has "$dir/head" '^allow: .*GET'; }
curl_options() {
    status '200|204' -D "$dir/head" -X OPTIONS "$url/plaintext" && has "$dir/head" '^allow: .*GET' \
        && status '200|204' -X OPTIONS --request-target '*' "$url"
}
head -c 9437184 /dev/zero >"$dir/nine"

for name in get head query post_fixed post_chunked post_nothing continue other_expectation reuse reuse_after_error http10 \
    http10_stream stream h2c_is_ignored h2_is_refused slow worker traversal errors large_head wrong_method options; do
    check "curl: ${name//_/ }" "curl_$name"
done
if [ -n "$events" ]; then check 'curl: events' curl_events; else left_out '/events'; fi
if [ -n "$forms" ]; then
    for name in form multipart too_large; do check "curl: ${name//_/ }" "curl_$name"; done
else
    left_out '/form'
fi
check 'curl: 100 MB, known length' curl_large_fixed
check 'curl: 100 MB, chunked' curl_large_chunked
if [ -n "$uploads" ]; then
    check 'curl: upload' curl_upload
    check 'curl: upload again' curl_upload_again
else left_out '/upload'; fi
if [ -n "$files" ]; then
    for name in file file_head file_range file_ranges file_conditional file_times listing; do check "curl: ${name//_/ }" "curl_$name"; done
else
    left_out '/files'
fi

# --- Load generators: what counts is that nothing fails.

wrk_plain() {
    timeout 60 wrk -t2 -c64 -d2s --timeout 20s "$@" >"$dir/log" 2>&1 || { cat "$dir/log"; return 1; }
    lacks "$dir/log" 'socket errors|non-2xx' && has "$dir/log" '[1-9][0-9]* requests in'
}
cat >"$dir/pipeline.lua" <<'LUA'
init = function(args)
    local requests = {}
    for i = 1, 16 do requests[i] = wrk.format("GET", "/plaintext") end
    pipelined = table.concat(requests)
end
request = function() return pipelined end
LUA
ab_keeps_alive() {
    timeout 120 ab -q -k -c 20 -n 5000 "$@" >"$dir/log" 2>&1 || { tail -3 "$dir/log"; return 1; }
    has "$dir/log" '^complete requests: +5000' && has "$dir/log" '^failed requests: +0' && has "$dir/log" '^keep-alive requests: +5000' && lacks "$dir/log" '^non-2xx'
}
h2load_h1() {
    timeout 120 h2load --h1 -c 20 -n 5000 "$@" >"$dir/log" 2>&1 || { tail -3 "$dir/log"; return 1; }
    has "$dir/log" '5000 done, 5000 succeeded, 0 failed, 0 errored, 0 timeout' && has "$dir/log" '5000 2xx'
}
check 'wrk: 64 connections' wrk_plain "$url/plaintext"
check 'wrk: 16 requests in a row' wrk_plain -s "$dir/pipeline.lua" "$url/plaintext"
check 'ab: keep-alive, HTTP/1.0' ab_keeps_alive "$url/plaintext"
head -c 2000 "$dir/small" >"$dir/tiny"
check 'ab: posts' ab_keeps_alive -p "$dir/tiny" -T application/octet-stream "$url/echo"
check 'h2load: HTTP/1.1' h2load_h1 "$url/plaintext"
check 'h2load: 8 at once on each' h2load_h1 -m 8 "$url/json"

# --- Python's http.client, and bytes that no client would send.

timeout 240 python3 "$here/client.py" all "$at" 2>"$dir/python.err" | tee -a "$results"
code=${PIPESTATUS[0]}
[ "$code" -eq 0 ] || say "FAILED python: it ended with $code (124: too slow) $(tail -1 "$dir/python.err")"

# --- Python's websockets.

ws_peer() { # ws_peer URL NAME [CA]
    timeout 600 "$python" "$here/ws.py" client "$@" 2>"$dir/python.err" | tee -a "$results"
    local code=${PIPESTATUS[0]}
    [ "$code" -eq 0 ] || say "FAILED $2: websockets: it ended with $code (124: too slow) $(tail -1 "$dir/python.err")"
}
if [ -z "$sockets" ]; then left_out '/ws'; elif [ -z "$python" ]; then echo 'left out websockets: it is not installed'; else ws_peer "ws://$at/ws" plain; fi

# --- HTTPS: curl, openssl, wrk, and what is not HTTPS.

tls_starts() {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -addext basicConstraints=critical,CA:false -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null || return
    "$program" --listen 127.0.0.1:0 --tls-cert "$dir/cert.pem" --tls-key "$dir/key.pem" "${options[@]}" >"$dir/tls.out" 2>"$dir/tls.err" </dev/null &
    echo $! >"$dir/tls.pid"
    wait_until 30 grep -q '^listening on https://' "$dir/tls.out" || { echo "it does not start: $(cat "$dir/tls.err")"; return 1; }
    secure=$(sed -n '1s|^listening on https://127.0.0.1:||p' "$dir/tls.out")
}
sget() { get --cacert "$dir/cert.pem" --resolve "localhost:$secure:127.0.0.1" "$@"; }
surl() { echo "https://localhost:$secure$1"; }
tls_get() {
    is "$(sget -w ' %{http_version} %{ssl_verify_result}' "$(surl /plaintext)")" "$hello 1.1 0" && is "$(sget --http1.1 "$(surl /plaintext)")" "$hello" \
        && is "$(sget --http2 -w ' %{http_version}' "$(surl /plaintext)")" "$hello 1.1" && is "$(get -k "https://127.0.0.1:$secure/plaintext")" "$hello"
}
tls_versions() {
    is "$(sget --tlsv1.3 "$(surl /plaintext)")" "$hello" && is "$(sget --tls-max 1.2 "$(surl /plaintext)")" "$hello" \
        && ! sget --tls-max 1.1 "$(surl /plaintext)" >/dev/null 2>&1 && ! get "https://localhost:$secure/" >/dev/null 2>&1
}
tls_reuse() { is "$(sget -w '%{num_connects}' -o /dev/null -o /dev/null "$(surl /plaintext)" "$(surl /json)")" 10 'connects per request'; }
tls_echo() { sget -H 'Expect:' --data-binary "@$dir/middle" -o "$dir/back" "$(surl /echo)" && cmp "$dir/middle" "$dir/back"; }
tls_file() { sget -o "$dir/back" "$(surl /files/file.bin)" && cmp "$dir/root/file.bin" "$dir/back" && sget -r 5-9 -o "$dir/back" "$(surl /files/file.bin)" && is "$(wc -c <"$dir/back")" 5; }
tls_upload() { sget -f -T "$dir/middle" -o /dev/null "$(surl /upload/secure.bin)" && cmp "$dir/middle" "$dir/uploads/secure.bin"; }
tls_plain() { status '400|301|308' "http://127.0.0.1:$secure/plaintext"; }
tls_openssl() { # SNI and ALPN; what nobody speaks is not agreed on; nothing more after the end.
    local ask="timeout 60 openssl s_client -connect 127.0.0.1:$secure -servername localhost -CAfile $dir/cert.pem -verify_return_error"
    $ask -alpn h2,http/1.1 <<<Q >"$dir/log" 2>&1
    has "$dir/log" 'ALPN protocol: http/1.1' && has "$dir/log" 'Verify return code: 0' || return
    $ask -tls1_2 -alpn http/1.1 <<<Q >"$dir/log" 2>&1
    has "$dir/log" 'Protocol *: TLSv1.2' || return
    printf 'GET /plaintext HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n' | $ask -quiet -ign_eof >"$dir/log" 2>"$dir/head"
    has "$dir/log" 'Hello, World!' && lacks "$dir/head" 'unexpected eof'
}
tls_h2_alone() {
    timeout 60 openssl s_client -connect "127.0.0.1:$secure" -servername localhost -alpn h2 <<<Q >"$dir/log" 2>&1
    has "$dir/log" 'no application protocol|No ALPN negotiated'
}
tls_reload() { # The same name with another certificate.
    local before
    before=$(openssl x509 -in "$dir/cert.pem" -noout -serial)
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost \
        -addext basicConstraints=critical,CA:false -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>/dev/null || return
    kill -HUP "$tls_server"
    wait_until 30 grep -q 'read again' "$dir/tls.err" || { echo 'it does not read it'; return 1; }
    is "$(sget "$(surl /plaintext)")" "$hello" && [ "$(openssl x509 -in "$dir/cert.pem" -noout -serial)" != "$before" ]
}
secure= tls_server=
if [ -z "$server" ] || ! { "$program" --tls-cert x --tls-key y 2>&1 || :; } | grep -qv 'built without TLS'; then
    left_out HTTPS
else
    check 'tls: start' tls_starts
    # It was started in a subshell, which had the number.
    secure=$(sed -n '1s|^listening on https://127.0.0.1:||p' "$dir/tls.out")
fi
if [ -n "$secure" ]; then
    tls_server=$(cat "$dir/tls.pid")
    pids+=("$tls_server")
    for name in get versions reuse echo file upload plain openssl h2_alone; do check "tls: ${name//_/ }" "tls_$name"; done
    check 'tls: wrk' wrk_plain "https://127.0.0.1:$secure/plaintext"
    [ -z "$python" ] || [ -z "$sockets" ] || ws_peer "wss://127.0.0.1:$secure/ws" tls "$dir/cert.pem"
    check 'tls: another certificate' tls_reload
    kill "$tls_server" 2>/dev/null
fi

# --- Front proxies. Both keep connections to the server.

user=
[ "$(id -u)" -ne 0 ] || user='user root;'
cat >"$dir/nginx.conf" <<CONF
$user
daemon off;
worker_processes 1;
pid $dir/nginx.pid;
error_log $dir/nginx.err warn;
events { worker_connections 256; }
http {
    access_log off;
    client_body_temp_path $dir/nginx.body;
    proxy_temp_path $dir/nginx.proxy;
    fastcgi_temp_path $dir/nginx.fastcgi;
    uwsgi_temp_path $dir/nginx.uwsgi;
    scgi_temp_path $dir/nginx.scgi;
    client_max_body_size 0;
    keepalive_requests 100000;
    upstream server { server $at; keepalive 8; keepalive_requests 100000; }
    server {
        listen unix:$dir/nginx.sock;
        location / {
            proxy_pass http://server;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_request_buffering off;
            proxy_buffering off;
            # A failure is to be seen, not to be tried again.
            proxy_next_upstream off;
        }
        location /ws {
            proxy_pass http://server;
            proxy_http_version 1.1;
            proxy_set_header Upgrade \$http_upgrade;
            proxy_set_header Connection "upgrade";
        }
    }
}
CONF
cat >"$dir/haproxy.conf" <<CONF
global
    maxconn 256
defaults
    mode http
    option http-keep-alive
    http-reuse always
    retries 0
    timeout connect 5s
    timeout client 20s
    timeout server 20s
frontend front
    bind unix@$dir/haproxy.sock
    default_backend server
backend server
    server demo $at
CONF
mkdir -p "$dir"/nginx.{body,proxy,fastcgi,uwsgi,scgi}
nginx -p "$dir" -e "$dir/nginx.err" -c "$dir/nginx.conf" >"$dir/nginx.out" 2>&1 &
pids+=($!)
haproxy -db -f "$dir/haproxy.conf" >"$dir/haproxy.out" 2>&1 &
pids+=($!)

through_head() { get --unix-socket "$dir/$1.sock" -I "http://x/plaintext" >"$dir/head" && has "$dir/head" ' 200 ' && has "$dir/head" '^content-length: 13'; }
through_fixed() { get --unix-socket "$dir/$1.sock" -H 'Expect:' --data-binary "@$dir/middle" -o "$dir/back" http://x/echo && cmp "$dir/middle" "$dir/back"; }
through_chunked() {
    get --unix-socket "$dir/$1.sock" -H 'Expect:' -H 'Transfer-Encoding: chunked' --data-binary "@$dir/middle" -D "$dir/head" -o "$dir/back" http://x/echo \
        && cmp "$dir/middle" "$dir/back" && has "$dir/head" '^transfer-encoding: chunked'
}
through_errors() {
    status 404 --unix-socket "$dir/$1.sock" http://x/nothing-here && status 405 --unix-socket "$dir/$1.sock" -X DELETE http://x/plaintext
}
through_events() { # One by one as they are sent, not when there are many.
    three_events --unix-socket "$dir/$1.sock" 'http://x/events?ms=300'
}
through_range() { get --unix-socket "$dir/$1.sock" -r 1000-1999 -o "$dir/back" http://x/files/file.bin && cmp <(tail -c +1001 "$dir/root/file.bin" | head -c 1000) "$dir/back"; }
# One way only: proxies need not pass on a reply while the request still comes.
through_upload() { get --unix-socket "$dir/$1.sock" -f -o /dev/null -T "$dir/large" "http://x/upload/$1" && cmp "$dir/large" "$dir/uploads/$1"; }
for proxy in nginx haproxy; do
    # The file is there before anybody listens at it.
    if ! wait_until 30 get --unix-socket "$dir/$proxy.sock" -o /dev/null http://x/plaintext; then
        say "FAILED $proxy: it does not start: $(cat "$dir/$proxy".{out,err} 2>/dev/null | tr '\n' ' ' | tail -c 300)"
        continue
    fi
    for name in head fixed chunked errors; do check "$proxy: $name" "through_$name" "$proxy"; done
    [ -z "$events" ] || check "$proxy: events" through_events "$proxy"
    [ -z "$files" ] || check "$proxy: range" through_range "$proxy"
    [ -z "$uploads" ] || check "$proxy: 100 MB, uploaded" through_upload "$proxy"
    [ -z "$sockets" ] || [ -z "$python" ] || ws_peer "unix:$dir/$proxy.sock" "$proxy"
    timeout 240 python3 "$here/client.py" mixed "unix:$dir/$proxy.sock" "$proxy" 2>"$dir/python.err" | tee -a "$results"
    code=${PIPESTATUS[0]}
    [ "$code" -eq 0 ] || say "FAILED $proxy: the client ended with $code (124: too slow) $(tail -1 "$dir/python.err")"
done

# --- The end: it has survived all that, and ends when told to.

check 'server: still answers' curl_get
server_ends() {
    kill -TERM "$server" || return
    timeout 60 tail --pid="$server" -f /dev/null || { echo 'it does not end'; return 1; }
    lacks "$dir/server.err" 'panicked'
}
if [ -n "$server" ]; then
    check 'server: SIGTERM ends it' server_ends
    code=0; wait "$server" || code=$?
    check 'server: exits with 0' is "$code" 0 'the exit code'
fi

good=$(grep -c '^ok ' "$results")
bad=$(grep -c '^FAILED ' "$results")
echo "$good ok, $bad failed, in $SECONDS s"
[ "$bad" -eq 0 ]
