//! The floor: level-triggered epoll, `recv`, a plain search for the end of the head, an answer that was made beforehand,
//! `send`. Whatever was received with one call is answered with one.
//!
//! It believes what the load says: no field is looked at but the length of a body and the wish to close, spelt as `load-http`
//! spells them, and no route at all. A connection is its descriptor alone, except while a request is incomplete or an answer
//! is not taken.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::epoll::Epoll;
use crate::sockets::{self, send};

const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 13\r\n\r\nHello, World!";
const ECHO: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: ";

const BUFFER: usize = 64 * 1024;
const LISTENER: u64 = u64::MAX;

pub fn serve() -> io::Result<()> {
    let listener = crate::listen()?;
    listener.set_nonblocking(true)?;
    let mut server = Floor {
        epoll: Epoll::new()?,
        listener,
        unfinished: HashMap::new(),
        unsent: HashMap::new(),
        input: vec![0; BUFFER].into_boxed_slice(),
        output: Vec::with_capacity(BUFFER),
    };
    server.epoll.add(server.listener.as_raw_fd(), libc::EPOLLIN, LISTENER)?;
    loop {
        let ready = server.epoll.wait(-1)?;
        for position in 0..ready {
            match server.epoll.report(position) {
                (LISTENER, _) => server.accept()?,
                // While something is unsent, only room for it is waited for.
                (fd, readiness) if readiness & libc::EPOLLOUT != 0 => server.flush(fd as RawFd)?,
                (fd, _) => server.receive(fd as RawFd)?,
            }
        }
    }
}

struct Floor {
    epoll: Epoll,
    listener: TcpListener,
    /// The beginnings of requests whose rest has not come.
    unfinished: HashMap<RawFd, Vec<u8>>,
    /// What the peer would not take yet, and whether the connection ends behind it; such a connection is not read.
    unsent: HashMap<RawFd, (Vec<u8>, bool)>,
    input: Box<[u8]>,
    output: Vec<u8>,
}

impl Floor {
    fn accept(&mut self) -> io::Result<()> {
        while let Some(fd) = sockets::accept(&self.listener)? {
            // From here the number alone is the connection: `close` takes it over.
            self.epoll.add(fd, libc::EPOLLIN, fd as u64)?;
        }
        Ok(())
    }

    #[inline]
    fn receive(&mut self, fd: RawFd) -> io::Result<()> {
        let mut kept = 0;
        if !self.unfinished.is_empty() {
            if let Some(beginning) = self.unfinished.remove(&fd) {
                kept = beginning.len();
                self.input[..kept].copy_from_slice(&beginning);
            }
        }
        let received = match sockets::receive(fd, &mut self.input[kept..]) {
            Ok(None) => {
                self.keep(fd, 0, kept);
                return Ok(());
            }
            // Also where a request fills the whole buffer.
            Ok(Some(0)) => return self.close(fd, &io::ErrorKind::UnexpectedEof.into()),
            Ok(Some(received)) => received,
            Err(error) => return self.close(fd, &error),
        };
        let end = kept + received;
        self.output.clear();
        let (answered, closes) = answer(&self.input[..end], &mut self.output);
        if !closes {
            self.keep(fd, answered, end);
        }
        match send(fd, &self.output) {
            Ok(sent) if sent == self.output.len() => match closes {
                true => self.close(fd, &io::ErrorKind::UnexpectedEof.into()),
                false => Ok(()),
            },
            Ok(sent) => {
                self.unsent.insert(fd, (self.output[sent..].to_vec(), closes));
                self.epoll.modify(fd, libc::EPOLLOUT, fd as u64)
            }
            Err(error) => self.close(fd, &error),
        }
    }

    fn keep(&mut self, fd: RawFd, from: usize, end: usize) {
        if from < end {
            self.unfinished.insert(fd, self.input[from..end].to_vec());
        }
    }

    fn flush(&mut self, fd: RawFd) -> io::Result<()> {
        let Some((unsent, closes)) = self.unsent.get_mut(&fd) else { return Ok(()) };
        match send(fd, unsent) {
            Ok(sent) if sent == unsent.len() => {
                let closes = *closes;
                self.unsent.remove(&fd);
                match closes {
                    true => self.close(fd, &io::ErrorKind::UnexpectedEof.into()),
                    false => self.epoll.modify(fd, libc::EPOLLIN, fd as u64),
                }
            }
            Ok(sent) => {
                unsent.drain(..sent);
                Ok(())
            }
            Err(error) => self.close(fd, &error),
        }
    }

    /// Closing takes the descriptor out of epoll, too.
    fn close(&mut self, fd: RawFd, why: &io::Error) -> io::Result<()> {
        self.unfinished.remove(&fd);
        self.unsent.remove(&fd);
        // SAFETY: `accept` left the number with us, and it is used nowhere after this.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
        sockets::unless_gone(why)
    }
}

/// Answers all complete requests; says where the first incomplete one begins, and whether the last one ends the connection.
#[inline]
pub fn answer(input: &[u8], output: &mut Vec<u8>) -> (usize, bool) {
    let mut at = 0;
    while let Some(length) = find(&input[at..], b"\r\n\r\n") {
        let (head, rest) = input[at..].split_at(length + 4);
        at += head.len();
        if head.starts_with(b"POST") {
            let Some(body) = body_of(head).and_then(|length| rest.get(..length)) else {
                return (at - head.len(), false);
            };
            at += body.len();
            output.extend_from_slice(ECHO);
            output.extend_from_slice(body.len().to_string().as_bytes());
            output.extend_from_slice(b"\r\n\r\n");
            output.extend_from_slice(body);
        } else {
            output.extend_from_slice(ANSWER);
        }
        // The load says it last.
        if head.ends_with(b"close\r\n\r\n") {
            return (at, true);
        }
    }
    (at, false)
}

fn body_of(head: &[u8]) -> Option<usize> {
    let name = b"Content-Length: ";
    let digits = &head[find(head, name)? + name.len()..];
    let digits = &digits[..digits.iter().position(|byte| !byte.is_ascii_digit())?];
    str::from_utf8(digits).ok()?.parse().ok()
}

#[inline]
fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}
