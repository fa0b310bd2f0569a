// WebSockets that are opened from here.

use crate::sockets::*;
use evloop::wire::websocket::HandshakeFault;

#[test]
fn a_client_asks_as_it_is_told_and_is_open_when_the_server_agrees() {
    let mut ev = ev();
    let far = Far::new();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let client = WebSocketClient::new().header("Origin", "http://page").protocols(["b", "a"]);
    let ws = client.connect(&mut ev, &far.url(), move |_, _, event| note(&notes, &event)).unwrap();
    assert_eq!(ws.send_text(&mut ev, "early").unwrap_err().kind(), ErrorKind::Closed);
    let mut raw = far.accept(&mut ev);
    let request = raw.shake_hands(&mut ev, "Sec-WebSocket-Protocol: a\r\n");
    assert!(request.starts_with("GET /chat?room=1 HTTP/1.1\r\nHost: 127.0.0.1:"), "{request}");
    for line in ["Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13",
        "Origin: http://page", "Sec-WebSocket-Protocol: b, a"] {
        assert!(request.contains(&format!("\r\n{line}\r\n")), "{request}");
    }
    until(&mut ev, |ev| ws.is_open(ev));
    assert_eq!(ws.protocol(&ev).as_deref(), Some("a"));
    assert_eq!(ev.websockets(), [ws]);
    settle(&mut ev);
    assert_eq!(said(&log), ["opened"]);
}

#[test]
fn messages_come_and_go_masked_with_keys_that_differ() {
    let mut ev = ev();
    let (ws, mut raw, log) = Far::pair(&mut ev, &WebSocketClient::new());
    let mut keys = std::collections::HashSet::new();
    for n in 0..200 {
        ws.send_text(&mut ev, "aaaa").unwrap();
        settle(&mut ev);
        raw.take();
        let bytes = raw.input.clone();
        assert_eq!((bytes.len(), bytes[1]), (10, 0x84));
        assert!(keys.insert(bytes[2..6].to_vec()), "a key came twice, the second time as {n}");
        raw.hears(&mut ev, 0x81, "aaaa");
    }
    raw.text("hello");
    raw.frame(0x89, "?");
    raw.frame(0x02, "x");
    raw.frame(0x80, "y");
    raw.hears(&mut ev, 0x8A, "?");
    assert_eq!(said(&log), ["text hello", "ping ?", "binary xy"]);
    let large = vec![5; 100_000];
    ws.send_binary(&mut ev, &large).unwrap();
    raw.hears(&mut ev, 0x82, &large);
    ws.send(&mut ev, &PreparedMessage::text("prepared")).unwrap();
    raw.hears(&mut ev, 0x81, "prepared");
}

#[test]
fn what_comes_right_behind_the_answer_is_frames() {
    let mut ev = ev();
    let far = Far::new();
    let log = Told::default();
    let notes = Rc::clone(&log);
    WebSocketClient::new().connect(&mut ev, &far.url(), move |_, _, event| note(&notes, &event)).unwrap();
    let mut raw = far.accept(&mut ev);
    let request = raw.head(&mut ev);
    let answer = format!("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n{}", agree(&request, ""));
    let bytes = [answer.as_bytes(), &frame(0x81, b"early", false)].concat();
    for byte in bytes {
        raw.send([byte]);
        turn(&mut ev);
    }
    settle(&mut ev);
    assert_eq!(said(&log), ["opened", "text early"]);
}

/// What a client is told of an answer.
fn told(answer: impl Fn(&str) -> String) -> (Vec<String>, Option<HandshakeFault>) {
    let mut ev = ev();
    let far = Far::new();
    let log = Told::default();
    let fault = Rc::new(Cell::new(None));
    let (notes, found) = (Rc::clone(&log), Rc::clone(&fault));
    let client = WebSocketClient::new().protocols(["a"]);
    client
        .connect(&mut ev, &far.url(), move |_, _, event| {
            note(&notes, &event);
            if let WebSocketEvent::Closed(closed) = event {
                use std::error::Error as _;
                let error = closed.error.expect("why");
                found.set(error.source().and_then(|cause| cause.downcast_ref().copied()));
            }
        })
        .unwrap();
    let mut raw = far.accept(&mut ev);
    let request = raw.head(&mut ev);
    raw.send(answer(&request));
    raw.ends(&mut ev);
    until(&mut ev, |_| !log.borrow().is_empty());
    settle(&mut ev);
    (said(&log), fault.take())
}

