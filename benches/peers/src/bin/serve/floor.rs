//! The floor: level-triggered epoll, `recv`, `send`, one buffer of 64 KiB for all. It knows nothing about a connection
//! but its descriptor, except while a peer does not take what is sent to it.

use std::collections::HashMap;
use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::Mode;
use crate::epoll::Epoll;
use crate::sockets::{self, send};

const BUFFER: usize = 64 * 1024;
const LISTENER: u64 = u64::MAX;

pub fn serve(mode: Mode) -> io::Result<()> {
    if mode == Mode::IdleTimeout {
        crate::serving::unsupported("");
        return Ok(());
    }
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let mut server = Floor {
        epoll: Epoll::new()?,
        listener,
        unsent: HashMap::new(),
        buffer: vec![0; BUFFER].into_boxed_slice(),
    };
    server.epoll.add(server.listener.as_raw_fd(), libc::EPOLLIN, LISTENER)?;
    crate::serving::announce(server.listener.local_addr()?.port())?;
    loop {
        let ready = server.epoll.wait(-1)?;
        for position in 0..ready {
            match server.epoll.report(position) {
                (LISTENER, _) => server.accept()?,
                // While something is unsent, only room for it is waited for.
                (fd, readiness) if readiness & libc::EPOLLOUT != 0 => server.flush(fd as RawFd)?,
                (fd, _) => server.echo(fd as RawFd)?,
            }
        }
    }
}

struct Floor {
    epoll: Epoll,
    listener: TcpListener,
    /// What the peer would not take yet; such a connection is not read.
    unsent: HashMap<RawFd, Vec<u8>>,
    buffer: Box<[u8]>,
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
    fn echo(&mut self, fd: RawFd) -> io::Result<()> {
        let received = match sockets::receive(fd, &mut self.buffer) {
            Ok(None) => return Ok(()),
            Ok(Some(0)) => return self.close(fd, &io::ErrorKind::UnexpectedEof.into()),
            Ok(Some(received)) => received,
            Err(error) => return self.close(fd, &error),
        };
        match send(fd, &self.buffer[..received]) {
            Ok(sent) if sent == received => Ok(()),
            Ok(sent) => {
                self.unsent.insert(fd, self.buffer[sent..received].to_vec());
                self.epoll.modify(fd, libc::EPOLLOUT, fd as u64)
            }
            Err(error) => self.close(fd, &error),
        }
    }

    fn flush(&mut self, fd: RawFd) -> io::Result<()> {
        let Some(unsent) = self.unsent.get_mut(&fd) else { return Ok(()) };
        match send(fd, unsent) {
            Ok(sent) if sent == unsent.len() => {
                self.unsent.remove(&fd);
                self.epoll.modify(fd, libc::EPOLLIN, fd as u64)
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
        self.unsent.remove(&fd);
        // SAFETY: `accept` left the number with us, and it is used nowhere after this.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
        sockets::unless_gone(why)
    }
}
