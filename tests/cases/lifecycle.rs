// States, references, who may stop and free whom, the end of the loop: loop.md 1.5, 1.6, 1.10, 2.1.

#[test]
fn a_watcher_goes_from_initialised_to_active_to_pending_and_back() {
    let mut ev = ev();
    let key = ev.timer(ZERO, ZERO, nothing);
    assert!(key.exists(&ev) && !key.is_active(&ev) && !key.is_pending(&ev));
    key.start(&mut ev);
    assert!(key.is_active(&ev) && !key.is_pending(&ev));
    key.feed(&mut ev, Events::CUSTOM);
    assert!(key.is_active(&ev) && key.is_pending(&ev), "the two are independent");
    key.stop(&mut ev);
    assert!(key.exists(&ev) && !key.is_active(&ev) && !key.is_pending(&ev));
    key.free(&mut ev);
    assert!(!key.exists(&ev));
}

#[test]
fn double_start_stop_and_free_are_harmless_for_every_kind() {
    let mut ev = ev();
    macro_rules! twice {
        ($key:expr) => {{
            let key = $key;
            assert_eq!(key.start(&mut ev), key);
            assert_eq!(key.start(&mut ev), key);
            assert!(key.is_active(&ev) && ev.has_refs());
            assert!(key.stop(&mut ev) && key.stop(&mut ev));
            assert!(!key.is_active(&ev) && !ev.has_refs(), "one start, one reference");
            assert!(key.free(&mut ev) && !key.free(&mut ev));
        }};
    }
    twice!(ev.timer(secs(1), ZERO, nothing));
    twice!(ev.idle(nothing));
    twice!(ev.prepare(nothing));
    twice!(ev.check(nothing));
    twice!(ev.notifier(nothing).0);
    twice!(ev.channel(1, |_, (): ()| ()).0);
    ev.verify();
    assert!(!ev.run().unwrap());
}

#[test]
fn every_started_watcher_adds_a_reference_and_no_internal_one_does() {
    let mut ev = ev();
    let (_remote, (_stopped, _notifier)) = (ev.remote(), ev.notifier(nothing));
    assert!(!ev.has_refs());
    let first = ev.timer(secs(1), ZERO, nothing).start(&mut ev);
    let second = ev.idle(nothing).start(&mut ev);
    first.free(&mut ev);
    assert!(ev.has_refs());
    second.free(&mut ev);
    assert!(!ev.has_refs(), "free gives the reference back");
}

#[test]
fn set_ref_is_idempotent_and_may_be_set_in_any_state() {
    let (mut ev, clock) = ev_with_clock();
    let key = ev.timer(secs(1), ZERO, nothing);
    key.set_ref(&mut ev, false).set_ref(&mut ev, false).start(&mut ev);
    assert!(!ev.has_refs());
    assert!(!ev.run().unwrap());
    assert_eq!(clock.elapsed(), ZERO, "it does not even make the loop wait");
    key.set_ref(&mut ev, true).set_ref(&mut ev, true);
    assert!(ev.has_refs());
    key.set_ref(&mut ev, false);
    assert!(!ev.has_refs());
    key.set_ref(&mut ev, true).stop(&mut ev);
    assert!(!ev.has_refs());
}

#[test]
fn set_ref_survives_restarts_and_a_one_shot_that_stops_itself() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let key = ev.timer(ms(1), ZERO, calls.ups()).set_ref(&mut ev, false);
    for n in 1..=3 {
        key.set(&mut ev, ms(1), ZERO).start(&mut ev);
        let holder = ev.timer(ms(2), ZERO, nothing).start(&mut ev);
        assert!(!ev.run().unwrap());
        assert_eq!((calls.get(), clock.elapsed()), (n, ms(2) * n as u32));
        assert!(!holder.is_active(&ev) && !ev.has_refs());
        key.stop(&mut ev);
    }
    key.start(&mut ev);
    assert!(!ev.has_refs());
    ev.verify();
}

#[test]
fn run_ends_although_an_unreferenced_watcher_is_active() {
    let (mut ev, clock) = ev_with_clock();
    let ticks = Count::new();
    ev.timer(ms(10), ms(10), ticks.ups()).set_ref(&mut ev, false).start(&mut ev);
    ev.timer(ms(35), ZERO, nothing).start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!((ticks.get(), clock.elapsed()), (3, ms(35)));
}

