// Peers that do not read.

use crate::sockets::*;

/// Sends until it is full, and says how much that was.
fn fill(ev: &mut EvLoop, ws: WebSocket) -> usize {
    let mut sent = 0;
    // The system takes some of it in each iteration, until it is full too.
    for _ in 0..200 {
        while !ws.is_full(ev) {
            ws.send_binary(ev, [9; 4096]).unwrap();
            sent += 1;
        }
        turn(ev);
    }
    assert!(ws.is_full(ev));
    sent
}

#[test]
fn sending_says_full_then_refuses_and_drained_is_told() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    assert!(matches!(ws.send_binary(&mut ev, [0; 1000]), Ok(Written::Room)));
    assert!(!ws.is_full(&ev));
    fill(&mut ev, ws);
    assert!(ws.is_full(&ev));
    assert!(matches!(ws.send_binary(&mut ev, [0; 1000]), Ok(Written::Full)));
    let mut result = Ok(Written::Room);
    for _ in 0..2000 {
        result = ws.send_binary(&mut ev, [0; 1000]);
        if result.is_err() {
            break;
        }
    }
    assert_eq!(result.unwrap_err().kind(), ErrorKind::Full);
    let prepared = PreparedMessage::binary(vec![0; 100_000]);
    // What is shared is taken as long as less waits than may.
    while ws.stream().output_len(&ev) < 1024 * 1024 {
        ws.send(&mut ev, &prepared).unwrap();
    }
    assert_eq!(ws.send(&mut ev, &prepared).unwrap_err().kind(), ErrorKind::Full);
    assert!(ws.stream().output_len(&ev) <= 1024 * 1024 + 100_010);
    assert!(ws.is_open(&ev));
    until(&mut ev, |ev| {
        raw.take();
        raw.input.clear();
        ws.stream().output_len(ev) == 0
    });
    settle(&mut ev);
    assert_eq!(said(&log), ["opened", "drained"]);
    ws.send_text(&mut ev, "again").unwrap();
    until(&mut ev, |_| {
        raw.take();
        raw.input.ends_with(b"again")
    });
}

#[test]
fn a_message_larger_than_what_may_wait_is_taken_whole() {
    let mut ev = ev();
    let (server, _) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    let large = vec![3; 3 << 20];
    assert!(matches!(ws.send_binary(&mut ev, &large), Ok(Written::Full)));
    assert_eq!(ws.send_binary(&mut ev, &large).unwrap_err().kind(), ErrorKind::Full);
    let (first, payload) = raw.next(&mut ev);
    assert!(first == 0x82 && payload == large);
}

#[test]
fn while_the_output_is_full_one_pong_waits_and_nothing_is_read() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    let sent = fill(&mut ev, ws);
    said(&log);
    raw.send([frame(0x89, b"one", true), frame(0x89, b"two", true)].concat());
    settle(&mut ev);
    assert_eq!(said(&log), ["ping one"]);
    let waits = ws.stream().output_len(&ev);
    let pings = frame(0x89, &[b'x'; 125], true).repeat(500);
    let mut pushed = 0;
    for _ in 0..200 {
        pushed += raw.push(&pings[pushed % 131..]);
        turn(&mut ev);
    }
    assert!(pushed < 16 << 20, "nobody holds it up");
    assert_eq!(ws.stream().output_len(&ev), waits);
    assert!(ws.stream().input_len(&ev) <= 128 * 1024);
    assert_eq!(said(&log), [""; 0]);
    for _ in 0..sent {
        assert!(raw.next(&mut ev) == (0x82, vec![9; 4096]));
    }
    raw.hears(&mut ev, 0x8A, "one");
    raw.hears(&mut ev, 0x8A, "two");
    settle(&mut ev);
    assert_eq!(said(&log)[..2], ["drained", "ping two"]);
}

#[test]
fn who_never_reads_what_is_echoed_costs_no_more_than_the_limits() {
    let mut ev = ev();
    let (server, _) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    let bytes = frame(0x82, &[1; 60_000], true);
    let mut at = 0;
    for _ in 0..400 {
        at = (at + raw.push(&bytes[at..])) % bytes.len();
        turn(&mut ev);
        assert!(ws.stream().output_len(&ev) <= (1 << 20) + 60_014);
        assert!(ws.stream().input_len(&ev) <= 128 * 1024);
    }
}

