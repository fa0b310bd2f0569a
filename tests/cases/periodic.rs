// Periodics: the three schedules, when they are computed anew, and what a callback may do: loop.md
// 1.3, 1.8, 2.1, 2.2, 3.3; reliability.md R10, R13, section 4.

use std::time::SystemTime;

const NS: Duration = Duration::from_nanos(1);

const fn hours(n: u64) -> Duration {
    secs(n * 3600)
}

/// The moment that the cases count from: on the hour, in 2001.
fn hour() -> SystemTime {
    SystemTime::UNIX_EPOCH + secs(1_000_000_800)
}

/// A loop that is made on the hour.
fn ev_on_the_hour() -> (EvLoop, MockClock) {
    let (mut ev, clock) = ev_with_clock();
    clock.set_wall(hour());
    ev.update_now();
    (ev, clock)
}

/// Seconds from [`hour`], negative ones before it.
fn second(moment: SystemTime) -> f64 {
    match moment.duration_since(hour()) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

/// A callback that writes its name and what the wall clock shows.
fn tells(
    log: &Log<(&'static str, f64)>,
    name: &'static str,
) -> impl FnMut(&mut EvLoop, PeriodicEvent) + use<> + 'static {
    let log = log.clone();
    move |ev, e| {
        assert_eq!((e.ready, e.watcher.is_pending(ev)), (Events::PERIODIC, false));
        log.push((name, second(ev.wall_now())));
    }
}

/// Breaks the run when the monotonic clock has come so far from now.
fn ends_after(ev: &mut EvLoop, after: Duration) {
    ev.timer(after, ZERO, |ev, _| ev.break_loop(Break::All)).start(ev);
}

// --- the schedules -----------------------------------------------------------------------------

#[test]
fn an_absolute_periodic_fires_once_at_its_moment_and_is_stopped_before_its_callback() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    let says = log.clone();
    let key = ev.periodic(Schedule::at(hour() + secs(90)), move |ev, e| {
        says.push((e.watcher.is_active(ev), e.watcher.due(ev), second(ev.wall_now())));
    });
    assert_eq!((key.is_active(&ev), key.due(&ev)), (false, None));
    key.start(&mut ev);
    assert_eq!((key.is_active(&ev), key.due(&ev)), (true, Some(hour() + secs(90))));
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [(false, None, 90.0)]);
    assert_eq!(clock.elapsed(), secs(90));
    assert!(key.exists(&ev));
}

#[test]
fn an_absolute_periodic_in_the_past_fires_at_once_and_again_when_it_is_started_again() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    for past in [hour(), hour() - NS, hour() - hours(50_000), SystemTime::UNIX_EPOCH - hours(9)] {
        let key = ev.periodic(Schedule::at(past), tells(&log, "past")).start(&mut ev);
        for _ in 0..2 {
            key.start(&mut ev);
            assert!(!ev.run().unwrap());
            assert_eq!(log.take(), [("past", 0.0)], "{past:?}");
        }
    }
    assert_eq!(clock.elapsed(), ZERO);
}

#[test]
fn an_absolute_periodic_after_the_end_of_time_keeps_the_loop_alive_and_is_never_due() {
    let (mut ev, clock) = ev_on_the_hour();
    let far = SystemTime::UNIX_EPOCH + secs(1 << 40);
    let key = ev.periodic(Schedule::at(far), nothing).start(&mut ev);
    assert!(key.is_active(&ev) && ev.has_refs());
    assert_eq!((key.due(&ev), ev.next_deadline()), (None, None));
    assert!(ev.turn(Some(hours(1_000_000))).unwrap());
    assert_eq!(clock.elapsed(), hours(1_000_000));
}

#[test]
fn an_interval_fires_at_every_multiple_of_it_since_1970() {
    let (mut ev, clock) = ev_on_the_hour();
    clock.set_wall(hour() + ms(2500));
    let log = Log::new();
    ev.periodic(Schedule::every(secs(10)), tells(&log, "tick")).start(&mut ev);
    ends_after(&mut ev, secs(40));
    ev.run().unwrap();
    assert_eq!(log.take(), [10.0, 20.0, 30.0, 40.0].map(|s| ("tick", s)));
}

#[test]
fn the_next_time_of_an_interval_is_strictly_later_than_now() {
    let (mut ev, clock) = ev_on_the_hour();
    let key = ev.periodic(Schedule::every(hours(1)), nothing);
    assert_eq!(key.start(&mut ev).due(&ev), Some(hour() + hours(1)), "not the hour it is");
    clock.set_wall(hour() - NS);
    assert_eq!(key.again(&mut ev).due(&ev), Some(hour()));
    clock.set_wall(hour() + NS);
    assert_eq!(key.again(&mut ev).due(&ev), Some(hour() + hours(1)));
}

#[test]
fn an_offset_shifts_the_times_of_an_interval_and_counts_by_what_it_leaves() {
    let (mut ev, _) = ev_on_the_hour();
    let due = |ev: &mut EvLoop, schedule| {
        let key = ev.periodic(schedule, nothing).start(ev);
        let due = key.due(ev).map(second);
        key.free(ev);
        due
    };
    let hourly = || Schedule::every(hours(1));
    assert_eq!(due(&mut ev, hourly().offset(secs(600))), Some(600.0));
    assert_eq!(due(&mut ev, hourly().offset(hours(7) + secs(600))), Some(600.0));
    assert_eq!(due(&mut ev, hourly().offset(secs(1_000_000_800) + ms(500))), Some(0.5));
    assert_eq!(due(&mut ev, hourly().offset(hours(1))), Some(3600.0));
    assert_eq!(due(&mut ev, hourly().offset(secs(60)).offset(secs(90))), Some(90.0), "the last");
    // Other schedules have none.
    assert_eq!(due(&mut ev, Schedule::at(hour() + secs(5)).offset(secs(1))), Some(5.0));
    let rule = |now: SystemTime| Some(now + secs(6));
    assert_eq!(due(&mut ev, Schedule::by(rule).offset(secs(1))), Some(6.0));
}

#[test]
fn intervals_are_exact_to_the_nanosecond_after_centuries() {
    // A third of a second and an offset, in the year 2469.
    const INTERVAL: u128 = 333_333_333;
    const OFFSET: u128 = 123_456_789;
    let (mut ev, clock) = ev_on_the_hour();
    clock.set_wall(SystemTime::UNIX_EPOCH + hours(500 * 8766));
    let log = Log::<u128>::new();
    let seen = log.clone();
    let schedule = Schedule::every(Duration::from_nanos(INTERVAL as u64))
        .offset(Duration::from_nanos(OFFSET as u64));
    ev.periodic(schedule, move |ev, e| {
        seen.push(ev.wall_now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos());
        if seen.len() == 5 {
            e.watcher.stop(ev);
        }
    })
    .start(&mut ev);
    ev.run().unwrap();
    let log = log.take();
    assert_eq!(log.len(), 5);
    assert!(log.iter().all(|at| at % INTERVAL == OFFSET), "{log:?}");
    assert!(log.windows(2).all(|two| two[1] - two[0] == INTERVAL), "{log:?}");
}

