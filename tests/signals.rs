//! Signals: loop.md 3.4, 1.4 and 1.9, design.md D8, reliability.md R10, R11 and the signal rows of
//! section 4. Dispositions belong to the process, so each case has one of its own.

#![allow(clippy::unwrap_used)]

#[path = "suite/processes.rs"]
mod processes;
mod suite;

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use processes::*;
use suite::*;

const USR1: i32 = libc::SIGUSR1;
const USR2: i32 = libc::SIGUSR2;

fn main() {
    let setting = |name, backend| Setting { name, backend, descriptors: true };
    let settings = [setting("epoll", Backend::Epoll), setting("poll", Backend::Poll)];
    processes::main(
        &settings,
        cases![
            a_signal_is_told_with_its_number,
            several_watchers_of_one_signal_are_called_in_start_order,
            a_higher_priority_is_called_first,
            deliveries_coalesce_to_at_least_one_call_and_at_most_as_many,
            a_signal_between_start_and_run_is_not_lost,
            starting_twice_is_starting_once,
            a_stale_key_is_refused,
            a_new_callback_gets_what_was_raised_for_the_old_one,
            a_watcher_stopped_while_its_event_is_queued_is_not_called,
            a_watcher_stopped_after_the_signal_came_is_not_called,
            clear_pending_takes_the_event_back,
            stopping_one_of_several_keeps_the_handler,
            when_the_last_is_stopped_the_default_action_is_performed,
            a_freed_watcher_leaves_the_signal_to_its_default,
            a_dropped_loop_leaves_its_signals_to_their_default,
            a_dropped_loop_leaves_the_others_listening,
            a_core_is_dumped_as_without_a_loop,
            a_stop_signal_stops_and_the_handler_is_back_afterwards,
            signals_that_do_nothing_by_default_do_nothing_unwatched,
            a_signal_found_ignored_is_ignored_when_nobody_watches,
            a_handler_that_was_there_is_called_while_we_watch_and_afterwards,
            a_signal_can_be_watched_again_after_the_last_was_stopped,
            numbers_that_cannot_be_watched_are_invalid_input,
            feeding_a_number_that_is_no_signal_does_nothing,
            real_time_signals_come_like_others,
            starting_unblocks_its_signal_and_no_other,
            without_unblock_signals_the_mask_is_left_alone,
            the_environment_can_ask_to_leave_the_mask_alone,
            a_signal_ends_a_wait_and_once_returns_with_it,
            a_signal_ends_a_turn_before_its_limit,
            what_is_ready_with_the_signal_belongs_to_its_iteration,
            a_signal_for_nobody_does_not_end_once,
            an_interruption_by_another_handler_does_not_end_once,
            the_handler_leaves_errno_alone,
            a_callback_may_free_its_own_watcher,
            a_callback_may_free_all_others,
            a_callback_may_start_another_watcher_of_its_signal,
            a_callback_may_run_the_loop_and_is_not_entered_again,
            a_panic_leaves_the_other_watchers_their_event,
            feeding_a_signal_calls_its_started_watchers,
            sigchld_can_be_watched_beside_children,
            two_loops_in_two_threads_are_both_told,
            two_loops_of_one_thread_are_both_told,
            a_signal_delivered_to_another_thread_wakes_the_loop,
            a_loop_that_was_moved_is_still_told,
            loops_come_and_go_in_a_storm,
            the_last_of_a_hundred_thousand_signals_is_seen,
            a_storm_does_not_starve_timers_and_io,
            signals_stand_between_check_and_children_in_the_order,
            a_signal_during_a_callback_comes_in_the_next_iteration,
            a_watcher_without_a_reference_does_not_keep_the_loop,
            the_list_of_watchers_names_it,
            starting_a_signal_opens_no_descriptor,
            a_forked_child_that_took_over_is_told_and_its_parent_is_not,
            a_forked_child_that_did_not_take_over_does_not_wake_its_parent,
            a_forked_child_that_follows_is_told_without_being_asked,
            a_loop_dropped_in_a_forked_child_leaves_the_parent_listening,
        ],
    );
}

/// A started watcher that only counts.
fn counter(ev: &mut EvLoop, signum: i32) -> (Signal, Count) {
    let count = Count::new();
    let watcher = ev.signal(signum, count.ups()).start(ev).unwrap();
    (watcher, count)
}

/// Handles what is there.
fn look(ev: &mut EvLoop) {
    ev.run_mode(Run::NoWait).unwrap();
    ev.verify();
}

/// Whether a handler is in place.
fn is_handled(signum: i32) -> bool {
    ![libc::SIG_DFL, libc::SIG_IGN].contains(&disposition(signum))
}

fn a_signal_is_told_with_its_number() {
    let mut ev = ev();
    let told = Log::new();
    let log = told.clone();
    let watcher = ev.signal(USR1, move |_, e| log.push((e.watcher, e.signum, e.ready)));
    assert_eq!(watcher.signum(&ev), Some(USR1));
    assert!(!watcher.is_active(&ev));
    watcher.start(&mut ev).unwrap();
    assert!(watcher.is_active(&ev) && is_handled(USR1));
    raise(USR1);
    look(&mut ev);
    assert_eq!(told.take(), [(watcher, USR1, Events::SIGNAL)]);
    assert!(watcher.is_active(&ev), "it goes on");
    look(&mut ev);
    assert_eq!(told.len(), 0, "once");
    watcher.free(&mut ev);
    assert_eq!(watcher.signum(&ev), None);
}

fn several_watchers_of_one_signal_are_called_in_start_order() {
    let mut ev = ev();
    let log = Log::new();
    let names = ["a", "b", "c", "d"];
    let made = names.map(|name| ev.signal(USR1, log.says(name)));
    for i in [2, 0, 3, 1] {
        made[i].start(&mut ev).unwrap();
    }
    raise(USR1);
    look(&mut ev);
    assert_eq!(log.take(), ["c", "a", "d", "b"]);
    // One that is started again goes to the end.
    made[2].stop(&mut ev);
    made[2].start(&mut ev).unwrap();
    raise(USR1);
    look(&mut ev);
    assert_eq!(log.take(), ["a", "d", "b", "c"]);
}

