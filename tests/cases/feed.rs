// Feeding, invoking, looking at what is pending: loop.md 1.6, 2.1, 2.2.

/// A stopped timer that writes the events it gets.
fn listener(ev: &mut EvLoop, log: &Log<Events>) -> Timer {
    let log = log.clone();
    ev.timer(secs(1), ZERO, move |_, e| log.push(e.ready))
}

#[test]
fn a_fed_event_reaches_a_stopped_watcher_and_leaves_it_stopped() {
    let mut ev = ev();
    let log = Log::new();
    let key = listener(&mut ev, &log);
    assert!(key.feed(&mut ev, Events::CUSTOM));
    assert!(key.is_pending(&ev) && !key.is_active(&ev));
    assert_eq!(ev.pending_count(), 1);
    ev.run().unwrap();
    assert_eq!(log.take(), [Events::CUSTOM]);
    assert!(!key.is_pending(&ev) && !key.is_active(&ev) && key.exists(&ev));
}

#[test]
fn feeding_a_pending_watcher_ors_the_bits_and_keeps_its_place() {
    let mut ev = ev();
    let (log, order) = (Log::new(), Log::new());
    let key = listener(&mut ev, &log);
    let other = ev.timer(ZERO, ZERO, {
        let (log, order) = (log.clone(), order.clone());
        move |_, _| order.push(log.len())
    });
    key.feed(&mut ev, Events::CUSTOM);
    other.feed(&mut ev, Events::CUSTOM);
    key.feed(&mut ev, Events::TIMER | Events::ERROR);
    assert_eq!(ev.pending_count(), 2);
    ev.run().unwrap();
    assert_eq!(log.take(), [Events::CUSTOM | Events::TIMER | Events::ERROR]);
    assert_eq!(order.take(), [1], "the other came second");
}

#[test]
fn an_event_of_the_kernel_is_ored_into_one_that_was_fed() {
    let mut ev = ev();
    let log = Log::new();
    let key = listener(&mut ev, &log).set(&mut ev, ZERO, ZERO).start(&mut ev);
    ev.check(move |ev, e| {
        key.feed(ev, Events::CUSTOM);
        e.watcher.stop(ev);
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [Events::TIMER | Events::CUSTOM]);
}

#[test]
fn feeding_no_events_is_legal_and_calls_with_none() {
    let mut ev = ev();
    let log = Log::new();
    let key = listener(&mut ev, &log);
    assert!(key.feed(&mut ev, Events::NONE));
    assert!(key.is_pending(&ev));
    assert_eq!(ev.pending_count(), 1);
    ev.run().unwrap();
    assert!(key.feed_later(&mut ev, Events::NONE));
    ev.run().unwrap();
    assert!(key.invoke(&mut ev, Events::NONE));
    assert_eq!(log.take(), [Events::NONE; 3]);
}

#[test]
fn every_in_process_kind_can_be_fed() {
    let mut ev = ev();
    let log = Log::<(&str, Events)>::new();
    macro_rules! note {
        ($name:literal) => {{
            let log = log.clone();
            move |_, e| log.push(($name, e.ready))
        }};
    }
    let timer = ev.timer(ZERO, ZERO, note!("timer"));
    let idle = ev.idle(note!("idle"));
    let prepare = ev.prepare(note!("prepare"));
    let check = ev.check(note!("check"));
    let (notifier, _sender) = ev.notifier(note!("async"));
    assert!(timer.feed(&mut ev, Events::CUSTOM));
    assert!(idle.feed(&mut ev, Events::CUSTOM));
    assert!(prepare.feed(&mut ev, Events::CUSTOM));
    assert!(check.feed(&mut ev, Events::CUSTOM));
    assert!(notifier.feed(&mut ev, Events::CUSTOM));
    assert_eq!(ev.pending_count(), 5);
    ev.run().unwrap();
    let names = ["timer", "idle", "prepare", "check", "async"];
    assert_eq!(log.take(), names.map(|name| (name, Events::CUSTOM)));
}

#[test]
fn pending_count_is_exact_through_feed_stop_clear_free_and_dispatch() {
    let mut ev = ev();
    let counts = Log::<usize>::new();
    let keys: Vec<Timer> = (0..6)
        .map(|_| {
            let counts = counts.clone();
            ev.timer(ZERO, ZERO, move |ev, _| counts.push(ev.pending_count()))
        })
        .collect();
    for key in &keys {
        key.feed(&mut ev, Events::CUSTOM);
        key.feed(&mut ev, Events::ERROR);
    }
    assert_eq!(ev.pending_count(), 6);
    keys[1].stop(&mut ev);
    assert_eq!(ev.pending_count(), 5);
    assert_eq!(keys[2].clear_pending(&mut ev), Events::CUSTOM | Events::ERROR);
    assert_eq!(keys[2].clear_pending(&mut ev), Events::NONE);
    assert_eq!(ev.pending_count(), 4);
    keys[5].free(&mut ev);
    assert_eq!(ev.pending_count(), 3);
    ev.verify();
    ev.run().unwrap();
    assert_eq!(counts.take(), [2, 1, 0]);
    assert_eq!(ev.pending_count(), 0);
}

#[test]
fn stop_always_clears_what_is_pending_also_of_a_stopped_watcher() {
    let mut ev = ev();
    let log = Log::new();
    let key = listener(&mut ev, &log);
    key.feed(&mut ev, Events::CUSTOM);
    assert!(key.stop(&mut ev));
    assert!(!key.is_pending(&ev));
    key.feed_later(&mut ev, Events::CUSTOM);
    assert!(key.stop(&mut ev));
    ev.run().unwrap();
    ev.run().unwrap();
    assert_eq!(log.take(), []);
}

#[test]
fn stopping_a_peer_that_is_queued_in_this_batch_cancels_it() {
    let mut ev = ev();
    let log = Log::new();
    let keys = Rc::new(RefCell::new(Vec::<Timer>::new()));
    for name in ["a", "b", "c"] {
        let (log, peers) = (log.clone(), Rc::clone(&keys));
        let key = ev.timer(ZERO, ZERO, move |ev, e| {
            log.push(name);
            for peer in peers.borrow().iter().filter(|peer| **peer != e.watcher) {
                peer.stop(ev);
            }
            assert_eq!(ev.pending_count(), 0);
        });
        keys.borrow_mut().push(key.start(&mut ev));
    }
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), ["a"]);
}

