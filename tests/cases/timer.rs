// Timers: when they are due, what again, restart and set do: loop.md 3.2, 2.1.

/// A repeater that writes the milliseconds at which it is called and ends the loop after `calls`.
fn ticker(
    ev: &mut EvLoop,
    clock: &MockClock,
    log: &Log<u64>,
    repeat: Duration,
    calls: usize,
) -> Timer {
    let (clock, log) = (clock.clone(), log.clone());
    ev.timer(repeat, repeat, move |ev, e| {
        log.push(clock.elapsed().as_millis() as u64);
        if log.len() >= calls {
            e.watcher.stop(ev);
        }
    })
}

#[test]
fn a_timer_fires_at_its_due_time_exactly() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<(Events, bool)>::new();
    let seen = log.clone();
    let start = ev.now();
    let after = Duration::from_nanos(123_456_789);
    let key = ev.timer(after, ZERO, move |ev, e| {
        seen.push((e.ready, ev.now() >= start + after));
    });
    key.start(&mut ev);
    assert_eq!(key.due(&ev), Some(start + after));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [(Events::TIMER, true)]);
    assert_eq!(clock.elapsed(), after);
}

#[test]
fn after_zero_fires_in_the_next_iteration_without_waiting() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<u64>::new();
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, e| {
        seen.push(ev.iteration());
        if seen.len() < 3 {
            e.watcher.start(ev);
        }
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [1, 2, 3], "never in the iteration that started it");
    assert_eq!(clock.elapsed(), ZERO);
}

#[test]
fn a_one_shot_is_stopped_before_its_callback() {
    let mut ev = ev();
    let log = Log::<(bool, Option<Instant>, bool)>::new();
    let seen = log.clone();
    ev.timer(ms(1), ZERO, move |ev, e| {
        seen.push((e.watcher.is_active(ev), e.watcher.due(ev), ev.has_refs()));
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [(false, None, false)]);
}

#[test]
fn an_expired_one_shot_that_waits_for_dispatch_is_pending_and_not_active() {
    let mut ev = ev();
    let log = Log::<(bool, bool)>::new();
    let second = ev.timer(ms(1), ZERO, nothing);
    let seen = log.clone();
    ev.timer(ms(1), ZERO, move |ev, _| {
        seen.push((second.is_active(ev), second.is_pending(ev)));
    })
    .start(&mut ev);
    second.start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [(false, true)]);
}

#[test]
fn a_repeater_does_not_drift_by_the_run_time_of_its_callback() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<(u64, Duration)>::new();
    let (seen, start) = (log.clone(), ev.now());
    ev.timer(ms(100), ms(100), move |ev, e| {
        let next = e.watcher.due(ev).unwrap() - start;
        seen.push((clock.elapsed().as_millis() as u64, next));
        clock.advance(ms(30));
        if seen.len() == 3 {
            e.watcher.stop(ev);
        }
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [(100, ms(200)), (200, ms(300)), (300, ms(400))]);
}

/// Calls of a repeater (0.1) whose first callback stalls, in milliseconds, with their iterations.
fn stalled(stall: Duration, keep_phase: bool) -> (Vec<u64>, Vec<u64>) {
    let (mut ev, clock) = ev_with_clock();
    let (calls, iterations) = (Log::new(), Log::new());
    let (seen, polls) = (calls.clone(), iterations.clone());
    let key = ev.timer(ZERO, ms(100), move |ev, e| {
        seen.push(clock.elapsed().as_millis() as u64);
        polls.push(ev.iteration());
        match seen.len() {
            1 => clock.advance(stall),
            5 => drop(e.watcher.stop(ev)),
            _ => {}
        }
    });
    key.set_keep_phase(&mut ev, keep_phase).start(&mut ev);
    ev.run().unwrap();
    (calls.take(), iterations.take())
}

#[test]
fn after_a_stall_there_is_one_make_up_call_and_the_phase_shifts() {
    let (calls, iterations) = stalled(ms(350), false);
    assert_eq!(calls, [0, 350, 350, 450, 550]);
    assert!(iterations.windows(2).all(|w| w[0] < w[1]), "once per iteration: {iterations:?}");
}

