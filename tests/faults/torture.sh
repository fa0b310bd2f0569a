#!/usr/bin/env bash
# The torture loop of reliability.md 5 over the examples: each system call fails in turn, the first time
# it is made, the second time, and so on until a run comes by no failure any more (or a limit is reached).
# Whatever fails, an example must end in success or with an error of its own (exit status 0 or 1): no
# panic, no signal, no hang. On epoll, and the waits of poll on poll. Only the main thread is traced: a child that an example leaves behind would be
# waited for. Needs strace.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v strace >/dev/null || { echo "strace is not installed" >&2; exit 2; }

cargo build --quiet --locked --examples --all-features
examples=${CARGO_TARGET_DIR:-target}/debug/examples
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT

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

# torture EXAMPLE CALL ERRNO: one row of the matrix; prints how many runs met the fault.
torture() {
    local example=$1 call=$2 errno=$3 n status met=0
    local log=$dir/$example.$call.$errno
    for n in $(seq "$LIMIT"); do
        status=0
        EVLOOP_FLAGS=$([ "$call" = ppoll ] && echo poll || echo epoll) \
            timeout 10 strace -qq -o "$log.trace" -e "trace=$call" -e "inject=$call:error=$errno:when=$n" \
            "$examples/$example" </dev/null >"$log.out" 2>"$log.err" || status=$?
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

for example in ${*:-close embed idle io metrics notifier periodic prepare_check priorities signal child stat timer stdin_timeout}; do
    while read -r call errnos; do
        for errno in $errnos; do echo "$example $call $errno"; done
    done <<<"$faults" | grep -v '^[a-z_]*  *$'
done >"$dir/matrix"

xargs -P "$(nproc)" -L 1 bash -c 'torture "$@"' torture <"$dir/matrix" || { echo 'torture: FAILED'; exit 1; }
met=$(awk "{ sum += \$1 } END { print sum + 0 }" "$dir/met")
echo "torture: $met failures met in $(wc -l <"$dir/matrix") rows, every example ended well"
# A matrix that meets nothing tests nothing.
[ "$met" -ge 100 ]