#[test]
fn an_interval_is_at_least_the_8192nd_part_of_a_second() {
    for asked in [ZERO, NS, us(122)] {
        let (mut ev, clock) = ev_on_the_hour();
        let calls = Count::new();
        ev.periodic(Schedule::every(asked), calls.ups()).start(&mut ev);
        ends_after(&mut ev, secs(1));
        ev.run().unwrap();
        assert_eq!((calls.get(), clock.elapsed()), (8192, secs(1)), "{asked:?}");
    }
    let (mut ev, _) = ev_on_the_hour();
    let key = ev.periodic(Schedule::every(us(123)), nothing).start(&mut ev);
    let due = key.due(&ev).unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    assert_eq!(due.as_nanos() % 123_000, 0, "more than that is taken as it is");
}

#[test]
fn a_rule_is_asked_at_the_start_and_after_each_call_with_the_time_it_is() {
    let (mut ev, _) = ev_on_the_hour();
    let (asked, log) = (Log::<f64>::new(), Log::new());
    let asks = asked.clone();
    // Each time twice as far away as the last.
    let mut step = 1;
    let key = ev.periodic(
        Schedule::by(move |now| {
            asks.push(second(now));
            step *= 2;
            (step < 100).then(|| now + secs(step))
        }),
        tells(&log, "tick"),
    );
    assert_eq!(asked.take(), [0.0; 0], "nobody has asked");
    key.start(&mut ev);
    assert_eq!((asked.take(), key.due(&ev)), (vec![0.0], Some(hour() + secs(2))));
    ends_after(&mut ev, hours(1));
    ev.run().unwrap();
    let times = [2.0, 6.0, 14.0, 30.0, 62.0, 126.0];
    assert_eq!(asked.take(), times);
    assert_eq!(log.take(), times.map(|s| ("tick", s)));
}

#[test]
fn a_rule_that_gives_back_the_past_counts_as_now_and_fires_once_per_iteration() {
    for back in [ZERO, NS, hours(500_000)] {
        let (mut ev, clock) = ev_on_the_hour();
        let log = Log::<u64>::new();
        let seen = log.clone();
        let rule = Schedule::by(move |now| now.checked_sub(back));
        let key = ev.periodic(rule, move |ev, e| {
            assert_eq!(e.watcher.due(ev), Some(ev.wall_now()));
            seen.push(ev.iteration());
            if seen.len() == 5 {
                e.watcher.stop(ev);
            }
        });
        assert_eq!(key.start(&mut ev).due(&ev), Some(hour()));
        assert!(!ev.run().unwrap());
        assert_eq!(log.take(), [1, 2, 3, 4, 5], "back by {back:?}");
        assert_eq!(clock.elapsed(), ZERO);
    }
}

#[test]
fn a_rule_that_gives_back_nothing_parks_the_periodic_until_again() {
    let (mut ev, clock) = ev_on_the_hour();
    let (log, open) = (Log::new(), Rc::new(Cell::new(false)));
    let is_open = Rc::clone(&open);
    let rule = Schedule::by(move |now| is_open.get().then(|| now + secs(5)));
    let key = ev.periodic(rule, tells(&log, "tick")).start(&mut ev);
    assert!(key.is_active(&ev) && ev.has_refs());
    assert_eq!((key.due(&ev), ev.next_deadline()), (None, None));
    assert!(ev.turn(Some(hours(1))).unwrap());
    open.set(true);
    assert!(ev.turn(Some(hours(1))).unwrap(), "nobody asks it");
    assert_eq!((log.take(), clock.elapsed()), (vec![], hours(2)));
    key.again(&mut ev);
    open.set(false);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [("tick", 7205.0)]);
    assert_eq!((key.is_active(&ev), key.due(&ev)), (true, None), "parked again");
}

#[test]
fn a_rule_that_gives_back_a_far_future_is_parked_by_it() {
    let (mut ev, _) = ev_on_the_hour();
    let far = SystemTime::UNIX_EPOCH + secs(1 << 50);
    let key = ev.periodic(Schedule::by(move |_| Some(far)), nothing).start(&mut ev);
    assert_eq!((key.is_active(&ev), key.due(&ev), ev.next_deadline()), (true, None, None));
    ev.verify();
}

// --- rules that panic --------------------------------------------------------------------------

/// A rule that panics when asked for the `n`th time, else gives the next second.
fn panics_at(n: usize) -> Schedule {
    let mut asked = 0;
    Schedule::by(move |now| {
        asked += 1;
        assert!(asked != n, "rule");
        Some(now + secs(1))
    })
}

#[test]
fn a_rule_that_panics_after_a_call_loses_no_event_of_the_iteration() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    let key = ev.periodic(panics_at(2), log.says("tick")).start(&mut ev);
    ev.periodic(Schedule::at(hour() + secs(1)), log.says("peer")).start(&mut ev);
    ev.timer(secs(1), ZERO, log.says("timer")).start(&mut ev);
    ev.check(log.says("check")).set_ref(&mut ev, false).start(&mut ev);
    let (watcher, notifier) = ev.notifier(log.says("async"));
    watcher.start(&mut ev).set_ref(&mut ev, false);
    notifier.notify();
    clock.advance(secs(1));
    assert_eq!(panic_of(|| ev.run_mode(Run::Once)).as_deref(), Some("rule"));
    assert_eq!((ev.depth(), ev.pending_count()), (0, 5));
    ev.verify();
    assert_eq!(log.take(), [""; 0], "the panic came first");
    ev.invoke_pending();
    assert_eq!(log.take(), ["check", "async", "tick", "peer", "timer"]);
    assert_eq!((key.is_active(&ev), key.due(&ev)), (true, None), "not due until again");
    key.again(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(key.due(&ev), Some(ev.wall_now() + secs(1)), "and usable");
}

#[test]
fn a_rule_that_panics_at_the_start_reaches_the_caller_and_leaves_nothing_half_done() {
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::new();
    let key = ev.periodic(panics_at(1), tells(&log, "tick"));
    assert_eq!(panic_of(|| key.start(&mut ev)).as_deref(), Some("rule"));
    ev.verify();
    assert_eq!((key.exists(&ev), key.due(&ev)), (true, None));
    assert!(ev.turn(Some(secs(5))).is_ok(), "the loop is usable");
    key.again(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take().len(), 1, "and so is the periodic");
}