fn a_higher_priority_is_called_first() {
    let mut ev = ev();
    let log = Log::new();
    for (name, signum, priority) in
        [("low", USR1, -2), ("middle", USR1, 0), ("high", USR2, 2), ("higher than low", USR2, -1)]
    {
        ev.signal(signum, log.says(name)).set_priority(&mut ev, priority).start(&mut ev).unwrap();
    }
    raise(USR1);
    raise(USR2);
    look(&mut ev);
    assert_eq!(log.take(), ["high", "middle", "higher than low", "low"]);
}

fn deliveries_coalesce_to_at_least_one_call_and_at_most_as_many() {
    let mut ev = ev();
    let (_, one) = counter(&mut ev, USR1);
    let (_, other) = counter(&mut ev, USR1);
    for _ in 0..100 {
        raise(USR1);
    }
    look(&mut ev);
    assert!((1..=100).contains(&one.get()), "{} calls", one.get());
    assert_eq!(one.get(), other.get());
    // Those that the loop has looked between are all there.
    let before = one.get();
    for n in 1..=10 {
        raise(USR1);
        look(&mut ev);
        assert_eq!(one.get(), before + n);
    }
    // Sent from elsewhere while the loop runs.
    let before = one.get();
    let sender = me();
    ev.signal(USR2, |ev, _| ev.break_loop(Break::One)).start(&mut ev).unwrap();
    let senders = fork(move || {
        for _ in 0..50 {
            assert!(sender.send(USR1));
        }
        assert!(sender.send(USR2));
    });
    ev.run().unwrap();
    look(&mut ev);
    assert_eq!(senders.wait().code(), Some(0));
    assert!((before + 1..=before + 50).contains(&one.get()));
    assert_eq!(one.get(), other.get());
}

fn a_signal_between_start_and_run_is_not_lost() {
    for mode in [Run::NoWait, Run::Once] {
        let mut ev = ev();
        let (watcher, count) = counter(&mut ev, USR1);
        raise(USR1);
        ev.run_mode(mode).unwrap();
        assert_eq!(count.get(), 1, "{mode:?}");
        assert_eq!(ev.iteration(), 1, "{mode:?}");
        watcher.stop(&mut ev);
    }
    let mut ev = ev();
    ev.signal(USR1, |ev, e| {
        e.watcher.free(ev);
    })
    .start(&mut ev)
    .unwrap();
    raise(USR1);
    assert!(!ev.run().unwrap());
}

fn starting_twice_is_starting_once() {
    let mut ev = ev();
    let (watcher, count) = counter(&mut ev, USR1);
    watcher.start(&mut ev).unwrap();
    raise(USR1);
    look(&mut ev);
    assert_eq!(count.get(), 1);
    watcher.stop(&mut ev);
    assert!(!ev.has_refs());
}

