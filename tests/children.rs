//! Children: loop.md 3.5, 1.4 and 1.9, design.md D7, reliability.md R3, R9, R10 and the child rows of
//! section 4. Children belong to the process, so each case has one of its own; all of them run with
//! process descriptors and without.

#![allow(clippy::unwrap_used)]

#[path = "suite/processes.rs"]
mod processes;
mod suite;

use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use processes::*;
use suite::*;

fn main() {
    use Backend::{Epoll, Poll};
    let setting = |name, backend, descriptors| Setting { name, backend, descriptors };
    let settings = [
        setting("epoll", Epoll, true),
        setting("poll", Poll, true),
        setting("epoll_by_signal", Epoll, false),
        setting("poll_by_signal", Poll, false),
    ];
    processes::main(
        &settings,
        cases![
            an_exit_code_is_told,
            a_signal_that_killed_is_told,
            a_dumped_core_is_told,
            a_childs_end_ends_a_wait_and_once_returns_with_it,
            the_run_ends_with_the_last_child,
            a_watcher_is_stopped_before_its_callback,
            an_end_before_the_start_is_told,
            an_end_long_before_the_start_is_told,
            stopping_and_starting_around_the_end_loses_nothing,
            an_end_that_was_queued_when_the_watcher_was_stopped_is_told_after_the_next_start,
            clear_pending_leaves_the_end_to_the_next_start,
            starting_twice_is_starting_once,
            a_stale_key_is_refused,
            it_says_which_process_it_watches,
            priorities_are_honoured,
            the_list_of_watchers_names_it_and_nothing_internal,
            a_watcher_without_a_reference_does_not_keep_the_loop,
            something_fed_has_no_status,
            a_callback_may_be_replaced_and_the_process_stays,
            the_callback_is_shown_the_process_and_the_status_is_the_same,
            a_process_given_back_before_its_end_can_be_waited_for,
            a_process_given_back_after_its_end_knows_its_status,
            a_process_is_not_given_back_by_its_own_callback_or_by_a_stranger,
            a_signal_is_sent_to_the_process,
            a_signal_to_a_process_that_is_over_is_an_error,
            a_number_that_is_no_signal_is_not_sent,
            a_traced_child_tells_each_stop_and_continuation_once,
            an_untraced_child_tells_its_end_only,
            tracing_can_be_turned_on_and_off_while_started,
            a_traced_process_that_is_owned_tells_everything,
            tracing_any_child_tells_the_stops_of_all,
            any_child_is_reported_once_with_its_own_status,
            any_child_that_ended_before_the_start_is_reported,
            watchers_of_one_and_of_any_are_both_told_once,
            any_child_goes_on_after_a_stop_with_what_it_has_not_told,
            a_watcher_of_any_child_may_free_itself_while_more_have_ended,
            a_child_reaped_by_somebody_else_is_one_error_and_no_busy_wait,
            a_child_reaped_before_the_start_is_one_error,
            with_sigchld_ignored_later_the_end_is_told_without_a_status,
            with_sigchld_ignored_before_nothing_hangs,
            a_process_that_is_not_ours_is_one_error,
            a_thread_is_no_process_and_one_error,
            clear_pending_before_the_next_iteration_forgets_an_early_end,
            an_early_end_taken_back_by_a_stop_does_not_end_once,
            a_watcher_started_after_another_has_found_the_end_is_told_the_same,
            the_loop_verifies_itself_while_children_are_watched,
            a_forked_process_is_told_without_a_child_of_its_own,
            a_number_that_no_process_can_have_is_invalid_input,
            other_children_can_be_waited_for_undisturbed,
            the_end_of_a_child_that_nobody_watches_does_not_end_once,
            two_watchers_of_one_process_are_both_told,
            a_callback_may_free_its_own_watcher,
            a_callback_may_free_everything,
            a_callback_may_start_another_child,
            a_nested_run_in_a_callback_tells_of_another_child,
            a_panic_leaves_the_other_watchers_their_event,
            three_hundred_children_that_end_at_once_are_all_told,
            descriptors_are_given_back,
            a_freed_watcher_of_an_ended_process_leaves_no_zombie,
            freeing_does_not_kill,
            a_dropped_loop_leaves_its_children_running,
            a_child_ended_in_another_thread_is_told,
            a_forked_process_is_told_that_a_child_is_not_its_own,
            a_forked_process_that_did_not_take_over_changes_nothing_for_its_parent,
            a_handle_that_was_waited_for_tells_what_it_knows_and_opens_nothing,
            a_status_that_a_handle_takes_at_the_start_is_told_to_everybody,
            a_number_that_another_child_has_by_now_is_not_mistaken_for_it,
            a_status_that_a_callback_waits_for_is_told,
            a_handle_does_not_wait_for_another_child_that_has_its_number,
            an_end_taken_back_after_a_restart_is_told_after_the_next_start,
            tracing_turned_on_tells_of_a_stop_that_is_there,
            a_child_in_a_debuggers_hands_is_no_busy_wait_and_told_when_it_is_let_go,
            a_descriptor_that_fails_is_not_the_only_way,
            a_sigchld_from_before_its_watcher_is_no_news_later,
        ],
    );
}

/// What a callback was told.
type Told = (u32, Option<ExitStatus>, Events);

const CHILD: Events = Events::CHILD;

fn exited(code: i32) -> Option<ExitStatus> {
    Some(ExitStatus::from_raw(code << 8))
}

fn killed(signum: i32) -> Option<ExitStatus> {
    Some(ExitStatus::from_raw(signum))
}

/// What an error looks like.
fn unknown(process: Process) -> Told {
    (process.pid(), None, Events::CHILD | Events::ERROR)
}