#[test]
fn a_rule_that_panics_at_again_in_a_callback_passes_through_run() {
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::new();
    let key = ev.periodic(panics_at(2), tells(&log, "tick")).start(&mut ev);
    ev.after(ms(1), move |ev| {
        key.again(ev);
    });
    assert_eq!(panic_of(|| ev.run()).as_deref(), Some("rule"));
    ev.verify();
    assert_eq!(ev.depth(), 0);
    key.again(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take().len(), 1);
}

#[test]
fn a_rule_that_panics_at_resume_reaches_its_caller_and_the_loop_runs_on() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    let bad = ev.periodic(panics_at(2), tells(&log, "bad")).start(&mut ev);
    ev.periodic(Schedule::every(secs(60)), tells(&log, "good")).start(&mut ev);
    ev.suspend();
    clock.advance(secs(90));
    assert_eq!(panic_of(|| ev.resume()).as_deref(), Some("rule"));
    ev.verify();
    assert_eq!((bad.is_active(&ev), bad.due(&ev)), (true, None));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [("good", 120.0)], "recomputed all the same, and no longer suspended");
}

#[test]
fn a_rule_that_panics_at_a_jump_loses_no_event_of_the_iteration() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    let bad = ev.periodic(panics_at(2), tells(&log, "bad")).start(&mut ev);
    ev.periodic(Schedule::at(hour() + hours(1)), tells(&log, "at")).start(&mut ev);
    ev.periodic(Schedule::every(hours(1)), tells(&log, "every")).start(&mut ev);
    clock.set_wall(hour() + hours(5) + secs(7));
    assert_eq!(panic_of(|| ev.run_mode(Run::NoWait)).as_deref(), Some("rule"));
    ev.verify();
    ev.invoke_pending();
    assert_eq!(log.take(), [("at", 18007.0)]);
    assert_eq!((bad.is_active(&ev), bad.due(&ev)), (true, None));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [("every", 21600.0)]);
}

#[test]
fn a_rule_that_panics_at_a_jump_does_so_at_once_and_not_when_something_else_happens() {
    for mode in [Run::UntilDone, Run::Once] {
        let (mut ev, clock) = ev_on_the_hour();
        ev.periodic(panics_at(2), nothing).start(&mut ev);
        // What the panic must not wait for.
        ev.timer(hours(1), ZERO, nothing).start(&mut ev);
        clock.set_wall(hour() + hours(5));
        assert_eq!(panic_of(|| ev.run_mode(mode)).as_deref(), Some("rule"));
        assert_eq!((clock.elapsed(), ev.depth()), (ZERO, 0), "{mode:?}");
        ev.verify();
    }
}

// --- when it fires -----------------------------------------------------------------------------

#[test]
fn a_periodic_never_fires_early_by_a_nanosecond() {
    let (mut ev, clock) = ev_on_the_hour();
    let calls = Count::new();
    ev.periodic(Schedule::at(hour() + ms(1)), calls.ups()).start(&mut ev);
    clock.advance(Duration::from_nanos(999_999));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(calls.get(), 0);
    clock.advance(NS);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(calls.get(), 1, "due means at or after");
}

#[test]
fn the_wall_clock_stands_still_in_callbacks_and_is_never_before_the_time_that_was_due() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::<(f64, f64)>::new();
    for n in 1..=3 {
        let (seen, clock) = (log.clone(), clock.clone());
        let due = hour() + secs(n);
        ev.periodic(Schedule::at(due), move |ev, _| {
            assert!(ev.wall_now() >= due);
            let before = ev.wall_now();
            clock.advance(secs(2));
            assert_eq!(ev.wall_now(), before, "it stands still");
            ev.update_now();
            assert_eq!(ev.wall_now(), before + secs(2), "until it is read again");
            seen.push((second(due), second(before)));
        })
        .start(&mut ev);
    }
    ev.run().unwrap();
    // The second one is due, and the third, when the first returns.
    assert_eq!(log.take(), [(1.0, 1.0), (2.0, 3.0), (3.0, 5.0)]);
}

#[test]
fn missed_occurrences_are_one_call() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    ev.periodic(Schedule::every(secs(1)), tells(&log, "tick")).start(&mut ev);
    // Between runs.
    clock.advance(ms(5500));
    ev.run_mode(Run::NoWait).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [("tick", 5.5)]);
    // While a callback was busy.
    let stall = clock.clone();
    ev.after(secs(1), move |_| stall.advance(secs(10)));
    ends_after(&mut ev, ms(11_600));
    ev.run().unwrap();
    assert_eq!(log.take(), [("tick", 6.0), ("tick", 16.5), ("tick", 17.0)], "and no phase is lost");
}

#[test]
fn due_is_the_next_time_while_active_also_in_the_callback() {
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::new();
    let seen = log.clone();
    let key = ev.periodic(Schedule::every(secs(60)), move |ev, e| {
        seen.push(e.watcher.due(ev).map(second));
        e.watcher.stop(ev);
        seen.push(e.watcher.due(ev).map(second));
    });
    assert_eq!(key.start(&mut ev).due(&ev), Some(hour() + secs(60)));
    ev.run().unwrap();
    assert_eq!(log.take(), [Some(120.0), None]);
    key.start(&mut ev);
    key.free(&mut ev);
    assert_eq!(key.due(&ev), None, "nor has a stale key one");
}

#[test]
fn a_start_in_a_callback_counts_from_the_time_of_the_iteration() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::<f64>::new();
    let seen = log.clone();
    ev.after(secs(10), move |ev| {
        assert_eq!(second(ev.wall_now()), 10.0);
        clock.advance(secs(90));
        let key = ev.periodic(Schedule::every(secs(60)), nothing).start(ev);
        seen.push(second(key.due(ev).unwrap()));
        key.stop(ev);
    });
    ev.run().unwrap();
    assert_eq!(log.take(), [60.0]);
}

#[test]
fn a_start_outside_callbacks_counts_from_the_present_time() {
    let (mut ev, clock) = ev_on_the_hour();
    clock.advance(secs(90));
    let key = ev.periodic(Schedule::every(secs(60)), nothing).start(&mut ev);
    assert_eq!(key.due(&ev), Some(hour() + secs(120)));
    clock.advance(secs(60));
    key.start(&mut ev);
    assert_eq!(key.due(&ev), Some(hour() + secs(120)), "a started one is not started again");
}