fn a_stale_key_is_refused() {
    let (mut ev, mut other) = (ev(), ev());
    let watcher = ev.signal(USR1, nothing);
    assert_eq!(watcher.start(&mut other).unwrap_err().kind(), ErrorKind::Stale);
    watcher.free(&mut ev);
    assert_eq!(watcher.start(&mut ev).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(disposition(USR1), libc::SIG_DFL, "and nothing was installed");
}

fn a_new_callback_gets_what_was_raised_for_the_old_one() {
    let mut ev = ev();
    let log = Log::new();
    let watcher = ev.signal(USR1, log.says("old")).start(&mut ev).unwrap();
    raise(USR1);
    assert!(watcher.set_callback(&mut ev, log.says("new")));
    look(&mut ev);
    assert_eq!(log.take(), ["new"]);
}

fn a_watcher_stopped_while_its_event_is_queued_is_not_called() {
    let mut ev = ev();
    let second = Rc::new(Cell::new(None::<Signal>));
    let victim = Rc::clone(&second);
    let first = Count::new();
    let count = first.clone();
    ev.signal(USR1, move |ev, _| {
        let victim = victim.get().unwrap();
        assert_eq!(count.up() == 1, victim.is_pending(ev));
        victim.stop(ev);
        assert!(!victim.is_pending(ev));
    })
    .start(&mut ev)
    .unwrap();
    let (watcher, called) = counter(&mut ev, USR1);
    second.set(Some(watcher));
    raise(USR1);
    look(&mut ev);
    assert_eq!((first.get(), called.get()), (1, 0));
    watcher.start(&mut ev).unwrap();
    look(&mut ev);
    assert_eq!((first.get(), called.get()), (1, 0), "forgotten, not put off");
}

fn a_watcher_stopped_after_the_signal_came_is_not_called() {
    let mut ev = ev();
    let (_, other) = counter(&mut ev, USR1);
    let (watcher, count) = counter(&mut ev, USR1);
    let (alone, alone_count) = counter(&mut ev, USR2);
    raise(USR1);
    raise(USR2);
    watcher.stop(&mut ev);
    alone.stop(&mut ev);
    alone.start(&mut ev).unwrap();
    look(&mut ev);
    assert_eq!((other.get(), count.get(), alone_count.get()), (1, 0, 0));
    raise(USR2);
    look(&mut ev);
    assert_eq!(alone_count.get(), 1);
}

fn clear_pending_takes_the_event_back() {
    let mut ev = ev();
    let (watcher, count) = counter(&mut ev, USR1);
    ev.check(move |ev, e| {
        e.watcher.free(ev);
        // Ahead of the queue: it is there already, behind this callback.
        assert_eq!(watcher.clear_pending(ev), Events::SIGNAL);
        assert_eq!(watcher.clear_pending(ev), Events::NONE);
    })
    .start(&mut ev);
    raise(USR1);
    look(&mut ev);
    assert_eq!(count.get(), 0);
    assert!(watcher.is_active(&ev));
    raise(USR1);
    look(&mut ev);
    assert_eq!(count.get(), 1);
}

fn stopping_one_of_several_keeps_the_handler() {
    let mut ev = ev();
    let (first, stopped) = counter(&mut ev, libc::SIGTERM);
    let (_, count) = counter(&mut ev, libc::SIGTERM);
    first.stop(&mut ev);
    // The default would end this process.
    raise(libc::SIGTERM);
    look(&mut ev);
    assert_eq!((stopped.get(), count.get()), (0, 1));
    first.free(&mut ev);
    raise(libc::SIGTERM);
    look(&mut ev);
    assert_eq!(count.get(), 2);
}

/// How a process ends that raises a signal when a loop has watched it and does no longer.
fn after_a_loop(signum: i32, leave_it: fn(EvLoop, Signal)) -> ExitStatus {
    fork(|| {
        let mut ev = ev();
        let (watcher, count) = counter(&mut ev, signum);
        raise(signum);
        look(&mut ev);
        assert_eq!(count.get(), 1, "signal {signum}");
        leave_it(ev, watcher);
        raise(signum);
        leave(3);
    })
    .wait()
}

/// How one ends that has never heard of a loop.
fn without_a_loop(signum: i32) -> ExitStatus {
    fork(|| {
        raise(signum);
        leave(3);
    })
    .wait()
}

fn when_the_last_is_stopped_the_default_action_is_performed() {
    let mut deaths = 0;
    for signum in (1..=64).filter(|n| is_watchable(*n) && !stops(*n)) {
        // Rust's runtime has a handler for it, which gives up at the first that it did not expect.
        if signum == libc::SIGBUS {
            continue;
        }
        let (with, without) = (
            after_a_loop(signum, |mut ev, watcher| {
                assert!(watcher.stop(&mut ev));
                std::mem::forget(ev);
            }),
            without_a_loop(signum),
        );
        assert_eq!(with, without, "signal {signum}");
        if with.signal() == Some(signum) {
            deaths += 1;
        } else {
            assert_eq!(with.code(), Some(3), "signal {signum}: {with}");
        }
    }
    assert!(deaths > 40, "only {deaths} signals have ended a process");
}

fn is_watchable(signum: i32) -> bool {
    ![
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGSEGV,
        libc::SIGRTMIN() - 1,
        libc::SIGRTMIN() - 2,
    ]
    .contains(&signum)
}

fn stops(signum: i32) -> bool {
    [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU].contains(&signum)
}

fn a_freed_watcher_leaves_the_signal_to_its_default() {
    let status = after_a_loop(libc::SIGTERM, |mut ev, watcher| {
        assert!(watcher.free(&mut ev));
        std::mem::forget(ev);
    });
    assert_eq!(status.signal(), Some(libc::SIGTERM));
}

fn a_dropped_loop_leaves_its_signals_to_their_default() {
    for signum in [libc::SIGTERM, libc::SIGINT, USR1, libc::SIGRTMAX()] {
        let status = after_a_loop(signum, |ev, _| drop(ev));
        assert_eq!(status.signal(), Some(signum));
    }
}

fn a_dropped_loop_leaves_the_others_listening() {
    let (mut one, mut other) = (ev(), ev());
    let (_, count) = counter(&mut one, libc::SIGTERM);
    counter(&mut other, libc::SIGTERM);
    drop(other);
    raise(libc::SIGTERM);
    look(&mut one);
    assert_eq!(count.get(), 1);
}

fn a_core_is_dumped_as_without_a_loop() {
    let place = temporary("core");
    std::fs::create_dir_all(&place).unwrap();
    std::env::set_current_dir(&place).unwrap();
    allow_cores();
    let without = without_a_loop(libc::SIGQUIT);
    let with = after_a_loop(libc::SIGQUIT, |mut ev, watcher| {
        watcher.stop(&mut ev);
        std::mem::forget(ev);
    });
    std::env::set_current_dir("/").unwrap();
    std::fs::remove_dir_all(&place).unwrap();
    assert_eq!(with, without);
    assert_eq!(with.signal(), Some(libc::SIGQUIT));
    if !without.core_dumped() {
        skip("no cores are dumped here");
    }
    assert!(with.core_dumped());
}

fn a_stop_signal_stops_and_the_handler_is_back_afterwards() {
    for signum in [libc::SIGTSTP, libc::SIGTTIN, libc::SIGTTOU] {
        let (mut seen, see) = pipe();
        let child = fork(|| {
            let mut ev = ev();
            let (watcher, count) = counter(&mut ev, signum);
            raise(signum);
            look(&mut ev);
            assert_eq!(count.get(), 1);
            for round in 2..=3 {
                watcher.stop(&mut ev);
                // Here it stops, until it is continued.
                raise(signum);
                // Who stops again, or ends, is seen to be no more than that.
                seen.read_exact(&mut [0]).unwrap();
                assert!(is_handled(signum), "the handler is back");
                assert!(!is_blocked(signum));
                watcher.start(&mut ev).unwrap();
                look(&mut ev);
                assert_eq!(count.get(), round - 1, "that one was not for the loop");
                raise(signum);
                look(&mut ev);
                assert_eq!(count.get(), round);
            }
        });
        for _ in 0..2 {
            assert_eq!(child.wait_for_change().stopped_signal(), Some(signum));
            assert!(child.send(libc::SIGCONT));
            assert!(child.wait_for_change().continued());
            (&see).write_all(b"x").unwrap();
        }
        assert_eq!(child.wait().code(), Some(0), "signal {signum}");
    }
}

fn signals_that_do_nothing_by_default_do_nothing_unwatched() {
    let mut ev = ev();
    for signum in [libc::SIGCHLD, libc::SIGWINCH, libc::SIGURG, libc::SIGCONT] {
        let (watcher, count) = counter(&mut ev, signum);
        watcher.stop(&mut ev);
        raise(signum);
        raise(signum);
        look(&mut ev);
        assert_eq!(count.get(), 0);
        watcher.start(&mut ev).unwrap();
        raise(signum);
        look(&mut ev);
        assert_eq!(count.get(), 1, "signal {signum}");
    }
}

fn a_signal_found_ignored_is_ignored_when_nobody_watches() {
    set_disposition(libc::SIGHUP, libc::SIG_IGN);
    let mut ev = ev();
    let (watcher, count) = counter(&mut ev, libc::SIGHUP);
    raise(libc::SIGHUP);
    look(&mut ev);
    assert_eq!(count.get(), 1, "watched, it is told");
    watcher.stop(&mut ev);
    raise(libc::SIGHUP);
    look(&mut ev);
    drop(ev);
    raise(libc::SIGHUP);
    assert_eq!(count.get(), 1);
}

fn a_handler_that_was_there_is_called_while_we_watch_and_afterwards() {
    static HANDLED: AtomicU32 = AtomicU32::new(0);
    extern "C" fn handler(_: i32) {
        HANDLED.fetch_add(1, Ordering::SeqCst);
    }
    set_disposition(libc::SIGTERM, handler as *const () as usize);
    let mut ev = ev();
    let (watcher, count) = counter(&mut ev, libc::SIGTERM);
    raise(libc::SIGTERM);
    look(&mut ev);
    assert_eq!((count.get(), HANDLED.load(Ordering::SeqCst)), (1, 1));
    watcher.stop(&mut ev);
    raise(libc::SIGTERM);
    look(&mut ev);
    assert_eq!((count.get(), HANDLED.load(Ordering::SeqCst)), (1, 2));
    drop(ev);
    raise(libc::SIGTERM);
    assert_eq!(HANDLED.load(Ordering::SeqCst), 3);
}

fn a_signal_can_be_watched_again_after_the_last_was_stopped() {
    let mut ev = ev();
    let (watcher, count) = counter(&mut ev, libc::SIGTERM);
    for n in 1..=100 {
        raise(libc::SIGTERM);
        look(&mut ev);
        assert_eq!(count.get(), n);
        watcher.stop(&mut ev);
        watcher.start(&mut ev).unwrap();
    }
    drop(ev);
    let mut ev = processes::ev();
    let (_, count) = counter(&mut ev, libc::SIGTERM);
    raise(libc::SIGTERM);
    look(&mut ev);
    assert_eq!(count.get(), 1, "by another loop");
}

fn numbers_that_cannot_be_watched_are_invalid_input() {
    let mut ev = ev();
    for signum in [
        0,
        -1,
        65,
        i32::MAX,
        i32::MIN,
        libc::SIGKILL,
        libc::SIGSTOP,
        libc::SIGILL,
        libc::SIGFPE,
        libc::SIGSEGV,
        32,
        33,
    ] {
        let watcher = ev.signal(signum, nothing);
        let refused = watcher.start(&mut ev).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{signum}: {refused:?}");
        assert!(watcher.exists(&ev) && !watcher.is_active(&ev), "{signum}");
        assert_eq!(watcher.signum(&ev), Some(signum));
        assert!(!ev.has_refs() && ev.watchers().is_empty());
        ev.verify();
        assert!(!watcher.is_pending(&ev) && watcher.stop(&mut ev));
        assert!(watcher.free(&mut ev));
        let freed = ev.signal(signum, nothing).start_or_free(&mut ev);
        assert_eq!(freed.unwrap_err().kind(), ErrorKind::InvalidInput);
        ev.verify();
    }
    let refused = ev.signal(libc::SIGKILL, nothing).start(&mut ev).unwrap_err();
    assert!(format!("{refused:#}").ends_with("signal 9 cannot be watched"), "{refused:#}");
    assert!(!ev.run().unwrap());
}

fn feeding_a_number_that_is_no_signal_does_nothing() {
    let mut ev = ev();
    let (_, count) = counter(&mut ev, USR1);
    for signum in [0, -1, 65, i32::MAX, i32::MIN, libc::SIGKILL, USR2] {
        ev.feed_signal(signum);
        assert_eq!(ev.pending_count(), 0, "{signum}");
    }
    look(&mut ev);
    assert_eq!(count.get(), 0);
}

fn real_time_signals_come_like_others() {
    let mut ev = ev();
    assert_eq!((libc::SIGRTMIN(), libc::SIGRTMAX()), (34, 64));
    let log = Log::new();
    for signum in [64, 34, 50] {
        let log = log.clone();
        ev.signal(signum, move |_, e| log.push(e.signum)).start(&mut ev).unwrap();
    }
    for signum in [50, 64, 64, 34] {
        raise(signum);
    }
    look(&mut ev);
    let told = log.take();
    assert_eq!(told, [34, 50, 64], "by number");
}

fn starting_unblocks_its_signal_and_no_other() {
    change_mask(libc::SIG_BLOCK, &[USR1, USR2]);
    let mut ev = ev();
    let watcher = ev.signal(USR1, nothing);
    assert!(is_blocked(USR1), "not by being made");
    // Sent while it is blocked, delivered by the start.
    let count = Count::new();
    watcher.set_callback(&mut ev, count.ups());
    raise(USR1);
    watcher.start(&mut ev).unwrap();
    assert!(!is_blocked(USR1) && is_blocked(USR2));
    look(&mut ev);
    assert_eq!(count.get(), 1);
    watcher.stop(&mut ev);
    assert!(!is_blocked(USR1), "it is not blocked again");
}

/// A loop that must not unblock.
fn leaves_the_mask_alone(mut ev: EvLoop) {
    change_mask(libc::SIG_BLOCK, &[USR1]);
    let (_, count) = counter(&mut ev, USR1);
    assert!(is_blocked(USR1));
    raise(USR1);
    look(&mut ev);
    assert_eq!(count.get(), 0, "a blocked signal does not come");
    change_mask(libc::SIG_UNBLOCK, &[USR1]);
    look(&mut ev);
    assert_eq!(count.get(), 1);
}

fn without_unblock_signals_the_mask_is_left_alone() {
    leaves_the_mask_alone(builder().unblock_signals(false).build().unwrap());
}

fn the_environment_can_ask_to_leave_the_mask_alone() {
    // SAFETY: the process has one thread, so nobody reads the environment meanwhile.
    unsafe { std::env::set_var("EVLOOP_FLAGS", "no-unblock-signals") };
    leaves_the_mask_alone(builder().env(true).build().unwrap());
    // What was said explicitly wins.
    let mut ev = builder().env(true).unblock_signals(true).build().unwrap();
    change_mask(libc::SIG_BLOCK, &[USR2]);
    counter(&mut ev, USR2);
    assert!(!is_blocked(USR2));
}

fn a_signal_ends_a_wait_and_once_returns_with_it() {
    let mut ev = ev();
    let (_, count) = counter(&mut ev, USR1);
    let loop_process = me();
    for n in 1..=5 {
        let before = ev.iteration();
        let sender = when_asleep(move || assert!(loop_process.send(USR1)));
        assert!(ev.run_mode(Run::Once).unwrap());
        assert_eq!(count.get(), n);
        assert_eq!(ev.iteration(), before + 1, "one iteration, and no more");
        assert_eq!(sender.wait().code(), Some(0));
    }
    // The wake-up channel was emptied too: the next wait is a wait.
    let early = early_ends(&mut ev, Instant::now() + ms(20));
    ev.turn(Some(ms(20))).unwrap();
    assert_eq!((early.get(), count.get()), (0, 5));
}

fn a_signal_ends_a_turn_before_its_limit() {
    let mut ev = ev();
    let (_, count) = counter(&mut ev, USR1);
    // Waits with a time limit are other system calls than those without.
    for limit in [secs(50), secs(50) + us(100)] {
        let before = count.get();
        let loop_process = me();
        let sender = when_asleep(move || assert!(loop_process.send(USR1)));
        let begun = Instant::now();
        assert!(ev.turn(Some(limit)).unwrap());
        assert!(begun.elapsed() < secs(45));
        assert_eq!(count.get(), before + 1);
        sender.wait();
    }
}

fn what_is_ready_with_the_signal_belongs_to_its_iteration() {
    let mut ev = ev();
    let log = Log::new();
    ev.signal(USR1, log.says("signal")).start(&mut ev).unwrap();
    let (near, far) = UnixStream::pair().unwrap();
    ev.io(near, Interest::READ, says!(log, "io")).start(&mut ev).unwrap();
    look(&mut ev);
    let loop_process = me();
    let sender = when_asleep(move || {
        // While it is stopped the loop sees neither; then both at once, the signal first.
        assert!(loop_process.send(libc::SIGSTOP));
        (&far).write_all(b"x").unwrap();
        assert!(loop_process.send(USR1));
        assert!(loop_process.send(libc::SIGCONT));
    });
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["signal", "io"]);
    assert_eq!(sender.wait().code(), Some(0));
}

