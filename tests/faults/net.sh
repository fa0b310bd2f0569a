#!/usr/bin/env bash
# Faults injected into the system calls of streams, listeners, dials and datagrams, with strace
# (reliability.md sections 4 and 5), and counts of them. Every injection asserts that it took place; the
# probe asserts that the loop does not go round for nothing, that each stream ends once, and that
# nothing is told afterwards. An argument picks the parts whose name contains it.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v strace >/dev/null || { echo "strace is not installed" >&2; exit 2; }
command -v openssl >/dev/null || { echo "openssl is not installed" >&2; exit 2; }

probe=$(cargo test --quiet --locked --all-features --no-run --test net_faults_probe \
    --message-format=json | grep -o '"executable":"[^"]*net_faults_probe[^"]*"' | cut -d'"' -f4)
[ -x "$probe" ] || { echo "no probe" >&2; exit 2; }
. tests/faults/words.sh

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=localhost \
    -keyout "$dir/key.pem" -out "$dir/certificate.pem" 2>/dev/null
export EVLOOP_PROBE_IDENTITY=$dir

# part NAME: whether it is asked for.
asked=${1:-}
part() { [[ $1 == *"$asked"* ]]; }

# nth CALL BACKEND SCENARIO: the number of the first such call after the mark, of the first thread.
nth() {
    traced "$1,getppid" "" "$2" "$3"
    awk -v call="$1(" 'NR == 1 { pid = $1 } $1 == pid && /getppid\(/ { print n + 1; exit }
        $1 == pid && index($0, call) { n++ }' "$trace"
}

same2="same bytes, same bytes | Flushed; Flushed"
both="same bytes | Flushed; PeerEof"
backends='epoll poll'

# --- Interrupted, again and again, and not ready although it was said to be: the same bytes.
# Which calls a scenario is made of: its own, not those of whoever is at the other end.
rows='
echo recvfrom sendto accept4
gather sendmsg
file sendfile sendto
descriptors sendmsg recvmsg
accept accept4
datagrams recvmmsg sendto
'
declare -A good=(
    [echo]=$same2 [gather]=$same2 [file]=$same2 [pipes]=$both
    [descriptors]="same bytes, 3 descriptors | Flushed; Local"
    [accept]="same bytes, same bytes, same bytes | told [] | Flushed; Flushed; Flushed"
    [datagrams]="[0, 1, 2, 3, 4] [5, 6, 7, 8, 9] | Local"
    [adopt]="same bytes | Flushed"
    [dial]="same bytes | PeerEof | same bytes, Flushed"
)
good[dial-unix]=${good[dial]}
good[dial-name]=${good[dial]}
if part again; then
    for backend in $backends; do
        while read -r scenario calls; do
            for call in $calls; do
                for error in EINTR EAGAIN; do
                    for when in 1+2 1..3; do
                        inject "$call" "error=$error:when=$when" "$backend" "$scenario" "${good[$scenario]}"
                    done
                done
            done
        done < <(grep . <<<"$rows")
        for error in EINTR EAGAIN; do
            # Pipes; from the mark on, since programs begin by reading.
            for call in read write; do
                first=$(nth $call "$backend" pipes)
                # The probe says on standard output what happened, and is not to be interrupted in that.
                inject $call "error=$error:when=$first..$((first + 2))" "$backend" pipes "$both"
            done
            # Datagrams that waited leave with one call.
            inject sendmmsg "error=$error:when=1..2" "$backend" datagrams "${good[datagrams]}" \
                -e trace=sendmmsg,sendto -e inject=sendto:error=EAGAIN:when=1
            for scenario in both-tcp both-unix both-tls; do
                inject recvfrom "error=$error:when=1+2" "$backend" $scenario "$both"
                inject sendto "error=$error:when=1+2" "$backend" $scenario "$both"
            done
        done
    done
fi