/// A callback that writes down what it is told.
fn note(log: &Log<Told>) -> impl FnMut(&mut EvLoop, ChildEvent<'_>) + use<> + 'static {
    let log = log.clone();
    move |_, e| log.push((e.pid, e.status, e.ready))
}

/// A started watcher of a process.
fn watch(ev: &mut EvLoop, process: Process) -> (Child, Log<Told>) {
    let log = Log::new();
    let watcher = ev.child_pid(process.pid(), note(&log)).start(ev).unwrap();
    (watcher, log)
}

/// A process of the standard library's that ends with a code when its standard input is closed.
fn spawn(code: i32) -> std::process::Child {
    let script = format!("read line; exit {code}");
    Command::new("sh").args(["-c", &script]).stdin(Stdio::piped()).spawn().unwrap()
}

/// Has a [`spawn`]ed process end, and waits until it has.
fn end(process: &mut std::process::Child) -> Process {
    drop(process.stdin.take());
    let process = Process::of(process);
    process.until_ended();
    process
}

/// Handles what is there.
fn look(ev: &mut EvLoop) {
    ev.run_mode(Run::NoWait).unwrap();
}

fn an_exit_code_is_told() {
    for code in [0, 7, 255] {
        let mut ev = ev();
        let (process, gate) = held_until(code);
        let (watcher, told) = watch(&mut ev, process);
        look(&mut ev);
        assert!(watcher.is_active(&ev) && told.len() == 0);
        gate.open();
        assert!(!ev.run().unwrap());
        assert_eq!(told.take(), [(process.pid(), exited(code), CHILD)]);
        assert!(!has_children(), "it was waited for");
        ev.verify();
    }
}

fn a_signal_that_killed_is_told() {
    for signum in [libc::SIGTERM, libc::SIGKILL, libc::SIGRTMIN()] {
        let mut ev = ev();
        let (process, _gate) = held_until(0);
        let (_, told) = watch(&mut ev, process);
        assert!(process.send(signum));
        assert!(!ev.run().unwrap());
        let events = told.take();
        assert_eq!(events, [(process.pid(), killed(signum), CHILD)]);
        let status = events[0].1.unwrap();
        assert_eq!((status.signal(), status.core_dumped()), (Some(signum), false));
    }
}

fn a_dumped_core_is_told() {
    let place = temporary("core");
    std::fs::create_dir_all(&place).unwrap();
    std::env::set_current_dir(&place).unwrap();
    allow_cores();
    let dump = || {
        fork(|| {
            set_disposition(libc::SIGQUIT, libc::SIG_DFL);
            raise(libc::SIGQUIT);
        })
    };
    let possible = dump().wait();
    let mut ev = ev();
    let (_, told) = watch(&mut ev, dump());
    assert!(!ev.run().unwrap());
    std::env::set_current_dir("/").unwrap();
    std::fs::remove_dir_all(&place).unwrap();
    let status = told.take()[0].1.unwrap();
    assert_eq!(status, possible);
    assert_eq!(status.signal(), Some(libc::SIGQUIT));
    if !possible.core_dumped() {
        skip("no cores are dumped here");
    }
    assert!(status.core_dumped());
}

fn a_childs_end_ends_a_wait_and_once_returns_with_it() {
    let mut ev = ev();
    for n in 1..=3 {
        let (process, gate) = held_until(n);
        let (_, told) = watch(&mut ev, process);
        let before = ev.iteration();
        let opener = when_asleep(move || gate.open());
        assert!(!ev.run_mode(Run::Once).unwrap());
        assert_eq!(told.take(), [(process.pid(), exited(n), CHILD)]);
        assert_eq!(ev.iteration(), before + 1);
        opener.wait();
    }
}

fn the_run_ends_with_the_last_child() {
    let mut ev = ev();
    let count = Count::new();
    let mut gates = Vec::new();
    for code in 0..5 {
        let (process, gate) = held_until(code);
        let count = count.clone();
        let watcher = ev.child_pid(process.pid(), move |_, e| {
            assert_eq!(e.status, exited(code));
            count.up();
        });
        watcher.start(&mut ev).unwrap();
        gates.push(gate);
    }
    // One after the other, each when the one before it was told.
    ev.prepare({
        let count = count.clone();
        let mut opened = 0;
        move |_, _| {
            if opened == count.get() {
                if let Some(gate) = gates.pop() {
                    gate.open();
                    opened += 1;
                }
            }
        }
    })
    .set_ref(&mut ev, false)
    .start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(count.get(), 5);
    assert!(!has_children());
}

fn a_watcher_is_stopped_before_its_callback() {
    let mut ev = ev();
    let active = Log::new();
    let (one, gate) = held_until(0);
    let inside = active.clone();
    ev.child_pid(one.pid(), move |ev, e| inside.push((e.watcher.is_active(ev), ev.has_refs())))
        .start(&mut ev)
        .unwrap();
    gate.open();
    assert!(!ev.run().unwrap());
    assert_eq!(active.take(), [(false, false)]);
    // One of any goes on.
    let inside = active.clone();
    let any = ev.reap_any(move |ev, e| inside.push((e.watcher.is_active(ev), ev.has_refs())));
    any.start(&mut ev).unwrap();
    ends_with(0).until_ended();
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(active.take(), [(true, true)]);
}

fn an_end_before_the_start_is_told() {
    let mut ev = ev();
    let process = ends_with(9);
    process.until_ended();
    let (watcher, told) = watch(&mut ev, process);
    assert!(watcher.is_active(&ev));
    assert_eq!(told.len(), 0, "not by the start");
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(9), CHILD)]);
    // Started in a callback: the next iteration tells, without waiting.
    let process = ends_with(10);
    process.until_ended();
    let log = Log::new();
    let inner = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        ev.child_pid(process.pid(), note(&inner)).start(ev).unwrap();
    })
    .start(&mut ev);
    ev.after(secs(50), |_| {});
    let begun = Instant::now();
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.len(), 0);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [(process.pid(), exited(10), CHILD)]);
    assert!(begun.elapsed() < secs(45));
}

fn an_end_long_before_the_start_is_told() {
    let mut ev = ev();
    let early = ends_with(1);
    early.until_ended();
    // Others come and go, and every signal there is to come has come.
    for code in 2..5 {
        let process = ends_with(code);
        let (_, told) = watch(&mut ev, process);
        assert!(!ev.run().unwrap());
        assert_eq!(told.take(), [(process.pid(), exited(code), CHILD)]);
    }
    assert_eq!(zombie(), Some(early.pid() as i32), "nobody has taken its status");
    let (_, told) = watch(&mut ev, early);
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(early.pid(), exited(1), CHILD)]);
}

fn stopping_and_starting_around_the_end_loses_nothing() {
    // Where the end falls between these steps.
    for end_before in 0..5 {
        let mut ev = ev();
        let (process, gate) = held_until(4);
        let mut gate = Some(gate);
        let log = Log::new();
        let watcher = ev.child_pid(process.pid(), note(&log));
        let steps: [fn(Child, &mut EvLoop); 4] = [
            |watcher, ev| {
                watcher.start(ev).unwrap();
            },
            |watcher, ev| {
                watcher.stop(ev);
            },
            |_, ev| look(ev),
            |watcher, ev| {
                watcher.start(ev).unwrap();
            },
        ];
        for (n, step) in steps.iter().enumerate() {
            if n == end_before {
                gate.take().unwrap().open();
                process.until_ended();
            }
            step(watcher, &mut ev);
            assert_eq!(log.len(), 0, "step {n}, end before {end_before}");
        }
        if let Some(gate) = gate {
            gate.open();
        }
        assert!(!ev.run().unwrap());
        assert_eq!(log.take(), [(process.pid(), exited(4), CHILD)], "end before {end_before}");
        assert!(!watcher.is_active(&ev) && !has_children());
        ev.verify();
    }
}

fn an_end_that_was_queued_when_the_watcher_was_stopped_is_told_after_the_next_start() {
    let mut ev = ev();
    let process = ends_with(6);
    process.until_ended();
    let (watcher, told) = watch(&mut ev, process);
    // By now its status was taken from the system, and its event stands behind this callback.
    ev.check(move |ev, e| {
        e.watcher.free(ev);
        assert!(watcher.is_pending(ev));
        watcher.stop(ev);
        assert!(!watcher.is_pending(ev));
    })
    .start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(told.len(), 0);
    assert!(!has_children());
    watcher.start(&mut ev).unwrap();
    assert!(ev.has_refs());
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(6), CHILD)]);
    ev.verify();
}

fn clear_pending_leaves_the_end_to_the_next_start() {
    let mut ev = ev();
    let process = ends_with(6);
    process.until_ended();
    let (watcher, told) = watch(&mut ev, process);
    ev.check(move |ev, e| {
        e.watcher.free(ev);
        assert_eq!(watcher.clear_pending(ev), CHILD);
        assert_eq!(watcher.clear_pending(ev), Events::NONE);
    })
    .start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(told.len(), 0);
    // Nobody else can tell it any more, so the next start does.
    watcher.start(&mut ev).unwrap();
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(6), CHILD)]);
}

fn starting_twice_is_starting_once() {
    let mut ev = ev();
    let (process, gate) = held_until(0);
    let before = descriptors();
    let (watcher, told) = watch(&mut ev, process);
    let started = descriptors();
    watcher.start(&mut ev).unwrap();
    assert_eq!(descriptors(), started);
    watcher.stop(&mut ev);
    assert_eq!(descriptors(), before);
    assert!(!ev.has_refs());
    watcher.start(&mut ev).unwrap();
    gate.open();
    assert!(!ev.run().unwrap());
    assert_eq!(told.len(), 1);
}

fn a_stale_key_is_refused() {
    let (mut ev, mut other) = (ev(), ev());
    let process = ends_with(0);
    let watcher = ev.child_pid(process.pid(), |_, _| {});
    assert_eq!(watcher.start(&mut other).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(watcher.pid(&other), None);
    assert!(watcher.free(&mut ev) && !watcher.free(&mut ev));
    assert_eq!(watcher.start(&mut ev).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(watcher.set_trace(&mut ev, true).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(watcher.signal(&mut ev, 0).unwrap_err().kind(), ErrorKind::Stale);
    assert_eq!(watcher.pid(&ev), None);
    assert!(!watcher.set_callback(&mut ev, |_, _| {}));
    assert_eq!(process.wait().code(), Some(0), "and nobody has touched the process");
}

fn it_says_which_process_it_watches() {
    let mut ev = ev();
    let process = ends_with(0);
    let one = ev.child_pid(process.pid(), |_, _| {});
    let any = ev.reap_any(|_, _| {});
    assert_eq!((one.pid(&ev), any.pid(&ev)), (Some(process.pid()), None));
    let owned = spawn(0);
    let pid = owned.id();
    let owner = ev.child(owned, |_, _| {});
    assert_eq!(owner.pid(&ev), Some(pid));
}

fn priorities_are_honoured() {
    let mut ev = ev();
    let log = Log::new();
    for (name, priority) in [("low", -1), ("lowest", -2), ("high", 2), ("middle", 0)] {
        let process = ends_with(0);
        process.until_ended();
        let watcher = ev.child_pid(process.pid(), says!(log, name));
        watcher.set_priority(&mut ev, priority).start(&mut ev).unwrap();
        assert_eq!(watcher.priority(&ev), priority);
    }
    look(&mut ev);
    assert_eq!(log.take(), ["high", "middle", "low", "lowest"]);
}

fn the_list_of_watchers_names_it_and_nothing_internal() {
    let mut ev = ev();
    let (process, gate) = held_until(0);
    let (watcher, _) = watch(&mut ev, process);
    watcher.set_trace(&mut ev, true).unwrap();
    let any = ev.reap_any(|_, _| {}).start(&mut ev).unwrap();
    assert_eq!(ev.watchers(), [AnyWatcher::Child(watcher), AnyWatcher::Child(any)]);
    assert_eq!(ev.pending_count(), 0);
    any.free(&mut ev);
    gate.open();
    process.until_ended();
    // Only the one that the program knows is counted.
    ev.check(|ev, _| assert_eq!(ev.pending_count(), 1)).set_ref(&mut ev, false).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(ev.watchers().len(), 1, "the check watcher");
}

fn a_watcher_without_a_reference_does_not_keep_the_loop() {
    let mut ev = ev();
    let (process, gate) = held_until(2);
    let (watcher, told) = watch(&mut ev, process);
    watcher.set_ref(&mut ev, false);
    assert!(!ev.run().unwrap());
    assert_eq!(told.len(), 0);
    gate.open();
    process.until_ended();
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(2), CHILD)]);
}

