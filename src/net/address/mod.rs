//! Addresses as people write them: `80`, `host:80`, `[::1]:80`, `unix:/run/it.sock`.

// What a name means is not asked here: no system call is made, and nothing but the text decides.

use std::borrow::Cow;
use std::ffi::OsStr;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::{error, fmt};

use crate::{Error, ErrorKind};

/// What a Unix socket's path, or its abstract name, may have in bytes: `sun_path` without the byte that
/// ends the path, or that says that a name is abstract.
const LONGEST_PATH: usize = 107;

/// What a host's name may have in bytes, without a dot at its end, and each of its labels.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// What the name of a network interface may have in bytes.
const LONGEST_ZONE: usize = 15;

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
    /// [`ErrorKind::InvalidInput`] if it is empty, longer than 107 bytes, or has a NUL in it.
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

/// Why a text is no address, and where in it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Fault {
    why: Why,
    /// In bytes.
    at: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    Empty,
    Scheme,
    Slash,
    NoPort,
    PortEmpty,
    PortDigits,
    PortRange,
    Brackets,
    Unclosed,
    AfterBracket,
    NotIpv6,
    NotIpv4,
    Zone,
    ZoneLength,
    NonAscii,
    Character(char),
    Hyphen,
    LabelEmpty,
    LabelLength,
    NameLength,
    PathEmpty,
    PathLength,
    PathNul,
    PathRelative,
}

impl Why {
    fn text(self) -> Cow<'static, str> {
        Cow::Borrowed(match self {
            Self::Empty => "there is nothing",
            Self::Scheme => "the scheme is none of tcp, udp, http and https",
            Self::Slash => "a path needs `unix:` before it, and has no place behind a host",
            Self::NoPort => "the port is missing",
            Self::PortEmpty => "the port is empty",
            Self::PortDigits => "the port is not a number",
            Self::PortRange => "the port is greater than 65535",
            Self::Brackets => {
                "an IPv6 address goes into brackets, and only there are several colons"
            }
            Self::Unclosed => "the bracket is not closed",
            Self::AfterBracket => "a port, with a colon, is all that may follow the bracket",
            Self::NotIpv6 => "what is in brackets is not an IPv6 address",
            Self::NotIpv4 => "the name ends in a number and is not an IPv4 address",
            Self::Zone => "the zone is not the name or the number of an interface",
            Self::ZoneLength => "the zone is longer than 15 bytes",
            Self::NonAscii => "a name with other than ASCII letters must be in its xn-- form",
            Self::Character(c) => return format!("{c:?} is not part of a host's name").into(),
            Self::Hyphen => "the name begins with a hyphen",
            Self::LabelEmpty => "a part of the name is empty",
            Self::LabelLength => "a part of the name is longer than 63 bytes",
            Self::NameLength => "the name is longer than 253 bytes",
            Self::PathEmpty => "the path of the Unix socket is empty",
            Self::PathLength => "the path of the Unix socket is longer than 107 bytes",
            Self::PathNul => "the path of the Unix socket has a NUL in it",
            Self::PathRelative => "two slashes after `unix:` must be followed by a third",
        })
    }

    fn at(self, at: usize) -> Fault {
        Fault { why: self, at }
    }
}

impl Fault {
    #[cold]
    fn into_error(self) -> Error {
        Error::caused(ErrorKind::InvalidInput, "reading an address", Box::new(self))
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, at byte {}", self.why.text(), self.at)
    }
}

impl error::Error for Fault {}

// Each of these takes a part of the text and where it begins.

fn parse(text: &str) -> Result<Address, Fault> {
    if text.is_empty() {
        return Err(Why::Empty.at(0));
    }
    if let Some(prefix) = text.get(..5).filter(|prefix| prefix.eq_ignore_ascii_case("unix:")) {
        return Ok(Address { scheme: None, place: unix(&text[prefix.len()..], prefix.len())? });
    }
    let Some((name, mut rest)) = text.split_once("://") else {
        return Ok(Address { scheme: None, place: host_and_port(text, 0, None)? });
    };
    let is_named = |scheme: &&Scheme| scheme.to_string().eq_ignore_ascii_case(name);
    let scheme = *Scheme::ALL.iter().find(is_named).ok_or(Why::Scheme.at(0))?;
    let default = scheme.default_port();
    if default.is_some() {
        rest = rest.strip_suffix('/').unwrap_or(rest);
    }
    let place = host_and_port(rest, name.len() + 3, default)?;
    Ok(Address { scheme: Some(scheme), place })
}

