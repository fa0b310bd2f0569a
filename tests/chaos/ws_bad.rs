//! Scenario `ws_bad` (R1, R2, R18, §3a): frames that nobody may send, peers that never read, lengths that are
//! only claimed, and small messages that mean large ones.

use std::time::Instant;

use crate::random::Random;
use crate::ws::{BINARY, CLOSE, FIN, PING, PONG, TEXT, Ws, claimed, frame, handshake};
use crate::{Client, PATIENCE, Server, get, ms, on_both, secs, until};

/// The longest message that the demo takes.
const LONGEST: usize = 4 << 20;

fn unmasked(first: u8, payload: &[u8]) -> Vec<u8> {
    [&[first, payload.len() as u8], payload].concat()
}

/// A frame of a length that is said in more bytes than it needs, or in others than there are.
fn said(first: u8, how: u8, length: &[u8], payload: &[u8]) -> Vec<u8> {
    [&[first, 0x80 | how], length, &[0; 4], payload].concat()
}

fn close(code: u16, reason: &[u8]) -> Vec<u8> {
    frame(FIN | CLOSE, &[&code.to_be_bytes(), reason].concat())
}

/// What is broken, with what the server closes with.
fn broken() -> Vec<(String, Vec<u8>, u16)> {
    let mut rows: Vec<(String, Vec<u8>, u16)> = Vec::new();
    let mut row = |what: &str, bytes: Vec<u8>, code| rows.push((what.to_owned(), bytes, code));
    row("not masked", unmasked(FIN | TEXT, b"hello"), 1002);
    row("a ping that is not masked", unmasked(FIN | PING, b""), 1002);
    row("a close that is not masked", unmasked(FIN | CLOSE, &[3, 232]), 1002);
    for bits in 1..8_u8 {
        // Without an extension that says so.
        row(&format!("reserved bits {bits}"), frame(FIN | bits << 4 | TEXT, b"hello"), 1002);
        row(&format!("reserved bits {bits} of a ping"), frame(FIN | bits << 4 | PING, b""), 1002);
    }
    for opcode in [3, 4, 5, 6, 7, 11, 12, 13, 14, 15] {
        row(&format!("opcode {opcode}"), frame(FIN | opcode, b""), 1002);
        row(&format!("opcode {opcode}, not the last"), frame(opcode, b"x"), 1002);
    }
    for opcode in [CLOSE, PING, PONG] {
        row(&format!("fragmented control frame {opcode}"), frame(opcode, &[3, 232]), 1002);
        row(&format!("long control frame {opcode}"), frame(FIN | opcode, &[3; 126]), 1002);
        row(&format!("endless control frame {opcode}"), claimed(FIN | opcode, u64::MAX >> 1), 1002);
    }
    row("going on with nothing", frame(FIN, b"x"), 1002);
    row("going on with nothing, and on", frame(0, b"x"), 1002);
    row("a message in a message", [frame(TEXT, b"a"), frame(FIN | TEXT, b"b")].concat(), 1002);
    row("bytes in a text", [frame(TEXT, b"a"), frame(FIN | BINARY, b"b")].concat(), 1002);
    row("5 in 16 bits", said(FIN | TEXT, 126, &[0, 5], b"hello"), 1002);
    row("125 in 16 bits", said(FIN | TEXT, 126, &[0, 125], &[b'x'; 125]), 1002);
    row("5 in 64 bits", said(FIN | TEXT, 127, &[0, 0, 0, 0, 0, 0, 0, 5], b"hello"), 1002);
    row("65535 in 64 bits", said(FIN | BINARY, 127, &[0, 0, 0, 0, 0, 0, 255, 255], b""), 1002);
    row("the top bit", said(FIN | BINARY, 127, &[0x80, 0, 0, 0, 0, 1, 0, 0], b""), 1002);
    row("all bits", said(FIN | BINARY, 127, &[0xFF; 8], b""), 1002);
    row("too long by one", claimed(FIN | BINARY, LONGEST as u64 + 1), 1009);
    row("2^32", claimed(FIN | BINARY, 1 << 32), 1009);
    row("2^32 and five", claimed(FIN | TEXT, (1 << 32) + 5), 1009);
    row("2^63 - 1", claimed(FIN | BINARY, u64::MAX >> 1), 1009);
    row(
        "together too long",
        [frame(BINARY, &[1; 100]), claimed(FIN, LONGEST as u64)].concat(),
        1009,
    );
    row("too many pieces", [frame(TEXT, b"a"), frame(0, b"").repeat(1024)].concat(), 1009);
    let texts: [&[u8]; 12] = [
        b"\xFF",
        b"a\x80",
        b"\xC0\x80",
        b"\xC1\xBF",
        b"\xE0\x80\x80",
        b"\xED\xA0\x80",
        b"\xF0\x80\x80\x80",
        b"\xF4\x90\x80\x80",
        b"\xF5\x80\x80\x80",
        b"\xE2\x82",
        b"\xC3",
        b"\xE2\x28\xA1",
    ];
    for text in texts {
        let shown = text.escape_ascii();
        row(&format!("text {shown}"), frame(FIN | TEXT, text), 1007);
        let (one, other) = text.split_at(text.len() / 2);
        let pieces = [frame(TEXT, one), frame(FIN | PING, b""), frame(FIN, other)].concat();
        row(&format!("text {shown} in two"), pieces, 1007);
        row(&format!("reason {shown}"), close(1000, text), 1007);
    }
    // Known to be wrong before it has ended.
    row("text \\xff, not the last", frame(TEXT, b"\xFF"), 1007);
    row("half a close code", frame(FIN | CLOSE, &[3]), 1002);
    for code in [0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535] {
        row(&format!("close code {code}"), close(code, b""), 1002);
    }
    rows
}

