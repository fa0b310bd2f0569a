// What WebSockets allocate: nothing per small message, and so much while idle.

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;

use evloop::http::{Reply, Request, Routes, Server, ServerOptions};
use evloop::websocket::{PreparedMessage, WebSocketEvent, WebSocketOptions};

use crate::sockets::pair;
use crate::{allocations, held};

/// One idle WebSocket, with its stream and everything else, in bytes: 615 were measured on 64-bit systems, and 27 more
/// where the list of descriptors is the process's own; the tables of descriptors have places for those of other cases too.
fn most() -> i64 {
    if NAME == "poll" { 690 } else { 660 }
}

const OPENING: &str = "GET /ws HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn turn(ev: &mut EvLoop) {
    ev.run_mode(Run::NoWait).unwrap();
}

fn server(ev: &mut EvLoop) -> Server {
    let options = WebSocketOptions::new();
    let routes = Routes::new().get("/ws", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        let opened = options.accept(ev, &request, reply, |ev, ws, event| {
            let _ = match event {
                WebSocketEvent::Text(text) => ws.send_text(ev, text),
                WebSocketEvent::Binary(bytes) => ws.send_binary(ev, bytes),
                _ => return,
            };
        });
        opened.unwrap();
    });
    ServerOptions::new().unbound(ev, routes).unwrap()
}

/// Sends, and reads what comes back, which is so long.
fn ask(ev: &mut EvLoop, client: &mut UnixStream, asked: &[u8], len: usize) {
    client.write_all(asked).unwrap();
    let mut bytes = [0; 4096];
    let mut got = 0;
    while got < len {
        match client.read(&mut bytes) {
            Ok(n) => got += n,
            Err(_) => turn(ev),
        }
    }
    assert_eq!(got, len);
}

fn open(ev: &mut EvLoop, server: Server) -> UnixStream {
    let (near, mut far) = pair();
    server.serve_fd(ev, near).unwrap();
    far.write_all(OPENING.as_bytes()).unwrap();
    let mut bytes = [0; 4096];
    while far.read(&mut bytes).is_err() {
        turn(ev);
    }
    turn(ev);
    far
}

#[test]
fn an_echoed_message_allocates_nothing() {
    let mut ev = ev();
    let server = server(&mut ev);
    let mut client = open(&mut ev, server);
    for len in [1_usize, 64, 1000] {
        let mut frame = vec![0x82];
        if len < 126 {
            frame.push(0x80 | len as u8);
        } else {
            frame.push(0x80 | 126);
            frame.extend((len as u16).to_be_bytes());
        }
        let head = frame.len();
        frame.extend([0; 4]);
        frame.extend(vec![7; len]);
        for _ in 0..100 {
            ask(&mut ev, &mut client, &frame, head + len);
        }
        let made = allocations(|| {
            for _ in 0..1000 {
                ask(&mut ev, &mut client, &frame, head + len);
            }
        });
        assert_eq!(made, 0, "{len} bytes");
    }
}

#[test]
fn an_idle_websocket_holds_so_much() {
    let mut ev = ev();
    let server = server(&mut ev);
    let frame = [&[0x82, 0x80 | 5, 0, 0, 0, 0][..], b"hello"].concat();
    let mut kept = Vec::with_capacity(2000);
    let mut grow = |ev: &mut EvLoop, count: usize| {
        for _ in 0..count {
            let mut client = open(ev, server);
            ask(ev, &mut client, &frame, 7);
            kept.push(client);
        }
        turn(ev);
        held()
    };
    // To where the tables have just grown, so that all of what they have is counted.
    let before = grow(&mut ev, 8);
    let after = grow(&mut ev, 504);
    let each = (after - before) / 504;
    assert!(each <= most(), "{each} bytes");
}

/// What is sent to all and what is sent to one, in turns.
#[test]
fn a_peer_that_reads_nothing_costs_little_more_than_what_waits_for_it() {
    for (shared, own) in [(1100, 1), (1100, 600), (1000, 1), (1, 1100), (100, 100)] {
        let mut ev = ev();
        let news = PreparedMessage::binary(vec![7; shared]);
        let waiting = Rc::new(Cell::new(0));
        let (tells, options) = (Rc::clone(&waiting), WebSocketOptions::new());
        let routes = Routes::new().get("/ws", move |ev: &mut EvLoop, request: Request, reply: Reply| {
            let (news, tells) = (news.clone(), Rc::clone(&tells));
            let opened = options.accept(ev, &request, reply, move |ev, ws, event| {
                if let WebSocketEvent::Text(_) = event {
                    while ws.send(ev, &news).is_ok()
                        && ws.send_binary(ev, vec![7; own]).is_ok()
                    {
                        tells.set(tells.get() + shared + own);
                    }
                }
            });
            opened.unwrap();
        });
        let server = ServerOptions::new().unbound(&mut ev, routes).unwrap();
        let mut client = open(&mut ev, server);
        let before = held();
        client.write_all(&[0x81, 0x80, 0, 0, 0, 0]).unwrap();
        (0..10).for_each(|_| turn(&mut ev));
        let (held, waiting) = (held() - before, waiting.get() as i64);
        assert!(waiting > 500_000, "{waiting}");
        assert!(held < 3 * waiting, "{held} bytes for {waiting}, of {shared} and {own} in turns");
    }
}
