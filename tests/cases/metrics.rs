// Counters and the stall watch: `Metrics`, `Stall`, `on_stall`. The clock is a mock, so a callback
// that moves it has taken exactly that long.

use crate::sockets::{put, shared_pair};

/// A loop with its counters on, and its clock.
fn measured() -> (EvLoop, MockClock) {
    let (mut ev, clock) = ev_with_clock();
    ev.set_metrics(true);
    (ev, clock)
}

fn metrics(ev: &EvLoop) -> Metrics {
    ev.metrics().expect("the counters are on")
}

/// Every stall the hook was told of.
fn stalls(ev: &mut EvLoop, limit: Duration) -> Log<Stall> {
    let log = Log::new();
    let seen = log.clone();
    ev.on_stall(limit, move |stall| seen.push(stall.clone()));
    log
}

#[test]
fn the_counters_are_off_by_default() {
    let mut ev = ev();
    assert!(ev.metrics().is_none());
    ev.timer(ms(1), ZERO, nothing).start(&mut ev);
    ev.run().unwrap();
    assert!(ev.metrics().is_none());
}

#[test]
fn the_counters_begin_at_zero_and_again_when_turned_on_again() {
    let (mut ev, clock) = ev_with_clock();
    ev.after(ms(5), |_| ());
    ev.run().unwrap();
    for _ in 0..2 {
        ev.set_metrics(true);
        let m = metrics(&ev);
        assert_eq!((m.iterations, m.posted, m.deferred, m.events(Kind::Timer)), (0, 0, 0, 0));
        assert_eq!((m.waited, m.busy, m.lag, m.longest_lag), (ZERO, ZERO, ZERO, ZERO));
        assert!(m.longest.is_none());
        let moves = clock.clone();
        ev.after(ms(5), move |_| moves.advance(ms(3)));
        ev.run().unwrap();
        let m = metrics(&ev);
        assert_eq!((m.iterations, m.events(Kind::Timer)), (1, 1));
        assert_eq!((m.waited, m.busy), (ms(5), ms(3)));
        ev.set_metrics(true);
        assert_eq!(metrics(&ev).iterations, 1, "turning on what is on changes nothing");
        ev.set_metrics(false);
        assert!(ev.metrics().is_none());
        ev.set_metrics(false);
    }
}

#[test]
fn a_builder_turns_the_counters_on() {
    let mut ev = builder().mock_clock(&MockClock::new()).metrics(true).build().unwrap();
    ev.after(ms(1), |_| ());
    ev.run().unwrap();
    assert_eq!(metrics(&ev).events(Kind::Timer), 1);
    assert!(builder().metrics(false).build().unwrap().metrics().is_none());
}

#[test]
fn iterations_are_counted_from_the_moment_the_counters_were_turned_on() {
    let mut ev = ev();
    for _ in 0..3 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    ev.set_metrics(true);
    for _ in 0..4 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    assert_eq!((metrics(&ev).iterations, ev.iteration()), (4, 7));
}

#[test]
fn events_are_counted_by_kind_closures_apart() {
    let (mut ev, clock) = measured();
    let _quiet = ev.timer(secs(9), ZERO, nothing).set_ref(&mut ev, false).start(&mut ev);
    for _ in 0..2 {
        ev.after(ms(1), |_| ());
    }
    for _ in 0..3 {
        ev.periodic(Schedule::at(clock.wall()), nothing).start(&mut ev);
    }
    ev.prepare(nothing).set_ref(&mut ev, false).start(&mut ev);
    ev.check(nothing).set_ref(&mut ev, false).start(&mut ev);
    let (watcher, notifier) = ev.notifier(nothing);
    watcher.set_ref(&mut ev, false).start(&mut ev);
    notifier.notify();
    for _ in 0..5 {
        assert!(ev.remote().post(|_| ()));
    }
    for _ in 0..6 {
        ev.defer(|_| ());
    }
    clock.advance(ms(1));
    ev.run().unwrap();
    let m = metrics(&ev);
    let counts = [
        (Kind::Timer, 2),
        (Kind::Periodic, 3),
        (Kind::Prepare, 1),
        (Kind::Check, 1),
        (Kind::Async, 1),
        (Kind::Idle, 0),
        (Kind::Io, 0),
        (Kind::Signal, 0),
        (Kind::Child, 0),
        (Kind::Fork, 0),
        (Kind::Cleanup, 0),
    ];
    for (kind, count) in counts {
        assert_eq!(m.events(kind), count, "{kind:?}");
    }
    assert_eq!((m.posted, m.deferred, m.iterations), (5, 6, 1));
}