#[test]
fn clear_pending_returns_the_bits_and_leaves_the_watcher_active() {
    let mut ev = ev();
    let log = Log::new();
    let key = listener(&mut ev, &log).start(&mut ev);
    assert_eq!(key.clear_pending(&mut ev), Events::NONE);
    key.feed(&mut ev, Events::CUSTOM | Events::ERROR);
    assert_eq!(key.clear_pending(&mut ev), Events::CUSTOM | Events::ERROR);
    assert!(key.is_active(&ev) && !key.is_pending(&ev));
    ev.run().unwrap();
    assert_eq!(log.take(), [Events::TIMER]);
}

#[test]
fn invoke_calls_right_now_and_changes_no_state() {
    let mut ev = ev();
    let log = Log::new();
    let key = listener(&mut ev, &log).start(&mut ev);
    let due = key.due(&ev);
    key.feed(&mut ev, Events::CUSTOM);
    assert!(key.invoke(&mut ev, Events::ERROR));
    assert_eq!(log.take(), [Events::ERROR]);
    assert!(key.is_active(&ev) && key.is_pending(&ev));
    assert_eq!((key.due(&ev), ev.pending_count(), ev.iteration()), (due, 1, 0));
    ev.run().unwrap();
    assert_eq!(log.take(), [Events::CUSTOM, Events::TIMER]);
}

#[test]
fn a_running_watcher_is_never_reentered_by_invoke() {
    let mut ev = ev();
    let calls = Count::new();
    let count = calls.clone();
    let key = ev.timer(ZERO, ZERO, move |ev, e| {
        count.up();
        assert!(!e.watcher.invoke(ev, Events::CUSTOM));
    });
    assert!(key.invoke(&mut ev, Events::CUSTOM));
    key.start(&mut ev);
    ev.run().unwrap();
    assert_eq!(calls.get(), 2);
}

#[test]
fn a_watcher_is_not_pending_inside_its_own_callback() {
    let mut ev = ev();
    let log = Log::<(bool, Events, usize)>::new();
    let seen = log.clone();
    let key = ev.timer(ZERO, ZERO, move |ev, e| {
        let pending = e.watcher.is_pending(ev);
        seen.push((pending, e.watcher.clear_pending(ev), ev.pending_count()));
    });
    key.feed(&mut ev, Events::CUSTOM);
    ev.run().unwrap();
    assert_eq!(log.take(), [(false, Events::NONE, 0)]);
}

#[test]
fn an_event_fed_to_a_running_watcher_collects_and_is_queued_when_it_returns() {
    let mut ev = ev();
    let log = Log::<(Events, u64)>::new();
    let (seen, other) = (log.clone(), listener(&mut ev, &Log::new()));
    let order = log.clone();
    let last = ev.timer(ZERO, ZERO, move |ev, e| order.push((e.ready, ev.iteration())));
    let key = ev.timer(ZERO, ZERO, move |ev, e| {
        seen.push((e.ready, ev.iteration()));
        if seen.len() == 1 {
            e.watcher.feed(ev, Events::CUSTOM);
            e.watcher.feed(ev, Events::ERROR);
            assert!(e.watcher.is_pending(ev));
            last.feed(ev, Events::NONE);
            other.feed(ev, Events::NONE);
            assert_eq!(ev.pending_count(), 3);
        }
    });
    key.start(&mut ev);
    ev.run().unwrap();
    assert_eq!(
        log.take(),
        [(Events::TIMER, 1), (Events::NONE, 1), (Events::CUSTOM | Events::ERROR, 1)]
    );
}

