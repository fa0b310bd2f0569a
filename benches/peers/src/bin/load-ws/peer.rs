//! WebSockets to the server, and the messages on them. What is sent is made beforehand, mask and all.

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

/// With the key of RFC 6455 §1.3, whose answer is known.
const HANDSHAKE: &[u8] = b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
const ACCEPTED: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// One connection with at most one message on its way.
pub struct Peer {
    pub socket: TcpStream,
    /// A text with a mask; of the floor, which gave the handshake back, the same text alone.
    message: Box<[u8]>,
    /// What comes back.
    answer: Box<[u8]>,
    /// How much of it is there.
    received: usize,
}

impl Peer {
    pub fn send(&mut self) -> io::Result<()> {
        // One message always fits the buffer of a connection on which nothing else is on its way.
        match self.socket.write(&self.message)? {
            count if count == self.message.len() => Ok(()),
            _ => Err(wrong("the system took a part of a message")),
        }
    }

    /// Takes what has come; whether that completes the answer.
    #[inline]
    pub fn receive(&mut self) -> io::Result<bool> {
        // One more than is to come, which then is too much.
        let mut room = [0; MESSAGE + 16];
        let count = match self.socket.read(&mut room) {
            Ok(0) => return Err(wrong("the server closed a connection")),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        if self.answer.get(self.received..self.received + count) != Some(&room[..count]) {
            return Err(wrong("an answer is not what was sent"));
        }
        self.received = (self.received + count) % self.answer.len();
        Ok(self.received == 0)
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
        // A server may say goodbye before.
        let mut room = [0; 256];
        let mut more = 0;
        loop {
            match self.socket.read(&mut room) {
                Ok(0) => return Ok(()),
                Ok(count) => more += count,
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(()),
                Err(error) => return Err(error),
            }
            if more > room.len() {
                return Err(wrong("the server sends more than it got"));
            }
        }
    }
}

/// Opens WebSockets that do not block. When this returns, the server has accepted all of them.
pub fn connect(server: &Server, count: usize) -> io::Result<Vec<Peer>> {
    let mut peers = Vec::with_capacity(count);
    while peers.len() < count {
        let more = CONNECTED_AT_ONCE.min(count - peers.len());
        let sockets: Vec<TcpStream> = (0..more)
            .map(|_| {
                let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port))?;
                socket.set_nodelay(true)?;
                socket.write_all(HANDSHAKE)?;
                Ok(socket)
            })
            .collect::<io::Result<_>>()?;
        for mut socket in sockets {
            let is_bare = shake_hands(&mut socket)?;
            socket.set_nonblocking(true)?;
            let (message, answer) = message(peers.len() as u32, is_bare);
            peers.push(Peer { socket, message, answer, received: 0 });
        }
    }
    Ok(peers)
}

/// Waits for the answer; whether it is the echo of what was asked.
fn shake_hands(socket: &mut TcpStream) -> io::Result<bool> {
    socket.set_read_timeout(Some(PATIENCE))?;
    let mut answer = Vec::new();
    // Nobody speaks behind it before it is spoken to.
    while !answer.ends_with(b"\r\n\r\n") {
        let mut room = [0; 1024];
        match socket.read(&mut room)? {
            0 => return Err(wrong("the server closed a connection instead of shaking hands")),
            count => answer.extend_from_slice(&room[..count]),
        }
    }
    if answer == HANDSHAKE {
        return Ok(true);
    }
    let answer = String::from_utf8_lossy(&answer);
    let accepted = answer.split("\r\n").any(|line| {
        line.split_once(": ").is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("Sec-WebSocket-Accept") && value == ACCEPTED
        })
    });
    match answer.starts_with("HTTP/1.1 101 ") && accepted {
        true => Ok(false),
        false => Err(wrong(&format!("the server does not shake hands:\n{answer}"))),
    }
}

/// What a connection sends again and again, and what comes back. No connection's is like another one's.
fn message(number: u32, is_bare: bool) -> (Box<[u8]>, Box<[u8]>) {
    let text: Vec<u8> =
        format!("{number:08} ").into_bytes().into_iter().cycle().take(MESSAGE).collect();
    if is_bare {
        return (text.clone().into(), text.into());
    }
    let mask = (number.wrapping_mul(0x9E37_79B9) | 1).to_le_bytes();
    let mut sent = vec![0x81, 0x80 | MESSAGE as u8];
    sent.extend_from_slice(&mask);
    sent.extend(text.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    let mut back = vec![0x81, MESSAGE as u8];
    back.extend_from_slice(&text);
    (sent.into(), back.into())
}
