// Dispatch order: loop.md 1.4 step 14, 2.2.

/// Stopped timers that write their name when fed.
fn named(ev: &mut EvLoop, log: &Log, names: [&'static str; 4]) -> [Timer; 4] {
    names.map(|name| ev.timer(ZERO, ZERO, log.says(name)))
}

#[test]
fn fed_events_run_first_in_first_out() {
    let mut ev = ev();
    let log = Log::new();
    let [a, b, c, d] = named(&mut ev, &log, ["a", "b", "c", "d"]);
    for key in [c, a, d, b] {
        key.feed(&mut ev, Events::CUSTOM);
    }
    ev.run().unwrap();
    assert_eq!(log.take(), ["c", "a", "d", "b"]);
}

#[test]
fn equal_due_times_fire_in_start_order() {
    let mut ev = ev();
    let log = Log::<usize>::new();
    for n in 0..16 {
        ev.timer(ms(10), ZERO, log.says(n)).start(&mut ev);
    }
    ev.run().unwrap();
    assert_eq!(log.take(), (0..16).collect::<Vec<_>>());
}

#[test]
fn equal_due_times_of_repeaters_keep_their_order_for_ever() {
    let mut ev = ev();
    let log = Log::<usize>::new();
    for n in 0..5 {
        ev.timer(ms(10), ms(10), log.says(n)).start(&mut ev);
    }
    ev.timer(ms(45), ZERO, |ev, _| ev.break_loop(Break::All)).start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), (0..5).collect::<Vec<_>>().repeat(4));
}

#[test]
fn equal_due_times_follow_the_last_start_again_or_restart() {
    let mut ev = ev();
    let log = Log::new();
    let keys = ["a", "b", "c", "d"].map(|n| ev.timer(ms(10), ms(10), log.says(n)).start(&mut ev));
    keys[0].again(&mut ev);
    keys[1].restart(&mut ev, ms(10));
    keys[2].start(&mut ev); // Active: no effect.
    keys[3].stop(&mut ev);
    keys[3].start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["c", "a", "b", "d"]);
}

#[test]
fn earlier_expiry_comes_before_later_whatever_the_start_order() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<u64>::new();
    for n in [7, 3, 9, 1, 8, 2, 6, 4, 5, 0] {
        ev.timer(ms(n), ZERO, log.says(n)).start(&mut ev);
    }
    clock.advance(ms(100));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), (0..10).collect::<Vec<_>>());
    assert_eq!(ev.iteration(), 1, "one batch");
}

#[test]
fn a_timer_moved_by_again_fires_where_it_was_moved_to() {
    let mut ev = ev();
    let log = Log::new();
    let moved = ev.timer(ms(10), ms(25), log.says("moved")).start(&mut ev);
    ev.timer(ms(20), ZERO, log.says("20")).start(&mut ev);
    ev.timer(ms(25), ZERO, log.says("25")).start(&mut ev);
    ev.timer(ms(30), ZERO, log.says("30")).start(&mut ev);
    moved.again(&mut ev);
    ev.timer(ms(25), ZERO, log.says("25 too")).start(&mut ev);
    ev.timer(ms(31), ZERO, |ev, _| ev.break_loop(Break::All)).start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), ["20", "25", "moved", "25 too", "30"]);
}

#[test]
fn kinds_of_one_priority_come_as_check_async_timer() {
    let mut ev = ev();
    let log = Log::new();
    ev.timer(ZERO, ZERO, log.says("timer")).start(&mut ev);
    let (watcher, notifier) = ev.notifier(log.says("async"));
    watcher.start(&mut ev);
    ev.check(log.says("check")).start(&mut ev);
    ev.idle(log.says("idle")).start(&mut ev);
    notifier.notify();
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["check", "async", "timer"], "and idle gives way to events");
}

#[test]
fn posted_closures_come_before_everything_even_a_check_of_top_priority() {
    let mut ev = ev();
    let note = |entry: &'static str| move |ev: &mut EvLoop, _: CheckEvent| trace(ev, entry);
    ev.check(note("check 2")).set_priority(&mut ev, 2).start(&mut ev);
    ev.check(note("check 0")).start(&mut ev);
    ev.timer(ZERO, ZERO, |ev, _| trace(ev, "timer 2")).set_priority(&mut ev, 2).start(&mut ev);
    ev.remote().post(|ev| trace(ev, "post 1"));
    ev.remote().post(|ev| trace(ev, "post 2"));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(traced(&mut ev), ["post 1", "post 2", "check 2", "timer 2", "check 0"]);
}

