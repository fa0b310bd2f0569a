// wss: to a server that is made by hand, from a client that is, and with both ends of the library.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use crate::sockets::*;
use crate::suite::epoll::{ev, live_ev};
use crate::tls::{self, Authority};
use evloop::EvLoop;
use evloop::net::{Mode, StreamEvent, TlsServer};

#[test]
fn a_client_speaks_tls_with_wss() {
    let mut ev = live_ev();
    let authority = Authority::new();
    let identity = authority.identity(&["localhost", "127.0.0.1"]);
    let tls = TlsServer::builder(identity).build().unwrap();
    let listener = ev
        .listen("127.0.0.1:0", move |ev, accepted| {
            let mut is_open = false;
            let stream = accepted.serve(ev, move |ev, stream, event| {
                if !matches!(event, StreamEvent::Received(_)) {
                    return;
                }
                let bytes = stream.take_all(ev);
                if is_open {
                    // Whatever it was, it is answered with a goodbye.
                    let _ = stream.write(ev, b"\x81\x06secret\x88\x02\x03\xe8");
                    return;
                }
                is_open = true;
                let request = String::from_utf8(bytes).unwrap();
                let _ = stream.write(ev, agree(&request, ""));
            });
            stream.start_tls_server(ev, &tls).unwrap();
        })
        .unwrap();
    let port = listener.addresses(&ev)[0].port().unwrap();
    let log = Told::default();
    let mut connect = |client: WebSocketClient| {
        let notes = Rc::clone(&log);
        let url = format!("wss://127.0.0.1:{port}/");
        client
            .connect(&mut ev, &url, move |ev, ws, event| {
                note(&notes, &event);
                if matches!(event, WebSocketEvent::Opened) {
                    ws.send_text(ev, "anybody there?").unwrap();
                }
            })
            .unwrap();
        until(&mut ev, |_| log.borrow().last().is_some_and(|last| last.starts_with("closed")));
        said(&log)
    };
    let trusting = authority.client().build().unwrap();
    let told = connect(WebSocketClient::new().tls(trusting));
    assert_eq!(told, ["opened", "text secret", "closed 1000 \"\" clean"]);
    // Nobody knows this authority.
    assert_eq!(connect(WebSocketClient::new()), ["closed 1006 \"\" unclean"]);
}

/// A client that speaks TLS by hand.
struct Secure {
    socket: UnixStream,
    end: tls::End,
    input: Vec<u8>,
    is_over: bool,
    step: usize,
}

impl Secure {
    fn new(ev: &mut EvLoop, server: Server, authority: &Authority) -> Self {
        let (near, far) = UnixStream::pair().unwrap();
        near.set_nonblocking(true).unwrap();
        far.set_nonblocking(true).unwrap();
        server.serve_fd(ev, near).unwrap();
        let end = tls::End::new(authority.client().build().unwrap().filter("localhost").unwrap());
        Self { socket: far, end, input: Vec::new(), is_over: false, step: usize::MAX }
    }

    fn pump(&mut self, ev: &mut EvLoop) {
        let bytes = tls::take(&mut self.end.wire_out, self.step);
        let _ = self.socket.write_all(&bytes);
        turn(ev);
        let mut buffer = [0; 64 * 1024];
        match self.socket.read(&mut buffer) {
            Ok(0) => self.is_over = true,
            Ok(n) => drop(self.end.receive(&buffer[..n], Mode::Normal)),
            Err(error) => self.is_over |= error.kind() != std::io::ErrorKind::WouldBlock,
        }
        self.input.extend(tls::all(&mut self.end.input));
    }

    fn hears(&mut self, ev: &mut EvLoop, bytes: &[u8]) {
        until(ev, |ev| {
            self.pump(ev);
            self.input.ends_with(bytes)
        });
        self.input.clear();
    }
}