#[test]
fn nothing_started_in_a_callback_fires_in_the_same_iteration() {
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::<u64>::new();
    let seen = log.clone();
    ev.periodic(Schedule::at(hour()), move |ev, _| {
        seen.push(ev.iteration());
        let seen = seen.clone();
        ev.periodic(Schedule::at(hour()), move |ev, _| seen.push(ev.iteration())).start(ev);
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [1, 2]);
}

// --- order -------------------------------------------------------------------------------------

#[test]
fn periodics_come_by_due_time_whatever_the_order_of_their_starts_and_before_timers() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::<&str>::new();
    ev.timer(secs(1), ZERO, log.says("timer 1")).start(&mut ev);
    ev.periodic(Schedule::at(hour() + secs(7)), log.says("7")).start(&mut ev);
    ev.periodic(Schedule::every(secs(3)), log.says("3")).set_ref(&mut ev, false).start(&mut ev);
    ev.periodic(Schedule::by(|now| Some(now + secs(5))), log.says("5"))
        .set_ref(&mut ev, false)
        .start(&mut ev);
    ev.periodic(Schedule::at(hour() + secs(1)), log.says("1")).start(&mut ev);
    clock.advance(secs(10));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["1", "3", "5", "7", "timer 1"]);
}

#[test]
fn equal_due_times_come_in_the_order_of_the_last_start_or_again() {
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::new();
    let minute = || Schedule::every(secs(60));
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|name| ev.periodic(minute(), log.says(name)));
    for key in [b, a, d, c] {
        key.start(&mut ev);
    }
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["b", "a", "d", "c"]);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["b", "a", "d", "c"], "and keep it");
    b.again(&mut ev);
    a.start(&mut ev); // Active: no effect.
    d.stop(&mut ev);
    d.start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["a", "c", "b", "d"]);
}

#[test]
fn equal_due_times_of_different_schedules_come_in_start_order() {
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::new();
    let rule = Schedule::by(|_| Some(hour() + secs(60)));
    let rule = ev.periodic(rule, log.says("by")).start(&mut ev);
    ev.periodic(Schedule::every(secs(60)), log.says("every")).start(&mut ev);
    ev.periodic(Schedule::at(hour() + secs(60)), log.says("at")).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["by", "every", "at"]);
    rule.free(&mut ev);
}

#[test]
fn higher_priorities_come_first_and_a_check_before_a_periodic() {
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::new();
    let names = [("0", 0), ("-2", -2), ("2", 2), ("-1", -1), ("1", 1), ("0 too", 0)];
    for (name, priority) in names {
        let key = ev.periodic(Schedule::at(hour()), log.says(name)).start(&mut ev);
        assert_eq!(key.set_priority(&mut ev, priority).priority(&ev), priority);
    }
    ev.check(log.says("check")).start(&mut ev);
    ev.idle(log.says("idle")).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["2", "1", "check", "0", "0 too", "-1", "-2"], "and idle is locked out");
}

#[test]
fn ten_thousand_periodics_due_at_once_come_in_order() {
    const COUNT: usize = 10_000;
    let (mut ev, clock) = ev_on_the_hour();
    let (log, mut expected, mut keys) = (Log::<(u64, usize)>::new(), Vec::new(), Vec::new());
    clock.set_wall(hour() - secs(1));
    for n in 0..COUNT {
        // Scrambled, with about ten of each due time.
        let due = (n * 7919 % 1009) as u64;
        let schedule = match n % 3 {
            0 => Schedule::at(hour() + ms(due)),
            1 => Schedule::every(hours(1)).offset(ms(due)),
            // Asked again, it is due at once: not before the next iteration.
            _ => Schedule::by(move |now| Some(if now < hour() { hour() + ms(due) } else { now })),
        };
        keys.push(ev.periodic(schedule, log.says((due, n))).start(&mut ev));
        expected.push((due, n));
    }
    expected.sort_unstable();
    ev.verify();
    clock.advance(secs(3));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(ev.iteration(), 1);
    assert_eq!(log.take(), expected);
    ev.verify();
    ev.run_mode(Run::NoWait).unwrap();
    let again: Vec<_> = expected.into_iter().filter(|(_, n)| n % 3 == 2).collect();
    assert_eq!(log.take(), again, "those that are due at once again, in the same order");
    for key in keys {
        key.free(&mut ev);
    }
    ev.verify();
    assert!(!ev.has_refs());
}

// --- the verbs ---------------------------------------------------------------------------------

#[test]
fn set_on_an_active_periodic_takes_effect_at_its_next_call() {
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::new();
    let key = ev.periodic(Schedule::every(secs(60)), tells(&log, "tick")).start(&mut ev);
    key.set(&mut ev, Schedule::every(secs(50)));
    assert_eq!(key.due(&ev), Some(hour() + secs(60)), "the time at hand stays");
    ends_after(&mut ev, secs(150));
    ev.run().unwrap();
    assert_eq!(log.take(), [60.0, 100.0, 150.0].map(|s| ("tick", s)));
}

#[test]
fn set_takes_effect_at_once_with_again_and_on_a_stopped_one_at_its_start() {
    let (mut ev, _) = ev_on_the_hour();
    let key = ev.periodic(Schedule::every(secs(60)), nothing).start(&mut ev);
    let due = key.set(&mut ev, Schedule::every(secs(7))).again(&mut ev).due(&ev);
    assert_eq!(due.unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs() % 7, 0);
    key.stop(&mut ev);
    key.set(&mut ev, Schedule::at(hour() + secs(11)));
    assert_eq!(key.due(&ev), None, "set does not start it");
    assert_eq!(key.start(&mut ev).due(&ev), Some(hour() + secs(11)));
}

#[test]
fn an_absolute_periodic_becomes_an_interval_and_back_while_it_is_active() {
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::new();
    let key = ev.periodic(Schedule::at(hour() + secs(5)), tells(&log, "tick")).start(&mut ev);
    key.set(&mut ev, Schedule::every(secs(10)));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((log.take(), key.due(&ev)), (vec![("tick", 5.0)], Some(hour() + secs(10))));
    key.set(&mut ev, Schedule::at(hour() + secs(33)));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((log.take(), key.due(&ev)), (vec![("tick", 10.0)], Some(hour() + secs(33))));
    assert!(!ev.run().unwrap(), "it was the last");
    assert_eq!(log.take(), [("tick", 33.0)]);
    // Back to a moment that has passed by its next call: that call is the last.
    key.set(&mut ev, Schedule::every(secs(10))).start(&mut ev);
    key.set(&mut ev, Schedule::at(hour() + secs(35)));
    assert!(!ev.run().unwrap());
    assert_eq!((log.take(), key.is_active(&ev)), (vec![("tick", 40.0)], false));
}