#[test]
fn keep_phase_skips_the_missed_ticks_instead() {
    let (calls, iterations) = stalled(ms(350), true);
    assert_eq!(calls, [0, 350, 400, 500, 600]);
    assert!(iterations.windows(2).all(|w| w[0] < w[1]), "once per iteration: {iterations:?}");
    assert_eq!(stalled(ms(300), true).0, [0, 300, 400, 500, 600], "a stall to a tick exactly");
    assert_eq!(stalled(ms(30), true).0, [0, 100, 200, 300, 400], "no stall");
}

#[test]
fn keep_phase_skips_a_milliard_ticks_at_once() {
    let (mut ev, clock) = ev_with_clock();
    let start = ev.now();
    let log = Log::<Instant>::new();
    let seen = log.clone();
    ev.timer(ZERO, Duration::from_nanos(7), move |ev, e| {
        seen.push(e.watcher.due(ev).unwrap());
        e.watcher.stop(ev);
    })
    .set_keep_phase(&mut ev, true)
    .start(&mut ev);
    clock.advance(secs(100));
    ev.run().unwrap();
    let due = log.take()[0] - start;
    assert_eq!(due.as_nanos() % 7, 0);
    assert!(due > secs(100) && due <= secs(100) + Duration::from_nanos(7));
}

#[test]
fn stop_keeps_the_remaining_time_and_start_continues_it() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let key = ev.timer(secs(5), ZERO, calls.ups()).start(&mut ev);
    clock.advance(ms(300));
    ev.update_now();
    key.stop(&mut ev);
    assert_eq!(key.remaining(&ev), ms(4700));
    clock.advance(secs(10));
    assert_eq!(key.remaining(&ev), ms(4700));
    key.start(&mut ev);
    assert_eq!(key.remaining(&ev), ms(4700));
    ev.run().unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (1, ms(15_000)));
}

#[test]
fn an_expired_one_shot_started_again_without_set_fires_immediately() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let key = ev.timer(secs(5), ZERO, calls.ups()).start(&mut ev);
    ev.run().unwrap();
    assert_eq!(key.remaining(&ev), ZERO);
    key.start(&mut ev);
    ev.run().unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (2, secs(5)));
}

#[test]
fn start_on_an_active_timer_and_stop_on_a_stopped_one_have_no_effect() {
    let (mut ev, clock) = ev_with_clock();
    let key = ev.timer(secs(5), secs(7), nothing).start(&mut ev);
    let due = key.due(&ev);
    clock.advance(secs(1));
    assert_eq!(key.start(&mut ev).due(&ev), due);
    assert!(key.stop(&mut ev) && key.stop(&mut ev));
    assert!(!ev.has_refs());
    assert!(!ev.run().unwrap());
}

#[test]
fn again_on_an_active_repeater_moves_it_to_now_plus_repeat() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    let key = ticker(&mut ev, &clock, &log, ms(100), 2).start(&mut ev);
    ev.timer(ms(60), ZERO, move |ev, _| _ = key.again(ev)).start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [160, 260]);
}

#[test]
fn again_on_an_active_one_shot_stops_it() {
    let mut ev = ev();
    let calls = Count::new();
    let key = ev.timer(ms(5), ZERO, calls.ups()).start(&mut ev);
    key.again(&mut ev);
    assert!(!key.is_active(&ev) && key.exists(&ev));
    assert!(!ev.run().unwrap());
    assert_eq!(calls.get(), 0);
}

#[test]
fn again_on_an_inactive_repeater_starts_it_with_its_repeat() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    let key = ticker(&mut ev, &clock, &log, ms(40), 2).set(&mut ev, secs(9), ms(40));
    key.again(&mut ev);
    assert!(key.is_active(&ev));
    assert_eq!(key.remaining(&ev), ms(40));
    ev.run().unwrap();
    assert_eq!(log.take(), [40, 80]);
}

#[test]
fn again_on_an_inactive_one_shot_does_nothing() {
    let mut ev = ev();
    let calls = Count::new();
    let key = ev.timer(ms(5), ZERO, calls.ups());
    key.again(&mut ev);
    assert!(!key.is_active(&ev));
    assert_eq!(key.remaining(&ev), ms(5));
    assert!(!ev.run().unwrap());
    assert_eq!(calls.get(), 0);
}