fn something_fed_has_no_status() {
    let mut ev = ev();
    let (process, gate) = held_until(2);
    let (watcher, told) = watch(&mut ev, process);
    watcher.feed(&mut ev, Events::CUSTOM);
    look(&mut ev);
    assert_eq!(told.take(), [(process.pid(), None, Events::CUSTOM)]);
    assert!(watcher.is_active(&ev), "and it goes on");
    let log = Log::new();
    let any = ev.reap_any(note(&log));
    any.feed(&mut ev, Events::CUSTOM);
    look(&mut ev);
    assert_eq!(log.take(), [(0, None, Events::CUSTOM)]);
    gate.open();
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(2), CHILD)]);
}

fn a_callback_may_be_replaced_and_the_process_stays() {
    let mut ev = ev();
    let mut process = spawn(5);
    let input = process.stdin.take();
    let watcher = ev.child(process, |_, _| panic!("it was replaced")).start(&mut ev).unwrap();
    let log = Log::new();
    let told = log.clone();
    assert!(watcher.set_callback(&mut ev, move |_, e| {
        told.push((e.status, e.process.map(|process| process.wait().unwrap())));
    }));
    drop(input);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [(exited(5), exited(5))]);
}

fn the_callback_is_shown_the_process_and_the_status_is_the_same() {
    let mut ev = ev();
    let mut process = spawn(11);
    let (input, pid) = (process.stdin.take(), process.id());
    let log = Log::new();
    let told = log.clone();
    ev.child(process, move |_, e| {
        let process = e.process.unwrap();
        assert_eq!(process.id(), e.pid);
        // It has nobody left to kill, and says so without sending anything.
        assert!(process.kill().is_ok());
        told.push((e.pid, e.status, process.try_wait().unwrap(), e.ready));
    })
    .start(&mut ev)
    .unwrap();
    drop(input);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [(pid, exited(11), exited(11), CHILD)]);
    // One that is watched by its number has none to show.
    let process = ends_with(0);
    let none = Log::new();
    let shown = none.clone();
    ev.child_pid(process.pid(), move |_, e| shown.push(e.process.is_none()))
        .start(&mut ev)
        .unwrap();
    assert!(!ev.run().unwrap());
    assert_eq!(none.take(), [true]);
}

fn a_process_given_back_before_its_end_can_be_waited_for() {
    let mut ev = ev();
    let watcher = ev.child(spawn(12), |_, _| panic!("it was freed")).start(&mut ev).unwrap();
    look(&mut ev);
    let mut process = watcher.into_process(&mut ev).unwrap();
    assert!(!watcher.exists(&ev) && !ev.has_refs());
    assert_eq!(process.try_wait().unwrap(), None);
    end(&mut process);
    assert!(!ev.run().unwrap());
    assert_eq!(Some(process.wait().unwrap()), exited(12));
    // It has ended and the loop has not looked yet.
    let mut process = spawn(13);
    let input = process.stdin.take();
    let pid = Process::of(&process);
    let watcher = ev.child(process, |_, _| panic!("it was freed")).start(&mut ev).unwrap();
    drop(input);
    pid.until_ended();
    let mut process = watcher.into_process(&mut ev).unwrap();
    assert!(!ev.run().unwrap());
    assert_eq!(Some(process.wait().unwrap()), exited(13));
    assert!(watcher.into_process(&mut ev).is_none(), "once");
}

fn a_process_given_back_after_its_end_knows_its_status() {
    let mut ev = ev();
    let any = ev.reap_any(|_, _| {});
    for together in [false, true] {
        if together {
            // Who takes the status from the system must not take it from the handle.
            any.set_ref(&mut ev, false).start(&mut ev).unwrap();
        }
        let mut process = spawn(14);
        let input = process.stdin.take();
        let told = Count::new();
        let count = told.clone();
        let watcher = ev.child(process, move |_, _| {
            count.up();
        });
        watcher.start(&mut ev).unwrap();
        drop(input);
        assert!(!ev.run().unwrap());
        assert_eq!(told.get(), 1);
        let mut process = watcher.into_process(&mut ev).unwrap();
        assert_eq!(Some(process.wait().unwrap()), exited(14));
        assert!(process.kill().is_ok(), "the handle knows that there is nobody to kill");
    }
    // Taken from the system, and not told yet.
    let mut process = spawn(15);
    end(&mut process);
    let watcher = ev.child(process, |_, _| panic!("it was freed")).start(&mut ev).unwrap();
    assert!(!has_children());
    let mut process = watcher.into_process(&mut ev).unwrap();
    look(&mut ev);
    assert_eq!(Some(process.wait().unwrap()), exited(15));
}

fn a_process_is_not_given_back_by_its_own_callback_or_by_a_stranger() {
    let mut ev = ev();
    let given = Log::new();
    let log = given.clone();
    let mut process = spawn(0);
    drop(process.stdin.take());
    let watcher = ev.child(process, move |ev, e| {
        log.push((e.watcher.into_process(ev).is_some(), e.watcher.exists(ev)));
    });
    watcher.start(&mut ev).unwrap();
    assert!(!ev.run().unwrap());
    assert_eq!(given.take(), [(false, true)]);
    let by_number = ev.child_pid(ends_with(0).pid(), |_, _| {});
    assert!(by_number.into_process(&mut ev).is_none() && by_number.exists(&ev));
    let any = ev.reap_any(|_, _| {});
    assert!(any.into_process(&mut ev).is_none() && any.exists(&ev));
}

fn a_signal_is_sent_to_the_process() {
    let mut ev = ev();
    for started in [true, false] {
        let (process, _gate) = held_until(0);
        let log = Log::new();
        let watcher = ev.child_pid(process.pid(), note(&log));
        if started {
            watcher.start(&mut ev).unwrap();
        }
        watcher.signal(&mut ev, 0).unwrap();
        look(&mut ev);
        assert_eq!(log.len(), 0, "0 sends nothing");
        watcher.signal(&mut ev, libc::SIGTERM).unwrap();
        watcher.start(&mut ev).unwrap();
        assert!(!ev.run().unwrap());
        assert_eq!(log.take(), [(process.pid(), killed(libc::SIGTERM), CHILD)]);
    }
    // A real-time one, to a process that the watcher owns.
    let log = Log::new();
    let watcher = ev.child(spawn(0), note(&log)).start(&mut ev).unwrap();
    watcher.signal(&mut ev, libc::SIGRTMAX()).unwrap();
    assert!(!ev.run().unwrap());
    assert_eq!(log.take()[0].1, killed(libc::SIGRTMAX()));
}

fn a_signal_to_a_process_that_is_over_is_an_error() {
    let mut ev = ev();
    let over = |ev: &mut EvLoop, watcher: Child| {
        for signum in [0, libc::SIGTERM] {
            let refused = watcher.signal(ev, signum).unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::Kill);
            assert_eq!(refused.raw_os_error(), Some(libc::ESRCH));
        }
    };
    let (process, gate) = held_until(0);
    let watcher = ev.child_pid(process.pid(), move |ev, e| over(ev, e.watcher));
    watcher.start(&mut ev).unwrap();
    gate.open();
    assert!(!ev.run().unwrap());
    over(&mut ev, watcher);
    // A zombie takes signals, as ever; once somebody else has waited for it, it is gone.
    let (process, gate) = held_until(0);
    let (watcher, told) = watch(&mut ev, process);
    gate.open();
    process.until_ended();
    watcher.signal(&mut ev, 0).unwrap();
    process.wait();
    over(&mut ev, watcher);
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [unknown(process)]);
    over(&mut ev, watcher);
    // Owned.
    let mut process = spawn(0);
    drop(process.stdin.take());
    let watcher = ev.child(process, |_, _| {}).start(&mut ev).unwrap();
    assert!(!ev.run().unwrap());
    over(&mut ev, watcher);
}

