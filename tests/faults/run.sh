#!/usr/bin/env bash
# Faults injected into the loop's own system calls, and counts of them, with strace (reliability.md
# R3, R9, R11, sections 4 and 5). Every injection asserts that it took place.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v strace >/dev/null || { echo "strace is not installed" >&2; exit 2; }

probe=$(cargo test --quiet --locked --no-run --test faults_probe \
    --message-format=json | grep -o '"executable":"[^"]*faults_probe[^"]*"' | cut -d'"' -f4)
[ -x "$probe" ] || { echo "no probe" >&2; exit 2; }

. tests/faults/words.sh

# --- Interrupted waits: waited again for what is left; Run::Once never returns because of one.
for when in 1 1+2 1..3; do
    inject epoll_pwait2 "error=EINTR:when=$when" epoll timer "in time"
    inject epoll_pwait2 "error=EINTR:when=$when" epoll whole "in time"
    inject epoll_pwait2 "error=EINTR:when=$when" epoll once "one event each"
    inject epoll_pwait2 "error=EINTR:when=$when" epoll io hello
    inject ppoll "error=EINTR:when=$when" poll timer "in time"
    inject ppoll "error=EINTR:when=$when" poll whole "in time"
    inject ppoll "error=EINTR:when=$when" poll once "one event each"
    inject ppoll "error=EINTR:when=$when" poll io hello
done
inject epoll_pwait error=EINTR:when=1+3 epoll turns turned
inject ppoll error=EINTR:when=2+3 poll turns turned

# --- No epoll_pwait2: one attempt, then whole milliseconds, rounded up.
for error in ENOSYS EPERM; do
    inject epoll_pwait2 "error=$error" epoll timer "in time"
    # The scenario makes five loops.
    at_most 5 "attempts at a refused epoll_pwait2" < <(grep INJECTED "$trace")
    inject epoll_pwait2 "error=$error" epoll whole "in time"
    inject epoll_pwait2 "error=$error" epoll once "one event each"
    inject epoll_pwait2 "error=$error" epoll io hello
done
traced epoll_pwait,epoll_pwait2 epoll_pwait2:error=ENOSYS epoll timer
grep -qE 'epoll_pwait\(.*, 2, NULL' "$trace" || fail "1.5 ms were not rounded up to 2 ms"
at_most 0 "waits rounded down" < <(grep -E 'epoll_pwait\(.*, 1, NULL' "$trace")
# An interrupted fallback wait.
traced epoll_pwait,epoll_pwait2 epoll_pwait:error=EINTR:when=1+2 epoll whole
[ "$said" = "in time" ] || fail "interrupted whole milliseconds said '$said'"

# --- A wait that fails is an error of run, and the next run works.
for error in EBADF EINVAL ENOMEM; do
    inject ppoll "error=$error:when=1" poll wait "refused Wait $(errno $error)"
    # The first wait may be a whole number of milliseconds or not: either call is the first of its kind.
    traced epoll_pwait,epoll_pwait2 "epoll_pwait,epoll_pwait2:error=$error:when=1" epoll wait
    grep -q '(INJECTED)' "$trace" || fail "epoll wait: $error was never injected"
    [ "$said" = "refused Wait $(errno $error)" ] || fail "epoll wait with $error said '$said'"
done

# --- Registration refused. The loop's own registrations come first: count them.
traced epoll_ctl "" epoll build
own=$(grep -c 'epoll_ctl(' "$trace" || true)
# The later change is the one that asks for EPOLLPRI.
traced epoll_ctl "" epoll modify
change=$(awk '/epoll_ctl\(/ { n++ } /EPOLLPRI/ { print n; exit }' "$trace")
for error in ENOSPC ENOMEM; do
    inject epoll_ctl "error=$error:when=$((own + 1))" epoll register \
        "refused Register $(errno $error)"
    inject epoll_ctl "error=$error:when=$((own + 1))+" epoll register \
        "refused Register $(errno $error)"
    inject epoll_ctl "error=$error:when=$change" epoll modify \
        "active 0, told [READ | WRITE | ERROR, READ | WRITE | ERROR]"
