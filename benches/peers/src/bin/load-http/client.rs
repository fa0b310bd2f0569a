//! Connections to the server, and the requests on them.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::answer::{Answer, Request};
use crate::server::Server;
use crate::wrong;

/// So many connect before one of them waits for an answer, so that no backlog overflows.
const CONNECTED_AT_ONCE: usize = 100;

/// Whatever the server owes comes sooner; longer than a slow machine under valgrind takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const PATIENCE_MS: i32 = 60_000;

/// What is read with one call.
const ROOM: usize = 64 * 1024;

/// What goes over a socket, as it is or encrypted.
pub trait Stream: Read + Write {
    fn socket(&self) -> &TcpStream;

    /// Says that nothing follows, and waits; whether nothing came but the end.
    fn end(&mut self) -> io::Result<bool>;
}

impl Stream for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }

    fn end(&mut self) -> io::Result<bool> {
        self.shutdown(Shutdown::Write)?;
        Ok(self.read(&mut [0; 1])? == 0)
    }
}

/// One connection with at most one write's requests on their way.
pub struct Client<S = TcpStream> {
    pub stream: S,
    /// How much of the first answer that is not complete is there.
    at: usize,
    /// How many answers are to come.
    owed: usize,
}

impl<S: Stream> Client<S> {
    /// On a connection that is there. It does not block from now on.
    pub fn over(stream: S) -> io::Result<Self> {
        stream.socket().set_nonblocking(true)?;
        Ok(Self { stream, at: 0, owed: 0 })
    }

    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        self.owed += request.depth;
        // It always fits the buffer of a connection on which nothing else is on its way.
        match self.stream.write(&request.bytes)? {
            count if count == request.bytes.len() => Ok(()),
            _ => Err(wrong("the system took a part of a request")),
        }
    }

    /// Takes what has come; how many answers that completes.
    #[inline]
    pub fn receive(&mut self, answer: &Answer, room: &mut Room) -> io::Result<usize> {
        self.receive_at_most(ROOM, answer, room)
    }

    /// The same, of so many bytes.
    #[inline]
    pub fn receive_at_most(
        &mut self,
        most: usize,
        answer: &Answer,
        room: &mut Room,
    ) -> io::Result<usize> {
        let most = most.min(ROOM);
        let count = match self.stream.read(&mut room.0[..most]) {
            Ok(0) => return Err(wrong("the server closed a connection")),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(0),
            Err(error) => return Err(error),
        };
        let completed = answer.compare(&mut self.at, &room.0[..count])?;
        match self.owed.checked_sub(completed) {
            Some(owed) => self.owed = owed,
            None => return Err(wrong("the server answers more than it was asked")),
        }
        Ok(completed)
    }

    /// Takes what has come on a connection that ends with its answer; whether it has.
    pub fn receive_last(&mut self, answer: &Answer, room: &mut Room) -> io::Result<bool> {
        loop {
            match self.stream.read(&mut room.0) {
                Ok(0) if self.owed == 0 && self.at == 0 => return Ok(true),
                Ok(0) => return Err(wrong("the server closed a connection before its answer")),
                Ok(count) => {
                    let completed = answer.compare(&mut self.at, &room.0[..count])?;
                    self.owed = self.owed.wrapping_sub(completed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
    }

    /// How much of the first answer that is not complete is there.
    pub fn at(&self) -> usize {
        self.at
    }

    /// Whether all that was asked is answered.
    pub fn is_done(&self) -> bool {
        self.owed == 0
    }

    /// Requests and their answers, waited for.
    pub fn exchange(
        &mut self,
        request: &Request,
        answer: &Answer,
        room: &mut Room,
    ) -> io::Result<()> {
        self.stream.socket().set_nonblocking(false)?;
        self.stream.socket().set_read_timeout(Some(PATIENCE))?;
        self.send(request)?;
        while !self.is_done() {
            let before = (self.owed, self.at);
            self.receive(answer, room)?;
            // A time-out looks like nothing.
            if before == (self.owed, self.at) {
                return Err(wrong("the server owes an answer"));
            }
        }
        self.stream.socket().set_nonblocking(true)
    }

    /// Says that nothing follows, and waits until the server has closed, too.
    pub fn finish(&mut self) -> io::Result<()> {
        self.stream.socket().set_nonblocking(false)?;
        self.stream.socket().set_read_timeout(Some(PATIENCE))?;
        match self.stream.end()? {
            true => Ok(()),
            false => Err(wrong("the server sends more than it was asked for")),
        }
    }
}

/// Where received bytes lie while they are compared.
pub struct Room(Box<[u8]>);

impl Room {
    pub fn new() -> Self {
        Self(vec![0; ROOM].into_boxed_slice())
    }
}

/// The first of all connections: not every server listens when it says so.
pub fn connect_first(server: &Server) -> io::Result<TcpStream> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match connect(server) {
            Err(error)
                if error.kind() == io::ErrorKind::ConnectionRefused
                    && Instant::now() < deadline =>
            {
                thread::sleep(Duration::from_millis(20));
            }
            connected => return connected,
        }
    }
}

pub fn connect(server: &Server) -> io::Result<TcpStream> {
    let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))?;
    socket.set_nodelay(true)?;
    Ok(socket)
}

/// Opens one connection that does not block.
pub fn open(server: &Server) -> io::Result<Client> {
    Client::over(connect(server)?)
}

/// Opens connections, each of which makes one exchange.
pub fn open_used(
    server: &Server,
    count: usize,
    request: &Request,
    answer: &Answer,
) -> io::Result<Vec<Client>> {
    open_used_with(server, count, request, answer, connect)
}

/// The same, over connections that are made otherwise.
pub fn open_used_with<S: Stream>(
    server: &Server,
    count: usize,
    request: &Request,
    answer: &Answer,
    connect: impl Fn(&Server) -> io::Result<S>,
) -> io::Result<Vec<Client<S>>> {
    let mut room = Room::new();
    let mut clients = Vec::with_capacity(count);
    while clients.len() < count {
        let more = CONNECTED_AT_ONCE.min(count - clients.len());
        let fresh = clients.len();
        for _ in 0..more {
            clients.push(Client::over(connect(server)?)?);
        }
        clients[fresh..]
            .iter_mut()
            .try_for_each(|client| client.exchange(request, answer, &mut room))?;
    }
    Ok(clients)
}