# --- What cannot be gone on with: an error, one end, and nobody else notices.
if part broken; then
    for backend in $backends; do
        for error in ECONNRESET EPIPE ETIMEDOUT ENOBUFS ENOMEM; do
            number=$(errno $error)
            case $error in ECONNRESET | EPIPE) reason=Reset ;; *) reason=Failed ;; esac
            said_of() { echo "cut short, same bytes | Io $number $1, $reason; Flushed"; }
            inject recvfrom error=$error:when=1 "$backend" echo "$(said_of Read)"
            inject sendto error=$error:when=1 "$backend" echo "$(said_of Write)"
            inject sendmsg error=$error:when=1 "$backend" gather "$(said_of Write)"
            inject sendfile error=$error:when=1 "$backend" file "$(said_of Write)"
            inject sendmsg error=$error:when=1 "$backend" descriptors \
                "cut short, 0 descriptors | Io $number Write, $reason; Local"
            inject recvmsg error=$error:when=1 "$backend" descriptors \
                "cut short, 0 descriptors | Flushed; Io $number Read, $reason"
            # A datagram socket goes on; what was refused once may have been about an earlier datagram.
            for call in recvmmsg sendto; do
                inject $call error=$error:when=1 "$backend" datagrams \
                    "[0, 1, 2, 3, 4] [5, 6, 7, 8, 9] | Io $number; Local"
            done
        done
        # What the system does not do for files is done by hand.
        for error in EINVAL ENOSYS; do
            inject sendfile error=$error "$backend" file "$same2"
        done
        for error in ENOSYS EPERM; do
            inject recvmmsg error=$error "$backend" datagrams "${good[datagrams]}"
        done
        inject shutdown error=ENOTCONN:when=1 "$backend" gather "$same2"
    done
fi

# --- Accepting.
if part accept; then
    for backend in $backends; do
        for error in ECONNABORTED EPROTO EPERM ENETDOWN; do
            for when in 1+2 1..3; do
                inject accept4 error=$error:when=$when "$backend" accept "${good[accept]}"
            done
        done
        # The spare descriptor goes for sending away who waits; then it rests, and goes on.
        for error in EMFILE ENFILE ENOBUFS ENOMEM; do
            inject accept4 error=$error:when=1 "$backend" accept \
                "cut short, same bytes, same bytes | told [Listen $(errno $error)] | Flushed; Flushed"
        done
        for error in EBADF EINVAL ENOTSOCK; do
            inject accept4 error=$error:when=1 "$backend" accept \
                "nobody accepts | told [Listen $(errno $error), stopped] | "
        done
        # None that does not fail: it rests, and is not asked again and again. Nobody ever gives up.
        said=$(timeout 1 strace -f -o "$trace" -e trace=accept4 -e inject=accept4:error=EMFILE \
            "$probe" "$backend" accept 2>/dev/null) || true
        at_most 12 "$backend: attempts to accept in a second without descriptors" < <(grep accept4 "$trace")
        said=$(timeout 1 strace -f -o "$trace" -e trace=accept4 -e inject=accept4:error=ECONNABORTED \
            "$probe" "$backend" accept 2>/dev/null) || true
        at_most 500 "$backend: attempts to accept in a second of failures" < <(grep accept4 "$trace")
    done
fi

