// A panic in a callback reaches the caller of `run`, and the loop goes on: R10, loop.md 1.4.

/// Runs the loop once; the panic that came out of it.
fn panic_of_run(ev: &mut EvLoop) -> Option<String> {
    let message = panic_of(|| ev.run_mode(Run::Once));
    assert_eq!(ev.depth(), 0);
    ev.verify();
    message
}

/// Two more watchers behind the one that panics, and what must happen to them.
fn batch_survives(ev: &mut EvLoop, expected: &str) {
    let log = Log::new();
    let behind = ev.timer(ZERO, ZERO, log.says("behind")).set_priority(ev, -2).start(ev);
    let fed = ev.timer(ZERO, ZERO, log.says("fed")).set_priority(ev, -1);
    let prepare = ev.prepare(log.says("prepare"));
    fed.feed_later(ev, Events::CUSTOM);
    assert_eq!(panic_of_run(ev).as_deref(), Some(expected));
    assert_eq!(log.take(), [""; 0], "the panic came first");
    prepare.start(ev);
    ev.run_mode(Run::NoWait).unwrap();
    let seen = log.take();
    assert!(seen.contains(&"behind") && seen.contains(&"fed"), "lost: {seen:?}");
    for key in [behind, fed] {
        key.free(ev);
    }
    prepare.free(ev);
}

#[test]
fn a_timer_may_panic_and_a_one_shot_stays_stopped() {
    let mut ev = ev();
    let calls = Count::new();
    let count = calls.clone();
    let key = ev.timer(ZERO, ZERO, move |_, _| {
        if count.up() == 1 {
            panic!("timer");
        }
    });
    key.start(&mut ev);
    batch_survives(&mut ev, "timer");
    assert!(key.exists(&ev) && !key.is_active(&ev) && !key.is_pending(&ev));
    key.start(&mut ev);
    ev.run().unwrap();
    assert_eq!(calls.get(), 2, "it works as before");
}

#[test]
fn a_repeater_that_panicked_stays_active() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let count = calls.clone();
    ev.timer(ms(10), ms(10), move |ev, e| match count.up() {
        1 => panic!("tick"),
        2 => {}
        _ => drop(e.watcher.stop(ev)),
    })
    .start(&mut ev);
    assert_eq!(panic_of_run(&mut ev).as_deref(), Some("tick"));
    assert!(!ev.run().unwrap());
    assert_eq!((calls.get(), clock.elapsed()), (3, ms(30)));
}

#[test]
fn an_idle_may_panic() {
    let mut ev = ev();
    let calls = Count::new();
    let count = calls.clone();
    let key = ev.idle(move |_, _| {
        if count.up() == 1 {
            panic!("idle");
        }
    });
    key.set_priority(&mut ev, 1).start(&mut ev);
    batch_survives(&mut ev, "idle");
    assert!(key.is_active(&ev));
    assert!(calls.get() >= 2);
}

#[test]
fn a_check_may_panic() {
    let mut ev = ev();
    let calls = Count::new();
    let count = calls.clone();
    let key = ev.check(move |_, _| {
        if count.up() == 1 {
            panic!("check");
        }
    });
    key.start(&mut ev);
    batch_survives(&mut ev, "check");
    assert!(key.is_active(&ev));
    assert!(calls.get() >= 2);
}

#[test]
fn a_prepare_may_panic_and_the_prepare_behind_it_is_not_lost() {
    let mut ev = ev();
    let log = Log::<(&str, u64)>::new();
    let seen = log.clone();
    ev.prepare(move |ev, _| {
        seen.push(("panics", ev.iteration()));
        if seen.len() == 1 {
            panic!("prepare");
        }
    })
    .start(&mut ev);
    let seen = log.clone();
    ev.prepare(move |ev, _| seen.push(("behind", ev.iteration()))).start(&mut ev);
    ev.timer(ZERO, ZERO, nothing).start(&mut ev);
    assert_eq!(panic_of_run(&mut ev).as_deref(), Some("prepare"));
    assert_eq!(ev.pending_count(), 1);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), [("panics", 0), ("behind", 0), ("panics", 0), ("behind", 0)]);
}

