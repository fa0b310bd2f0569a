// Run modes, the steps of one iteration, breaks, errors out of `run`: loop.md 1.1, 1.3, 1.4.

#[test]
fn a_new_loop_has_iteration_0_depth_0_nothing_pending_and_valid_clocks() {
    let (before, wall_before) = (Instant::now(), std::time::SystemTime::now());
    let mut ev = builder().build().unwrap();
    assert_eq!((ev.iteration(), ev.depth(), ev.pending_count()), (0, 0, 0));
    assert!(!ev.has_refs());
    assert!(ev.watchers().is_empty(), "internal watchers are never shown");
    assert_eq!(ev.next_deadline(), None);
    if NAME != "scripted" {
        assert!(ev.now() >= before && ev.now() <= Instant::now());
        assert!(ev.wall_now() >= wall_before - secs(5));
        assert!(ev.wall_now() <= std::time::SystemTime::now() + secs(5));
    }
    assert!(!ev.run_mode(Run::NoWait).unwrap());
}

#[test]
fn the_backend_asked_for_is_the_backend_in_use() {
    let ev = ev();
    let name = ev.backend().map(Backend::name);
    assert_eq!(name, if NAME == "scripted" { None } else { Some(NAME) });
    assert_eq!(ev.backend_fd().is_some(), NAME == "epoll", "only epoll can be embedded");
}

#[test]
fn a_run_without_references_does_one_pass_and_returns_false() {
    for mode in [Run::UntilDone, Run::Once, Run::NoWait] {
        let (mut ev, clock) = ev_with_clock();
        let checks = Count::new();
        ev.check(checks.ups()).set_ref(&mut ev, false).start(&mut ev);
        assert!(!ev.run_mode(mode).unwrap());
        assert_eq!((ev.iteration(), checks.get(), clock.elapsed()), (1, 1, ZERO));
    }
}

#[test]
fn run_goes_on_until_nothing_active_is_left() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    for n in 1..=3 {
        ev.timer(secs(n), ZERO, calls.ups()).start(&mut ev);
    }
    assert!(!ev.run().unwrap());
    assert_eq!((calls.get(), clock.elapsed()), (3, secs(3)));
}

#[test]
fn once_waits_for_one_batch_and_tells_whether_something_is_left() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    for n in [1, 1, 2] {
        ev.timer(secs(n), ZERO, calls.ups()).start(&mut ev);
    }
    assert!(ev.run_mode(Run::Once).unwrap());
    assert_eq!((calls.get(), clock.elapsed()), (2, secs(1)));
    assert!(!ev.run_mode(Run::Once).unwrap());
    assert_eq!((calls.get(), clock.elapsed()), (3, secs(2)));
}

#[test]
fn no_wait_handles_what_is_ready_and_does_not_wait() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    ev.timer(secs(1), ZERO, calls.ups()).start(&mut ev);
    assert!(ev.run_mode(Run::NoWait).unwrap());
    assert_eq!((calls.get(), clock.elapsed()), (0, ZERO));
    clock.advance(secs(1));
    assert!(!ev.run_mode(Run::NoWait).unwrap());
    assert_eq!((calls.get(), ev.iteration()), (1, 2));
}

#[test]
fn turn_is_one_pass_that_waits_at_most_so_long() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    ev.timer(secs(1), ZERO, calls.ups()).start(&mut ev);
    assert!(ev.turn(Some(ms(100))).unwrap());
    assert_eq!((calls.get(), clock.elapsed(), ev.iteration()), (0, ms(100), 1));
    assert!(ev.turn(Some(ZERO)).unwrap());
    assert_eq!((calls.get(), clock.elapsed(), ev.iteration()), (0, ms(100), 2));
    assert!(!ev.turn(Some(Duration::MAX)).unwrap());
    assert_eq!((calls.get(), clock.elapsed()), (1, secs(1)));
    ev.timer(secs(1), ZERO, calls.ups()).start(&mut ev);
    assert!(!ev.turn(None).unwrap());
    assert_eq!((calls.get(), clock.elapsed()), (2, secs(2)));
}

