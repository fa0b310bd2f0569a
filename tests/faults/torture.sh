#!/usr/bin/env bash
# The torture loop of reliability.md 5 over the examples: each system call fails in turn, the first time
# it is made, the second time, and so on until a run comes by no failure any more (or a limit is reached).
# Whatever fails, an example must end in success or with an error of its own (exit status 0 or 1): no
# panic, no signal, no hang. On epoll, and the waits of poll on poll. Only the main thread is traced: a child that an example leaves behind would be
# waited for. Servers are talked to and told to stop; they must not go round for nothing meanwhile. Needs strace.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v strace >/dev/null || { echo "strace is not installed" >&2; exit 2; }

cargo build --quiet --locked --examples --all-features
examples=${CARGO_TARGET_DIR:-target}/debug/examples
dir=$(mktemp -d)
# What is killed leaves its files in here.
export TMPDIR=$dir
trap 'rm -rf "$dir" || true' EXIT

# The call, and the ways it may fail.
faults='
epoll_create1 EMFILE ENOMEM
epoll_ctl ENOSPC ENOMEM
epoll_pwait EINTR ENOMEM
epoll_pwait2 ENOSYS EINTR ENOMEM
ppoll EINTR ENOMEM
eventfd2 EMFILE ENFILE
timerfd_create EMFILE ENOSYS
timerfd_settime EINVAL
pidfd_open ENOSYS EMFILE
pidfd_send_signal EPERM
waitid EINTR
inotify_init1 EMFILE
inotify_add_watch ENOSPC
statx EIO
clone3 EAGAIN
pipe2 EMFILE
socketpair EMFILE
dup3 EBUSY
'
LIMIT=12

# The same for servers.
server_faults='
epoll_ctl ENOSPC ENOMEM
epoll_pwait EINTR ENOMEM
eventfd2 EMFILE
socket EMFILE EACCES
bind EADDRINUSE
setsockopt ENOBUFS
getsockname ENOBUFS
'
stream_faults='
listen EADDRINUSE
accept4 EINTR ECONNABORTED EMFILE ENFILE EPROTO EBADF
recvfrom EINTR EAGAIN ECONNRESET ETIMEDOUT
sendto EINTR EAGAIN EPIPE ENOBUFS
shutdown ENOTCONN
'
datagram_faults='
recvmmsg EINTR EAGAIN ECONNREFUSED ENOMEM ENOSYS
sendto EINTR EAGAIN ECONNREFUSED ENOBUFS EPERM
'

# converse KIND PORT: two clients, one after the other, who do not wait for long.
converse() {
    local line
    trap '' PIPE
    for _ in 1 2; do
        { exec 4<>"/dev/$1/127.0.0.1/$2"; } 2>/dev/null || return 0
        printf 'some words\n' >&4 || true
        read -r -t 0.2 -u 4 line || true
        exec 4>&-
    done
} 2>/dev/null
export -f converse

# slept TRACE SECONDS [PATTERN]: the waits that nothing has ended but that so long a time was over, those behind the line of
# the pattern if there is one. On a busy machine everything takes long; that nobody was told of something shows here.
slept() {
    awk -v most="$2" -v behind="${3:-}" '
        behind == "" || $0 ~ behind { counts = 1 }
        counts && /^(epoll_pwait2?|ppoll)\(/ && /\) += 0( |$)/ {
            seconds = 0
            if (match($0, /tv_sec=[0-9]+/)) seconds = substr($0, RSTART + 7, RLENGTH - 7)
            else if (match($0, /, [0-9]+, NULL/)) seconds = substr($0, RSTART + 2, RLENGTH - 8) / 1000
            if (seconds + 0 >= most) print
        }' "$1"
}
export -f slept