fn a_number_that_is_no_signal_is_not_sent() {
    let mut ev = ev();
    let (process, gate) = held_until(3);
    let (watcher, told) = watch(&mut ev, process);
    let any = ev.reap_any(|_, _| {});
    for signum in [-1, 65, i32::MIN, i32::MAX] {
        let refused = watcher.signal(&mut ev, signum).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{signum}");
        assert_eq!(any.signal(&mut ev, signum).unwrap_err().kind(), ErrorKind::InvalidInput);
    }
    assert_eq!(any.signal(&mut ev, 0).unwrap_err().kind(), ErrorKind::InvalidInput);
    gate.open();
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(3), CHILD)]);
}

/// The status of a stop, and of a continuation.
fn stopped(signum: i32) -> Option<ExitStatus> {
    Some(ExitStatus::from_raw(signum << 8 | 0x7f))
}

fn continued() -> Option<ExitStatus> {
    Some(ExitStatus::from_raw(0xffff))
}

/// Has a process stop, and waits until it has. (The news of it may come a moment later.)
fn stop(process: Process) {
    assert!(process.send(libc::SIGSTOP));
    process.until_stopped();
}

/// Has a process go on, and waits until it does. (The news of it may come a moment later.)
fn go_on(process: Process) {
    assert!(process.send(libc::SIGCONT));
    process.until_continued();
}

/// Runs the loop until there are this many entries, and returns them.
fn await_told(ev: &mut EvLoop, log: &Log<Told>, count: usize) -> Vec<Told> {
    while log.len() < count {
        ev.run_mode(Run::Once).unwrap();
    }
    log.take()
}

fn a_traced_child_tells_each_stop_and_continuation_once() {
    let mut ev = ev();
    let (process, gate) = held_until(1);
    let log = Log::new();
    let watcher = ev.child_pid(process.pid(), note(&log));
    watcher.set_trace(&mut ev, true).unwrap().start(&mut ev).unwrap();
    for _ in 0..2 {
        stop(process);
        let told = await_told(&mut ev, &log, 1);
        assert_eq!(told, [(process.pid(), stopped(libc::SIGSTOP), CHILD)]);
        assert_eq!(told[0].1.unwrap().stopped_signal(), Some(libc::SIGSTOP));
        look(&mut ev);
        assert_eq!(log.len(), 0, "once");
        assert!(watcher.is_active(&ev));
        go_on(process);
        let told = await_told(&mut ev, &log, 1);
        assert_eq!(told, [(process.pid(), continued(), CHILD)]);
        assert!(told[0].1.unwrap().continued());
        look(&mut ev);
        assert_eq!(log.len(), 0, "once");
    }
    // While the loop waits.
    let waiter = when_asleep(move || assert!(process.send(libc::SIGSTOP)));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [(process.pid(), stopped(libc::SIGSTOP), CHILD)]);
    waiter.wait();
    go_on(process);
    gate.open();
    assert!(!ev.run().unwrap());
    let told = log.take();
    assert_eq!(told.last(), Some(&(process.pid(), exited(1), CHILD)), "{told:?}");
}

fn an_untraced_child_tells_its_end_only() {
    let mut ev = ev();
    let (process, gate) = held_until(1);
    let (_, told) = watch(&mut ev, process);
    stop(process);
    look(&mut ev);
    go_on(process);
    look(&mut ev);
    assert_eq!(told.len(), 0);
    // And what nobody asked for is left for others.
    assert!(process.wait_for_change().continued());
    gate.open();
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(1), CHILD)]);
}

fn tracing_can_be_turned_on_and_off_while_started() {
    let mut ev = ev();
    let (process, gate) = held_until(1);
    let (watcher, told) = watch(&mut ev, process);
    stop(process);
    look(&mut ev);
    assert_eq!(told.len(), 0);
    watcher.set_trace(&mut ev, true).unwrap();
    watcher.set_trace(&mut ev, true).unwrap();
    go_on(process);
    // The stop is told now that it is asked for, unless the kernel has forgotten it over the continuation.
    let mut all = Vec::new();
    while all.last() != Some(&(process.pid(), continued(), CHILD)) {
        all.extend(await_told(&mut ev, &told, 1));
    }
    let before = &all[..all.len() - 1];
    assert!(before.is_empty() || before == [(process.pid(), stopped(libc::SIGSTOP), CHILD)]);
    watcher.set_trace(&mut ev, false).unwrap();
    watcher.set_trace(&mut ev, false).unwrap();
    stop(process);
    look(&mut ev);
    go_on(process);
    look(&mut ev);
    assert_eq!(told.len(), 0);
    gate.open();
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(1), CHILD)]);
}

fn a_traced_process_that_is_owned_tells_everything() {
    let mut ev = ev();
    let mut owned = spawn(2);
    let input = owned.stdin.take();
    let process = Process::of(&owned);
    let log = Log::new();
    let watcher = ev.child(owned, note(&log)).set_trace(&mut ev, true).unwrap();
    watcher.start(&mut ev).unwrap();
    stop(process);
    assert_eq!(await_told(&mut ev, &log, 1), [(process.pid(), stopped(libc::SIGSTOP), CHILD)]);
    go_on(process);
    assert_eq!(await_told(&mut ev, &log, 1), [(process.pid(), continued(), CHILD)]);
    drop(input);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [(process.pid(), exited(2), CHILD)]);
    let mut owned = watcher.into_process(&mut ev).unwrap();
    assert_eq!(Some(owned.wait().unwrap()), exited(2));
}

fn tracing_any_child_tells_the_stops_of_all() {
    let mut ev = ev();
    let log = Log::new();
    let any = ev.reap_any(note(&log)).set_trace(&mut ev, true).unwrap();
    any.start(&mut ev).unwrap();
    let (one, one_gate) = held_until(1);
    let (other, other_gate) = held_until(2);
    for process in [one, other] {
        stop(process);
        assert_eq!(await_told(&mut ev, &log, 1), [(process.pid(), stopped(libc::SIGSTOP), CHILD)]);
    }
    go_on(one);
    go_on(other);
    let mut told = await_told(&mut ev, &log, 2);
    told.sort_by_key(|(pid, ..)| *pid != one.pid());
    assert_eq!(told, [(one.pid(), continued(), CHILD), (other.pid(), continued(), CHILD)]);
    any.set_trace(&mut ev, false).unwrap();
    stop(one);
    look(&mut ev);
    assert_eq!(log.len(), 0);
    go_on(one);
    one_gate.open();
    other_gate.open();
    one.until_ended();
    other.until_ended();
    look(&mut ev);
    let mut told = log.take();
    told.sort_by_key(|(pid, ..)| *pid != one.pid());
    assert_eq!(told, [(one.pid(), exited(1), CHILD), (other.pid(), exited(2), CHILD)]);
}

fn any_child_is_reported_once_with_its_own_status() {
    let mut ev = ev();
    let log = Log::new();
    let told = log.clone();
    let count = Count::new();
    ev.reap_any(move |ev, e| {
        told.push((e.pid, e.status));
        if count.up() == 20 {
            e.watcher.stop(ev);
        }
    })
    .start(&mut ev)
    .unwrap();
    let children: Vec<_> = (0..20).map(|code| (code, ends_with(code))).collect();
    // All have ended before the loop looks: one signal may stand for all of them.
    for (_, process) in &children {
        process.until_ended();
    }
    assert!(!ev.run().unwrap());
    let mut told = log.take();
    told.sort_by_key(|(_, status)| status.unwrap().code());
    let expected: Vec<_> =
        children.iter().map(|(code, process)| (process.pid(), exited(*code))).collect();
    assert_eq!(told, expected);
    assert!(!has_children());
}

fn any_child_that_ended_before_the_start_is_reported() {
    let mut ev = ev();
    let processes = [ends_with(1), ends_with(2)];
    for process in processes {
        process.until_ended();
    }
    let log = Log::new();
    let any = ev.reap_any(note(&log)).start(&mut ev).unwrap();
    ev.run_mode(Run::Once).unwrap();
    let mut told = log.take();
    told.sort_by_key(|(pid, ..)| *pid != processes[0].pid());
    let expected = [(processes[0].pid(), exited(1), CHILD), (processes[1].pid(), exited(2), CHILD)];
    assert_eq!(told, expected);
    assert!(any.is_active(&ev));
}

