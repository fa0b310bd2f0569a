//! Sockets as the rooms of this house use them: non-blocking and close-on-exec from birth, addresses in our
//! own words.

// Every call is one system call. `send` and `sendmsg` are the only ways in which bytes get into a socket,
// and both carry MSG_NOSIGNAL: `write` and `writev` have no such flag, and a peer that is gone would end
// the process.

use std::ffi::OsStr;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::net::{
    self as sys, AddressFamily, RecvFlags, SendAncillaryBuffer, SendFlags, SocketAddrAny,
    SocketAddrUnix, SocketFlags, SocketType,
};

use super::{Address, Place};

/// What a socket can be bound or connected to without asking anybody.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Target {
    Ip(SocketAddr),
    Unix(SocketAddrUnix),
}

impl Target {
    /// `None` for what is not one address: names, and every address of the machine.
    pub(super) fn of(place: &Place) -> io::Result<Option<Self>> {
        Ok(match place {
            Place::Socket(socket) => Some(Self::Ip(*socket)),
            Place::Zoned { ip, zone, port } => {
                let fd = sys::socket_with(AddressFamily::INET6, SocketType::DGRAM, FLAGS, None)?;
                let scope = sys::netdevice::name_to_index(&fd, zone)?;
                Some(Self::Ip(std::net::SocketAddrV6::new(*ip, *port, 0, scope).into()))
            }
            Place::Path(path) => Some(Self::Unix(SocketAddrUnix::new(path)?)),
            Place::Abstract(name) => {
                Some(Self::Unix(SocketAddrUnix::new_abstract_name(name.as_bytes())?))
            }
            Place::Any(_) | Place::Name { .. } => None,
        })
    }

    pub(super) fn address(&self) -> Address {
        match self {
            Self::Ip(socket) => Address::from(*socket),
            Self::Unix(unix) => unix_address(unix).unwrap_or_else(unnamed),
        }
    }

    fn family(&self) -> AddressFamily {
        match self {
            Self::Ip(SocketAddr::V4(_)) => AddressFamily::INET,
            Self::Ip(SocketAddr::V6(_)) => AddressFamily::INET6,
            Self::Unix(_) => AddressFamily::UNIX,
        }
    }

    /// A socket of its family.
    pub(super) fn socket(&self, kind: SocketType) -> io::Result<OwnedFd> {
        Ok(sys::socket_with(self.family(), kind, FLAGS, None)?)
    }

    pub(super) fn bind(&self, fd: impl AsFd) -> io::Result<()> {
        match self {
            Self::Ip(socket) => sys::bind(fd, socket)?,
            Self::Unix(unix) => sys::bind(fd, unix)?,
        }
        Ok(())
    }

    /// Starts connecting. `EINPROGRESS`, and for Unix sockets `EAGAIN`, come as errors.
    pub(super) fn connect(&self, fd: impl AsFd) -> io::Result<()> {
        match self {
            Self::Ip(socket) => sys::connect(fd, socket)?,
            Self::Unix(unix) => sys::connect(fd, unix)?,
        }
        Ok(())
    }
}

pub(super) const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);

/// In our words; `None` for a Unix socket without a name, and for families we do not know.
pub(super) fn address_of(address: &SocketAddrAny) -> Option<Address> {
    if let Ok(socket) = SocketAddr::try_from(address.clone()) {
        return Some(Address::from(plain(socket)));
    }
    unix_address(&SocketAddrUnix::try_from(address.clone()).ok()?)
}

/// What reaches a socket of both families by IPv4 is written as what it is.
fn plain(socket: SocketAddr) -> SocketAddr {
    match socket.ip() {
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => SocketAddr::new(ip.into(), socket.port()),
            None => socket,
        },
        IpAddr::V4(_) => socket,
    }
}

/// Where the socket is bound.
pub(super) fn local_address(fd: impl AsFd) -> Option<Address> {
    address_of(&sys::getsockname(fd).ok()?)
}

/// Whom the socket is connected to.
pub(super) fn peer_address(fd: impl AsFd) -> Option<Address> {
    address_of(&sys::getpeername(fd).ok()??)
}

/// Whether it is TCP: what has Nagle's algorithm to turn off.
pub(super) fn is_tcp(fd: impl AsFd) -> bool {
    let tcp = sys::sockopt::socket_type(&fd) == Ok(SocketType::STREAM);
    let domain = sys::sockopt::socket_domain(&fd);
    tcp && matches!(domain, Ok(AddressFamily::INET | AddressFamily::INET6))
}

/// Whether its other end is on this machine for certain.
#[cfg(feature = "http-server")]
pub(super) fn is_unix(fd: impl AsFd) -> bool {
    sys::sockopt::socket_domain(fd) == Ok(AddressFamily::UNIX)
}

/// The error that waits at the socket, taken from it.
pub(super) fn take_error(fd: impl AsFd) -> io::Result<()> {
    sys::sockopt::socket_error(fd)?.map_err(io::Error::from)
}

pub(super) fn recv(fd: impl AsFd, into: &mut [u8]) -> io::Result<usize> {
    Ok(sys::recv(fd, into, RecvFlags::empty())?.0)
}

pub(super) fn send(fd: impl AsFd, bytes: &[u8]) -> io::Result<usize> {
    Ok(sys::send(fd, bytes, SendFlags::NOSIGNAL)?)
}

pub(super) fn send_vectored(fd: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut none = SendAncillaryBuffer::default();
    Ok(sys::sendmsg(fd, slices, &mut none, SendFlags::NOSIGNAL)?)
}

/// The same, where more follows at once: a packet need not leave for it.
pub(super) fn send_before_more(fd: impl AsFd, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    let mut none = SendAncillaryBuffer::default();
    Ok(sys::sendmsg(fd, slices, &mut none, SendFlags::NOSIGNAL.union(SendFlags::MORE))?)
}

fn unix_address(unix: &SocketAddrUnix) -> Option<Address> {
    if let Some(path) = unix.path_bytes() {
        return Address::unix(Path::new(OsStr::from_bytes(path))).ok();
    }
    let name = unix.abstract_name()?;
    format!("unix:@{}", String::from_utf8_lossy(name)).parse().ok()
}

/// For an address that cannot be told, which is not made here.
fn unnamed() -> Address {
    Address::from(SocketAddr::new(IpAddr::from([0, 0, 0, 0]), 0))
}