done
inject epoll_ctl "error=EPERM:when=$((own + 1))" epoll always-ready "told 3 times"

# --- The loop cannot be made.
for error in EMFILE ENFILE ENOMEM; do
    inject epoll_create1 "error=$error" epoll build "refused Create $(errno $error)"
    inject eventfd2 "error=$error" epoll build "refused Create $(errno $error)"
    inject eventfd2 "error=$error" poll build "refused Create $(errno $error)"
done
inject epoll_create1 error=ENOSYS epoll build "refused Create $(errno ENOSYS)"
if [ "$own" -gt 0 ]; then
    inject epoll_ctl error=ENOSPC:when=1 epoll build "refused Create $(errno ENOSPC)"
fi

# --- Descriptors: none without CLOEXEC (R9), and none is closed twice.
for backend in epoll poll; do
    makers=openat,open,socket,socketpair,accept,accept4,pipe,pipe2,eventfd,eventfd2,epoll_create
    makers=$makers,epoll_create1,timerfd_create,signalfd4,dup,dup2,dup3,fcntl,memfd_create
    traced "$makers,close" "" "$backend" everything
    [ "$said" = made ] || fail "$backend everything said '$said'"
    at_most 0 "$backend: descriptors made without CLOEXEC" < <(
        grep -vE '^[0-9]+ +(close|\+\+\+|---|fcntl\([0-9]+, F_(GET|SET))' "$trace" |
            grep -vE 'CLOEXEC|resumed|= -1 |exited')
    at_most 0 "$backend: closed twice" < <(grep -E 'close\(.*EBADF' "$trace")
done

# --- How many calls (R3 and the issue's table).
for backend in epoll poll; do
    traced all "" "$backend" idle
    at_most 2 "$backend: calls in two seconds of rest" < <(between)
    traced all "" "$backend" restart
    at_most 0 "$backend: calls for a thousand restarts of a known descriptor" < <(between)
    traced all "" "$backend" turns
    at_most 1000 "$backend: calls in a thousand turns" < <(between)
    traced all "" "$backend" events
    at_most 3000 "$backend: calls for a thousand events, their read and write included" < <(between)
    traced all "" "$backend" busy-sends
    [ "$said" = "told 1 time" ] || fail "$backend busy-sends said '$said'"
    at_most 0 "$backend: writes by senders to a busy loop" < <(between | grep write)
done

# --- The wall clock is set: for the probe alone, with a shim (the machine's clock stays).
command -v cc >/dev/null || { echo "cc is not installed" >&2; exit 2; }
shim=$dir/clock_shim.so
cc -shared -fPIC -O1 -Wall -Werror -o "$shim" tests/faults/clock_shim.c

