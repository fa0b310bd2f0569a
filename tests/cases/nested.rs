// Runs inside runs: loop.md 1.4, 1.6, loop-api.md (b).

#[test]
fn depth_is_0_outside_1_in_a_callback_and_more_when_nested() {
    let mut ev = ev();
    let depths = Log::<u32>::new();
    let seen = depths.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        seen.push(ev.depth());
        let inner = seen.clone();
        ev.timer(ZERO, ZERO, move |ev, _| {
            inner.push(ev.depth());
            let innermost = inner.clone();
            ev.timer(ZERO, ZERO, move |ev, _| innermost.push(ev.depth())).start(ev);
            ev.run().unwrap();
            inner.push(ev.depth());
        })
        .start(ev);
        ev.run().unwrap();
        seen.push(ev.depth());
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(depths.take(), [1, 2, 3, 2, 1]);
    assert_eq!(ev.depth(), 0);
}

#[test]
fn a_nested_run_first_invokes_what_is_still_pending() {
    let mut ev = ev();
    let log = Log::<(&str, u32)>::new();
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        seen.push(("nests", ev.depth()));
        ev.run_mode(Run::NoWait).unwrap();
        seen.push(("nested", ev.depth()));
    })
    .start(&mut ev);
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| seen.push(("pending", ev.depth()))).start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [("nests", 1), ("pending", 2), ("nested", 1)]);
}

#[test]
fn break_one_ends_the_innermost_run_only() {
    let mut ev = ev();
    let log = Log::new();
    let seen = log.clone();
    ev.timer(ms(1), ZERO, move |ev, _| {
        assert!(ev.run().unwrap());
        seen.push("inner over");
    })
    .start(&mut ev);
    ev.timer(ms(2), ZERO, |ev, _| ev.break_loop(Break::One)).start(&mut ev);
    ev.timer(ms(3), ZERO, log.says("outer goes on")).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), ["inner over", "outer goes on"]);
}

#[test]
fn break_all_ends_every_run() {
    let mut ev = ev();
    let log = Log::new();
    let seen = log.clone();
    ev.timer(ms(1), ZERO, move |ev, _| {
        assert!(ev.run().unwrap());
        seen.push("inner over");
    })
    .start(&mut ev);
    ev.timer(ms(2), ZERO, |ev, _| ev.break_loop(Break::All)).start(&mut ev);
    ev.timer(ms(3), ZERO, log.says("left")).start(&mut ev);
    assert!(ev.run().unwrap());
    assert_eq!(log.take(), ["inner over"]);
    assert!(!ev.run().unwrap(), "the next run starts fresh");
    assert_eq!(log.take(), ["left"]);
}

#[test]
fn a_nested_run_forgets_a_break_all_asked_before_it() {
    let mut ev = ev();
    let log = Log::new();
    ev.timer(ms(1), ZERO, |ev, _| {
        ev.break_loop(Break::All);
        ev.run_mode(Run::NoWait).unwrap();
    })
    .start(&mut ev);
    ev.timer(ms(2), ZERO, log.says("later")).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), ["later"]);
}

#[test]
fn a_running_watcher_is_not_reentered_and_its_events_collect_into_one() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<(u32, u64)>::new();
    let seen = log.clone();
    let ticker = ev.timer(ms(10), ms(10), move |ev, e| {
        seen.push((ev.depth(), clock.elapsed().as_millis() as u64));
        if seen.len() == 1 {
            ev.timer(ms(55), ZERO, |ev, _| ev.break_loop(Break::One)).start(ev);
            ev.run().unwrap();
            assert_eq!(seen.len(), 1, "never inside itself");
            assert!(e.watcher.is_pending(ev), "an event was collected");
        } else {
            assert!(!e.watcher.is_pending(ev));
            e.watcher.stop(ev);
        }
    });
    ticker.start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [(1, 10), (1, 65)], "five ticks missed, told once at return");
}

