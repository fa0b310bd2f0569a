//! Forks: a loop in a child process that did not make it. loop.md 1.9, 1.10, 3.10; reliability.md
//! section 4.
//!
//! A program of its own with a single thread, because only the thread that calls `fork` goes on in the
//! child. Each case runs in a process of its own, once per backend, and forks from there. An argument
//! that is no option picks the cases whose name contains it.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "suite/sockets.rs"]
mod sockets;
mod suite;

use std::fs;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::UnixStream;
use std::panic::{AssertUnwindSafe, catch_unwind};

use sockets::*;
use suite::*;

type Case = fn(fn() -> Builder);

macro_rules! cases {
    ($($name:ident,)+) => { &[$((stringify!($name), $name as Case)),+] };
}

const CASES: &[(&str, Case)] = cases![
    a_child_that_did_not_take_over_is_refused_to_run_and_to_start,
    stopping_freeing_and_dropping_in_the_child_leaves_the_parents_events_alone,
    dropping_in_the_parent_leaves_a_child_that_took_over_alone,
    a_descriptor_watched_in_both_is_told_in_both,
    after_fork_makes_every_started_watcher_work,
    handles_made_before_the_fork_reach_the_childs_loop,
    what_was_sent_before_the_fork_is_delivered_in_both,
    the_parent_sleeps_on_whatever_the_child_does,
    after_fork_is_harmless_in_the_parent_and_a_second_time,
    a_loop_that_follows_forks_takes_over_by_itself,
    the_environment_makes_loops_follow_forks,
    a_fork_in_a_callback_delivers_the_rest_of_the_batch_in_both,
    a_fork_in_a_callback_of_a_loop_that_follows_goes_on_in_both,
    a_takeover_inside_a_callback_keeps_the_rest_of_the_batch,
    a_takeover_inside_a_nested_run_works,
    fork_watchers_are_called_once_per_fork_before_prepare_and_in_start_order,
    fork_watchers_are_not_called_in_the_parent_and_not_without_a_takeover,
    a_break_in_a_fork_watcher_means_no_poll,
    a_fork_watcher_that_panics_keeps_the_others,
    a_fork_watcher_may_stop_free_and_start_others,
    grandchildren_take_over_too,
    a_grandchild_may_take_over_what_its_parent_did_not,
    events_that_were_pending_at_the_fork_are_delivered_in_both,
    descriptors_keep_their_numbers_their_count_and_close_on_exec,
    the_childs_changes_do_not_reach_the_parents_kernel_set,
    a_signal_is_told_to_the_process_it_was_sent_to,
    a_childs_end_is_told_in_the_process_whose_child_it_is,
    regular_files_stay_always_ready,
    edge_triggered_watchers_are_told_of_what_waits,
    watchers_stopped_before_the_fork_can_be_started_after_it,
    a_takeover_that_the_system_refuses_can_be_tried_again,
    cleanup_watchers_are_not_called_in_a_child_that_did_not_take_over,
    cleanup_watchers_are_called_in_a_child_that_took_over_and_in_its_parent,
    a_loop_made_in_the_child_is_its_own,
    a_child_that_did_not_take_over_does_not_wake_the_parent,
    a_periodic_first_started_before_the_takeover_has_the_clock_watched_after_it,
    fork_watchers_that_wait_are_work_for_a_host,
    a_fork_on_the_way_to_the_wait_leaves_the_parent_its_wake_ups,
    a_loop_that_follows_goes_on_in_a_child_that_was_forked_on_the_way_to_the_wait,
    fork_watchers_are_called_before_a_loop_that_took_over_in_a_prepare_watcher_waits,
    a_hosted_loop_taken_over_in_a_fork_watcher_of_its_host_works_in_both,
];

fn epoll() -> Builder {
    EvLoop::builder().backend(Backend::Epoll).env(false)
}

fn poll() -> Builder {
    EvLoop::builder().backend(Backend::Poll).env(false)
}