#[test]
fn set_in_its_own_callback_counts_from_the_call_after_the_next() {
    // The next time is computed before the callback, so that `due` is right in it.
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::<f64>::new();
    let seen = log.clone();
    ev.periodic(Schedule::every(secs(10)), move |ev, e| {
        seen.push(second(ev.wall_now()));
        match seen.len() {
            1 => drop(e.watcher.set(ev, Schedule::every(secs(30)))),
            4 => drop(e.watcher.stop(ev)),
            _ => {}
        }
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [10.0, 20.0, 30.0, 60.0]);
}

#[test]
fn again_starts_a_stopped_one_and_forgets_what_is_pending() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    let key = ev.periodic(Schedule::every(secs(60)), tells(&log, "tick"));
    assert_eq!(key.again(&mut ev).due(&ev), Some(hour() + secs(60)));
    key.feed(&mut ev, Events::PERIODIC);
    key.again(&mut ev);
    assert!(key.is_active(&ev) && !key.is_pending(&ev));
    // Also in the batch that it is pending in.
    ev.periodic(Schedule::at(hour() + secs(60)), move |ev, _| {
        assert!(key.is_pending(ev));
        key.again(ev);
        assert!(!key.is_pending(ev));
    })
    .set_priority(&mut ev, 1)
    .start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((log.take(), clock.elapsed()), (vec![], secs(60)));
    assert_eq!(key.due(&ev), Some(hour() + secs(120)));
}

#[test]
fn a_rule_is_asked_by_again_and_not_by_a_second_start() {
    let (mut ev, _) = ev_on_the_hour();
    let asked = Count::new();
    let asks = asked.clone();
    let key = ev.periodic(
        Schedule::by(move |now| {
            asks.up();
            Some(now + secs(1))
        }),
        nothing,
    );
    key.start(&mut ev).start(&mut ev);
    assert_eq!(asked.get(), 1);
    key.again(&mut ev);
    assert_eq!(asked.get(), 2);
    key.stop(&mut ev);
    assert_eq!(asked.get(), 2);
}

#[test]
fn a_periodic_may_stop_itself_and_its_peers_events() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    let minute = || Schedule::every(secs(60));
    let peer = Rc::new(Cell::new(None::<Periodic>));
    let (says, other) = (log.clone(), Rc::clone(&peer));
    let first = ev.periodic(minute(), move |ev, e| {
        says.push("first");
        let other = other.get().unwrap();
        assert!(other.is_pending(ev));
        assert!(e.watcher.stop(ev) && other.stop(ev));
        assert!(!other.is_pending(ev) && !other.is_active(ev));
    });
    first.start(&mut ev);
    peer.set(Some(ev.periodic(minute(), log.says("second")).start(&mut ev)));
    assert!(!ev.run().unwrap(), "nothing is left");
    assert_eq!((log.take(), clock.elapsed()), (vec!["first"], secs(60)));
    peer.get().unwrap().start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((log.take(), clock.elapsed()), (vec!["second"], secs(120)));
}

#[test]
fn a_periodic_may_free_itself_and_its_peers_and_their_closures_go() {
    let (mut ev, _) = ev_on_the_hour();
    let (log, alive) = (Log::new(), Rc::new(()));
    let minute = || Schedule::every(secs(60));
    let peer = Rc::new(Cell::new(None::<Periodic>));
    let (says, other, held) = (log.clone(), Rc::clone(&peer), Rc::clone(&alive));
    let first = ev.periodic(minute(), move |ev, e| {
        let other = other.get().unwrap();
        assert!(e.watcher.free(ev) && other.free(ev));
        assert!(!e.watcher.exists(ev) && !other.exists(ev));
        // In the slot of one of the two; nobody's event may find it.
        ev.periodic(Schedule::every(hours(1)), says.says("new")).set_ref(ev, false).start(ev);
        ev.verify();
        assert_eq!(Rc::strong_count(&held), 2, "mine lives to the end of the call");
        says.push("first");
    });
    let held = Rc::clone(&alive);
    let second = ev.periodic(minute(), move |_, _| assert_eq!(Rc::strong_count(&held), 0));
    peer.set(Some(second.start(&mut ev)));
    first.start(&mut ev).set_priority(&mut ev, 1);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), ["first"]);
    assert_eq!(Rc::strong_count(&alive), 1);
    assert!(!first.stop(&mut ev) && !first.feed(&mut ev, Events::CUSTOM));
    assert!(!first.again(&mut ev).is_active(&ev) && !first.start(&mut ev).exists(&ev));
    first.set(&mut ev, minute());
    ev.verify();
}

#[test]
fn an_event_fed_to_a_stopped_periodic_calls_it_and_leaves_it_stopped() {
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::<Events>::new();
    let seen = log.clone();
    let key = ev.periodic(Schedule::every(secs(60)), move |_, e| seen.push(e.ready));
    assert!(key.feed(&mut ev, Events::CUSTOM) && key.feed(&mut ev, Events::PERIODIC));
    assert!(key.is_pending(&ev));
    ev.run_mode(Run::NoWait).unwrap();
    assert!(key.invoke(&mut ev, Events::NONE));
    assert_eq!(log.take(), [Events::CUSTOM | Events::PERIODIC, Events::NONE]);
    assert!(!key.is_active(&ev));
    key.feed_later(&mut ev, Events::CUSTOM);
    assert_eq!(key.clear_pending(&mut ev), Events::CUSTOM);
}

