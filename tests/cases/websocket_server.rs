// Opening WebSockets at a server, and talking.

use crate::sockets::*;
use evloop::http::{Reply, Routes, ServerOptions};

#[test]
fn messages_come_and_go() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    until(&mut ev, |_| !log.borrow().is_empty());
    assert_eq!(said(&log), ["opened"]);
    raw.text("hello");
    raw.hears(&mut ev, 0x81, "hello");
    raw.frame(0x82, b"\x00\xff");
    raw.hears(&mut ev, 0x82, b"\x00\xff");
    raw.frame(0x01, "in ");
    raw.frame(0x89, "?");
    raw.frame(0x80, "parts");
    raw.hears(&mut ev, 0x8A, "?");
    raw.hears(&mut ev, 0x81, "in parts");
    raw.frame(0x8A, "unasked");
    settle(&mut ev);
    let expected =
        ["text hello", "binary \\x00\\xff", "ping ?", "text in parts", "pong unasked"];
    assert_eq!(said(&log), expected);
    for len in [125, 126, 65_535, 65_536, 200_000] {
        let text = "x".repeat(len);
        let bytes = frame(0x81, text.as_bytes(), true);
        let mut sent = 0;
        let mut got = None;
        until(&mut ev, |_| {
            sent += raw.push(&bytes[sent..]);
            raw.take();
            got = (raw.input.len() >= len).then_some(());
            got.is_some()
        });
        raw.hears(&mut ev, 0x81, &text);
    }
}

#[test]
fn the_answer_has_what_the_key_makes_and_what_the_handler_adds() {
    let mut ev = ev();
    let routes = Routes::new().get("/ws", |ev: &mut EvLoop, request, reply: Reply| {
        let reply = reply.header("X-Room", "7");
        let _ = WebSocket::accept(ev, &request, reply, |_, _, _| {});
    });
    let server = ServerOptions::new().unbound(&mut ev, routes).unwrap();
    let mut raw = Raw::connected(&mut ev, server);
    let head = raw.ask(&mut ev, &format!("{OPENING}Sec-WebSocket-Protocol: a\r\n\r\n"));
    assert!(head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"), "{head}");
    let lower = head.to_ascii_lowercase();
    assert!(lower.contains("\r\nupgrade: websocket\r\n"), "{head}");
    assert!(lower.contains("\r\nconnection: upgrade\r\n"), "{head}");
    assert!(head.contains(&format!("\r\nSec-WebSocket-Accept: {ACCEPT}\r\n")), "{head}");
    assert!(head.contains("\r\nX-Room: 7\r\n"), "{head}");
    // Offered, but nobody has chosen.
    assert!(!lower.contains("sec-websocket-protocol"), "{head}");
    assert!(!lower.contains("content-length"), "{head}");
}

#[test]
fn what_comes_right_behind_the_head_is_frames() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::connected(&mut ev, server);
    let mut bytes = format!("{OPENING}\r\n").into_bytes();
    bytes.extend(frame(0x81, b"early", true));
    raw.send(&bytes);
    let head = raw.head(&mut ev);
    assert!(head.starts_with("HTTP/1.1 101 "));
    raw.hears(&mut ev, 0x81, "early");
    assert_eq!(said(&log), ["opened", "text early"]);
}

#[test]
fn requests_before_it_are_served_as_requests() {
    let mut ev = ev();
    let (server, _) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::connected(&mut ev, server);
    let head = raw.ask(&mut ev, &format!("GET /none HTTP/1.1\r\nHost: here\r\n\r\n{OPENING}\r\n"));
    assert!(head.starts_with("HTTP/1.1 404 "), "{head}");
    let (_, rest) = head.split_once("Content-Length: ").unwrap();
    let len: usize = rest.split("\r\n").next().unwrap().parse().unwrap();
    until(&mut ev, |_| {
        raw.take();
        raw.input.len() > len
    });
    raw.input.drain(..len);
    assert!(raw.head(&mut ev).starts_with("HTTP/1.1 101 "));
}