fn main() {
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut out = std::io::stdout();
    let (mut passed, mut failed, mut left_out) = (0, 0, 0);
    for (backend, builder) in [("epoll", epoll as fn() -> Builder), ("poll", poll)] {
        for (name, case) in CASES {
            let name = format!("{backend}::{name}");
            if !wanted.is_empty() && !wanted.iter().any(|part| name.contains(part.as_str())) {
                left_out += 1;
                continue;
            }
            let status = Process::fork(|| case(builder)).status();
            let verdict = if status == 0 { "ok".to_owned() } else { format!("FAILED ({status})") };
            if status == 0 {
                passed += 1
            } else {
                failed += 1
            }
            writeln!(out, "test {name} ... {verdict}").unwrap();
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    writeln!(
        out,
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; \
         {left_out} filtered out"
    )
    .unwrap();
    out.flush().unwrap();
    std::process::exit(i32::from(failed > 0));
}

// --- words -------------------------------------------------------------------------------------

/// A forked child that does one thing and ends.
struct Process(i32);

impl Process {
    /// Runs `f` in a child. It ends with 0, with 101 if `f` panics, and by a signal if it hangs.
    fn fork(f: impl FnOnce()) -> Self {
        // SAFETY: this process has one thread, so the child may do whatever this one may.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "{}", std::io::Error::last_os_error());
        if pid == 0 {
            // SAFETY: takes a number; its signal ends the process.
            unsafe { libc::alarm(20) };
            let status = if catch_unwind(AssertUnwindSafe(f)).is_ok() { 0 } else { 101 };
            // SAFETY: ends the process here: what the parent has on its stack is the parent's.
            unsafe { libc::_exit(status) };
        }
        Self(pid)
    }

    /// Waits for its end: its status, or minus the signal that ended it.
    fn status(self) -> i32 {
        let mut status = 0;
        // SAFETY: the pointer is to a local that outlives the call; the child is our own.
        let got = unsafe { libc::waitpid(self.0, &raw mut status, 0) };
        assert_eq!(got, self.0, "{}", std::io::Error::last_os_error());
        if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { -libc::WTERMSIG(status) }
    }

    /// Waits for its end, which must be a good one.
    #[track_caller]
    fn join(self) {
        assert_eq!(self.status(), 0, "the child's status");
    }
}

/// A panic that is expected is not printed.
fn quietly<R>(f: impl FnOnce() -> R) -> Option<String> {
    let hook = std::panic::take_hook();
    std::panic::set_hook(Box::new(|_| {}));
    let message = panic_of(f);
    std::panic::set_hook(hook);
    message
}

fn kind<T>(result: Result<T>) -> ErrorKind {
    result.err().expect("a refusal").kind()
}

/// This process's descriptors: number and what they stand for.
fn descriptors() -> Vec<(i32, String)> {
    let mut found: Vec<_> = fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| {
            let entry = entry.unwrap();
            // The directory itself is gone by the time it is looked at.
            let target = fs::read_link(entry.path()).ok()?.to_string_lossy().into_owned();
            (!target.starts_with("/proc/"))
                .then(|| (entry.file_name().to_string_lossy().parse().unwrap(), target))
        })
        .collect();
    found.sort();
    found
}

/// How many descriptors the kernel watches for the loop's epoll instance; none with poll.
fn registered(ev: &EvLoop) -> usize {
    let Some(fd) = ev.backend_fd() else { return 0 };
    let info = fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap();
    info.lines().filter(|line| line.starts_with("tfd:")).count()
}

/// Runs the loop until a count has come to `to`; the case's alarm ends what would hang.
fn run_until(ev: &mut EvLoop, count: &Count, to: usize) {
    while count.get() < to {
        assert!(ev.run_mode(Run::Once).unwrap());
        ev.verify();
    }
    assert_eq!(count.get(), to);
}

/// Drops a loop that somebody else's frame owns.
fn end(ev: &mut EvLoop) {
    drop(std::mem::replace(ev, scripted::ev()));
}

fn say(mut stream: &UnixStream) {
    stream.write_all(b"!").unwrap();
}

/// Waits for the other end's `say`.
fn hear(mut stream: &UnixStream) {
    stream.set_nonblocking(false).unwrap();
    stream.read_exact(&mut [0]).unwrap();
}

/// That the loop is not woken by anything: a timer passes in one iteration.
fn sleeps_undisturbed(ev: &mut EvLoop) {
    let before = ev.iteration();
    ev.after(ms(5), |ev| ev.break_loop(Break::All));
    ev.run().unwrap();
    assert_eq!(ev.iteration() - before, 1, "somebody woke the loop");
}

// --- refused -----------------------------------------------------------------------------------

fn a_child_that_did_not_take_over_is_refused_to_run_and_to_start(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let (near, far) = ready_pair();
    let told = Count::new();
    let old = ev.io(Rc::clone(&near), Interest::READ, counts(&told));
    old.start(&mut ev).unwrap();
    let stopped = ev.io(Rc::clone(&near), Interest::READ, counts(&told));
    stopped.start(&mut ev).unwrap().stop(&mut ev);
    Process::fork(|| {
        for _ in 0..2 {
            assert_eq!(kind(ev.run()), ErrorKind::Forked);
            assert_eq!(kind(ev.run_mode(Run::Once)), ErrorKind::Forked);
            assert_eq!(kind(ev.run_mode(Run::NoWait)), ErrorKind::Forked);
            assert_eq!(kind(ev.turn(Some(ZERO))), ErrorKind::Forked);
        }
        assert_eq!((ev.depth(), ev.iteration()), (0, 0));
        let new = ev.io(near.try_clone().unwrap(), Interest::READ, quiet);
        assert_eq!(kind(new.start(&mut ev)), ErrorKind::Forked);
        assert!(!new.is_active(&ev) && new.exists(&ev));
        assert_eq!(kind(stopped.start(&mut ev)), ErrorKind::Forked, "one that the kernel knew");
        assert_eq!(kind(new.start_or_free(&mut ev)), ErrorKind::Forked);
        assert!(!new.exists(&ev));
        let signal = ev.signal(libc::SIGUSR1, nothing);
        assert_eq!(kind(signal.start(&mut ev)), ErrorKind::Forked);
        let child = ev.child_pid(std::process::id(), |_, _| ());
        assert_eq!(kind(child.start(&mut ev)), ErrorKind::Forked);
        let once = ev.once(near.try_clone().unwrap(), Interest::READ, None, |_, _, _| ());
        assert_eq!(kind(once), ErrorKind::Forked);
        // What returns no result works, in memory.
        let timer = ev.timer(ms(1), ZERO, nothing).start(&mut ev);
        let periodic = ev.periodic(Schedule::every(secs(1)), nothing).start(&mut ev);
        assert!(timer.is_active(&ev) && periodic.is_active(&ev) && old.is_active(&ev));
        ev.verify();
        assert_eq!(ErrorKind::Forked, kind(ev.run()));
        ev.after_fork().unwrap();
        stopped.start(&mut ev).unwrap();
        run_until(&mut ev, &told, 2);
        ev.verify();
    })
    .join();
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(told.get(), 1);
    drop(far);
}

fn stopping_freeing_and_dropping_in_the_child_leaves_the_parents_events_alone(
    builder: fn() -> Builder,
) {
    let mut ev = Some(builder().build().unwrap());
    let told = Count::new();
    let mut pairs = Vec::new();
    for _ in 0..4 {
        let (near, far) = shared_pair();
        let count = told.clone();
        let io = ev.as_mut().unwrap().io(near, Interest::READ, move |_, e| {
            drain(e.source);
            count.up();
        });
        io.start(ev.as_mut().unwrap()).unwrap();
        pairs.push((io, far));
    }
    let signal = ev.as_mut().unwrap().signal(libc::SIGUSR1, told.ups());
    signal.start(ev.as_mut().unwrap()).unwrap();
    ev.as_mut().unwrap().periodic(Schedule::every(secs(3600)), nothing).start(ev.as_mut().unwrap());
    let known = registered(ev.as_ref().unwrap());
    Process::fork(|| {
        let mut child = ev.take().unwrap();
        pairs[0].0.stop(&mut child);
        pairs[1].0.free(&mut child);
        pairs[2].0.into_source::<Rc<UnixStream>>(&mut child).unwrap();
        pairs[3].0.set_interest(&mut child, Interest::NONE).unwrap();
        child.verify();
        drop(child);
    })
    .join();
    let mut ev = ev.unwrap();
    assert_eq!(registered(&ev), known);
    for n in 1..=2 {
        for (_, far) in &pairs {
            put(far);
        }
        run_until(&mut ev, &told, 4 * n);
    }
    // SAFETY: the signal is watched.
    unsafe { libc::raise(libc::SIGUSR1) };
    run_until(&mut ev, &told, 9);
    sleeps_undisturbed(&mut ev);
}

fn dropping_in_the_parent_leaves_a_child_that_took_over_alone(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let (near, far) = shared_pair();
    let (go, wait) = pair();
    let told = Count::new();
    ev.io(near, Interest::READ, counts(&told)).start(&mut ev).unwrap();
    ev.periodic(Schedule::every(secs(3600)), nothing).start(&mut ev);
    let child = Process::fork(|| {
        ev.after_fork().unwrap();
        ev.run_mode(Run::NoWait).unwrap();
        hear(&wait);
        run_until(&mut ev, &told, 1);
    });
    drop(ev);
    put(&far);
    say(&go);
    child.join();
}

fn a_descriptor_watched_in_both_is_told_in_both(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let (near, far) = shared_pair();
    let told = Count::new();
    let io = ev.io(near, Interest::READ, counts(&told));
    io.start(&mut ev).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    let (go, wait) = pair();
    let (ready, is_ready) = pair();
    let child = Process::fork(|| {
        ev.after_fork().unwrap();
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(told.get(), 0);
        say(&ready);
        run_until(&mut ev, &told, 1);
        // And it takes its registration out again, before the parent looks.
        io.free(&mut ev);
        ev.run_mode(Run::NoWait).unwrap();
        say(&ready);
        hear(&wait);
        end(&mut ev);
    });
    hear(&is_ready);
    put(&far);
    hear(&is_ready);
    run_until(&mut ev, &told, 1);
    run_until(&mut ev, &told, 2);
    say(&go);
    child.join();
    run_until(&mut ev, &told, 3);
}

// --- taken over --------------------------------------------------------------------------------

fn after_fork_makes_every_started_watcher_work(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let log = Log::new();
    let (near, far) = shared_pair();
    let io = ev.io(near, Interest::READ, empties(&log, "io"));
    io.start(&mut ev).unwrap();
    ev.timer(ms(1), ZERO, log.says("timer")).start(&mut ev);
    ev.periodic(Schedule::every(ms(1)), log.says("periodic"))
        .set_ref(&mut ev, false)
        .start(&mut ev);
    ev.signal(libc::SIGUSR1, log.says("signal")).start(&mut ev).unwrap();
    let (watcher, notifier) = ev.notifier(log.says("notifier"));
    watcher.start(&mut ev);
    let says = log.clone();
    let (letters, sender) = ev.channel(4, move |_, ()| says.push("channel"));
    letters.start(&mut ev);
    ev.prepare(log.says("prepare")).start(&mut ev);
    ev.check(log.says("check")).start(&mut ev);
    ev.idle(log.says("idle")).set_priority(&mut ev, -2).start(&mut ev);
    ev.on_fork(log.says("fork")).start(&mut ev);
    let kinds =
        ["io", "timer", "periodic", "signal", "notifier", "channel", "prepare", "check", "idle"];
    let everything = |ev: &mut EvLoop| {
        put(&far);
        // SAFETY: the signal is watched.
        unsafe { libc::raise(libc::SIGUSR1) };
        assert!(notifier.notify() && sender.send(()).is_ok());
        let mut missing: Vec<_> = kinds.to_vec();
        while !missing.is_empty() {
            ev.run_mode(Run::Once).unwrap();
            ev.verify();
            let seen = log.take();
            missing.retain(|kind| !seen.contains(kind));
        }
    };
    let started = ev.watchers().len();
    Process::fork(|| {
        ev.after_fork().unwrap();
        assert_eq!(ev.watchers().len(), started, "they stay started");
        everything(&mut ev);
        // Not only once.
        ev.after(ms(1), |_| ());
        put(&far);
        while !log.take().contains(&"io") {
            ev.run_mode(Run::Once).unwrap();
        }
        io.free(&mut ev);
        ev.verify();
    })
    .join();
    everything(&mut ev);
}

fn handles_made_before_the_fork_reach_the_childs_loop(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    anchor(&mut ev);
    let told = Count::new();
    let (watcher, notifier) = ev.notifier(told.ups());
    watcher.start(&mut ev);
    let remote = ev.remote();
    Process::fork(|| {
        ev.after_fork().unwrap();
        // From another thread, while the loop sleeps: nothing but the wake-up channel can end that.
        for n in 1..=20 {
            let (ours, theirs) = (notifier.clone(), remote.clone());
            let thread = std::thread::spawn(move || {
                assert!(ours.notify());
                assert!(theirs.post(|ev| trace(ev, "posted")));
            });
            run_until(&mut ev, &told, n);
            while traced(&mut ev).is_empty() {
                ev.run_mode(Run::Once).unwrap();
            }
            thread.join().unwrap();
        }
        end(&mut ev);
        assert!(!notifier.notify() && !remote.wake());
    })
    .join();
    sleeps_undisturbed(&mut ev);
    assert_eq!(told.get(), 0);
    assert!(notifier.notify(), "the parent's loop is not gone");
    run_until(&mut ev, &told, 1);
}

fn what_was_sent_before_the_fork_is_delivered_in_both(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    anchor(&mut ev);
    let told = Count::new();
    let (watcher, notifier) = ev.notifier(told.ups());
    watcher.start(&mut ev);
    assert!(notifier.notify());
    assert!(ev.remote().post(|ev| trace(ev, "posted")));
    let both = |ev: &mut EvLoop| {
        assert_eq!(ev.next_deadline(), Some(ev.now()));
        ev.run_mode(Run::Once).unwrap();
        assert_eq!((told.get(), traced(ev)), (1, vec!["posted"]));
    };
    Process::fork(|| {
        ev.after_fork().unwrap();
        both(&mut ev);
    })
    .join();
    both(&mut ev);
}

fn the_parent_sleeps_on_whatever_the_child_does(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let (near, far) = shared_pair();
    let told = Count::new();
    ev.io(near, Interest::READ, counts(&told)).start(&mut ev).unwrap();
    let (watcher, notifier) = ev.notifier(told.ups());
    watcher.start(&mut ev);
    ev.signal(libc::SIGUSR1, told.ups()).start(&mut ev).unwrap();
    ev.periodic(Schedule::every(secs(3600)), nothing).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    let known = registered(&ev);
    let remote = ev.remote();
    Process::fork(|| {
        ev.after_fork().unwrap();
        for _ in 0..3 {
            notifier.notify();
            remote.wake();
            remote.post(|_| ());
            // SAFETY: the signal is watched.
            unsafe { libc::raise(libc::SIGUSR1) };
            ev.run_mode(Run::Once).unwrap();
        }
        let (mine, _other) = ready_pair();
        ev.io(mine, Interest::READ, quiet).start(&mut ev).unwrap();
        ev.run_mode(Run::Once).unwrap();
        ev.verify();
        end(&mut ev);
    })
    .join();
    assert_eq!(registered(&ev), known);
    if let Some(fd) = ev.backend_fd() {
        let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
        let zero = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        assert_eq!(rustix::event::poll(&mut fds, Some(&zero)), Ok(0), "a host would be woken");
    }
    sleeps_undisturbed(&mut ev);
    assert_eq!(told.get(), 0);
    put(&far);
    run_until(&mut ev, &told, 1);
    drop(far);
}

fn after_fork_is_harmless_in_the_parent_and_a_second_time(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let (forks, told) = (Count::new(), Count::new());
    ev.on_fork(forks.ups()).start(&mut ev);
    let (near, far) = shared_pair();
    ev.io(near, Interest::READ, counts(&told)).start(&mut ev).unwrap();
    ev.periodic(Schedule::every(secs(3600)), nothing).start(&mut ev);
    let (watcher, notifier) = ev.notifier(told.ups());
    watcher.start(&mut ev);
    let before = descriptors();
    for _ in 0..3 {
        ev.after_fork().unwrap();
    }
    assert_eq!(descriptors(), before);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(forks.get(), 0);
    Process::fork(|| {
        for _ in 0..3 {
            ev.after_fork().unwrap();
        }
        notifier.notify();
        ev.run_mode(Run::NoWait).unwrap();
        for _ in 0..3 {
            ev.after_fork().unwrap();
        }
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!((forks.get(), told.get()), (1, 1));
        assert_eq!(descriptors().len(), before.len());
        ev.verify();
    })
    .join();
    // A fork that does not concern the parent's loop, and the word all the same.
    ev.after_fork().unwrap();
    put(&far);
    run_until(&mut ev, &told, 1);
    assert_eq!(forks.get(), 0);
}

fn follows(ev: &mut EvLoop, told: &Count) {
    let forks = Count::new();
    ev.on_fork(forks.ups()).start(ev).set_ref(ev, false);
    let (near, far) = ready_pair();
    let run = |ev: &mut EvLoop| {
        ev.run_mode(Run::Once).unwrap();
        ev.verify();
        assert_eq!((told.get(), forks.get()), (1, 1));
    };
    Process::fork(|| {
        // The first thing is a run.
        run(ev);
    })
    .join();
    Process::fork(|| {
        // The first thing is a start.
        ev.io(near.try_clone().unwrap(), Interest::READ, quiet).start(ev).unwrap();
        run(ev);
    })
    .join();
    Process::fork(|| {
        ev.signal(libc::SIGUSR1, nothing).start(ev).unwrap();
        run(ev);
    })
    .join();
    assert_eq!((told.get(), forks.get()), (0, 0));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((told.get(), forks.get()), (1, 0));
    drop(far);
}

fn a_loop_that_follows_forks_takes_over_by_itself(builder: fn() -> Builder) {
    let mut ev = builder().follow_fork(true).build().unwrap();
    let told = Count::new();
    let (near, far) = ready_pair();
    let count = told.clone();
    let io = ev.io(near, Interest::READ, move |ev, e| {
        count.up();
        e.watcher.stop(ev);
    });
    io.start(&mut ev).unwrap();
    follows(&mut ev, &told);
    drop(far);
}

fn the_environment_makes_loops_follow_forks(builder: fn() -> Builder) {
    // SAFETY: this process has one thread.
    unsafe { std::env::set_var("EVLOOP_FLAGS", "follow-fork") };
    let made = || {
        let mut ev = builder().env(true).build().unwrap();
        anchor(&mut ev);
        ev
    };
    let mut follower = made();
    Process::fork(|| assert!(follower.run_mode(Run::NoWait).unwrap())).join();
    let mut explicit = builder().env(true).follow_fork(false).build().unwrap();
    Process::fork(|| assert_eq!(kind(explicit.run()), ErrorKind::Forked)).join();
    let mut deaf = builder().env(false).build().unwrap();
    Process::fork(|| assert_eq!(kind(deaf.run()), ErrorKind::Forked)).join();
}

// --- forks in callbacks ------------------------------------------------------------------------

/// Three readers that are ready, of which the first forks, and a timer behind them. `act` runs in the
/// child's callback, `after` in the child after its run has returned.
fn forks_in_a_batch(
    builder: Builder,
    act: fn(&mut EvLoop),
    after: fn(&mut EvLoop, Result<bool>, &Log),
) {
    let mut ev = builder.build().unwrap();
    let log = Log::new();
    let forked = Rc::new(Cell::new(None));
    let mut fars = Vec::new();
    for name in ["a", "b", "c"] {
        let (near, far) = ready_pair();
        let (says, forked) = (log.clone(), Rc::clone(&forked));
        let io = ev.io(near, Interest::READ, move |ev, e| {
            says.push(name);
            drain(e.source);
            e.watcher.stop(ev);
            if name == "a" {
                // SAFETY: this process has one thread.
                forked.set(Some(unsafe { libc::fork() }));
                if forked.get() == Some(0) {
                    // SAFETY: takes a number.
                    unsafe { libc::alarm(20) };
                    act(ev);
                }
            }
        });
        io.start(&mut ev).unwrap();
        fars.push(far);
    }
    let fed = ev.timer(ZERO, ZERO, log.says("fed")).set_priority(&mut ev, -1);
    fed.feed(&mut ev, Events::CUSTOM);
    let stays = ev.timer(ms(2), ZERO, log.says("timer")).start(&mut ev);
    ev.on_fork(log.says("fork")).set_ref(&mut ev, false).start(&mut ev);
    ev.prepare(log.says("prepare")).set_ref(&mut ev, false).start(&mut ev);
    // The first step of a run delivers what is pending; put it where the batch is.
    fed.clear_pending(&mut ev);
    let feeder = ev.check(move |ev, _| assert!(fed.feed(ev, Events::CUSTOM)));
    feeder.set_ref(&mut ev, false).start(&mut ev);
    let check_once = ev.timer(ZERO, ZERO, move |ev, _| assert!(feeder.stop(ev)));
    check_once.start(&mut ev);
    let result = catch_unwind(AssertUnwindSafe(|| ev.run()));
    if forked.get() == Some(0) {
        let good = catch_unwind(AssertUnwindSafe(|| {
            let result = result.expect("a run without a panic");
            assert_eq!(ev.depth(), 0);
            ev.verify();
            after(&mut ev, result, &log);
        }));
        // SAFETY: ends the child here.
        unsafe { libc::_exit(if good.is_ok() { 0 } else { 101 }) };
    }
    assert!(!result.unwrap().unwrap());
    let seen = log.take();
    assert_eq!(seen, ["prepare", "a", "b", "c", "fed", "prepare", "timer"]);
    assert!(!stays.is_active(&ev));
    Process(forked.get().unwrap()).join();
    drop(fars);
}

fn a_fork_in_a_callback_delivers_the_rest_of_the_batch_in_both(builder: fn() -> Builder) {
    forks_in_a_batch(
        builder(),
        |_| {},
        |ev, result, log| {
            assert_eq!(kind(result), ErrorKind::Forked);
            assert_eq!(log.take(), ["prepare", "a", "b", "c", "fed"]);
            ev.after_fork().unwrap();
            assert!(!ev.run().unwrap());
            assert_eq!(log.take(), ["fork", "prepare", "timer"]);
        },
    );
}

fn a_fork_in_a_callback_of_a_loop_that_follows_goes_on_in_both(builder: fn() -> Builder) {
    forks_in_a_batch(
        builder().follow_fork(true),
        |_| {},
        |_, result, log| {
            assert!(!result.unwrap());
            assert_eq!(log.take(), ["prepare", "a", "b", "c", "fed", "fork", "prepare", "timer"]);
        },
    );
}

fn a_takeover_inside_a_callback_keeps_the_rest_of_the_batch(builder: fn() -> Builder) {
    forks_in_a_batch(
        builder(),
        |ev| {
            ev.after_fork().unwrap();
            ev.verify();
        },
        |_, result, log| {
            assert!(!result.unwrap());
            assert_eq!(log.take(), ["prepare", "a", "b", "c", "fed", "fork", "prepare", "timer"]);
        },
    );
}

fn a_takeover_inside_a_nested_run_works(builder: fn() -> Builder) {
    forks_in_a_batch(
        builder(),
        |ev| {
            assert_eq!(kind(ev.run_mode(Run::NoWait)), ErrorKind::Forked, "a nested run too");
            ev.after_fork().unwrap();
            ev.run_mode(Run::NoWait).unwrap();
            ev.verify();
        },
        |_, result, log| {
            assert!(!result.unwrap());
            let seen = log.take();
            for name in ["a", "b", "c", "fork", "timer"] {
                assert_eq!(seen.iter().filter(|n| **n == name).count(), 1, "{name} in {seen:?}");
            }
        },
    );
}

// --- fork watchers -----------------------------------------------------------------------------

fn fork_watchers_are_called_once_per_fork_before_prepare_and_in_start_order(
    builder: fn() -> Builder,
) {
    let mut ev = builder().build().unwrap();
    let log = Log::<(&str, u64)>::new();
    let tells = |log: &Log<(&'static str, u64)>, name| {
        let log = log.clone();
        move |ev: &mut EvLoop, e: ForkEvent| {
            assert_eq!(e.ready, Events::FORK);
            log.push((name, ev.iteration()));
        }
    };
    let keys = ["one", "two", "three"].map(|name| ev.on_fork(tells(&log, name)));
    for n in [2, 0, 1] {
        keys[n].start(&mut ev);
    }
    let high = ev.on_fork(tells(&log, "high")).set_priority(&mut ev, 2).start(&mut ev);
    ev.on_fork(tells(&log, "stopped"));
    let says = log.clone();
    ev.prepare(move |ev, _| says.push(("prepare", ev.iteration()))).start(&mut ev);
    let says = log.clone();
    ev.check(move |ev, _| says.push(("check", ev.iteration()))).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [("prepare", 0), ("check", 1)]);
    assert_eq!(high.priority(&ev), 2);
    Process::fork(|| {
        ev.after_fork().unwrap();
        assert_eq!(log.take(), [], "not before the next iteration");
        ev.run_mode(Run::NoWait).unwrap();
        let forks = [("high", 1), ("three", 1), ("one", 1), ("two", 1)];
        assert_eq!(log.take(), [&forks[..], &[("prepare", 1), ("check", 2)]].concat());
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(log.take(), [("prepare", 2), ("check", 3)], "once");
    })
    .join();
}

