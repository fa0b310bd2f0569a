//! Bare sockets, as the floors use them. Included by `serve`, `serve-http` and `serve-ws`.

use std::io;
use std::net::TcpListener;
use std::os::fd::{AsRawFd, RawFd};

/// The next connection, if one waits. It does not block, and whoever gets the number has to close it.
pub fn accept(listener: &TcpListener) -> io::Result<Option<RawFd>> {
    // SAFETY: no address is asked for, so none is written.
    let fd = unsafe {
        libc::accept4(
            listener.as_raw_fd(),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC,
        )
    };
    if fd >= 0 {
        return Ok(Some(fd));
    }
    let error = io::Error::last_os_error();
    if is_for_later(&error) { Ok(None) } else { Err(error) }
}

/// Takes what has come; none while nothing has. Zero is the end.
#[inline]
pub fn receive(fd: RawFd, room: &mut [u8]) -> io::Result<Option<usize>> {
    // SAFETY: the room is as long as is said.
    let received = unsafe { libc::recv(fd, room.as_mut_ptr().cast(), room.len(), 0) };
    if received >= 0 {
        return Ok(Some(received as usize));
    }
    let error = io::Error::last_os_error();
    if is_for_later(&error) { Ok(None) } else { Err(error) }
}

/// Sends what can be sent now, which may be nothing.
#[inline]
pub fn send(fd: RawFd, bytes: &[u8]) -> io::Result<usize> {
    send_with(fd, bytes, 0)
}

/// The same with flags of the system's.
#[inline]
pub fn send_with(fd: RawFd, bytes: &[u8], flags: i32) -> io::Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let flags = flags | libc::MSG_NOSIGNAL;
    // SAFETY: `bytes` are as many as is said.
    let sent = unsafe { libc::send(fd, bytes.as_ptr().cast(), bytes.len(), flags) };
    if sent >= 0 {
        return Ok(sent as usize);
    }
    let error = io::Error::last_os_error();
    if is_for_later(&error) { Ok(0) } else { Err(error) }
}

/// What a connection ends with that is nobody's fault: peers may leave as they like.
pub fn unless_gone(why: &io::Error) -> io::Result<()> {
    match why.kind() {
        io::ErrorKind::UnexpectedEof
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::BrokenPipe => Ok(()),
        kind => Err(kind.into()),
    }
}

fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