#[test]
fn a_nested_run_does_not_spin_while_the_running_watcher_has_events() {
    let (mut ev, clock) = ev_with_clock();
    let iterations = Count::new();
    let polls = iterations.clone();
    ev.timer(ms(1), ms(100), move |ev, e| {
        if polls.get() > 0 {
            e.watcher.stop(ev);
            return;
        }
        e.watcher.feed(ev, Events::CUSTOM);
        ev.timer(ms(50), ZERO, |ev, _| ev.break_loop(Break::One)).start(ev);
        let before = ev.iteration();
        ev.run().unwrap();
        for _ in before..ev.iteration() {
            polls.up();
        }
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(clock.elapsed(), ms(51));
    assert!((1..=3).contains(&iterations.get()), "{} polls for one wait", iterations.get());
}

#[test]
fn every_in_process_kind_but_prepare_and_check_may_nest() {
    let mut ev = ev();
    let log = Log::<u32>::new();
    let nest = |log: &Log<u32>, ev: &mut EvLoop| {
        let seen = log.clone();
        ev.timer(ZERO, ZERO, move |ev, _| seen.push(ev.depth())).start(ev);
        ev.run_mode(Run::Once).unwrap();
    };
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| nest(&seen, ev)).start(&mut ev);
    ev.run().unwrap();
    let seen = log.clone();
    ev.idle(move |ev, e| {
        e.watcher.stop(ev);
        nest(&seen, ev);
    })
    .start(&mut ev);
    ev.run().unwrap();
    let seen = log.clone();
    let (watcher, notifier) = ev.notifier(move |ev, e| {
        nest(&seen, ev);
        e.watcher.stop(ev);
    });
    watcher.start(&mut ev);
    notifier.notify();
    ev.run().unwrap();
    let seen = log.clone();
    ev.defer(move |ev| nest(&seen, ev));
    ev.run().unwrap();
    let seen = log.clone();
    ev.after(ZERO, move |ev| nest(&seen, ev));
    ev.run().unwrap();
    assert_eq!(log.take(), [2; 5]);
    ev.remote().post(|ev| {
        ev.timer(ZERO, ZERO, |ev, _| trace(ev, "posted")).start(ev);
        ev.run_mode(Run::Once).unwrap();
    });
    ev.run().unwrap();
    assert_eq!(traced(&mut ev), ["posted"]);
}

#[test]
fn fail_in_a_nested_run_breaks_all_runs_and_the_outermost_returns_it() {
    let mut ev = ev();
    let log = Log::<bool>::new();
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        ev.timer(ZERO, ZERO, |ev, _| ev.fail("inside")).start(ev);
        seen.push(ev.run().is_ok());
    })
    .start(&mut ev);
    anchor(&mut ev);
    assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Callback);
    assert_eq!(log.take(), [true]);
    assert_eq!(ev.depth(), 0);
}

#[test]
fn a_watcher_freed_by_a_nested_run_while_running_is_called_no_more() {
    let mut ev = ev();
    let calls = Count::new();
    let count = calls.clone();
    let doomed = ev.timer(ms(1), ms(1), move |ev, e| {
        count.up();
        ev.timer(ms(5), ZERO, move |ev, _| _ = e.watcher.free(ev)).start(ev);
        assert!(!ev.run().unwrap(), "nothing is left");
        assert!(!e.watcher.exists(ev));
    });
    doomed.start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_nested_run_counts_its_polls_in_iteration() {
    let mut ev = ev();
    let seen = Log::<u64>::new();
    let log = seen.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        log.push(ev.iteration());
        ev.run_mode(Run::NoWait).unwrap();
        ev.run_mode(Run::NoWait).unwrap();
        log.push(ev.iteration());
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(seen.take(), [1, 3]);
}

#[test]
fn loops_may_be_swapped_inside_a_callback() {
    let _dog = Watchdog::new(secs(60));
    let (mut one, mut two) = (ev(), ev());
    let calls = Count::new();
    two.timer(ms(1), ZERO, calls.ups()).start(&mut two);
    one.timer(ms(1), ZERO, calls.ups()).start(&mut one);
    let other = Rc::new(RefCell::new(two));
    let swapped = Rc::clone(&other);
    one.timer(ZERO, ZERO, move |ev, _| {
        std::mem::swap(ev, &mut swapped.borrow_mut());
        ev.timer(ZERO, ZERO, nothing).start(ev);
        ev.update_now();
    })
    .start(&mut one);
    for _ in 0..4 {
        // What a swapped loop reports is nobody's promise; that it stays sound is.
        let _ = one.run_mode(Run::NoWait);
        let _ = other.borrow_mut().run_mode(Run::NoWait);
    }
    drop(one);
    let _ = other.borrow_mut().run_mode(Run::NoWait);
    drop(other);
}

#[test]
fn a_watcher_fed_by_prepare_may_nest_although_prepare_may_not() {
    let mut ev = ev();
    let log = Log::<bool>::new();
    let seen = log.clone();
    let fed = ev.timer(ZERO, ZERO, move |ev, _| seen.push(ev.run_mode(Run::NoWait).is_ok()));
    ev.prepare(move |ev, e| {
        fed.feed(ev, Events::CUSTOM);
        e.watcher.stop(ev);
    })
    .start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [true]);
}