#[test]
fn a_replaced_callback_gets_the_event_that_is_already_queued() {
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::new();
    let key = ev.periodic(Schedule::at(hour()), tells(&log, "old")).start(&mut ev);
    let new = tells(&log, "new");
    let replace = Cell::new(Some(new));
    ev.check(move |ev, e| {
        assert!(key.is_pending(ev) && key.set_callback(ev, replace.take().unwrap()));
        e.watcher.free(ev);
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [("new", 0.0)]);
    key.free(&mut ev);
    assert!(!key.set_callback(&mut ev, tells(&log, "late")));
}

#[test]
fn a_started_periodic_is_listed_among_the_watchers() {
    let (mut ev, _) = ev_on_the_hour();
    let key = ev.periodic(Schedule::every(secs(60)), nothing).start(&mut ev);
    let stopped = ev.periodic(Schedule::every(secs(60)), nothing);
    assert_eq!(ev.watchers(), [AnyWatcher::Periodic(key)], "and nothing internal");
    assert_eq!((Watcher::kind(key), ev.watchers()[0].kind()), (Kind::Periodic, Kind::Periodic));
    assert!(AnyWatcher::Periodic(stopped).free(&mut ev));
    assert!(ev.watchers()[0].stop(&mut ev));
    assert!(ev.watchers().is_empty());
}

// --- the clock is set --------------------------------------------------------------------------

/// One of each schedule: hourly, for ten past the hour by a rule, and once at half past.
fn one_of_each(ev: &mut EvLoop, log: &Log<(&'static str, f64)>) -> [Periodic; 3] {
    let rule = Schedule::by(|now| {
        let since = now.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
        Some(SystemTime::UNIX_EPOCH + secs((since - 600) / 3600 * 3600 + 3600 + 600))
    });
    [
        ev.periodic(Schedule::every(hours(1)), tells(log, "every")).start(ev),
        ev.periodic(rule, tells(log, "by")).start(ev),
        ev.periodic(Schedule::at(hour() + secs(1800)), tells(log, "at")).start(ev),
    ]
}

fn dues(ev: &EvLoop, keys: [Periodic; 3]) -> [f64; 3] {
    keys.map(|key| second(key.due(ev).unwrap()))
}

/// How the clock comes to be set: by the program between two runs, in a callback of the loop, right
/// before its wait, or while it is suspended.
const WAYS: [&str; 4] = ["between runs", "in a callback", "in a prepare", "while suspended"];

/// Sets the clock to so many seconds from the hour, the wait of this iteration being none.
fn set_clock(ev: &mut EvLoop, clock: &MockClock, way: &str, to: SystemTime) {
    let clock = clock.clone();
    match way {
        "between runs" => clock.set_wall(to),
        "in a callback" => {
            ev.timer(ZERO, ZERO, move |ev, e| {
                clock.set_wall(to);
                e.watcher.free(ev);
            })
            .start(ev);
            ev.run_mode(Run::NoWait).unwrap();
        }
        "in a prepare" => {
            ev.prepare(move |ev, e| {
                clock.set_wall(to);
                e.watcher.free(ev);
            })
            .start(ev);
        }
        "while suspended" => {
            ev.suspend();
            clock.set_wall(to);
            ev.resume();
        }
        _ => unreachable!(),
    }
    ev.run_mode(Run::NoWait).unwrap();
    ev.verify();
}

#[test]
fn a_jump_forward_skips_what_lies_between_and_fires_an_absolute_one_that_it_passed() {
    for way in WAYS {
        let (mut ev, clock) = ev_on_the_hour();
        let log = Log::new();
        let keys = one_of_each(&mut ev, &log);
        assert_eq!(dues(&ev, keys), [3600.0, 600.0, 1800.0]);
        set_clock(&mut ev, &clock, way, hour() + secs(5 * 3600 + 100));
        assert_eq!(log.take(), [("at", 18100.0)], "{way}: no burst of what was missed");
        let due = [keys[0], keys[1]].map(|key| second(key.due(&ev).unwrap()));
        assert_eq!(due, [21600.0, 18600.0], "{way}");
        ev.run_mode(Run::Once).unwrap();
        ev.run_mode(Run::Once).unwrap();
        assert_eq!(log.take(), [("by", 18600.0), ("every", 21600.0)], "{way}");
        assert_eq!(clock.elapsed(), secs(3500), "{way}");
    }
}

#[test]
fn a_jump_back_repeats_times_and_delays_an_absolute_one() {
    for way in WAYS {
        let (mut ev, clock) = ev_on_the_hour();
        let log = Log::new();
        let keys = one_of_each(&mut ev, &log);
        set_clock(&mut ev, &clock, way, hour() - secs(7300));
        assert_eq!(log.take(), [], "{way}");
        assert_eq!(dues(&ev, keys), [-7200.0, -6600.0, 1800.0], "{way}");
        ends_after(&mut ev, secs(7300 + 1800));
        ev.run().unwrap();
        let repeated = [
            ("every", -7200.0),
            ("by", -6600.0),
            ("every", -3600.0),
            ("by", -3000.0),
            ("every", 0.0),
            ("by", 600.0),
            ("at", 1800.0),
        ];
        assert_eq!(log.take(), repeated, "{way}");
    }
}

#[test]
fn a_change_of_less_than_a_second_recomputes_nothing() {
    for (way, change) in WAYS[..3].iter().zip([ms(999), ms(400), secs(1) - NS]) {
        for forward in [true, false] {
            let (mut ev, clock) = ev_on_the_hour();
            let (log, asked) = (Log::new(), Count::new());
            let asks = asked.clone();
            let rule = Schedule::by(move |now| {
                asks.up();
                Some(now + secs(60))
            });
            let every = ev.periodic(Schedule::every(secs(60)), tells(&log, "every")).start(&mut ev);
            let by = ev.periodic(rule, tells(&log, "by")).start(&mut ev);
            let at = ev.periodic(Schedule::at(hour() + secs(60)), tells(&log, "at")).start(&mut ev);
            let to = if forward { hour() + change } else { hour() - change };
            set_clock(&mut ev, &clock, way, to);
            assert_eq!(asked.get(), 1, "{way} by {change:?}");
            assert_eq!(dues(&ev, [every, by, at]), [60.0; 3], "{way} by {change:?}");
            ev.run_mode(Run::Once).unwrap();
            assert_eq!(log.take(), ["every", "by", "at"].map(|name| (name, 60.0)));
            let waited = if forward { secs(60) - change } else { secs(60) + change };
            assert_eq!(clock.elapsed(), waited, "by the wall clock all the same");
        }
    }
}

#[test]
fn a_small_step_past_a_time_fires_it_and_a_small_step_back_over_one_does_not_repeat_it() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    ev.periodic(Schedule::every(secs(60)), tells(&log, "tick")).start(&mut ev);
    ev.turn(Some(ms(59_500))).unwrap();
    clock.set_wall(hour() + ms(60_200));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [("tick", 60.2)]);
    clock.set_wall(hour() + ms(59_800));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [("tick", 120.0)]);
}

#[test]
fn a_change_of_exactly_a_second_is_a_jump() {
    for to in [hour() + secs(1), hour() - secs(1)] {
        let (mut ev, clock) = ev_on_the_hour();
        let asked = Count::new();
        let asks = asked.clone();
        let rule = Schedule::by(move |now| {
            asks.up();
            Some(now + secs(60))
        });
        ev.periodic(rule, nothing).start(&mut ev);
        clock.set_wall(to);
        ev.run_mode(Run::NoWait).unwrap();
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(asked.get(), 2, "asked once more, not each time");
    }
}

