// One message for many, and other threads.

use crate::sockets::*;

#[test]
fn a_prepared_message_goes_to_all_that_are_wanted() {
    let mut ev = ev();
    let (server, _) = echo(&mut ev, WebSocketOptions::new());
    let mut raws: Vec<_> = (0..5).map(|_| Raw::open(&mut ev, server)).collect();
    settle(&mut ev);
    let all = ev.websockets();
    assert_eq!(all.len(), 5);
    for text in ["news".to_owned(), "long news ".repeat(500)] {
        let message = PreparedMessage::text(&text);
        let told = broadcast(&mut ev, |_, ws| ws != all[2], &message);
        assert_eq!((told.sent, told.refused.len()), (4, 0));
        for (n, raw) in raws.iter_mut().enumerate() {
            if n == 2 {
                raw.hears_nothing(&mut ev);
            } else {
                raw.hears(&mut ev, 0x81, &text);
            }
        }
    }
    all[0].send(&mut ev, &PreparedMessage::binary([1, 2])).unwrap();
    raws[0].hears(&mut ev, 0x82, [1, 2]);
}

#[test]
fn what_is_sent_around_a_broadcast_comes_in_order() {
    let mut ev = ev();
    let (server, _) = echo(&mut ev, WebSocketOptions::new());
    let mut raws: Vec<_> = (0..3).map(|_| Raw::open(&mut ev, server)).collect();
    settle(&mut ev);
    let all = ev.websockets();
    for text in ["news".to_owned(), "long news ".repeat(500)] {
        let message = PreparedMessage::text(&text);
        // All of it waits until this is over.
        all[0].send_text(&mut ev, "before").unwrap();
        assert_eq!(broadcast(&mut ev, |_, _| true, &message).sent, 3);
        all[1].send_text(&mut ev, "behind").unwrap();
        assert_eq!(broadcast(&mut ev, |_, _| true, &message).sent, 3);
        raws[0].hears(&mut ev, 0x81, "before");
        for (n, raw) in raws.iter_mut().enumerate() {
            raw.hears(&mut ev, 0x81, &text);
            if n == 1 {
                raw.hears(&mut ev, 0x81, "behind");
            }
            raw.hears(&mut ev, 0x81, &text);
            raw.hears_nothing(&mut ev);
        }
    }
}

#[test]
fn of_a_broadcast_that_does_not_fit_the_rest_comes_later() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    // Each is offered alone, as long as the system takes it.
    let mut sent = 0;
    while ws.stream().output_len(&ev) == 0 {
        let message = PreparedMessage::binary(vec![sent; 60_000]);
        assert_eq!(broadcast(&mut ev, |_, _| true, &message).sent, 1);
        assert!(ws.stream().output_len(&ev) > 60_000);
        turn(&mut ev);
        sent += 1;
    }
    broadcast(&mut ev, |_, _| true, &PreparedMessage::text("last"));
    for n in 0..sent {
        let (first, payload) = raw.next(&mut ev);
        assert!(first == 0x82 && payload == vec![n; 60_000], "{n}");
    }
    raw.hears(&mut ev, 0x81, "last");
    settle(&mut ev);
    assert_eq!(said(&log), ["opened", "drained"]);
}

#[test]
fn a_broadcast_leaves_before_the_goodbye_and_not_behind_a_cut() {
    let mut ev = ev();
    let (server, _) = echo(&mut ev, WebSocketOptions::new());
    let mut one = Raw::open(&mut ev, server);
    let mut other = Raw::open(&mut ev, server);
    settle(&mut ev);
    let all = ev.websockets();
    assert_eq!(broadcast(&mut ev, |_, _| true, &PreparedMessage::text("last")).sent, 2);
    all[0].close(&mut ev, CloseCode(1000), "").unwrap();
    all[1].close_now(&mut ev);
    one.hears(&mut ev, 0x81, "last");
    one.hears_close(&mut ev, 1000);
    other.ends(&mut ev);
    assert_eq!(broadcast(&mut ev, |_, _| true, &PreparedMessage::text("none")).sent, 0);
}

/// Sends to one that does not read until nothing more is taken.
fn stuff(ev: &mut EvLoop, ws: WebSocket) {
    let message = PreparedMessage::binary(vec![0; 100_000]);
    for _ in 0..100 {
        while ws.send(ev, &message).is_ok() {}
        turn(ev);
    }
    assert!(ws.send(ev, &message).is_err());
}

#[test]
fn who_reads_too_slowly_is_told_of_by_a_broadcast() {
    let mut ev = ev();
    let (server, _) = echo(&mut ev, WebSocketOptions::new());
    let _slow = Raw::open(&mut ev, server);
    let mut other = Raw::open(&mut ev, server);
    settle(&mut ev);
    let all = ev.websockets();
    stuff(&mut ev, all[0]);
    let told = broadcast(&mut ev, |_, _| true, &PreparedMessage::text("x"));
    assert_eq!((told.sent, told.refused), (1, vec![all[0]]));
    other.hears(&mut ev, 0x81, "x");
}

