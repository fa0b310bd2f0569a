//! The floor, which knows nothing of WebSocket: level-triggered epoll, `recv`, `send`. It echoes what comes, a handshake too,
//! by which the load knows it. For a broadcast it sends the bytes that a prepared message is, one `send` for each connection.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::epoll::Epoll;
use crate::{BROADCAST, Mode, sockets};

const BUFFER: usize = 64 * 1024;
const LISTENER: u64 = u64::MAX;

pub fn serve(mode: Mode) -> io::Result<()> {
    let listener = crate::listen()?;
    // One text without a mask, of a length in two bytes.
    let mut frame = vec![0x81, 126];
    frame.extend_from_slice(&(BROADCAST.len() as u16).to_be_bytes());
    frame.extend_from_slice(&BROADCAST);
    let mut server = Floor {
        epoll: Epoll::new()?,
        listener,
        connections: Vec::new(),
        frame,
        buffer: vec![0; BUFFER].into_boxed_slice(),
    };
    server.epoll.add(server.listener.as_raw_fd(), libc::EPOLLIN, LISTENER)?;
    loop {
        let ready = server.epoll.wait(-1)?;
        for position in 0..ready {
            match server.epoll.report(position).0 {
                LISTENER => server.accept()?,
                fd => server.receive(fd as RawFd, mode)?,
            }
        }
    }
}

struct Floor {
    epoll: Epoll,
    listener: TcpListener,
    connections: Vec<RawFd>,
    frame: Vec<u8>,
    buffer: Box<[u8]>,
}

impl Floor {
    fn accept(&mut self) -> io::Result<()> {
        while let Some(fd) = sockets::accept(&self.listener)? {
            // From here the number alone is the connection: `close` takes it over.
            self.epoll.add(fd, libc::EPOLLIN, fd as u64)?;
            self.connections.push(fd);
        }
        Ok(())
    }

    #[inline]
    fn receive(&mut self, fd: RawFd, mode: Mode) -> io::Result<()> {
        let received = match sockets::receive(fd, &mut self.buffer) {
            Ok(None) => return Ok(()),
            Ok(Some(0)) => return self.close(fd, &io::ErrorKind::UnexpectedEof.into()),
            Ok(Some(received)) => &self.buffer[..received],
            Err(error) => return self.close(fd, &error),
        };
        if mode == Mode::Echo || received.starts_with(b"GET ") {
            return all(fd, received).or_else(|error| self.close(fd, &error));
        }
        self.connections.iter().try_for_each(|&fd| all(fd, &self.frame))
    }

    /// Closing takes the descriptor out of epoll, too.
    fn close(&mut self, fd: RawFd, why: &io::Error) -> io::Result<()> {
        self.connections.retain(|&other| other != fd);
        // SAFETY: `accept` left the number with us, and it is used nowhere after this.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
        sockets::unless_gone(why)
    }
}

/// It always fits: whoever sends one message waits for its answer.
#[inline]
fn all(fd: RawFd, bytes: &[u8]) -> io::Result<()> {
    match sockets::send(fd, bytes)? {
        sent if sent == bytes.len() => Ok(()),
        _ => Err(io::ErrorKind::WriteZero.into()),
    }
}