fn a_signal_for_nobody_does_not_end_once() {
    let mut ev = ev();
    let (watcher, count) = counter(&mut ev, USR1);
    let fired = Count::new();
    // Keeps the default away.
    let mut other = processes::ev();
    counter(&mut other, USR1);
    ev.timer(ms(30), ZERO, fired.ups()).start(&mut ev);
    // Came before it was stopped.
    raise(USR1);
    watcher.stop(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((count.get(), fired.get()), (0, 1));
    // Comes while the loop sleeps and another loop of this process wants it.
    ev.timer(ms(100), ZERO, fired.ups()).start(&mut ev);
    let loop_process = me();
    let sender = when_asleep(move || assert!(loop_process.send(USR1)));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((count.get(), fired.get()), (0, 2));
    sender.wait();
}

fn an_interruption_by_another_handler_does_not_end_once() {
    static HANDLED: AtomicU32 = AtomicU32::new(0);
    extern "C" fn handler(_: i32) {
        HANDLED.fetch_add(1, Ordering::SeqCst);
    }
    // Without SA_RESTART, which these waits do not heed anyway.
    set_disposition(libc::SIGALRM, handler as *const () as usize);
    let mut ev = ev();
    let (_, count) = counter(&mut ev, USR1);
    let every = libc::timeval { tv_sec: 0, tv_usec: 1000 };
    let storm = libc::itimerval { it_interval: every, it_value: every };
    // SAFETY: reads a local.
    unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const storm, std::ptr::null_mut()) };
    let begun = Instant::now();
    let fired = Count::new();
    ev.timer(ms(60), ZERO, fired.ups()).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((fired.get(), count.get(), ev.iteration()), (1, 0, 1));
    assert!(begun.elapsed() >= ms(60));
    assert!(HANDLED.load(Ordering::SeqCst) > 5, "it was interrupted");
}