#[test]
fn who_does_not_read_is_cut_after_thirty_seconds() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    fill(&mut ev, ws);
    settle(&mut ev);
    pass(&mut ev, Duration::from_secs(29));
    assert!(ws.is_open(&ev));
    // It sends, but that is not what is waited for.
    raw.text("I am here");
    pass(&mut ev, Duration::from_secs(2));
    assert!(!ws.is_open(&ev));
    assert_eq!(said(&log).last().unwrap(), "closed 1006 \"\" unclean");
}

#[test]
fn who_takes_nothing_of_what_is_told_to_be_much_is_cut_too() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let open = |ev: &mut EvLoop| {
        let raw = Raw::open(ev, server);
        settle(ev);
        (raw, *ev.websockets().last().unwrap())
    };
    let hello = |ev: &mut EvLoop, ws: WebSocket| {
        ws.send_text(ev, "hello").unwrap();
        settle(ev);
        ws.stream().output_len(ev)
    };
    // The system takes all of each, until it takes nothing.
    let (first, ws) = open(&mut ev);
    let mut fit = 0;
    while hello(&mut ev, ws) == 0 {
        fit += 1;
    }
    ws.close_now(&mut ev);
    settle(&mut ev);
    drop(first);
    let (_second, ws) = open(&mut ev);
    for _ in 0..fit {
        assert_eq!(hello(&mut ev, ws), 0);
    }
    assert!(matches!(ws.send_binary(&mut ev, [1; 300_000]), Ok(Written::Full)));
    settle(&mut ev);
    assert!(ws.stream().output_len(&ev) > 300_000);
    pass(&mut ev, Duration::from_secs(29));
    assert!(ws.is_open(&ev));
    pass(&mut ev, Duration::from_secs(2));
    assert!(!ws.is_open(&ev));
    assert_eq!(said(&log).last().unwrap(), "closed 1006 \"\" unclean");
}

#[test]
fn who_does_not_read_even_that_it_was_agreed_to_is_cut_too() {
    let mut ev = ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let routes = routes(WebSocketOptions::new(), move |_, _, event| note(&notes, &event))
        .get("/", |ev, _, reply| reply.text(ev, "hello"));
    let server = ServerOptions::new().unbound(&mut ev, routes).unwrap();
    let mut raw = Raw::connected(&mut ev, server);
    let stream = server.connections(&ev)[0].stream();
    while stream.output_len(&ev) == 0 {
        raw.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
        settle(&mut ev);
    }
    raw.send(format!("{OPENING}\r\n"));
    settle(&mut ev);
    let ws = ev.websockets()[0];
    fill(&mut ev, ws);
    pass(&mut ev, Duration::from_secs(29));
    assert!(ws.is_open(&ev));
    pass(&mut ev, Duration::from_secs(2));
    assert!(!ws.is_open(&ev));
    assert_eq!(said(&log).last().unwrap(), "closed 1006 \"\" unclean");
}

#[test]
fn answers_to_what_came_together_leave_together() {
    let mut ev = ev();
    let (server, _) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    let writes = Rc::new(Cell::new(0));
    let count = Rc::clone(&writes);
    ws.stream().set_trace(&mut ev, move |direction, _| {
        count.set(count.get() + usize::from(direction == net::Direction::Write));
    });
    raw.send(frame(0x81, b"one of many", true).repeat(50));
    for _ in 0..50 {
        raw.hears(&mut ev, 0x81, "one of many");
    }
    assert_eq!(writes.get(), 1);
}

#[test]
fn bytes_that_come_one_by_one_make_the_same_messages() {
    let mut ev = ev();
    let (server, log) = echo(&mut ev, WebSocketOptions::new());
    let mut raw = Raw::open(&mut ev, server);
    let bytes = [
        frame(0x81, "h\u{e9}llo".as_bytes(), true),
        frame(0x02, b"a", true),
        frame(0x89, b"?", true),
        frame(0x80, &[b'b'; 130], true),
    ];
    for byte in bytes.concat() {
        raw.send([byte]);
        turn(&mut ev);
    }
    raw.hears(&mut ev, 0x81, "h\u{e9}llo");
    raw.hears(&mut ev, 0x8A, "?");
    raw.hears(&mut ev, 0x82, [&b"a"[..], &[b'b'; 130]].concat());
    assert_eq!(said(&log).len(), 4);
}