#[test]
fn what_a_running_watcher_collected_is_gone_after_clear_pending_or_stop() {
    let mut ev = ev();
    let calls = Count::new();
    for stops in [false, true] {
        let count = calls.clone();
        let key = ev.timer(ZERO, ZERO, move |ev, e| {
            count.up();
            e.watcher.feed(ev, Events::CUSTOM);
            if stops {
                e.watcher.stop(ev);
            } else {
                assert_eq!(e.watcher.clear_pending(ev), Events::CUSTOM);
            }
            assert!(!e.watcher.is_pending(ev));
        });
        key.feed(&mut ev, Events::CUSTOM);
    }
    ev.run().unwrap();
    assert_eq!(calls.get(), 2);
}

#[test]
fn feed_later_waits_for_the_next_iteration_which_does_not_sleep() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<u64>::new();
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, e| {
        seen.push(ev.iteration());
        if seen.len() < 4 {
            assert!(e.watcher.feed_later(ev, Events::CUSTOM));
        }
    })
    .start(&mut ev);
    anchor(&mut ev);
    for _ in 0..4 {
        ev.run_mode(Run::Once).unwrap();
    }
    assert_eq!(log.take(), [1, 2, 3, 4]);
    assert_eq!(clock.elapsed(), ZERO);
}

#[test]
fn feed_later_ors_its_bits_and_does_not_starve_the_rest() {
    let mut ev = ev();
    let (log, calls) = (Log::new(), Count::new());
    let key = listener(&mut ev, &log);
    key.feed_later(&mut ev, Events::CUSTOM);
    key.feed_later(&mut ev, Events::ERROR);
    anchor(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [Events::CUSTOM | Events::ERROR]);
    let count = calls.clone();
    let busy = ev.timer(ZERO, ZERO, move |ev, e| {
        count.up();
        e.watcher.feed_later(ev, Events::CUSTOM);
    });
    busy.feed(&mut ev, Events::CUSTOM);
    ev.timer(ZERO, ZERO, |ev, _| ev.break_loop(Break::All)).start(&mut ev);
    assert!(ev.run().unwrap(), "the timer got its turn");
    assert!(calls.get() >= 1);
}

#[test]
fn invoke_pending_dispatches_everything_pending_now() {
    let mut ev = ev();
    let log = Log::new();
    for (name, priority) in [("low", -1), ("high", 1), ("zero", 0)] {
        let key = ev.timer(ZERO, ZERO, log.says(name)).set_priority(&mut ev, priority);
        key.feed(&mut ev, Events::CUSTOM);
    }
    ev.invoke_pending();
    assert_eq!(log.take(), ["high", "zero", "low"]);
    assert_eq!((ev.pending_count(), ev.iteration()), (0, 0));
    ev.invoke_pending();
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn invoke_pending_works_from_inside_a_callback() {
    let mut ev = ev();
    let log = Log::new();
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, e| {
        seen.push("begin");
        e.watcher.feed(ev, Events::NONE);
        e.watcher.stop(ev);
        ev.invoke_pending();
        seen.push("end");
    })
    .start(&mut ev);
    ev.timer(ZERO, ZERO, log.says("queued")).start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), ["begin", "queued", "end"]);
}

#[test]
fn feeding_an_unknown_or_negative_fd_has_no_effect() {
    let mut ev = ev();
    for fd in [-1, i32::MIN, 0, 12_345, i32::MAX] {
        ev.feed_fd(fd, Events::READ | Events::WRITE);
    }
    assert_eq!(ev.pending_count(), 0);
    assert!(!ev.run().unwrap());
    ev.verify();
}

#[test]
fn a_replaced_callback_gets_the_event_that_is_already_queued() {
    let mut ev = ev();
    let log = Log::new();
    let key = ev.timer(ZERO, ZERO, log.says("old"));
    key.feed(&mut ev, Events::CUSTOM);
    assert!(key.set_callback(&mut ev, log.says("new")));
    assert!(key.is_pending(&ev));
    ev.run().unwrap();
    assert_eq!(log.take(), ["new"]);
}

#[test]
fn replacing_a_running_callback_takes_effect_after_it_returns() {
    let mut ev = ev();
    let log = Log::new();
    let seen = log.clone();
    let kept = Rc::new(());
    let witness = Rc::downgrade(&kept);
    let key = ev.timer(ms(1), ms(1), move |ev, e| {
        let next = seen.clone();
        assert!(e.watcher.set_callback(ev, move |ev, e| {
            next.push("new");
            e.watcher.stop(ev);
        }));
        assert!(!e.watcher.invoke(ev, Events::CUSTOM), "still running");
        assert_eq!(Rc::strong_count(&kept), 1, "captures live to the end of the call");
        seen.push("old");
    });
    key.start(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), ["old", "new"]);
    assert!(witness.upgrade().is_none(), "the old closure is gone");
}
