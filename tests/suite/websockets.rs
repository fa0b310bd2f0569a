//! Words for cases about WebSockets: a peer that the case holds by the hand, at either end, which writes and reads
//! frames by itself, with nothing of the library.

// Every test binary includes the whole file and uses a part of it.
#![allow(dead_code)]

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use evloop::EvLoop;
pub use evloop::http::{Reply, Request, Routes, Server, ServerOptions};
pub use evloop::net::Written;
pub use evloop::websocket::*;

pub use crate::talking::{End, pass, settle, turn, until};

pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub const OPENING: &str = "GET /ws HTTP/1.1\r\nHost: here\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";

/// What a handler was told, as text.
pub type Told = Rc<RefCell<Vec<String>>>;

pub fn note(log: &Told, event: &WebSocketEvent<'_>) {
    let text = match event {
        WebSocketEvent::Opened => "opened".to_owned(),
        WebSocketEvent::Text(text) => format!("text {text}"),
        WebSocketEvent::Binary(bytes) => format!("binary {}", bytes.escape_ascii()),
        WebSocketEvent::Fragment(f) => {
            format!("fragment {} {} {}", f.bytes.escape_ascii(), f.is_first, f.is_last)
        }
        WebSocketEvent::Ping(bytes) => format!("ping {}", bytes.escape_ascii()),
        WebSocketEvent::Pong(bytes) => format!("pong {}", bytes.escape_ascii()),
        WebSocketEvent::Drained => "drained".to_owned(),
        WebSocketEvent::Closed(closed) => {
            let clean = if closed.clean { "clean" } else { "unclean" };
            format!("closed {} {:?} {clean}", closed.code.0, closed.reason)
        }
        other => format!("{other:?}"),
    };
    log.borrow_mut().push(text);
}

pub fn said(log: &Told) -> Vec<String> {
    std::mem::take(&mut *log.borrow_mut())
}

