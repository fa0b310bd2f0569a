//! A client that speaks raw bytes, with a deadline for everything.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};

use crate::response::{self, Response};
use crate::words::PATIENCE;

/// A plain request without a body.
pub fn get(target: &str) -> Vec<u8> {
    format!("GET {target} HTTP/1.1\r\nHost: chaos\r\n\r\n").into_bytes()
}

/// A request with a body of known length.
pub fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!("POST {target} HTTP/1.1\r\nHost: chaos\r\nContent-Length: {length}\r\n\r\n");
    [head.as_bytes(), body].concat()
}

enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
}

pub struct Client {
    socket: Socket,
    /// What was read and not yet taken as (part of) a response.
    input: Vec<u8>,
}

/// How the server ended the connection, or did not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ending {
    /// In order (FIN), after these bytes, which nothing has taken.
    Eof(Vec<u8>),
    /// With RST, after these bytes.
    Reset(Vec<u8>),
    /// Not, in the time that was given.
    Open(Vec<u8>),
}

impl Ending {
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Eof(bytes) | Self::Reset(bytes) | Self::Open(bytes) => bytes,
        }
    }

    pub fn is_open(&self) -> bool {
        matches!(self, Self::Open(_))
    }
}

/// What came of trying to read.
enum Filled {
    More,
    Eof,
    Reset,
    Late,
}

impl Client {
    pub fn connect(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_nodelay(true)?;
        Self::on(Socket::Tcp(stream))
    }