fn fork_watchers_are_not_called_in_the_parent_and_not_without_a_takeover(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let forks = Count::new();
    let key = ev.on_fork(forks.ups()).start(&mut ev);
    assert!(ev.has_refs(), "a started one counts");
    key.set_ref(&mut ev, false);
    assert!(!ev.has_refs());
    Process::fork(|| {
        assert_eq!(kind(ev.run()), ErrorKind::Forked);
        ev.invoke_pending();
        assert_eq!(forks.get(), 0);
    })
    .join();
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!((forks.get(), key.is_pending(&ev)), (0, false));
}

fn a_break_in_a_fork_watcher_means_no_poll(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let log = Log::new();
    let says = log.clone();
    ev.on_fork(move |ev, _| {
        says.push("fork");
        ev.break_loop(Break::One);
    })
    .start(&mut ev);
    ev.prepare(log.says("prepare")).start(&mut ev);
    ev.check(log.says("check")).start(&mut ev);
    ev.timer(ZERO, ZERO, log.says("timer")).start(&mut ev);
    Process::fork(|| {
        ev.after_fork().unwrap();
        let waits = waits(&mut ev);
        assert!(ev.run().unwrap());
        assert_eq!((ev.iteration(), waits.get()), (0, 0));
        let seen = log.take();
        assert_eq!(seen[0], "fork");
        assert!(!seen.contains(&"check") && !seen.contains(&"timer"), "{seen:?}");
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(log.take(), ["prepare", "check", "timer"]);
    })
    .join();
}