#[test]
fn iteration_counts_polls_prepare_sees_0_and_the_first_callback_1() {
    let mut ev = ev();
    let log = Log::<(&str, u64)>::new();
    let seen = log.clone();
    ev.prepare(move |ev, _| seen.push(("prepare", ev.iteration()))).start(&mut ev);
    let seen = log.clone();
    ev.check(move |ev, _| seen.push(("check", ev.iteration()))).start(&mut ev);
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| seen.push(("timer", ev.iteration()))).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(
        log.take(),
        [("prepare", 0), ("check", 1), ("timer", 1), ("prepare", 1), ("check", 2)]
    );
}

#[test]
fn one_iteration_goes_prepare_wait_check_timer_defer() {
    let mut ev = ev();
    let log = Log::new();
    let seen = log.clone();
    ev.timer(ms(1), ZERO, move |ev, _| {
        seen.push("timer");
        let deferred = seen.clone();
        ev.defer(move |_| deferred.push("defer"));
    })
    .start(&mut ev);
    ev.check(log.says("check")).set_ref(&mut ev, false).start(&mut ev);
    ev.prepare(log.says("prepare")).set_ref(&mut ev, false).start(&mut ev);
    let (before, after) = (log.clone(), log.clone());
    ev.on_wait(move || before.push("before"), move || after.push("after"));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["prepare", "before", "after", "check", "timer", "defer"]);
}

#[test]
fn what_is_pending_before_run_is_invoked_first_and_before_prepare() {
    let mut ev = ev();
    let log = Log::<(&str, u64, u32)>::new();
    let seen = log.clone();
    ev.prepare(move |ev, _| seen.push(("prepare", ev.iteration(), ev.depth()))).start(&mut ev);
    let seen = log.clone();
    let fed = ev.timer(ZERO, ZERO, move |ev, _| seen.push(("fed", ev.iteration(), ev.depth())));
    fed.feed(&mut ev, Events::CUSTOM);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [("fed", 0, 1), ("prepare", 0, 1)]);
}

#[test]
fn nothing_started_by_a_callback_fires_in_the_same_iteration() {
    let mut ev = ev();
    let log = Log::<(&str, u64)>::new();
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        seen.push(("first", ev.iteration()));
        let timer = seen.clone();
        ev.timer(ZERO, ZERO, move |ev, _| timer.push(("timer", ev.iteration()))).start(ev);
        let check = seen.clone();
        ev.check(move |ev, e| {
            check.push(("check", ev.iteration()));
            e.watcher.free(ev);
        })
        .start(ev);
    })
    .set_priority(&mut ev, 1)
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [("first", 1), ("check", 2), ("timer", 2)]);
}

#[test]
fn break_one_completes_the_dispatch_phase() {
    let mut ev = ev();
    let log = Log::new();
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        seen.push("breaks");
        ev.break_loop(Break::One);
    })
    .start(&mut ev);
    ev.timer(ZERO, ZERO, log.says("same batch")).start(&mut ev);
    ev.timer(ms(1), ZERO, log.says("later")).start(&mut ev);
    assert!(ev.run().unwrap());
    assert_eq!(log.take(), ["breaks", "same batch"]);
    assert!(!ev.run().unwrap(), "the break was consumed");
    assert_eq!(log.take(), ["later"]);
}

