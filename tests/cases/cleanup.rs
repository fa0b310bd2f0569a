// Cleanup watchers: called when the loop is dropped, while it still works: loop.md 1.10, 3.10;
// reliability.md R10. What forks have to do with them is in `tests/fork.rs`.

#[test]
fn cleanup_watchers_are_called_when_the_loop_is_dropped_in_start_order_and_by_priority() {
    let mut ev = ev();
    let log = Log::new();
    let keys = ["a", "b", "c", "d"].map(|name| ev.on_close(log.says(name)));
    for n in [2, 0, 3, 1] {
        keys[n].start(&mut ev);
    }
    keys[3].set_priority(&mut ev, 2);
    keys[2].set_priority(&mut ev, -2);
    ev.on_close(log.says("stopped"));
    ev.on_close(log.says("stopped again")).start(&mut ev).stop(&mut ev);
    ev.run().unwrap();
    assert_eq!(log.take(), [""; 0], "not by a run");
    drop(ev);
    assert_eq!(log.take(), ["d", "a", "b", "c"]);
}

#[test]
fn a_cleanup_watcher_keeps_no_loop_running_whatever_its_ref() {
    let mut ev = ev();
    let key = ev.on_close(nothing).start(&mut ev);
    assert!(key.is_active(&ev) && !ev.has_refs());
    key.set_ref(&mut ev, true);
    assert!(!ev.has_refs() && !ev.run().unwrap());
    key.set_ref(&mut ev, false).stop(&mut ev);
    key.start(&mut ev);
    ev.verify();
    assert_eq!(ev.watchers(), [AnyWatcher::Cleanup(key)]);
}

#[test]
fn the_event_says_cleanup_and_feeding_works_at_any_time() {
    let mut ev = ev();
    let log = Log::<(Events, bool)>::new();
    let says = log.clone();
    let key = ev.on_close(move |ev, e| says.push((e.ready, e.watcher.is_active(ev))));
    key.feed(&mut ev, Events::CUSTOM);
    ev.run_mode(Run::NoWait).unwrap();
    assert!(key.invoke(&mut ev, Events::NONE));
    key.start(&mut ev);
    drop(ev);
    let told = [(Events::CUSTOM, false), (Events::NONE, false), (Events::CLEANUP, true)];
    assert_eq!(log.take(), told);
}

#[test]
fn the_loop_is_usable_in_a_cleanup_and_can_even_be_run() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::new();
    let timer = ev.timer(secs(9), ZERO, log.says("old timer")).start(&mut ev);
    let fed = ev.idle(log.says("fed"));
    let says = log.clone();
    ev.on_close(move |ev, _| {
        says.push("cleanup");
        assert!(timer.is_active(ev), "nothing was stopped yet");
        assert_eq!(ev.depth(), 0);
        ev.verify();
        fed.feed(ev, Events::CUSTOM);
        ev.timer(secs(1), ZERO, says.says("new timer")).start(ev);
        let deferred = says.clone();
        ev.defer(move |_| deferred.push("deferred"));
        assert!(!ev.run().unwrap());
        says.push("was run");
        timer.free(ev);
        assert!(ev.remote().wake(), "handles still reach it");
    })
    .start(&mut ev);
    drop(ev);
    assert_eq!(log.take(), ["cleanup", "fed", "deferred", "new timer", "old timer", "was run"]);
    assert_eq!(clock.elapsed(), secs(9));
}

#[test]
fn what_a_cleanup_feeds_is_delivered_before_the_loop_goes() {
    let mut ev = ev();
    let log = Log::new();
    let fed = ev.timer(ZERO, ZERO, log.says("fed"));
    ev.on_close(move |ev, _| assert!(fed.feed(ev, Events::CUSTOM))).start(&mut ev);
    ev.on_close(log.says("second")).start(&mut ev);
    drop(ev);
    assert_eq!(log.take(), ["second", "fed"]);
}

#[test]
fn starting_a_cleanup_in_a_cleanup_has_no_effect() {
    let mut ev = ev();
    let log = Log::new();
    let never = ev.on_close(log.says("never"));
    let says = log.clone();
    ev.on_close(move |ev, e| {
        says.push("first");
        never.start(ev);
        ev.on_close(says.says("new")).start(ev);
        assert!(!never.is_active(ev));
        // Itself, once more: neither.
        e.watcher.stop(ev);
        e.watcher.start(ev);
        assert!(!e.watcher.is_active(ev));
        ev.verify();
    })
    .start(&mut ev);
    ev.on_close(log.says("second")).start(&mut ev);
    drop(ev);
    assert_eq!(log.take(), ["first", "second"]);
}