#[test]
fn an_answer_that_is_none_is_told_as_closed_and_nothing_else() {
    let closed = vec!["closed 1006 \"\" unclean".to_owned()];
    let refused = told(|_| "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n".to_owned());
    assert_eq!(refused.1, Some(HandshakeFault::Refused));
    assert_eq!(refused.0.len(), 1);
    assert!(refused.0[0].contains("403"), "{:?}", refused.0);
    let wrong = told(|_| format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    ));
    assert_eq!(wrong, (closed.clone(), Some(HandshakeFault::BadAccept)));
    let wrong = told(|request| agree(request, "Sec-WebSocket-Protocol: b\r\n"));
    assert_eq!(wrong, (closed.clone(), Some(HandshakeFault::BadProtocol)));
    let wrong = told(|request| agree(request, "Sec-WebSocket-Extensions: permessage-deflate\r\n"));
    assert_eq!(wrong, (closed.clone(), Some(HandshakeFault::BadExtension)));
    assert_eq!(told(|_| "what?\r\n\r\n".to_owned()), (closed.clone(), None));
    let endless = told(|_| "HTTP/1.1 102 Processing\r\n\r\n".repeat(20));
    assert_eq!(endless, (closed, None));
}

#[test]
fn a_server_that_does_not_answer_is_waited_for_ten_seconds() {
    let mut ev = ev();
    let far = Far::new();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let ws = WebSocketClient::new()
        .connect(&mut ev, &far.url(), move |_, _, event| {
            if let WebSocketEvent::Closed(closed) = &event {
                assert_eq!(closed.error.as_ref().unwrap().kind(), ErrorKind::TimedOut);
            }
            note(&notes, &event);
        })
        .unwrap();
    let mut raw = far.accept(&mut ev);
    raw.head(&mut ev);
    raw.send("HTTP/1.1 101 Swi");
    pass(&mut ev, Duration::from_secs(9));
    assert_eq!(said(&log), [""; 0]);
    pass(&mut ev, Duration::from_secs(2));
    assert_eq!(said(&log), ["closed 1006 \"\" unclean"]);
    assert!(!ws.is_open(&ev));
    assert_eq!(ev.stream_count(), 0);
}

#[test]
fn a_server_that_hangs_up_or_is_not_there_is_told_as_closed() {
    let mut ev = ev();
    let log = Told::default();
    let far = Far::new();
    let url = far.url();
    let notes = Rc::clone(&log);
    WebSocketClient::new().connect(&mut ev, &url, move |_, _, event| note(&notes, &event)).unwrap();
    let raw = far.accept(&mut ev);
    drop(raw);
    until(&mut ev, |_| !log.borrow().is_empty());
    assert_eq!(said(&log), ["closed 1006 \"\" unclean"]);
    drop(far);
    let notes = Rc::clone(&log);
    WebSocketClient::new().connect(&mut ev, &url, move |_, _, event| note(&notes, &event)).unwrap();
    until(&mut ev, |_| !log.borrow().is_empty());
    assert_eq!(said(&log), ["closed 1006 \"\" unclean"]);
}

#[test]
fn a_client_that_is_being_opened_can_be_closed() {
    let mut ev = ev();
    let far = Far::new();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let ws = WebSocketClient::new()
        .connect(&mut ev, &far.url(), move |_, _, event| note(&notes, &event))
        .unwrap();
    ws.close(&mut ev, CloseCode::NORMAL, "").unwrap();
    settle(&mut ev);
    assert_eq!(said(&log), ["closed 1006 \"\" unclean"]);
}

