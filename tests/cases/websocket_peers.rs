// With tungstenite at the other end, in a thread of its own, and Python's websockets, in a process of its own.

use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use crate::sockets::*;
use tungstenite::protocol::{CloseFrame, Message};

#[test]
fn a_client_that_nobody_here_has_written_is_served() {
    let mut ev = live_ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let routes = routes(WebSocketOptions::new(), move |ev, ws, event| {
        match &event {
            WebSocketEvent::Text(text) => drop(ws.send_text(ev, text)),
            WebSocketEvent::Binary(bytes) => drop(ws.send_binary(ev, bytes)),
            WebSocketEvent::Drained => {}
            other => note(&notes, other),
        }
    });
    let server = ev.http_server("127.0.0.1:0", routes).unwrap();
    let address = server.addresses(&ev)[0].to_string();
    let client = std::thread::spawn(move || {
        let stream = TcpStream::connect(&address).unwrap();
        let (mut ws, _) = tungstenite::client(format!("ws://{address}/ws"), stream).unwrap();
        for len in [0, 1, 125, 126, 65_535, 65_536, 1_000_000] {
            let text = "\u{20ac}".repeat(len / 3) + &"x".repeat(len % 3);
            ws.send(Message::text(text.clone())).unwrap();
            assert_eq!(ws.read().unwrap(), Message::text(text));
            let bytes: Vec<u8> = (0..len).map(|n| n as u8).collect();
            ws.send(Message::binary(bytes.clone())).unwrap();
            assert_eq!(ws.read().unwrap(), Message::binary(bytes));
        }
        ws.send(Message::Ping("ping".into())).unwrap();
        assert_eq!(ws.read().unwrap(), Message::Pong("ping".into()));
        let frame = CloseFrame { code: 4321.into(), reason: "done".into() };
        ws.close(Some(frame)).unwrap();
        loop {
            match ws.read() {
                Ok(Message::Close(Some(frame))) => assert_eq!(u16::from(frame.code), 4321),
                Ok(other) => panic!("{other:?}"),
                Err(tungstenite::Error::ConnectionClosed) => break,
                Err(error) => panic!("{error}"),
            }
        }
    });
    until(&mut ev, |_| log.borrow().last().is_some_and(|last| last.starts_with("closed")));
    client.join().unwrap();
    assert_eq!(said(&log), ["opened", "ping ping", "closed 4321 \"done\" clean"]);
}

#[test]
fn a_server_that_nobody_here_has_written_is_spoken_with() {
    let mut ev = live_ev();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("ws://{}/any", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut ws = tungstenite::accept(listener.accept().unwrap().0).unwrap();
        loop {
            match ws.read() {
                Ok(message @ (Message::Text(_) | Message::Binary(_))) => ws.send(message).unwrap(),
                Ok(_) => {}
                Err(tungstenite::Error::ConnectionClosed) => break,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let log = Told::default();
    let notes = Rc::clone(&log);
    let lengths = [0, 125, 126, 65_535, 65_536, 1_000_000];
    let mut at = 0;
    WebSocketClient::new()
        .connect(&mut ev, &url, move |ev, ws, event| match event {
            WebSocketEvent::Opened => drop(ws.send_binary(ev, vec![7; lengths[0]])),
            WebSocketEvent::Binary(bytes) => {
                assert!(bytes.len() == lengths[at] && bytes.iter().all(|byte| *byte == 7));
                at += 1;
                match lengths.get(at) {
                    Some(len) => drop(ws.send_binary(ev, vec![7; *len])),
                    None => drop(ws.ping(ev, "are you there")),
                }
            }
            WebSocketEvent::Pong(_) => {
                note(&notes, &event);
                ws.close(ev, CloseCode::NORMAL, "done").unwrap();
            }
            WebSocketEvent::Drained => {}
            other => note(&notes, &other),
        })
        .unwrap();
    until(&mut ev, |_| log.borrow().len() == 2);
    server.join().unwrap();
    assert_eq!(said(&log), ["pong are you there", "closed 1000 \"done\" clean"]);
}

/// Python's echo, and what it says. Nothing if it is not installed.
fn python() -> Option<(Child, BufReader<std::process::ChildStdout>)> {
    // Debian's package is for Debian's Python, which need not be the first.
    let good = |python: &&str| {
        let mut command = Command::new(python);
        command.args(["-c", "import websockets"]).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    let python = ["python3", "/usr/bin/python3"].into_iter().find(good)?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/peers/ws.py");
    let mut child =
        Command::new(python).args([script, "server"]).stdout(Stdio::piped()).spawn().unwrap();
    let said = BufReader::new(child.stdout.take().unwrap());
    Some((child, said))
}

#[test]
fn a_server_of_another_language_is_spoken_with() {
    let Some((mut child, mut said_there)) = python() else { return };
    let mut port = String::new();
    said_there.read_line(&mut port).unwrap();
    let mut ev = live_ev();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let client = WebSocketClient::new();
    #[cfg(feature = "compress")]
    let client = {
        use evloop::wire::websocket::deflate::DeflateOptions;
        client.options(WebSocketOptions::new().deflate(DeflateOptions::default()))
    };
    // Ten bytes come back in two pieces.
    let lengths = [0, 10, 125, 126, 65_535, 65_536, 1_000_000];
    let mut at = 0;
    client
        .connect(&mut ev, &format!("ws://127.0.0.1:{}/", port.trim()), move |ev, ws, event| {
            match event {
                WebSocketEvent::Opened => drop(ws.send_text(ev, "\u{20ac}")),
                WebSocketEvent::Text(text) => {
                    assert_eq!(text, "\u{20ac}");
                    drop(ws.send_binary(ev, vec![7; lengths[0]]));
                }
                WebSocketEvent::Binary(bytes) => {
                    assert!(bytes.len() == lengths[at] && bytes.iter().all(|byte| *byte == 7));
                    at += 1;
                    match lengths.get(at) {
                        Some(len) => drop(ws.send_binary(ev, vec![7; *len])),
                        None => drop(ws.ping(ev, "are you there")),
                    }
                }
                WebSocketEvent::Pong(_) => {
                    note(&notes, &event);
                    ws.close(ev, CloseCode(4321), "done").unwrap();
                }
                // Of the megabyte, which is more than may wait unless it is packed.
                WebSocketEvent::Drained => {}
                other => note(&notes, &other),
            }
        })
        .unwrap();
    until(&mut ev, |_| log.borrow().len() == 2);
    let log = said(&log);
    assert_eq!(log[0], "pong are you there");
    assert!(log[1].starts_with("closed 4321") && log[1].ends_with("clean"), "{log:?}");
    let mut closed = String::new();
    said_there.read_line(&mut closed).unwrap();
    assert_eq!(closed, "closed 4321 done\n");
    assert!(child.wait().unwrap().success());
}