# Recomputed before the timer's turn, which is on time; an absolute time that was passed is called once.
# "asked" stands once for the start and once for the jump.
forward="asked asked at timer"
back="asked asked timer"
for backend in epoll poll; do
    for jump in forward back; do
        traced read,timerfd_settime "" "$backend" "clock-$jump" -y -E "LD_PRELOAD=$shim"
        [ "$said" = "${!jump}" ] || fail "$backend clock-$jump said '$said' instead of '${!jump}'"
        # The kernel says that the clock was set by an error, on that one descriptor.
        read=$(awk '/ read\(/ { n++ } / read\([0-9]+<anon_inode:\[timerfd\]>/ { print n; exit }' "$trace")
        [ -n "$read" ] || { fail "$backend clock-$jump: the timer was never read"; continue; }
        inject read "error=ECANCELED:when=$read" "$backend" "clock-$jump" "${!jump}" \
            -y -E "LD_PRELOAD=$shim"
        at_most 0 "$backend clock-$jump: other reads that were made to fail" < <(
            grep INJECTED "$trace" | grep -v 'read([0-9]*<anon_inode:\[timerfd\]>')
    done
    # Told, a loop sleeps as long as it likes; untold, it looks once a minute.
    for how in told untold; do
        # Milliseconds can be read off the trace, the nanoseconds of epoll_pwait2 cannot.
        traced epoll_pwait,epoll_pwait2,ppoll,getppid epoll_pwait2:error=ENOSYS \
            "$backend" "clock-$how" -E "LD_PRELOAD=$shim"
        [ "$said" = waited ] || fail "$backend clock-$how said '$said'"
        # In seconds: the first wait between the marks.
        seconds=$(between | sed -nE '
            s/.* epoll_pwait\(.*, ([0-9]+)[0-9]{3}, NULL.*/\1/p
            s/.*\{tv_sec=([0-9]+), tv_nsec=.*/\1/p' | head -n 1)
        checks=$((checks + 1))
        case $how in
            told) [ "${seconds:-0}" -gt 1700 ] || fail "$backend clock-$how waits '$seconds' s" ;;
            untold) [ "${seconds:-61}" -le 60 ] && [ "${seconds:-0}" -gt 50 ] ||
                fail "$backend clock-$how waits '$seconds' s" ;;
        esac
    done
done

# --- What a signal costs, beside what sends it: the handler's write, the return from it, the wait, and
# for poll the reading that empties the channel. A busy loop is not written to. Watching a signal whose
# handler is there: one change of the mask, and none for leaving it.
sending='gettid\(|getpid\(|tgkill\('
for backend in epoll poll; do
    traced all "" "$backend" signals
    each=$([ "$backend" = epoll ] && echo 3 || echo 4)
    count "$backend: calls for a hundred signals" $((each * 100)) \
        < <(own_between 1 | grep -vE "$sending")
    traced all "" "$backend" busy-signals
    [ "$said" = "told 1 time" ] || fail "$backend busy-signals said '$said'"
    count "$backend: calls for a hundred signals to a busy loop" 100 \
        < <(own_between 1 | grep -vE "$sending")
    traced all "" "$backend" restart-signal
    count "$backend: calls for watching a known signal a hundred times" 100 < <(own_between 1)
done

# --- What a child costs. To watch it: a descriptor, its registration, a question, and the wait of that
# turn. Its end: the wait, a question, std's own wait, and closing (unregistering first with epoll).
for backend in epoll poll; do
    traced all "" "$backend" child-calls
    [ "$said" = "told 1 time" ] || fail "$backend child-calls said '$said'"
    # poll has no registration.
    more=$([ "$backend" = epoll ] && echo 1 || echo 0)
    count "$backend: calls for watching a child, and a turn" $((3 + more)) < <(own_between 1)
    count "$backend: calls for the end of a child" $((4 + more)) < <(own_between 3)
done

# --- Children: no process descriptors (an old kernel, a filter that does not know them), none to be had
# (an error of the start), and questions that are interrupted.
for backend in epoll poll; do
    for error in ENOSYS EPERM; do
        inject pidfd_open "error=$error" "$backend" child "told Some(3) CHILD"
        inject pidfd_open "error=$error" "$backend" kill-child sent
    done
    for error in EMFILE ENFILE ENOMEM; do
        inject pidfd_open "error=$error" "$backend" child "refused Register $(errno $error)"
    done
    # Any number of times in a row.
    for when in 1 1..3 1+2; do
        inject waitid "error=EINTR:when=$when" "$backend" child "told Some(3) CHILD"
        inject waitid "error=EINTR:when=$when" "$backend" kill-child sent
    done
    for error in ESRCH EPERM EINVAL ENOSYS; do
        inject pidfd_send_signal "error=$error" "$backend" kill-child "refused Kill $(errno $error)"
    done
    # A wait that is interrupted again and again.
    for when in 1+2 1..3; do
        for scenario in child signals; do
            expected=$([ "$scenario" = child ] && echo "told Some(3) CHILD" || echo told)
            waits=$([ "$backend" = epoll ] && echo epoll_pwait,epoll_pwait2 || echo ppoll)
            traced "$waits" "$waits:error=EINTR:when=$when" "$backend" "$scenario"
            grep -q '(INJECTED)' "$trace" || fail "$backend $scenario: EINTR was never injected"
            [ "$said" = "$expected" ] || fail "$backend $scenario, interrupted, said '$said'"
        done
    done
done
# A rival takes one child between the look at it and the waiting for it: the others are told.
for backend in epoll poll; do
    traced waitid,getppid "" "$backend" rival
    [ "$said" = "told 3, taken 0" ] || fail "$backend rival said '$said'"
    # Strace counts per thread, and sends the signal for the rival along with the first look. Shells ask for their
    # parent too.
    look=$(awk '/getppid\(/ && n[$1] { print n[$1] + 1; exit } /waitid\(/ { n[$1]++ }' "$trace")
    traced waitid "waitid:signal=SIGUSR2:when=$look" "$backend" rival
    [ "$said" = "told 2, taken 1" ] || fail "$backend rival, overtaken, said '$said'"
done
# Linux 5.3: a process descriptor can be had and not be waited by. Every other question is by number then.
for backend in epoll poll; do
    inject waitid error=EINVAL:when=1+2 "$backend" child "told Some(3) CHILD"
done
# What the loop watches for itself cannot be registered again: it finds another way.
traced epoll_ctl "" epoll told-again -y
for descriptor in pidfd timerfd; do
    again=$(awk -v what="\\[$descriptor\\]" '/epoll_ctl\(/ { n++ }
        /EPOLL_CTL_ADD/ && $0 ~ what && seen++ { print n; exit }' "$trace")
    [ -n "$again" ] || { fail "told-again: $descriptor was not registered again"; continue; }
    for error in ENOSPC ENOMEM; do
        inject epoll_ctl "error=$error:when=$again" epoll told-again "told Some(3) CHILD" -y
        at_most 0 "other registrations that were refused" < <(
            grep INJECTED "$trace" | grep -v "\[$descriptor\]")
    done
done
# The descriptor is there and cannot be registered.
for error in ENOSPC ENOMEM; do
    inject epoll_ctl "error=$error:when=$((own + 1))" epoll child "refused Register $(errno $error)"
done

# --- Signals: a handler that cannot be installed, at each of the calls it takes, and a mask that cannot
# be changed. It can be tried again.
for backend in epoll poll; do
    for call in rt_sigaction rt_sigprocmask; do
        traced "$call" "" "$backend" signal
        [ "$said" = "told 3 times" ] || fail "$backend signal said '$said'"
        places=$(awk -v call="$call(" 'index($0, call) { n++ } /SIGUSR1|\[USR1/ && index($0, call) { print n }' \
            "$trace" | sort -un)
        [ -n "$places" ] || fail "$backend signal: no $call for the signal"
        for place in $places; do
            inject "$call" "error=ENOMEM:when=$place" "$backend" signal \
                "refused Register $(errno ENOMEM), then told 3 times"
        done
    done
    # The handler's write fails: the loop finds the flag, and whoever was interrupted keeps errno.
    inject write error=EAGAIN:when=1 "$backend" signal-errno "errno 34, told 1 time"
done

# --- Torture: the n-th call of each kind fails, for every n until there is no n-th call.
torture() {
    local n
    for ((n = 1; n < 50; n++)); do
        traced "$1" "$1:error=$2:when=$n" "$3" torture
        case $said in
            survived | "refused "*) ;;
            *) fail "$3 torture with $1:$2:$n said '$said'" ;;
        esac
        grep -q '(INJECTED)' "$trace" || break
    done
    [ "$n" -gt 1 ] || fail "$3 torture: $1 was never injected"
    [ "$n" -lt 50 ] || fail "$3 torture: $1:$2 has no end"
}
for error in ENOSPC ENOMEM EPERM ENOENT EEXIST; do torture epoll_ctl $error epoll; done
for error in EINTR EINVAL; do
    torture epoll_pwait $error epoll
    torture epoll_pwait2 $error epoll
    torture ppoll $error poll