#[test]
fn what_is_no_url_or_cannot_be_asked_is_refused_at_once() {
    let mut ev = ev();
    let mut kind = |client: &WebSocketClient, url: &str| {
        client.connect(&mut ev, url, |_, _, _| {}).unwrap_err().kind()
    };
    let plain = WebSocketClient::new();
    for url in ["", "here", "http://here", "ws://", "ws://user@here", "ws://here/a b", "ws://here/#x",
        "ws://here:99999/", "ws:///x", "ws://here/\r\nX: y"] {
        assert_eq!(kind(&plain, url), ErrorKind::InvalidInput, "{url}");
    }
    let client = WebSocketClient::new().header("X", "a\r\nb");
    assert_eq!(kind(&client, "ws://127.0.0.1:1/"), ErrorKind::InvalidInput);
    for own in ["host", "UPGRADE", "Content-Length", "Sec-WebSocket-Protocol"] {
        let client = WebSocketClient::new().header(own, "x");
        assert_eq!(kind(&client, "ws://127.0.0.1:1/"), ErrorKind::InvalidInput, "{own}");
    }
    let client = WebSocketClient::new().protocols(["a, b"]);
    assert_eq!(kind(&client, "ws://127.0.0.1:1/"), ErrorKind::InvalidInput);
    assert_eq!(ev.stream_count(), 0);
}

#[test]
fn a_server_that_masks_is_told_that_it_must_not() {
    let mut ev = ev();
    let (_, mut raw, log) = Far::pair(&mut ev, &WebSocketClient::new());
    raw.send(frame(0x81, b"x", true));
    raw.hears_close(&mut ev, 1002);
    raw.ends(&mut ev);
    drop(raw);
    until(&mut ev, |_| !log.borrow().is_empty());
    assert_eq!(said(&log), ["closed 1002 \"a server's frame is masked\" unclean"]);
}

#[test]
fn both_ends_can_close() {
    let mut ev = ev();
    let (ws, mut raw, log) = Far::pair(&mut ev, &WebSocketClient::new());
    ws.close(&mut ev, CloseCode::GOING_AWAY, "page left").unwrap();
    assert_eq!(raw.hears_close(&mut ev, 1001), "page left");
    raw.close(1001, "");
    drop(raw);
    until(&mut ev, |_| !log.borrow().is_empty());
    assert_eq!(said(&log), ["closed 1001 \"\" clean"]);

    let (_, mut raw, log) = Far::pair(&mut ev, &WebSocketClient::new());
    raw.close(1012, "restart");
    raw.hears_close(&mut ev, 1012);
    drop(raw);
    until(&mut ev, |_| !log.borrow().is_empty());
    assert_eq!(said(&log), ["closed 1012 \"restart\" clean"]);
}

#[test]
fn it_speaks_with_a_server_of_the_library() {
    let mut ev = ev();
    let log = Told::default();
    let routes = routes(WebSocketOptions::new().protocols(["v1"]), |ev, ws, event| {
        if let WebSocketEvent::Text(text) = event {
            let text = text.to_uppercase();
            let _ = ws.send_text(ev, text);
        }
    });
    let server = ev.http_server("127.0.0.1:0", routes).unwrap();
    let url = format!("ws://{}/ws", server.addresses(&ev)[0]);
    let notes = Rc::clone(&log);
    WebSocketClient::new()
        .protocols(["v1"])
        .connect(&mut ev, &url, move |ev, ws, event| {
            note(&notes, &event);
            match event {
                WebSocketEvent::Opened => drop(ws.send_text(ev, "shout")),
                WebSocketEvent::Text(_) => ws.close(ev, CloseCode::NORMAL, "").unwrap(),
                _ => {}
            }
        })
        .unwrap();
    until(&mut ev, |_| log.borrow().len() == 3);
    assert_eq!(said(&log), ["opened", "text SHOUT", "closed 1000 \"\" clean"]);
}

