// How WebSockets end.

use std::cell::Cell;

use crate::sockets::*;

#[test]
fn a_peer_that_closes_is_answered_with_its_code() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    raw.close(4001, "enough");
    assert_eq!(raw.hears_close(&mut ev, 4001), "");
    assert_eq!(raw.ends(&mut ev), End::Orderly);
    drop(raw);
    until(&mut ev, |_| log.borrow().len() == 2);
    assert_eq!(said(&log), ["opened", "closed 4001 \"enough\" clean"]);
    assert_eq!(ev.stream_count(), 0);
}

#[test]
fn a_close_without_a_code_is_answered_without_one() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    raw.frame(0x88, "");
    raw.hears(&mut ev, 0x88, "");
    raw.ends(&mut ev);
    raw.finish();
    until(&mut ev, |_| log.borrow().len() == 2);
    assert_eq!(said(&log), ["opened", "closed 1005 \"\" clean"]);
}

#[test]
fn closing_from_here_sends_what_was_sent_before_and_waits_for_the_answer() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    ws.send_text(&mut ev, "last words").unwrap();
    ws.close(&mut ev, CloseCode(3000), "bye").unwrap();
    assert!(!ws.is_open(&ev));
    assert_eq!(ev.websockets(), []);
    assert_eq!(ws.send_text(&mut ev, "no").unwrap_err().kind(), ErrorKind::Closed);
    ws.close(&mut ev, CloseCode::NORMAL, "again").unwrap();
    raw.hears(&mut ev, 0x81, "last words");
    assert_eq!(raw.hears_close(&mut ev, 3000), "bye");
    raw.hears_nothing(&mut ev);
    // It may have sent this before it has read that.
    raw.text("too late");
    raw.frame(0x89, "too late");
    raw.close(3000, "bye yourself");
    assert_eq!(raw.ends(&mut ev), End::Orderly);
    raw.finish();
    until(&mut ev, |_| log.borrow().len() == 2);
    assert_eq!(said(&log), ["opened", "closed 3000 \"bye yourself\" clean"]);
    assert!(ws.close(&mut ev, CloseCode::NORMAL, "").is_ok());
    assert!(!ws.pause(&mut ev) && !ws.resume(&mut ev));
    assert_eq!(ws.ping(&mut ev, "").unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_wrong_code_or_reason_leaves_it_open() {
    let mut ev = ev();
    let (server, _) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    for (code, reason) in [(1005, ""), (1006, ""), (0, ""), (1000, &"x".repeat(124)[..])] {
        let kind = ws.close(&mut ev, CloseCode(code), reason).unwrap_err().kind();
        assert_eq!(kind, ErrorKind::InvalidInput);
    }
    raw.text("still there");
    raw.hears(&mut ev, 0x81, "still there");
}

#[test]
fn who_does_not_answer_a_close_is_cut_after_three_seconds() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    ev.websockets()[0].close(&mut ev, CloseCode::NORMAL, "").unwrap();
    raw.hears_close(&mut ev, 1000);
    pass(&mut ev, Duration::from_millis(2900));
    assert_eq!(said(&log), ["opened"]);
    pass(&mut ev, Duration::from_millis(200));
    assert_eq!(said(&log), ["closed 1006 \"\" unclean"]);
    raw.ends(&mut ev);
}

#[test]
fn who_says_goodbye_and_does_not_leave_is_cut_after_three_seconds() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    raw.close(1000, "");
    raw.hears_close(&mut ev, 1000);
    raw.ends(&mut ev);
    for _ in 0..10 {
        raw.push(&[0; 1000]);
        pass(&mut ev, Duration::from_millis(250));
    }
    assert_eq!(said(&log), ["opened"]);
    pass(&mut ev, Duration::from_millis(600));
    assert_eq!(said(&log), ["closed 1000 \"\" clean"]);
    assert_eq!(ev.stream_count(), 0);
}

#[test]
fn an_end_without_a_goodbye_is_1006_and_what_was_answered_is_sent() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    raw.text("and gone");
    raw.finish();
    raw.hears(&mut ev, 0x81, "and gone");
    raw.ends(&mut ev);
    until(&mut ev, |_| log.borrow().len() == 3);
    assert_eq!(said(&log), ["opened", "text and gone", "closed 1006 \"\" unclean"]);
}