on_both! {
    fn every_illegal_frame_is_answered_with_its_code(backend) {
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let mut random = Random::seeded(&format!("ws_bad, {backend}"));
        for (what, bytes, code) in broken() {
            let mut ws = Ws::open(&server);
            // What was right before it is answered.
            ws.echoes("right");
            if random.one_in(3) {
                for piece in random.cut(&bytes) {
                    let _ = ws.client.offer(piece);
                }
            } else {
                let _ = ws.client.offer(&bytes);
            }
            // And nothing behind it is looked at.
            let _ = ws.client.offer(frame(FIN | TEXT, b"behind it"));
            ws.is_closed_with(code, &what);
        }
        others.was_served();
        server.finish();
    }
}

/// In one piece with the request for it, everything is judged the same.
#[test]
fn illegal_frames_right_behind_the_handshake_are_too() {
    let server = Server::start(&[]);
    for (what, bytes, code) in broken() {
        let mut client = server.client();
        client.send([handshake("").as_bytes(), &bytes].concat());
        let response = client.response();
        assert_eq!(response.status, 101, "{what}");
        Ws::on(client).is_closed_with(code, &what);
    }
    server.finish();
}

on_both! {
    fn what_is_legal_and_odd_is_taken(backend) {
        let server = Server::on(backend, &[]);
        let mut ws = Ws::open(&server);
        ws.echoes("");
        ws.echoes("\u{10FFFF}\u{FEFF}\0\u{7F}");
        // Every byte alone.
        for byte in frame(FIN | TEXT, "h\u{e9}llo \u{20ac} \u{1F600}".as_bytes()) {
            ws.client.send([byte]);
        }
        assert_eq!(ws.frame().payload, "h\u{e9}llo \u{20ac} \u{1F600}".as_bytes());
        // Pieces, some empty, some cut within a character, and other things in between.
        ws.client.send([
            frame(TEXT, b""), frame(0, "\u{20ac}".as_bytes().get(..2).unwrap()), frame(FIN | PING, b"one"), frame(0, b""),
            frame(FIN | PONG, b"nobody asked"), frame(0, "\u{20ac}".as_bytes().get(2..).unwrap()), frame(FIN | PING, b"two"),
            frame(FIN, b""),
        ].concat());
        let mut pongs = Vec::new();
        let text = loop {
            let frame = ws.frame();
            match frame.first {
                first if first == FIN | PONG => pongs.push(frame.payload),
                _ => break frame,
            }
        };
        assert_eq!((text.first, text.payload.as_slice()), (FIN | TEXT, "\u{20ac}".as_bytes()));
        // One pong may stand for several pings, and is that of the last.
        assert_eq!(pongs.last().map(Vec::as_slice), Some(&b"two"[..]));
        // As long as may be, and as many pieces.
        let long = vec![7; LONGEST];
        ws.send(FIN | BINARY, &long);
        assert!(ws.frame().payload == long);
        ws.client.send([frame(BINARY, b"x"), frame(0, b"x").repeat(1022), frame(FIN, b"x")].concat());
        assert_eq!(ws.frame().payload, vec![b'x'; 1024]);
        for (payload, code) in [(&[][..], None), (&[0x0F, 0xA0, b'!'][..], Some(4000))] {
            let mut ws = Ws::open(&server);
            ws.send(FIN | CLOSE, payload);
            let answer = ws.frame();
            assert_eq!(answer.first, FIN | CLOSE);
            assert_eq!(answer.payload.get(..2).map(|two| u16::from_be_bytes([two[0], two[1]])), code);
            ws.client.ends();
        }
        ws.close();
        server.finish();
    }
}