fn watchers_of_one_and_of_any_are_both_told_once() {
    let mut ev = ev();
    let (one, one_gate) = held_until(1);
    let (other, other_gate) = held_until(2);
    let (unwatched, unwatched_gate) = held_until(3);
    let (first, told_first) = watch(&mut ev, one);
    let all = Log::new();
    let any = ev.reap_any(note(&all)).start(&mut ev).unwrap();
    // Started after it.
    let (second, told_second) = watch(&mut ev, other);
    for gate in [one_gate, other_gate, unwatched_gate] {
        gate.open();
    }
    for process in [one, other, unwatched] {
        process.until_ended();
    }
    look(&mut ev);
    look(&mut ev);
    let (one, other, unwatched) = (
        (one.pid(), exited(1), CHILD),
        (other.pid(), exited(2), CHILD),
        (unwatched.pid(), exited(3), CHILD),
    );
    assert_eq!(told_first.take(), [one]);
    assert_eq!(told_second.take(), [other]);
    let mut told = all.take();
    told.sort_by_key(|(_, status, _)| status.unwrap().code());
    assert_eq!(told, [one, other, unwatched]);
    assert!(!first.is_active(&ev) && !second.is_active(&ev) && any.is_active(&ev));
    assert!(!has_children());
}

fn any_child_goes_on_after_a_stop_with_what_it_has_not_told() {
    let mut ev = ev();
    let log = Log::new();
    let told = log.clone();
    let any = ev.reap_any(move |ev, e| {
        told.push(e.status);
        e.watcher.stop(ev);
    });
    any.start(&mut ev).unwrap();
    for code in 1..=3 {
        ends_with(code).until_ended();
    }
    assert!(!ev.run().unwrap());
    assert_eq!(log.len(), 1, "it was stopped by the first");
    for told in 2..=3 {
        any.start(&mut ev).unwrap();
        assert!(!ev.run().unwrap());
        assert_eq!(log.len(), told);
    }
    let mut statuses: Vec<_> = log.take().into_iter().map(|s| s.unwrap().code()).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [Some(1), Some(2), Some(3)]);
}

fn a_watcher_of_any_child_may_free_itself_while_more_have_ended() {
    let mut ev = ev();
    let count = Count::new();
    let told = count.clone();
    ev.reap_any(move |ev, e| {
        told.up();
        e.watcher.free(ev);
    })
    .start(&mut ev)
    .unwrap();
    for code in 1..=3 {
        ends_with(code).until_ended();
    }
    assert!(!ev.run().unwrap());
    assert!(!ev.run().unwrap());
    assert_eq!(count.get(), 1);
    ev.verify();
}

/// Runs the loop for a while and requires that it sleeps most of it.
fn rests(ev: &mut EvLoop) {
    let waits = count_waits(ev);
    ev.after(ms(50), |_| {});
    assert!(!ev.run().unwrap());
    assert!(waits.get() <= 4, "{} waits", waits.get());
}

fn a_child_reaped_by_somebody_else_is_one_error_and_no_busy_wait() {
    let mut ev = ev();
    let (process, gate) = held_until(0);
    let (watcher, told) = watch(&mut ev, process);
    let (bystander, bystander_gate) = held_until(8);
    let (_, undisturbed) = watch(&mut ev, bystander);
    gate.open();
    // As `waitpid(-1)` in a library would.
    assert_eq!(process.wait().code(), Some(0));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(told.take(), [unknown(process)]);
    assert!(!watcher.is_active(&ev));
    bystander_gate.open();
    rests(&mut ev);
    assert_eq!(told.len(), 0);
    assert_eq!(undisturbed.take(), [(bystander.pid(), exited(8), CHILD)]);
    // The handle of a process that was reaped behind its back does not make up a status.
    let mut owned = spawn(0);
    let input = owned.stdin.take();
    let process = Process::of(&owned);
    let log = Log::new();
    ev.child(owned, note(&log)).start(&mut ev).unwrap();
    drop(input);
    process.wait();
    rests(&mut ev);
    assert_eq!(log.take(), [unknown(process)]);
}

fn a_child_reaped_before_the_start_is_one_error() {
    let mut ev = ev();
    let process = ends_with(0);
    process.wait();
    let (watcher, told) = watch(&mut ev, process);
    assert!(watcher.is_active(&ev));
    rests(&mut ev);
    assert_eq!(told.take(), [unknown(process)]);
    assert!(!watcher.is_active(&ev));
}

fn with_sigchld_ignored_later_the_end_is_told_without_a_status() {
    if !setting().descriptors {
        skip("without process descriptors nothing tells of it");
    }
    let mut ev = ev();
    let (process, gate) = held_until(0);
    let (_, told) = watch(&mut ev, process);
    set_disposition(libc::SIGCHLD, libc::SIG_IGN);
    gate.open();
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [unknown(process)]);
    rests(&mut ev);
    assert_eq!(told.len(), 0);
}

fn with_sigchld_ignored_before_nothing_hangs() {
    set_disposition(libc::SIGCHLD, libc::SIG_IGN);
    let mut ev = ev();
    let (process, gate) = held_until(4);
    let (_, told) = watch(&mut ev, process);
    gate.open();
    assert!(!ev.run().unwrap());
    // With a descriptor the disposition is left alone; without, there is a handler now.
    let expected = match setting().descriptors {
        true => unknown(process),
        false => (process.pid(), exited(4), CHILD),
    };
    assert_eq!(told.take(), [expected]);
    rests(&mut ev);
    assert!(!has_children());
}

fn a_process_that_is_not_ours_is_one_error() {
    let gone = ends_with(0);
    gone.wait();
    let grandchild = shared_number();
    let middle = fork(move || {
        let child = fork(|| {
            // Killed with the case's group.
            loop {
                thread::park();
            }
        });
        publish(grandchild, child.pid());
    });
    assert_eq!(middle.wait().code(), Some(0));
    let grandchild = grandchild.load(std::sync::atomic::Ordering::SeqCst);
    let strangers = [1, std::process::id(), gone.pid(), grandchild, i32::MAX as u32];
    for pid in strangers {
        let mut ev = ev();
        let process = Process::with_pid(pid);
        let (watcher, told) = watch(&mut ev, process);
        rests(&mut ev);
        assert_eq!(told.take(), [unknown(process)], "process {pid}");
        assert!(!watcher.is_active(&ev));
    }
}

fn a_thread_is_no_process_and_one_error() {
    let (say, said) = mpsc::channel();
    let (over, until) = mpsc::channel::<()>();
    let other = thread::spawn(move || {
        say.send(thread_number()).unwrap();
        until.recv().unwrap();
    });
    let thread = Process::with_pid(said.recv().unwrap());
    let mut ev = ev();
    let (watcher, told) = watch(&mut ev, thread);
    rests(&mut ev);
    assert_eq!(told.take(), [unknown(thread)]);
    assert!(!watcher.is_active(&ev));
    over.send(()).unwrap();
    other.join().unwrap();
}

fn clear_pending_before_the_next_iteration_forgets_an_early_end() {
    let mut ev = ev();
    let process = ends_with(6);
    process.until_ended();
    let (watcher, told) = watch(&mut ev, process);
    // The start has found out about it and the event is not queued yet: whatever this takes back, what
    // is told afterwards is the end, or that nobody knows it.
    watcher.clear_pending(&mut ev);
    assert!(!ev.run().unwrap(), "and it ends");
    for (_, status, ready) in told.take() {
        assert_eq!(status.is_none(), ready.contains(Events::ERROR), "{status:?} {ready:?}");
    }
    assert!(!watcher.is_active(&ev));
}

fn an_early_end_taken_back_by_a_stop_does_not_end_once() {
    let mut ev = ev();
    let process = ends_with(6);
    process.until_ended();
    let (watcher, told) = watch(&mut ev, process);
    watcher.stop(&mut ev);
    let fired = Count::new();
    ev.timer(ms(20), ZERO, fired.ups()).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((fired.get(), told.len()), (1, 0));
}

fn a_watcher_started_after_another_has_found_the_end_is_told_the_same() {
    let mut ev = ev();
    let process = ends_with(6);
    process.until_ended();
    let (_, first) = watch(&mut ev, process);
    let (_, second) = watch(&mut ev, process);
    assert!(!ev.run().unwrap());
    assert_eq!(first.take(), [(process.pid(), exited(6), CHILD)]);
    assert_eq!(second.take(), [(process.pid(), exited(6), CHILD)]);
}

