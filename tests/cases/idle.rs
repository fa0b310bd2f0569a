// The idle rule: loop.md 2.3.

#[test]
fn idle_runs_every_iteration_while_nothing_is_pending_and_the_loop_does_not_wait() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<u64>::new();
    let seen = log.clone();
    anchor(&mut ev);
    ev.idle(move |ev, e| {
        assert_eq!(e.ready, Events::IDLE);
        assert!(e.watcher.is_active(ev));
        seen.push(ev.iteration());
        if seen.len() == 3 {
            ev.break_loop(Break::All);
        }
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [1, 2, 3]);
    assert_eq!(clock.elapsed(), ZERO);
}

#[test]
fn an_event_of_the_same_or_a_higher_priority_locks_idle_out() {
    let mut ev = ev();
    let log = Log::new();
    ev.idle(log.says("idle 0")).start(&mut ev);
    ev.idle(log.says("idle -1")).set_priority(&mut ev, -1).start(&mut ev);
    for priority in [0, 1, 2] {
        ev.timer(ZERO, ZERO, log.says("timer")).set_priority(&mut ev, priority).start(&mut ev);
        ev.run_mode(Run::Once).unwrap();
        assert_eq!(log.take(), ["timer"], "timer at {priority}");
    }
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["idle 0"]);
}

#[test]
fn an_event_of_a_lower_priority_does_not_lock_idle_out() {
    let mut ev = ev();
    let log = Log::new();
    ev.idle(log.says("idle")).start(&mut ev);
    ev.timer(ZERO, ZERO, log.says("timer")).set_priority(&mut ev, -1).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["idle", "timer"]);
}

#[test]
fn only_the_highest_idle_priority_runs() {
    let mut ev = ev();
    let log = Log::new();
    ev.idle(log.says("low")).set_priority(&mut ev, -2).start(&mut ev);
    let high = ev.idle(log.says("high 1")).set_priority(&mut ev, 1).start(&mut ev);
    let also = ev.idle(log.says("high 2")).set_priority(&mut ev, 1).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["high 1", "high 2", "high 1", "high 2"]);
    high.stop(&mut ev);
    also.stop(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["low"]);
}

#[test]
fn check_and_prepare_do_not_count_as_events() {
    let mut ev = ev();
    let log = Log::new();
    ev.idle(log.says("idle")).start(&mut ev);
    ev.check(log.says("check")).set_priority(&mut ev, 2).start(&mut ev);
    ev.prepare(log.says("prepare")).set_priority(&mut ev, 2).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["prepare", "check", "idle"]);
}

#[test]
fn a_posted_closure_suppresses_idle_for_that_iteration_and_a_bare_wake_does_not() {
    let mut ev = ev();
    ev.idle(|ev, _| trace(ev, "idle")).set_priority(&mut ev, 2).start(&mut ev);
    let remote = ev.remote();
    assert!(remote.post(|ev| trace(ev, "posted")));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(traced(&mut ev), ["posted"]);
    assert!(remote.wake());
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(traced(&mut ev), ["idle"]);
}

#[test]
fn a_notifier_locks_idle_out_at_its_own_priority_only() {
    let mut ev = ev();
    let log = Log::new();
    let (watcher, notifier) = ev.notifier(log.says("async"));
    watcher.set_priority(&mut ev, -1).start(&mut ev);
    ev.idle(log.says("idle")).start(&mut ev);
    notifier.notify();
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["idle", "async"]);
    watcher.set_priority(&mut ev, 0);
    notifier.notify();
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["async"]);
}

#[test]
fn an_idle_started_by_a_sibling_is_first_invoked_in_the_next_round() {
    let mut ev = ev();
    let log = Log::<(&str, u64)>::new();
    let seen = log.clone();
    let younger = ev.idle({
        let seen = log.clone();
        move |ev, _| seen.push(("younger", ev.iteration()))
    });
    ev.idle(move |ev, _| {
        seen.push(("elder", ev.iteration()));
        younger.start(ev);
    })
    .start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [("elder", 1), ("elder", 2), ("younger", 2)]);
}

#[test]
fn an_idle_stopped_by_a_sibling_in_the_same_batch_is_not_called() {
    let mut ev = ev();
    let log = Log::new();
    let younger = ev.idle(log.says("younger"));
    let seen = log.clone();
    ev.idle(move |ev, e| {
        seen.push("elder");
        younger.stop(ev);
        e.watcher.stop(ev);
    })
    .start(&mut ev);
    younger.start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), ["elder"]);
}

#[test]
fn an_idle_without_reference_does_not_keep_the_loop_running() {
    let mut ev = ev();
    let calls = Count::new();
    ev.idle(calls.ups()).set_ref(&mut ev, false).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(calls.get(), 1, "the one pass ran it");
}