#[test]
fn prepare_check_idle_and_async_watchers_come_in_start_order() {
    let mut ev = ev();
    let log = Log::new();
    let prepares = ["p1", "p2", "p3"].map(|n| ev.prepare(log.says(n)));
    let checks = ["c1", "c2", "c3"].map(|n| ev.check(log.says(n)));
    let asyncs = ["a1", "a2", "a3"].map(|n| ev.notifier(log.says(n)));
    for n in [1, 2, 0] {
        prepares[n].start(&mut ev);
        checks[n].start(&mut ev);
        asyncs[n].0.start(&mut ev);
    }
    for (_, notifier) in &asyncs {
        notifier.notify();
    }
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["p2", "p3", "p1", "c2", "c3", "c1", "a2", "a3", "a1"]);

    let idles = ["i1", "i2", "i3"].map(|n| ev.idle(log.says(n)));
    for n in [2, 0, 1] {
        idles[n].start(&mut ev);
    }
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take()[6..], ["i3", "i1", "i2"]);
}

#[test]
fn a_watcher_stopped_and_started_again_goes_to_the_end_of_its_kind() {
    let mut ev = ev();
    let log = Log::new();
    let first = ev.check(log.says("first")).start(&mut ev);
    ev.check(log.says("second")).start(&mut ev);
    ev.check(log.says("third")).start(&mut ev);
    first.stop(&mut ev);
    first.start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["second", "third", "first"]);
}

#[test]
fn events_fed_during_dispatch_come_after_what_was_queued() {
    let mut ev = ev();
    let log = Log::new();
    let [x, y, ..] = named(&mut ev, &log, ["x", "y", "-", "-"]);
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        seen.push("feeds");
        y.feed(ev, Events::CUSTOM);
        x.feed(ev, Events::CUSTOM);
    })
    .start(&mut ev);
    ev.timer(ZERO, ZERO, log.says("queued")).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["feeds", "queued", "y", "x"]);
}

#[test]
fn a_higher_priority_fed_during_dispatch_overtakes_and_a_lower_one_waits() {
    let mut ev = ev();
    let log = Log::new();
    let high = ev.timer(ZERO, ZERO, log.says("high")).set_priority(&mut ev, 1);
    let low = ev.timer(ZERO, ZERO, log.says("low")).set_priority(&mut ev, -1);
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        seen.push("feeds");
        low.feed(ev, Events::CUSTOM);
        high.feed(ev, Events::CUSTOM);
    })
    .start(&mut ev);
    ev.timer(ZERO, ZERO, log.says("queued")).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["feeds", "high", "queued", "low"]);
    assert_eq!(ev.iteration(), 1);
}

#[test]
fn all_priorities_are_drained_before_the_next_poll() {
    let mut ev = ev();
    let log = Log::<i8>::new();
    for p in [0, -2, 1, -1, 2] {
        ev.timer(ZERO, ZERO, log.says(p)).set_priority(&mut ev, p).start(&mut ev);
    }
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [2, 1, 0, -1, -2]);
    assert_eq!(ev.iteration(), 1);
}

#[test]
fn a_check_of_lower_priority_comes_after_timers_of_higher() {
    let mut ev = ev();
    let log = Log::new();
    ev.check(log.says("check")).set_priority(&mut ev, -1).start(&mut ev);
    ev.timer(ZERO, ZERO, log.says("timer")).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["timer", "check"]);
}

#[test]
fn the_queue_stays_fifo_over_thousands_of_events() {
    let mut ev = ev();
    let log = Log::<usize>::new();
    let keys: Vec<Timer> = (0..5000).map(|n| ev.timer(ZERO, ZERO, log.says(n))).collect();
    for _ in 0..2 {
        for key in &keys {
            key.feed(&mut ev, Events::CUSTOM);
        }
        for key in keys.iter().step_by(3) {
            key.stop(&mut ev);
        }
        ev.run().unwrap();
        assert_eq!(log.take(), (0..5000).filter(|n| n % 3 != 0).collect::<Vec<_>>());
        ev.verify();
    }
}