#[test]
fn again_clears_pending_in_all_four_cases() {
    for (active, repeat) in [(true, ms(9)), (true, ZERO), (false, ms(9)), (false, ZERO)] {
        let mut ev = ev();
        let calls = Count::new();
        let key = ev.timer(ms(5), repeat, calls.ups());
        if active {
            key.start(&mut ev);
        }
        key.feed(&mut ev, Events::CUSTOM);
        key.again(&mut ev);
        assert!(!key.is_pending(&ev), "active {active}, repeat {repeat:?}");
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(calls.get(), 0, "active {active}, repeat {repeat:?}");
        assert_eq!(key.is_active(&ev), !repeat.is_zero());
    }
}

#[test]
fn again_to_an_earlier_time_acts_at_once() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    let key = ticker(&mut ev, &clock, &log, secs(100), 1).start(&mut ev);
    ev.timer(secs(50), ZERO, nothing).start(&mut ev);
    key.set_repeat(&mut ev, secs(2)).again(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [2000]);
}

#[test]
fn once_waits_on_for_a_timer_that_was_moved_to_later() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let key = ev.timer(ms(100), ms(100), calls.ups()).start(&mut ev);
    ev.timer(ms(50), ZERO, move |ev, _| _ = key.again(ev)).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (0, ms(50)));
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((calls.get(), clock.elapsed(), ev.iteration()), (1, ms(150), 2));
}

#[test]
fn many_lazily_moved_timers_fire_in_the_order_of_their_true_due_times() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<u64>::new();
    let keys: Vec<Timer> =
        (0..100).map(|n| ev.timer(ms(10 + n), ms(500), log.says(n)).start(&mut ev)).collect();
    // Every third is moved to later, twice; the last of them comes first.
    for (n, key) in keys.iter().enumerate().filter(|(n, _)| n % 3 == 0) {
        key.again(&mut ev);
        key.set_repeat(&mut ev, ms(1000 - n as u64)).again(&mut ev);
        ev.verify();
    }
    clock.advance(ms(1000));
    ev.timer(ZERO, ZERO, |ev, _| ev.break_loop(Break::All)).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    let others = (0..100).filter(|n| n % 3 != 0);
    let moved = (0..100).filter(|n| n % 3 == 0).rev();
    assert_eq!(log.take(), others.chain(moved).collect::<Vec<_>>());
}

#[test]
fn set_on_an_active_timer_counts_repeat_from_the_next_expiry_and_after_from_the_next_start() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    let key = ticker(&mut ev, &clock, &log, ms(100), 3).start(&mut ev);
    let due = key.due(&ev);
    key.set(&mut ev, ms(7), ms(30));
    assert_eq!(key.due(&ev), due);
    ev.run().unwrap();
    assert_eq!(log.take(), [100, 130, 160]);
    let key = ev.timer(ms(100), ZERO, nothing).start(&mut ev);
    key.set(&mut ev, ms(7), ZERO).stop(&mut ev);
    key.start(&mut ev);
    assert_eq!(key.remaining(&ev), ms(7));
}

#[test]
fn set_on_a_stopped_timer_counts_from_the_next_start() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let key = ev.timer(secs(5), secs(5), calls.ups());
    key.set(&mut ev, ms(3), ZERO);
    assert_eq!((key.remaining(&ev), key.repeat(&ev)), (ms(3), ZERO));
    assert!(!key.is_active(&ev));
    key.start(&mut ev);
    ev.run().unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (1, ms(3)));
}

#[test]
fn set_repeat_on_an_active_timer_never_acts_immediately() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    let key = ticker(&mut ev, &clock, &log, ms(100), 2).start(&mut ev);
    key.set_repeat(&mut ev, ms(10));
    assert_eq!((key.remaining(&ev), key.repeat(&ev)), (ms(100), ms(10)));
    ev.run().unwrap();
    assert_eq!(log.take(), [100, 110]);
    // A repeat taken away makes the next expiry the last.
    let key = ticker(&mut ev, &clock, &log, ms(100), 9).start(&mut ev);
    key.set_repeat(&mut ev, ZERO);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take().len(), 1);
}

#[test]
fn restart_acts_at_once_in_every_state() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let key = ev.timer(secs(9), ZERO, calls.ups());
    key.restart(&mut ev, ms(10));
    assert!(key.is_active(&ev), "started if need be");
    key.restart(&mut ev, ms(20));
    assert_eq!(key.remaining(&ev), ms(20), "to later");
    key.restart(&mut ev, ms(5));
    assert_eq!(key.remaining(&ev), ms(5), "to earlier");
    ev.run().unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (1, ms(5)));
    key.restart(&mut ev, ms(5));
    ev.run().unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (2, ms(10)));
}