#[test]
fn a_server_that_lets_less_wait_holds_its_peers_up_earlier() {
    let mut ev = ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let routes = routes(WebSocketOptions::new(), move |_, _, event| note(&notes, &event));
    let options = ServerOptions::new().write_limits(4096, 8192);
    let server = options.unbound(&mut ev, routes).unwrap();
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    let mut sent = 0;
    while ws.send_binary(&mut ev, [9; 1024]).is_ok() {
        sent += 1;
        turn(&mut ev);
    }
    said(&log);
    raw.frame(0x89, [b'x'; 125]);
    settle(&mut ev);
    assert_eq!(said(&log).len(), 1);
    for _ in 0..sent {
        assert!(raw.next(&mut ev) == (0x82, vec![9; 1024]));
    }
    raw.hears(&mut ev, 0x8A, [b'x'; 125]);
}

#[test]
fn a_peer_whose_pings_never_find_room_is_cut() {
    let mut ev = ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let routes = routes(WebSocketOptions::new(), move |_, _, event| note(&notes, &event));
    let server = ServerOptions::new().write_limits(1, 64).unbound(&mut ev, routes).unwrap();
    let mut raw = Raw::open(&mut ev, server);
    raw.frame(0x89, "small");
    raw.hears(&mut ev, 0x8A, "small");
    raw.frame(0x89, [b'x'; 125]);
    raw.ends(&mut ev);
    assert_eq!(said(&log).last().unwrap(), "closed 1006 \"\" unclean");
}

