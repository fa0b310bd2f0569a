use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// A range of addresses that begin with the same bits: `10.0.0.0/8`, `fd00::/8`; an address alone is a range of one.
///
/// Addresses of IPv4 that are mapped into IPv6 (`::ffff:10.0.0.1`, as sockets of both families tell them) are addresses
/// of IPv4 here. So `::/0` is all of IPv6 and nothing of IPv4.
///
/// ```
/// use evloop::http::IpNetwork;
///
/// let network: IpNetwork = "192.0.2.0/24".parse()?;
/// assert!(network.contains("192.0.2.77".parse().unwrap()));
/// assert!(network.contains("::ffff:192.0.2.77".parse().unwrap()));
/// assert!(!network.contains("192.0.3.77".parse().unwrap()));
/// assert!("192.0.2.77/24".parse::<IpNetwork>().is_err()); // one host, or all of them?
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpNetwork {
    // Never a mapped one, and no bit is set behind the prefix.
    address: IpAddr,
    prefix: u8,
}

impl IpNetwork {
    /// The addresses whose first `prefix` bits are these.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for more bits than the address has, and for an address that has others set behind them.
    pub fn new(address: IpAddr, prefix: u8) -> Result<Self, Error> {
        let (address, prefix) = match (address, address.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(ip)) => {
                // Fewer than 96 would be more than what is mapped.
                let Some(prefix) = prefix.checked_sub(96) else {
                    return Err(wrong("the prefix is too short for a mapped address"));
                };
                (IpAddr::V4(ip), prefix)
            }
            (_, address) => (address, prefix),
        };
        if prefix > bits_of(address) {
            return Err(wrong("the prefix is longer than the address"));
        }
        if masked(address, prefix) != address {
            return Err(wrong("bits are set behind the prefix"));
        }
        Ok(Self { address, prefix })
    }

    /// Its first address.
    #[must_use]
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// How many bits its addresses have in common.
    #[must_use]
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether an address is one of it.
    #[must_use]
    pub fn contains(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        address.is_ipv4() == self.address.is_ipv4() && masked(address, self.prefix) == self.address
    }
}

/// The network of one address.
impl From<IpAddr> for IpNetwork {
    fn from(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self { address, prefix: bits_of(address) }
    }
}

impl FromStr for IpNetwork {
    type Err = Error;

    /// # Errors
    ///
    /// Those of [`new`](Self::new); [`ErrorKind::InvalidInput`] for what is no address, or no number behind the slash.
    fn from_str(text: &str) -> Result<Self, Error> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong("that is no address"))?;
        let Some(prefix) = prefix else { return Ok(address.into()) };
        let is_number = prefix == "0" || prefix.starts_with(|first| matches!(first, '1'..='9'));
        match prefix.parse() {
            Ok(prefix) if is_number => Self::new(address, prefix),
            _ => Err(wrong("what is behind the slash is no number of bits")),
        }
    }
}

impl fmt::Display for IpNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

/// Whom an address stands for where something is counted: those of IPv4 for themselves, those of IPv6 for the /64 that
/// they are in, of which everybody has a whole one to choose from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct IpKey(u128);

impl From<IpAddr> for IpKey {
    fn from(address: IpAddr) -> Self {
        // Mapped ones are in a /64 of their own, whose other addresses are not mixed up with them: their ends are 0 here.
        Self(match address.to_canonical() {
            IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
            IpAddr::V6(ip) => ip.to_bits() >> 64 << 64,
        })
    }
}

fn bits_of(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// With zeros behind the first bits.
pub(super) fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(ip) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            Ipv4Addr::from_bits(ip.to_bits() & mask).into()
        }
        IpAddr::V6(ip) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
            Ipv6Addr::from_bits(ip.to_bits() & mask).into()
        }
    }
}

#[cold]
fn wrong(why: &'static str) -> Error {
    Error::caused(ErrorKind::InvalidInput, "reading a range of addresses", why.into())
}