fn the_handler_leaves_errno_alone() {
    fn errno() -> *mut i32 {
        // SAFETY: returns the address of this thread's errno.
        unsafe { libc::__errno_location() }
    }
    let mut ev = ev();
    let (_, count) = counter(&mut ev, USR1);
    let loop_process = me();
    for value in [0, libc::EAGAIN, libc::ENOENT] {
        // SAFETY: this thread's own.
        unsafe { *errno() = value };
        raise(USR1);
        assert!(loop_process.send(USR1));
        // SAFETY: as above.
        assert_eq!(unsafe { *errno() }, value);
        look(&mut ev);
    }
    assert_eq!(count.get(), 3);
}

fn a_callback_may_free_its_own_watcher() {
    let mut ev = ev();
    let token = Rc::new(());
    let inside = Rc::clone(&token);
    let watcher = ev.signal(USR1, move |ev, e| {
        assert!(e.watcher.free(ev));
        assert!(!e.watcher.exists(ev));
        assert_eq!(Rc::strong_count(&inside), 2, "its closure lives to the end of the call");
    });
    watcher.start(&mut ev).unwrap();
    raise(USR1);
    assert!(!ev.run().unwrap());
    assert_eq!(Rc::strong_count(&token), 1);
    ev.verify();
}

fn a_callback_may_free_all_others() {
    let mut ev = ev();
    let count = Count::new();
    for _ in 0..5 {
        let count = count.clone();
        ev.signal(USR1, move |ev, _| {
            count.up();
            for watcher in ev.watchers() {
                assert!(watcher.free(ev));
            }
        })
        .start(&mut ev)
        .unwrap();
    }
    ev.signal(USR2, |_, _| panic!("it was freed")).start(&mut ev).unwrap();
    raise(USR2);
    raise(USR1);
    // The one of the lower number is first.
    assert!(!ev.run().unwrap());
    assert_eq!(count.get(), 1);
    ev.verify();
}