#[test]
fn a_cleanup_may_stop_and_free_itself_and_the_others() {
    let mut ev = ev();
    let (log, alive) = (Log::new(), Rc::new(()));
    let (stopped, freed) = (ev.on_close(log.says("stopped")), ev.on_close(log.says("freed")));
    let (says, held) = (log.clone(), Rc::clone(&alive));
    ev.on_close(move |ev, e| {
        assert!(stopped.stop(ev) && freed.free(ev) && e.watcher.free(ev));
        assert!(!e.watcher.exists(ev));
        ev.verify();
        assert_eq!(Rc::strong_count(&held), 2, "the closure lives to the end of the call");
        says.push("first");
    })
    .start(&mut ev);
    stopped.start(&mut ev);
    freed.start(&mut ev);
    ev.on_close(log.says("last")).start(&mut ev);
    drop(ev);
    assert_eq!(log.take(), ["first", "last"]);
    assert_eq!(Rc::strong_count(&alive), 1);
}

#[test]
fn a_panic_in_a_cleanup_reaches_whoever_drops_the_loop_after_the_others_were_called() {
    let mut ev = ev();
    let (log, alive) = (Log::new(), Rc::new(()));
    let held = Rc::clone(&alive);
    ev.timer(secs(9), ZERO, move |_, _| drop(Rc::clone(&held))).start(&mut ev);
    ev.on_close(log.says("first")).start(&mut ev);
    ev.on_close(|_, _| panic!("one")).start(&mut ev);
    ev.on_close(log.says("between")).start(&mut ev);
    ev.on_close(|_, _| panic!("two")).start(&mut ev);
    ev.on_close(log.says("last")).start(&mut ev);
    let remote = ev.remote();
    assert_eq!(panic_of(|| drop(ev)).as_deref(), Some("one"), "the first one's");
    assert_eq!(log.take(), ["first", "between", "last"]);
    assert!(!remote.wake(), "the loop is gone all the same");
    assert_eq!(Rc::strong_count(&alive), 1, "and so are the closures");
}

#[test]
fn a_panic_in_a_cleanup_does_not_abort_a_program_that_is_unwinding() {
    let log = Log::new();
    let says = log.clone();
    let message = panic_of(move || {
        let mut ev = ev();
        ev.on_close(|_, _| panic!("cleanup")).start(&mut ev);
        ev.on_close(says.says("called")).start(&mut ev);
        panic!("first");
    });
    assert_eq!(message.as_deref(), Some("first"));
    assert_eq!(log.take(), ["called"]);
}

#[test]
fn a_suspended_loop_is_cleaned_up_too() {
    let mut ev = ev();
    let log = Log::new();
    ev.on_close(log.says("cleanup")).start(&mut ev);
    ev.suspend();
    drop(ev);
    assert_eq!(log.take(), ["cleanup"]);
}

#[test]
fn a_posted_closure_may_start_a_cleanup_and_a_replaced_callback_counts() {
    let mut ev = ev();
    let log = Log::new();
    let key = ev.on_close(log.says("old"));
    let posted = ev.remote().post(move |ev| {
        key.start(ev);
    });
    assert!(posted);
    ev.run_mode(Run::NoWait).unwrap();
    assert!(key.is_active(&ev) && key.set_callback(&mut ev, log.says("new")));
    drop(ev);
    assert_eq!(log.take(), ["new"]);
}

#[test]
fn thousands_of_cleanups_come_in_order_stopped_ones_left_out() {
    let mut ev = ev();
    let log = Log::<usize>::new();
    let keys: Vec<_> = (0..3000).map(|n| ev.on_close(log.says(n)).start(&mut ev)).collect();
    for key in keys.iter().step_by(3) {
        key.stop(&mut ev);
    }
    ev.verify();
    drop(ev);
    assert_eq!(log.take(), (0..3000).filter(|n| n % 3 != 0).collect::<Vec<_>>());
}

#[test]
fn a_cleanup_that_feeds_itself_and_panics_is_left_at_last() {
    let mut ev = ev();
    let (called, log) = (Count::new(), Log::new());
    let count = called.clone();
    ev.on_close(move |ev, e| {
        if count.up() < 1000 {
            e.watcher.feed(ev, Events::CUSTOM);
        }
        panic!("again");
    })
    .start(&mut ev);
    ev.on_close(log.says("other")).start(&mut ev);
    assert_eq!(panic_of(|| drop(ev)).as_deref(), Some("again"));
    assert!((1..10).contains(&called.get()), "called {} times", called.get());
    assert_eq!(log.take(), ["other"]);
}