/// Routes with a WebSocket at `/ws`.
pub fn routes(
    options: WebSocketOptions,
    handler: impl FnMut(&mut EvLoop, WebSocket, WebSocketEvent<'_>) + Clone + 'static,
) -> Routes {
    Routes::new().get("/ws", move |ev: &mut EvLoop, request: Request, reply: Reply| {
        let _ = options.accept(ev, &request, reply, handler.clone());
    })
}

/// A server that notes what it is told, and sends messages back.
pub fn echo(ev: &mut EvLoop, options: WebSocketOptions) -> (Server, Told) {
    let log = Told::default();
    let notes = Rc::clone(&log);
    let routes = routes(options, move |ev, ws, event| {
        note(&notes, &event);
        let _ = match event {
            WebSocketEvent::Text(text) => ws.send_text(ev, text),
            WebSocketEvent::Binary(bytes) => ws.send_binary(ev, bytes),
            _ => return,
        };
    });
    let server = ServerOptions::new().unbound(ev, routes).expect("a server");
    (server, log)
}

/// A server with this handler.
pub fn server(
    ev: &mut EvLoop,
    options: WebSocketOptions,
    handler: impl FnMut(&mut EvLoop, WebSocket, WebSocketEvent<'_>) + Clone + 'static,
) -> Server {
    ServerOptions::new().unbound(ev, routes(options, handler)).expect("a server")
}

/// A frame as it is sent, masked if it is a client's.
pub fn frame(first: u8, payload: &[u8], masked: bool) -> Vec<u8> {
    let bit = if masked { 0x80 } else { 0 };
    let mut out = vec![first];
    match payload.len() {
        len @ 0..=125 => out.push(bit | len as u8),
        len @ 126..=0xFFFF => {
            out.push(bit | 126);
            out.extend((len as u16).to_be_bytes());
        }
        len => {
            out.push(bit | 127);
            out.extend((len as u64).to_be_bytes());
        }
    }
    let key = if masked { [0x12, 0x34, 0x56, 0x78] } else { [0; 4] };
    if masked {
        out.extend(key);
    }
    out.extend(payload.iter().enumerate().map(|(i, byte)| byte ^ key[i % 4]));
    out
}

/// One end of a connection that does nothing by itself.
pub struct Raw {
    socket: UnixStream,
    pub input: Vec<u8>,
    end: Option<End>,
    /// It is a client: what it sends is masked.
    is_client: bool,
}

impl Raw {
    pub fn of(socket: impl Into<OwnedFd>, is_client: bool) -> Self {
        let socket = UnixStream::from(socket.into());
        socket.set_nonblocking(true).expect("a socket that does not block");
        Self { socket, input: Vec::new(), end: None, is_client }
    }

    /// A connection of a server, before anything was said.
    pub fn connected(ev: &mut EvLoop, server: Server) -> Self {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        near.set_nonblocking(true).expect("a socket that does not block");
        server.serve_fd(ev, near).expect("a connection");
        Self::of(far, true)
    }

    /// A WebSocket at `/ws`.
    pub fn open(ev: &mut EvLoop, server: Server) -> Self {
        let mut raw = Self::connected(ev, server);
        let head = raw.ask(ev, &format!("{OPENING}\r\n"));
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        raw
    }

    /// Sends a request, and waits for the head of the answer.
    pub fn ask(&mut self, ev: &mut EvLoop, request: &str) -> String {
        self.send(request);
        self.head(ev)
    }

    /// Waits for a head, of a request or an answer.
    pub fn head(&mut self, ev: &mut EvLoop) -> String {
        let mut end = None;
        until(ev, |_| {
            self.take();
            end = self.input.windows(4).position(|four| four == b"\r\n\r\n");
            end.is_some()
        });
        let rest = self.input.split_off(end.unwrap_or_default() + 4);
        let head = std::mem::replace(&mut self.input, rest);
        String::from_utf8(head).expect("text")
    }

    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("room for what is sent");
    }

    pub fn frame(&mut self, first: u8, payload: impl AsRef<[u8]>) {
        self.send(frame(first, payload.as_ref(), self.is_client));
    }

    pub fn text(&mut self, text: &str) {
        self.frame(0x81, text);
    }

    pub fn close(&mut self, code: u16, reason: &str) {
        self.frame(0x88, [&code.to_be_bytes()[..], reason.as_bytes()].concat());
    }

    /// Sends as much as the system takes.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        let mut sent = 0;
        while sent < bytes.len() {
            match self.socket.write(&bytes[sent..]) {
                Ok(n) => sent += n,
                Err(_) => break,
            }
        }
        sent
    }

    /// The next frame: its first byte and its payload.
    #[track_caller]
    pub fn next(&mut self, ev: &mut EvLoop) -> (u8, Vec<u8>) {
        let mut found = None;
        until(ev, |_| {
            self.take();
            found = self.parse();
            assert!(found.is_some() || self.end.is_none(), "the end, and no frame");
            found.is_some()
        });
        found.expect("a frame")
    }

    /// The next frame is this.
    #[track_caller]
    pub fn hears(&mut self, ev: &mut EvLoop, first: u8, payload: impl AsRef<[u8]>) {
        let (of, bytes) = self.next(ev);
        assert_eq!(
            (of, bytes.escape_ascii().to_string()),
            (first, payload.as_ref().escape_ascii().to_string())
        );
    }

    #[track_caller]
    pub fn hears_close(&mut self, ev: &mut EvLoop, code: u16) -> String {
        let (first, payload) = self.next(ev);
        assert_eq!((first, &payload[..2]), (0x88, &code.to_be_bytes()[..]));
        String::from_utf8(payload[2..].to_vec()).expect("a reason")
    }

    /// Nothing more has come, and the connection is open.
    #[track_caller]
    pub fn hears_nothing(&mut self, ev: &mut EvLoop) {
        settle(ev);
        self.take();
        assert_eq!((self.input.len(), self.end), (0, None));
    }

    /// Waits for the end, before which nothing more comes.
    #[track_caller]
    pub fn ends(&mut self, ev: &mut EvLoop) -> End {
        until(ev, |_| {
            self.take();
            self.end.is_some()
        });
        assert_eq!(self.input.escape_ascii().to_string(), "");
        self.end.expect("an end")
    }

    pub fn is_open(&mut self) -> bool {
        self.take();
        self.end.is_none()
    }

    pub fn finish(&self) {
        self.socket.shutdown(Shutdown::Write).expect("a half-closed connection");
    }

    /// Cuts the connection (RST).
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(self.socket.as_fd(), Some(Duration::ZERO))
            .expect("no lingering");
    }

    fn parse(&mut self) -> Option<(u8, Vec<u8>)> {
        let input = &self.input;
        let (first, second) = (*input.first()?, *input.get(1)?);
        assert_eq!(second >= 0x80, !self.is_client, "masked by clients only");
        let (extra, mut len) = match second & 127 {
            126 => (2, 0),
            127 => (8, 0),
            short => (0, usize::from(short)),
        };
        for byte in input.get(2..2 + extra)? {
            len = len << 8 | usize::from(*byte);
        }
        let of_key = if self.is_client { 0 } else { 4 };
        let head = 2 + extra + of_key;
        let key = input.get(head - of_key..head)?.to_vec();
        let payload = input.get(head..head + len)?;
        let unmasked = |(i, byte): (usize, &u8)| byte ^ key.get(i % 4).copied().unwrap_or(0);
        let payload = payload.iter().enumerate().map(unmasked).collect();
        self.input.drain(..head + len);
        Some((first, payload))
    }

    pub fn take(&mut self) {
        let mut buffer = [0; 16 * 1024];
        while self.end.is_none() {
            match self.socket.read(&mut buffer) {
                Ok(0) => self.end = Some(End::Orderly),
                Ok(n) => self.input.extend_from_slice(&buffer[..n]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => self.end = Some(End::Reset),
            }
        }
    }
}

