# Words of the scripts that trace and inject. Sourced, with the program to be traced in $probe.
# shellcheck shell=bash disable=SC2034,SC2154

dir=$(mktemp -d)
# What is killed leaves its files in here.
export TMPDIR=$dir
trap 'rm -rf "$dir" || true' EXIT
trace=$dir/trace
failures=0
checks=0

fail() {
    failures=$((failures + 1))
    echo "FAILED: $*" >&2
    [ -s "$dir/err" ] && sed 's/^/    /' "$dir/err" >&2
    return 0
}

# traced SYSCALLS INJECTION BACKEND SCENARIO [OPTION…]: runs the probe; its line is in $said. The limit is for what hangs.
traced() {
    local options=(-f -o "$trace" -e "trace=$1" "${@:5}")
    [ -n "$2" ] && options+=(-e "inject=$2")
    said=$(timeout 60 strace "${options[@]}" "$probe" "$3" "$4" 2>"$dir/err") ||
        fail "$3 $4 with '$2' ended with $?"
    checks=$((checks + 1))
}

# inject SYSCALL FAULT BACKEND SCENARIO EXPECTED [OPTION…]: the probe's line must be EXPECTED.
inject() {
    traced "$1" "$1:$2" "$3" "$4" "${@:6}"
    grep -q '(INJECTED)' "$trace" || fail "$3 $4: $1:$2 was never injected"
    [ "$said" = "$5" ] || fail "$3 $4 with $1:$2 said '$said' instead of '$5'"
}

# between: the calls between the two marks, marks excluded.
between() {
    [ "$(grep -c 'getppid(' "$trace")" = 2 ] || { echo "the marks are missing" && yes no | head -n 5000; }
    awk '/getppid\(/ { marks++; next } marks == 1' "$trace"
}

# at_most LIMIT WHAT: of the lines on stdin.
at_most() {
    local lines count
    lines=$(cat)
    count=$(printf '%s' "$lines" | grep -c . || true)
    checks=$((checks + 1))
    if [ "$count" -gt "$1" ]; then
        fail "$2: $count, at most $1"
        printf '%s\n' "$lines" | head -n 5 >&2
    fi
}

errno() {
    case $1 in
        EPERM) echo 1 ;; ESRCH) echo 3 ;; EINTR) echo 4 ;; EBADF) echo 9 ;; ENOMEM) echo 12 ;; EINVAL) echo 22 ;;
        ENFILE) echo 23 ;; EMFILE) echo 24 ;; ENOSPC) echo 28 ;; ENOSYS) echo 38 ;;
        EAGAIN) echo 11 ;; EACCES) echo 13 ;; EPROTO) echo 71 ;; EADDRINUSE) echo 98 ;; ENOBUFS) echo 105 ;;
        EPIPE) echo 32 ;; ECONNABORTED) echo 103 ;; ECONNRESET) echo 104 ;; ETIMEDOUT) echo 110 ;; EIO) echo 5 ;;
        ECONNREFUSED) echo 111 ;; ENOTSOCK) echo 88 ;; EADDRNOTAVAIL) echo 99 ;; ENETDOWN) echo 100 ;; ENETUNREACH) echo 101 ;; EHOSTUNREACH) echo 113 ;; ENOTCONN) echo 107 ;;
    esac
}

# own_between N: the probe's own calls between its N-th mark and the next, without the checks of
# closing descriptors that only debug builds make.
own_between() {
    local pid
    pid=$(awk 'NR == 1 { print $1 }' "$trace")
    awk -v pid="$pid" -v n="$1" '
        $1 == pid && /getppid\(/ { marks++; next }
        marks == n && $1 == pid && !/resumed>|F_GETFD|^[0-9]+ +(---|\+\+\+)/' "$trace"
}

# count WHAT EXACTLY: of the lines on stdin, printed.
count() {
    local lines counted
    lines=$(cat)
    counted=$(printf '%s' "$lines" | grep -c . || true)
    checks=$((checks + 1))
    echo "$1: $counted"
    if [ "$counted" != "$2" ]; then
        fail "$1: $counted instead of $2"
        printf '%s\n' "$lines" | head -n 10 >&2
    fi
}