#[test]
fn a_loop_nested_in_an_idle_callback_sleeps() {
    let (mut ev, clock) = ev_with_clock();
    let polls = Log::<u64>::new();
    let seen = polls.clone();
    ev.idle(move |ev, e| {
        let before = ev.iteration();
        ev.timer(ms(50), ZERO, |ev, _| ev.break_loop(Break::One)).start(ev);
        ev.run().unwrap();
        seen.push(ev.iteration() - before);
        e.watcher.stop(ev);
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(clock.elapsed(), ms(50));
    assert!(polls.take()[0] <= 2, "the running idle kept it from sleeping");
}

#[test]
fn a_notification_for_a_running_watcher_is_delivered_when_it_returns() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<(Duration, u32)>::new();
    let (watcher, notifier) = ev.notifier(nothing);
    let (seen, sender) = (log.clone(), notifier.clone());
    watcher.set_callback(&mut ev, move |ev, e| {
        seen.push((clock.elapsed(), ev.depth()));
        if seen.len() > 1 {
            e.watcher.stop(ev);
            return;
        }
        let again = sender.clone();
        ev.timer(ms(1), ZERO, move |_, _| assert!(again.notify())).start(ev);
        ev.timer(ms(5), ZERO, |ev, _| ev.break_loop(Break::One)).start(ev);
        let before = ev.iteration();
        ev.run().unwrap();
        assert!(ev.iteration() - before <= 4, "spun {} times", ev.iteration() - before);
        assert!(e.watcher.is_pending(ev));
    });
    watcher.start(&mut ev);
    notifier.notify();
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [(ms(0), 1), (ms(5), 1)]);
}

#[test]
fn messages_for_a_channel_whose_callback_nests_wait_for_its_return() {
    let mut ev = ev();
    let log = Log::<(u32, u32)>::new();
    let seen = log.clone();
    let (watcher, sender) = ev.channel(8, move |ev, n: u32| {
        seen.push((n, ev.depth()));
        if n == 1 {
            ev.timer(ms(5), ZERO, |ev, _| ev.break_loop(Break::One)).start(ev);
            ev.run().unwrap();
            assert_eq!(seen.len(), 1, "never inside itself");
        }
    });
    watcher.start(&mut ev);
    for n in [1, 2, 3] {
        sender.send(n).unwrap();
    }
    drop(sender);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [(1, 1), (2, 1), (3, 1)]);
}

#[test]
fn a_watcher_may_be_stopped_and_started_by_a_nested_run_while_it_runs() {
    let mut ev = ev();
    let log = Log::<(u32, bool)>::new();
    let seen = log.clone();
    let key = ev.timer(ms(10), ms(10), move |ev, e| {
        seen.push((ev.depth(), e.watcher.is_active(ev)));
        if seen.len() > 1 {
            e.watcher.stop(ev);
            return;
        }
        ev.timer(ms(25), ZERO, move |ev, _| {
            assert!(e.watcher.is_pending(ev), "missed two ticks");
            e.watcher.stop(ev);
            assert!(!e.watcher.is_pending(ev), "stop takes back what was collected");
            e.watcher.start(ev);
            ev.break_loop(Break::One);
        })
        .start(ev);
        ev.run().unwrap();
    });
    key.start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [(1, true), (1, true)]);
}
