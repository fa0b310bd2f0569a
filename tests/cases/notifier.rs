// Notifiers on the loop's own thread: loop.md 3.8. Other threads: threads.rs.

#[test]
fn a_notification_calls_the_watcher_with_async() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<(Events, bool)>::new();
    let seen = log.clone();
    let (watcher, notifier) = ev.notifier(move |ev, e| {
        seen.push((e.ready, e.watcher.is_active(ev)));
    });
    watcher.start(&mut ev);
    anchor(&mut ev);
    assert!(notifier.notify());
    assert!(ev.run_mode(Run::Once).unwrap());
    assert_eq!(log.take(), [(Events::ASYNC, true)]);
    assert_eq!(clock.elapsed(), ZERO);
}

#[test]
fn notifications_coalesce() {
    let mut ev = ev();
    let calls = Count::new();
    let (watcher, notifier) = ev.notifier(calls.ups());
    watcher.start(&mut ev);
    for _ in 0..100 {
        assert!(notifier.clone().notify());
    }
    for _ in 0..3 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    assert_eq!(calls.get(), 1);
}

#[test]
fn is_pending_from_send_until_the_loop_takes_the_flag() {
    let mut ev = ev();
    let log = Log::<(&str, bool)>::new();
    let (watcher, notifier) = ev.notifier(nothing);
    watcher.start(&mut ev);
    let (seen, inside) = (log.clone(), notifier.clone());
    ev.check(move |_, _| seen.push(("check", inside.is_pending()))).start(&mut ev);
    let (seen, inside) = (log.clone(), notifier.clone());
    watcher.set_callback(&mut ev, move |_, _| seen.push(("async", inside.is_pending())));
    let (seen, inside) = (log.clone(), notifier.clone());
    ev.prepare(move |_, _| seen.push(("prepare", inside.is_pending()))).start(&mut ev);
    assert!(!notifier.is_pending());
    notifier.notify();
    assert!(notifier.is_pending());
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [("prepare", true), ("check", false), ("async", false)]);
    assert!(!notifier.is_pending());
}

#[test]
fn a_send_from_inside_the_callback_yields_another_callback_in_the_next_iteration() {
    let (mut ev, clock) = ev_with_clock();
    let log = Log::<u64>::new();
    let (watcher, notifier) = ev.notifier(nothing);
    let (seen, again) = (log.clone(), notifier.clone());
    watcher.set_callback(&mut ev, move |ev, e| {
        seen.push(ev.iteration());
        if seen.len() < 3 {
            assert!(again.notify());
        } else {
            e.watcher.stop(ev);
        }
    });
    watcher.start(&mut ev);
    notifier.notify();
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [1, 2, 3]);
    assert_eq!(clock.elapsed(), ZERO);
}

#[test]
fn it_is_made_stopped_and_a_send_has_no_effect_while_it_is() {
    let mut ev = ev();
    let calls = Count::new();
    let (watcher, notifier) = ev.notifier(calls.ups());
    assert!(!watcher.is_active(&ev) && !ev.has_refs());
    assert!(!notifier.notify(), "not started yet");
    assert!(!notifier.is_pending());
    watcher.start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert!(notifier.notify());
    watcher.stop(&mut ev);
    assert!(!notifier.notify(), "stopped");
    watcher.start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(calls.get(), 0, "stop took back what was sent");
    assert!(notifier.notify());
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(calls.get(), 1);
}

#[test]
fn a_send_after_free_and_after_the_loop_is_dropped_says_so() {
    let mut ev = ev();
    let (watcher, freed) = ev.notifier(nothing);
    watcher.start(&mut ev);
    assert!(freed.notify());
    watcher.free(&mut ev);
    assert!(!freed.notify() && !freed.is_pending());
    let (heir, live) = ev.notifier(nothing);
    heir.start(&mut ev);
    assert!(!freed.notify(), "the slot has another owner");
    assert!(!live.is_pending());
    assert!(live.notify());
    drop(ev);
    assert!(!live.notify() && !freed.notify());
    assert!(!live.clone().notify());
}

#[test]
fn once_waits_on_when_what_was_sent_was_taken_back() {
    let (mut ev, clock) = ev_with_clock();
    let calls = Count::new();
    let (watcher, notifier) = ev.notifier(nothing);
    watcher.start(&mut ev);
    ev.timer(secs(1), ZERO, calls.ups()).start(&mut ev);
    assert!(notifier.notify());
    watcher.stop(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!((calls.get(), clock.elapsed()), (1, secs(1)));
}

#[test]
fn several_notifiers_are_told_apart() {
    let mut ev = ev();
    let log = Log::<usize>::new();
    // More than one word of flags, whatever the width of a word.
    let all: Vec<(Async, Notifier)> = (0..200).map(|n| ev.notifier(log.says(n))).collect();
    for (watcher, _) in &all {
        watcher.start(&mut ev);
    }
    for n in [199, 0, 63, 64, 65, 127, 128] {
        assert!(all[n].1.notify());
    }
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), [0, 63, 64, 65, 127, 128, 199], "in start order");
}

#[test]
fn it_holds_the_loop_until_it_is_stopped() {
    let mut ev = ev();
    let (watcher, notifier) = ev.notifier(|ev, e| _ = e.watcher.stop(ev));
    watcher.start(&mut ev);
    assert!(ev.run_mode(Run::NoWait).unwrap());
    notifier.notify();
    assert!(!ev.run().unwrap());
    assert!(!notifier.notify());
}

#[test]
fn a_notification_kept_by_a_break_is_delivered_by_the_next_run() {
    let mut ev = ev();
    let calls = Count::new();
    let (watcher, notifier) = ev.notifier(calls.ups());
    watcher.start(&mut ev);
    ev.prepare(|ev, e| {
        ev.break_loop(Break::All);
        e.watcher.stop(ev);
    })
    .start(&mut ev);
    notifier.notify();
    ev.run().unwrap();
    assert_eq!(calls.get(), 0);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(calls.get(), 1);
}

#[test]
fn handles_may_cross_threads() {
    fn crosses<T: Clone + Send + Sync + 'static>() {}
    crosses::<Notifier>();
    crosses::<Remote>();
    crosses::<Sender<Vec<u8>>>();
}