# serve EXAMPLE LOG CALL INJECTION: runs a server under strace, talks to it and tells it to stop.
serve() {
    local example=$1 log=$2 pid line='' port='' kind=tcp status=0
    [ "$example" = udp_echo ] && kind=udp
    # With -D the server is the child, and strace beside it.
    strace -D -qq -o "$log.trace" -e "trace=$3,epoll_pwait,epoll_pwait2" -e "inject=$4" \
        "$examples/$example" --listen 127.0.0.1:0 </dev/null >"$log.out" 2>"$log.err" & pid=$!
    for _ in $(seq 3000); do
        [ -f "$log.out" ] && read -r line <"$log.out" && break
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.01
    done
    # One that cannot say where it listens cannot be talked to.
    [[ $line =~ ^listening\ on\ 127.0.0.1:([1-9][0-9]*)$ ]] && port=${BASH_REMATCH[1]}
    [ -z "$port" ] || (converse "$kind" "$port")
    sleep 0.02
    kill -TERM "$pid" 2>/dev/null || true
    for _ in $(seq 3000); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.01
    done
    if kill -KILL "$pid" 2>/dev/null; then echo 'panicked: it did not stop' >>"$log.err"; fi
    # What it has begun is over, so there is nothing left to wait for.
    if [ -n "$(slept "$log.trace" 1 '^--- SIGTERM ')" ]; then echo 'panicked: it overslept its end' >>"$log.err"; fi
    if [ "$(grep -c epoll_pwait "$log.trace")" -gt 200 ]; then echo 'panicked: it spins' >>"$log.err"; fi
    wait "$pid" || status=$?
    # Told to stop before it was ready for that.
    [ "$status" -eq 143 ] && status=0
    return "$status"
}
export -f serve

# torture EXAMPLE CALL ERRNO: one row of the matrix; prints how many runs met the fault.
torture() {
    local example=$1 call=$2 errno=$3 n status met=0
    local log=$dir/$example.$call.$errno
    for n in $(seq "$LIMIT"); do
        status=0
        case $example in
            *_echo) serve "$example" "$log" "$call" "$call:error=$errno:when=$n" || status=$? ;;
            *) EVLOOP_FLAGS=$([ "$call" = ppoll ] && echo poll || echo epoll) \
            timeout 60 strace -qq -o "$log.trace" -e "trace=$call,epoll_pwait,epoll_pwait2,ppoll" -e "inject=$call:error=$errno:when=$n" \
            "$examples/$example" </dev/null >"$log.out" 2>"$log.err" || status=$? ;;
        esac
        # None of them waits for so long on purpose.
        if [ -n "$(slept "$log.trace" 8)" ]; then echo 'panicked: it was not woken up' >>"$log.err"; fi
        # What a server says when it cannot begin.
        [ "$example" = udp_echo ] && [ "$status" -eq 2 ] && status=1
        if [ "$status" -gt 1 ] || grep -q 'panicked' "$log.err"; then
            echo "FAILED: $example with failure $n of $call by $errno ended with $status" >&2
            head -n 5 "$log.err" >&2
            return 1
        fi
        grep -q INJECTED "$log.trace" || break
        met=$((met + 1))
    done
    echo "$met" >>"$dir/met"
}
export -f torture
export examples dir LIMIT

for example in ${*:-close embed idle io metrics notifier periodic prepare_check priorities signal child stat timer stdin_timeout uppercase_echo udp_echo}; do
    case $example in
        uppercase_echo) rows=$server_faults$stream_faults ;;
        udp_echo) rows=$server_faults$datagram_faults ;;
        *) rows=$faults ;;
    esac
    while read -r call errnos; do
        for errno in $errnos; do echo "$example $call $errno"; done
    done <<<"$rows" | grep -v '^[a-z_]*  *$'
done >"$dir/matrix"

xargs -P "$(nproc)" -L 1 bash -c 'torture "$@"' torture <"$dir/matrix" || { echo 'torture: FAILED'; exit 1; }
# Nothing that a server opens is inherited by programs it starts (R9).
makers=openat,open,socket,socketpair,accept,accept4,pipe,pipe2,eventfd,eventfd2,epoll_create,epoll_create1
makers=$makers,timerfd_create,dup,dup2,dup3
for example in uppercase_echo udp_echo; do
    log=$dir/$example.descriptors
    # The injection never takes place.
    serve "$example" "$log" "$makers" epoll_create1:error=EMFILE:when=99 || { echo "FAILED: $example"; exit 1; }
    if grep -vE 'CLOEXEC|epoll_pwait|= -1 |= \?|^(---|\+\+\+)' "$log.trace"; then
        echo "FAILED: $example has opened these without CLOEXEC"
        exit 1
    fi
    grep -qE '(accept4|socket)\(.*CLOEXEC' "$log.trace" || { echo "FAILED: $example was not traced"; exit 1; }
done
met=$(awk "{ sum += \$1 } END { print sum + 0 }" "$dir/met")
echo "torture: $met failures met in $(wc -l <"$dir/matrix") rows, every example ended well"
# A matrix that meets nothing tests nothing.
[ "$met" -ge 100 ]
