//! Who has sent a datagram, or is to get one.

use std::ffi::OsStr;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::net::addr::SocketAddrArg;
use rustix::net::{AddressFamily, SocketAddrAny, SocketAddrUnix};

use crate::net::Address;
use crate::net::socket::Target;
use crate::{Error, ErrorKind, Result};

const DOING: &str = "addressing a datagram";

/// What `sun_path` has room for.
const PATH: usize = 108;

/// Whom a datagram is from, or for: an address as the system has it, of fixed size and copied freely.
///
/// An [`Address`] is what people write, and may own memory; there is one of these in every packet. They
/// can be compared and hashed, so that a map can hold what is known of each peer.
///
/// ```
/// use evloop::net::{Address, Peer};
/// use std::net::SocketAddr;
///
/// let socket: SocketAddr = "127.0.0.1:53".parse()?;
/// let peer = Peer::from(socket);
/// assert_eq!(peer.socket_addr(), Some(socket));
/// assert_eq!(Peer::try_from(&"unix:@metrics".parse::<Address>()?)?.abstract_name(), Some(&b"metrics"[..]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(Form);

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Unnamed,
    Ip(SocketAddr),
    /// Zeros behind `len`, so that equal names are equal.
    Unix {
        len: u8,
        name: [u8; PATH],
    },
}

impl Peer {
    /// A Unix socket that is bound to a path.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it is empty, longer than 107 bytes, or has a NUL in it.
    pub fn unix(path: impl AsRef<Path>) -> Result<Self> {
        let bytes = path.as_ref().as_os_str().as_bytes();
        if bytes.is_empty() || bytes.len() >= PATH || bytes.contains(&0) {
            return Err(Error::new(ErrorKind::InvalidInput, DOING));
        }
        Ok(Self(Form::unix(bytes)))
    }

    /// The host and port, unless it is a Unix socket.
    ///
    /// An IPv4 peer of a socket that serves IPv6 too is an IPv4 address here, not one mapped to IPv6.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self.0 {
            Form::Ip(socket) => Some(socket),
            _ => None,
        }
    }

    /// The path of a Unix socket that has one.
    #[must_use]
    pub fn path(&self) -> Option<&Path> {
        let name = self.unix_name().filter(|name| name[0] != 0)?;
        Some(Path::new(OsStr::from_bytes(name)))
    }

    /// The name of an abstract Unix socket, without the byte in front that makes it one.
    #[must_use]
    pub fn abstract_name(&self) -> Option<&[u8]> {
        self.unix_name().filter(|name| name[0] == 0).map(|name| &name[1..])
    }

    /// Whether it has no address, as one half of a pair, or a Unix socket that was not bound: it cannot be
    /// answered, other than by a socket that is connected to it.
    #[must_use]
    pub fn is_unnamed(&self) -> bool {
        self.0 == Form::Unnamed
    }

    /// In the form that people write; `None` if it is unnamed, or an abstract name that is no text.
    #[must_use]
    pub fn to_address(&self) -> Option<Address> {
        match self.0 {
            Form::Unnamed => None,
            Form::Ip(socket) => Some(Address::from(socket)),
            Form::Unix { .. } => match self.path() {
                Some(path) => Address::unix(path).ok(),
                None => {
                    let name = std::str::from_utf8(self.abstract_name()?).ok()?;
                    format!("unix:@{name}").parse().ok()
                }
            },
        }
    }

    fn unix_name(&self) -> Option<&[u8]> {
        match &self.0 {
            Form::Unix { len, name } => {
                name.get(..usize::from(*len)).filter(|name| !name.is_empty())
            }
            _ => None,
        }
    }

    /// From a `sockaddr`; unnamed if it is empty, or of a family that we do not know.
    pub(super) fn from_raw(raw: &[u8]) -> Self {
        Self(Form::from_raw(raw).unwrap_or(Form::Unnamed))
    }

    /// As something to bind or connect to; `None` if it is unnamed.
    pub(super) fn target(&self) -> Option<Target> {
        if let Form::Ip(socket) = self.0 {
            return Some(Target::Ip(socket));
        }
        let name = self.unix_name()?;
        let unix = match name[0] {
            0 => SocketAddrUnix::new_abstract_name(&name[1..]),
            _ => SocketAddrUnix::new(name),
        };
        unix.ok().map(Target::Unix)
    }

    /// As a socket of this family has to be told of it.
    pub(super) fn for_family(&self, family: AddressFamily) -> Result<SocketAddrAny> {
        match self.target() {
            Some(Target::Ip(SocketAddr::V4(v4))) if family == AddressFamily::INET => {
                Ok(v4.as_any())
            }
            Some(Target::Ip(SocketAddr::V4(v4))) if family == AddressFamily::INET6 => {
                Ok(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0).as_any())
            }
            Some(Target::Ip(SocketAddr::V6(v6))) if family == AddressFamily::INET6 => {
                Ok(v6.as_any())
            }
            Some(Target::Unix(unix)) if family == AddressFamily::UNIX => Ok(unix.as_any()),
            _ => Err(Error::new(ErrorKind::InvalidInput, DOING)),
        }
    }

    pub(super) fn is_ipv4(&self) -> bool {
        matches!(self.0, Form::Ip(SocketAddr::V4(_)))
    }
}

impl Form {
    fn unix(bytes: &[u8]) -> Self {
        let mut name = [0; PATH];
        let len = bytes.len().min(PATH);
        name[..len].copy_from_slice(&bytes[..len]);
        Self::Unix { len: len as u8, name }
    }

