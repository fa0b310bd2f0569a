//! What a stream's bytes travel over, one system call at a time.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use rustix::net::Shutdown;

use super::pair::End;
use super::watched::Watched;
use crate::Io;
use crate::net::{Buffer, Chunk, socket};
use crate::sys::sigpipe;

#[derive(Default)]
pub(super) enum Transport {
    /// There is none: not connected yet, or closed.
    #[default]
    None,
    Socket(Rc<Watched>),
    /// A terminal, a pipe, or anything else that is read and written.
    File(Rc<Watched>),
    /// One to read and one to write.
    Files(Box<Files>),
    Pair(Box<End>),
}

pub(super) struct Files {
    pub(super) read: Rc<Watched>,
    /// `None` when nothing is written any more.
    pub(super) write: Option<Rc<Watched>>,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Transport>() == 16);

/// The slices that are gathered at a time, and the most that the system takes (`IOV_MAX`).
const FEW: usize = 16;
const MANY: usize = 1024;

/// How much of a file is brought into memory at a time.
const LOADED: usize = 64 * 1024;

impl Transport {
    /// The descriptor, of two the one that is read.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Socket(fd) | Self::File(fd) => Some(fd.as_fd()),
            Self::Files(files) => Some(files.read.as_fd()),
            Self::None | Self::Pair(_) => None,
        }
    }

    /// The watcher of that descriptor.
    pub(super) fn io(&self) -> Option<Io> {
        match self {
            Self::Socket(watched) | Self::File(watched) => watched.io(),
            Self::Files(files) => files.read.io(),
            Self::None | Self::Pair(_) => None,
        }
    }

    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Socket(fd) => Some(fd.as_fd()),
            _ => None,
        }
    }

    /// Appends what can be had in one go, at most `most` bytes; 0 is the end.
    pub(super) fn read(&self, into: &mut Buffer, most: usize) -> io::Result<usize> {
        if let Self::Pair(end) = self {
            return end.read(into, most);
        }
        let room = into.reserve(most);
        let n = self.read_slice(room)?;
        into.commit(n);
        Ok(n)
    }

    fn read_slice(&self, room: &mut [u8]) -> io::Result<usize> {
        loop {
            let result = match self {
                Self::Socket(fd) => socket::recv(fd, room),
                Self::File(fd) => rustix::io::read(fd, &mut *room).map_err(io::Error::from),
                Self::Files(files) => {
                    rustix::io::read(&files.read, &mut *room).map_err(io::Error::from)
                }

                Self::None | Self::Pair(_) => return Err(io::ErrorKind::NotConnected.into()),
            };
            match result {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // A terminal's other side was closed.
                Err(error) if error.raw_os_error() == Some(libc::EIO) => match self {
                    Self::File(_) | Self::Files(_) => return Ok(0),
                    _ => return Err(error),
                },
                result => return result,
            }
        }
    }

    /// [`read`](Self::read), and the descriptors that came with the bytes.
    pub(super) fn read_with_fds(
        &self,
        into: &mut Buffer,
        most: usize,
        fds: &mut VecDeque<OwnedFd>,
    ) -> io::Result<usize> {
        let Self::Socket(fd) = self else { return self.read(into, most) };
        let mut came = Vec::new();
        let (n, cut) = loop {
            match crate::net::recv_with_fds(fd, into.reserve(most), &mut came) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        if cut {
            let text = "more descriptors came at once than there was room for";
            return Err(io::Error::other(text));
        }
        fds.extend(came);
        into.commit(n);
        Ok(n)
    }

    /// Hands over and drains what the system takes in one go, at most `most` bytes, of which there is at
    /// least one. `fds` go with the first.
    pub(super) fn write(
        &self,
        from: &mut Buffer,
        most: usize,
        fds: Option<&[OwnedFd]>,
    ) -> io::Result<usize> {
        // Most of what is sent is one message.
        if let (Self::Socket(fd), None, Some(bytes)) = (self, fds, from.sole()) {
            match socket::send(fd, &bytes[..bytes.len().min(most)]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
                Ok(n) => {
                    from.drain(n);
                    return Ok(n);
                }
            }
        }
        self.write_any(from, most, fds)
    }

    #[inline(never)]
    fn write_any(
        &self,
        from: &mut Buffer,
        most: usize,
        fds: Option<&[OwnedFd]>,
    ) -> io::Result<usize> {
        loop {
            match self.write_once(from, most, fds) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }

    fn write_once(
        &self,
        from: &mut Buffer,
        most: usize,
        fds: Option<&[OwnedFd]>,
    ) -> io::Result<usize> {
        let n = match self {
            Self::None => return Err(io::ErrorKind::NotConnected.into()),
            Self::Pair(end) => {
                load_front(from, most)?;
                let most = most.min(from.memory_len());
                return end.write(from, most);
            }
            Self::Socket(fd) => {
                if fds.is_none() {
                    if let Some(n) = send_file(fd.as_fd(), from, most)? {
                        from.drain(n);
                        return Ok(n);
                    }
                }
                // A file that cannot be sent by the system comes through memory, of which it gets no more than others.
                let most = if from.is_plain() { most } else { most.min(LOADED) };
                load_front(from, most)?;
                match fds {
                    Some(fds) => send_with_fds(fd.as_fd(), from, most, fds)?,
                    None => send(fd.as_fd(), from, most)?,
                }
            }
            Self::File(fd) => write_file(fd, from, most)?,
            Self::Files(files) => match &files.write {
                Some(fd) => write_file(fd, from, most)?,
                None => return Err(io::ErrorKind::NotConnected.into()),
            },
        };
        from.drain(n);
        Ok(n)
    }

    /// Tells the peer that nothing follows.
    pub(super) fn end(&mut self) {
        match self {
            Self::None => {}
            Self::Socket(fd) => {
                // An error is one of a connection that is no more, which reading tells.
                let _ = rustix::net::shutdown(&*fd, Shutdown::Write);
            }
            // It has no half that could be closed.
            Self::File(_) => {}
            // Closed when its watcher is freed too.
            Self::Files(files) => files.write = None,
            Self::Pair(end) => end.end(),
        }
    }

    pub(super) fn end_reading(&self) {
        match self {
            Self::Socket(fd) => {
                let _ = rustix::net::shutdown(fd, Shutdown::Read);
            }
            Self::Pair(end) => end.end_reading(),
            Self::None | Self::File(_) | Self::Files(_) => {}
        }
    }

    /// Has the system hold back what does not fill a segment. Says whether it does.
    pub(super) fn cork(&self, on: bool) -> bool {
        let Self::Socket(fd) = self else { return false };
        rustix::net::sockopt::set_tcp_cork(fd, on).is_ok()
    }

    /// Has closing it reset the connection.
    pub(super) fn reset(&self) {
        match self {
            Self::Socket(fd) => {
                let at_once = Some(std::time::Duration::ZERO);
                let _ = rustix::net::sockopt::set_socket_linger(fd, at_once);
            }
            Self::Pair(end) => end.reset(),
            Self::None | Self::File(_) | Self::Files(_) => {}
        }
    }
}

/// `None` if the front is not a file, or cannot be sent as one.
fn send_file(fd: BorrowedFd<'_>, from: &Buffer, most: usize) -> io::Result<Option<usize>> {
    let Some(Chunk::File(part)) = from.chunks().next() else { return Ok(None) };
    // There is no flag that would keep the signal away.
    if sigpipe::kills() {
        return Ok(None);
    }
    let mut offset = part.offset;
    let most = part.len.min(most);
    match rustix::fs::sendfile(fd, part.file, Some(&mut offset), most) {
        Ok(0) => {
            let text = "a file has become shorter than the part that was to be sent";
            Err(io::Error::new(io::ErrorKind::UnexpectedEof, text))
        }
        Ok(n) => Ok(Some(n)),
        // A file that can be read, and not sent from: it is copied.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Brings the first bytes into memory if they are a file's.
fn load_front(from: &mut Buffer, most: usize) -> io::Result<()> {
    if matches!(from.chunks().next(), Some(Chunk::File(_))) {
        from.load(most)?;
    }
    Ok(())
}

fn write_file(fd: &Watched, from: &mut Buffer, most: usize) -> io::Result<usize> {
    load_front(from, most)?;
    let mut slice = [IoSlice::new(&[])];
    from.peek(most, &mut slice);
    sigpipe::write(fd, &slice[0])
}

fn send(fd: BorrowedFd<'_>, from: &Buffer, most: usize) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); FEW];
    let count = from.peek(most, &mut slices);
    match count {
        FEW => send_many(fd, from, most),
        // What is before a file leaves with its first bytes.
        _ if !from.is_plain() => socket::send_before_more(fd, &slices[..count]),
        1 => socket::send(fd, &slices[0]),
        count => socket::send_vectored(fd, &slices[..count]),
    }
}

/// Not part of [`send`], which need not clear the stack for it.
#[cold]
#[inline(never)]
fn send_many(fd: BorrowedFd<'_>, from: &Buffer, most: usize) -> io::Result<usize> {
    let mut slices = [IoSlice::new(&[]); MANY];
    let count = from.peek(most, &mut slices);
    socket::send_vectored(fd, &slices[..count])
}

#[cold]
fn send_with_fds(
    fd: BorrowedFd<'_>,
    from: &Buffer,
    most: usize,
    fds: &[OwnedFd],
) -> io::Result<usize> {
    let mut slice = [IoSlice::new(&[])];
    from.peek(most, &mut slice);
    let fds: Vec<BorrowedFd<'_>> = fds.iter().map(AsFd::as_fd).collect();
    crate::net::send_with_fds(fd, &slice[0], &fds)
}