fn the_loop_verifies_itself_while_children_are_watched() {
    let mut ev = ev();
    ev.verify();
    let (process, gate) = held_until(0);
    let (watcher, _) = watch(&mut ev, process);
    ev.verify();
    watcher.set_trace(&mut ev, true).unwrap();
    look(&mut ev);
    ev.verify();
    watcher.stop(&mut ev);
    ev.verify();
    watcher.start(&mut ev).unwrap();
    gate.open();
    assert!(!ev.run().unwrap());
    ev.verify();
}

fn a_forked_process_is_told_without_a_child_of_its_own() {
    let mut ev = ev();
    let (process, gate) = held_until(6);
    let (_, told) = watch(&mut ev, process);
    let (forked, go) = held(|| {
        ev.after_fork().unwrap();
        assert!(!ev.run().unwrap());
        assert_eq!(told.take(), [unknown(process)]);
    });
    gate.open();
    process.until_ended();
    go.open();
    assert_eq!(forked.wait().code(), Some(0));
}

fn a_number_that_no_process_can_have_is_invalid_input() {
    let mut ev = ev();
    for pid in [0, i32::MAX as u32 + 1, u32::MAX] {
        let watcher = ev.child_pid(pid, |_, _| {});
        assert_eq!(watcher.start(&mut ev).unwrap_err().kind(), ErrorKind::InvalidInput, "{pid}");
        assert!(!watcher.is_active(&ev) && watcher.free(&mut ev));
        let freed = ev.child_pid(pid, |_, _| {}).start_or_free(&mut ev);
        assert_eq!(freed.unwrap_err().kind(), ErrorKind::InvalidInput);
        ev.verify();
    }
    assert!(!ev.run().unwrap());
}

fn other_children_can_be_waited_for_undisturbed() {
    let mut ev = ev();
    let (process, gate) = held_until(1);
    let (_, told) = watch(&mut ev, process);
    // Traced too, so that the loop asks whenever there is news of any child.
    let (traced, traced_gate) = held_until(2);
    let (watcher, _) = watch(&mut ev, traced);
    watcher.set_trace(&mut ev, true).unwrap();
    let mut others: Vec<_> = (20..25).map(spawn).collect();
    for other in &mut others {
        end(other);
        look(&mut ev);
    }
    for (code, other) in (20..).zip(&mut others) {
        assert_eq!(Some(other.wait().unwrap()), exited(code));
    }
    let output = Command::new("sh").args(["-c", "echo out; exit 3"]).output().unwrap();
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(3), &b"out\n"[..]));
    gate.open();
    traced_gate.open();
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(1), CHILD)]);
}

fn the_end_of_a_child_that_nobody_watches_does_not_end_once() {
    let mut ev = ev();
    let (process, _gate) = held_until(1);
    let (watcher, told) = watch(&mut ev, process);
    watcher.set_trace(&mut ev, true).unwrap();
    let (stranger, stranger_gate) = held_until(2);
    let opener = when_asleep(move || stranger_gate.open());
    let fired = Count::new();
    ev.timer(ms(100), ZERO, fired.ups()).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((fired.get(), told.len()), (1, 0));
    assert_eq!(stranger.wait().code(), Some(2));
    opener.wait();
}

fn two_watchers_of_one_process_are_both_told() {
    let mut ev = ev();
    let mut owned = spawn(17);
    let input = owned.stdin.take();
    let pid = owned.id();
    let log = Log::new();
    let by_number = |ev: &mut EvLoop| {
        let told = log.clone();
        ev.child_pid(pid, move |_, e| told.push(("number", e.status))).start(ev).unwrap()
    };
    let first = by_number(&mut ev);
    let told = log.clone();
    let owner = ev.child(owned, move |_, e| {
        told.push(("owner", e.status));
        assert_eq!(Some(e.process.unwrap().wait().unwrap()), exited(17));
    });
    owner.start(&mut ev).unwrap();
    let second = by_number(&mut ev);
    let third = by_number(&mut ev);
    third.stop(&mut ev);
    drop(input);
    assert!(!ev.run().unwrap());
    let mut told = log.take();
    told.sort_by_key(|(who, _)| *who);
    let status = exited(17);
    assert_eq!(told, [("number", status), ("number", status), ("owner", status)]);
    assert!([first, owner, second].iter().all(|watcher| !watcher.is_active(&ev)));
    // The third was not there.
    third.start(&mut ev).unwrap();
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [("number", None)]);
}

fn a_callback_may_free_its_own_watcher() {
    let mut ev = ev();
    let token = Rc::new(());
    let inside = Rc::clone(&token);
    let mut process = spawn(0);
    drop(process.stdin.take());
    let watcher = ev.child(process, move |ev, e| {
        assert!(e.watcher.free(ev));
        assert!(!e.watcher.exists(ev));
        assert_eq!(Rc::strong_count(&inside), 2, "its closure lives to the end of the call");
        assert!(e.process.unwrap().try_wait().unwrap().is_some(), "and so does the handle");
    });
    watcher.start(&mut ev).unwrap();
    assert!(!ev.run().unwrap());
    assert_eq!(Rc::strong_count(&token), 1);
    ev.verify();
}

fn a_callback_may_free_everything() {
    let mut ev = ev();
    let before = descriptors();
    let count = Count::new();
    let mut watchers = Vec::new();
    let keys = Rc::new(RefCell::new(Vec::<Child>::new()));
    for code in 0..5 {
        let process = ends_with(code);
        let (count, keys) = (count.clone(), Rc::clone(&keys));
        let watcher = ev.child_pid(process.pid(), move |ev, _| {
            count.up();
            for key in keys.borrow().iter() {
                assert!(key.free(ev));
            }
        });
        watchers.push(watcher);
        process.until_ended();
    }
    keys.borrow_mut().extend(&watchers);
    let (running, gate) = held_until(0);
    keys.borrow_mut().push(ev.child_pid(running.pid(), |_, _| panic!("it was freed")));
    for key in keys.borrow().iter() {
        key.start(&mut ev).unwrap();
    }
    assert!(!ev.run().unwrap());
    assert_eq!(count.get(), 1);
    ev.verify();
    gate.open();
    running.until_ended();
    assert!(!ev.run().unwrap());
    assert_eq!(descriptors(), before);
}

fn a_callback_may_start_another_child() {
    let mut ev = ev();
    let log = Log::new();
    fn next(ev: &mut EvLoop, log: &Log<Option<i32>>, code: i32) {
        let log = log.clone();
        let process = ends_with(code);
        ev.child_pid(process.pid(), move |ev, e| {
            log.push(e.status.unwrap().code());
            e.watcher.free(ev);
            if code < 5 {
                next(ev, &log, code + 1);
            }
        })
        .start(ev)
        .unwrap();
    }
    next(&mut ev, &log, 1);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [1, 2, 3, 4, 5].map(Some));
    assert!(!has_children());
}

fn a_nested_run_in_a_callback_tells_of_another_child() {
    let mut ev = ev();
    let log = Log::new();
    // Made in this order, or it would hold the other's standard input open.
    let (second, gate) = held_until(2);
    let mut first = spawn(1);
    let input = first.stdin.take();
    let mut gate = Some(gate);
    let told = log.clone();
    ev.child_pid(second.pid(), move |_, e| told.push(("second", e.status))).start(&mut ev).unwrap();
    let told = log.clone();
    ev.child(first, move |ev, e| {
        told.push(("in", e.status));
        gate.take().unwrap().open();
        assert!(!ev.run().unwrap(), "the nested run ends with the other child");
        // The handle that this callback was shown is the same as before.
        told.push(("out", Some(e.process.unwrap().wait().unwrap())));
    })
    .start(&mut ev)
    .unwrap();
    drop(input);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [("in", exited(1)), ("second", exited(2)), ("out", exited(1))]);
    // One of any, which is on the stack while the next child ends: told when it returns.
    let told = log.clone();
    let (third, gate) = held_until(4);
    let mut gate = Some(gate);
    ev.reap_any(move |ev, e| {
        told.push(("in", e.status));
        if let Some(gate) = gate.take() {
            gate.open();
            third.until_ended();
            ev.run_mode(Run::NoWait).unwrap();
        } else {
            e.watcher.stop(ev);
        }
        told.push(("out", e.status));
    })
    .start(&mut ev)
    .unwrap();
    ends_with(3);
    assert!(!ev.run().unwrap());
    let (three, four) = (exited(3), exited(4));
    assert_eq!(log.take(), [("in", three), ("out", three), ("in", four), ("out", four)]);
}

