// Prepare and check watchers: loop.md 3.7, 1.4 steps 4, 5, 14.

#[test]
fn every_poll_has_one_prepare_and_one_check_pass() {
    let mut ev = ev();
    let log = Log::new();
    ev.prepare(log.says("prepare")).set_ref(&mut ev, false).start(&mut ev);
    ev.check(log.says("check")).set_ref(&mut ev, false).start(&mut ev);
    let before = log.clone();
    ev.on_wait(move || before.push("wait"), || ());
    for n in 1..=4 {
        ev.timer(ms(n), ZERO, nothing).start(&mut ev);
    }
    ev.run().unwrap();
    assert_eq!(log.take(), ["prepare", "wait", "check"].repeat(4));
    assert_eq!(ev.iteration(), 4);
}

#[test]
fn they_are_told_their_own_events_and_stay_active() {
    let mut ev = ev();
    let log = Log::<(Events, bool)>::new();
    let seen = log.clone();
    ev.prepare(move |ev, e| seen.push((e.ready, e.watcher.is_active(ev)))).start(&mut ev);
    let seen = log.clone();
    ev.check(move |ev, e| seen.push((e.ready, e.watcher.is_active(ev)))).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [(Events::PREPARE, true), (Events::CHECK, true)]);
}

#[test]
fn a_timer_started_by_prepare_affects_this_wait() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    anchor(&mut ev);
    let count = calls.clone();
    ev.prepare(move |ev, e| {
        ev.timer(ms(5), ZERO, count.ups()).start(ev);
        e.watcher.free(ev);
    })
    .start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((calls.get(), clock.elapsed(), ev.iteration()), (1, ms(5), 1));
}

#[test]
fn an_idle_started_by_prepare_makes_this_wait_zero() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    anchor(&mut ev);
    let idle = ev.idle(calls.ups());
    ev.prepare(move |ev, _| _ = idle.start(ev)).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (1, ZERO));
}

#[test]
fn a_notification_sent_by_prepare_makes_this_wait_zero() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    anchor(&mut ev);
    let (watcher, notifier) = ev.notifier(calls.ups());
    watcher.start(&mut ev);
    ev.prepare(move |_, _| assert!(notifier.notify())).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (1, ZERO));
}

#[test]
fn a_watcher_stopped_in_prepare_no_longer_decides_the_wait() {
    let (mut ev, clock) = ev_with_clock();
    let early = ev.timer(ms(1), ZERO, nothing).start(&mut ev);
    ev.timer(ms(9), ZERO, nothing).start(&mut ev);
    ev.prepare(move |ev, _| _ = early.stop(ev)).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((clock.elapsed(), ev.iteration()), (ms(9), 1));
}

#[test]
fn the_last_reference_stopped_in_prepare_makes_the_wait_zero() {
    let (mut ev, clock) = ev_with_clock();
    let last = anchor(&mut ev);
    ev.prepare(move |ev, _| _ = last.stop(ev)).set_ref(&mut ev, false).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!((clock.elapsed(), ev.iteration()), (ZERO, 1));
}

#[test]
fn siblings_started_in_their_pass_are_first_invoked_in_the_next_round() {
    let mut ev = ev();
    let log = Log::<(&str, u64)>::new();
    macro_rules! note {
        ($name:literal) => {{
            let log = log.clone();
            move |ev, _| log.push(($name, ev.iteration()))
        }};
    }
    let prepare = ev.prepare(note!("prepare"));
    let check = ev.check(note!("check"));
    ev.prepare(move |ev, _| _ = prepare.start(ev)).start(&mut ev);
    ev.check(move |ev, _| _ = check.start(ev)).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), []);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [("prepare", 1), ("check", 2)]);
}

#[test]
fn a_check_started_by_prepare_belongs_to_this_poll() {
    let mut ev = ev();
    let log = Log::new();
    let check = ev.check(log.says("check"));
    ev.prepare(move |ev, _| _ = check.start(ev)).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["check"]);
}

#[test]
fn siblings_stopped_in_their_pass_are_not_invoked() {
    let mut ev = ev();
    let log = Log::new();
    let (prepare, check) = (ev.prepare(log.says("prepare")), ev.check(log.says("check")));
    ev.prepare(move |ev, _| _ = prepare.stop(ev)).start(&mut ev);
    ev.check(move |ev, _| _ = check.free(ev)).start(&mut ev);
    prepare.start(&mut ev);
    check.start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [""; 0]);
    assert!(!check.exists(&ev) && prepare.exists(&ev));
}

#[test]
fn an_event_fed_by_prepare_is_delivered_before_the_wait() {
    let mut ev = ev();
    let log = Log::new();
    let fed = ev.timer(ZERO, ZERO, log.says("fed"));
    let seen = log.clone();
    ev.prepare(move |ev, _| {
        seen.push("prepare");
        fed.feed(ev, Events::CUSTOM);
    })
    .start(&mut ev);
    ev.check(log.says("check")).start(&mut ev);
    let before = log.clone();
    ev.on_wait(move || before.push("wait"), || ());
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["prepare", "fed", "wait", "check"]);
}

#[test]
fn an_event_fed_by_check_may_overtake_a_later_check() {
    let mut ev = ev();
    let log = Log::new();
    let fed = ev.timer(ZERO, ZERO, log.says("fed")).set_priority(&mut ev, 1);
    let seen = log.clone();
    ev.check(move |ev, _| {
        seen.push("check 1");
        fed.feed(ev, Events::CUSTOM);
    })
    .start(&mut ev);
    ev.check(log.says("check 2")).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["check 1", "fed", "check 2"]);
}

#[test]
fn prepare_runs_while_all_other_watchers_are_quiet() {
    let mut ev = ev();
    let pending = Log::<usize>::new();
    let seen = pending.clone();
    ev.prepare(move |ev, _| seen.push(ev.pending_count())).set_ref(&mut ev, false).start(&mut ev);
    let low = ev.timer(ZERO, ZERO, nothing).set_priority(&mut ev, -2);
    for n in 0..3 {
        ev.timer(ms(n), ZERO, move |ev, _| _ = low.feed(ev, Events::CUSTOM)).start(&mut ev);
    }
    ev.run().unwrap();
    assert_eq!(pending.take(), [0; 3]);
}

#[test]
fn they_hold_the_loop_like_every_started_watcher() {
    for check in [false, true] {
        let mut ev = ev();
        let calls = Count::new();
        let count = calls.clone();
        if check {
            ev.check(count.ups()).start(&mut ev);
        } else {
            ev.prepare(count.ups()).start(&mut ev);
        }
        assert!(ev.has_refs());
        assert!(ev.run_mode(Run::NoWait).unwrap());
        assert_eq!(calls.get(), 1);
    }
}