#[test]
fn timers_notice_nothing_of_a_jump() {
    for to in [hour() + hours(9), hour() - hours(9)] {
        let (mut ev, clock) = ev_on_the_hour();
        let log = Log::<Duration>::new();
        let (seen, elapsed) = (log.clone(), clock.clone());
        ev.timer(secs(5), secs(5), move |_, _| seen.push(elapsed.elapsed())).start(&mut ev);
        ev.periodic(Schedule::every(hours(1)), nothing).start(&mut ev);
        ev.turn(Some(secs(2))).unwrap();
        let start = ev.now();
        clock.set_wall(to);
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!((log.take(), ev.now()), (vec![], start));
        ends_after(&mut ev, secs(14));
        ev.run().unwrap();
        assert_eq!(log.take(), [5, 10, 15].map(secs));
    }
}

#[test]
fn a_jump_while_no_periodic_is_started_is_none() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    let key = ev.periodic(Schedule::every(hours(1)), tells(&log, "tick")).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    key.stop(&mut ev);
    clock.set_wall(hour() + secs(9000));
    let asked = Count::new();
    let asks = asked.clone();
    let rule = Schedule::by(move |now| {
        asks.up();
        Some(now + secs(60))
    });
    key.start(&mut ev);
    ev.periodic(rule, tells(&log, "by")).start(&mut ev);
    assert_eq!(key.due(&ev), Some(hour() + hours(3)));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!((asked.get(), log.take()), (1, vec![]));
}

#[test]
fn a_jump_in_a_callback_keeps_what_is_already_queued() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    let (says, set) = (log.clone(), clock.clone());
    ev.periodic(Schedule::at(hour() + secs(60)), move |_, _| {
        set.set_wall(hour() - hours(1));
        says.push(("sets", -3600.0));
    })
    .start(&mut ev);
    let key = ev.periodic(Schedule::every(secs(60)), tells(&log, "tick")).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [("sets", -3600.0), ("tick", 60.0)], "and its time stands still");
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [("tick", -3540.0)]);
    assert_eq!(key.due(&ev), Some(hour() - secs(3480)));
}

#[test]
fn a_clock_set_to_before_1970_counts_as_1970_and_can_be_set_back() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    let key = ev.periodic(Schedule::every(hours(1)), tells(&log, "tick")).start(&mut ev);
    clock.set_wall(SystemTime::UNIX_EPOCH - hours(1));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(key.due(&ev), Some(SystemTime::UNIX_EPOCH + hours(1)));
    clock.set_wall(hour());
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [("tick", 3600.0)]);
    ev.verify();
}

#[test]
fn a_clock_set_near_the_end_of_time_stays_there() {
    let (mut ev, clock) = ev_on_the_hour();
    let end = SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::MAX);
    clock.set_wall(end - secs(1));
    clock.advance(secs(2));
    assert_eq!(clock.wall(), end, "and not at the beginning");
    let called = Count::new();
    ev.periodic(Schedule::at(end - secs(1)), called.ups()).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!((called.get(), ev.wall_now()), (1, end));
    clock.set_wall(SystemTime::UNIX_EPOCH);
    clock.advance(secs(3));
    assert_eq!(clock.wall(), SystemTime::UNIX_EPOCH + secs(3));
}

#[test]
fn resume_computes_anew_what_has_an_interval_or_a_rule_and_fires_what_was_absolute() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    let keys = one_of_each(&mut ev, &log);
    let timer = ev.timer(secs(60), ZERO, nothing).set_ref(&mut ev, false).start(&mut ev);
    ev.suspend();
    assert_eq!(dues(&ev, keys), [3600.0, 600.0, 1800.0]);
    clock.advance(hours(2) + secs(30));
    assert_eq!(dues(&ev, keys), [3600.0, 600.0, 1800.0], "nobody looks meanwhile");
    ev.resume();
    assert_eq!(second(ev.wall_now()), 7230.0, "resume reads the clock");
    assert_eq!(dues(&ev, keys), [10800.0, 7800.0, 1800.0], "occurrences in the gap are lost");
    assert_eq!(timer.remaining(&ev), secs(60));
    ev.verify();
    timer.free(&mut ev);
    ends_after(&mut ev, hours(1));
    ev.run().unwrap();
    assert_eq!(log.take(), [("at", 7230.0), ("by", 7800.0), ("every", 10800.0)]);
}

#[test]
fn a_resume_without_a_suspend_asks_no_rule() {
    let (mut ev, _) = ev_on_the_hour();
    let asked = Count::new();
    let asks = asked.clone();
    let rule = Schedule::by(move |now| {
        asks.up();
        Some(now + secs(60))
    });
    ev.periodic(rule, nothing).start(&mut ev);
    ev.resume();
    assert_eq!(asked.get(), 1);
    ev.suspend();
    ev.suspend();
    ev.resume();
    ev.resume();
    assert_eq!(asked.get(), 2);
}

#[test]
fn a_periodic_may_be_started_while_suspended() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    ev.suspend();
    let key = ev.periodic(Schedule::every(secs(60)), tells(&log, "tick")).start(&mut ev);
    clock.advance(secs(90));
    ev.resume();
    assert_eq!(key.due(&ev), Some(hour() + secs(120)));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [("tick", 120.0)]);
}

// --- running -----------------------------------------------------------------------------------

#[test]
fn the_next_deadline_is_the_first_of_periodics_and_timers() {
    let (mut ev, clock) = ev_on_the_hour();
    let start = ev.now();
    let key = ev.periodic(Schedule::every(secs(60)), nothing).start(&mut ev);
    assert_eq!(ev.next_deadline(), Some(start + secs(60)));
    let timer = ev.timer(secs(50), ZERO, nothing).start(&mut ev);
    assert_eq!(ev.next_deadline(), Some(start + secs(50)));
    timer.set(&mut ev, secs(70), ZERO).stop(&mut ev);
    timer.start(&mut ev);
    clock.advance(secs(20));
    ev.update_now();
    assert_eq!(ev.next_deadline(), Some(start + secs(60)));
    clock.advance(secs(45));
    ev.update_now();
    assert!(ev.next_deadline().unwrap() <= ev.now(), "overdue is now");
    // A timer that never comes hides nothing.
    timer.free(&mut ev);
    ev.timer(Duration::MAX, ZERO, nothing).start(&mut ev);
    key.again(&mut ev);
    assert_eq!(ev.next_deadline(), Some(start + secs(120)));
    key.stop(&mut ev);
    assert_eq!(ev.next_deadline(), None);
}

#[test]
fn a_turn_ends_at_its_limit_or_with_a_periodic() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    ev.periodic(Schedule::every(secs(60)), tells(&log, "tick")).start(&mut ev);
    assert!(ev.turn(Some(secs(59))).unwrap());
    assert_eq!((log.take(), clock.elapsed()), (vec![], secs(59)));
    assert!(ev.turn(Some(secs(59))).unwrap());
    assert_eq!((log.take(), clock.elapsed()), (vec![("tick", 60.0)], secs(60)));
    assert!(ev.turn(None).unwrap());
    assert_eq!((log.take(), clock.elapsed()), (vec![("tick", 120.0)], secs(120)));
    assert!(ev.turn(Some(ZERO)).unwrap());
    assert_eq!((log.take(), clock.elapsed()), (vec![], secs(120)));
}

