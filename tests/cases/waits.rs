// What the loop asks the kernel for, seen by the script: loop.md 1.4, 1.7, 2.3, 3.2.

/// A watcher on something the script reports as it likes.
fn scripted_io(
    ev: &mut EvLoop,
    f: impl FnMut(&mut EvLoop, IoEvent<'_, std::fs::File>) + 'static,
) -> Io {
    let source = std::fs::File::open("/dev/null").unwrap();
    ev.io(source, Interest::READ, f).start(ev).unwrap()
}

#[test]
fn the_wait_is_the_time_to_the_next_timer() {
    let (mut ev, clock, script) = ev_with_script();
    for n in [100, 250, 101] {
        ev.timer(ms(n), ZERO, nothing).start(&mut ev);
    }
    ev.run().unwrap();
    assert_eq!(script.waits(), [Some(ms(100)), Some(ms(1)), Some(ms(149))]);
    assert_eq!(clock.elapsed(), ms(250));
}

#[test]
fn waits_have_nanosecond_resolution() {
    let (mut ev, _, script) = ev_with_script();
    let odd = Duration::from_nanos(100_001);
    ev.timer(odd, ZERO, nothing).start(&mut ev);
    ev.run().unwrap();
    assert_eq!(script.waits(), [Some(odd)]);
}

#[test]
fn no_wait_and_a_run_without_references_wait_zero() {
    let (mut ev, _, script) = ev_with_script();
    ev.run().unwrap();
    ev.run_mode(Run::Once).unwrap();
    anchor(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    ev.turn(Some(ZERO)).unwrap();
    assert_eq!(script.waits(), [Some(ZERO); 4]);
}

#[test]
fn turn_waits_for_the_lesser_of_its_limit_and_the_next_timer() {
    let (mut ev, _, script) = ev_with_script();
    ev.timer(ms(100), ZERO, nothing).start(&mut ev);
    ev.turn(Some(ms(30))).unwrap();
    ev.turn(Some(ms(300))).unwrap();
    assert_eq!(script.waits(), [Some(ms(30)), Some(ms(70))]);
}

/// Runs a 100 ms repeater that is moved at 30, 60 and 90 ms and ends at its first call.
fn moved_three_times() -> (EvLoop, MockClock, Script, Log<u64>) {
    let (mut ev, clock, script) = ev_with_script();
    let prepares = Log::new();
    let seen = prepares.clone();
    ev.prepare(move |ev, _| seen.push(ev.iteration())).set_ref(&mut ev, false).start(&mut ev);
    let key = ev.timer(ms(100), ms(100), |ev, e| _ = e.watcher.stop(ev)).start(&mut ev);
    for n in [30, 60, 90] {
        ev.timer(ms(n), ZERO, move |ev, _| _ = key.again(ev)).start(&mut ev);
    }
    for _ in 0..4 {
        ev.run_mode(Run::Once).unwrap();
    }
    (ev, clock, script, prepares)
}

#[test]
fn a_lazily_moved_timer_costs_once_no_iteration_and_no_callback() {
    let (ev, clock, _, prepares) = moved_three_times();
    assert_eq!((clock.elapsed(), ev.iteration(), ev.has_refs()), (ms(190), 4, false));
    assert_eq!(prepares.take(), [0, 1, 2, 3]);
}

#[test]
fn an_interrupted_wait_goes_on_for_the_remaining_time_without_a_callback() {
    let (mut ev, clock, script) = ev_with_script();
    let calls = Count::new();
    let prepares = Count::new();
    ev.timer(ms(100), ZERO, calls.ups()).start(&mut ev);
    ev.prepare(prepares.ups()).set_ref(&mut ev, false).start(&mut ev);
    anchor(&mut ev);
    script.interrupt();
    assert!(ev.run_mode(Run::Once).unwrap());
    assert_eq!((calls.get(), clock.elapsed()), (1, ms(100)), "ONCE never returns because of EINTR");
    let waits = script.waits();
    assert_eq!(waits[0], Some(ms(100)));
    assert_eq!(waits.len(), 2, "{waits:?}");
    assert!(waits[1].unwrap() <= ms(100), "{waits:?}");
}

#[test]
fn a_signal_that_flags_a_notifier_ends_the_wait() {
    let (mut ev, clock, script) = ev_with_script();
    let calls = Count::new();
    let (watcher, notifier) = ev.notifier(calls.ups());
    watcher.start(&mut ev);
    anchor(&mut ev);
    // As a signal handler would: while the loop is in the kernel.
    let handler = notifier.clone();
    ev.on_wait(|| (), move || _ = handler.notify());
    script.interrupt();
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (1, ZERO));
}

#[test]
fn a_wait_error_is_returned_by_run_and_the_loop_is_usable_after_it() {
    let (mut ev, clock, script) = ev_with_script();
    let calls = Count::new();
    ev.timer(ms(100), ZERO, calls.ups()).start(&mut ev);
    for errno in [9, 12, 22] {
        script.fail_wait(errno);
        let error = ev.run().unwrap_err();
        assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Wait, Some(errno)));
        assert!(std::error::Error::source(&error).is_some());
        assert_eq!((ev.depth(), calls.get()), (0, 0));
        let io = std::io::Error::from(error);
        assert!(!io.to_string().is_empty());
        ev.verify();
    }
    assert!(!ev.run().unwrap());
    assert_eq!((calls.get(), clock.elapsed()), (1, ms(100)));
}

