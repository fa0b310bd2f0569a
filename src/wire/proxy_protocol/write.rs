//! Headers as they are sent.

use std::net::{IpAddr, SocketAddr};

use super::checksum::crc32c;
use super::tlv::tlv_type;
use super::{FIXED, PATH, ProxyAddresses, ProxyCommand, ProxyFault, ProxyHeader, SIGNATURE};

impl ProxyHeader {
    /// Writes it as version 1 has it, a line of text.
    ///
    /// # Errors
    ///
    /// [`BadFamily`](ProxyFault::BadFamily) for what there are no words for: Unix sockets, and connections of the
    /// proxy's own. Extensions and the checksum are left out.
    pub fn write_v1(&self, out: &mut Vec<u8>) -> Result<(), ProxyFault> {
        let line = match (self.command, &self.addresses) {
            (ProxyCommand::Proxy, ProxyAddresses::Unspecified) => "PROXY UNKNOWN\r\n".to_owned(),
            (ProxyCommand::Proxy, ProxyAddresses::Inet { source, destination }) => {
                let (source, destination) = of_one_family(*source, *destination);
                let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
                let (from, to) = (source.port(), destination.port());
                format!("PROXY {family} {} {} {from} {to}\r\n", source.ip(), destination.ip())
            }
            _ => return Err(ProxyFault::BadFamily),
        };
        out.extend_from_slice(line.as_bytes());
        Ok(())
    }

    /// Writes it as version 2 has it.
    ///
    /// Without addresses nothing is written of extensions and of a checksum, since nobody could find them.
    ///
    /// # Errors
    ///
    /// [`BadAddress`](ProxyFault::BadAddress) for a path of more than 108 bytes, or one with a zero in it that is not the
    /// first of an abstract name; [`TooLong`](ProxyFault::TooLong) for more than 65 535 bytes. Nothing is written then.
    pub fn write_v2(&self, out: &mut Vec<u8>) -> Result<(), ProxyFault> {
        let mut rest = Vec::new();
        let family = match &self.addresses {
            _ if self.command == ProxyCommand::Local => 0x00,
            ProxyAddresses::Unspecified => 0x00,
            ProxyAddresses::Inet { source, destination } => {
                let (source, destination) = of_one_family(*source, *destination);
                for address in [source, destination] {
                    match address.ip() {
                        IpAddr::V4(ip) => rest.extend_from_slice(&ip.octets()),
                        IpAddr::V6(ip) => rest.extend_from_slice(&ip.octets()),
                    }
                }
                for address in [source, destination] {
                    rest.extend_from_slice(&address.port().to_be_bytes());
                }
                if source.is_ipv4() { 0x11 } else { 0x21 }
            }
            ProxyAddresses::Unix { source, destination } => {
                for path in [source, destination] {
                    if !is_path(path) {
                        return Err(ProxyFault::BadAddress);
                    }
                    rest.extend_from_slice(path);
                    rest.resize(rest.len() + PATH - path.len(), 0);
                }
                0x31
            }
        };
        if family != 0 {
            rest.extend_from_slice(&self.tlvs);
            if self.checksum {
                rest.extend_from_slice(&[tlv_type::CRC32C, 0, 4, 0, 0, 0, 0]);
            }
        }
        let len = u16::try_from(rest.len()).map_err(|_| ProxyFault::TooLong)?;
        let command = match self.command {
            ProxyCommand::Local => 0x20,
            ProxyCommand::Proxy => 0x21,
        };
        let mut fixed = Vec::with_capacity(FIXED);
        fixed.extend_from_slice(&SIGNATURE);
        fixed.extend_from_slice(&[command, family]);
        fixed.extend_from_slice(&len.to_be_bytes());
        if family != 0 && self.checksum {
            let checksum = crc32c(&[&fixed, &rest]);
            rest.truncate(rest.len() - 4);
            rest.extend_from_slice(&checksum.to_be_bytes());
        }
        out.append(&mut fixed);
        out.append(&mut rest);
        Ok(())
    }
}

/// Both as they are, or both of IPv6.
fn of_one_family(source: SocketAddr, destination: SocketAddr) -> (SocketAddr, SocketAddr) {
    if source.is_ipv4() == destination.is_ipv4() {
        return (source, destination);
    }
    let mapped = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => address,
    };
    (mapped(source), mapped(destination))
}

/// Whether it reads the same when it was filled up with zeros.
fn is_path(path: &[u8]) -> bool {
    let reads_same = match path {
        [] => true,
        [0, name @ ..] => name.last().is_some_and(|last| *last != 0),
        _ => !path.contains(&0),
    };
    reads_same && path.len() <= PATH
}
