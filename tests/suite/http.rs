//! Words for cases about the HTTP server: clients that the case holds by the hand. Each is one end of a
//! socket that never blocks; while it waits the loop has its turns, and no time passes that the case does not see.
//! It reads replies by itself, with nothing of the library, so that both cannot be wrong in the same way.

// Every test binary includes the whole file and uses a part of it.
#![allow(dead_code, unused_imports)]

use std::cell::RefCell;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use evloop::EvLoop;
pub use evloop::http::*;
pub use evloop::wire::Fields;

/// How long a case waits for what must happen, in real time.
const PATIENCE: Duration = Duration::from_secs(20);

/// One pass without waiting.
pub fn turn(ev: &mut EvLoop) {
    ev.turn(Some(Duration::ZERO)).expect("a turn");
}

/// Turns, without time passing, until all that is under way inside this machine has arrived.
pub fn settle(ev: &mut EvLoop) {
    for _ in 0..30 {
        turn(ev);
    }
    ev.verify();
}

/// Turns, without time passing, until this is so.
#[track_caller]
pub fn until(ev: &mut EvLoop, mut is_so: impl FnMut(&mut EvLoop) -> bool) {
    let begun = Instant::now();
    while !is_so(ev) {
        assert!(begun.elapsed() < PATIENCE, "nothing happens");
        turn(ev);
    }
}

/// Lets so much of the loop's own time pass, everything in it at its moment.
pub fn pass(ev: &mut EvLoop, time: Duration) {
    settle(ev);
    let end = ev.now() + time;
    let keeps_running = ev.timer(time, Duration::ZERO, |_, _| {}).start(ev);
    while ev.now() < end {
        ev.turn(Some(end - ev.now())).expect("a turn");
    }
    keeps_running.free(ev);
    settle(ev);
}

/// A server for connections that are given to it.
pub fn serve(ev: &mut EvLoop, routes: Routes) -> Server {
    serve_with(ev, ServerOptions::new(), routes)
}

pub fn serve_with(ev: &mut EvLoop, options: ServerOptions, routes: Routes) -> Server {
    options.unbound(ev, routes).expect("a server")
}

/// A server and one client of it.
pub fn one_client(ev: &mut EvLoop, routes: Routes) -> (Server, Client) {
    one_client_with(ev, ServerOptions::new(), routes)
}

pub fn one_client_with(
    ev: &mut EvLoop,
    options: ServerOptions,
    routes: Routes,
) -> (Server, Client) {
    let server = serve_with(ev, options, routes);
    (server, Client::new(ev, server))
}

pub fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: here\r\n\r\n")
}

pub fn request(method: &str, path: &str, fields: &str, body: &str) -> String {
    format!("{method} {path} HTTP/1.1\r\nHost: here\r\n{fields}\r\n{body}")
}

pub fn post(path: &str, body: &str) -> String {
    request("POST", path, &format!("Content-Length: {}\r\n", body.len()), body)
}

/// A body of one chunk for each piece, without its end.
pub fn chunks(pieces: &[&str]) -> String {
    pieces.iter().map(|piece| format!("{:x}\r\n{piece}\r\n", piece.len())).collect()
}

/// How a connection has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    Orderly,
    Reset,
}

/// What a client was answered.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Answer {
    pub status: u16,
    pub line: String,
    pub fields: Vec<(String, String)>,
    pub body: Vec<u8>,
    pub trailers: Vec<(String, String)>,
    /// The body has come to its end.
    pub is_whole: bool,
}

impl Answer {
    /// The value of the only field of that name.
    #[track_caller]
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut of = self.fields.iter().filter(|(of, _)| of.eq_ignore_ascii_case(name));
        let found = of.next().map(|(_, value)| value.as_str());
        assert_eq!(of.next(), None, "{name} twice in {self:?}");
        found
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).expect("text")
    }

    pub fn closes(&self) -> bool {
        self.field("connection") == Some("close")
    }
}

/// A client that does nothing by itself.
pub struct Client {
    socket: UnixStream,
    input: Vec<u8>,
    end: Option<End>,
}

impl Client {
    /// One whose socket the server is given.
    #[track_caller]
    pub fn new(ev: &mut EvLoop, server: Server) -> Self {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        near.set_nonblocking(true).expect("a socket that does not block");
        server.serve_fd(ev, near).expect("a connection");
        Self::of(far)
    }

