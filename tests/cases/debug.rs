// What is printed on request: loop-api.md, end; api notes.

#[test]
fn the_loop_says_what_keeps_it_alive_and_where_that_was_made() {
    let mut ev = ev();
    let line = line!() + 1;
    ev.timer(secs(9), ZERO, nothing).start(&mut ev);
    let text = format!("{ev:?}");
    assert!(text.contains("EvLoop") && text.to_lowercase().contains("timer"), "{text}");
    if cfg!(debug_assertions) {
        assert!(text.contains(&format!("debug.rs:{line}")), "the site is missing: {text}");
    }
    let text = format!("{ev:#?}");
    assert!(text.to_lowercase().contains("timer"), "{text}");
}

#[test]
fn the_site_is_kept_for_every_kind() {
    let mut ev = ev();
    let first = line!() + 1;
    ev.idle(nothing).start(&mut ev);
    ev.prepare(nothing).start(&mut ev);
    ev.check(nothing).start(&mut ev);
    ev.notifier(nothing).0.start(&mut ev);
    ev.after(secs(1), |_| ());
    let (socket, _peer) = std::os::unix::net::UnixStream::pair().unwrap();
    ev.io(socket, Interest::NONE, |_, _| ()).start(&mut ev).unwrap();
    let text = format!("{ev:?}");
    if cfg!(debug_assertions) {
        for line in [first, first + 1, first + 2, first + 3, first + 4, first + 6] {
            assert!(text.contains(&format!("debug.rs:{line}")), "{line} is missing: {text}");
        }
    }
}

#[test]
fn the_loop_can_be_printed_from_a_callback() {
    let mut ev = ev();
    let log = Log::<String>::new();
    let seen = log.clone();
    ev.timer(ZERO, ms(1), move |ev, e| {
        seen.push(format!("{ev:?}"));
        e.watcher.free(ev);
        seen.push(format!("{ev:?}"));
    })
    .start(&mut ev);
    ev.run().unwrap();
    assert!(log.take().iter().all(|text| text.contains("EvLoop")));
}

#[test]
fn bit_sets_print_their_names() {
    let text = format!("{:?}", Events::READ | Events::TIMER);
    assert!(text.contains("READ") && text.contains("TIMER") && !text.contains("WRITE"), "{text}");
    let text = format!("{:?}", Interest::WRITE | Interest::PEER_CLOSE);
    assert!(text.contains("WRITE") && text.contains("PEER_CLOSE"), "{text}");
    assert!(!format!("{:?}", Events::NONE).is_empty());
    assert!(!format!("{:?}", Interest::NONE).is_empty());
}

#[test]
fn bit_sets_work_like_sets() {
    let mut events = Events::READ | Events::ERROR;
    assert!(events.contains(Events::READ) && !events.contains(Events::READ | Events::WRITE));
    assert!(events.intersects(Events::READ | Events::WRITE) && !events.intersects(Events::TIMER));
    assert!(events.contains(Events::NONE) && !events.intersects(Events::NONE));
    events |= Events::TIMER;
    assert_eq!(events & Events::TIMER, Events::TIMER);
    assert_eq!(events - Events::READ, Events::ERROR | Events::TIMER);
    assert!(Events::NONE.is_empty() && !events.is_empty());
    let all = [
        Events::READ,
        Events::WRITE,
        Events::PRIORITY,
        Events::PEER_CLOSE,
        Events::ERROR,
        Events::TIMER,
        Events::IDLE,
        Events::PREPARE,
        Events::CHECK,
        Events::ASYNC,
        Events::CUSTOM,
    ];
    for (n, one) in all.iter().enumerate() {
        assert!(all[n + 1..].iter().all(|other| !one.intersects(*other)), "{one:?}");
    }
}

#[test]
fn errors_say_what_happened_and_turn_into_io_errors() {
    let mut ev = ev();
    ev.suspend();
    let error = ev.run().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Suspended);
    assert!(!error.to_string().is_empty() && !format!("{error:?}").is_empty());
    let io: std::io::Error = error.into();
    assert!(!io.to_string().is_empty());
    fn thread_safe<T: Send + Sync + std::error::Error + 'static>() {}
    thread_safe::<Error>();
}
