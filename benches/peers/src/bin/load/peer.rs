//! Connections to the server, and the messages on them.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::time::Duration;

use crate::server::Server;
use crate::wrong;

pub const MESSAGE: usize = 64;

/// So many connect before one of them waits for an answer, so that no backlog overflows.
const CONNECTED_AT_ONCE: usize = 100;

/// Whatever the server owes comes sooner; longer than a slow machine under valgrind takes.
const PATIENCE: Duration = Duration::from_secs(60);
pub const PATIENCE_MS: i32 = 60_000;

/// One connection with at most one message on its way.
pub struct Peer {
    pub socket: TcpStream,
    /// No message is like another one.
    number: u64,
    sent: u64,
    /// How much of the answer is there.
    received: usize,
}

impl Peer {
    pub fn send(&mut self) -> io::Result<()> {
        self.sent += 1;
        let message = self.message();
        // One message always fits the buffer of a connection on which nothing else is on its way.
        match self.socket.write(&message)? {
            MESSAGE => Ok(()),
            _ => Err(wrong("the system took a part of a message")),
        }
    }

    /// Takes what has come; whether that completes the answer.
    pub fn receive(&mut self) -> io::Result<bool> {
        let mut bytes = [0; MESSAGE];
        let room = &mut bytes[self.received..];
        let (from, count) = match self.socket.read(room) {
            Ok(0) => return Err(wrong("the server closed a connection")),
            Ok(count) => (self.received, count),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let to = from + count;
        if bytes[from..to] != self.message()[from..to] {
            return Err(wrong("an answer is not what was sent"));
        }
        self.received = to % MESSAGE;
        Ok(to == MESSAGE)
    }

    fn message(&self) -> [u8; MESSAGE] {
        let mut message = [0; MESSAGE];
        for (position, word) in message.chunks_exact_mut(8).enumerate() {
            let number = if position % 2 == 0 { self.number } else { self.sent + position as u64 };
            word.copy_from_slice(&number.to_le_bytes());
        }
        message
    }

    /// A message and its answer, waited for.
    pub fn exchange(&mut self) -> io::Result<()> {
        self.socket.set_nonblocking(false)?;
        self.socket.set_read_timeout(Some(PATIENCE))?;
        self.send()?;
        // A time-out looks like `false`, too.
        while !self.receive()? {
            if self.received == 0 {
                return Err(wrong("the server owes an answer"));
            }
        }
        self.socket.set_nonblocking(true)
    }

    /// Says that nothing follows, and waits until the server has closed, too.
    pub fn finish(&mut self) -> io::Result<()> {
        self.socket.set_nonblocking(false)?;
        self.socket.set_read_timeout(Some(PATIENCE))?;
        self.socket.shutdown(Shutdown::Write)?;
        match self.socket.read(&mut [0; 1])? {
            0 => Ok(()),
            _ => Err(wrong("the server sends more than it got")),
        }
    }
}

/// Opens connections that do not block. When this returns, the server has accepted all of them.
pub fn connect(server: &Server, count: usize) -> io::Result<Vec<Peer>> {
    let mut peers = Vec::with_capacity(count);
    for number in 1..=count {
        let socket = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))?;
        socket.set_nodelay(true)?;
        socket.set_nonblocking(true)?;
        let mut peer = Peer { socket, number: number as u64, sent: 0, received: 0 };
        if number % CONNECTED_AT_ONCE == 0 || number == count {
            peer.exchange()?;
        }
        peers.push(peer);
    }
    Ok(peers)
}