fn a_callback_may_start_another_watcher_of_its_signal() {
    let mut ev = ev();
    let log = Log::new();
    let (outer, inner) = (log.clone(), log.clone());
    ev.signal(USR1, move |ev, e| {
        outer.push("first");
        e.watcher.free(ev);
        ev.signal(USR1, inner.says("second")).start(ev).unwrap();
    })
    .start(&mut ev)
    .unwrap();
    raise(USR1);
    look(&mut ev);
    assert_eq!(log.take(), ["first"], "the new one was not there when it came");
    raise(USR1);
    look(&mut ev);
    assert_eq!(log.take(), ["second"]);
}

fn a_callback_may_run_the_loop_and_is_not_entered_again() {
    let mut ev = ev();
    let log = Log::new();
    let outer = log.clone();
    let runs = Count::new();
    let count = runs.clone();
    ev.signal(USR1, move |ev, _| {
        outer.push("in");
        if count.up() == 1 {
            raise(USR1);
            raise(USR2);
            ev.run_mode(Run::NoWait).unwrap();
            assert_eq!(ev.depth(), 1);
        }
        outer.push("out");
    })
    .start(&mut ev)
    .unwrap();
    ev.signal(USR1, log.says("other")).start(&mut ev).unwrap();
    ev.signal(USR2, log.says("second")).start(&mut ev).unwrap();
    raise(USR1);
    look(&mut ev);
    // What came for the running one is delivered when it returns; the others hear it in the nested run.
    assert_eq!(log.take(), ["in", "other", "other", "second", "out", "in", "out"]);
}

fn a_panic_leaves_the_other_watchers_their_event() {
    let mut ev = ev();
    let log = Log::new();
    ev.signal(USR1, log.says("before")).start(&mut ev).unwrap();
    let bad = ev.signal(USR1, |_, _| panic!("on purpose")).start(&mut ev).unwrap();
    ev.signal(USR1, log.says("after")).start(&mut ev).unwrap();
    ev.signal(USR2, log.says("second")).start(&mut ev).unwrap();
    raise(USR1);
    raise(USR2);
    assert_eq!(panic_of(|| ev.run()).as_deref(), Some("on purpose"));
    assert_eq!(ev.depth(), 0);
    ev.verify();
    assert_eq!(log.take(), ["before"]);
    assert!(bad.is_active(&ev) && !bad.is_pending(&ev));
    look(&mut ev);
    assert_eq!(log.take(), ["after", "second"]);
    bad.free(&mut ev);
    raise(USR1);
    look(&mut ev);
    assert_eq!(log.take(), ["before", "after"]);
}

fn feeding_a_signal_calls_its_started_watchers() {
    let mut ev = ev();
    let log = Log::new();
    ev.signal(USR1, log.says("one")).start(&mut ev).unwrap();
    ev.signal(USR1, log.says("stopped"));
    ev.signal(USR1, log.says("other")).start(&mut ev).unwrap();
    ev.signal(USR2, log.says("second")).start(&mut ev).unwrap();
    ev.feed_signal(USR1);
    assert_eq!(ev.pending_count(), 2);
    // With a real one it is one event.
    raise(USR1);
    look(&mut ev);
    ev.feed_signal(USR1);
    let told = log.take();
    assert!(["one", "other"].iter().all(|name| told.contains(name)), "{told:?}");
    assert!(!told.contains(&"stopped") && !told.contains(&"second"));
    // From a callback: in the same iteration.
    let mut ev = processes::ev();
    let (_, count) = counter(&mut ev, USR2);
    ev.timer(ZERO, ZERO, |ev, _| ev.feed_signal(USR2)).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((count.get(), ev.iteration()), (1, 1));
}

fn sigchld_can_be_watched_beside_children() {
    for descriptors in [true, false] {
        let builder = builder();
        let builder = if descriptors { builder } else { builder.without_process_descriptors() };
        let mut ev = builder.build().unwrap();
        let log = Log::new();
        let plain = ev.signal(libc::SIGCHLD, log.says("signal")).start(&mut ev).unwrap();
        let (process, gate) = held_until(7);
        let told = log.clone();
        ev.child_pid(process.pid(), move |_, e| {
            assert_eq!(e.status.unwrap().code(), Some(7));
            told.push("child");
        })
        .start(&mut ev)
        .unwrap();
        gate.open();
        process.until_ended();
        look(&mut ev);
        assert_eq!(log.take(), ["signal", "child"]);
        // The one is stopped, the other hears of the next.
        ends_with(0).until_ended();
        look(&mut ev);
        assert_eq!(log.take(), ["signal"]);
        plain.free(&mut ev);
        // And the other way round.
        let (process, gate) = held_until(8);
        ev.child_pid(process.pid(), says!(log, "child")).start(&mut ev).unwrap();
        gate.open();
        assert!(!ev.run().unwrap());
        assert_eq!(log.take(), ["child"]);
    }
}

fn two_loops_in_two_threads_are_both_told() {
    let (ready, told) = mpsc::channel();
    let threads: Vec<_> = (0..2)
        .map(|_| {
            let ready = ready.clone();
            thread::spawn(move || {
                let mut ev = ev();
                let watcher = ev.signal(USR1, |ev, e| {
                    e.watcher.free(ev);
                });
                watcher.start(&mut ev).unwrap();
                ready.send(()).unwrap();
                // The handler is there, so one signal for the process is enough for both.
                assert!(!ev.run().unwrap());
                ev.iteration()
            })
        })
        .collect();
    for _ in &threads {
        told.recv().unwrap();
    }
    assert!(me().send(USR1));
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 1);
    }
}

fn two_loops_of_one_thread_are_both_told() {
    let (mut one, mut other) = (ev(), ev());
    let (_, first) = counter(&mut one, USR1);
    let (_, second) = counter(&mut other, USR1);
    let (_, alone) = counter(&mut other, USR2);
    raise(USR1);
    raise(USR2);
    look(&mut one);
    assert_eq!((first.get(), second.get(), alone.get()), (1, 0, 0));
    look(&mut other);
    assert_eq!((first.get(), second.get(), alone.get()), (1, 1, 1));
}