fn a_panic_leaves_the_other_watchers_their_event() {
    let mut ev = ev();
    let log = Log::new();
    let processes = [1, 2, 3].map(ends_with);
    for process in processes {
        process.until_ended();
    }
    ev.child_pid(processes[0].pid(), says!(log, "before")).start(&mut ev).unwrap();
    let bad = ev.child_pid(processes[1].pid(), |_, _| panic!("on purpose"));
    bad.start(&mut ev).unwrap();
    ev.child_pid(processes[2].pid(), says!(log, "after")).start(&mut ev).unwrap();
    assert_eq!(panic_of(|| ev.run()).as_deref(), Some("on purpose"));
    ev.verify();
    assert_eq!((log.take(), ev.depth()), (vec!["before"], 0));
    assert!(!bad.is_active(&ev) && !bad.is_pending(&ev));
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), ["after"]);
    // One of any keeps what it has not told.
    let count = Count::new();
    let told = count.clone();
    let any = ev.reap_any(move |_, _| assert!(told.up() != 1, "on purpose"));
    any.start(&mut ev).unwrap();
    for code in 1..=3 {
        ends_with(code).until_ended();
    }
    assert_eq!(panic_of(|| ev.run()).as_deref(), Some("on purpose"));
    look(&mut ev);
    assert_eq!(count.get(), 3);
}

fn three_hundred_children_that_end_at_once_are_all_told() {
    const ALL: usize = 300;
    let mut ev = ev();
    let before = descriptors();
    let (mut read, write) = pipe();
    let log = Log::new();
    let mut expected = Vec::new();
    for n in 0..ALL {
        let code = n as i32 % 256;
        let process = fork(|| {
            let mut byte = [0];
            std::io::Read::read_exact(&mut read, &mut byte).unwrap();
            leave(code);
        });
        ev.child_pid(process.pid(), note(&log)).start(&mut ev).unwrap();
        expected.push((process.pid(), exited(code), CHILD));
    }
    (&write).write_all(&[0; ALL]).unwrap();
    assert!(!ev.run().unwrap());
    let mut told = log.take();
    told.sort_by_key(|(pid, ..)| *pid);
    expected.sort_by_key(|(pid, ..)| *pid);
    assert_eq!(told, expected);
    assert!(!has_children(), "no zombies");
    ev.verify();
    drop((read, write));
    assert_eq!(descriptors(), before);
}

fn descriptors_are_given_back() {
    let before = descriptors();
    let mut ev = ev();
    let made = descriptors();
    for round in 0..20 {
        let process = ends_with(0);
        let (watcher, _) = watch(&mut ev, process);
        let most = usize::from(setting().descriptors);
        assert!(descriptors() <= made + most, "at most one for each");
        match round % 4 {
            0 => assert!(watcher.stop(&mut ev)),
            1 => assert!(watcher.free(&mut ev)),
            _ => assert!(!ev.run().unwrap()),
        }
        assert_eq!(descriptors(), made, "round {round}");
    }
    let (process, _gate) = held_until(0);
    let open = descriptors();
    watch(&mut ev, process);
    drop(ev);
    assert_eq!(descriptors(), open - (made - before), "a dropped loop keeps none");
}

fn a_freed_watcher_of_an_ended_process_leaves_no_zombie() {
    let mut ev = ev();
    for started in [true, false] {
        let mut process = spawn(0);
        let input = process.stdin.take();
        let pid = Process::of(&process);
        let watcher = ev.child(process, |_, _| panic!("it was freed"));
        if started {
            watcher.start(&mut ev).unwrap();
        }
        drop(input);
        pid.until_ended();
        assert_eq!(zombie(), Some(pid.pid() as i32));
        watcher.free(&mut ev);
        assert!(!has_children(), "started: {started}");
    }
    // Dropped with its loop.
    let mut process = spawn(0);
    let input = process.stdin.take();
    let pid = Process::of(&process);
    ev.child(process, |_, _| panic!("nobody runs it")).start(&mut ev).unwrap();
    drop(input);
    pid.until_ended();
    drop(ev);
    assert!(!has_children());
}

fn freeing_does_not_kill() {
    let mut ev = ev();
    let mut process = spawn(21);
    let input = process.stdin.take();
    let pid = Process::of(&process);
    let watcher = ev.child(process, |_, _| panic!("it was freed")).start(&mut ev).unwrap();
    watcher.free(&mut ev);
    assert!(pid.send(0) && zombie().is_none());
    assert!(!ev.run().unwrap());
    drop(input);
    assert_eq!(Some(pid.wait()), exited(21));
}

fn a_dropped_loop_leaves_its_children_running() {
    let mut ev = ev();
    let mut owned = spawn(22);
    let input = owned.stdin.take();
    let owned_pid = Process::of(&owned);
    let (process, gate) = held_until(23);
    ev.child(owned, |_, _| panic!("nobody runs it")).start(&mut ev).unwrap();
    watch(&mut ev, process);
    ev.reap_any(|_, _| panic!("nobody runs it")).start(&mut ev).unwrap();
    drop(ev);
    assert!(owned_pid.send(0) && process.send(0) && zombie().is_none());
    drop(input);
    gate.open();
    assert_eq!(Some(owned_pid.wait()), exited(22));
    assert_eq!(Some(process.wait()), exited(23));
}

fn a_child_ended_in_another_thread_is_told() {
    // The signal may go to any thread; the loop's must be the one that wakes.
    let (process, gate) = held_until(5);
    let sleeper = me();
    let (ready, go) = mpsc::channel::<()>();
    let (over, told_of_it) = mpsc::channel::<()>();
    let opener = thread::spawn(move || {
        go.recv().unwrap();
        await_sleep(sleeper);
        gate.open();
        // The one thread that can take the signal stays until it has come.
        told_of_it.recv().unwrap();
    });
    let mut ev = ev();
    let (_, told) = watch(&mut ev, process);
    change_mask(libc::SIG_BLOCK, &[libc::SIGCHLD]);
    ready.send(()).unwrap();
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(5), CHILD)]);
    over.send(()).unwrap();
    opener.join().unwrap();
}

fn a_forked_process_is_told_that_a_child_is_not_its_own() {
    let mut ev = ev();
    let (process, gate) = held_until(6);
    let (watcher, told) = watch(&mut ev, process);
    look(&mut ev);
    let (forked, go) = held(|| {
        ev.after_fork().unwrap();
        // Without descriptors only news of a child of its own has it ask.
        ends_with(0).until_ended();
        assert!(!ev.run().unwrap());
        assert_eq!(told.take(), [unknown(process)]);
        assert!(!watcher.is_active(&ev));
        let own = ends_with(7);
        let (_, told) = watch(&mut ev, own);
        assert!(!ev.run().unwrap());
        assert_eq!(told.take(), [(own.pid(), exited(7), CHILD)]);
    });
    gate.open();
    process.until_ended();
    go.open();
    assert_eq!(forked.wait().code(), Some(0));
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(6), CHILD)], "the parent's is its own");
}

fn a_forked_process_that_did_not_take_over_changes_nothing_for_its_parent() {
    let mut own = Some(ev());
    let ev = own.as_mut().unwrap();
    let (process, gate) = held_until(6);
    let (watcher, told) = watch(ev, process);
    let other = ev.child_pid(process.pid(), |_, _| {});
    look(ev);
    let forked = fork(|| {
        let mut ev = own.take().unwrap();
        assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Forked);
        assert_eq!(other.start(&mut ev).unwrap_err().kind(), ErrorKind::Forked);
        assert!(!other.is_active(&ev));
        watcher.free(&mut ev);
        drop(ev);
    });
    let forked = forked.wait();
    assert_eq!(forked.code(), Some(0));
    gate.open();
    let mut ev = own.unwrap();
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(6), CHILD)]);
}

/// A handle that was waited for: its process ended with 7.
fn waited_for() -> std::process::Child {
    let mut process = spawn(7);
    drop(process.stdin.take());
    assert_eq!(process.wait().unwrap().code(), Some(7));
    process
}

fn a_handle_that_was_waited_for_tells_what_it_knows_and_opens_nothing() {
    let mut ev = ev();
    let process = waited_for();
    let pid = process.id();
    let (log, before) = (Log::new(), descriptors());
    ev.child(process, note(&log)).start(&mut ev).unwrap();
    assert_eq!(descriptors(), before);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [(pid, exited(7), CHILD)]);
}

fn a_status_that_a_handle_takes_at_the_start_is_told_to_everybody() {
    for with_another in [false, true] {
        let mut ev = ev();
        let all = Log::new();
        let any = ev.reap_any(note(&all)).start(&mut ev).unwrap();
        let mut process = spawn(9);
        let other = with_another.then(|| watch(&mut ev, Process::of(&process)).1);
        end(&mut process);
        let (pid, log) = (process.id(), Log::new());
        ev.child(process, note(&log)).start(&mut ev).unwrap();
        look(&mut ev);
        for log in [Some(&log), other.as_ref(), Some(&all)].into_iter().flatten() {
            assert_eq!(log.take(), [(pid, exited(9), CHILD)], "another: {with_another}");
        }
        any.stop(&mut ev);
        assert!(!ev.run().unwrap());
    }
}