fn a_fork_watcher_that_panics_keeps_the_others(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let log = Log::new();
    ev.on_fork(|_, _| panic!("fork")).start(&mut ev);
    ev.on_fork(log.says("behind")).start(&mut ev);
    Process::fork(|| {
        ev.after_fork().unwrap();
        assert_eq!(quietly(|| ev.run_mode(Run::NoWait)).as_deref(), Some("fork"));
        assert_eq!((ev.depth(), log.len()), (0, 0));
        ev.verify();
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(log.take(), ["behind"], "and the first is not called again");
    })
    .join();
}

fn a_fork_watcher_may_stop_free_and_start_others(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let log = Log::new();
    let (stopped, freed) = (ev.on_fork(log.says("stopped")), ev.on_fork(log.says("freed")));
    let started = ev.on_fork(log.says("started"));
    let (near, far) = ready_pair();
    let io = ev.io(near, Interest::READ, empties(&log, "io"));
    let says = log.clone();
    ev.on_fork(move |ev, e| {
        says.push("first");
        stopped.stop(ev);
        freed.free(ev);
        started.start(ev);
        e.watcher.free(ev);
        io.start(ev).unwrap();
        ev.verify();
    })
    .start(&mut ev);
    stopped.start(&mut ev);
    freed.start(&mut ev);
    Process::fork(|| {
        ev.after_fork().unwrap();
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(log.take(), ["first", "io"], "one started now is for the next fork");
        assert!(started.is_active(&ev) && stopped.exists(&ev) && !freed.exists(&ev));
        ev.verify();
    })
    .join();
    drop(far);
}