fn a_signal_delivered_to_another_thread_wakes_the_loop() {
    let mut ev = ev();
    let (watcher, count) = counter(&mut ev, USR1);
    watcher.set_callback(&mut ev, {
        let count = count.clone();
        move |ev, e| {
            count.up();
            e.watcher.stop(ev);
        }
    });
    // This thread will not run the handler.
    change_mask(libc::SIG_BLOCK, &[USR1]);
    let sleeper = me();
    let raiser = thread::spawn(move || {
        change_mask(libc::SIG_UNBLOCK, &[USR1]);
        await_sleep(sleeper);
        raise(USR1);
    });
    assert!(!ev.run().unwrap());
    assert_eq!((count.get(), ev.iteration()), (1, 1));
    raiser.join().unwrap();
}

fn a_loop_that_was_moved_is_still_told() {
    let (mut one, mut other) = (ev(), ev());
    let (_, first) = counter(&mut one, USR1);
    let (_, second) = counter(&mut other, USR2);
    raise(USR1);
    std::mem::swap(&mut one, &mut other);
    let mut boxed = Box::new(other);
    look(&mut one);
    assert_eq!((first.get(), second.get()), (0, 0));
    look(&mut boxed);
    assert_eq!((first.get(), second.get()), (1, 0));
    raise(USR2);
    let mut list = [*boxed, one];
    look(&mut list[0]);
    assert_eq!((first.get(), second.get()), (1, 0));
    look(&mut list[1]);
    assert_eq!((first.get(), second.get()), (1, 1));
}

fn loops_come_and_go_in_a_storm() {
    // Somebody always listens, or the default would end the process.
    let mut steady = ev();
    let (_, count) = counter(&mut steady, USR1);
    let loops = me();
    let over = shared_number();
    let storm = fork(move || {
        while over.load(Ordering::SeqCst) == 0 {
            assert!(loops.send(USR1));
            // Without a rest the kernel may deliver the next one at each return from the handler, and the
            // loops get no instruction of their own.
            thread::sleep(Duration::from_micros(1));
        }
    });
    let told = Count::new();
    for round in 0..300 {
        let mut ev = ev();
        let watcher = ev.signal(USR1, told.ups()).start(&mut ev).unwrap();
        if round % 3 == 0 {
            ev.run_mode(Run::Once).unwrap();
        }
        if round % 2 == 0 {
            watcher.stop(&mut ev);
        }
        drop(ev);
        steady.run_mode(Run::NoWait).unwrap();
    }
    publish(over, 1);
    assert_eq!(storm.wait().code(), Some(0));
    steady.verify();
    assert!(told.get() >= 100, "{} calls", told.get());
    assert!(count.get() > 0);
    drop(steady);
}

fn the_last_of_a_hundred_thousand_signals_is_seen() {
    const ALL: u32 = 100_000;
    let mut ev = ev();
    let sent = shared_number();
    let calls = Count::new();
    let count = calls.clone();
    ev.signal(USR1, move |ev, e| {
        count.up();
        if sent.load(Ordering::SeqCst) == ALL {
            e.watcher.set_ref(ev, false);
        }
    })
    .start(&mut ev)
    .unwrap();
    let loop_process = me();
    let sender = fork(move || {
        for n in 1..=ALL {
            publish(sent, n);
            assert!(loop_process.send(USR1));
        }
    });
    assert!(!ev.run().unwrap());
    assert_eq!(sender.wait().code(), Some(0));
    assert!((1..=ALL as usize).contains(&calls.get()));
    look(&mut ev);
    ev.verify();
}

fn a_storm_does_not_starve_timers_and_io() {
    let mut ev = ev();
    counter(&mut ev, USR1);
    let (loop_process, over) = (me(), shared_number());
    let storm = fork(move || {
        while over.load(Ordering::SeqCst) == 0 {
            assert!(loop_process.send(USR1));
        }
    });
    let (near, far) = UnixStream::pair().unwrap();
    let read = Count::new();
    ev.io(near, Interest::READ, {
        let read = read.clone();
        move |_, _| {
            read.up();
        }
    })
    .start(&mut ev)
    .unwrap();
    let ticks = Count::new();
    let count = ticks.clone();
    ev.timer(ms(1), ms(1), move |ev, _| {
        (&far).write_all(b"x").unwrap();
        if count.up() == 20 {
            ev.break_loop(Break::One);
        }
    })
    .start(&mut ev);
    ev.run().unwrap();
    publish(over, 1);
    assert_eq!(storm.wait().code(), Some(0));
    assert_eq!(ticks.get(), 20);
    assert!(read.get() >= 10, "{} reads", read.get());
}

fn signals_stand_between_check_and_children_in_the_order() {
    for descriptors in [true, false] {
        let builder = builder();
        let builder = if descriptors { builder } else { builder.without_process_descriptors() };
        let mut ev = builder.build().unwrap();
        let log = Log::new();
        // Made ready in the reverse order.
        let (near, far) = UnixStream::pair().unwrap();
        ev.io(near, Interest::READ, says!(log, "io")).start(&mut ev).unwrap();
        ev.timer(ZERO, ZERO, log.says("timer")).start(&mut ev);
        ev.periodic(Schedule::at(std::time::UNIX_EPOCH), log.says("periodic")).start(&mut ev);
        let (inbox, notifier) = ev.notifier(log.says("async"));
        inbox.start(&mut ev);
        let (process, gate) = held_until(0);
        ev.child_pid(process.pid(), says!(log, "child")).start(&mut ev).unwrap();
        ev.signal(USR2, log.says("higher")).start(&mut ev).unwrap();
        ev.signal(USR1, log.says("lower")).start(&mut ev).unwrap();
        ev.signal(USR1, log.says("lower, started later")).start(&mut ev).unwrap();
        ev.check(log.says("check")).start(&mut ev);
        let remote = ev.remote();
        (&far).write_all(b"x").unwrap();
        notifier.notify();
        gate.open();
        process.until_ended();
        raise(USR2);
        raise(USR1);
        remote.post(|ev| trace(ev, "posted"));
        ev.check(|ev, _| {
            assert_eq!(traced(ev), ["posted"]);
        })
        .set_priority(&mut ev, 2)
        .start(&mut ev);
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(
            log.take(),
            [
                "check",
                "lower",
                "lower, started later",
                "higher",
                "child",
                "async",
                "periodic",
                "timer",
                "io"
            ]
        );
    }
}