# --- Beginnings: an error of the call or of the stream, and nothing is left of it.
if part begin; then
    for backend in $backends; do
        for error in EMFILE ENFILE EACCES ENOBUFS; do
            number=$(errno $error)
            for scenario in listen listen-unix datagram-bind; do
                inject socket error=$error:when=1 "$backend" $scenario "refused Listen $number"
                inject bind error=$error:when=1 "$backend" $scenario "refused Listen $number"
            done
            for scenario in listen listen-unix; do
                inject listen error=$error:when=1 "$backend" $scenario "refused Listen $number"
            done
            inject setsockopt error=$error:when=1 "$backend" listen "refused Listen $number"
            inject setsockopt error=$error:when=1 "$backend" datagram-bind "refused Listen $number"
            for scenario in dial dial-unix; do
                second=$(nth socket "$backend" $scenario)
                inject socket error=$error:when="$second" "$backend" $scenario \
                    "nothing | Connect $number, Failed | same bytes, Flushed"
                inject connect error=$error:when=1 "$backend" $scenario \
                    "nothing | Connect $number, Failed | same bytes, Flushed"
            done
            # What the socket says of the connection cannot be had.
            inject getsockopt error=$error:when="$(nth getsockopt "$backend" dial)" "$backend" dial \
                "nothing | Connect $number, Failed | same bytes, Flushed"
            # What is good to have, and no more than that.
            inject setsockopt error=$error:when="$(nth setsockopt "$backend" dial)" "$backend" dial \
                "${good[dial]}"
            inject getsockopt error=$error:when=1 "$backend" adopt "refused InvalidInput $number"
        done
        for error in ECONNREFUSED ETIMEDOUT ENETUNREACH EHOSTUNREACH EADDRNOTAVAIL; do
            reason=$([ $error = ECONNREFUSED ] && echo Refused || echo Failed)
            inject connect error=$error:when=1 "$backend" dial \
                "nothing | Connect $(errno $error), $reason | same bytes, Flushed"
        done
        for scenario in dial dial-unix; do
            for when in 1 1..3; do
                inject connect error=EINTR:when=$when "$backend" $scenario "${good[$scenario]}"
            done
        done
        # A queue that is full is nothing final.
        inject connect error=EAGAIN:when=1..3 "$backend" dial-unix "${good[dial-unix]}"
        first=$(nth fcntl "$backend" adopt)
        for place in 0 1 2 3; do
            inject fcntl error=EBADF:when=$((first + place)) "$backend" adopt "refused InvalidInput 9"
        done
        # No thread to ask for a name. The first is for the other end.
        inject clone,clone3 error=EAGAIN:when=2 "$backend" dial-name \
            "nothing | Thread $(errno EAGAIN), Failed | same bytes, Flushed"
        # Where the system has no such call, random bytes are read.
        inject getrandom error=ENOSYS "$backend" both-tls "$both"
    done
fi

# --- Watching is refused: the stream that is concerned fails, or is watched again. None stands still.
if part watch; then
    for error in ENOSPC ENOMEM; do
        number=$(errno $error)
        first=$(nth epoll_ctl epoll echo)
        # Refused once, it is asked for again.
        inject epoll_ctl error=$error:when="$first" epoll echo "$same2"
        inject epoll_ctl error=$error:when=$((first + 1)) epoll echo "$same2"
        inject epoll_ctl error=$error:when="$first+" epoll echo \
            "cut short, cut short | Register $number, Failed; Register $number, Failed"
        for scenario in both-tcp both-unix both-tls pipes; do
            traced epoll_ctl,getppid "" epoll $scenario
            first=$(awk '/getppid\(/ { print n + 1; exit } /epoll_ctl\(/ { n++ }' "$trace")
            all=$(grep -c 'epoll_ctl(' "$trace")
            for ((n = first; n <= all; n++)); do
                traced epoll_ctl epoll_ctl:error=$error:when=$n epoll $scenario
                # Changes and removals that fail are made up for.
                case $said in
                    *"$both" | "cut short | "*"Register $number, Failed"* | "refused Register $number | ") ;;
                    # While it was being connected; the number is within the attempt's error.
                    "cut short | Connect 0, Failed; "*) ;;
                    *) fail "epoll $scenario with epoll_ctl:$error:$n said '$said'" ;;
                esac
            done
        done
    done
fi

