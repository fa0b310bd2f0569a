// Timers and the clock: what "now" means at a start, instants, huge durations: loop.md 1.3, 3.2.

#[test]
fn a_timer_started_in_a_callback_counts_from_the_cached_time() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<Duration>::new();
    let start = ev.now();
    let seen = log.clone();
    ev.timer(ms(10), ZERO, move |ev, _| {
        clock.advance(ms(100));
        let key = ev.timer(ms(500), ZERO, nothing).start(ev);
        seen.push(key.due(ev).unwrap() - start);
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [ms(510)], "short by the length of the computation");
}

#[test]
fn start_from_real_now_counts_from_the_real_time() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<Duration>::new();
    let start = ev.now();
    let seen = log.clone();
    ev.timer(ms(10), ZERO, move |ev, _| {
        clock.advance(ms(100));
        let key = ev.timer(ms(500), ZERO, nothing).start_from_real_now(ev);
        seen.push(key.due(ev).unwrap() - start);
        assert!(key.is_active(ev));
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [ms(610)]);
}

#[test]
fn fresh_timers_refreshes_time_at_the_first_start_of_a_callback_phase() {
    let clock = MockClock::new();
    let mut ev = builder().mock_clock(&clock).fresh_timers(true).build().unwrap();
    let log = Log::<Duration>::new();
    let start = ev.now();
    let seen = log.clone();
    ev.timer(ms(10), ZERO, move |ev, _| {
        for _ in 0..2 {
            clock.advance(ms(100));
            let key = ev.timer(ms(500), ZERO, nothing).start(ev);
            seen.push(key.due(ev).unwrap() - start);
        }
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [ms(610), ms(610)], "the first start, not every one");
}

#[test]
fn outside_callbacks_a_start_refreshes_the_cached_time_first() {
    let (mut ev, clock) = ev_with_clock();
    let start = ev.now();
    clock.advance(secs(1));
    let key = ev.timer(secs(5), ZERO, nothing).start(&mut ev);
    assert_eq!(key.due(&ev), Some(start + secs(6)));
    clock.advance(secs(1));
    let repeater = ev.timer(ZERO, secs(5), nothing).again(&mut ev);
    assert_eq!(repeater.due(&ev), Some(start + secs(7)));
    clock.advance(secs(1));
    assert_eq!(key.restart(&mut ev, secs(5)).due(&ev), Some(start + secs(8)));
    repeater.stop(&mut ev);
    ev.run().unwrap();
    assert_eq!(clock.elapsed(), secs(8));
    // And between two runs.
    clock.advance(secs(1));
    let key = ev.timer(secs(5), ZERO, nothing).start(&mut ev);
    assert_eq!(key.due(&ev), Some(start + secs(14)));
}

#[test]
fn a_timer_at_an_instant_is_due_then_and_at_once_if_it_is_past() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<(&str, u64)>::new();
    let note = |name, log: &Log<(&'static str, u64)>| {
        let (log, clock) = (log.clone(), clock.clone());
        move |_: &mut EvLoop, _: TimerEvent| log.push((name, clock.elapsed().as_millis() as u64))
    };
    let start = ev.now();
    clock.advance(ms(50));
    let at = ev.timer_at(start + ms(80), note("at", &log));
    assert!(!at.is_active(&ev));
    clock.advance(ms(10));
    assert_eq!(at.start(&mut ev).due(&ev), Some(start + ms(80)));
    ev.timer_at(start, note("past", &log)).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [("past", 60), ("at", 80)]);
}

#[test]
fn huge_durations_saturate_and_never_fire() {
    let (mut ev, clock) = ev_with_clock();
    let (never, calls) = (Count::new(), Count::new());
    let far = [
        Duration::MAX,
        secs(u64::MAX),
        Duration::from_nanos(u64::MAX),
        secs(u64::from(u32::MAX) * 366 * 86_400),
    ];
    for after in far {
        ev.timer(after, ZERO, never.ups()).start(&mut ev);
        ev.timer(ms(1), after, calls.ups()).start(&mut ev);
        ev.timer(ms(1), after, calls.ups()).set_keep_phase(&mut ev, true).start(&mut ev);
        ev.timer(ZERO, after, never.ups()).again(&mut ev);
        ev.timer(ZERO, ZERO, never.ups()).restart(&mut ev, after);
        ev.timer(after, after, never.ups()).start_from_real_now(&mut ev);
        ev.verify();
    }
    for year in 1..=200 {
        ev.timer(secs(year * 366 * 86_400), ZERO, nothing).start(&mut ev);
    }
    ev.timer(secs(201 * 366 * 86_400), ZERO, |ev, _| ev.break_loop(Break::All)).start(&mut ev);
    assert!(ev.run().unwrap());
    assert_eq!(never.get(), 0);
    assert_eq!(calls.get(), 2 * far.len(), "an overflowing repeat must not fire again at once");
    assert_eq!(clock.elapsed(), secs(201 * 366 * 86_400));
}

#[test]
fn a_never_timer_keeps_the_loop_alive_has_no_deadline_and_can_be_brought_back() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let key = ev.timer(Duration::MAX, ZERO, calls.ups()).start(&mut ev);
    assert!(ev.has_refs());
    assert_eq!((key.due(&ev), ev.next_deadline()), (None, None));
    assert!(key.remaining(&ev) > secs(100 * 366 * 86_400));
    assert!(ev.turn(Some(secs(1))).unwrap());
    key.restart(&mut ev, ms(1));
    assert!(!ev.run().unwrap());
    assert_eq!((calls.get(), clock.elapsed()), (1, ms(1001)));
}

#[test]
fn waits_longer_than_24_8_days_are_neither_cut_short_nor_endless() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let days = |n: u64| secs(n * 86_400);
    for n in [24, 25, 50, 400, 4000] {
        ev.timer(days(n), ZERO, calls.ups()).start(&mut ev);
    }
    for (n, left) in [(24, true), (25, true), (50, true), (400, true), (4000, false)] {
        assert_eq!(ev.run_mode(Run::Once).unwrap(), left, "returned without any event");
        assert_eq!(clock.elapsed(), days(n));
    }
    assert_eq!(calls.get(), 5);
}

#[test]
fn timers_never_fire_early_by_a_nanosecond() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    ev.timer(ms(1), ZERO, calls.ups()).start(&mut ev);
    clock.advance(Duration::from_nanos(999_999));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(calls.get(), 0);
    clock.advance(Duration::from_nanos(1));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(calls.get(), 1, "due means at or after");
}

#[test]
fn repeaters_of_a_nanosecond_and_less_than_the_clock_fire_once_per_iteration() {
    let mut ev = ev();
    let log = Log::<u64>::new();
    let seen = log.clone();
    ev.timer(ZERO, Duration::from_nanos(1), move |ev, e| {
        seen.push(ev.iteration());
        if seen.len() == 10 {
            e.watcher.stop(ev);
        }
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), (1..=10).collect::<Vec<_>>());
}