#[test]
fn a_handshake_that_is_none_is_refused() {
    let server = Server::start(&[]);
    let key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    let version = "Sec-WebSocket-Version: 13\r\n";
    let upgrade = "Upgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n";
    let rows: Vec<(String, u16)> = vec![
        (format!("{upgrade}{key}"), 426),
        (format!("{upgrade}{key}Sec-WebSocket-Version: 8\r\n"), 426),
        (format!("{upgrade}{key}Sec-WebSocket-Version: 13, 8\r\n"), 426),
        (format!("{upgrade}{key}Sec-WebSocket-Version: 99999999999999999999\r\n"), 426),
        (format!("{upgrade}{version}"), 400),
        (format!("{upgrade}{version}Sec-WebSocket-Key: \r\n"), 400),
        (format!("{upgrade}{version}Sec-WebSocket-Key: short\r\n"), 400),
        (format!("{upgrade}{version}Sec-WebSocket-Key: {}\r\n", "A".repeat(5000)), 400),
        (format!("{upgrade}{version}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ\r\n"), 400),
        (format!("{upgrade}{version}Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!Q==\r\n"), 400),
        (format!("{upgrade}{version}{key}{key}"), 400),
        (format!("Connection: Upgrade\r\n{version}{key}"), 0),
        (format!("Upgrade: websocket\r\n{version}{key}"), 0),
        (format!("Upgrade: h2c\r\nConnection: Upgrade\r\n{version}{key}"), 0),
        (String::new(), 0),
        (format!("{upgrade}{version}{key}Content-Length: 5\r\n"), 0),
    ];
    for (fields, expected) in rows {
        let mut client = server.client();
        client.send(format!("GET /ws HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        // A body may be waited for.
        if fields.contains("Content-Length") {
            client.send("hello");
        }
        let response = client.response();
        let status = response.status;
        match expected {
            0 => assert!([400, 426].contains(&status), "{fields:?}: {status}"),
            _ => assert_eq!(status, expected, "{fields:?}"),
        }
        if status == 426 {
            assert_eq!(response.field("Sec-WebSocket-Version"), Some("13"), "{fields:?}");
        }
    }
    let mut client = server.client();
    client.send(handshake("").replace("HTTP/1.1", "HTTP/1.0"));
    assert!(client.response().status >= 400);
    for method in ["POST", "PUT", "HEAD", "OPTIONS"] {
        let mut client = server.client();
        client.send(handshake("Content-Length: 0\r\n").replacen("GET", method, 1));
        let response = client.response_to(method);
        assert_ne!(response.status, 101, "{method}");
    }
    // Strange offers do not matter.
    for offers in [
        "permessage-deflate; server_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=99",
        "permessage-deflate; client_max_window_bits=99999999999999999999999",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "permessage-deflate; x; y=\"z",
        "x-webkit-deflate-frame, bbf-usp-protocol, permessage-bzip2",
        ",,,;;;===",
        &"permessage-deflate; a, ".repeat(300),
    ] {
        let fields =
            format!("Sec-WebSocket-Extensions: {offers}\r\nSec-WebSocket-Protocol: {offers}\r\n");
        let mut client = server.client();
        client.send(handshake(&fields));
        let response = client.response();
        assert!([101, 400].contains(&response.status), "{offers}: {}", response.status);
        assert_eq!(response.field("Sec-WebSocket-Protocol"), None, "{offers}");
        if response.status == 101 {
            Ws::on(client).echoes("hello");
        }
    }
    server.finish();
}

on_both! {
    /// Who never reads is not read from, and costs what may wait, however large its messages are.
    fn who_never_reads_costs_the_caps(backend) {
        let server = Server::on(backend, &[]);
        for (length, most) in [(100, 1500), (64 * 1024, 2000), (LONGEST, 13_000)] {
            let message = frame(FIN | BINARY, &vec![b'x'; length]);
            let block = message.repeat((256 * 1024 / length).max(1));
            let others = server.bystander();
            let mut clients: Vec<Client> = Vec::new();
            for _ in 0..3 {
                let mut client = Ws::open_on(server.narrow_client(), "").client;
                let mut rounds = 0;
                while client.offer_within(&block, ms(100)).unwrap() == block.len() {
                    rounds += 1;
                    assert!(rounds < 400, "100 MB are taken whose echo nobody reads");
                }
                clients.push(client);
            }
            until("the server rests", || {
                server.process.used_during(|| std::thread::sleep(ms(100))).time < ms(20)
            });
            let grown = server.grown();
            assert!(grown < 3 * most, "{grown} KiB for three with messages of {length}");
            clients.into_iter().for_each(Client::reset);
            others.was_served();
            server.await_descriptors_released();
        }
        server.finish();
    }
}

on_both! {
    /// As above, with pings: one pong waits at most.
    fn a_flood_of_pings_is_answered_or_not_read(backend) {
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let block = frame(FIN | PING, &[b'p'; 125]).repeat(2000);
        // Reading, all is well; whoever asks a lot is answered at least once, and last for the last one.
        let mut ws = Ws::open(&server);
        for _ in 0..50 {
            ws.client.send(&block);
            ws.client.pump();
        }
        ws.client.send([frame(FIN | PING, b"last"), frame(FIN | TEXT, b"done")].concat());
        let mut last = Vec::new();
        loop {
            let frame = ws.frame();
            match frame.first {
                first if first == FIN | PONG => last = frame.payload,
                _ => break,
            }
        }
        assert_eq!(last, b"last");
        drop(ws);
        let mut never = Ws::open_on(server.narrow_client(), "").client;
        let mut sent = 0;
        while let Ok(taken) = never.offer_within(&block, ms(200)) {
            sent += taken;
            if taken < block.len() || sent > 40 << 20 {
                break;
            }
        }
        assert!(server.grown() < 3000, "{} KiB after {sent} bytes of pings", server.grown());
        // Pongs that nobody asked for are just read.
        let mut ws = Ws::open(&server);
        let pongs = frame(FIN | PONG, &[b'p'; 125]).repeat(2000);
        for _ in 0..50 {
            ws.client.send(&pongs);
        }
        ws.echoes("still there");
        drop((ws, never));
        others.was_served();
        server.finish();
    }
}

#[test]
fn lengths_that_are_only_claimed_cost_nothing() {
    let server = Server::start(&[]);
    let mut all = Vec::new();
    for n in 0..150_u64 {
        let mut ws = Ws::open(&server);
        let length = LONGEST as u64 - n;
        let first = if n % 2 == 0 { FIN | BINARY } else { TEXT };
        ws.client.send([claimed(first, length), b"x".to_vec()].concat());
        all.push(ws);
    }
    assert_eq!(server.ask(get("/plaintext")).status, 200);
    assert!(server.grown() < 8 * 1024, "{} KiB for 150 claims", server.grown());
    drop(all);
    server.finish();
}

/// Frames of a byte, and frames of none: the work is that of their bytes (R18).
#[test]
fn tiny_fragments_take_linear_time() {
    let server = Server::start(&[]);
    let others = server.bystander();
    let mut ws = Ws::open(&server);
    let message = [frame(TEXT, b"x"), frame(0, b"x").repeat(1022), frame(FIN, b"x")].concat();
    let mut time = |count: usize| {
        let start = server.process.used().time;
        let began = Instant::now();
        for _ in 0..count {
            ws.client.send(&message);
            ws.client.pump();
        }
        for _ in 0..count {
            assert_eq!(ws.frame().payload.len(), 1024);
        }
        assert!(began.elapsed() < PATIENCE);
        server.process.used().time - start
    };
    time(20);
    let (some, more) = (time(100), time(400));
    println!("100 messages of 1024 frames: {some:?}, 400: {more:?}");
    assert!(more < some * 8 + ms(100), "{some:?} for 100, {more:?} for 400");
    drop(ws);
    // A byte at a time, in a frame as long as may be: not looked at again from the start each time.
    let mut ws = Ws::open(&server);
    let head = claimed(FIN | TEXT, 1 << 20);
    ws.client.send(head);
    let start = Instant::now();
    for _ in 0..2000 {
        ws.client.send(b"\x5a");
    }
    for _ in 0..(1 << 20) / 4096 {
        // The key's bytes: zeros.
        ws.client.send([0x5A, 0xC3, 0x01, 0xFE].repeat(1024).get(..4096).unwrap());
        if start.elapsed() > secs(5) {
            break;
        }
    }
    assert!(start.elapsed() < secs(5), "{:?} for a megabyte", start.elapsed());
    drop(ws);
    others.was_served();
    server.finish();
}

on_both! {
    /// Leaving at any moment, in any manner.
    fn peers_that_vanish_leave_nothing(backend) {
        let server = Server::on(backend, &[]);
        let others = server.bystander();
        let whole = [frame(TEXT, b"abc"), frame(FIN | PING, b"p"), frame(FIN, &[b'x'; 300]), frame(FIN | CLOSE, &[3, 232])].concat();
        for cut in (0..whole.len()).step_by(7) {
            let mut ws = Ws::open(&server);
            ws.client.send(&whole[..cut]);
            match cut % 3 {
                0 => ws.client.reset(),
                1 => {
                    ws.client.half_close();
                    // An end without goodbye ends it from both sides.
                    until("it ends", || !ws.client.end_within(PATIENCE).is_open());
                }
                _ => drop(ws),
            }
        }
        // Not even the handshake.
        let request = handshake("");
        for cut in (1..request.len()).step_by(29) {
            let mut client = server.client();
            client.send(&request.as_bytes()[..cut]);
            client.reset();
        }
        others.was_served();
        server.finish();
    }
}

/// Small messages that are large ones (feature `compress`; without it they are illegal).
#[cfg(feature = "compress")]
mod deflated {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::DeflateEncoder;

    use super::*;

    const COMPRESSED: u8 = 0x40;
    const OFFER: &str = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n";

    fn open(server: &Server) -> Option<Ws> {
        let ws = Ws::open_on(server.client(), OFFER);
        if !ws.deflates {
            println!("the server was built without compression");
            return None;
        }
        Some(ws)
    }

    /// That many zeros, as a message says them.
    fn zeros(count: usize) -> Vec<u8> {
        let mut encoder = DeflateEncoder::new(Vec::new(), Compression::best());
        let block = vec![0; 1 << 20];
        let mut left = count;
        while left > 0 {
            let some = left.min(block.len());
            encoder.write_all(&block[..some]).unwrap();
            left -= some;
        }
        encoder.flush().unwrap();
        let mut bytes = encoder.get_ref().clone();
        // What flushing puts behind it is left out.
        assert!(bytes.ends_with(&[0, 0, 0xFF, 0xFF]));
        bytes.truncate(bytes.len() - 4);
        bytes
    }

    #[test]
    fn bombs_are_refused_and_cost_no_more_than_a_message() {
        let server = Server::start(&[]);
        let others = server.bystander();
        let Some(mut ws) = open(&server) else { return };
        // Nothing large about it.
        ws.send(FIN | COMPRESSED | TEXT, &zeros(1000));
        let back = ws.frame();
        assert_eq!(back.first & 0x0F, TEXT);
        let bomb = zeros(200 << 20);
        assert!(bomb.len() < 1 << 20);
        for pieces in [1, 3, 1000] {
            let Some(mut ws) = open(&server) else { return };
            let size = bomb.len().div_ceil(pieces);
            let count = bomb.chunks(size).count();
            let mut bytes = Vec::new();
            for (n, piece) in bomb.chunks(size).enumerate() {
                let first = if n == 0 { COMPRESSED | BINARY } else { 0 };
                bytes.extend(frame(if n + 1 == count { first | FIN } else { first }, piece));
            }
            let used = server.process.used_during(|| {
                let _ = ws.client.offer(&bytes);
                ws.is_closed_with(1009, &format!("a bomb in {count} pieces"));
            });
            assert!(used.time < ms(1500), "{used:?} for a bomb in {count} pieces");
        }
        assert!(server.grown() < 16 * 1024, "{} KiB", server.grown());
        drop(ws);
        others.was_served();
        server.finish();
    }

    #[test]
    fn what_cannot_be_inflated_is_refused() {
        let server = Server::start(&[]);
        let mut random = Random::seeded("deflated garbage");
        let good = zeros(1000);
        let mut rows = vec![
            (FIN | COMPRESSED | BINARY, vec![0xFF; 100]),
            (FIN | COMPRESSED | BINARY, vec![0x06]),
            (FIN | COMPRESSED | TEXT, vec![0x07, 0xFF, 0xFF]),
            (FIN | COMPRESSED | BINARY, [&good[..], &[0xFF; 50]].concat()),
        ];
        for _ in 0..60 {
            let length = random.below(200);
            rows.push((FIN | COMPRESSED | TEXT, random.bytes(length)));
        }
        for (first, payload) in rows {
            let Some(mut ws) = open(&server) else { return };
            let _ = ws.client.offer(frame(first, &payload));
            // Some of it is something, by chance; then it goes on.
            let _ = ws.client.offer(frame(FIN | CLOSE, &1000_u16.to_be_bytes()));
            let code = loop {
                match ws.try_frame(PATIENCE) {
                    Ok(frame) if frame.first == FIN | CLOSE => break frame.payload,
                    Ok(_) => {}
                    Err(ending) => panic!("{payload:?}: {ending:?}"),
                }
            };
            let code = u16::from_be_bytes([code[0], code[1]]);
            assert!([1000, 1002, 1007, 1009].contains(&code), "{payload:?}: {code}");
        }
        // Where the bit may not be.
        for bytes in [
            frame(FIN | COMPRESSED | PING, b"x"),
            frame(FIN | COMPRESSED | CLOSE, &[3, 232]),
            [frame(COMPRESSED | TEXT, &good), frame(FIN | COMPRESSED, b"")].concat(),
            frame(FIN | 0x20 | TEXT, b"x"),
            frame(FIN | 0x60 | TEXT, b"x"),
        ] {
            let Some(mut ws) = open(&server) else { return };
            ws.client.send(&bytes);
            ws.is_closed_with(1002, &format!("{bytes:?}"));
        }
        server.finish();
    }
}
