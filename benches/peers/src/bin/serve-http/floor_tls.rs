//! The floor for HTTPS: level-triggered epoll, `recv`, rustls, the floor's search for the end of a head and its answer made
//! beforehand, rustls, `send`.

#[cfg(not(feature = "tls"))]
pub fn serve() -> std::io::Result<()> {
    crate::serving::unsupported("feature `tls` of this package is off");
    Ok(())
}

#[cfg(feature = "tls")]
pub use server::serve;

#[cfg(feature = "tls")]
mod server {
    use std::collections::HashMap;
    use std::io::{self, Read, Write};
    use std::os::fd::AsRawFd;
    use std::sync::Arc;

    use rustls::{ServerConfig, ServerConnection};

    use crate::epoll::Epoll;
    use crate::{floor, sockets};

    const BUFFER: usize = 64 * 1024;
    const LISTENER: u64 = u64::MAX;

    pub fn serve() -> io::Result<()> {
        let config = Arc::new(crate::identity::Identity::new()?.config()?);
        let listener = crate::listen()?;
        listener.set_nonblocking(true)?;
        let mut epoll = Epoll::new()?;
        epoll.add(listener.as_raw_fd(), libc::EPOLLIN, LISTENER)?;
        let mut connections: HashMap<u64, Connection> = HashMap::new();
        let mut room = Room { input: vec![0; BUFFER].into_boxed_slice(), output: Vec::new() };
        loop {
            let ready = epoll.wait(-1)?;
            for position in 0..ready {
                let (key, _) = epoll.report(position);
                if key == LISTENER {
                    while let Ok((socket, _)) = listener.accept() {
                        socket.set_nonblocking(true)?;
                        socket.set_nodelay(true)?;
                        let key = socket.as_raw_fd() as u64;
                        epoll.add(socket.as_raw_fd(), libc::EPOLLIN, key)?;
                        connections.insert(key, Connection::new(socket, &config)?);
                    }
                    continue;
                }
                let Some(connection) = connections.get_mut(&key) else { continue };
                if let Err(error) = connection.receive(&mut room) {
                    connections.remove(&key);
                    sockets::unless_gone(&error)?;
                }
            }
        }
    }

    /// What all connections use in turn.
    struct Room {
        input: Box<[u8]>,
        output: Vec<u8>,
    }

    struct Connection {
        socket: std::net::TcpStream,
        tls: ServerConnection,
    }

    impl Connection {
        fn new(socket: std::net::TcpStream, config: &Arc<ServerConfig>) -> io::Result<Self> {
            let tls = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
            Ok(Self { socket, tls })
        }

        #[inline]
        fn receive(&mut self, room: &mut Room) -> io::Result<()> {
            let fd = self.socket.as_raw_fd();
            let Some(received) = sockets::receive(fd, &mut room.input)? else { return Ok(()) };
            if received == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut left = &room.input[..received];
            while !left.is_empty() {
                self.tls.read_tls(&mut left)?;
                self.tls.process_new_packets().map_err(io::Error::other)?;
            }
            room.output.clear();
            match self.tls.reader().read(&mut room.input) {
                // Whoever said that nothing follows is told the same.
                Ok(0) => self.tls.send_close_notify(),
                Ok(count) => {
                    floor::answer(&room.input[..count], &mut room.output);
                    self.tls.writer().write_all(&room.output)?;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
            // It always fits: an answer is small, and nothing else is on its way.
            room.output.clear();
            while self.tls.wants_write() {
                self.tls.write_tls(&mut room.output)?;
            }
            match sockets::send(fd, &room.output)? {
                sent if sent == room.output.len() => Ok(()),
                _ => Err(io::ErrorKind::WriteZero.into()),
            }
        }
    }
}