#[test]
fn frames_come_through_tls_however_it_is_cut_and_its_end_is_told() {
    let mut ev = ev();
    let authority = Authority::new();
    let tls = TlsServer::builder(authority.identity(&["localhost"])).build().unwrap();
    let log = Told::default();
    let notes = Rc::clone(&log);
    let routes = routes(WebSocketOptions::new(), move |ev, ws, event| {
        note(&notes, &event);
        if let WebSocketEvent::Text(text) = event {
            ws.send_text(ev, text).unwrap();
        }
    });
    let server = ServerOptions::new().tls(tls).unbound(&mut ev, routes).unwrap();
    for (step, how) in [(1, "announced"), (7, "cut"), (usize::MAX, "closed")] {
        let mut client = Secure::new(&mut ev, server, &authority);
        client.step = step;
        client.end.write(format!("{OPENING}\r\n").as_bytes());
        client.hears(&mut ev, b"\r\n\r\n");
        client.end.write(&[frame(0x01, b"in ", true), frame(0x80, b"two", true)].concat());
        client.hears(&mut ev, b"\x81\x06in two");
        match how {
            "announced" => drop(client.end.send(Mode::Finish)),
            "cut" => client.socket.shutdown(std::net::Shutdown::Write).unwrap(),
            _ => {
                client.end.write(&frame(0x88, &[3, 0xE8], true));
                client.hears(&mut ev, b"\x88\x02\x03\xe8");
                until(&mut ev, |ev| {
                    client.pump(ev);
                    client.end.ended
                });
                client.end.send(Mode::Finish);
                client.pump(&mut ev);
                drop(client.socket);
                until(&mut ev, |ev| ev.stream_count() == 0);
                assert_eq!(said(&log), ["opened", "text in two", "closed 1000 \"\" clean"]);
                continue;
            }
        }
        until(&mut ev, |ev| {
            client.pump(ev);
            client.is_over && ev.stream_count() == 0
        });
        assert_eq!(said(&log), ["opened", "text in two", "closed 1006 \"\" unclean"], "{how}");
    }
}

#[test]
fn both_ends_speak_tls_with_large_messages_broadcasts_and_goodbyes() {
    let mut ev = live_ev();
    let authority = Authority::new();
    let tls = TlsServer::builder(authority.identity(&["127.0.0.1"])).build().unwrap();
    let served = Told::default();
    let notes = Rc::clone(&served);
    let routes = routes(WebSocketOptions::new(), move |ev, ws, event| match event {
        WebSocketEvent::Binary(bytes) => drop(ws.send_binary(ev, bytes).unwrap()),
        WebSocketEvent::Closed(_) => note(&notes, &event),
        _ => {}
    });
    let server = ServerOptions::new().tls(tls).listen(&mut ev, "127.0.0.1:0", routes).unwrap();
    let url = format!("wss://{}/ws", server.addresses(&ev)[0]);
    let client = WebSocketClient::new().tls(authority.client().build().unwrap());
    let told = Told::default();
    for n in 0..5_u8 {
        let notes = Rc::clone(&told);
        client
            .connect(&mut ev, &url, move |ev, ws, event| match event {
                WebSocketEvent::Opened => drop(ws.send_binary(ev, vec![n; 1 << 20]).unwrap()),
                WebSocketEvent::Binary(bytes) => {
                    assert!(bytes.len() == 1 << 20 && bytes.iter().all(|byte| *byte == n));
                    notes.borrow_mut().push("echo".to_owned());
                }
                WebSocketEvent::Drained => {}
                event => note(&notes, &event),
            })
            .unwrap();
    }
    until(&mut ev, |_| told.borrow().len() == 5);
    said(&told);
    let news = PreparedMessage::text("news ".repeat(10_000));
    assert_eq!(broadcast(&mut ev, |_, _| true, &news).sent, 10);
    // The clients of it, and its server as the clients have it.
    until(&mut ev, |_| {
        told.borrow().iter().filter(|told| told.starts_with("text news")).count() == 5
    });
    said(&told);
    server.shutdown(&mut ev, Some(Duration::from_secs(10)));
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(said(&told), vec!["closed 1001 \"\" clean"; 5]);
    assert_eq!(said(&served), vec!["closed 1001 \"\" clean"; 5]);
}
