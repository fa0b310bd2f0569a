//! Addresses as people write them: `80`, `host:80`, `[::1]:80`, `unix:/run/it.sock`.

// What a name means is not asked here: no system call is made, and nothing but the text decides.

mod fault;
mod parsing;

pub(super) use parsing::check_name;

use std::ffi::OsStr;
use std::fmt;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use self::fault::Fault;
use self::parsing::{check_path, parse};
use crate::Error;

/// Where something listens, or is reached: read from a string, and written as one that reads the same.
///
/// | text | means |
/// |---|---|
/// | `80`, `:80` | port 80 of every address of this machine |
/// | `example.org:80` | a host by name |
/// | `127.0.0.1:80`, `[::1]:80` | a host by number; IPv6 in brackets |
/// | `[fe80::1%eth0]:80`, `[fe80::1%2]:80` | the same with its zone, an interface by name or number |
/// | `unix:/run/it.sock` | the path of a Unix socket; `unix:///run/it.sock` is the same |
/// | `unix:@name` | an abstract Unix socket (Linux); for a path that begins so, write `unix:./@name` |
///
/// Before any but the last two a scheme may stand: `tcp://`, `udp://`, `http://`, `https://`. With the last two
/// of those the port may be left out and is 80 or 443, and a `/` may follow, as it is when the address
/// is copied from elsewhere.
///
/// ```
/// use evloop::net::{Address, Place, Scheme};
///
/// let address: Address = "https://Example.org".parse()?;
/// assert_eq!(address.scheme(), Some(Scheme::Https));
/// assert_eq!(address.port(), Some(443));
/// assert_eq!(address.to_string(), "https://example.org:443");
///
/// let error = "example.org:65536".parse::<Address>().unwrap_err();
/// assert_eq!(error.kind(), evloop::ErrorKind::InvalidInput);
/// let source = std::error::Error::source(&error).expect("a reason");
/// assert_eq!(source.to_string(), "the port is greater than 65535, at byte 12");
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **Port 0** is read: to listen on, it means any that is free. There is no connecting to it.
/// * **Names are made lower case** and otherwise kept, also with a dot at the end. They are of letters,
///   digits, `-` and `_`; others must be written in their `xn--` form. What ends in a number
///   and is not an IPv4 address in four decimal parts is refused, since resolvers differ about what it is.
/// * **A zone** is taken as it is written: `%25` is not the `%` of a URL.
/// * White space is not skipped.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Address {
    scheme: Option<Scheme>,
    place: Place,
}

/// What may stand before an [`Address`]. More may join.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Scheme {
    /// `tcp://`
    Tcp,
    /// `udp://`
    Udp,
    /// `http://`, port 80 unless another is given.
    Http,
    /// `https://`, port 443 unless another is given.
    Https,
}

impl Scheme {
    const ALL: [Self; 4] = [Self::Tcp, Self::Udp, Self::Http, Self::Https];

    /// The port of those that have one of their own.
    #[must_use]
    pub fn default_port(self) -> Option<u16> {
        match self {
            Self::Tcp | Self::Udp => None,
            Self::Http => Some(80),
            Self::Https => Some(443),
        }
    }
}

impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Http => "http",
            Self::Https => "https",
        })
    }
}

/// What an [`Address`] names. More may join.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Place {
    /// A port of every address of this machine.
    Any(u16),
    /// A host by number. A zone given as a number is the scope of the IPv6 address.
    Socket(SocketAddr),
    /// A host by number, in the zone of an interface that is given by name.
    Zoned {
        /// The host's number.
        ip: Ipv6Addr,
        /// The name of the interface.
        zone: String,
        /// The port.
        port: u16,
    },
    /// A host by name.
    Name {
        /// The name, in lower case.
        host: String,
        /// The port.
        port: u16,
    },
    /// The path of a Unix socket.
    Path(PathBuf),
    /// An abstract Unix socket, without the `@`.
    Abstract(String),
}

impl Address {
    /// The address of a Unix socket: the path as it is, whatever its bytes.
    ///
    /// A path that is no UTF-8 is written with replacement characters.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if it is empty, longer than 107 bytes, or has
    /// a NUL in it.
    pub fn unix(path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let bytes = path.as_os_str().as_bytes();
        // Written down, it would be read as something else.
        let path = if bytes.starts_with(b"@") {
            Path::new(".").join(path)
        } else if bytes.starts_with(b"//") {
            let start = bytes.iter().take_while(|&&byte| byte == b'/').count();
            Path::new("/").join(OsStr::from_bytes(&bytes[start..]))
        } else {
            path.to_owned()
        };
        check_path(path.as_os_str().as_bytes(), 0).map_err(Fault::into_error)?;
        Ok(Self { scheme: None, place: Place::Path(path) })
    }

    /// What stood before it.
    #[must_use]
    pub fn scheme(&self) -> Option<Scheme> {
        self.scheme
    }

    /// What it names.
    #[must_use]
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The port; Unix sockets have none.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self.place {
            Place::Any(port) | Place::Zoned { port, .. } | Place::Name { port, .. } => Some(port),
            Place::Socket(socket) => Some(socket.port()),
            Place::Path(_) | Place::Abstract(_) => None,
        }
    }

    /// Whether it is a Unix socket's.
    #[must_use]
    pub fn is_unix(&self) -> bool {
        matches!(self.place, Place::Path(_) | Place::Abstract(_))
    }
}

/// A host by number, with no scheme.
impl From<SocketAddr> for Address {
    fn from(socket: SocketAddr) -> Self {
        // The flow label is no part of an address that people write.
        let socket = match socket {
            SocketAddr::V6(v6) => SocketAddrV6::new(*v6.ip(), v6.port(), 0, v6.scope_id()).into(),
            SocketAddr::V4(_) => socket,
        };
        Self { scheme: None, place: Place::Socket(socket) }
    }
}

impl FromStr for Address {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map_err(Fault::into_error)
    }
}

impl TryFrom<&str> for Address {
    type Error = Error;

    fn try_from(text: &str) -> Result<Self, Error> {
        text.parse()
    }
}

impl TryFrom<&String> for Address {
    type Error = Error;

    fn try_from(text: &String) -> Result<Self, Error> {
        text.parse()
    }
}

/// So that what `format!` makes can be connected to.
impl TryFrom<String> for Address {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        text.parse()
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(scheme) = self.scheme {
            write!(f, "{scheme}://")?;
        }
        match &self.place {
            Place::Any(port) => write!(f, ":{port}"),
            Place::Socket(socket) => write!(f, "{socket}"),
            Place::Zoned { ip, zone, port } => write!(f, "[{ip}%{zone}]:{port}"),
            Place::Name { host, port } => write!(f, "{host}:{port}"),
            Place::Path(path) => write!(f, "unix:{}", path.display()),
            Place::Abstract(name) => write!(f, "unix:@{name}"),
        }
    }
}

#[cfg(test)]
mod tests;