    /// One that connects.
    #[track_caller]
    pub fn tcp(ev: &mut EvLoop, server: Server) -> Self {
        let port = server.addresses(ev)[0].port().expect("a port");
        let before = server.connections(ev).len();
        let client = Self::connect(port);
        until(ev, |ev| server.connections(ev).len() > before);
        client
    }

    pub fn connect(port: u16) -> Self {
        Self::of(TcpStream::connect(("127.0.0.1", port)).expect("a connection"))
    }

    /// One end of any connected socket.
    pub fn of(socket: impl Into<OwnedFd>) -> Self {
        let socket = UnixStream::from(socket.into());
        socket.set_nonblocking(true).expect("a socket that does not block");
        Self { socket, input: Vec::new(), end: None }
    }

    /// Sends all of it, which the system has room for.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.socket.write_all(bytes.as_ref()).expect("room for what is sent");
    }

    /// Sends as much of it as the system takes.
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

    /// Sends all of it, however long it takes.
    #[track_caller]
    pub fn upload(&mut self, ev: &mut EvLoop, bytes: &[u8]) {
        let mut sent = 0;
        until(ev, |_| {
            sent += self.push(&bytes[sent..]);
            sent == bytes.len()
        });
    }

    /// Asks, and waits for the reply.
    #[track_caller]
    pub fn ask(&mut self, ev: &mut EvLoop, request: impl AsRef<[u8]>) -> Answer {
        self.send(request);
        self.reply(ev)
    }

    /// Waits for a reply.
    #[track_caller]
    pub fn reply(&mut self, ev: &mut EvLoop) -> Answer {
        self.reply_to(ev, "GET")
    }

    /// Waits for a reply to a request of this method.
    #[track_caller]
    pub fn reply_to(&mut self, ev: &mut EvLoop, method: &str) -> Answer {
        let mut found = None;
        let begun = Instant::now();
        while found.is_none() {
            let (at, was_ended) = (self.input.len(), self.end.is_some());
            turn(ev);
            self.take();
            if let Some((answer, used)) = parse(&self.input, method, self.end.is_some()) {
                self.input.drain(..used);
                found = Some(answer);
            } else if at == self.input.len() {
                assert!(
                    begun.elapsed() < PATIENCE && !was_ended,
                    "no reply, but {:?} {:?}",
                    self.end,
                    String::from_utf8_lossy(&self.input)
                );
            }
        }
        found.expect("a reply")
    }

    /// Whatever has come by now, and is no reply yet.
    pub fn seen(&mut self, ev: &mut EvLoop) -> String {
        settle(ev);
        self.take();
        String::from_utf8_lossy(&self.input).into_owned()
    }

    /// Nothing more has come, and the connection is open.
    #[track_caller]
    pub fn hears_nothing(&mut self, ev: &mut EvLoop) {
        let seen = self.seen(ev);
        assert_eq!((seen.as_str(), self.end), ("", None));
    }

    /// Waits for the end of the connection, before which nothing more comes.
    #[track_caller]
    pub fn ends(&mut self, ev: &mut EvLoop) -> End {
        let (rest, end) = self.rest(ev);
        assert_eq!(String::from_utf8_lossy(&rest), "");
        end
    }

    /// Waits for the end of the connection; what has come before it.
    #[track_caller]
    pub fn rest(&mut self, ev: &mut EvLoop) -> (Vec<u8>, End) {
        until(ev, |_| {
            self.take();
            self.end.is_some()
        });
        (std::mem::take(&mut self.input), self.end.expect("an end"))
    }

    pub fn is_open(&mut self) -> bool {
        self.take();
        self.end.is_none()
    }

    /// How many bytes have come that were not looked at, reading on.
    pub fn waiting(&mut self) -> usize {
        self.take();
        self.input.len()
    }

    /// What has come and was not looked at, and how it has ended.
    pub fn taken(&mut self) -> (Vec<u8>, Option<End>) {
        self.take();
        (std::mem::take(&mut self.input), self.end)
    }

    /// Reads at most so much and forgets it.
    pub fn skip(&mut self, most: usize) -> usize {
        let mut buffer = vec![0; most];
        self.socket.read(&mut buffer).unwrap_or(0)
    }

    /// Sends no more.
    pub fn finish(&self) {
        self.socket.shutdown(Shutdown::Write).expect("a half-closed connection");
    }

    /// Cuts the connection (RST).
    pub fn reset(self) {
        rustix::net::sockopt::set_socket_linger(self.socket.as_fd(), Some(Duration::ZERO))
            .expect("no lingering");
    }

    fn take(&mut self) {
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

/// One reply at the beginning of the input, and how long it is.
pub fn parse(input: &[u8], method: &str, ended: bool) -> Option<(Answer, usize)> {
    let head = find(input, b"\r\n\r\n")?;
    let text = String::from_utf8(input[..head].to_vec()).expect("a head of text");
    let mut lines = text.split("\r\n");
    let line = lines.next().unwrap_or_default().to_owned();
    let status = line.get(9..12).and_then(|code| code.parse().ok());
    assert!(line.starts_with("HTTP/1.1 "), "{line}");
    let mut answer = Answer {
        status: status.expect("a status"),
        line,
        fields: fields(lines),
        ..Answer::default()
    };
    let rest = &input[head + 4..];
    let bodiless = method == "HEAD" || answer.status < 200 || [204, 304].contains(&answer.status);
    let used = if bodiless {
        0
    } else if let Some(coding) = answer.field("transfer-encoding") {
        assert_eq!(coding, "chunked");
        assert_eq!(answer.field("content-length"), None);
        let used = dechunk(rest, &mut answer);
        if used.is_none() && !ended {
            return None;
        }
        let Some(used) = used else { return Some((answer, input.len())) };
        used
    } else if let Some(length) = answer.field("content-length") {
        let length: usize = length.parse().expect("a length");
        if rest.len() < length && !ended {
            return None;
        }
        answer.body = rest[..length.min(rest.len())].to_vec();
        if rest.len() < length {
            return Some((answer, input.len()));
        }
        length
    } else {
        assert!(answer.closes(), "{answer:?} has no end");
        if !ended {
            return None;
        }
        answer.body = rest.to_vec();
        rest.len()
    };
    answer.is_whole = true;
    Some((answer, head + 4 + used))
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let pair = |line: &'a str| line.split_once(": ").expect("a field");
    lines.map(pair).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

fn dechunk(rest: &[u8], answer: &mut Answer) -> Option<usize> {
    let mut at = 0;
    loop {
        let line = find(&rest[at..], b"\r\n")?;
        let size = std::str::from_utf8(&rest[at..at + line]).expect("a size");
        let size = usize::from_str_radix(size, 16).expect("a size");
        at += line + 2;
        if size == 0 {
            break;
        }
        let end = (at + size).min(rest.len());
        answer.body.extend_from_slice(&rest[at..end]);
        at += size;
        let after = rest.get(at..at + 2)?;
        assert_eq!(after, b"\r\n", "the end of a chunk");
        at += 2;
    }
    if rest.get(at..at + 2)? == b"\r\n" {
        return Some(at + 2);
    }
    let end = find(&rest[at..], b"\r\n\r\n")?;
    let text = String::from_utf8(rest[at..at + end].to_vec()).expect("trailers of text");
    answer.trailers = fields(text.split("\r\n"));
    Some(at + end + 4)
}

fn find(input: &[u8], what: &[u8]) -> Option<usize> {
    input.windows(what.len()).position(|window| window == what)
}

// --- what servers tell ----------------------------------------------------------------------------

/// Something put away by a handler, for later.
pub struct Slot<T>(Rc<RefCell<Option<T>>>);

impl<T> Clone for Slot<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Slot<T> {
    pub fn new() -> Self {
        Self(Rc::new(RefCell::new(None)))
    }

    pub fn put(&self, value: T) {
        let old = self.0.borrow_mut().replace(value);
        drop(old);
    }

    #[track_caller]
    pub fn take(&self) -> T {
        self.get().expect("something was put away")
    }

    pub fn get(&self) -> Option<T> {
        self.0.borrow_mut().take()
    }

    pub fn is_empty(&self) -> bool {
        self.0.borrow().is_none()
    }
}

/// Routes that keep the reply to `GET /` for later.
pub fn keeps(slot: &Slot<Reply>) -> Routes {
    let slot = slot.clone();
    Routes::new().get("/", move |_: &mut EvLoop, _, reply| slot.put(reply))
}

/// Routes that say hello at `/`.
pub fn hello() -> Routes {
    Routes::new().get("/", |ev: &mut EvLoop, _, reply: Reply| reply.text(ev, "hello"))
}

/// Why requests were over, in order.
pub type Reasons = Rc<RefCell<Vec<CompletionReason>>>;

/// The same routes, which note why each request was over.
pub fn noting(routes: Routes) -> (Routes, Reasons) {
    let reasons = Reasons::default();
    let notes = Rc::clone(&reasons);
    (routes.on_completed(move |_, completed| notes.borrow_mut().push(completed.reason)), reasons)
}