#[test]
fn what_waits_for_a_peer_counts_for_the_budget_of_its_server() {
    let mut ev = ev();
    let routes = routes(WebSocketOptions::new(), |_, _, _| {}).get("/", |ev, _, reply| reply.text(ev, "served"));
    let server = ServerOptions::new().memory_budget(64 * 1024).unbound(&mut ev, routes).unwrap();
    let _raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    fill(&mut ev, ws);
    pass(&mut ev, Duration::from_millis(50));
    let mut other = Raw::connected(&mut ev, server);
    assert!(other.ask(&mut ev, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 503 "));
    ws.close_now(&mut ev);
    pass(&mut ev, Duration::from_millis(50));
    let mut other = Raw::connected(&mut ev, server);
    assert!(other.ask(&mut ev, "GET / HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("HTTP/1.1 200 "));
}

#[test]
fn drained_is_told_to_who_was_told_full_however_little_that_was() {
    let mut ev = ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let routes = routes(WebSocketOptions::new(), move |_, _, event| note(&notes, &event));
    let options = ServerOptions::new().write_limits(4096, 8192);
    let server = options.unbound(&mut ev, routes).unwrap();
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    let ws = ev.websockets()[0];
    said(&log);
    for _ in 0..3 {
        assert!(matches!(ws.send_binary(&mut ev, [9; 1000]), Ok(Written::Room)));
        assert!(!ws.is_full(&ev));
        assert!(matches!(ws.send_binary(&mut ev, [9; 4000]), Ok(Written::Full)));
        assert!(ws.is_full(&ev));
        // The system takes all of it at once.
        settle(&mut ev);
        assert_eq!(said(&log), ["drained"]);
        assert_eq!((raw.next(&mut ev).1.len(), raw.next(&mut ev).1.len()), (1000, 4000));
    }
    // What leaves at once is not told of.
    ws.send_binary(&mut ev, [9; 1000]).unwrap();
    settle(&mut ev);
    assert_eq!(said(&log), [""; 0]);
    // Also what is shared is refused from there on.
    let message = PreparedMessage::binary([1; 3000]);
    let results: Vec<_> = (0..4).map(|_| ws.send(&mut ev, &message).is_ok()).collect();
    assert_eq!(results, [true, true, true, false]);
    settle(&mut ev);
    assert_eq!(said(&log), ["drained"]);
}

#[test]
fn a_message_that_does_not_come_to_its_end_counts_too() {
    let mut ev = ev();
    let routes = routes(WebSocketOptions::new(), |_, _, _| {})
        .get("/", |ev, _, reply| reply.text(ev, "served"));
    let server = ServerOptions::new().memory_budget(64 * 1024).unbound(&mut ev, routes).unwrap();
    let mut raw = Raw::open(&mut ev, server);
    let asks = |ev: &mut EvLoop| {
        pass(ev, Duration::from_millis(50));
        let mut other = Raw::connected(ev, server);
        other.ask(ev, "GET / HTTP/1.1\r\nHost: h\r\n\r\n")[..12].to_owned()
    };
    for _ in 0..10 {
        assert_eq!(asks(&mut ev), "HTTP/1.1 200");
        raw.frame(0x02, [7; 10_000]);
        for _ in 0..9 {
            raw.frame(0x00, [7; 10_000]);
            settle(&mut ev);
        }
        assert_eq!(asks(&mut ev), "HTTP/1.1 503");
        raw.frame(0x80, "");
    }
    assert_eq!(asks(&mut ev), "HTTP/1.1 200");
}

#[test]
fn who_is_flooded_with_pings_answers_all_of_them() {
    let mut ev = ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let routes = routes(WebSocketOptions::new(), move |_, _, event| note(&notes, &event));
    // Their answers are more than may wait, but the system takes all of that at once.
    let options = ServerOptions::new().write_limits(4096, 8192);
    let server = options.unbound(&mut ev, routes).unwrap();
    let mut raw = Raw::open(&mut ev, server);
    settle(&mut ev);
    raw.send(frame(0x89, &[b'x'; 125], true).repeat(200));
    for _ in 0..200 {
        raw.hears(&mut ev, 0x8A, [b'x'; 125]);
    }
    assert_eq!(said(&log).iter().filter(|told| told.starts_with("ping")).count(), 200);
    raw.text("still there");
    until(&mut ev, |_| said(&log).contains(&"text still there".to_owned()));
}

/// What a server is told, and says, where all of it comes in pieces of this length.
fn transcript(bytes: &[u8], piece: usize, limits: (usize, usize)) -> (Vec<String>, Vec<u8>) {
    let mut ev = ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let routes = routes(WebSocketOptions::new().max_fragments(20), move |_, _, event| {
        if !matches!(event, WebSocketEvent::Drained) {
            note(&notes, &event);
        }
    });
    let options = ServerOptions::new().write_limits(limits.0, limits.1);
    let server = options.unbound(&mut ev, routes).unwrap();
    let mut raw = Raw::open(&mut ev, server);
    for piece in bytes.chunks(piece) {
        raw.send(piece);
        if piece.len() < 2000 {
            turn(&mut ev);
        } else {
            settle(&mut ev);
        }
        raw.take();
    }
    settle(&mut ev);
    raw.finish();
    until(&mut ev, |ev| ev.stream_count() == 0);
    raw.take();
    (said(&log), std::mem::take(&mut raw.input))
}

#[test]
fn what_is_told_and_answered_does_not_depend_on_how_it_comes() {
    let mut seed = 11_u64;
    let mut pick = move |of: u64| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % of
    };
    for round in 0..12 {
        let mut bytes = Vec::new();
        let mut in_message = false;
        for _ in 0..pick(60) + 5 {
            let payload = vec![b'a' + pick(26) as u8; [0, 1, 5, 125, 126, 700][pick(6) as usize]];
            let control = &payload[..payload.len().min(125)];
            match pick(8) {
                0..3 => bytes.extend(frame(0x89, control, true)),
                3 => bytes.extend(frame(0x8A, control, true)),
                _ => {
                    let is_last = pick(3) > 0;
                    let opcode = if in_message { 0 } else { 1 + pick(2) as u8 };
                    bytes.extend(frame(u8::from(is_last) << 7 | opcode, &payload, true));
                    in_message = !is_last;
                }
            }
        }
        match round % 4 {
            0 => bytes.extend(frame(0x88, &[3, 0xE8, b'!'], true)),
            1 => bytes.extend(frame(0x8B, b"", true)),
            2 => bytes.extend(frame(0x81, b"\xff", true)),
            _ => {}
        }
        let whole = transcript(&bytes, usize::MAX, (256 * 1024, 1024 * 1024));
        for (piece, limits) in [(1, (256 * 1024, 1024 * 1024)), (7, (64, 256)), (5000, (64, 256))] {
            let cut = transcript(&bytes, piece, limits);
            assert_eq!(cut.0, whole.0, "{round}, {piece}");
            assert!(cut.1 == whole.1, "{round}, {piece}");
        }
    }
}
