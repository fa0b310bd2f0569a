// Setting priorities: loop.md 2.1, 2.2.

/// One watcher of every in-process kind, its priority read back after each of `wishes`.
macro_rules! read_back {
    ($ev:ident, $key:expr, $wishes:expr) => {{
        let key = $key;
        assert_eq!(key.priority(&$ev), 0, "the default");
        $wishes.map(|p| key.set_priority(&mut $ev, p).priority(&$ev))
    }};
}

#[test]
fn priorities_are_clamped_when_set_for_every_kind() {
    let mut ev = ev();
    let wishes = [-128, -3, -2, -1, 0, 1, 2, 3, 99, 127];
    let clamped = [-2, -2, -2, -1, 0, 1, 2, 2, 2, 2];
    assert_eq!(read_back!(ev, ev.timer(ZERO, ZERO, nothing), wishes), clamped);
    assert_eq!(read_back!(ev, ev.timer(ZERO, ZERO, nothing).start(&mut ev), wishes), clamped);
    assert_eq!(read_back!(ev, ev.idle(nothing), wishes), clamped);
    assert_eq!(read_back!(ev, ev.prepare(nothing), wishes), clamped);
    assert_eq!(read_back!(ev, ev.check(nothing), wishes), clamped);
    assert_eq!(read_back!(ev, ev.notifier(nothing).0, wishes), clamped);
    assert_eq!(read_back!(ev, ev.channel(1, |_, (): ()| ()).0, wishes), clamped);
    let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    assert_eq!(read_back!(ev, ev.io(socket, Interest::READ, |_, _| ()), wishes), clamped);
    ev.verify();
}

#[test]
fn a_priority_changed_while_pending_counts_from_the_next_event() {
    let mut ev = ev();
    let log = Log::new();
    let changed = ev.timer(ZERO, ZERO, log.says("changed"));
    let other = ev.timer(ZERO, ZERO, log.says("other")).set_priority(&mut ev, 1);
    changed.feed(&mut ev, Events::CUSTOM);
    changed.set_priority(&mut ev, 2);
    assert!(changed.is_pending(&ev));
    changed.feed(&mut ev, Events::TIMER); // Or-ed into the event that is queued.
    other.feed(&mut ev, Events::CUSTOM);
    ev.run().unwrap();
    assert_eq!(log.take(), ["other", "changed"]);
    other.feed(&mut ev, Events::CUSTOM);
    changed.feed(&mut ev, Events::CUSTOM);
    ev.run().unwrap();
    assert_eq!(log.take(), ["changed", "other"]);
}

#[test]
fn a_priority_changed_while_active_counts_from_the_next_event() {
    let mut ev = ev();
    let log = Log::new();
    ev.timer(ms(1), ms(1), log.says("plain")).start(&mut ev);
    let raised = ev.timer(ms(1), ms(1), log.says("raised")).start(&mut ev);
    ev.run_mode(Run::Once).unwrap();
    raised.set_priority(&mut ev, 1);
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["plain", "raised", "raised", "plain"]);
}

#[test]
fn a_priority_changed_while_active_moves_idle_prepare_and_check_too() {
    let mut ev = ev();
    let log = Log::new();
    let prepares = ["p1", "p2"].map(|n| ev.prepare(log.says(n)).start(&mut ev));
    let checks = ["c1", "c2"].map(|n| ev.check(log.says(n)).start(&mut ev));
    let idles = ["i1", "i2"].map(|n| ev.idle(log.says(n)).start(&mut ev));
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["p1", "p2", "c1", "c2", "i1", "i2"]);
    prepares[1].set_priority(&mut ev, 1);
    checks[1].set_priority(&mut ev, 1);
    idles[1].set_priority(&mut ev, 1);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take(), ["p2", "p1", "c2", "i2", "c1"], "only one idle priority runs");
    idles[1].set_priority(&mut ev, 0);
    ev.run_mode(Run::NoWait).unwrap();
    assert_eq!(log.take()[..4], ["p2", "p1", "c2", "c1"]);
    ev.verify();
}

#[test]
fn setting_a_priority_keeps_everything_else() {
    let mut ev = ev();
    let key = ev.timer(secs(3), secs(4), nothing).set_ref(&mut ev, false).start(&mut ev);
    let due = key.due(&ev);
    key.feed(&mut ev, Events::CUSTOM);
    key.set_priority(&mut ev, 2);
    assert!(key.is_active(&ev) && key.is_pending(&ev) && !ev.has_refs());
    assert_eq!((key.due(&ev), key.repeat(&ev)), (due, secs(4)));
}