/// A child that ends with `code` and has a number that was another's before.
fn with_number(pid: u32, code: i32) -> Process {
    for _ in 0..200 {
        if std::fs::write("/proc/sys/kernel/ns_last_pid", (pid - 1).to_string()).is_err() {
            skip("the next number cannot be chosen here");
        }
        let process = ends_with(code);
        if process.pid() == pid {
            process.until_ended();
            return process;
        }
        process.wait();
    }
    skip("somebody else has the number")
}

fn a_number_that_another_child_has_by_now_is_not_mistaken_for_it() {
    let mut ev = ev();
    let process = waited_for();
    let other = with_number(process.id(), 5);
    let (log, all, before) = (Log::new(), Log::new(), descriptors());
    ev.child(process, note(&log)).start(&mut ev).unwrap();
    assert_eq!(descriptors(), before, "the other one is not watched");
    assert_eq!(zombie(), Some(other.pid() as i32), "it is not taken");
    ev.reap_any(note(&all)).start(&mut ev).unwrap();
    look(&mut ev);
    assert_eq!(log.take(), [(other.pid(), exited(7), CHILD)]);
    assert_eq!(all.take(), [(other.pid(), exited(5), CHILD)]);
    assert!(!has_children());
}

/// A watcher whose callback, when it is fed, waits for its process by the handle that it is shown.
fn waits_when_fed(ev: &mut EvLoop, process: std::process::Child, log: &Log<Told>) -> Child {
    let log = log.clone();
    ev.child(process, move |_, e| {
        if e.ready == Events::CUSTOM {
            e.process.unwrap().wait().unwrap();
        } else {
            log.push((e.pid, e.status, e.ready));
        }
    })
}

fn a_status_that_a_callback_waits_for_is_told() {
    let mut ev = ev();
    let (mut process, log) = (spawn(7), Log::new());
    drop(process.stdin.take());
    let pid = process.id();
    let watcher = waits_when_fed(&mut ev, process, &log).start(&mut ev).unwrap();
    watcher.feed(&mut ev, Events::CUSTOM);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [(pid, exited(7), CHILD)]);
}

fn a_handle_does_not_wait_for_another_child_that_has_its_number() {
    if !setting().descriptors {
        // Without, there is nothing but the number.
        return;
    }
    let mut ev = ev();
    let (handle, log) = (spawn(7), Log::new());
    let process = Process::of(&handle);
    let watcher = ev.child(handle, note(&log)).start(&mut ev).unwrap();
    process.send(libc::SIGKILL);
    process.wait();
    let other = with_number(process.pid(), 5);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [unknown(other)]);
    assert!(!watcher.is_active(&ev));
    assert_eq!(other.wait().code(), Some(5));
}

fn an_end_taken_back_after_a_restart_is_told_after_the_next_start() {
    let mut ev = ev();
    let process = ends_with(6);
    process.until_ended();
    let (watcher, told) = watch(&mut ev, process);
    watcher.stop(&mut ev);
    watcher.start(&mut ev).unwrap();
    assert_eq!(watcher.clear_pending(&mut ev), CHILD);
    assert!(!ev.run().unwrap(), "nothing is left to wait for");
    assert_eq!(told.len(), 0);
    watcher.start(&mut ev).unwrap();
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), exited(6), CHILD)]);
}

fn tracing_turned_on_tells_of_a_stop_that_is_there() {
    let mut ev = ev();
    let (process, gate) = held_until(1);
    let (watcher, told) = watch(&mut ev, process);
    let any = Log::new();
    let of_any = ev.reap_any(note(&any)).start(&mut ev).unwrap();
    stop(process);
    look(&mut ev);
    assert_eq!((told.len(), any.len()), (0, 0));
    watcher.set_trace(&mut ev, true).unwrap();
    look(&mut ev);
    assert_eq!(told.take(), [(process.pid(), stopped(libc::SIGSTOP), CHILD)]);
    watcher.free(&mut ev);
    let (other, other_gate) = held_until(1);
    stop(other);
    look(&mut ev);
    of_any.set_trace(&mut ev, true).unwrap();
    look(&mut ev);
    assert_eq!(any.take(), [(other.pid(), stopped(libc::SIGSTOP), CHILD)]);
    for process in [process, other] {
        go_on(process);
    }
    drop((gate, other_gate));
}

/// What this process has used of a processor.
fn processor_time() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: writes to a local, which zeros have made valid.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    let micros = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    Duration::from_micros(micros(usage.ru_utime) + micros(usage.ru_stime))
}

fn a_child_in_a_debuggers_hands_is_no_busy_wait_and_told_when_it_is_let_go() {
    let mut ev = ev();
    let (process, _gate) = held_until(0);
    let (mut seized, say) = pipe();
    let debugger = fork(|| {
        let nothing = std::ptr::null_mut::<libc::c_void>();
        // SAFETY: attaches to another process and touches no memory.
        let held = unsafe { libc::ptrace(libc::PTRACE_SEIZE, process.pid(), nothing, nothing) };
        (&say).write_all(&[u8::from(held == 0)]).unwrap();
        loop {
            thread::park();
        }
    });
    let mut held = [0];
    std::io::Read::read_exact(&mut seized, &mut held).unwrap();
    if held == [0] {
        skip("nothing may be traced here");
    }
    let (watcher, told) = watch(&mut ev, process);
    assert!(process.send(libc::SIGKILL));
    let (iterations, used) = (ev.iteration(), processor_time());
    ev.after(ms(200), |ev| ev.break_loop(Break::One));
    ev.run().unwrap();
    assert!(ev.iteration() - iterations < 20 && processor_time() - used < ms(100), "a busy wait");
    assert!(told.len() == 0 && watcher.is_active(&ev));
    debugger.send(libc::SIGKILL);
    assert!(!ev.run().unwrap());
    assert_eq!(told.take(), [(process.pid(), killed(libc::SIGKILL), CHILD)]);
    debugger.wait();
    ev.verify();
}

fn a_descriptor_that_fails_is_not_the_only_way() {
    for watchers in 1..=2 {
        let mut ev = ev();
        let (process, gate) = held_until(3);
        let logs: Vec<_> = (0..watchers).map(|_| watch(&mut ev, process).1).collect();
        let is_process = |number: &i32| {
            let target = std::fs::read_link(format!("/proc/self/fd/{number}")).unwrap_or_default();
            target.to_string_lossy().contains("pidfd")
        };
        if let Some(number) =
            (3..64).find(is_process).filter(|_| setting().backend == Backend::Poll)
        {
            // Closed under the loop's feet for one wait, which poll reports. Afterwards the number is
            // another file's, so that the loop closes no number that is not open.
            let null = std::fs::File::open("/dev/null").unwrap();
            let (mut is_closed, mut is_open) = (false, false);
            let close = move || {
                if !std::mem::replace(&mut is_closed, true) {
                    // SAFETY: this is what the case is about.
                    assert_eq!(unsafe { libc::close(number) }, 0);
                }
            };
            let reopen = move || {
                if !std::mem::replace(&mut is_open, true) {
                    // SAFETY: the number is nobody's since it was closed above.
                    assert_eq!(unsafe { libc::dup2(null.as_raw_fd(), number) }, number);
                }
            };
            ev.on_wait(close, reopen);
        }
        look(&mut ev);
        gate.open();
        assert!(!ev.run().unwrap());
        for log in logs {
            assert_eq!(log.take(), [(process.pid(), exited(3), CHILD)]);
        }
        ev.verify();
    }
}

fn a_sigchld_from_before_its_watcher_is_no_news_later() {
    let mut ev = ev();
    let (process, _gate) = held_until(0);
    let child = ev.child_pid(process.pid(), |_, _| {}).set_trace(&mut ev, true).unwrap();
    child.start(&mut ev).unwrap();
    raise(libc::SIGCHLD);
    // It is nobody's event, and does not end this.
    let fired = Count::new();
    ev.timer(ms(5), ZERO, fired.ups()).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(fired.get(), 1);
    let log = Log::new();
    ev.signal(libc::SIGCHLD, log.says("child")).start(&mut ev).unwrap();
    ev.signal(libc::SIGUSR1, log.says("user")).start(&mut ev).unwrap();
    raise(libc::SIGUSR1);
    look(&mut ev);
    assert_eq!(log.take(), ["user"]);
    child.stop(&mut ev);
    process.send(libc::SIGKILL);
}
