// The typed bounded channel on the loop's own thread: loop-api.md surface, api notes.

#[test]
fn messages_arrive_in_order_one_per_callback() {
    let mut ev = ev();
    let log = Log::<u32>::new();
    let seen = log.clone();
    let (watcher, sender) = ev.channel(8, move |_, n| seen.push(n));
    watcher.start(&mut ev);
    for n in 1..=5 {
        sender.send(n).unwrap();
    }
    while log.len() < 5 {
        assert!(ev.run_mode(Run::Once).unwrap());
    }
    assert_eq!(log.take(), [1, 2, 3, 4, 5]);
}

#[test]
fn a_full_channel_gives_the_message_back() {
    let mut ev = ev();
    let log = Log::<String>::new();
    let seen = log.clone();
    let (watcher, sender) = ev.channel(2, move |_, text| seen.push(text));
    watcher.start(&mut ev);
    sender.send("one".to_owned()).unwrap();
    sender.clone().send("two".to_owned()).unwrap();
    let refused = sender.send("three".to_owned()).unwrap_err();
    assert!(matches!(&refused, SendError::Full(text) if text == "three"));
    assert!(!refused.to_string().is_empty());
    assert_eq!(refused.into_inner(), "three");
    while log.len() < 2 {
        ev.run_mode(Run::Once).unwrap();
    }
    assert_eq!(log.take(), ["one", "two"]);
    sender.send("four".to_owned()).expect("room again");
    ev.run_mode(Run::Once).unwrap();
    assert_eq!(log.take(), ["four"]);
}

#[test]
fn a_closed_channel_gives_the_message_back() {
    let mut ev = ev();
    let (watcher, freed) = ev.channel(1, |_, _: u32| ());
    watcher.start(&mut ev);
    watcher.free(&mut ev);
    let refused = freed.send(7).unwrap_err();
    assert!(matches!(refused, SendError::Closed(7)), "{refused:?}");
    let (watcher, orphan) = ev.channel(1, |_, _: u32| ());
    watcher.start(&mut ev);
    orphan.send(8).unwrap();
    drop(ev);
    let refused = orphan.send(9).unwrap_err();
    assert!(matches!(refused, SendError::Closed(9)), "closed, not full: {refused:?}");
}

#[test]
fn messages_queue_while_the_watcher_is_stopped() {
    let mut ev = ev();
    let log = Log::<u32>::new();
    let seen = log.clone();
    let (watcher, sender) = ev.channel(2, move |_, n| seen.push(n));
    sender.send(1).unwrap();
    sender.send(2).unwrap();
    assert!(matches!(sender.send(3), Err(SendError::Full(3))));
    ev.run().unwrap();
    assert_eq!(log.take(), [], "not started");
    watcher.start(&mut ev);
    while log.len() < 2 {
        ev.run_mode(Run::Once).unwrap();
    }
    assert_eq!(log.take(), [1, 2]);
}

#[test]
fn a_callback_that_stops_its_watcher_leaves_the_rest_queued() {
    let mut ev = ev();
    let log = Log::<u32>::new();
    let (seen, key) = (log.clone(), Rc::new(Cell::new(None::<Async>)));
    let me = Rc::clone(&key);
    let (watcher, sender) = ev.channel(8, move |ev, n| {
        seen.push(n);
        if n == 1 {
            me.get().unwrap().stop(ev);
        }
    });
    key.set(Some(watcher));
    watcher.start(&mut ev);
    for n in 1..=3 {
        sender.send(n).unwrap();
    }
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [1]);
    watcher.start(&mut ev);
    while log.len() < 2 {
        ev.run_mode(Run::Once).unwrap();
    }
    assert_eq!(log.take(), [2, 3]);
}

#[test]
fn a_callback_that_frees_its_watcher_drops_the_rest() {
    let mut ev = ev();
    let kept = Rc::new(Cell::new(None::<Async>));
    let (me, calls) = (Rc::clone(&kept), Count::new());
    let count = calls.clone();
    let (watcher, sender) = ev.channel(8, move |ev, _: std::sync::Arc<()>| {
        count.up();
        me.get().unwrap().free(ev);
    });
    kept.set(Some(watcher));
    watcher.start(&mut ev);
    let message = std::sync::Arc::new(());
    for _ in 0..3 {
        sender.send(std::sync::Arc::clone(&message)).unwrap();
    }
    assert!(!ev.run().unwrap());
    assert_eq!(calls.get(), 1);
    assert!(matches!(sender.send(message), Err(SendError::Closed(_))));
}

#[test]
fn when_every_sender_is_gone_the_watcher_stops_itself_after_the_last_message() {
    let _dog = Watchdog::new(secs(60));
    let mut ev = ev();
    let log = Log::<u32>::new();
    let seen = log.clone();
    let (watcher, sender) = ev.channel(8, move |_, n| seen.push(n));
    watcher.start(&mut ev);
    let second = sender.clone();
    sender.send(1).unwrap();
    drop(sender);
    assert!(ev.run_mode(Run::Once).unwrap(), "a sender is left");
    assert!(watcher.is_active(&ev));
    second.send(2).unwrap();
    second.send(3).unwrap();
    drop(second);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [1, 2, 3]);
    assert!(!watcher.is_active(&ev) && watcher.exists(&ev));
}

#[test]
fn a_watcher_started_after_its_senders_are_gone_does_not_hold_the_loop() {
    let _dog = Watchdog::new(secs(60));
    let mut ev = ev();
    let log = Log::<u32>::new();
    let seen = log.clone();
    let (watcher, sender) = ev.channel(8, move |_, n| seen.push(n));
    sender.send(1).unwrap();
    drop(sender);
    watcher.start(&mut ev);
    assert!(!ev.run().unwrap());
    assert_eq!(log.take(), [1]);
    assert!(!watcher.is_active(&ev));
}

#[test]
fn a_callback_that_keeps_sending_to_itself_does_not_starve_the_loop() {
    let mut ev = ev();
    let calls = Count::new();
    let (count, back) = (calls.clone(), Rc::new(RefCell::new(None::<Sender<u32>>)));
    let again = Rc::clone(&back);
    let (watcher, sender) = ev.channel(1, move |_, n: u32| {
        count.up();
        let sent = again.borrow().as_ref().map(|sender| sender.send(n + 1));
        assert!(sent.is_none_or(|sent| sent.is_ok()), "its own message has left the queue");
    });
    watcher.start(&mut ev);
    sender.send(0).unwrap();
    *back.borrow_mut() = Some(sender);
    ev.timer(ZERO, ZERO, |ev, _| ev.break_loop(Break::All)).start(&mut ev);
    assert!(ev.run().unwrap(), "the timer got its turn");
    assert!(calls.get() >= 1);
    back.take();
}

#[test]
fn unread_messages_are_dropped_with_the_loop() {
    let message = std::sync::Arc::new(());
    let mut ev = ev();
    let (watcher, sender) = ev.channel(4, |_, _| ());
    watcher.start(&mut ev);
    sender.send(std::sync::Arc::clone(&message)).unwrap();
    drop(ev);
    drop(sender);
    assert_eq!(std::sync::Arc::strong_count(&message), 1);
}