    /// With a small receive buffer, so that little goes between a server that writes and a client
    /// that does not read.
    pub fn connect_narrow(address: SocketAddr) -> io::Result<Self> {
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            // Or servers that other scenarios start meanwhile would have it too.
            SocketFlags::CLOEXEC,
            None,
        )?;
        sockopt::set_socket_recv_buffer_size(&socket, 4096)?;
        rustix::net::connect(&socket, &address)?;
        let stream = TcpStream::from(socket);
        stream.set_nodelay(true)?;
        Self::on(Socket::Tcp(stream))
    }

    pub fn connect_unix(path: &Path) -> io::Result<Self> {
        Self::on(Socket::Unix(UnixStream::connect(path)?))
    }

    fn on(socket: Socket) -> io::Result<Self> {
        match &socket {
            Socket::Tcp(stream) => stream.set_nonblocking(true)?,
            Socket::Unix(stream) => stream.set_nonblocking(true)?,
        }
        Ok(Self { socket, input: Vec::new() })
    }

    fn fd(&self) -> BorrowedFd<'_> {
        match &self.socket {
            Socket::Tcp(stream) => stream.as_fd(),
            Socket::Unix(stream) => stream.as_fd(),
        }
    }

    /// Waits for readiness; false when the time is over.
    fn wait(&self, flags: PollFlags, deadline: Instant) -> bool {
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let left = Timespec::try_from(left).unwrap();
            match poll(&mut [PollFd::from_borrowed_fd(self.fd(), flags)], Some(&left)) {
                Ok(ready) => return ready > 0,
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => panic!("poll: {error}"),
            }
        }
    }

    // --- sending -------------------------------------------------------------------------------

    /// Sends all; fails if the server does not take it, or has gone.
    #[track_caller]
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let sent = self.offer_within(bytes.as_ref(), PATIENCE);
        assert_eq!(sent.expect("to send"), bytes.as_ref().len(), "the server does not read");
    }

    /// Sends all if the server is still there.
    pub fn offer(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        match self.offer_within(bytes.as_ref(), PATIENCE)? {
            sent if sent == bytes.as_ref().len() => Ok(()),
            _ => Err(ErrorKind::TimedOut.into()),
        }
    }

    /// Sends until everything is sent or nothing was taken for so long. Returns how much it was.
    pub fn offer_within(&mut self, bytes: &[u8], stall: Duration) -> io::Result<usize> {
        let mut sent = 0;
        while let Some(rest) = bytes.get(sent..).filter(|rest| !rest.is_empty()) {
            let written = match &mut self.socket {
                Socket::Tcp(stream) => stream.write(rest),
                Socket::Unix(stream) => stream.write(rest),
            };
            match written {
                Ok(n) => sent += n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.wait(PollFlags::OUT, Instant::now() + stall) {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(sent)
    }

    /// Sends pieces so that the server reads each alone: another client is answered in between,
    /// by which time the loop has been round.
    #[track_caller]
    pub fn send_apart(&mut self, pieces: &[&[u8]], barrier: &mut Self) {
        for piece in pieces {
            self.send(piece);
            barrier.send(get("/plaintext"));
            assert_eq!(barrier.response().status, 200);
        }
    }

    /// Says that nothing more will come.
    pub fn half_close(&self) {
        let _ = rustix::net::shutdown(self.fd(), rustix::net::Shutdown::Write);
    }

    /// Leaves with RST.
    pub fn reset(self) {
        sockopt::set_socket_linger(self.fd(), Some(Duration::ZERO)).unwrap();
    }

    // --- receiving -----------------------------------------------------------------------------

    fn fill(&mut self, deadline: Instant) -> Filled {
        let mut chunk = [0; 64 * 1024];
        loop {
            let read = match &mut self.socket {
                Socket::Tcp(stream) => stream.read(&mut chunk),
                Socket::Unix(stream) => stream.read(&mut chunk),
            };
            match read {
                Ok(0) => return Filled::Eof,
                Ok(n) => {
                    self.input.extend_from_slice(&chunk[..n]);
                    return Filled::More;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.wait(PollFlags::IN, deadline) {
                        return Filled::Late;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Filled::Reset,
            }
        }
    }

    /// Reads at most so much, and forgets it. 0 when the server has ended the connection.
    #[track_caller]
    pub fn swallow(&mut self, most: usize) -> usize {
        let mut chunk = vec![0; most];
        loop {
            let read = match &mut self.socket {
                Socket::Tcp(stream) => stream.read(&mut chunk),
                Socket::Unix(stream) => stream.read(&mut chunk),
            };
            match read {
                Ok(n) => return n,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let ready = self.wait(PollFlags::IN, Instant::now() + PATIENCE);
                    assert!(ready, "nothing to read");
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return 0,
            }
        }
    }

    /// What has come and nobody has taken; if there is nothing, what comes next.
    #[track_caller]
    pub fn more(&mut self, deadline: Instant) -> Result<Vec<u8>, Ending> {
        if self.input.is_empty() {
            match self.fill(deadline) {
                Filled::More => {}
                Filled::Eof => return Err(Ending::Eof(Vec::new())),
                Filled::Reset => return Err(Ending::Reset(Vec::new())),
                Filled::Late => return Err(Ending::Open(Vec::new())),
            }
        }
        Ok(std::mem::take(&mut self.input))
    }

    /// Reads into `target` until it is full.
    #[track_caller]
    pub fn read_exact(&mut self, target: &mut [u8]) {
        let deadline = Instant::now() + PATIENCE;
        while self.input.len() < target.len() {
            assert!(matches!(self.fill(deadline), Filled::More), "cut short");
        }
        target.copy_from_slice(&self.input[..target.len()]);
        self.input.drain(..target.len());
    }

    /// Reads what is there and keeps it, so that the server can go on writing.
    pub fn pump(&mut self) {
        let now = Instant::now();
        while let Filled::More = self.fill(now) {}
    }

    /// What was read is to be read again.
    pub fn put_back(&mut self, mut bytes: Vec<u8>) {
        bytes.append(&mut self.input);
        self.input = bytes;
    }

    /// Whether something can be read, or the end was reached, within this time. Takes nothing.
    pub fn is_told(&self, within: Duration) -> bool {
        !self.input.is_empty() || self.wait(PollFlags::IN, Instant::now() + within)
    }

    /// Reads to the end; whatever comes is in what is returned.
    pub fn end_within(&mut self, within: Duration) -> Ending {
        let deadline = Instant::now() + within;
        loop {
            let how = self.fill(deadline);
            if let Filled::More = how {
                // A server that never stops is to fail a test, not to hang it.
                if Instant::now() < deadline {
                    continue;
                }
            }
            let bytes = std::mem::take(&mut self.input);
            return match how {
                Filled::Eof => Ending::Eof(bytes),
                Filled::Reset => Ending::Reset(bytes),
                Filled::More | Filled::Late => Ending::Open(bytes),
            };
        }
    }

    /// The server ends the connection now, in order and with nothing more to say.
    #[track_caller]
    pub fn ends(&mut self) {
        assert_eq!(self.end_within(PATIENCE), Ending::Eof(Vec::new()));
    }

    /// The server ends the connection now, and says nothing more.
    #[track_caller]
    pub fn ends_somehow(&mut self) {
        let ending = self.end_within(PATIENCE);
        assert!(!ending.is_open() && ending.bytes().is_empty(), "{}", shown(&ending));
    }

    /// The next final response to a GET (or anything else but HEAD).
    #[track_caller]
    pub fn response(&mut self) -> Response {
        self.response_to("GET")
    }

    #[track_caller]
    pub fn response_to(&mut self, method: &str) -> Response {
        match self.try_response_to(method, PATIENCE) {
            Ok(response) => response,
            Err(ending) => panic!("no response: {}", shown(&ending)),
        }
    }

    #[track_caller]
    pub fn try_response(&mut self) -> Result<Response, Ending> {
        self.try_response_to("GET", PATIENCE)
    }

    /// The next final response, or how the connection ended without a complete one.
    #[track_caller]
    pub fn try_response_to(&mut self, method: &str, within: Duration) -> Result<Response, Ending> {
        let deadline = Instant::now() + within;
        let mut interim = Vec::new();
        let mut at_eof = false;
        loop {
            match response::parse(&self.input, method, at_eof) {
                Some((response, used)) => {
                    self.input.drain(..used);
                    if response.status < 200 && response.status != 101 {
                        interim.push(response.status);
                        continue;
                    }
                    return Ok(Response { interim, ..response });
                }
                None if at_eof => return Err(Ending::Eof(std::mem::take(&mut self.input))),
                None => {}
            }
            match self.fill(deadline) {
                Filled::More => {}
                Filled::Eof => at_eof = true,
                Filled::Reset => return Err(Ending::Reset(std::mem::take(&mut self.input))),
                Filled::Late => return Err(Ending::Open(std::mem::take(&mut self.input))),
            }
        }
    }

    /// Waits for an interim response alone.
    #[track_caller]
    pub fn interim(&mut self) -> u16 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some((response, used)) = response::parse(&self.input, "GET", false) {
                self.input.drain(..used);
                return response.status;
            }
            assert!(matches!(self.fill(deadline), Filled::More), "no interim response");
        }
    }

    /// The head of a response whose body is taken otherwise.
    #[track_caller]
    pub fn head(&mut self) -> String {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(at) = self.input.windows(4).position(|four| four == b"\r\n\r\n") {
                let head: Vec<u8> = self.input.drain(..at + 4).collect();
                return String::from_utf8(head).expect("a head in ASCII");
            }
            assert!(matches!(self.fill(deadline), Filled::More), "no head");
        }
    }

    /// Asks and takes the response.
    #[track_caller]
    pub fn ask(&mut self, request: impl AsRef<[u8]>) -> Response {
        self.send(request);
        self.response()
    }
}

/// An ending for messages: bytes as text, and not all of them.
pub fn shown(ending: &Ending) -> String {
    let bytes = ending.bytes();
    let how = match ending {
        Ending::Eof(_) => "end",
        Ending::Reset(_) => "reset",
        Ending::Open(_) => "still open",
    };
    let text = bytes[..bytes.len().min(500)].escape_ascii();
    format!("{how} after {} bytes \"{text}\"", bytes.len())
}