#[test]
fn a_callback_may_free_a_queued_peer_of_another_kind() {
    let mut ev = ev();
    let log = Log::new();
    let timer = ev.timer(ZERO, ZERO, log.says("timer"));
    let (watcher, notifier) = ev.notifier(log.says("async"));
    let seen = log.clone();
    ev.check(move |ev, e| {
        seen.push("check");
        assert!(timer.is_pending(ev) && watcher.is_pending(ev));
        assert!(timer.free(ev) && watcher.free(ev) && e.watcher.free(ev));
        // The freed slots get new owners, which must not inherit the queued events.
        ev.timer(ZERO, ZERO, seen.says("heir")).set_ref(ev, false);
        ev.notifier(seen.says("heir")).0.set_ref(ev, false).start(ev);
        ev.check(seen.says("heir"));
    })
    .start(&mut ev);
    timer.start(&mut ev);
    watcher.start(&mut ev);
    notifier.notify();
    assert!(!ev.run().unwrap());
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["check"]);
    ev.verify();
}

#[test]
fn a_freed_fed_watcher_leaves_nothing_to_its_heir() {
    let mut ev = ev();
    let log = Log::new();
    for later in [false, true] {
        let key = ev.timer(ZERO, ZERO, log.says("old"));
        if later {
            key.feed_later(&mut ev, Events::CUSTOM);
        } else {
            key.feed(&mut ev, Events::CUSTOM);
        }
        key.set_priority(&mut ev, 2).set_ref(&mut ev, false).free(&mut ev);
        let heir = ev.timer(secs(1), secs(2), log.says("heir"));
        assert!(!heir.is_pending(&ev) && !heir.is_active(&ev));
        assert_eq!((heir.priority(&ev), heir.repeat(&ev)), (0, secs(2)));
        ev.run().unwrap();
        heir.start(&mut ev);
        assert!(ev.has_refs());
        heir.free(&mut ev);
    }
    assert_eq!(log.take(), [""; 0]);
}

#[test]
fn free_drops_the_closure_at_once_and_a_running_one_at_its_return() {
    let mut ev = ev();
    let kept = Rc::new(());
    let captured = Rc::clone(&kept);
    let key = ev.idle(move |_, _| drop(Rc::clone(&captured)));
    assert_eq!(Rc::strong_count(&kept), 2);
    key.free(&mut ev);
    assert_eq!(Rc::strong_count(&kept), 1);
    let captured = Rc::clone(&kept);
    ev.idle(move |ev, e| {
        e.watcher.free(ev);
        assert_eq!(Rc::strong_count(&captured), 2, "alive to the end of the call");
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert_eq!(Rc::strong_count(&kept), 1);
}

#[test]
fn a_stopped_watcher_keeps_its_closure() {
    let mut ev = ev();
    let kept = Rc::new(());
    let captured = Rc::clone(&kept);
    let key = ev.timer(ZERO, ZERO, move |_, _| drop(Rc::clone(&captured))).start(&mut ev);
    key.stop(&mut ev);
    assert_eq!(Rc::strong_count(&kept), 2);
}

#[test]
fn watchers_lists_every_started_one_exactly_once() {
    let mut ev = ev();
    let timer = ev.timer(secs(1), ZERO, nothing).start(&mut ev);
    let idle = ev.idle(nothing).start(&mut ev);
    let prepare = ev.prepare(nothing).start(&mut ev);
    let check = ev.check(nothing).set_ref(&mut ev, false).start(&mut ev);
    let notifier = ev.notifier(nothing).0.start(&mut ev);
    let _stopped = ev.timer(secs(1), ZERO, nothing);
    ev.idle(nothing).start(&mut ev).free(&mut ev);
    let all = ev.watchers();
    assert_eq!(all.len(), 5, "{all:?}");
    assert!(all.iter().any(|w| matches!(w, AnyWatcher::Timer(key) if *key == timer)));
    assert!(all.iter().any(|w| matches!(w, AnyWatcher::Idle(key) if *key == idle)));
    assert!(all.iter().any(|w| matches!(w, AnyWatcher::Prepare(key) if *key == prepare)));
    assert!(all.iter().any(|w| matches!(w, AnyWatcher::Check(key) if *key == check)));
    assert!(all.iter().any(|w| matches!(w, AnyWatcher::Async(key) if *key == notifier)));
    let kinds: std::collections::HashSet<Kind> = all.iter().map(|w| w.kind()).collect();
    assert_eq!(kinds.len(), 5);
}

#[test]
fn a_callback_may_stop_all_that_watchers_lists() {
    let mut ev = ev();
    let log = Log::new();
    ev.timer(ms(1), ms(1), log.says("other")).start(&mut ev);
    ev.idle(nothing).start(&mut ev);
    ev.check(nothing).start(&mut ev);
    ev.prepare(nothing).start(&mut ev);
    ev.notifier(nothing).0.start(&mut ev);
    let seen = log.clone();
    ev.timer(ZERO, ms(1), move |ev, _| {
        for watcher in ev.watchers() {
            assert!(watcher.stop(ev));
        }
        seen.push("stopped");
    })
    .start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), ["stopped"]);
    assert!(ev.watchers().is_empty());
}