fn unix(text: &str, at: usize) -> Result<Place, Fault> {
    if let Some(name) = text.strip_prefix('@') {
        check_path(name.as_bytes(), at + 1)?;
        return Ok(Place::Abstract(name.to_owned()));
    }
    let (path, at) = match text.strip_prefix("//") {
        Some(path) if path.starts_with('/') => {
            // As many as there may be are one, or it would not be written so that it reads the same.
            let start = path.len() - path.trim_start_matches('/').len() - 1;
            (&path[start..], at + 2 + start)
        }
        Some(_) => return Err(Why::PathRelative.at(at + 2)),
        None => (text, at),
    };
    check_path(path.as_bytes(), at)?;
    Ok(Place::Path(PathBuf::from(path)))
}

fn check_path(path: &[u8], at: usize) -> Result<(), Fault> {
    if path.is_empty() {
        Err(Why::PathEmpty.at(at))
    } else if let Some(nul) = path.iter().position(|&byte| byte == 0) {
        Err(Why::PathNul.at(at + nul))
    } else if path.len() > LONGEST_PATH {
        Err(Why::PathLength.at(at + LONGEST_PATH))
    } else {
        Ok(())
    }
}

fn host_and_port(text: &str, at: usize, default: Option<u16>) -> Result<Place, Fault> {
    if text.is_empty() {
        return Err(Why::Empty.at(at));
    }
    if let Some(slash) = text.find('/') {
        return Err(Why::Slash.at(at + slash));
    }
    if let Some(inner) = text.strip_prefix('[') {
        let end = inner.find(']').ok_or(Why::Unclosed.at(at))?;
        let (inner, rest) = (&inner[..end], &inner[end + 1..]);
        let behind = at + end + 2;
        let port = match rest.strip_prefix(':') {
            Some(digits) => port(digits, behind + 1)?,
            None if rest.is_empty() => default.ok_or(Why::NoPort.at(behind))?,
            None => return Err(Why::AfterBracket.at(behind)),
        };
        return in_brackets(inner, at + 1, port);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(Place::Any(port(text, at)?));
    }
    let (name, port) = match text.split_once(':') {
        Some((_, rest)) if rest.contains(':') => return Err(Why::Brackets.at(at)),
        Some((name, digits)) => (name, port(digits, at + name.len() + 1)?),
        None => {
            check_host(text, at)?;
            (text, default.ok_or(Why::NoPort.at(at + text.len()))?)
        }
    };
    if name.is_empty() {
        return Ok(Place::Any(port));
    }
    if let Ok(ip) = name.parse::<Ipv4Addr>() {
        return Ok(Place::Socket(SocketAddr::new(IpAddr::V4(ip), port)));
    }
    check_host(name, at)?;
    Ok(Place::Name { host: name.to_ascii_lowercase(), port })
}

fn port(digits: &str, at: usize) -> Result<u16, Fault> {
    if digits.is_empty() {
        Err(Why::PortEmpty.at(at))
    } else if let Some(odd) = digits.bytes().position(|byte| !byte.is_ascii_digit()) {
        // `u16` would take a sign.
        Err(Why::PortDigits.at(at + odd))
    } else {
        digits.parse().map_err(|_| Why::PortRange.at(at))
    }
}

fn in_brackets(text: &str, at: usize, port: u16) -> Result<Place, Fault> {
    let (ip, zone) = match text.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone)),
        None => (text, None),
    };
    let ip: Ipv6Addr = ip.parse().map_err(|_| Why::NotIpv6.at(at))?;
    let socket = |scope| Place::Socket(SocketAddrV6::new(ip, port, 0, scope).into());
    let Some(zone) = zone else { return Ok(socket(0)) };
    let at = at + text.len() - zone.len();
    // What the kernel lets an interface be called, less what would be in the way here.
    let is_odd = |c: char| !c.is_ascii_graphic() || "/%[]:".contains(c);
    if let Some((odd, _)) = zone.char_indices().find(|&(_, c)| is_odd(c)) {
        Err(Why::Zone.at(at + odd))
    } else if zone.bytes().all(|byte| byte.is_ascii_digit()) {
        // The empty one too, and 0, which is none.
        match zone.parse() {
            Ok(0) | Err(_) => Err(Why::Zone.at(at)),
            Ok(scope) => Ok(socket(scope)),
        }
    } else if zone.len() > LONGEST_ZONE {
        Err(Why::ZoneLength.at(at + LONGEST_ZONE))
    } else {
        Ok(Place::Zoned { ip, zone: zone.to_owned(), port })
    }
}