/// What a request is answered.
fn answer(options: WebSocketOptions, request: &str) -> (u16, String) {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, options);
    let mut raw = Raw::connected(&mut ev, server);
    let head = raw.ask(&mut ev, request);
    let status = head[9..12].parse().unwrap();
    assert_eq!(said(&log).is_empty(), status != 101);
    (status, head)
}

#[test]
fn what_is_no_handshake_is_refused() {
    let of = |request: &str| answer(WebSocketOptions::new(), request);
    let good = format!("{OPENING}\r\n");
    let but = |from: &str, to: &str| {
        assert!(good.contains(from));
        of(&good.replace(from, to))
    };
    assert_eq!(of(&good).0, 101);
    let (status, head) = of("GET /ws HTTP/1.1\r\nHost: here\r\n\r\n");
    assert_eq!(status, 426);
    assert!(head.contains("\r\nUpgrade: websocket\r\n"), "{head}");
    // Who sends that field says so in the other (RFC 9110 §7.8), which is there once.
    assert!(head.contains("\r\nConnection: Upgrade\r\n"), "{head}");
    let (_, head) = of("GET /ws HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n");
    assert!(head.contains("\r\nConnection: close, Upgrade\r\n"), "{head}");
    assert_eq!(head.matches("Connection:").count(), 1, "{head}");
    let (status, head) = but("Version: 13", "Version: 12");
    assert_eq!(status, 426);
    assert!(head.contains("\r\nSec-WebSocket-Version: 13\r\n"), "{head}");
    assert_eq!(but("Version: 13", "Version: 13, 13").0, 426);
    assert_eq!(but("dGhlIHNhbXBsZSBub25jZQ==", "dG9vIHNob3J0").0, 400);
    assert_eq!(but("dGhlIHNhbXBsZSBub25jZQ==", "!").0, 400);
    assert_eq!(but("Sec-WebSocket-Key:", "X-Key:").0, 400);
    assert_eq!(but("Connection: Upgrade", "Connection: keep-alive").0, 400);
    assert_eq!(but("Host: here\r\n", "").0, 400);
    assert_eq!(but("HTTP/1.1", "HTTP/1.0").0, 400);
    let with_body = good.replace("\r\n\r\n", "\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(of(&with_body).0, 400);
}

#[test]
fn a_protocol_is_chosen_from_the_offered() {
    let of = |options: WebSocketOptions, offer: &str| {
        let request = format!("{OPENING}Sec-WebSocket-Protocol: {offer}\r\n\r\n");
        let (status, head) = answer(options, &request);
        assert_eq!(status, 101);
        let line = head.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Protocol: "));
        line.map(str::to_owned)
    };
    let ours = || WebSocketOptions::new().protocols(["v2", "v1"]);
    assert_eq!(of(ours(), "v1, v2, v3").as_deref(), Some("v2"));
    assert_eq!(of(ours(), "v3, v1").as_deref(), Some("v1"));
    assert_eq!(of(ours(), "v3"), None);
    let last = WebSocketOptions::new().choose_protocol(|offered| offered.len().checked_sub(1));
    assert_eq!(of(last, "a, b").as_deref(), Some("b"));
    let beyond = WebSocketOptions::new().choose_protocol(|_| Some(7));
    assert_eq!(of(beyond, "a, b"), None);
}

#[test]
fn the_protocol_is_known_to_the_handler() {
    let mut ev = ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let server = server(&mut ev, WebSocketOptions::new().protocols(["v1"]), move |ev, ws, event| {
        if matches!(event, WebSocketEvent::Opened) {
            notes.borrow_mut().push(format!("{:?}", ws.protocol(ev)));
        }
    });
    let mut raw = Raw::connected(&mut ev, server);
    raw.ask(&mut ev, &format!("{OPENING}Sec-WebSocket-Protocol: v1\r\n\r\n"));
    Raw::open(&mut ev, server);
    until(&mut ev, |_| log.borrow().len() == 2);
    assert_eq!(said(&log), ["Some(\"v1\")", "None"]);
}

#[test]
fn an_origin_can_be_refused() {
    let with = |origin: &str| {
        let options = WebSocketOptions::new().origin(same_origin);
        answer(options, &format!("{OPENING}{origin}\r\n")).0
    };
    assert_eq!(with(""), 101);
    assert_eq!(with("Origin: http://here\r\n"), 101);
    assert_eq!(with("Origin: https://HERE:443\r\n"), 101);
    for wrong in ["http://there", "http://here:81", "null", "here", "ftp://here", "http://here.evil"] {
        assert_eq!(with(&format!("Origin: {wrong}\r\n")), 403, "{wrong}");
    }
    assert_eq!(with("Origin: http://here\r\nOrigin: http://there\r\n"), 403);
    let any = answer(WebSocketOptions::new(), &format!("{OPENING}Origin: http://there\r\n\r\n"));
    assert_eq!(any.0, 101);
}

#[test]
fn fragments_are_told_if_wanted_and_can_be_sent() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new().fragments(true));
    let mut raw = Raw::open(&mut ev, server);
    raw.frame(0x01, "a");
    raw.frame(0x80, "b");
    until(&mut ev, |_| log.borrow().len() == 3);
    assert_eq!(said(&log), ["opened", "fragment a true false", "fragment b false true"]);

    let ws = ev.websockets()[0];
    ws.send_text_fragment(&mut ev, "x", false).unwrap();
    let kind = ws.send_text(&mut ev, "no").unwrap_err().kind();
    assert_eq!(kind, ErrorKind::InvalidInput);
    let kind = ws.send_binary_fragment(&mut ev, b"no", true).unwrap_err().kind();
    assert_eq!(kind, ErrorKind::InvalidInput);
    ws.ping(&mut ev, "between").unwrap();
    ws.send_text_fragment(&mut ev, "y", false).unwrap();
    ws.send_text_fragment(&mut ev, "z", true).unwrap();
    ws.send_text(&mut ev, "whole").unwrap();
    for (first, payload) in [(0x01, "x"), (0x89, "between"), (0x00, "y"), (0x80, "z"), (0x81, "whole")] {
        raw.hears(&mut ev, first, payload);
    }
    assert_eq!(ws.ping(&mut ev, [0; 126]).unwrap_err().kind(), ErrorKind::Protocol);
}