#[test]
fn restart_in_its_own_callback_and_of_a_queued_peer() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<(&str, u64)>::new();
    let (seen, time) = (log.clone(), clock.clone());
    let peer = ev.timer(ms(10), ZERO, move |_, _| {
        seen.push(("peer", time.elapsed().as_millis() as u64));
    });
    let seen = log.clone();
    ev.timer(ms(10), ZERO, move |ev, e| {
        seen.push(("self", clock.elapsed().as_millis() as u64));
        if seen.len() == 1 {
            e.watcher.restart(ev, ms(10));
            peer.clear_pending(ev);
            peer.restart(ev, ms(20));
        }
    })
    .start(&mut ev);
    peer.start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [("self", 10), ("self", 20), ("peer", 30)]);
}

#[test]
fn remaining_follows_the_cached_time() {
    let (mut ev, clock) = ev_with_clock();
    let key = ev.timer(secs(5), ZERO, nothing);
    assert_eq!(key.remaining(&ev), secs(5), "before start");
    key.start(&mut ev);
    clock.advance(secs(1));
    assert_eq!(key.remaining(&ev), secs(5), "the loop has not looked yet");
    ev.update_now();
    assert_eq!(key.remaining(&ev), secs(4));
    clock.advance(secs(100));
    ev.update_now();
    assert_eq!(key.remaining(&ev), ZERO, "overdue");
}

#[test]
fn due_is_none_when_inactive_and_when_never() {
    let mut ev = ev();
    let key = ev.timer(secs(5), ZERO, nothing);
    assert_eq!(key.due(&ev), None);
    key.start(&mut ev);
    assert_eq!(key.due(&ev), Some(ev.now() + secs(5)));
    key.stop(&mut ev);
    assert_eq!(key.due(&ev), None);
    key.set(&mut ev, Duration::MAX, ZERO).start(&mut ev);
    assert!(key.is_active(&ev));
    assert_eq!(key.due(&ev), None);
}

#[test]
fn after_runs_once_and_frees_itself() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let count = calls.clone();
    let key = ev.after(ms(20), move |_| _ = count.up());
    assert!(key.is_active(&ev));
    assert!(!ev.run().unwrap());
    assert_eq!((calls.get(), clock.elapsed()), (1, ms(20)));
    assert!(!key.exists(&ev));
    let kept = Rc::new(());
    let witness = Rc::downgrade(&kept);
    let key = ev.after(ms(20), move |_| drop(kept));
    assert!(key.free(&mut ev));
    assert!(!ev.run().unwrap());
    assert!(witness.upgrade().is_none());
}

#[test]
fn a_timer_may_free_itself_and_its_slot_may_be_reused_in_the_same_callback() {
    let mut ev = ev();
    let log = Log::new();
    let seen = log.clone();
    let kept = Rc::new(());
    ev.timer(ZERO, ms(1), move |ev, e| {
        assert!(e.watcher.free(ev));
        let heir = ev.timer(ms(1), ZERO, seen.says("heir")).start(ev);
        assert_ne!(heir, e.watcher);
        assert!(!e.watcher.exists(ev) && heir.exists(ev));
        assert_eq!(Rc::strong_count(&kept), 1);
        seen.push("freed");
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), ["freed", "heir"]);
}

#[test]
fn stop_after_again_keeps_the_time_that_again_gave() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let key = ev.timer(ms(10), ms(500), calls.ups()).start(&mut ev);
    key.again(&mut ev).stop(&mut ev);
    assert_eq!(key.remaining(&ev), ms(500));
    key.set_repeat(&mut ev, ZERO).start(&mut ev);
    ev.run().unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (1, ms(500)));
}

#[test]
fn a_restarted_repeater_goes_on_from_its_new_due_time() {
    let (mut ev, clock) = ev_with_clock();
    for keep_phase in [false, true] {
        let start = clock.elapsed().as_millis() as u64;
        let log = Log::new();
        let key = ticker(&mut ev, &clock, &log, ms(100), 3).set_keep_phase(&mut ev, keep_phase);
        key.start(&mut ev).restart(&mut ev, ms(30));
        ev.run().unwrap();
        assert_eq!(log.take(), [30, 130, 230].map(|n| n + start), "keep phase: {keep_phase}");
    }
}