#[test]
fn another_thread_sends_to_one_and_to_all_and_closes() {
    let mut ev = live_ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut one = Raw::open(&mut ev, server);
    let mut other = Raw::open(&mut ev, server);
    settle(&mut ev);
    let all = ev.websockets();
    let remote = ev.websocket_remote();
    let to = all[0];
    std::thread::spawn(move || {
        assert!(remote.send_text(to, "for one"));
        assert!(remote.send_binary(to, *b"bytes"));
        assert!(remote.send(to, PreparedMessage::text("prepared")));
        assert!(remote.broadcast(|_, _| true, PreparedMessage::text("for all")));
        assert!(remote.close(to, CloseCode(4000), "from afar"));
        assert!(remote.send_text(to, "gone"));
    })
    .join()
    .unwrap();
    one.hears(&mut ev, 0x81, "for one");
    one.hears(&mut ev, 0x82, "bytes");
    one.hears(&mut ev, 0x81, "prepared");
    one.hears(&mut ev, 0x81, "for all");
    assert_eq!(one.hears_close(&mut ev, 4000), "from afar");
    other.hears(&mut ev, 0x81, "for all");
    other.hears_nothing(&mut ev);
    assert_eq!(said(&log), ["opened", "opened"]);
    let remote = ev.websocket_remote();
    drop(ev);
    assert!(!remote.send_text(to, "nobody is there"));
}

#[test]
fn who_cannot_be_sent_to_from_another_thread_is_closed() {
    let mut ev = live_ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut slow = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    stuff(&mut ev, ws);
    let remote = ev.websocket_remote();
    assert!(remote.broadcast(|_, _| true, PreparedMessage::text("x")));
    until(&mut ev, |ev| !ws.is_open(ev));
    loop {
        let (first, payload) = slow.next(&mut ev);
        if first == 0x88 {
            assert_eq!(payload[..2], 1013_u16.to_be_bytes());
            break;
        }
    }
    slow.close(1013, "");
    slow.ends(&mut ev);
    slow.finish();
    until(&mut ev, |_| log.borrow().last().is_some_and(|last| last.starts_with("closed")));
    assert_eq!(said(&log).last().unwrap(), "closed 1013 \"\" clean");
}

#[test]
fn who_is_in_the_middle_of_a_message_is_closed_too_and_told_why() {
    let mut ev = live_ev();
    let (server, _) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    ws.send_text_fragment(&mut ev, "begun", false).unwrap();
    raw.hears(&mut ev, 0x01, "begun");
    assert!(ev.websocket_remote().broadcast(|_, _| true, PreparedMessage::text("x")));
    assert_eq!(raw.hears_close(&mut ev, 1013), "is in the middle of a message");
}

#[test]
fn hundreds_that_all_end_at_once_are_all_told_of() {
    for how in 0..4 {
        let mut ev = ev();
        let told = Rc::new(Cell::new([0; 2]));
        let counts = Rc::clone(&told);
        let server = server(&mut ev, WebSocketOptions::new(), move |ev, ws, event| {
            let [opened, closed] = counts.get();
            match event {
                WebSocketEvent::Opened => counts.set([opened + 1, closed]),
                WebSocketEvent::Closed(_) => {
                    counts.set([opened, closed + 1]);
                    // Who is told may speak to those who are left.
                    if closed % 50 == 0 {
                        broadcast(ev, |_, _| true, &PreparedMessage::text("one less"));
                    }
                    ws.close_now(ev);
                }
                _ => {}
            }
        });
        let raws: Vec<Raw> = (0..400).map(|_| Raw::open(&mut ev, server)).collect();
        settle(&mut ev);
        assert_eq!((told.get(), ev.websockets().len()), ([400, 0], 400));
        let mut silent = Vec::new();
        match how {
            0 => drop(raws),
            1 => raws.into_iter().for_each(|mut raw| {
                raw.close(1000, "");
                raw.finish();
            }),
            2 => ev.websockets().into_iter().for_each(|ws| ws.close_now(&mut ev)),
            _ => {
                // Half of them do not answer.
                server.shutdown(&mut ev, Some(Duration::from_secs(10)));
                for (n, mut raw) in raws.into_iter().enumerate() {
                    if n % 2 == 0 {
                        raw.close(1001, "");
                        raw.finish();
                    } else {
                        silent.push(raw);
                    }
                }
                pass(&mut ev, Duration::from_millis(3100));
            }
        }
        until(&mut ev, |ev| ev.stream_count() == 0);
        assert_eq!((told.get(), ev.websockets().len()), ([400; 2], 0));
    }
}

#[test]
fn who_never_reads_holds_up_nobody_of_a_broadcast() {
    let mut ev = ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let server = server(&mut ev, WebSocketOptions::new(), move |_, _, event| note(&notes, &event));
    let deaf = Raw::open(&mut ev, server);
    let mut others: Vec<Raw> = (0..5).map(|_| Raw::open(&mut ev, server)).collect();
    settle(&mut ev);
    let message = PreparedMessage::binary(vec![7; 50_000]);
    let (mut sent, mut refused) = (0, 0);
    for _ in 0..200 {
        let told = broadcast(&mut ev, |_, _| true, &message);
        sent += told.sent;
        refused += told.refused.len();
        for raw in &mut others {
            assert!(raw.next(&mut ev) == (0x82, vec![7; 50_000]));
        }
    }
    assert_eq!(sent + refused, 200 * 6);
    assert!((100..200).contains(&refused), "{refused}");
    // Until the write time-out cuts it.
    said(&log);
    pass(&mut ev, Duration::from_secs(31));
    assert_eq!(said(&log), ["closed 1006 \"\" unclean"]);
    assert_eq!(ev.websockets().len(), 5);
    drop(deaf);
}