/// Whether it is a host's name, or an IPv4 address, for who has it from elsewhere than an [`Address`].
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    check_host(name, 0).map_err(Fault::into_error)
}

/// Whether it is a host's name, or an IPv4 address.
fn check_host(name: &str, at: usize) -> Result<(), Fault> {
    if let Some(odd) = name.bytes().position(|byte| !byte.is_ascii()) {
        return Err(Why::NonAscii.at(at + odd));
    }
    let is_odd = |c: char| !c.is_ascii_alphanumeric() && !"-_.".contains(c);
    if let Some((odd, c)) = name.char_indices().find(|&(_, c)| is_odd(c)) {
        return Err(Why::Character(c).at(at + odd));
    }
    if name.starts_with('-') {
        return Err(Why::Hyphen.at(at));
    }
    let rooted = name.strip_suffix('.').unwrap_or(name);
    if rooted.len() > LONGEST_NAME {
        return Err(Why::NameLength.at(at + LONGEST_NAME));
    }
    let mut start = at;
    let mut last = "";
    for label in rooted.split('.') {
        if label.is_empty() {
            return Err(Why::LabelEmpty.at(start));
        }
        if label.len() > LONGEST_LABEL {
            return Err(Why::LabelLength.at(start + LONGEST_LABEL));
        }
        start += label.len() + 1;
        last = label;
    }
    // C libraries take numbers in fewer parts, in octal and in hexadecimal.
    let hex = last.strip_prefix("0x").or(last.strip_prefix("0X"));
    let is_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || hex.is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    if is_number && name.parse::<Ipv4Addr>().is_err() {
        return Err(Why::NotIpv4.at(at));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn v6(text: &str) -> Place {
        Place::Socket(text.parse().unwrap())
    }

    fn name(host: &str, port: u16) -> Place {
        Place::Name { host: host.to_owned(), port }
    }

    #[test]
    fn every_form_is_read_and_written_so_that_it_reads_the_same() {
        use Scheme::*;
        let long_label = format!("{}.org", "a".repeat(63));
        let long_name = format!("{}abc", format!("{}.", "a".repeat(49)).repeat(5));
        assert_eq!(long_name.len(), 253);
        let long_path = format!("unix:/{}", "p".repeat(106));
        let zoned = |zone: &str, port| {
            let (ip, zone) = ("fe80::1".parse().unwrap(), zone.to_owned());
            Place::Zoned { ip, zone, port }
        };
        let path = |path: &str| Place::Path(PathBuf::from(path));
        let v4 = |text: &str| Place::Socket(text.parse().unwrap());
        let table: Vec<(String, Option<Scheme>, Place, &str)> = vec![
            ("80".into(), None, Place::Any(80), ":80"),
            (":80".into(), None, Place::Any(80), ":80"),
            ("0".into(), None, Place::Any(0), ":0"),
            (":0".into(), None, Place::Any(0), ":0"),
            ("0080".into(), None, Place::Any(80), ":80"),
            (":65535".into(), None, Place::Any(65535), ":65535"),
            ("host:80".into(), None, name("host", 80), "host:80"),
            ("LocalHost:0".into(), None, name("localhost", 0), "localhost:0"),
            ("a.b-c.d_e.org:1".into(), None, name("a.b-c.d_e.org", 1), "a.b-c.d_e.org:1"),
            ("example.org.:1".into(), None, name("example.org.", 1), "example.org.:1"),
            ("xn--bcher-kva.example:1".into(), None, name("xn--bcher-kva.example", 1), ""),
            ("4chan.org:1".into(), None, name("4chan.org", 1), ""),
            ("10.example:1".into(), None, name("10.example", 1), ""),
            ("0xfg:1".into(), None, name("0xfg", 1), ""),
            ("a-.b:1".into(), None, name("a-.b", 1), ""),
            (format!("{long_label}:1"), None, name(&long_label, 1), ""),
            (format!("{long_name}:1"), None, name(&long_name, 1), ""),
            (format!("{long_name}.:1"), None, name(&format!("{long_name}."), 1), ""),
            ("1.2.3.4:80".into(), None, v4("1.2.3.4:80"), ""),
            ("0.0.0.0:0".into(), None, v4("0.0.0.0:0"), ""),
            ("[::1]:80".into(), None, v6("[::1]:80"), ""),
            ("[::]:0".into(), None, v6("[::]:0"), ""),
            ("[0:0:0:0:0:0:0:1]:80".into(), None, v6("[::1]:80"), "[::1]:80"),
            ("[::FFFF:1.2.3.4]:80".into(), None, v6("[::ffff:1.2.3.4]:80"), "[::ffff:1.2.3.4]:80"),
            ("[fe80::1%eth0]:80".into(), None, zoned("eth0", 80), ""),
            ("[fe80::1%br-1.2@x]:80".into(), None, zoned("br-1.2@x", 80), ""),
            ("[fe80::1%2]:80".into(), None, v6("[fe80::1%2]:80"), ""),
            ("[fe80::1%02]:80".into(), None, v6("[fe80::1%2]:80"), "[fe80::1%2]:80"),
            ("[fe80::1%2x]:80".into(), None, zoned("2x", 80), ""),
            ("unix:/run/it.sock".into(), None, path("/run/it.sock"), ""),
            ("UNIX:/run/it.sock".into(), None, path("/run/it.sock"), "unix:/run/it.sock"),
            ("unix:///run/it.sock".into(), None, path("/run/it.sock"), "unix:/run/it.sock"),
            ("unix:it.sock".into(), None, path("it.sock"), ""),
            ("unix:./@it".into(), None, path("./@it"), ""),
            ("unix:/with space/ü:80".into(), None, path("/with space/ü:80"), ""),
            (long_path.clone(), None, path(&long_path[5..]), ""),
            ("unix://////run".into(), None, path("/run"), "unix:/run"),
            ("unix:///".into(), None, path("/"), "unix:/"),
            ("unix:@name".into(), None, Place::Abstract("name".into()), ""),
            ("unix:@@".into(), None, Place::Abstract("@".into()), ""),
            ("unix:@/path".into(), None, Place::Abstract("/path".into()), ""),
            ("tcp://80".into(), Some(Tcp), Place::Any(80), "tcp://:80"),
            ("tcp://host:80".into(), Some(Tcp), name("host", 80), ""),
            ("udp://1.2.3.4:53".into(), Some(Udp), v4("1.2.3.4:53"), ""),
            ("http://host".into(), Some(Http), name("host", 80), "http://host:80"),
            ("http://host/".into(), Some(Http), name("host", 80), "http://host:80"),
            ("http://host:8080/".into(), Some(Http), name("host", 8080), "http://host:8080"),
            ("HTTPS://Host".into(), Some(Https), name("host", 443), "https://host:443"),
            ("https://[::1]".into(), Some(Https), v6("[::1]:443"), "https://[::1]:443"),
            ("https://[fe80::1%a]".into(), Some(Https), zoned("a", 443), "https://[fe80::1%a]:443"),
            ("http://127.0.0.1".into(), Some(Http), v4("127.0.0.1:80"), "http://127.0.0.1:80"),
            ("http://:8080".into(), Some(Http), Place::Any(8080), ""),
            ("https://8443".into(), Some(Https), Place::Any(8443), "https://:8443"),
        ];
        for (text, scheme, place, written) in table {
            let address = parse(&text).unwrap_or_else(|fault| panic!("{text}: {fault}"));
            assert_eq!(address, Address { scheme, place }, "{text}");
            let expected = if written.is_empty() { text.as_str() } else { written };
            assert_eq!(address.to_string(), expected, "{text}");
            assert_eq!(parse(&address.to_string()), Ok(address), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_with_why_and_where() {
        use Why::*;
        let long_label = format!("{}.org:1", "a".repeat(64));
        let long_name = format!("{}abcd:1", format!("{}.", "a".repeat(49)).repeat(5));
        let long_path = format!("unix:/{}", "p".repeat(107));
        let long_abstract = format!("unix:@{}", "p".repeat(108));
        let table: Vec<(&str, Why, usize)> = vec![
            ("", Empty, 0),
            ("http://", Empty, 7),
            ("https:///", Empty, 8),
            ("tcp://", Empty, 6),
            (":", PortEmpty, 1),
            ("::", Brackets, 0),
            ("host:", PortEmpty, 5),
            ("[::1]:", PortEmpty, 6),
            ("host", NoPort, 4),
            ("1.2.3.4", NoPort, 7),
            ("[::1]", NoPort, 5),
            ("tcp://host", NoPort, 10),
            ("udp://[::1]", NoPort, 11),
            ("host:http", PortDigits, 5),
            ("host:+80", PortDigits, 5),
            ("host:-1", PortDigits, 5),
            ("host:8 0", PortDigits, 6),
            ("host: 80", PortDigits, 5),
            ("host:80 ", PortDigits, 7),
            (":80\n", PortDigits, 3),
            ("host:0x50", PortDigits, 6),
            ("host:٨٠", PortDigits, 5),
            ("65536", PortRange, 0),
            (":65536", PortRange, 1),
            ("host:99999999999999999999", PortRange, 5),
            ("::1", Brackets, 0),
            ("::1:80", Brackets, 0),
            ("::1]:80", Brackets, 0),
            ("fe80::1%eth0:80", Brackets, 0),
            ("host:80:80", Brackets, 0),
            ("tcp:host:80", Brackets, 0),
            ("[::1", Unclosed, 0),
            ("[::1:80", Unclosed, 0),
            ("[", Unclosed, 0),
            ("tcp://[::1", Unclosed, 6),
            ("[::1]80", AfterBracket, 5),
            ("[::1]]:80", AfterBracket, 5),
            ("[]:80", NotIpv6, 1),
            ("[1.2.3.4]:80", NotIpv6, 1),
            ("[host]:80", NotIpv6, 1),
            ("[::1::2]:80", NotIpv6, 1),
            ("[[::1]]:80", AfterBracket, 6),
            ("[12345::]:80", NotIpv6, 1),
            ("[fe80::1%]:80", Zone, 9),
            ("[fe80::1%0]:80", Zone, 9),
            ("[fe80::1%4294967296]:80", Zone, 9),
            ("[fe80::1%a%b]:80", Zone, 10),
            ("[fe80::1%é]:80", Zone, 9),
            ("[fe80::1%a\0]:80", Zone, 10),
            ("[fe80::1%sixteen-letters!]:80", ZoneLength, 24),
            ("1.2.3:80", NotIpv4, 0),
            ("1.2.3.4.5:80", NotIpv4, 0),
            ("256.1.1.1:80", NotIpv4, 0),
            ("01.2.3.4:80", NotIpv4, 0),
            ("1.2.3.4.:80", NotIpv4, 0),
            ("0x7f.1:80", NotIpv4, 0),
            ("0x7f000001:80", NotIpv4, 0),
            ("0x:80", NotIpv4, 0),
            ("http://127.1", NotIpv4, 7),
            ("bücher.example:80", NonAscii, 1),
            ("例え:80", NonAscii, 0),
            (" host:80", Character(' '), 0),
            ("user@host:80", Character('@'), 4),
            ("*:80", Character('*'), 0),
            ("a,b:80", Character(','), 1),
            ("a%41:80", Character('%'), 1),
            ("host\0:80", Character('\0'), 4),
            ("host]:80", Character(']'), 4),
            ("host?q", Character('?'), 4),
            ("http://host#x", Character('#'), 11),
            ("-host:80", Hyphen, 0),
            (".:80", LabelEmpty, 0),
            (".host:80", LabelEmpty, 0),
            ("a..b:80", LabelEmpty, 2),
            ("host..:80", LabelEmpty, 5),
            (&long_label, LabelLength, 63),
            (&long_name, NameLength, 253),
            ("/run/it.sock", Slash, 0),
            ("host:80/", Slash, 7),
            ("http://host/index", Slash, 11),
            ("http://host//", Slash, 11),
            ("tcp://host:80/", Slash, 13),
            ("http://unix:/run/it.sock", Slash, 12),
            ("ftp://host:21", Scheme, 0),
            ("://host:80", Scheme, 0),
            ("http ://host", Scheme, 0),
            ("ünix://host", Scheme, 0),
            ("unix:", PathEmpty, 5),
            ("unix:@", PathEmpty, 6),
            ("unix://", PathRelative, 7),
            ("unix://run/it.sock", PathRelative, 7),
            ("unix:/a\0b", PathNul, 7),
            ("unix:@a\0b", PathNul, 7),
            (&long_path, PathLength, 112),
            (&long_abstract, PathLength, 113),
        ];
        for (text, why, at) in table {
            assert_eq!(parse(text), Err(Fault { why, at }), "{text:?}");
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidInput);
            let source = error::Error::source(&error).unwrap().to_string();
            assert!(source.ends_with(&format!(", at byte {at}")), "{source}");
        }
    }

    #[test]
    fn a_path_is_taken_as_it_is_and_checked() {
        let unix = |path: &str| Address::unix(path).map(|address| address.to_string());
        assert_eq!(unix("/run/it.sock").unwrap(), "unix:/run/it.sock");
        assert_eq!(unix("@it").unwrap(), "unix:./@it");
        assert_eq!(unix("//run//it.sock").unwrap(), "unix:/run//it.sock");
        assert!(Address::unix("it").unwrap().is_unix());
        let bytes = OsStr::from_bytes(b"/run/\xff");
        assert_eq!(Address::unix(bytes).unwrap().place(), &Place::Path(PathBuf::from(bytes)));
        for path in ["", "a\0b", &"p".repeat(108)] {
            assert_eq!(unix(path).unwrap_err().kind(), ErrorKind::InvalidInput);
        }
        assert!(unix(&"p".repeat(107)).is_ok());
    }

    #[test]
    fn a_socket_address_is_an_address() {
        for text in ["1.2.3.4:80", "[::1]:0", "[fe80::1%3]:80"] {
            let socket: SocketAddr = text.parse().unwrap();
            assert_eq!(Address::from(socket), text.parse().unwrap());
            assert_eq!(Address::from(socket).port(), Some(socket.port()));
        }
        let labelled = SocketAddrV6::new(Ipv6Addr::LOCALHOST, 1, 7, 0);
        assert_eq!(Address::from(SocketAddr::V6(labelled)), "[::1]:1".parse().unwrap());
    }

    /// Texts that are nearly addresses: pieces of such in any order.
    fn pieces() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            Just("http://"),
            Just("tcp://"),
            Just("unix:"),
            Just("["),
            Just("]"),
            Just(":"),
            Just("%"),
            Just("::1"),
            Just("fe80::"),
            Just("eth0"),
            Just("1.2.3.4"),
            Just("80"),
            Just("65536"),
            Just("host"),
            Just("."),
            Just("-"),
            Just("/"),
            Just("//"),
            Just("@"),
            Just("\0"),
            Just("é"),
            Just("0x1"),
            Just(" "),
        ];
        prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #[test]
        fn whatever_is_read_reads_the_same_when_written(text in prop_oneof![pieces(), ".*", "[^/]{1,20}:[0-9]{1,5}"]) {
            match parse(&text) {
                Ok(address) => {
                    prop_assert_eq!(parse(&address.to_string()), Ok(address));
                }
                Err(fault) => {
                    prop_assert!(fault.at <= text.len());
                    prop_assert!(text.is_char_boundary(fault.at) || matches!(fault.why, Why::PathLength));
                }
            }
        }

        #[test]
        fn what_the_kernel_calls_a_socket_is_read(ip: u128, port: u16, scope: u32) {
            let socket = SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(ip), port, 0, scope));
            prop_assert_eq!(parse(&socket.to_string()), Ok(Address::from(socket)));
            let socket = SocketAddr::from((Ipv4Addr::from(ip as u32), port));
            prop_assert_eq!(parse(&socket.to_string()), Ok(Address::from(socket)));
        }
    }
}
