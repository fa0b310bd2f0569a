//! The floor for files: level-triggered epoll, `recv`, `openat`, `fstat`; a small file is read and sent with its head in one
//! piece, of a large one the head is sent with `MSG_MORE` and the rest with `sendfile` until the peer takes no more.
//!
//! It believes what the load says, and knows a connection by its descriptor alone, except while a file is on its way.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Write};
use std::mem;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::epoll::Epoll;
use crate::sockets;

const BUFFER: usize = 64 * 1024;
const SMALL: usize = 16 * 1024;
const LISTENER: u64 = u64::MAX;

pub fn serve() -> io::Result<()> {
    let folder = File::open(crate::folder::path()?)?;
    let listener = crate::listen()?;
    listener.set_nonblocking(true)?;
    let mut server = Floor {
        epoll: Epoll::new()?,
        listener,
        folder,
        unsent: HashMap::new(),
        input: vec![0; BUFFER].into_boxed_slice(),
        output: vec![0; BUFFER].into_boxed_slice(),
    };
    server.epoll.add(server.listener.as_raw_fd(), libc::EPOLLIN, LISTENER)?;
    loop {
        let ready = server.epoll.wait(-1)?;
        for position in 0..ready {
            let done = match server.epoll.report(position) {
                (LISTENER, _) => {
                    server.accept()?;
                    continue;
                }
                // While something is unsent, only room for it is waited for.
                (fd, readiness) if readiness & libc::EPOLLOUT != 0 => {
                    server.flush(fd as RawFd).map_err(|error| (fd, error))
                }
                (fd, _) => server.receive(fd as RawFd).map_err(|error| (fd, error)),
            };
            if let Err((fd, error)) = done {
                server.close(fd as RawFd, &error)?;
            }
        }
    }
}

struct Floor {
    epoll: Epoll,
    listener: TcpListener,
    folder: File,
    unsent: HashMap<RawFd, Unsent>,
    input: Box<[u8]>,
    output: Box<[u8]>,
}

struct Unsent {
    file: OwnedFd,
    offset: libc::off_t,
    size: libc::off_t,
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
        // One byte stays for the end of a name.
        let room = self.input.len() - 1;
        let Some(received) = sockets::receive(fd, &mut self.input[..room])? else { return Ok(()) };
        if received == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        // The load writes a request with one call, and it fits one packet.
        let head = &mut self.input[..received];
        let path = head.strip_prefix(b"GET /files/").filter(|rest| rest.ends_with(b"\r\n\r\n"));
        let length = path.and_then(|path| path.iter().position(|byte| *byte == b' '));
        let length = length.ok_or(io::ErrorKind::InvalidInput)?;
        let name = &mut head["GET /files/".len()..][..=length];
        name[length] = 0;
        let (file, size) = open(&self.folder, name)?;
        let size = size as usize;
        let mut place = &mut self.output[..];
        write!(
            place,
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {size}\r\n\r\n"
        )?;
        let head = BUFFER - place.len();
        if size > SMALL {
            if sockets::send_with(fd, &self.output[..head], libc::MSG_MORE)? != head {
                return Err(io::ErrorKind::WriteZero.into());
            }
            let size = size as libc::off_t;
            return match send_file(fd, &file, 0, size)? {
                sent if sent == size => Ok(()),
                offset => {
                    self.unsent.insert(fd, Unsent { file, offset, size });
                    self.epoll.modify(fd, libc::EPOLLOUT, fd as u64)
                }
            };
        }
        let body = &mut self.output[head..][..size];
        // SAFETY: the body is as long as is said.
        let read = unsafe { libc::pread(file.as_raw_fd(), body.as_mut_ptr().cast(), size, 0) };
        if read != size as isize {
            return Err(io::ErrorKind::InvalidData.into());
        }
        // It always fits: nothing else is on its way.
        match sockets::send(fd, &self.output[..head + size])? {
            sent if sent == head + size => Ok(()),
            _ => Err(io::ErrorKind::WriteZero.into()),
        }
    }

    fn flush(&mut self, fd: RawFd) -> io::Result<()> {
        let Some(unsent) = self.unsent.get_mut(&fd) else { return Ok(()) };
        unsent.offset = send_file(fd, &unsent.file, unsent.offset, unsent.size)?;
        if unsent.offset < unsent.size {
            return Ok(());
        }
        self.unsent.remove(&fd);
        self.epoll.modify(fd, libc::EPOLLIN, fd as u64)
    }

    /// Closing takes the descriptor out of epoll, too.
    fn close(&mut self, fd: RawFd, why: &io::Error) -> io::Result<()> {
        self.unsent.remove(&fd);
        // SAFETY: `accept` left the number with us, and it is used nowhere after this.
        drop(unsafe { OwnedFd::from_raw_fd(fd) });
        sockets::unless_gone(why)
    }
}

/// A file below the folder, by a name that ends with zero, and its size.
fn open(folder: &File, name: &[u8]) -> io::Result<(OwnedFd, libc::off_t)> {
    let flags = libc::O_RDONLY | libc::O_CLOEXEC | libc::O_NOFOLLOW;
    // SAFETY: the name ends with zero.
    let fd = unsafe { libc::openat(folder.as_raw_fd(), name.as_ptr().cast(), flags) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the number has just been made and belongs to nobody else.
    let file = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all zeros are one, and the call fills it.
    let mut about: libc::stat = unsafe { mem::zeroed() };
    // SAFETY: as above.
    if unsafe { libc::fstat(fd, &mut about) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok((file, about.st_size))
}

/// Sends until the peer takes no more; where it stands then.
fn send_file(
    fd: RawFd,
    file: &OwnedFd,
    mut offset: libc::off_t,
    size: libc::off_t,
) -> io::Result<libc::off_t> {
    while offset < size {
        let left = (size - offset) as usize;
        // SAFETY: `offset` is a place for one.
        let sent = unsafe { libc::sendfile(fd, file.as_raw_fd(), &mut offset, left) };
        match sent {
            0 => return Err(io::ErrorKind::InvalidData.into()),
            1.. => {}
            _ => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => break,
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error => return Err(error),
            },
        }
    }
    Ok(offset)
}