done
for error in EMFILE ENFILE ENOMEM; do
    torture epoll_create1 $error epoll
    torture eventfd2 $error epoll
    torture eventfd2 $error poll
done

# next_statx: the number, among those of the first thread, of the first statx after the first mark.
# Strace counts per thread.
next_statx() {
    awk '/getppid\(/ { print n[$1] + 1; exit } /statx\(/ { n[$1]++ }' "$trace"
}

# --- Stat watchers: what the system refuses makes them poll, and they are told all the same.
traced inotify_init1 "" epoll stat
[ "$said" = "hinted, told" ] || fail "stat without a fault said '$said'"
for backend in epoll poll; do
    for error in EMFILE ENFILE ENOMEM ENOSYS; do
        inject inotify_init1 "error=$error" "$backend" stat "polled, told"
    done
    for error in ENOSPC ENOMEM EACCES ENOENT; do
        inject inotify_add_watch "error=$error" "$backend" stat "polled, told"
    done
    # The thread for hints: the one that tries it out cannot be started, or the second, or none.
    for when in 1 2 1+; do
        inject clone,clone3 "error=EAGAIN:when=$when" "$backend" stat "polled, told"
    done
    # Kernels and sandboxes without statx.
    inject statx error=ENOSYS "$backend" stat "hinted, told"
    inject statx error=ENOSYS "$backend" stat-look there

    # What cannot be looked at is missing; an interrupted look is made again.
    traced statx,getppid "" "$backend" stat-look
    look=$(next_statx)
    at_most 1 "$backend: calls to look once" < <(between)
    for error in EACCES EIO ENOMEM ELOOP ENOTDIR; do
        inject statx "error=$error:when=$look" "$backend" stat-look missing
    done
    inject statx "error=EINTR:when=$look" "$backend" stat-look there
    inject statx "error=EINTR:when=$look..$((look + 2))" "$backend" stat-look there

    # Missing for one look: both are changes. Then it goes on.
    traced statx,getppid "" "$backend" stat-poll
    [ "$said" = "told []" ] || fail "$backend stat-poll said '$said'"
    at_most 5 "$backend: looks in 450 ms at an interval of 100 ms" < <(between)
    look=$(next_statx)
    for error in EACCES EIO; do
        inject statx "error=$error:when=$look" "$backend" stat-poll "told [false, true]"
    done
    inject statx "error=EINTR:when=$look" "$backend" stat-poll "told []"