#[test]
fn running_is_allowed_again_after_a_prepare_or_check_panicked() {
    // The ban on runs inside prepare and check must not outlive the unwinding.
    let mut ev = ev();
    for check in [false, true] {
        let key = if check {
            let key = ev.check(|ev, e| {
                e.watcher.stop(ev);
                panic!("once");
            });
            key.start(&mut ev);
            AnyWatcher::Check(key)
        } else {
            let key = ev.prepare(|ev, e| {
                e.watcher.stop(ev);
                panic!("once");
            });
            key.start(&mut ev);
            AnyWatcher::Prepare(key)
        };
        anchor(&mut ev);
        assert!(panic_of(|| ev.run_mode(Run::NoWait)).is_some(), "{key:?}");
        assert_eq!(ev.depth(), 0);
        ev.run_mode(Run::NoWait).unwrap();
        let nested = Log::<bool>::new();
        let seen = nested.clone();
        ev.timer(ZERO, ZERO, move |ev, _| seen.push(ev.run_mode(Run::NoWait).is_ok()))
            .start(&mut ev);
        ev.run_mode(Run::Once).unwrap();
        assert_eq!(nested.take(), [true]);
    }
}

#[test]
fn a_notifier_may_panic_and_be_notified_again() {
    let mut ev = ev();
    let calls = Count::new();
    let count = calls.clone();
    let (watcher, notifier) = ev.notifier(move |_, _| {
        if count.up() == 1 {
            panic!("async");
        }
    });
    watcher.start(&mut ev);
    assert!(notifier.notify());
    batch_survives(&mut ev, "async");
    assert!(watcher.is_active(&ev));
    assert!(notifier.notify());
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(calls.get(), 2);
}

#[test]
fn a_channel_may_panic_and_only_that_message_is_consumed() {
    let mut ev = ev();
    let log = Log::<u32>::new();
    let seen = log.clone();
    let (watcher, sender) = ev.channel(8, move |_, n| {
        seen.push(n);
        if n == 2 {
            panic!("channel");
        }
    });
    watcher.start(&mut ev);
    for n in 1..=4 {
        sender.send(n).unwrap();
    }
    let mut message = None;
    for _ in 0..10 {
        message = message.or(panic_of(|| ev.run_mode(Run::NoWait)));
    }
    assert_eq!(message.as_deref(), Some("channel"));
    assert_eq!(log.take(), [1, 2, 3, 4]);
    assert_eq!(ev.depth(), 0);
    assert!(watcher.is_active(&ev));
}

#[test]
fn a_posted_closure_may_panic_and_the_rest_of_the_post_is_kept() {
    let mut ev = ev();
    let remote = ev.remote();
    remote.post(|_| panic!("posted"));
    remote.post(|ev| trace(ev, "second"));
    remote.post(|ev| trace(ev, "third"));
    batch_survives(&mut ev, "posted");
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(traced(&mut ev), ["second", "third"]);
    assert!(remote.post(|ev| trace(ev, "later")));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(traced(&mut ev), ["later"]);
}

#[test]
fn a_deferred_closure_may_panic_and_the_other_is_kept() {
    let mut ev = ev();
    let log = Log::new();
    let other = log.clone();
    ev.defer(|_| panic!("deferred"));
    ev.defer(move |_| other.push("other"));
    assert_eq!(panic_of_run(&mut ev).as_deref(), Some("deferred"));
    ev.run().unwrap();
    assert_eq!(log.take(), ["other"]);
}

#[test]
fn the_closure_of_after_may_panic_and_its_watcher_is_gone() {
    let mut ev = ev();
    let key = ev.after(ZERO, |_| panic!("after"));
    batch_survives(&mut ev, "after");
    assert!(!key.exists(&ev));
    assert!(!ev.run().unwrap());
}

#[test]
fn what_was_pending_comes_first_in_the_next_run() {
    let mut ev = ev();
    let log = Log::new();
    ev.timer(ZERO, ZERO, |_, _| panic!("first")).start(&mut ev);
    ev.timer(ZERO, ZERO, log.says("pending 1")).start(&mut ev);
    ev.timer(ZERO, ZERO, log.says("pending 2")).start(&mut ev);
    assert!(panic_of_run(&mut ev).is_some());
    assert_eq!(ev.pending_count(), 2);
    ev.prepare(log.says("prepare")).start(&mut ev);
    ev.timer(ZERO, ZERO, log.says("new")).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["pending 1", "pending 2", "prepare", "new"]);
}