// --- generations -------------------------------------------------------------------------------

fn grandchildren_take_over_too(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let (forks, told) = (Count::new(), Count::new());
    ev.on_fork(forks.ups()).start(&mut ev);
    let (watcher, notifier) = ev.notifier(told.ups());
    watcher.start(&mut ev);
    let (near, far) = shared_pair();
    let count = told.clone();
    ev.io(near, Interest::READ, move |_, e| {
        drain(e.source);
        count.up();
    })
    .start(&mut ev)
    .unwrap();
    let works = |ev: &mut EvLoop, from: usize| {
        notifier.notify();
        run_until(ev, &told, from + 1);
        put(&far);
        run_until(ev, &told, from + 2);
    };
    Process::fork(|| {
        ev.after_fork().unwrap();
        works(&mut ev, 0);
        assert_eq!(forks.get(), 1);
        Process::fork(|| {
            assert_eq!(kind(ev.run()), ErrorKind::Forked);
            ev.after_fork().unwrap();
            works(&mut ev, 2);
            assert_eq!(forks.get(), 2);
            Process::fork(|| end(&mut ev)).join();
        })
        .join();
        // Taken over by nobody.
        works(&mut ev, 2);
        assert_eq!(forks.get(), 1);
    })
    .join();
    works(&mut ev, 0);
    assert_eq!(forks.get(), 0);
}

fn a_grandchild_may_take_over_what_its_parent_did_not(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let (forks, told) = (Count::new(), Count::new());
    ev.on_fork(forks.ups()).start(&mut ev);
    let (near, far) = ready_pair();
    ev.io(near, Interest::READ, counts(&told)).start(&mut ev).unwrap();
    Process::fork(|| {
        Process::fork(|| {
            ev.after_fork().unwrap();
            run_until(&mut ev, &told, 1);
            assert_eq!(forks.get(), 1, "one takeover, one call");
        })
        .join();
        assert_eq!(kind(ev.run()), ErrorKind::Forked, "the child's is still the parent's");
        // A takeover whose fork watchers have not run yet, forked again.
        ev.after_fork().unwrap();
        Process::fork(|| {
            ev.after_fork().unwrap();
            run_until(&mut ev, &told, 1);
            assert_eq!(forks.get(), 1);
        })
        .join();
        run_until(&mut ev, &told, 1);
        assert_eq!(forks.get(), 1);
    })
    .join();
    run_until(&mut ev, &told, 1);
    assert_eq!(forks.get(), 0);
    drop(far);
}

fn events_that_were_pending_at_the_fork_are_delivered_in_both(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let log = Log::new();
    let a = ev.timer(ZERO, ZERO, log.says("a"));
    let b = ev.idle(log.says("b")).set_priority(&mut ev, 1);
    let later = ev.timer(ZERO, ZERO, log.says("later"));
    let gone = ev.timer(ZERO, ZERO, log.says("gone"));
    for key in [a, gone] {
        key.feed(&mut ev, Events::CUSTOM);
    }
    b.feed(&mut ev, Events::CUSTOM);
    later.feed_later(&mut ev, Events::CUSTOM);
    let says = log.clone();
    ev.defer(move |_| says.push("deferred"));
    ev.prepare(log.says("prepare")).set_ref(&mut ev, false).start(&mut ev);
    ev.on_fork(log.says("fork")).set_ref(&mut ev, false).start(&mut ev);
    Process::fork(|| {
        gone.free(&mut ev);
        assert_eq!(ev.pending_count(), 2);
        ev.after_fork().unwrap();
        assert!(!ev.run().unwrap());
        assert_eq!(log.take(), ["b", "a", "fork", "prepare", "later", "deferred"]);
    })
    .join();
    assert_eq!(ev.pending_count(), 3);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), ["b", "a", "gone", "prepare", "later", "deferred"]);
}

// --- descriptors -------------------------------------------------------------------------------