/// A client over TCP, which can be reset.
fn over_tcp(ev: &mut EvLoop, options: WebSocketOptions) -> (Raw, Told) {
    let log = Told::default();
    let notes = Rc::clone(&log);
    let routes = routes(options, move |_, _, event| {
        if let WebSocketEvent::Closed(closed) = &event {
            assert!(closed.error.is_some());
        }
        note(&notes, &event);
    });
    let server = ev.http_server("127.0.0.1:0", routes).unwrap();
    let port = server.addresses(ev)[0].port().unwrap();
    let mut raw = Raw::of(std::net::TcpStream::connect(("127.0.0.1", port)).unwrap(), true);
    let head = raw.ask(ev, &format!("{OPENING}\r\n"));
    assert!(head.starts_with("HTTP/1.1 101 "));
    settle(ev);
    (raw, log)
}

#[test]
fn a_reset_is_told_as_closed() {
    let mut ev = ev();
    let (raw, log) = over_tcp(&mut ev, WebSocketOptions::new());
    raw.reset();
    until(&mut ev, |_| log.borrow().len() == 2);
    assert_eq!(said(&log), ["opened", "closed 1006 \"\" unclean"]);
    assert_eq!(ev.websockets(), []);
}

#[test]
fn a_reset_while_nothing_is_read_is_told_as_closed() {
    let mut ev = ev();
    let (mut raw, log) = over_tcp(&mut ev, WebSocketOptions::new());
    assert!(ev.websockets()[0].pause(&mut ev));
    raw.text("never read");
    settle(&mut ev);
    raw.reset();
    until(&mut ev, |_| log.borrow().len() == 2);
    assert_eq!(said(&log), ["opened", "closed 1006 \"\" unclean"]);
}

#[test]
fn a_server_that_stops_says_1001_and_waits_for_the_answer() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let stopped = Rc::new(Cell::new(false));
    let told = Rc::clone(&stopped);
    server.on_stopped(&mut ev, move |_| told.set(true));
    server.shutdown(&mut ev, Some(Duration::from_secs(10)));
    raw.hears_close(&mut ev, 1001);
    settle(&mut ev);
    assert!(!stopped.get());
    raw.close(1001, "");
    raw.ends(&mut ev);
    raw.finish();
    until(&mut ev, |_| stopped.get());
    assert_eq!(said(&log), ["opened", "closed 1001 \"\" clean"]);
}

#[test]
fn a_server_that_stops_now_cuts_them() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let stopped = Rc::new(Cell::new(false));
    let told = Rc::clone(&stopped);
    server.on_stopped(&mut ev, move |_| told.set(true));
    server.stop_now(&mut ev);
    until(&mut ev, |_| stopped.get());
    raw.ends(&mut ev);
    assert_eq!(said(&log), ["opened", "closed 1006 \"\" unclean"]);
}

#[test]
fn a_server_that_stops_waits_no_longer_than_the_close_time_out() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let _raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let stopped = Rc::new(Cell::new(false));
    let told = Rc::clone(&stopped);
    server.on_stopped(&mut ev, move |_| told.set(true));
    server.shutdown(&mut ev, None);
    pass(&mut ev, Duration::from_millis(3100));
    assert!(stopped.get());
    assert_eq!(said(&log), ["opened", "closed 1006 \"\" unclean"]);
}

#[test]
fn closed_is_told_when_the_loop_ends() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    drop(ev);
    assert_eq!(said(&log), ["opened", "closed 1006 \"\" unclean"]);
    drop(raw);
}

#[test]
fn cutting_tells_closed_and_throws_away_what_waits() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    ws.close_now(&mut ev);
    assert_eq!(said(&log), ["opened"]);
    raw.ends(&mut ev);
    assert_eq!(said(&log), ["closed 1006 \"\" unclean"]);
    ws.close_now(&mut ev);
    settle(&mut ev);
    assert_eq!(said(&log), [""; 0]);
}

#[test]
fn closing_is_possible_whatever_waits() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    let chunk = vec![7; 64 * 1024];
    let mut sent = 0;
    while ws.send_binary(&mut ev, &chunk).is_ok() {
        sent += 1;
    }
    assert!(sent >= 15);
    ws.close(&mut ev, CloseCode::NORMAL, "").unwrap();
    for _ in 0..sent {
        raw.hears(&mut ev, 0x82, &chunk);
    }
    raw.hears_close(&mut ev, 1000);
    raw.close(1000, "");
    raw.ends(&mut ev);
    raw.finish();
    until(&mut ev, |_| log.borrow().len() >= 2);
    assert_eq!(said(&log).last().unwrap(), "closed 1000 \"\" clean");
}

/// Requests that are kept, with the right to answer them.
type Later = Rc<RefCell<Vec<(Request, Reply)>>>;