# --- Closing that is interrupted has closed: no number is closed twice. Strace does not let the call
# happen, so a descriptor would be closed again at its old number.
if part close; then
    for backend in $backends; do
        for scenario in echo both-tcp datagrams; do
            first=$(nth close "$backend" $scenario)
            inject close error=EINTR:when="$first+" "$backend" $scenario \
                "$([ $scenario = both-tcp ] && echo "$both" || echo "${good[$scenario]}")"
            at_most 0 "$backend $scenario: descriptors closed twice" < <(awk '
                NR == 1 { pid = $1 } $1 == pid && /INJECTED/ { sub(/.*close\(/, ""); sub(/\).*/, "")
                if (seen[$0]++) print }' "$trace")
        done
    done
fi

# --- Descriptors: none without CLOEXEC (R9).
if part cloexec; then
    makers=openat,open,socket,socketpair,accept,accept4,pipe,pipe2,eventfd,eventfd2,epoll_create
    makers=$makers,epoll_create1,timerfd_create,dup,dup2,dup3,recvmsg,recvmmsg
    for backend in $backends; do
        for scenario in echo file descriptors listen-unix dial-name datagrams both-tls; do
            traced "$makers" "" "$backend" $scenario
            at_most 0 "$backend $scenario: descriptors made without CLOEXEC" < <(
                # Of what was traced in two pieces, the piece with the flags.
                grep -vE '^[0-9]+ +(\+\+\+|---)' "$trace" | grep -vE 'accept4?\(.*unfinished' |
                    grep -vE 'CLOEXEC|= -1 |= \?|exited|(open|socket|recv|pipe|dup|event|epoll)[a-z0-9_]* resumed')
        done
    done
fi

# --- A thousand streams at rest, some paused, some ended by their peers and not closed (R3).
if part idle; then
    for backend in $backends; do
        traced all "" "$backend" idle
        [ "$said" = "1000 streams rested" ] || fail "$backend idle said '$said'"
        at_most 2 "$backend: calls in two seconds of rest with 1000 streams" < <(between)
    done
fi

# --- Torture: the n-th call of each kind fails, for every n until there is no n-th call.
torture_row() { # torture_row BACKEND CALL ERRNO
    local n row=$dir/torture.$1.$2.$3
    for ((n = 1; n < 200; n++)); do
        said=$(timeout 60 strace -f -o "$row" -e trace="$2" -e inject="$2:error=$3:when=$n" \
            "$probe" "$1" torture 2>"$row.err") || { echo "$1 torture with $2:$3:$n: $? $(head -n 3 "$row.err")"; return; }
        case $said in
            survived | "refused "*) ;;
            *) echo "$1 torture with $2:$3:$n said '$said'" ;;
        esac
        grep -q '(INJECTED)' "$row" || break
    done
    [ "$n" -gt 1 ] || echo "$1 torture: $2 was never injected"
    [ "$n" -lt 200 ] || echo "$1 torture: $2:$3 has no end"
}
export -f torture_row
export dir probe
if part torture; then
    for fault in socket:EMFILE bind:EADDRINUSE bind:EACCES listen:EADDRINUSE accept4:EMFILE accept4:ECONNABORTED \
        accept4:EBADF accept4:EINTR epoll_create1:EMFILE epoll_ctl:ENOSPC epoll_pwait:EINTR epoll_pwait2:EINTR \
        eventfd2:EMFILE recvfrom:ECONNRESET recvfrom:EINTR recvfrom:EAGAIN sendto:EPIPE sendto:EAGAIN sendto:ENOBUFS \
        recvmmsg:ENOMEM recvmmsg:EAGAIN connect:ECONNREFUSED connect:EINTR getsockname:ENOBUFS \
        getsockopt:ENOBUFS setsockopt:ENOPROTOOPT shutdown:ENOTCONN; do
        echo "epoll ${fault%:*} ${fault#*:}"
        case $fault in
            epoll_*) ;;
            accept4:* | recvfrom:* | sendto:*) echo "poll ${fault%:*} ${fault#*:}" ;;
        esac
    done >"$dir/matrix"
    echo "poll ppoll EINTR" >>"$dir/matrix"
    said=$(xargs -P "$(nproc)" -L 1 bash -c 'torture_row "$@"' torture <"$dir/matrix")
    checks=$((checks + $(wc -l <"$dir/matrix")))
    [ -z "$said" ] || while read -r line; do fail "$line"; done <<<"$said"
fi

if [ "$failures" -gt 0 ]; then
    echo "faults of connections: $failures of $checks checks failed" >&2
    exit 1
fi
echo "faults of connections: $checks checks passed"