#[test]
fn verify_may_be_called_from_any_callback() {
    let mut ev = ev();
    ev.prepare(|ev, _| ev.verify()).set_ref(&mut ev, false).start(&mut ev);
    ev.check(|ev, _| ev.verify()).set_ref(&mut ev, false).start(&mut ev);
    let (watcher, notifier) = ev.notifier(|ev, e| {
        e.watcher.stop(ev);
        ev.verify();
    });
    watcher.start(&mut ev);
    notifier.notify();
    ev.timer(ms(1), ZERO, |ev, e| {
        e.watcher.feed(ev, Events::CUSTOM);
        ev.verify();
        e.watcher.free(ev);
        ev.verify();
        ev.defer(|ev| ev.verify());
    })
    .start(&mut ev);
    ev.run().unwrap();
    ev.verify();
}

#[test]
fn dropping_the_loop_drops_every_closure_started_stopped_pending_or_deferred() {
    let kept = Rc::new(());
    let hold = || {
        let captured = Rc::clone(&kept);
        move || drop(Rc::clone(&captured))
    };
    let mut ev = ev();
    let f = hold();
    ev.timer(secs(1), ZERO, move |_, _| f()).start(&mut ev);
    let f = hold();
    ev.idle(move |_, _| f());
    let f = hold();
    ev.check(move |_, _| f()).feed(&mut ev, Events::CUSTOM);
    let f = hold();
    ev.notifier(move |_, _| f()).0.start(&mut ev);
    let f = hold();
    ev.defer(move |_| f());
    let f = hold();
    ev.after(secs(1), move |_| f());
    let f = hold();
    ev.on_wait(f, || ());
    assert_eq!(Rc::strong_count(&kept), 8);
    drop(ev);
    assert_eq!(Rc::strong_count(&kept), 1);
}

#[test]
fn handles_used_by_destructors_of_captures_find_the_loop_gone() {
    struct Witness(Remote, Notifier, Sender<u32>, Log<(bool, bool, bool)>);
    impl Drop for Witness {
        fn drop(&mut self) {
            let posted = self.0.post(|_| panic!("nobody runs this"));
            self.3.push((posted, self.1.notify(), self.2.send(1).is_ok()));
        }
    }
    let log = Log::new();
    let mut ev = ev();
    let (watcher, notifier) = ev.notifier(nothing);
    let (channel, sender) = ev.channel(1, |_, _: u32| ());
    watcher.start(&mut ev);
    channel.start(&mut ev);
    let witness = Witness(ev.remote(), notifier, sender, log.clone());
    ev.timer(ZERO, ZERO, move |_, _| _ = &witness).start(&mut ev);
    drop(ev);
    assert_eq!(log.take(), [(false, false, false)]);
}

#[test]
fn slots_are_reused_and_keys_never_repeat() {
    let mut ev = ev();
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1000 {
        let key = ev.timer(secs(1), ZERO, nothing).start(&mut ev);
        assert!(seen.insert(key), "{key:?} was given twice");
        key.free(&mut ev);
    }
    ev.verify();
    assert!(!ev.has_refs());
}