    fn from_raw(raw: &[u8]) -> Option<Self> {
        let (family, rest) = raw.split_first_chunk::<2>()?;
        match i32::from(u16::from_ne_bytes(*family)) {
            libc::AF_INET => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                let ip = Ipv4Addr::from(*rest.first_chunk::<4>()?);
                Some(Self::Ip(SocketAddrV4::new(ip, u16::from_be_bytes(*port)).into()))
            }
            libc::AF_INET6 => {
                let (port, rest) = rest.split_first_chunk::<2>()?;
                // The flow label is no part of who it is.
                let (_flow, rest) = rest.split_first_chunk::<4>()?;
                let (ip, rest) = rest.split_first_chunk::<16>()?;
                let (ip, port) = (Ipv6Addr::from(*ip), u16::from_be_bytes(*port));
                // Whoever asks for a map of peers must not find one peer twice.
                if let IpAddr::V4(v4) = IpAddr::V6(ip).to_canonical() {
                    return Some(Self::Ip(SocketAddrV4::new(v4, port).into()));
                }
                let scope = u32::from_ne_bytes(*rest.first_chunk()?);
                Some(Self::Ip(SocketAddrV6::new(ip, port, 0, scope).into()))
            }
            libc::AF_UNIX => {
                // A path ends with its NUL, an abstract name with the address.
                let end = match rest.first()? {
                    0 => rest.len(),
                    _ => rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len()),
                };
                Some(Self::unix(&rest[..end]))
            }
            _ => None,
        }
    }
}

impl From<SocketAddr> for Peer {
    fn from(socket: SocketAddr) -> Self {
        Self(Form::Ip(socket))
    }
}

impl From<&Self> for Peer {
    fn from(peer: &Self) -> Self {
        *peer
    }
}

/// What an address says without anybody being asked for a name.
///
/// [`ErrorKind::InvalidInput`] for a host by name, for every address of this machine, and for an interface
/// that there is not.
impl TryFrom<&Address> for Peer {
    type Error = Error;

    fn try_from(address: &Address) -> Result<Self> {
        match Target::of(address.place()) {
            Ok(Some(Target::Ip(socket))) => Ok(Self::from(socket)),
            Ok(Some(Target::Unix(unix))) => {
                if let Some(path) = unix.path_bytes() {
                    return Self::unix(OsStr::from_bytes(path));
                }
                let name = [&[0], unix.abstract_name().unwrap_or_default()].concat();
                Ok(Self(Form::unix(&name)))
            }
            Ok(None) => Err(Error::new(ErrorKind::InvalidInput, DOING)),
            Err(error) => Err(Error::os(ErrorKind::InvalidInput, DOING, error)),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.0, self.path(), self.abstract_name()) {
            (Form::Ip(socket), ..) => write!(f, "{socket}"),
            (_, Some(path), _) => write!(f, "unix:{}", path.display()),
            (_, _, Some(name)) => write!(f, "unix:@{}", name.escape_ascii()),
            _ => f.write_str("unnamed"),
        }
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Peer({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_says_is_read_as_it_is_meant() {
        let v4 = [2, 0, 0x1F, 0x90, 127, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        assert_eq!(Peer::from_raw(&v4).to_string(), "127.0.0.1:8080");
        let mut v6 = vec![10, 0, 0, 53, 0, 0, 0, 0];
        v6.extend(Ipv6Addr::LOCALHOST.octets());
        v6.extend(7_u32.to_ne_bytes());
        assert_eq!(Peer::from_raw(&v6).to_string(), "[::1%7]:53");
        assert_eq!(Peer::from_raw(b"\x01\0/run/it\0rest").path(), Some(Path::new("/run/it")));
        assert_eq!(Peer::from_raw(b"\x01\0\0it\0s").abstract_name(), Some(&b"it\0s"[..]));
        let full = [b"\x01\0".as_slice(), &[b'x'; 108]].concat();
        assert_eq!(Peer::from_raw(&full).path().unwrap().as_os_str().len(), 108);
    }

    #[test]
    fn what_is_cut_short_or_unknown_is_unnamed() {
        let whole = [&[10, 0, 0, 53][..], &[0; 24]].concat();
        for end in 0..whole.len() {
            assert!(Peer::from_raw(&whole[..end]).is_unnamed(), "{end}");
        }
        assert!(!Peer::from_raw(&whole).is_unnamed());
        for raw in [&b""[..], b"\x01", b"\x01\0", b"\x02\0", b"\x63\0whatever it is"] {
            assert!(Peer::from_raw(raw).is_unnamed(), "{raw:?}");
        }
    }

    #[test]
    fn an_ipv4_peer_has_one_form_on_all_sockets() {
        let v4 = Peer::from("10.1.2.3:4".parse::<SocketAddr>().unwrap());
        let mapped = v4.for_family(AddressFamily::INET6).unwrap();
        let mapped = SocketAddr::try_from(mapped).unwrap();
        assert_eq!(mapped, "[::ffff:10.1.2.3]:4".parse().unwrap());
        let mut raw = vec![10, 0, 0, 4, 0, 0, 0, 0];
        raw.extend("::ffff:10.1.2.3".parse::<Ipv6Addr>().unwrap().octets());
        raw.extend([0; 4]);
        assert_eq!(Peer::from_raw(&raw), v4);
        assert!(v4.for_family(AddressFamily::UNIX).is_err());
    }
}