fn descriptors_keep_their_numbers_their_count_and_close_on_exec(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let (near, far) = shared_pair();
    ev.io(near, Interest::READ, quiet).start(&mut ev).unwrap();
    ev.periodic(Schedule::every(secs(3600)), nothing).start(&mut ev);
    ev.signal(libc::SIGUSR1, nothing).start(&mut ev).unwrap();
    let (watcher, _notifier) = ev.notifier(nothing);
    watcher.start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    let before = descriptors();
    assert!(before.iter().any(|(_, target)| target.contains("timerfd")), "{before:?}");
    let number = ev.backend_fd().map(|fd| fd.as_raw_fd());
    Process::fork(|| {
        let child = Process::fork(|| {
            for round in 0..2 {
                ev.after_fork().unwrap();
                ev.run_mode(Run::NoWait).unwrap();
                assert_eq!(ev.backend_fd().map(|fd| fd.as_raw_fd()), number);
                let after = descriptors();
                let targets = |all: &[(i32, String)]| {
                    let mut targets: Vec<_> = all.iter().map(|(_, t)| t.clone()).collect();
                    targets.sort();
                    targets
                };
                assert_eq!(targets(&after), targets(&before), "round {round}");
                for (fd, target) in &after {
                    // SAFETY: asks for the flags of a number and changes nothing.
                    let flags = unsafe { libc::fcntl(*fd, libc::F_GETFD) };
                    let cloexec = flags & libc::FD_CLOEXEC != 0;
                    // Others may have been handed down to this program.
                    let ours = target.starts_with("anon_inode:");
                    assert!(!ours || cloexec, "{fd} ({target}) stays open in programs");
                }
            }
        });
        child.join();
        end(&mut ev);
        let ours = |(_, target): &(i32, String)| {
            target.contains("eventpoll") || target.contains("timerfd")
        };
        assert!(!descriptors().iter().any(ours), "closed with the loop");
    })
    .join();
    assert_eq!(descriptors(), before);
    drop(far);
}

fn the_childs_changes_do_not_reach_the_parents_kernel_set(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let pairs: Vec<_> = (0..5).map(|_| shared_pair()).collect();
    let told = Told::new();
    let mut keys = Vec::new();
    for (near, _) in &pairs {
        let io = ev.io(Rc::clone(near), Interest::READ, tells(&told, "io"));
        keys.push(io.start(&mut ev).unwrap());
    }
    ev.run_mode(Run::NoWait).unwrap();
    let known = registered(&ev);
    Process::fork(|| {
        ev.after_fork().unwrap();
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(registered(&ev), known);
        keys[0].set_interest(&mut ev, Interest::WRITE).unwrap();
        keys[1].set_interest(&mut ev, Interest::NONE).unwrap();
        keys[2].free(&mut ev);
        keys[3].stop(&mut ev);
        let (more, _other) = shared_pair();
        ev.io(more, Interest::READ, quiet).start(&mut ev).unwrap();
        put(&pairs[3].1);
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(told.take(), [("io", WRITE)]);
        drain(&pairs[3].0);
        ev.verify();
    })
    .join();
    assert_eq!(registered(&ev), known);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(told.take(), []);
    for (_, far) in &pairs {
        put(far);
    }
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(told.take(), [("io", READ); 5]);
}

// --- signals and children ----------------------------------------------------------------------

fn a_signal_is_told_to_the_process_it_was_sent_to(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let told = Count::new();
    let key = ev.signal(libc::SIGUSR1, told.ups()).start(&mut ev).unwrap();
    let (ready, is_ready) = pair();
    let (go, wait) = pair();
    let child = Process::fork(|| {
        ev.after_fork().unwrap();
        // SAFETY: the signal is watched.
        unsafe { libc::raise(libc::SIGUSR1) };
        run_until(&mut ev, &told, 1);
        say(&ready);
        hear(&wait);
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(told.get(), 1, "the parent's is not the child's");
        say(&ready);
        run_until(&mut ev, &told, 2);
        // Stopping here stops nothing there.
        key.stop(&mut ev);
        end(&mut ev);
        say(&ready);
    });
    hear(&is_ready);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(told.get(), 0, "the child's is not the parent's");
    // SAFETY: the signal is watched.
    unsafe { libc::raise(libc::SIGUSR1) };
    run_until(&mut ev, &told, 1);
    say(&go);
    hear(&is_ready);
    // SAFETY: the process is our child, and it watches the signal.
    unsafe { libc::kill(child.0, libc::SIGUSR1) };
    hear(&is_ready);
    // SAFETY: the signal is watched.
    unsafe { libc::raise(libc::SIGUSR1) };
    run_until(&mut ev, &told, 2);
    child.join();
}

fn a_childs_end_is_told_in_the_process_whose_child_it_is(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let told = Log::<(Events, Option<i32>)>::new();
    let (go, wait) = pair();
    let subject = Process::fork(|| hear(&wait));
    let says = told.clone();
    let watcher = ev.child_pid(subject.0 as u32, move |_, e| {
        says.push((e.ready, e.status.and_then(|status| status.code())));
    });
    watcher.start(&mut ev).unwrap();
    let (ready, is_ready) = pair();
    let forked = Process::fork(|| {
        ev.after_fork().unwrap();
        ev.run_mode(Run::NoWait).unwrap();
        say(&ready);
        // A child of its own is told as ever.
        let own = Process::fork(|| ());
        let says = told.clone();
        let own = ev.child_pid(own.0 as u32, move |_, e| {
            says.push((e.ready, e.status.and_then(|status| status.code())));
        });
        own.start(&mut ev).unwrap();
        while own.is_active(&ev) || watcher.is_active(&ev) {
            ev.run_mode(Run::Once).unwrap();
        }
        ev.run_mode(Run::NoWait).unwrap();
        let mut told = told.take();
        told.sort_by_key(|(_, status)| *status);
        assert_eq!(told, [(Events::CHILD | Events::ERROR, None), (Events::CHILD, Some(0))]);
    });
    hear(&is_ready);
    say(&go);
    ev.run().unwrap();
    assert_eq!(told.take(), [(Events::CHILD, Some(0))]);
    forked.join();
}

// --- odd descriptors ---------------------------------------------------------------------------

fn regular_files_stay_always_ready(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let told = Count::new();
    let file = fs::File::open("/proc/self/exe").unwrap();
    let io = ev.io(file, Interest::READ, counts(&told));
    io.start(&mut ev).unwrap();
    Process::fork(|| {
        ev.after_fork().unwrap();
        for n in 1..=3 {
            ev.run_mode(Run::Once).unwrap();
            assert_eq!(told.get(), n);
        }
        io.free(&mut ev);
        assert!(!ev.run().unwrap());
    })
    .join();
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(told.get(), 1);
}

fn edge_triggered_watchers_are_told_of_what_waits(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    if ev.backend() == Some(Backend::Poll) {
        // It has no edges.
        return;
    }
    let told = Count::new();
    let (near, far) = ready_pair();
    let io = ev.io(near, Interest::READ | Interest::EDGE, counts(&told));
    io.start(&mut ev).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(told.get(), 1, "an edge comes once");
    Process::fork(|| {
        ev.after_fork().unwrap();
        // The new registration has an edge of its own; whoever missed the parent's gets that.
        run_until(&mut ev, &told, 2);
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(told.get(), 2);
        put(&far);
        run_until(&mut ev, &told, 3);
    })
    .join();
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(told.get(), 2, "the parent saw the new data, and none of the rest");
}