#[test]
fn once_waits_for_a_periodic_that_is_all_there_is() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    ev.periodic(Schedule::every(hours(24 * 365)), tells(&log, "yearly")).start(&mut ev);
    assert!(ev.run_mode(Run::NoWait).unwrap());
    assert_eq!((log.len(), clock.elapsed()), (0, ZERO));
    assert!(ev.run_mode(Run::Once).unwrap());
    assert_eq!(log.len(), 1, "returned without an event");
    assert!(clock.elapsed() > hours(24));
    assert_eq!(ev.iteration(), 2, "in one go");
}

#[test]
fn a_periodic_keeps_the_loop_running_unless_it_is_told_not_to() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    let key = ev.periodic(Schedule::every(secs(60)), tells(&log, "tick"));
    assert!(!ev.has_refs());
    key.start(&mut ev);
    assert!(ev.has_refs());
    key.set_ref(&mut ev, false);
    assert!(!ev.has_refs());
    assert!(!ev.run().unwrap());
    assert_eq!(clock.elapsed(), ZERO);
    key.stop(&mut ev);
    key.start(&mut ev);
    assert!(!ev.has_refs(), "it survives a restart");
    ev.timer(secs(150), ZERO, nothing).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [("tick", 60.0), ("tick", 120.0)], "it is heard all the same");
    key.set_ref(&mut ev, true).set_ref(&mut ev, true);
    assert!(ev.has_refs());
    key.free(&mut ev);
    assert!(!ev.has_refs());
    // An absolute one takes its reference along.
    ev.periodic(Schedule::at(hour()), nothing).set_ref(&mut ev, false).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert!(!ev.has_refs());
    ev.verify();
}

#[test]
fn a_nested_run_hears_the_others_and_what_became_due_of_its_own_comes_at_the_return() {
    let (mut ev, _) = ev_on_the_hour();
    let log = Log::<(&str, u32, f64)>::new();
    let note = |log: &Log<(&'static str, u32, f64)>, name| {
        let log = log.clone();
        move |ev: &mut EvLoop, _: PeriodicEvent| {
            log.push((name, ev.depth(), second(ev.wall_now())));
        }
    };
    ev.periodic(Schedule::every(secs(10)), note(&log, "peer")).start(&mut ev);
    let says = log.clone();
    let outer = ev.periodic(Schedule::every(secs(60)), move |ev, e| {
        says.push(("outer", ev.depth(), second(ev.wall_now())));
        if ev.depth() == 1 && says.len() < 20 {
            ends_after(ev, secs(125));
            ev.run().unwrap();
            assert!(e.watcher.is_pending(ev), "two of its times have come");
        }
        says.push(("returns", ev.depth(), second(ev.wall_now())));
        ev.verify();
    });
    outer.start(&mut ev).set_priority(&mut ev, 1);
    while log.len() < 20 {
        ev.run_mode(Run::Once).unwrap();
    }
    let log = log.take();
    let outers: Vec<_> = log.iter().filter(|(name, ..)| *name == "outer").collect();
    assert!(outers.iter().all(|(_, depth, _)| *depth == 1), "never entered a second time: {log:?}");
    assert_eq!(*outers[0], ("outer", 1, 60.0));
    let inside: Vec<_> = log.iter().filter(|(_, depth, _)| *depth == 2).collect();
    assert_eq!(inside.len(), 13, "from 60, which was pending, to 180: {log:?}");
    // 120 and 180 have come together, and are one call at once.
    let returned = log.iter().position(|(name, ..)| *name == "returns").unwrap();
    assert_eq!((log[returned], log[returned + 1].0), (("returns", 1, 185.0), "outer"));
}

#[test]
fn a_callback_that_panics_leaves_the_loop_and_the_others_events() {
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::new();
    let calls = Count::new();
    let count = calls.clone();
    let every = ev.periodic(Schedule::every(secs(60)), move |_, _| {
        if count.up() == 1 {
            panic!("every");
        }
    });
    let at = ev.periodic(Schedule::at(hour() + secs(60)), |_, _| panic!("at"));
    every.start(&mut ev);
    at.start(&mut ev);
    ev.periodic(Schedule::at(hour() + secs(60)), tells(&log, "peer")).start(&mut ev);
    ev.timer(secs(60), ZERO, nothing).start(&mut ev);
    for message in ["every", "at"] {
        assert_eq!(panic_of(|| ev.run_mode(Run::Once)).as_deref(), Some(message));
        assert_eq!(ev.depth(), 0);
        ev.verify();
    }
    assert_eq!(log.take(), []);
    assert_eq!((every.is_active(&ev), at.is_active(&ev)), (true, false));
    ev.invoke_pending();
    assert_eq!(log.take(), [("peer", 60.0)]);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (2, secs(120)));
}

#[test]
fn periodics_live_beside_lazily_moved_timers() {
    // A timer that is pushed back surfaces early and must not hide, or wake, a periodic.
    let (mut ev, clock) = ev_on_the_hour();
    let log = Log::<(&str, u64)>::new();
    let (says, at) = (log.clone(), clock.clone());
    let idle = ev.timer(ZERO, secs(25), move |ev, e| {
        says.push(("idle", at.elapsed().as_secs()));
        e.watcher.stop(ev);
    });
    idle.again(&mut ev);
    let (says, at) = (log.clone(), clock.clone());
    let mut left = 4;
    ev.periodic(Schedule::every(secs(20)), move |ev, e| {
        says.push(("tick", at.elapsed().as_secs()));
        if left > 1 {
            idle.again(ev);
        }
        left -= 1;
        if left == 0 {
            e.watcher.stop(ev);
        }
    })
    .start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [("tick", 20), ("tick", 40), ("tick", 60), ("tick", 80), ("idle", 85)]);
}

#[test]
fn timer_collect_bunches_periodics_as_well() {
    let clock = MockClock::new();
    clock.set_wall(hour());
    let mut ev = builder().mock_clock(&clock).timer_collect(ms(50)).build().unwrap();
    let log = Log::new();
    for n in [1, 10, 20] {
        ev.periodic(Schedule::at(hour() + ms(n)), tells(&log, "at")).start(&mut ev);
    }
    ev.run().unwrap();
    assert_eq!((log.len(), ev.iteration(), clock.elapsed()), (3, 1, ms(50)));
}