/// A server that accepts when it is told to, and the request that waits.
fn accepting_later(ev: &mut EvLoop, routes: Routes) -> (Server, Later) {
    let waiting = Rc::<RefCell<Vec<_>>>::default();
    let keeps = Rc::clone(&waiting);
    let routes = routes.get("/ws", move |_: &mut EvLoop, request: Request, reply: Reply| {
        keeps.borrow_mut().push((request, reply));
    });
    (ServerOptions::new().unbound(ev, routes).unwrap(), waiting)
}

#[test]
fn a_peer_that_has_ended_its_side_before_it_was_accepted_is_told_as_closed() {
    let mut ev = ev();
    let (server, waiting) = accepting_later(&mut ev, Routes::new());
    let mut raw = Raw::connected(&mut ev, server);
    raw.send(format!("{OPENING}\r\n"));
    raw.finish();
    until(&mut ev, |_| !waiting.borrow().is_empty());
    settle(&mut ev);
    let (request, reply) = waiting.borrow_mut().remove(0);
    let log = Told::default();
    let notes = Rc::clone(&log);
    WebSocket::accept(&mut ev, &request, reply, move |_, _, event| note(&notes, &event)).unwrap();
    drop(request);
    assert!(raw.head(&mut ev).starts_with("HTTP/1.1 101 "));
    assert_eq!(raw.ends(&mut ev), End::Orderly);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(said(&log), ["opened", "closed 1006 \"\" unclean"]);
}

#[test]
fn what_was_sent_before_such_an_end_is_told() {
    let mut ev = ev();
    let (server, waiting) = accepting_later(&mut ev, Routes::new());
    let mut raw = Raw::connected(&mut ev, server);
    raw.send([format!("{OPENING}\r\n").into_bytes(), frame(0x81, b"hello", true)].concat());
    raw.finish();
    until(&mut ev, |_| !waiting.borrow().is_empty());
    settle(&mut ev);
    let (request, reply) = waiting.borrow_mut().remove(0);
    let log = Told::default();
    let notes = Rc::clone(&log);
    WebSocket::accept(&mut ev, &request, reply, move |_, _, event| note(&notes, &event)).unwrap();
    drop(request);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(said(&log), ["opened", "text hello", "closed 1006 \"\" unclean"]);
}

#[test]
fn a_hook_that_ends_everything_while_one_is_accepted_leaves_nothing() {
    for runs in [false, true] {
        let mut ev = ev();
        let here = Rc::new(Cell::new(None::<Server>));
        let stops = Rc::clone(&here);
        // It is told that the request is over, which it is with the upgrade.
        let routes = Routes::new().on_completed(move |ev, _| {
            let Some(server) = stops.get() else { return };
            server.stop_now(ev);
            if runs {
                for _ in 0..10 {
                    turn(ev);
                }
            }
        });
        let (server, waiting) = accepting_later(&mut ev, routes);
        here.set(Some(server));
        let stopped = Rc::new(Cell::new(false));
        let tells = Rc::clone(&stopped);
        server.on_stopped(&mut ev, move |_| tells.set(true));
        let mut raw = Raw::connected(&mut ev, server);
        raw.send(format!("{OPENING}\r\n"));
        until(&mut ev, |_| !waiting.borrow().is_empty());
        let (request, reply) = waiting.borrow_mut().remove(0);
        let log = Told::default();
        let notes = Rc::clone(&log);
        let accepted =
            WebSocket::accept(&mut ev, &request, reply, move |_, _, event| note(&notes, &event));
        drop(request);
        until(&mut ev, |_| stopped.get());
        assert_eq!(ev.stream_count(), 0);
        let told = said(&log);
        match accepted {
            Ok(_) => assert_eq!(told.last().unwrap(), "closed 1006 \"\" unclean", "{runs}"),
            Err(_) => assert!(told.is_empty(), "{runs}: {told:?}"),
        }
    }
}

#[test]
fn all_of_an_end_has_one_time_out() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    ev.websockets()[0].close(&mut ev, CloseCode::NORMAL, "").unwrap();
    raw.hears_close(&mut ev, 1000);
    pass(&mut ev, Duration::from_millis(2900));
    // It answers late, and does not leave.
    raw.close(1000, "");
    raw.ends(&mut ev);
    assert_eq!(said(&log), ["opened"]);
    pass(&mut ev, Duration::from_millis(200));
    assert_eq!(said(&log), ["closed 1000 \"\" clean"]);
    assert_eq!(ev.stream_count(), 0);
}