#[test]
fn a_break_is_withdrawn_by_cancel() {
    let mut ev = ev();
    let calls = Count::new();
    for how in [Break::All, Break::One, Break::Cancel] {
        ev.timer(ZERO, ZERO, move |ev, _| ev.break_loop(how)).start(&mut ev);
    }
    ev.timer(ms(1), ZERO, calls.ups()).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_break_asked_outside_run_is_forgotten() {
    for how in [Break::One, Break::All] {
        let mut ev = ev();
        let calls = Count::new();
        ev.timer(ms(1), ZERO, calls.ups()).start(&mut ev);
        ev.break_loop(how);
        assert!(!ev.run().unwrap());
        assert_eq!(calls.get(), 1);
    }
}

#[test]
fn a_break_in_prepare_leaves_without_poll_and_without_check() {
    let (mut ev, clock) = ev_with_clock();
    let (log, waits) = (Log::new(), Count::new());
    let seen = log.clone();
    ev.prepare(move |ev, _| {
        seen.push("breaks");
        ev.break_loop(Break::One);
    })
    .start(&mut ev);
    ev.prepare(log.says("prepare")).start(&mut ev);
    ev.check(log.says("check")).start(&mut ev);
    ev.timer(ZERO, ZERO, log.says("timer")).start(&mut ev);
    let count = waits.clone();
    ev.on_wait(move || _ = count.up(), || {});
    assert!(ev.run().unwrap());
    assert_eq!(log.take(), ["breaks", "prepare"]);
    assert_eq!((ev.iteration(), waits.get(), clock.elapsed()), (0, 0, ZERO));
}

#[test]
fn run_from_prepare_or_check_is_an_error_and_harms_nothing() {
    let (mut ev, clock) = ev_with_clock();
    let kinds = Log::<(ErrorKind, u32)>::new();
    let try_all = move |ev: &mut EvLoop, kinds: &Log<(ErrorKind, u32)>| {
        for result in [ev.run(), ev.run_mode(Run::NoWait), ev.turn(None)] {
            kinds.push((result.unwrap_err().kind(), ev.depth()));
        }
    };
    let seen = kinds.clone();
    ev.prepare(move |ev, e| {
        try_all(ev, &seen);
        e.watcher.stop(ev);
    })
    .start(&mut ev);
    let seen = kinds.clone();
    ev.check(move |ev, e| {
        try_all(ev, &seen);
        e.watcher.stop(ev);
    })
    .start(&mut ev);
    ev.timer(ms(5), ZERO, nothing).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(kinds.take(), [(ErrorKind::Nested, 1); 6]);
    assert_eq!((clock.elapsed(), ev.depth()), (ms(5), 0));
}

#[test]
fn fail_is_returned_by_run_after_the_batch_and_the_loop_goes_on() {
    let mut ev = ev();
    let log = Log::new();
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        seen.push("fails");
        ev.fail("the first");
        ev.fail("the second");
    })
    .start(&mut ev);
    ev.timer(ZERO, ZERO, log.says("same batch")).start(&mut ev);
    ev.timer(ms(1), ZERO, log.says("later")).start(&mut ev);
    let error = ev.run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Callback);
    assert_eq!(error.raw_os_error(), None);
    let source = std::error::Error::source(&error).expect("what the callback gave");
    assert_eq!(source.to_string(), "the first");
    assert_eq!(log.take(), ["fails", "same batch"]);
    assert_eq!(ev.depth(), 0);
    assert!(!ev.run().unwrap(), "told once");
    assert_eq!(log.take(), ["later"]);
}

#[test]
fn hooks_stand_immediately_around_every_wait() {
    let mut ev = ev();
    let log = Log::new();
    let (before, after) = (log.clone(), log.clone());
    ev.on_wait(move || before.push("before"), move || after.push("after"));
    ev.timer(ms(1), ms(1), |ev, _| {
        if ev.iteration() == 3 {
            ev.break_loop(Break::All);
        }
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), ["before", "after"].repeat(3));
}

