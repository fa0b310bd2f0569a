//! What only Unix sockets can do: say whose process is at the other end, and carry descriptors.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::cmsg_space;
use rustix::net::{
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrAny, SocketType, sockopt,
};

use crate::sys::datagram as sys;

pub(super) use sys::MAX_FDS;

/// The process at the other end of a Unix socket, as it was when the connection or the pair was made.
///
/// From [`peer_credentials`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub struct PeerCredentials {
    /// The process; `None` if it cannot be seen from our pid namespace. It may have ended since, and the
    /// number may be another's by now.
    pub pid: Option<u32>,
    /// Its effective user.
    pub uid: u32,
    /// Its effective group.
    pub gid: u32,
}

/// Whose process is at the other end of a connected Unix socket (`SO_PEERCRED`): the kernel's word, which
/// the peer cannot forge.
///
/// ```
/// let (near, _far) = std::os::unix::net::UnixStream::pair()?;
/// let peer = evloop::net::peer_credentials(&near)?;
/// assert_eq!(peer.pid, Some(std::process::id()));
/// # Ok::<(), std::io::Error>(())
/// ```
///
/// # Errors
///
/// [`NotConnected`](io::ErrorKind::NotConnected) if it is no Unix socket, or has no peer whose credentials
/// were kept; else what the system says.
///
/// # Sharp edges
///
/// They are those of who *made* the connection, or the pair, which is not always who uses it now.
pub fn peer_credentials(socket: impl AsFd) -> io::Result<PeerCredentials> {
    let found = sys::peer_credentials(socket.as_fd())?;
    if found.uid == u32::MAX {
        return Err(io::ErrorKind::NotConnected.into());
    }
    let pid = u32::try_from(found.pid).ok().filter(|&pid| pid != 0);
    Ok(PeerCredentials { pid, uid: found.uid, gid: found.gid })
}

/// Sends bytes with descriptors over a connected Unix socket (`SCM_RIGHTS`), in one call that does not raise
/// `SIGPIPE`. Returns how many bytes were taken; the descriptors are with the first.
///
/// The receiver gets duplicates. Ours stay open and are ours to close.
///
/// # Errors
///
/// [`InvalidInput`](io::ErrorKind::InvalidInput) for more than 253 descriptors, and for descriptors without a
/// byte on a stream, which would lose them. Else what the system says, for instance
/// [`WouldBlock`](io::ErrorKind::WouldBlock), and `ETOOMANYREFS` if too many are under way.
pub fn send_with_fds(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> io::Result<usize> {
    if bytes.is_empty() && !fds.is_empty() && sockopt::socket_type(&socket)? == SocketType::STREAM {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    send_message(socket.as_fd(), None, bytes, fds, SendFlags::NOSIGNAL)
}

/// Receives bytes, and descriptors that came with them, from a Unix socket; they are close-on-exec from
/// birth and are appended to `fds`. Returns how many bytes came, and whether control data was cut off.
///
/// It is when more descriptors came than we may have open. There are none in `fds` then: those
/// that did arrive were closed, because nobody could tell which they are.
///
/// # Errors
///
/// What the system says, for instance [`WouldBlock`](io::ErrorKind::WouldBlock). A socket that blocks, blocks.
///
/// # Sharp edges
///
/// * On a stream, descriptors are a barrier: what was sent after them comes with the next call.
/// * Of a datagram that is longer than `into`, the rest is lost and nobody is told; a
///   [`Datagram`](crate::net::Datagram) tells.
pub fn recv_with_fds(
    socket: impl AsFd,
    into: &mut [u8],
    fds: &mut Vec<OwnedFd>,
) -> io::Result<(usize, bool)> {
    let (n, is_cut, mut came) = sys::receive_with_fds(socket.as_fd(), into)?;
    fds.append(&mut came);
    Ok((n, is_cut))
}

/// One message, to where the socket is connected or to an address.
pub(super) fn send_message(
    socket: BorrowedFd<'_>,
    to: Option<&SocketAddrAny>,
    bytes: &[u8],
    fds: &[BorrowedFd<'_>],
    flags: SendFlags,
) -> io::Result<usize> {
    if fds.is_empty() {
        return Ok(rustix::io::retry_on_intr(|| match to {
            Some(to) => rustix::net::sendto(socket, bytes, flags, to),
            None => rustix::net::send(socket, bytes, flags),
        })?);
    }
    let mut space = [MaybeUninit::<u8>::uninit(); cmsg_space!(ScmRights(MAX_FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if fds.len() > MAX_FDS || !control.push(SendAncillaryMessage::ScmRights(fds)) {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let slices = [IoSlice::new(bytes)];
    Ok(rustix::io::retry_on_intr(|| match to {
        Some(to) => rustix::net::sendmsg_addr(socket, to, &slices, &mut control, flags),
        None => rustix::net::sendmsg(socket, &slices, &mut control, flags),
    })?)
}