#[test]
fn what_was_sent_before_a_wait_error_is_delivered_by_the_next_run() {
    let (mut ev, _, script) = ev_with_script();
    let (watcher, notifier) = ev.notifier(|ev, _| trace(ev, "async"));
    watcher.start(&mut ev);
    let fed = ev.timer(ZERO, ZERO, |ev, _| trace(ev, "later"));
    ev.remote().post(|ev| trace(ev, "posted"));
    notifier.notify();
    fed.feed_later(&mut ev, Events::CUSTOM);
    script.fail_wait(12);
    assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Wait);
    assert_eq!(traced(&mut ev), [""; 0]);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(traced(&mut ev), ["posted", "async", "later"]);
}

#[test]
fn a_wait_error_in_a_nested_run_is_returned_by_that_run() {
    let (mut ev, _, script) = ev_with_script();
    let log = Log::<ErrorKind>::new();
    let (seen, kernel) = (log.clone(), script.clone());
    ev.timer(ms(1), ZERO, move |ev, _| {
        kernel.fail_wait(9);
        seen.push(ev.run_mode(Run::NoWait).unwrap_err().kind());
        assert_eq!(ev.depth(), 1);
    })
    .start(&mut ev);
    ev.timer(ms(2), ZERO, nothing).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [ErrorKind::Wait]);
}

#[test]
fn a_wait_nobody_can_end_is_stuck() {
    let (mut ev, _, script) = ev_with_script();
    let key = scripted_io(&mut ev, |_, _| ());
    assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Stuck);
    assert_eq!(script.waits(), [None]);
    assert_eq!(ev.depth(), 0);
    script.ready(key, Events::READ);
    assert!(ev.run_mode(Run::Once).unwrap(), "usable after it");
    key.stop(&mut ev);
    ev.timer(Duration::MAX, ZERO, nothing).start(&mut ev);
    assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Stuck, "a timer that is never due");
}

#[test]
fn waits_of_many_days_are_asked_for_whole() {
    let (mut ev, _, script) = ev_with_script();
    let month = secs(30 * 86_400);
    ev.timer(month, ZERO, nothing).start(&mut ev);
    ev.run().unwrap();
    assert_eq!(script.waits(), [Some(month)]);
}

#[test]
fn no_wait_is_longer_or_shorter_for_want_of_a_clock_look() {
    // An unlimited wait is not capped: there is no periodic.
    let (mut ev, _, script) = ev_with_script();
    let key = scripted_io(&mut ev, |ev, _| ev.break_loop(Break::One));
    script.ready(key, Events::READ);
    ev.run().unwrap();
    assert_eq!(script.waits(), [None]);
}