#[test]
fn time_stands_still_while_callbacks_run_and_update_now_reads_it_again() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let count = calls.clone();
    ev.timer(ms(1), ZERO, move |ev, _| {
        let (now, wall) = (ev.now(), ev.wall_now());
        clock.advance(secs(1));
        assert_eq!((ev.now(), ev.wall_now()), (now, wall));
        ev.update_now();
        assert_eq!(ev.now(), now + secs(1));
        assert!(ev.wall_now() >= wall + ms(999));
        count.up();
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(calls.get(), 1);
}

#[test]
fn now_never_shows_the_time_of_an_earlier_iteration() {
    let (mut ev, clock) = ev_with_clock();
    let start = ev.now();
    let times = Log::<Duration>::new();
    let seen = times.clone();
    // No timer is active: no step of the iteration needs to read the clock.
    ev.idle(move |ev, e| {
        seen.push(ev.now() - start);
        if seen.len() == 3 {
            e.watcher.stop(ev);
        }
        clock.advance(secs(1));
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(times.take(), [secs(0), secs(1), secs(2)]);
}

#[test]
fn callback_run_time_does_not_delay_other_timers() {
    let (mut ev, clock) = ev_with_clock();
    let busy = clock.clone();
    ev.timer(ms(100), ZERO, move |_, _| busy.advance(ms(300))).start(&mut ev);
    ev.timer(ms(500), ZERO, nothing).start(&mut ev);
    ev.run().unwrap();
    assert_eq!(clock.elapsed(), ms(500));
}

#[test]
fn deferred_closures_run_after_the_last_band_and_keep_run_from_returning() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    let low = ev.timer(ZERO, ZERO, log.says("low")).set_priority(&mut ev, -2);
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        for name in ["defer 1", "defer 2"] {
            let deferred = seen.clone();
            ev.defer(move |_| deferred.push(name));
        }
        low.feed(ev, Events::CUSTOM);
        seen.push("timer");
    })
    .start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), ["timer", "low", "defer 1", "defer 2"]);
    // From outside, and each deferring the next.
    let chain = log.clone();
    ev.defer(move |ev| {
        chain.push("one");
        ev.defer(move |ev| {
            chain.push("two");
            ev.defer(move |_| chain.push("three"));
        });
    });
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), ["one", "two", "three"]);
    assert_eq!(clock.elapsed(), ZERO);
}

#[test]
fn something_deferred_makes_the_wait_zero() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    anchor(&mut ev);
    let count = calls.clone();
    ev.defer(move |_| _ = count.up());
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (1, ZERO));
}

#[test]
fn next_deadline_is_the_earliest_timer() {
    let mut ev = ev();
    let (late, early) = (
        ev.timer(secs(9), ZERO, nothing).start(&mut ev),
        ev.timer(secs(4), ZERO, nothing).start(&mut ev),
    );
    assert_eq!(ev.next_deadline(), early.due(&ev));
    early.stop(&mut ev);
    assert_eq!(ev.next_deadline(), late.due(&ev));
    late.set_repeat(&mut ev, secs(20)).again(&mut ev);
    let deadline = ev.next_deadline();
    assert!(deadline.is_some() && deadline <= late.due(&ev), "never later, also if moved lazily");
    late.stop(&mut ev);
    assert_eq!(ev.next_deadline(), None);
}

#[test]
fn fail_and_break_work_from_prepare_check_posted_and_deferred_closures_too() {
    let mut ev = ev();
    anchor(&mut ev);
    let failed = |ev: &mut EvLoop| ev.run().unwrap_err().kind() == ErrorKind::Callback;
    ev.prepare(|ev, e| {
        ev.fail("prepare");
        e.watcher.free(ev);
    })
    .start(&mut ev);
    assert!(failed(&mut ev));
    assert_eq!(ev.iteration(), 0, "no poll after a failed prepare");
    let check = ev.check(|ev, e| {
        ev.fail("check");
        e.watcher.free(ev);
    });
    check.start(&mut ev);
    ev.idle(|ev, e| _ = e.watcher.free(ev)).start(&mut ev);
    assert!(failed(&mut ev));
    ev.remote().post(|ev| ev.fail("posted"));
    assert!(failed(&mut ev));
    ev.defer(|ev| ev.fail("deferred"));
    assert!(failed(&mut ev));
    ev.defer(|ev| ev.break_loop(Break::One));
    assert!(ev.run().unwrap());
}