fn a_signal_during_a_callback_comes_in_the_next_iteration() {
    let mut ev = ev();
    let log = Log::new();
    let told = log.clone();
    ev.signal(USR1, move |ev, e| {
        told.push(("signal", ev.iteration()));
        e.watcher.free(ev);
    })
    .start(&mut ev)
    .unwrap();
    let told = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        raise(USR1);
        told.push(("timer", ev.iteration()));
    })
    .start(&mut ev);
    let begun = Instant::now();
    ev.after(secs(50), |_| {});
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [("timer", 1)]);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [("signal", 2)]);
    assert!(begun.elapsed() < secs(45), "without waiting");
}

fn a_watcher_without_a_reference_does_not_keep_the_loop() {
    let mut ev = ev();
    let (watcher, count) = counter(&mut ev, USR1);
    watcher.set_ref(&mut ev, false);
    assert!(!ev.has_refs());
    assert!(!ev.run().unwrap());
    raise(USR1);
    assert!(!ev.run().unwrap());
    assert_eq!(count.get(), 1, "but it is called");
    watcher.set_ref(&mut ev, true);
    assert!(ev.run_mode(Run::NoWait).unwrap());
}

fn the_list_of_watchers_names_it() {
    let mut ev = ev();
    let (watcher, _) = counter(&mut ev, USR1);
    ev.signal(USR1, nothing);
    let mut other = processes::ev();
    counter(&mut other, USR1);
    assert_eq!(ev.watchers(), [AnyWatcher::Signal(watcher)], "once, and no other loop's");
    assert_eq!(ev.watchers()[0].kind(), Kind::Signal);
    // What the loop watches for itself is not there.
    let (process, gate) = held_until(0);
    let builder = builder().without_process_descriptors();
    let mut ev = builder.build().unwrap();
    let child = ev.child_pid(process.pid(), |_, _| {}).start(&mut ev).unwrap();
    assert_eq!(ev.watchers(), [AnyWatcher::Child(child)]);
    gate.open();
    assert!(!ev.run().unwrap());
}

fn starting_a_signal_opens_no_descriptor() {
    let mut ev = ev();
    let before = descriptors();
    for signum in [USR1, USR2, libc::SIGTERM, 64] {
        counter(&mut ev, signum);
    }
    raise(USR1);
    look(&mut ev);
    assert_eq!(descriptors(), before);
}

fn a_forked_child_that_took_over_is_told_and_its_parent_is_not() {
    let mut ev = ev();
    let (_, count) = counter(&mut ev, USR1);
    look(&mut ev);
    let child = fork(|| {
        ev.after_fork().unwrap();
        raise(USR1);
        look(&mut ev);
        assert_eq!(count.get(), 1);
        // From elsewhere, while it sleeps.
        let loop_process = me();
        let sender = when_asleep(move || assert!(loop_process.send(USR1)));
        ev.run_mode(Run::Once).unwrap();
        assert_eq!(count.get(), 2);
        sender.wait();
        let (_, other) = counter(&mut ev, USR2);
        raise(USR2);
        look(&mut ev);
        assert_eq!(other.get(), 1, "one started here");
    });
    assert_eq!(child.wait().code(), Some(0));
    is_undisturbed(&mut ev, &count);
}

/// In the parent: nothing has come, and nothing ends a wait; its own signals come as ever.
fn is_undisturbed(ev: &mut EvLoop, count: &Count) {
    let early = early_ends(ev, Instant::now() + ms(20));
    ev.turn(Some(ms(20))).unwrap();
    assert_eq!((early.get(), count.get()), (0, 0), "the parent was woken");
    let loop_process = me();
    let sender = when_asleep(move || assert!(loop_process.send(USR1)));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(count.get(), 1);
    sender.wait();
}

fn a_forked_child_that_did_not_take_over_does_not_wake_its_parent() {
    let mut ev = ev();
    let (watcher, count) = counter(&mut ev, USR1);
    let stopped = ev.signal(USR2, nothing);
    look(&mut ev);
    let child = fork(|| {
        raise(USR1);
        assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Forked);
        assert_eq!(stopped.start(&mut ev).unwrap_err().kind(), ErrorKind::Forked);
        assert!(!stopped.is_active(&ev));
        assert_eq!(disposition(USR2), libc::SIG_DFL);
        raise(USR1);
        // What came is not lost for one that takes over later.
        ev.after_fork().unwrap();
        look(&mut ev);
        assert_eq!(count.get(), 1);
        watcher.free(&mut ev);
    });
    assert_eq!(child.wait().code(), Some(0));
    is_undisturbed(&mut ev, &count);
}

fn a_forked_child_that_follows_is_told_without_being_asked() {
    let mut ev = builder().follow_fork(true).build().unwrap();
    let (_, count) = counter(&mut ev, USR1);
    look(&mut ev);
    let child = fork(|| {
        raise(USR1);
        // The step in which the fork is found comes before the wait.
        look(&mut ev);
        look(&mut ev);
        assert_eq!(count.get(), 1);
    });
    assert_eq!(child.wait().code(), Some(0));
    is_undisturbed(&mut ev, &count);
}

fn a_loop_dropped_in_a_forked_child_leaves_the_parent_listening() {
    let mut ev = Some(ev());
    let (_, count) = counter(ev.as_mut().unwrap(), libc::SIGTERM);
    let (_, told) = counter(ev.as_mut().unwrap(), USR1);
    let child = fork(|| {
        drop(ev.take());
        // Nobody listens here any more.
        raise(libc::SIGTERM);
    });
    assert_eq!(child.wait().signal(), Some(libc::SIGTERM));
    let mut ev = ev.unwrap();
    raise(libc::SIGTERM);
    look(&mut ev);
    assert_eq!(count.get(), 1);
    is_undisturbed(&mut ev, &told);
}