#[test]
fn an_active_idle_makes_the_wait_zero_even_if_it_never_gets_to_run() {
    let (mut ev, _, script) = ev_with_script();
    let (idles, reads) = (Count::new(), Count::new());
    ev.idle(idles.ups()).set_priority(&mut ev, -1).start(&mut ev);
    let key = scripted_io(&mut ev, {
        let reads = reads.clone();
        move |_, _| _ = reads.up()
    });
    anchor(&mut ev);
    for _ in 0..3 {
        script.ready(key, Events::READ);
        ev.run_mode(Run::Once).unwrap();
    }
    assert_eq!((reads.get(), idles.get()), (3, 0), "locked out by io of priority 0");
    assert_eq!(script.waits(), [Some(ZERO); 3]);
}

#[test]
fn what_is_flagged_deferred_or_fed_for_later_makes_one_wait_zero() {
    let (mut ev, _, script) = ev_with_script();
    let (watcher, notifier) = ev.notifier(nothing);
    watcher.start(&mut ev);
    anchor(&mut ev);
    notifier.notify();
    ev.run_mode(Run::Once).unwrap();
    ev.remote().post(|_| ());
    ev.run_mode(Run::Once).unwrap();
    ev.defer(|_| ());
    ev.run_mode(Run::Once).unwrap();
    watcher.feed_later(&mut ev, Events::CUSTOM);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(script.waits(), [Some(ZERO); 4]);
    ev.turn(Some(ms(3))).unwrap();
    assert_eq!(script.waits()[4], Some(ms(3)), "and then it waits again");
}

#[test]
fn timer_collect_raises_the_wait_once_the_loop_decides_to_wait() {
    let (mut ev, _, script) = ev_with_script();
    ev.set_timer_collect(ms(40));
    for n in [10, 60] {
        ev.timer(ms(n), ZERO, nothing).start(&mut ev);
    }
    ev.run().unwrap();
    assert_eq!(script.waits(), [Some(ms(40)), Some(ms(40))]);
}

#[test]
fn io_collect_polls_at_most_once_per_interval() {
    let (mut ev, clock, script) = ev_with_script();
    ev.set_io_collect(ms(100));
    let polls = Log::<u64>::new();
    let (seen, kernel) = (polls.clone(), script.clone());
    let key = scripted_io(&mut ev, move |_, e| {
        seen.push(clock.elapsed().as_millis() as u64);
        kernel.ready(e.watcher, Events::READ); // Always ready again at once.
    });
    script.ready(key, Events::READ);
    ev.timer(secs(1), ZERO, |ev, _| ev.break_loop(Break::All)).start(&mut ev);
    ev.run().unwrap();
    let polls = polls.take();
    assert!((8..=12).contains(&polls.len()), "one per 100 ms of one second: {polls:?}");
}

#[test]
fn io_collect_counts_the_run_time_of_callbacks_as_waited() {
    let (mut ev, clock, script) = ev_with_script();
    ev.set_io_collect(ms(100));
    let reads = Count::new();
    let (count, kernel) = (reads.clone(), script.clone());
    let key = scripted_io(&mut ev, move |_, e| {
        count.up();
        clock.advance(ms(80));
        kernel.ready(e.watcher, Events::READ);
    });
    script.ready(key, Events::READ);
    ev.timer(secs(1), ZERO, |ev, _| ev.break_loop(Break::All)).start(&mut ev);
    ev.run().unwrap();
    assert!((8..=12).contains(&reads.get()), "{} in a second of 100 ms each", reads.get());
}

#[test]
fn once_waits_on_after_a_report_that_nobody_wants_any_more() {
    let (mut ev, clock, script) = ev_with_script();
    let calls = Count::new();
    let key = scripted_io(&mut ev, |_, _| panic!("it was stopped"));
    ev.timer(ms(10), ZERO, calls.ups()).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    key.stop(&mut ev); // Lazy: the kernel is not told.
    script.ready(key, Events::READ);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (1, ms(10)));
}