#[test]
fn idle_io_and_signal_events_are_counted_as_such() {
    let (mut ev, _) = measured();
    let mut left = 3;
    ev.idle(move |ev, e| {
        left -= 1;
        if left == 0 {
            e.watcher.free(ev);
        }
    })
    .start(&mut ev);
    ev.run().unwrap();
    let (near, _far) = shared_pair();
    let io = ev.io(near, Interest::READ, |_, _| ());
    io.feed(&mut ev, Events::READ);
    let signal = ev.signal(libc::SIGWINCH, |_, _| ());
    signal.feed(&mut ev, Events::SIGNAL);
    signal.feed(&mut ev, Events::SIGNAL);
    ev.invoke_pending();
    let m = metrics(&ev);
    let counts = [Kind::Idle, Kind::Io, Kind::Signal].map(|kind| m.events(kind));
    assert_eq!(counts, [3, 1, 1], "what coalesces is one event");
}

#[test]
fn an_event_that_is_taken_back_is_not_counted() {
    let (mut ev, _) = measured();
    let victim = ev.timer(ZERO, ZERO, nothing).start(&mut ev).set_priority(&mut ev, -1);
    let freed = ev.timer(ZERO, ZERO, nothing).start(&mut ev).set_priority(&mut ev, -1);
    ev.timer(ZERO, ZERO, move |ev, _| {
        victim.stop(ev);
        freed.free(ev);
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(metrics(&ev).events(Kind::Timer), 1);
}

#[test]
fn a_callback_that_moves_the_clock_is_a_stall_of_exactly_that_length() {
    let (mut ev, clock) = ev_with_clock();
    let log = stalls(&mut ev, ms(10));
    let mut timers = Vec::new();
    for took in [ms(10) - Duration::from_nanos(1), ms(10), ms(25), ms(15)] {
        let clock = clock.clone();
        let timer = ev.timer(ms(1), ZERO, move |_, _| clock.advance(took));
        timers.push(timer.start(&mut ev));
    }
    timers[2].set_priority(&mut ev, -2);
    ev.run().unwrap();
    let told: Vec<_> = log.take().iter().map(|s| (s.watcher(), s.priority, s.took)).collect();
    let timer = |n: usize| Some(AnyWatcher::Timer(timers[n]));
    assert_eq!(told, [(timer(1), 0, ms(10)), (timer(3), 0, ms(15)), (timer(2), -2, ms(25))]);
    let longest = metrics(&ev).longest.unwrap();
    assert_eq!((longest.watcher(), longest.kind()), (timer(2), Some(Kind::Timer)));
    assert_eq!((longest.took, longest.priority), (ms(25), -2));
}

#[test]
fn the_longest_callback_is_kept_without_a_stall_watch() {
    let (mut ev, clock) = measured();
    for took in [3, 7, 5, 7] {
        let clock = clock.clone();
        ev.after(ms(took), move |_| clock.advance(ms(took)));
    }
    ev.run().unwrap();
    assert_eq!(metrics(&ev).longest.unwrap().took, ms(7));
}

#[test]
fn a_stall_names_the_line_its_watcher_was_created_at() {
    let clock = MockClock::new();
    let mut ev = builder().mock_clock(&clock).metrics(true).build().unwrap();
    let log = stalls(&mut ev, ms(1));
    let slow = || {
        let clock = clock.clone();
        move || clock.advance(ms(2))
    };
    let line = line!();
    let (s1, s2, s3, s4, s5, s6) = (slow(), slow(), slow(), slow(), slow(), slow());
    ev.timer(ZERO, ZERO, move |_, _| s1()).start(&mut ev);
    ev.after(ZERO, move |_| s2());
    ev.periodic(Schedule::at(clock.wall()), move |_, _| s3()).start(&mut ev);
    ev.prepare(move |_, _| s4()).set_ref(&mut ev, false).start(&mut ev);
    ev.check(move |_, _| s5()).set_ref(&mut ev, false).start(&mut ev);
    ev.on_fork(move |_, _| s6()).feed(&mut ev, Events::FORK);
    ev.run().unwrap();
    let told: Vec<_> = log.take().iter().map(|s| (s.kind().unwrap(), s.site.unwrap())).collect();
    assert!(told.iter().all(|(_, site)| site.file().ends_with("tests/cases/metrics.rs")));
    let lines: Vec<_> = told.iter().map(|(kind, site)| (*kind, site.line() - line)).collect();
    let expected = [
        (Kind::Fork, 7),
        (Kind::Prepare, 5),
        (Kind::Check, 6),
        (Kind::Periodic, 4),
        (Kind::Timer, 2),
        (Kind::Timer, 3),
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_stall_can_be_printed() {
    let (mut ev, clock) = ev_with_clock();
    ev.set_metrics(true);
    let log = Log::<String>::new();
    let seen = log.clone();
    ev.on_stall(ms(1), move |stall| seen.push(stall.to_string()));
    let slow = clock.clone();
    let line = line!() + 1;
    ev.timer(ZERO, ZERO, move |_, _| slow.advance(ms(1500))).start(&mut ev);
    ev.run().unwrap();
    ev.defer(move |_| clock.advance(ms(20)));
    ev.run().unwrap();
    let said = log.take();
    assert!(said[0].contains("Timer") && said[0].contains("1.5s"), "{said:?}");
    assert!(said[0].contains(&format!("tests/cases/metrics.rs:{line}")), "{said:?}");
    assert!(said[1].contains("deferred") && said[1].contains("20ms"), "{said:?}");
}

#[test]
fn posted_and_deferred_closures_stall_without_a_watcher() {
    let (mut ev, clock) = ev_with_clock();
    let log = stalls(&mut ev, ms(1));
    let slow = clock.clone();
    ev.defer(move |_| slow.advance(ms(5)));
    // A posted closure is `Send`: it finds the clock in the loop.
    let place = ev.local::<RefCell<Option<MockClock>>>();
    *place.borrow_mut() = Some(clock);
    ev.remote().post(|ev| {
        let clock = ev.local::<RefCell<Option<MockClock>>>();
        let clock = clock.borrow().clone().unwrap();
        clock.advance(ms(3));
    });
    ev.run().unwrap();
    let told: Vec<_> = log
        .take()
        .iter()
        .map(|s| (s.watcher(), s.kind(), s.priority, s.site.is_none(), s.took))
        .collect();
    assert_eq!(told, [(None, None, 2, true, ms(3)), (None, None, 0, true, ms(5))]);
}

#[test]
fn a_watcher_freed_in_its_own_slow_callback_is_named_all_the_same() {
    let (mut ev, clock) = ev_with_clock();
    let log = stalls(&mut ev, ms(1));
    let line = line!() + 1;
    let key = ev.timer(ZERO, ms(1), move |ev, e| {
        e.watcher.free(ev);
        // Its slot has another tenant by the time it returns.
        ev.timer(secs(1), ZERO, nothing);
        clock.advance(ms(2));
    });
    key.start(&mut ev);
    ev.run().unwrap();
    let told = log.take();
    assert_eq!(told.len(), 1);
    assert_eq!(told[0].watcher(), Some(AnyWatcher::Timer(key)));
    if cfg!(debug_assertions) {
        assert_eq!(told[0].site.unwrap().line(), line);
    }
    assert_eq!(metrics(&ev).events(Kind::Timer), 1);
}

#[test]
fn a_once_and_an_after_free_themselves_and_are_counted() {
    let (mut ev, clock) = ev_with_clock();
    let log = stalls(&mut ev, ms(1));
    let slow = clock.clone();
    ev.after(ms(1), move |_| slow.advance(ms(4)));
    let (near, _far) = shared_pair();
    let _once = ev.once(near, Interest::READ, Some(ms(1)), move |_, _, _| clock.advance(ms(6)));
    ev.run().unwrap();
    assert_eq!(log.take().iter().map(|s| s.took).collect::<Vec<_>>(), [ms(4), ms(6)]);
}

#[test]
fn time_in_a_nested_run_is_not_the_outer_callbacks() {
    let (mut ev, clock) = ev_with_clock();
    let log = stalls(&mut ev, ms(1));
    let (before, after) = (clock.clone(), clock.clone());
    let outer = ev.timer(ZERO, ZERO, move |ev, _| {
        before.advance(ms(2));
        let inside = before.clone();
        ev.after(ms(100), move |_| inside.advance(ms(50)));
        ev.run().unwrap();
        after.advance(ms(3));
    });
    outer.start(&mut ev).set_ref(&mut ev, false);
    anchor(&mut ev).set_ref(&mut ev, false);
    ev.run_mode(Run::Once).unwrap();
    let told: Vec<_> = log.take().iter().map(|s| s.took).collect();
    assert_eq!(told, [ms(50), ms(5)], "the inner one, then the outer one's own time");
    assert_eq!(metrics(&ev).longest.unwrap().took, ms(50));
}

#[test]
fn time_in_runs_nested_in_nested_runs_is_subtracted_once() {
    let (mut ev, clock) = ev_with_clock();
    let log = stalls(&mut ev, ms(1));
    let (outer, middle, inner) = (clock.clone(), clock.clone(), clock);
    ev.after(ZERO, move |ev| {
        outer.advance(ms(30));
        ev.after(ZERO, move |ev| {
            middle.advance(ms(20));
            ev.after(ZERO, move |_| inner.advance(ms(10)));
            ev.run_mode(Run::Once).unwrap();
        });
        ev.run_mode(Run::Once).unwrap();
    });
    ev.run().unwrap();
    assert_eq!(log.take().iter().map(|s| s.took).collect::<Vec<_>>(), [10, 20, 30].map(ms));
}

#[test]
fn a_callback_called_by_invoke_is_counted() {
    let (mut ev, _) = measured();
    let calls = Count::new();
    let key = ev.timer(ZERO, ZERO, calls.ups());
    for _ in 0..3 {
        assert!(key.invoke(&mut ev, Events::CUSTOM));
    }
    assert_eq!((calls.get(), metrics(&ev).events(Kind::Timer)), (3, 3));
}

#[test]
fn a_nested_run_that_ends_in_a_panic_is_subtracted_too() {
    let (mut ev, clock) = ev_with_clock();
    let log = stalls(&mut ev, ms(1));
    let inner = clock.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        let slow = inner.clone();
        ev.after(ZERO, move |_| {
            slow.advance(ms(50));
            panic!("inner");
        });
        assert_eq!(panic_of(|| ev.run_mode(Run::Once)).as_deref(), Some("inner"));
        inner.advance(ms(3));
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take().iter().map(|s| s.took).collect::<Vec<_>>(), [ms(3)]);
    assert_eq!(ev.depth(), 0);
}

#[test]
fn lag_is_the_time_between_two_waits() {
    let (mut ev, clock) = measured();
    for (after, took) in [(10, 4), (30, 9), (60, 2)] {
        let clock = clock.clone();
        ev.after(ms(after), move |_| clock.advance(ms(took)));
    }
    // One more wait, which ends the last lag.
    ev.after(ms(90), |_| ());
    ev.run().unwrap();
    let m = metrics(&ev);
    assert_eq!((m.lag, m.longest_lag), (ms(2), ms(9)));
    assert_eq!((m.busy, m.waited), (ms(15), ms(75)));
    assert_eq!(m.iterations, 4);
}

#[test]
fn time_between_runs_is_neither_lag_nor_busy() {
    let (mut ev, clock) = measured();
    for _ in 0..3 {
        let slow = clock.clone();
        ev.after(ms(1), move |_| slow.advance(ms(2)));
        ev.run().unwrap();
        clock.advance(secs(10));
    }
    let m = metrics(&ev);
    assert_eq!((m.longest_lag, m.busy, m.waited), (ZERO, ms(6), ms(3)));
}

#[test]
fn the_sum_of_several_callbacks_is_lag_although_none_is_a_stall() {
    let (mut ev, clock) = ev_with_clock();
    let log = stalls(&mut ev, ms(10));
    for _ in 0..8 {
        let clock = clock.clone();
        ev.after(ms(1), move |_| clock.advance(ms(9)));
    }
    ev.after(ms(200), |_| ());
    ev.run().unwrap();
    assert_eq!((log.len(), metrics(&ev).lag), (0, ms(72)));
}

#[test]
fn on_stall_turns_the_counters_on_and_a_second_hook_replaces_the_first() {
    let (mut ev, clock) = ev_with_clock();
    let first = stalls(&mut ev, ms(1));
    assert!(ev.metrics().is_some());
    let slow = clock.clone();
    let key = ev.timer(ZERO, ZERO, move |_, _| slow.advance(ms(2)));
    key.start(&mut ev);
    ev.run().unwrap();
    let second = stalls(&mut ev, ms(1));
    assert_eq!(metrics(&ev).events(Kind::Timer), 1, "the counters go on");
    key.start(&mut ev);
    ev.run().unwrap();
    assert_eq!((first.len(), second.len()), (1, 1));
    // Off, nobody is told.
    ev.set_metrics(false);
    key.start(&mut ev);
    ev.run().unwrap();
    assert_eq!((first.len(), second.len()), (1, 1));
    ev.set_metrics(true);
    key.start(&mut ev);
    ev.run().unwrap();
    assert_eq!(metrics(&ev).longest.unwrap().took, ms(2));
}

#[test]
fn a_limit_of_zero_tells_of_every_callback() {
    let mut ev = ev();
    let log = stalls(&mut ev, ZERO);
    for _ in 0..3 {
        ev.after(ms(1), |_| ());
    }
    ev.run().unwrap();
    assert_eq!(log.take().iter().map(|s| s.took).collect::<Vec<_>>(), [ZERO; 3]);
    let never = stalls(&mut ev, Duration::MAX);
    ev.after(ms(1), |_| ());
    ev.run().unwrap();
    assert_eq!(never.len(), 0);
}

#[test]
fn turning_the_counters_on_and_off_in_a_callback_is_safe() {
    let mut ev = ev();
    let log = Log::new();
    for (n, on) in [(1, true), (2, false), (3, true), (4, false), (5, true)] {
        let says = log.clone();
        ev.after(ms(n), move |ev| {
            ev.set_metrics(on);
            says.push(n);
        });
        let says = log.clone();
        ev.after(ms(n), move |_| says.push(n));
    }
    ev.run().unwrap();
    assert_eq!(log.take(), [1, 1, 2, 2, 3, 3, 4, 4, 5, 5]);
    assert!(ev.metrics().is_some());
    ev.verify();
}

#[test]
fn a_callback_that_panics_leaves_the_counters_usable() {
    let (mut ev, clock) = measured();
    let slow = clock.clone();
    ev.after(ZERO, move |_| {
        slow.advance(ms(1));
        panic!("slow");
    });
    ev.after(ZERO, move |_| clock.advance(ms(2)));
    assert_eq!(panic_of(|| ev.run()).as_deref(), Some("slow"));
    ev.verify();
    ev.run().unwrap();
    assert_eq!(metrics(&ev).longest.unwrap().took, ms(2));
}

#[test]
fn a_stall_hook_that_panics_passes_through_run_and_loses_no_event() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let count = calls.clone();
    let hooked = Count::new();
    let hooks = hooked.clone();
    ev.on_stall(ms(1), move |_| {
        if hooks.up() == 1 {
            panic!("hook");
        }
    });
    for _ in 0..3 {
        let (clock, count) = (clock.clone(), count.clone());
        ev.after(ZERO, move |_| {
            count.up();
            clock.advance(ms(2));
        });
    }
    assert_eq!(panic_of(|| ev.run()).as_deref(), Some("hook"));
    assert_eq!((calls.get(), ev.depth(), ev.pending_count()), (1, 0, 2));
    ev.verify();
    ev.run().unwrap();
    assert_eq!((calls.get(), hooked.get()), (3, 3));
}

// --- the same calls in the same order ------------------------------------------------------------

/// What a busy program calls, in order: all kinds, all priorities, events taken back, fed, invoked,
/// and a nested run. The wall clock begins at `wall`, or the periodic's turn would be by chance.
fn history(measured: bool, mixed: bool, wall: Duration) -> Vec<(&'static str, u64)> {
    let (mut ev, clock) = ev_with_clock();
    clock.set_wall(std::time::UNIX_EPOCH + wall);
    ev.set_metrics(measured);
    let log = Log::<(&'static str, u64)>::new();
    let note = |name: &'static str| {
        let log = log.clone();
        move |ev: &EvLoop| log.push((name, ev.iteration()))
    };
    *ev.local::<RefCell<Option<Log<_>>>>().borrow_mut() = Some(log.clone());
    let n = note("prepare");
    ev.prepare(move |ev, _| n(ev)).set_ref(&mut ev, false).start(&mut ev);
    for (name, priority) in [("check -1", -1), ("check 0", 0), ("check 2", 2)] {
        let n = note(name);
        let key = ev.check(move |ev, _| n(ev)).set_priority(&mut ev, priority);
        key.set_ref(&mut ev, false).start(&mut ev);
    }
    let n = note("periodic");
    let periodic = ev.periodic(Schedule::every(secs(1)), move |ev, _| n(ev));
    periodic.set_ref(&mut ev, false).start(&mut ev);
    let n = note("async");
    let (watcher, notifier) = ev.notifier(move |ev, _| n(ev));
    watcher.set_ref(&mut ev, false).start(&mut ev);
    let n = note("fed");
    let fed = ev.timer(ZERO, ZERO, move |ev, _| n(ev)).set_priority(&mut ev, 1);
    let n = note("later");
    let later = ev.timer(ZERO, ZERO, move |ev, _| n(ev));
    let n = note("victim");
    let victim = ev.timer(secs(1), secs(1), move |ev, _| n(ev)).set_priority(&mut ev, -2);
    victim.start(&mut ev);
    let n = note("feeds");
    ev.timer(secs(1), secs(1), move |ev, _| {
        n(ev);
        notifier.notify();
        fed.feed(ev, Events::CUSTOM);
        later.feed_later(ev, Events::CUSTOM);
        fed.invoke(ev, Events::CUSTOM);
        if ev.iteration() % 2 == 0 {
            victim.stop(ev);
            victim.again(ev);
        }
        let n = Rc::new(n.clone());
        ev.defer(move |ev| n(ev));
    })
    .start(&mut ev);
    let n = note("nests");
    ev.timer(secs(2), secs(3), move |ev, _| {
        n(ev);
        ev.run_mode(Run::NoWait).unwrap();
        n(ev);
    })
    .start(&mut ev);
    let mut pairs = Vec::new();
    for name in ["io a", "io b", "io c", "io d"] {
        let (near, far) = shared_pair();
        let n = note(name);
        let io = ev.io(near, Interest::READ, move |ev, e| {
            n(ev);
            crate::sockets::drain(e.source);
            if name == "io b" {
                fed.feed(ev, Events::CUSTOM);
            }
        });
        if mixed && name == "io c" {
            io.set_priority(&mut ev, 1);
        }
        if NAME != "scripted" {
            io.start(&mut ev).unwrap();
        }
        pairs.push((io, far));
    }
    let n = note("idle");
    ev.idle(move |ev, _| n(ev)).set_priority(&mut ev, -2).set_ref(&mut ev, false).start(&mut ev);
    for round in 0..12 {
        // A quiet round now and then, for the idle watcher.
        if round % 3 != 2 {
            for (io, far) in &pairs {
                put(far);
                if NAME == "scripted" {
                    io.feed(&mut ev, Events::READ);
                }
            }
            ev.remote().post(|ev| {
                let log = ev.local::<RefCell<Option<Log<(&'static str, u64)>>>>();
                log.borrow().as_ref().unwrap().push(("posted", ev.iteration()));
            });
        }
        if round % 3 == 0 {
            pairs[2].0.stop(&mut ev);
        } else if NAME != "scripted" {
            pairs[2].0.start(&mut ev).unwrap();
        }
        clock.advance(ms(400));
        ev.run_mode(Run::NoWait).unwrap();
        ev.verify();
    }
    log.take()
}

#[test]
fn the_order_of_calls_is_the_same_with_and_without_counters() {
    for mixed in [false, true] {
        // Each of the moments, relative to the rounds, that the periodic may come at.
        for fraction in (0..1000).step_by(100) {
            let wall = secs(1_000_000_000) + ms(fraction);
            let plain = history(false, mixed, wall);
            assert!(plain.len() > 100, "{}", plain.len());
            for name in
                ["io d", "victim", "fed", "later", "async", "periodic", "idle", "nests", "posted"]
            {
                assert!(plain.iter().any(|(n, _)| *n == name), "{name} was never called");
            }
            assert_eq!(history(true, mixed, wall), plain, "mixed: {mixed}, {fraction} ms");
        }
    }
}

/// Runs cases of other subjects with the counters on, as they stand.
fn with_counters(case: impl Fn(&mut EvLoop)) {
    let (mut ev, _) = measured();
    case(&mut ev);
    ev.verify();
}

#[test]
fn priorities_and_fifo_hold_with_counters() {
    with_counters(|ev| {
        let log = Log::<i8>::new();
        for p in [0, -2, 1, -1, 2, 0] {
            ev.timer(ZERO, ZERO, log.says(p)).set_priority(ev, p).start(ev);
        }
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!((log.take(), ev.iteration()), (vec![2, 1, 0, 0, -1, -2], 1));
    });
    with_counters(|ev| {
        let log = Log::new();
        let high = ev.timer(ZERO, ZERO, log.says("high")).set_priority(ev, 1);
        let low = ev.timer(ZERO, ZERO, log.says("low")).set_priority(ev, -1);
        let seen = log.clone();
        ev.timer(ZERO, ZERO, move |ev, _| {
            seen.push("feeds");
            low.feed(ev, Events::CUSTOM);
            high.feed(ev, Events::CUSTOM);
        })
        .start(ev);
        ev.timer(ZERO, ZERO, log.says("queued")).start(ev);
        ev.run_mode(Run::Once).unwrap();
        assert_eq!(log.take(), ["feeds", "high", "queued", "low"]);
    });
    with_counters(|ev| {
        let log = Log::<usize>::new();
        for n in 0..5000 {
            ev.timer(ms(10), ZERO, log.says(n)).start(ev);
        }
        ev.run_mode(Run::Once).unwrap();
        assert_eq!(log.take(), (0..5000).collect::<Vec<_>>());
    });
}