fn watchers_stopped_before_the_fork_can_be_started_after_it(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let told = Count::new();
    let (near, far) = ready_pair();
    let io = ev.io(near, Interest::READ, counts(&told));
    io.start(&mut ev).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    io.stop(&mut ev);
    let signal = ev.signal(libc::SIGUSR1, told.ups());
    signal.start(&mut ev).unwrap().stop(&mut ev);
    let periodic = ev.periodic(Schedule::every(ms(1)), told.ups());
    periodic.start(&mut ev).stop(&mut ev);
    Process::fork(|| {
        ev.after_fork().unwrap();
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(told.get(), 1);
        io.start(&mut ev).unwrap();
        run_until(&mut ev, &told, 2);
        io.free(&mut ev);
        signal.start(&mut ev).unwrap();
        // SAFETY: the signal is watched.
        unsafe { libc::raise(libc::SIGUSR1) };
        run_until(&mut ev, &told, 3);
        signal.free(&mut ev);
        periodic.start(&mut ev);
        run_until(&mut ev, &told, 4);
    })
    .join();
    drop(far);
}

fn a_takeover_that_the_system_refuses_can_be_tried_again(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let told = Count::new();
    let (near, far) = ready_pair();
    ev.io(near, Interest::READ, counts(&told)).start(&mut ev).unwrap();
    let forks = Count::new();
    ev.on_fork(forks.ups()).start(&mut ev);
    let limit = |n: u64| {
        let limit = libc::rlimit { rlim_cur: n, rlim_max: libc::RLIM_INFINITY };
        let mut old = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the pointers are to locals that outlive the calls.
        unsafe {
            libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut old);
            let limit = libc::rlimit { rlim_max: old.rlim_max, ..limit };
            assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
        }
        old.rlim_cur
    };
    Process::fork(|| {
        // Every number below the limit is taken.
        let highest = descriptors().last().unwrap().0;
        let spare: Vec<_> = (0..highest).map_while(|_| fs::File::open("/dev/null").ok()).collect();
        let next = descriptors().last().unwrap().0 as u64 + 1;
        let old = limit(next);
        for _ in 0..2 {
            let error = ev.after_fork().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Create);
            assert_eq!(error.raw_os_error(), Some(libc::EMFILE));
            assert_eq!(kind(ev.run()), ErrorKind::Forked);
            ev.verify();
        }
        limit(old);
        drop(spare);
        ev.after_fork().unwrap();
        run_until(&mut ev, &told, 1);
        assert_eq!(forks.get(), 1);
    })
    .join();
    run_until(&mut ev, &told, 1);
    drop(far);
}

// --- the end -----------------------------------------------------------------------------------

fn cleanup_watchers_are_not_called_in_a_child_that_did_not_take_over(builder: fn() -> Builder) {
    let mut ev = Some(builder().build().unwrap());
    let cleaned = Count::new();
    let loops = ev.as_mut().unwrap();
    loops.on_close(cleaned.ups()).start(loops);
    let held = Rc::new(());
    let hold = Rc::clone(&held);
    loops.on_close(move |_, _| assert!(Rc::strong_count(&hold) > 0)).start(loops);
    Process::fork(|| {
        drop(ev.take());
        assert_eq!(cleaned.get(), 0);
        assert_eq!(Rc::strong_count(&held), 1, "their closures are dropped");
    })
    .join();
    Process::fork(|| {
        // Nor where the loop would have followed, had it been used.
        let mut other = builder().follow_fork(true).build().unwrap();
        other.on_close(cleaned.ups()).start(&mut other);
        Process::fork(|| {
            drop(other);
            assert_eq!(cleaned.get(), 0);
        })
        .join();
    })
    .join();
    drop(ev.take());
    assert_eq!(cleaned.get(), 1);
}

fn cleanup_watchers_are_called_in_a_child_that_took_over_and_in_its_parent(
    builder: fn() -> Builder,
) {
    let mut ev = Some(builder().build().unwrap());
    let cleaned = Count::new();
    let loops = ev.as_mut().unwrap();
    loops.on_close(cleaned.ups()).start(loops);
    Process::fork(|| {
        ev.as_mut().unwrap().after_fork().unwrap();
        drop(ev.take());
        assert_eq!(cleaned.get(), 1);
    })
    .join();
    assert_eq!(cleaned.get(), 0);
    drop(ev.take());
    assert_eq!(cleaned.get(), 1);
}

fn a_loop_made_in_the_child_is_its_own(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let (near, far) = ready_pair();
    let told = Count::new();
    ev.io(Rc::clone(&near), Interest::READ, counts(&told)).start(&mut ev).unwrap();
    Process::fork(|| {
        let mut mine = builder().build().unwrap();
        let own = Count::new();
        mine.io(near, Interest::READ, counts(&own)).start(&mut mine).unwrap();
        mine.on_fork(nothing).start(&mut mine);
        run_until(&mut mine, &own, 1);
        assert_eq!(kind(ev.run()), ErrorKind::Forked, "beside the parent's");
        mine.verify();
        drop(mine);
        assert_eq!(told.get(), 0);
    })
    .join();
    run_until(&mut ev, &told, 1);
    assert!(ev.backend_fd().is_none_or(|fd| fd.as_fd().as_raw_fd() > 2));
    drop(far);
}

// --- what nobody must notice -------------------------------------------------------------------

fn a_child_that_did_not_take_over_does_not_wake_the_parent(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let told = Count::new();
    let (watcher, notifier) = ev.notifier(told.ups());
    watcher.start(&mut ev);
    let remote = ev.remote();
    Process::fork(|| {
        // Handles that the child has a copy of. Nobody will hear, but somebody might wake.
        let _ = notifier.notify();
        let _ = remote.wake();
        let _ = remote.post(|_| ());
        end(&mut ev);
    })
    .join();
    sleeps_undisturbed(&mut ev);
    assert_eq!(told.get(), 0);
}

fn a_periodic_first_started_before_the_takeover_has_the_clock_watched_after_it(
    builder: fn() -> Builder,
) {
    let mut ev = builder().build().unwrap();
    let timers = || descriptors().iter().filter(|(_, target)| target.contains("timerfd")).count();
    Process::fork(|| {
        ev.periodic(Schedule::every(secs(3600)), nothing).start(&mut ev);
        ev.after_fork().unwrap();
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(timers(), 1, "jumps are noticed at once, as in a loop that was never forked");
    })
    .join();
}

fn fork_watchers_that_wait_are_work_for_a_host(builder: fn() -> Builder) {
    let mut ev = builder().build().unwrap();
    let forks = Count::new();
    ev.on_fork(forks.ups()).start(&mut ev);
    assert_eq!(ev.next_deadline(), None);
    Process::fork(|| {
        ev.after_fork().unwrap();
        assert_eq!(ev.next_deadline(), Some(ev.now()), "or a host calls turn only by chance");
        ev.turn(Some(ZERO)).unwrap();
        assert_eq!((forks.get(), ev.next_deadline()), (1, None));
    })
    .join();
}

// --- on the way to the wait ----------------------------------------------------------------------

const WAYS: [&str; 4] = ["prepare", "before", "after", "rule"];