/// A server made of nothing, for clients of the library.
pub struct Far {
    listener: TcpListener,
}

impl Far {
    pub fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener that does not block");
        Self { listener }
    }

    pub fn url(&self) -> String {
        format!("ws://{}/chat?room=1", self.listener.local_addr().expect("an address"))
    }

    /// Waits for a connection.
    pub fn accept(&self, ev: &mut EvLoop) -> Raw {
        let mut accepted = None;
        until(ev, |_| {
            accepted = self.listener.accept().ok();
            accepted.is_some()
        });
        Raw::of(accepted.expect("a connection").0, false)
    }

    /// A client of the library that is open, its peer, and what the client is told.
    pub fn pair(ev: &mut EvLoop, client: &WebSocketClient) -> (WebSocket, Raw, Told) {
        let far = Self::new();
        let log = Told::default();
        let notes = Rc::clone(&log);
        let ws = client.connect(ev, &far.url(), move |_, _, event| note(&notes, &event));
        let ws = ws.expect("a client");
        let mut raw = far.accept(ev);
        raw.shake_hands(ev, "");
        until(ev, |ev| ws.is_open(ev));
        settle(ev);
        assert_eq!(said(&log), ["opened"]);
        (ws, raw, log)
    }
}

impl Raw {
    /// Answers the request of a client; what it was.
    pub fn shake_hands(&mut self, ev: &mut EvLoop, more: &str) -> String {
        let request = self.head(ev);
        let answer = agree(&request, more);
        self.send(answer);
        request
    }
}

/// The answer to a request.
pub fn agree(request: &str, more: &str) -> String {
    let key = request.lines().find_map(|line| line.strip_prefix("Sec-WebSocket-Key: "));
    let accept = evloop::wire::websocket::accept_key(key.expect("a key"));
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
        Sec-WebSocket-Accept: {accept}\r\n{more}\r\n"
    )
}