#[test]
fn a_panic_out_of_a_nested_run_restores_the_depth_of_each_level() {
    let mut ev = ev();
    let log = Log::<u32>::new();
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, _| {
        ev.timer(ZERO, ZERO, |_, _| panic!("inside")).start(ev);
        assert!(panic_of(|| ev.run()).is_some());
        seen.push(ev.depth());
        ev.timer(ZERO, ZERO, |_, _| panic!("all the way")).start(ev);
        let _ = ev.run();
    })
    .start(&mut ev);
    assert_eq!(panic_of_run(&mut ev).as_deref(), Some("all the way"));
    assert_eq!(log.take(), [1]);
    assert!(!ev.run().unwrap());
}

#[test]
fn a_panic_in_invoke_and_in_invoke_pending_leaves_the_watcher_callable() {
    let mut ev = ev();
    let calls = Count::new();
    let count = calls.clone();
    let key = ev.timer(ZERO, ZERO, move |_, _| {
        if count.up() < 3 {
            panic!("odd");
        }
    });
    assert!(panic_of(|| key.invoke(&mut ev, Events::CUSTOM)).is_some());
    key.feed(&mut ev, Events::CUSTOM);
    assert!(panic_of(|| ev.invoke_pending()).is_some());
    assert!(!key.is_pending(&ev));
    assert!(key.invoke(&mut ev, Events::CUSTOM));
    assert_eq!((calls.get(), ev.depth()), (3, 0));
    ev.verify();
}

#[test]
fn a_watcher_that_freed_itself_and_panicked_is_gone_with_its_captures() {
    let mut ev = ev();
    let kept = Rc::new(());
    let witness = Rc::downgrade(&kept);
    let key = ev.timer(ZERO, ms(1), move |ev, e| {
        let _kept = &kept;
        e.watcher.free(ev);
        panic!("gone");
    });
    key.start(&mut ev);
    assert!(panic_of_run(&mut ev).is_some());
    assert!(!key.exists(&ev) && witness.upgrade().is_none());
    assert!(!ev.run().unwrap());
}

#[test]
fn a_loop_may_be_dropped_while_unwinding() {
    let kept = Rc::new(());
    let witness = Rc::downgrade(&kept);
    let message = panic_of(|| {
        let mut ev = ev();
        ev.timer(ZERO, ms(1), move |_, _| drop(Rc::clone(&kept))).start(&mut ev);
        ev.timer(ZERO, ZERO, |_, _| panic!("takes the loop along")).start(&mut ev);
        ev.run()
    });
    assert_eq!(message.as_deref(), Some("takes the loop along"));
    assert!(witness.upgrade().is_none());
}

#[test]
fn an_event_fed_to_itself_before_a_panic_is_delivered_by_the_next_run() {
    let mut ev = ev();
    let log = Log::<Events>::new();
    let seen = log.clone();
    ev.timer(ZERO, ZERO, move |ev, e| {
        seen.push(e.ready);
        if seen.len() == 1 {
            e.watcher.feed(ev, Events::CUSTOM);
            panic!("after feeding");
        }
    })
    .start(&mut ev);
    assert!(panic_of_run(&mut ev).is_some());
    assert_eq!(ev.pending_count(), 1);
    ev.run().unwrap();
    assert_eq!(log.take(), [Events::TIMER, Events::CUSTOM]);
}

#[test]
fn a_panic_in_a_hook_leaves_the_loop_usable() {
    let mut ev = ev();
    let calls = Count::new();
    let armed = Rc::new(Cell::new(true));
    let once = Rc::clone(&armed);
    ev.on_wait(
        move || {
            if once.replace(false) {
                panic!("hook");
            }
        },
        || (),
    );
    ev.timer(ms(1), ZERO, calls.ups()).start(&mut ev);
    ev.remote().post(|ev| trace(ev, "posted"));
    assert_eq!(panic_of_run(&mut ev).as_deref(), Some("hook"));
    assert!(!ev.run().unwrap());
    assert_eq!((calls.get(), traced(&mut ev)), (1, vec!["posted"]));
}