#[cfg(feature = "compress")]
#[test]
fn messages_are_compressed_where_both_ends_can() {
    use evloop::wire::websocket::deflate::DeflateOptions;
    let long = "over and over again ".repeat(500);
    for takeover in [false, true] {
        let mut ev = ev();
        let deflate = DeflateOptions {
            server_no_context_takeover: !takeover,
            client_no_context_takeover: !takeover,
            ..DeflateOptions::default()
        };
        let options = WebSocketOptions::new().deflate(deflate);
        let (server, log) = echo(&mut ev, options.clone());
        let mut raw = Raw::connected(&mut ev, server);
        let head = raw.ask(&mut ev, &format!("{OPENING}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"));
        assert!(head.contains("\r\nSec-WebSocket-Extensions: permessage-deflate"), "{head}");
        raw.text("short");
        raw.hears(&mut ev, 0x81, "short");
        raw.text(&long);
        let (first, payload) = raw.next(&mut ev);
        assert!(first == 0xC1 && payload.len() < 200);
        raw.frame(0xC1, &payload);
        let (first, again) = raw.next(&mut ev);
        assert!(first == 0xC1 && (again.len() < payload.len()) == takeover);
        assert_eq!(said(&log)[3], format!("text {long}"));
        let (server, _) = echo(&mut ev, WebSocketOptions::new());
        let mut raw = Raw::connected(&mut ev, server);
        let head = raw.ask(&mut ev, &format!("{OPENING}Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"));
        assert!(!head.contains("Extensions"), "{head}");

        let routes = routes(options.clone(), |ev, ws, event| {
            if let WebSocketEvent::Text(text) = event {
                ws.send_text(ev, text).unwrap();
            }
        });
        let server = ev.http_server("127.0.0.1:0", routes).unwrap();
        let url = format!("ws://{}/ws", server.addresses(&ev)[0]);
        let got = Rc::new(Cell::new(0));
        let (count, sent) = (Rc::clone(&got), long.clone());
        let ws = WebSocketClient::new()
            .options(options)
            .connect(&mut ev, &url, move |_, _, event| {
                if let WebSocketEvent::Text(text) = event {
                    assert_eq!(text, sent);
                    count.set(count.get() + 1);
                }
            })
            .unwrap();
        until(&mut ev, |ev| ws.is_open(ev));
        for _ in 0..5 {
            ws.send_text(&mut ev, &long).unwrap();
        }
        until(&mut ev, |_| got.get() == 5);
        let moved = ws.stream().info(&ev).unwrap().bytes_out;
        assert!(moved < 2000, "{moved} bytes");
    }
}

#[test]
fn what_a_server_answers_instead_is_known() {
    let mut ev = live_ev();
    for (answer, status) in [
        ("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n", Some(401)),
        ("HTTP/1.1 302 Found\r\nLocation: /else\r\n\r\n", Some(302)),
        ("HTTP/1.1 101 Switching Protocols\r\n\r\n", None),
        ("\r\n\r\nnothing of the kind", None),
    ] {
        let far = Far::new();
        let log = Rc::new(RefCell::new(None));
        let notes = Rc::clone(&log);
        let asked = WebSocketClient::new().connect(&mut ev, &far.url(), move |_, _, event| {
            if let WebSocketEvent::Closed(closed) = event {
                notes.replace(Some(closed.status.map(|status| status.code())));
            }
        });
        asked.unwrap();
        let mut raw = far.accept(&mut ev);
        raw.head(&mut ev);
        raw.send(answer);
        until(&mut ev, |_| log.borrow().is_some());
        assert_eq!(log.take(), Some(status), "{answer}");
    }
}

#[test]
fn a_server_that_is_cut_off_behind_any_byte_of_its_answer_is_told_as_closed_once() {
    let mut ev = ev();
    let far = Far::new();
    let log = Told::default();
    let mut at = 0;
    loop {
        let notes = Rc::clone(&log);
        let client = WebSocketClient::new();
        client.connect(&mut ev, &far.url(), move |_, _, event| note(&notes, &event)).unwrap();
        let mut raw = far.accept(&mut ev);
        let request = raw.head(&mut ev);
        let answer = agree(&request, "");
        if at == answer.len() {
            break;
        }
        raw.send(&answer[..at]);
        turn(&mut ev);
        if at % 2 == 0 { drop(raw) } else { raw.reset() }
        until(&mut ev, |ev| ev.stream_count() == 0);
        assert_eq!(said(&log), ["closed 1006 \"\" unclean"], "{at}");
        at += 1;
    }
}