done

# Each call of each kind fails once, those of the thread for hints included.
for fault in inotify_init1:EMFILE inotify_add_watch:ENOSPC inotify_rm_watch:EINVAL statx:EINTR \
    statfs:EACCES epoll_create1:EMFILE eventfd2:EMFILE epoll_ctl:ENOMEM epoll_wait:EINTR; do
    for ((n = 1; n < 60; n++)); do
        traced "${fault%:*}" "${fault%:*}:error=${fault#*:}:when=$n" poll stat
        case $said in
            "hinted, told" | "polled, told" | "refused "*) ;;
            *) fail "stat with $fault:$n said '$said'" ;;
        esac
        grep -q '(INJECTED)' "$trace" || break
    done
    [ "$n" -gt 1 ] || fail "stat: $fault was never injected"
    [ "$n" -lt 60 ] || fail "stat: $fault has no end"
done

# --- Work: no thread is to be had, not at first, or no further one.
for backend in epoll poll; do
    inject clone,clone3 error=EAGAIN:when=1+ "$backend" work "done 0, refused 8"
    inject clone,clone3 error=EAGAIN:when=1 "$backend" work "done 7, refused 1"
    inject clone,clone3 error=EAGAIN:when=2+ "$backend" work "done 8, refused 0"
done

# --- Nothing is printed, and nobody minds a standard error that cannot take anything (R15).
for backend in epoll poll; do
    said=$("$probe" "$backend" everything 2>/dev/full </dev/null) || fail "$backend with a full stderr"
    [ "$said" = made ] || fail "$backend with a full stderr said '$said'"
    silent=$("$probe" "$backend" everything 2>&1 >/dev/null </dev/null)
    [ -z "$silent" ] || fail "$backend printed '$silent'"
    checks=$((checks + 2))
done

if [ "$failures" -gt 0 ]; then
    echo "faults: $failures of $checks checks failed" >&2
    exit 1
fi
echo "faults: $checks checks passed"