#[test]
fn broken_rules_are_told_to_the_peer_and_end_it() {
    let cases: [(&str, Vec<u8>, u16); 8] = [
        ("not masked", frame(0x81, b"x", false), 1002),
        ("a reserved bit", frame(0xC1, b"x", true), 1002),
        ("nothing to continue", frame(0x80, b"x", true), 1002),
        ("a fragmented ping", frame(0x09, b"x", true), 1002),
        ("no text", frame(0x81, b"\xff", true), 1007),
        ("a close of one byte", frame(0x88, b"x", true), 1002),
        ("a code that may not be sent", frame(0x88, &1005_u16.to_be_bytes(), true), 1002),
        ("a frame that is too big", frame(0x82, &[0; 2000], true)[..8].to_vec(), 1009),
    ];
    for (name, bytes, code) in cases {
        let mut ev = ev();
        let (server, log) = echo(&mut ev, WebSocketOptions::new().max_frame(1000));
        let mut raw = Raw::open(&mut ev, server);
        raw.text("before");
        raw.hears(&mut ev, 0x81, "before");
        raw.send(&bytes);
        raw.text("behind");
        let reason = raw.hears_close(&mut ev, code);
        // Nothing follows, and the connection is ended from there.
        raw.ends(&mut ev);
        raw.finish();
        until(&mut ev, |_| log.borrow().len() == 3);
        let closed = format!("closed {code} {reason:?} unclean");
        assert_eq!(said(&log), ["opened", "text before", &closed], "{name}");
        assert_eq!((ev.websockets().len(), ev.stream_count()), (0, 0));
    }
}