/// Has the next pass fork once on its way to the wait, or right behind it. The child's number comes out, 0
/// in the child.
fn forks_on_the_way(ev: &mut EvLoop, way: &str, clock: &MockClock) -> Rc<Cell<i32>> {
    let pid = Rc::new(Cell::new(-1));
    let result = Rc::clone(&pid);
    let fork = move || {
        if result.get() == -1 {
            // SAFETY: this process has one thread, so the child may do whatever this one may.
            result.set(unsafe { libc::fork() });
            if result.get() == 0 {
                // SAFETY: takes a number; its signal ends the process.
                unsafe { libc::alarm(20) };
            }
        }
    };
    match way {
        "prepare" => {
            ev.prepare(move |_, _| fork()).start(ev).set_ref(ev, false);
        }
        "before" => ev.on_wait(fork, || ()),
        "after" => ev.on_wait(|| (), fork),
        _ => {
            let mut asked = 0;
            let rule = Schedule::by(move |now| {
                asked += 1;
                // The first time is the start, the second the jump.
                if asked == 2 {
                    fork();
                }
                Some(now + secs(36000))
            });
            ev.periodic(rule, nothing).start(ev).set_ref(ev, false);
            clock.set_wall(clock.wall() + secs(7200));
        }
    }
    pid
}

/// Ends the process if it is the child, else waits for the child.
fn part(pid: i32, verdict: impl FnOnce()) {
    if pid == 0 {
        let status = if catch_unwind(AssertUnwindSafe(verdict)).is_ok() { 0 } else { 101 };
        // SAFETY: ends the process here: what the parent has on its stack is the parent's.
        unsafe { libc::_exit(status) };
    }
    Process(pid).join();
}

fn a_fork_on_the_way_to_the_wait_leaves_the_parent_its_wake_ups(builder: fn() -> Builder) {
    for way in WAYS {
        let clock = MockClock::new();
        let builder = if way == "rule" { builder().mock_clock(&clock) } else { builder() };
        let mut ev = builder.build().unwrap();
        let told = Count::new();
        let (watcher, notifier) = ev.notifier(told.ups());
        watcher.start(&mut ev);
        let pid = forks_on_the_way(&mut ev, way, &clock);
        // In the child this would take the bell's word away from the parent, if it polled.
        notifier.notify();
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            let first = ev.run_mode(Run::Once);
            if pid.get() == 0 && way != "after" {
                assert_eq!(kind(first), ErrorKind::Forked, "{way}");
                assert_eq!(told.get(), 0, "{way}");
            }
            ev.verify();
        }));
        part(pid.get(), || {
            outcome.unwrap();
            assert_eq!(kind(ev.run_mode(Run::NoWait)), ErrorKind::Forked, "{way}");
        });
        assert_eq!(told.get(), 1, "{way}");
        let (near, far) = ready_pair();
        ev.io(near, Interest::READ, counts(&told)).start(&mut ev).unwrap();
        run_until(&mut ev, &told, 2);
        drop(far);
    }
}

fn a_loop_that_follows_goes_on_in_a_child_that_was_forked_on_the_way_to_the_wait(
    builder: fn() -> Builder,
) {
    for way in WAYS {
        let clock = MockClock::new();
        let builder = if way == "rule" { builder().mock_clock(&clock) } else { builder() };
        let mut ev = builder.follow_fork(true).build().unwrap();
        let (near, far) = ready_pair();
        let log = Log::new();
        ev.on_fork(log.says("fork")).start(&mut ev).set_ref(&mut ev, false);
        let says = log.clone();
        ev.io(near, Interest::READ, move |ev, e| {
            says.push("io");
            e.watcher.stop(ev);
        })
        .start(&mut ev)
        .unwrap();
        let pid = forks_on_the_way(&mut ev, way, &clock);
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            assert!(!ev.run_mode(Run::Once).unwrap());
            if pid.get() == 0 && way == "after" {
                // The report had come already.
                assert_eq!(log.take(), ["io"]);
                ev.run_mode(Run::NoWait).unwrap();
                assert_eq!(log.take(), ["fork"]);
            } else {
                let expected: &[_] = if pid.get() == 0 { &["fork", "io"] } else { &["io"] };
                assert_eq!(log.take(), expected, "{way}");
            }
            ev.verify();
        }));
        part(pid.get(), || outcome.unwrap());
        drop(far);
    }
}

fn fork_watchers_are_called_before_a_loop_that_took_over_in_a_prepare_watcher_waits(
    builder: fn() -> Builder,
) {
    let mut ev = builder().build().unwrap();
    let log = Log::new();
    ev.on_fork(log.says("fork")).start(&mut ev).set_ref(&mut ev, false);
    let pid = Rc::new(Cell::new(-1));
    let (says, forked) = (log.clone(), Rc::clone(&pid));
    ev.prepare(move |ev, e| {
        e.watcher.stop(ev);
        says.push("prepare");
        // SAFETY: this process has one thread, so the child may do whatever this one may.
        forked.set(unsafe { libc::fork() });
        if forked.get() == 0 {
            // SAFETY: takes a number; its signal ends the process.
            unsafe { libc::alarm(20) };
            ev.after_fork().unwrap();
        }
    })
    .start(&mut ev);
    let says = log.clone();
    ev.after(ms(1), move |_| says.push("timer"));
    let outcome = catch_unwind(AssertUnwindSafe(|| ev.run().unwrap()));
    part(pid.get(), || {
        outcome.unwrap();
        assert_eq!(log.take(), ["prepare", "fork", "timer"]);
    });
    assert_eq!(log.take(), ["prepare", "timer"]);
}

fn a_hosted_loop_taken_over_in_a_fork_watcher_of_its_host_works_in_both(builder: fn() -> Builder) {
    for way in ["outside", "prepare", "before"] {
        let mut inner = EvLoop::builder().backend(Backend::Epoll).env(false).build().unwrap();
        let told = Count::new();
        let (watcher, notifier) = inner.notifier(told.ups());
        watcher.start(&mut inner);
        let fd = inner.backend_fd().unwrap().as_raw_fd();
        // SAFETY: the hosted loop is dropped after its host.
        let number = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        let inner = Rc::new(RefCell::new(inner));
        let mut host = builder().follow_fork(true).build().unwrap();
        let hosted = Rc::clone(&inner);
        host.io(number, Interest::READ, move |_, _| {
            hosted.borrow_mut().turn(Some(ZERO)).unwrap();
        })
        .start(&mut host)
        .unwrap();
        let hosted = Rc::clone(&inner);
        host.on_fork(move |_, _| hosted.borrow_mut().after_fork().unwrap()).start(&mut host);
        host.run_mode(Run::NoWait).unwrap();
        let sane = |host: &mut EvLoop| {
            host.after(ms(20), |ev| ev.break_loop(Break::All));
            let before = host.iteration();
            host.run().unwrap();
            assert!(host.iteration() - before < 5, "{way}: it spins");
            let count = told.get();
            notifier.notify();
            run_until(host, &told, count + 1);
            host.verify();
        };
        if way == "outside" {
            Process::fork(|| sane(&mut host)).join();
        } else {
            let pid = forks_on_the_way(&mut host, way, &MockClock::new());
            host.after(ZERO, |_| ());
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                host.run_mode(Run::Once).unwrap();
                if pid.get() == 0 {
                    sane(&mut host);
                }
            }));
            part(pid.get(), || outcome.unwrap());
        }
        sane(&mut host);
        drop(host);
    }
}
