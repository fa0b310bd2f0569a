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
