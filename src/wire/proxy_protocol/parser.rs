use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::checksum::crc32c;
use super::tlv;
use super::{
    FIXED, LONGEST_LINE, PATH, ProxyAddresses, ProxyCommand, ProxyFault, ProxyHeader, SIGNATURE,
};
use crate::wire::Progress;

/// What version 1 begins with.
const WORD: &[u8] = b"PROXY ";

/// How long a header of version 2 may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProxyLimits {
    /// Bytes of the header in all. The default is 4 KiB: what the protocol itself recommends, 536, is too short for
    /// proxies that tell of certificates. At least the 232 that addresses need are taken.
    pub length: usize,
    /// How many extensions it may have, 32 by default.
    pub tlvs: usize,
}

impl Default for ProxyLimits {
    fn default() -> Self {
        Self { length: 4096, tlvs: 32 }
    }
}

/// Reads one header, of either version, however it arrives.
#[derive(Debug)]
pub struct ProxyParser {
    limits: ProxyLimits,
    /// What has come, until the header is complete.
    buffer: Vec<u8>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// Nothing has come.
    Start,
    Line,
    /// The first 16 bytes of version 2.
    Fixed,
    /// The rest of it, up to this length in all.
    Rest(usize),
    Done(ProxyHeader),
    Failed(ProxyFault),
}

impl ProxyParser {
    /// For one connection.
    #[must_use]
    pub fn new(limits: ProxyLimits) -> Self {
        Self { limits, buffer: Vec::new(), state: State::Start }
    }

    /// Takes what belongs to the header. Once that is complete nothing more is taken: what follows is the client's.
    ///
    /// # Errors
    ///
    /// What is wrong with it, as soon as that is known. The connection is worth nothing then; every further call fails
    /// in the same way.
    pub fn feed(&mut self, input: &[u8]) -> Result<Progress, ProxyFault> {
        let mut used = 0;
        while let Some(rest) = input.get(used..).filter(|rest| !rest.is_empty()) {
            let stepped = match self.state {
                State::Done(_) => break,
                State::Failed(fault) => return Err(fault),
                State::Rest(len) => self.rest(rest, len),
                _ => match rest.first() {
                    Some(&byte) => self.byte(byte).map(|()| 1),
                    None => break,
                },
            };
            match stepped {
                Ok(taken) => used += taken,
                Err(fault) => {
                    self.state = State::Failed(fault);
                    self.buffer = Vec::new();
                    return Err(fault);
                }
            }
        }
        match self.state {
            State::Failed(fault) => Err(fault),
            _ => Ok(Progress { used, done: self.is_done() }),
        }
    }

    /// There is nothing more to come.
    ///
    /// # Errors
    ///
    /// [`Incomplete`](ProxyFault::Incomplete), or the fault there was before.
    pub fn end_of_input(&self) -> Result<(), ProxyFault> {
        match self.state {
            State::Done(_) => Ok(()),
            State::Failed(fault) => Err(fault),
            _ => Err(ProxyFault::Incomplete),
        }
    }

    /// Whether the header is complete.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.state, State::Done(_))
    }

    /// The header, if it is complete.
    #[must_use]
    pub fn header(&self) -> Option<&ProxyHeader> {
        match &self.state {
            State::Done(header) => Some(header),
            _ => None,
        }
    }

    /// The header, if it is complete.
    #[must_use]
    pub fn into_header(self) -> Option<ProxyHeader> {
        match self.state {
            State::Done(header) => Some(header),
            _ => None,
        }
    }

    fn finish(&mut self, header: ProxyHeader) {
        self.state = State::Done(header);
        self.buffer = Vec::new();
    }

    /// One of the line, or of the first bytes of version 2.
    fn byte(&mut self, byte: u8) -> Result<(), ProxyFault> {
        let at = self.buffer.len();
        self.buffer.push(byte);
        if at == 0 {
            self.state = match byte {
                b'P' => State::Line,
                b'\r' => State::Fixed,
                _ => return Err(ProxyFault::NoHeader),
            };
            return Ok(());
        }
        match self.state {
            State::Line => self.of_line(at, byte),
            _ => self.of_fixed(at, byte),
        }
    }

    fn of_line(&mut self, at: usize, byte: u8) -> Result<(), ProxyFault> {
        if let Some(&expected) = WORD.get(at) {
            return if byte == expected { Ok(()) } else { Err(ProxyFault::NoHeader) };
        }
        let after_return = self.buffer.get(at - 1) == Some(&b'\r');
        match byte {
            b'\n' if after_return => {
                let header = line(self.buffer.get(WORD.len()..at - 1).unwrap_or_default())?;
                self.finish(header);
                return Ok(());
            }
            // Where there is none after it, the next byte is the fault.
            b'\r' if !after_return => {}
            b' '..=b'~' if !after_return => {}
            _ => return Err(ProxyFault::BadLine),
        }
        if at + 1 >= LONGEST_LINE { Err(ProxyFault::LineTooLong) } else { Ok(()) }
    }

    fn of_fixed(&mut self, at: usize, byte: u8) -> Result<(), ProxyFault> {
        match at {
            0..12 if SIGNATURE.get(at) != Some(&byte) => return Err(ProxyFault::NoHeader),
            12 if byte >> 4 != 2 => return Err(ProxyFault::BadVersion),
            12 if byte & 15 > 1 => return Err(ProxyFault::BadCommand),
            // Of what is local nothing else is of interest.
            13 if !self.is_local() => {
                family_len(byte)?;
            }
            15 => {
                let head = self.buffer.first_chunk::<FIXED>();
                let Some([.., family, high, low]) = head else { return Err(ProxyFault::TooShort) };
                let len = usize::from(u16::from_be_bytes([*high, *low]));
                if !self.is_local() && len < family_len(*family)? {
                    return Err(ProxyFault::TooShort);
                }
                let most = self.limits.length.max(FIXED + 2 * PATH);
                if FIXED + len > most {
                    return Err(ProxyFault::TooLong);
                }
                self.state = State::Rest(FIXED + len);
                if len == 0 {
                    self.complete()?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn is_local(&self) -> bool {
        self.buffer.get(12).is_some_and(|byte| byte & 15 == 0)
    }

    fn rest(&mut self, input: &[u8], len: usize) -> Result<usize, ProxyFault> {
        let missing = len.saturating_sub(self.buffer.len());
        let taken = input.get(..missing).unwrap_or(input);
        self.buffer.extend_from_slice(taken);
        let taken = taken.len();
        if taken == missing {
            self.complete()?;
        }
        Ok(taken)
    }

    /// All of a header of version 2 is there.
    fn complete(&mut self) -> Result<(), ProxyFault> {
        let header = if self.is_local() {
            ProxyHeader::local()
        } else {
            binary(&self.buffer, self.limits.tlvs)?
        };
        self.finish(header);
        Ok(())
    }
}

/// How many bytes the addresses of a family have.
fn family_len(family: u8) -> Result<usize, ProxyFault> {
    match family {
        0x00 => Ok(0),
        0x11 => Ok(12),
        0x21 => Ok(36),
        0x31 => Ok(2 * PATH),
        0x12 | 0x22 | 0x32 => Err(ProxyFault::Datagrams),
        _ => Err(ProxyFault::BadFamily),
    }
}

fn binary(bytes: &[u8], most: usize) -> Result<ProxyHeader, ProxyFault> {
    let (fixed, rest) = bytes.split_first_chunk::<FIXED>().ok_or(ProxyFault::TooShort)?;
    let [.., family, _, _] = *fixed;
    let len = family_len(family)?;
    if len == 0 {
        // How long those addresses are, nobody has said: what is behind them cannot be told from them.
        return Ok(ProxyHeader::unknown());
    }
    let (addresses, tlvs) = rest.split_at_checked(len).ok_or(ProxyFault::TooShort)?;
    let addresses = match family {
        0x11 => inet::<4, Ipv4Addr>(addresses),
        0x21 => inet::<16, Ipv6Addr>(addresses),
        _ => addresses.split_at_checked(PATH).map(|(source, destination)| ProxyAddresses::Unix {
            source: path(source),
            destination: path(destination),
        }),
    };
    let addresses = addresses.ok_or(ProxyFault::TooShort)?;
    let extensions = tlv::read(tlvs, most)?;
    if let Some((checksum, at)) = extensions.checksum {
        // Over all, with zeros in its own place.
        let at = FIXED + len + at;
        let (before, after) = (bytes.get(..at), bytes.get(at + 4..));
        let [before, after] = [before, after].map(Option::unwrap_or_default);
        if crc32c(&[before, &[0; 4], after]) != checksum {
            return Err(ProxyFault::BadChecksum);
        }
    }
    Ok(ProxyHeader {
        command: ProxyCommand::Proxy,
        addresses,
        tlvs: extensions.kept,
        checksum: extensions.checksum.is_some(),
    })
}

/// Two addresses and two ports.
fn inet<const N: usize, A>(bytes: &[u8]) -> Option<ProxyAddresses>
where
    A: From<[u8; N]> + Into<IpAddr>,
{
    let (source, rest) = bytes.split_first_chunk::<N>()?;
    let (destination, ports) = rest.split_first_chunk::<N>()?;
    let &[a, b, c, d] = ports.first_chunk::<4>()?;
    let [source, destination] = [source, destination].map(|bytes| A::from(*bytes).into());
    Some(ProxyAddresses::Inet {
        source: SocketAddr::new(source, u16::from_be_bytes([a, b])),
        destination: SocketAddr::new(destination, u16::from_be_bytes([c, d])),
    })
}

/// Without the zeros behind it; the one before an abstract name stays.
fn path(bytes: &[u8]) -> Vec<u8> {
    let len = match bytes.first() {
        Some(0) => bytes.iter().rposition(|byte| *byte != 0).map_or(0, |at| at + 1),
        _ => bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()),
    };
    bytes.iter().take(len).copied().collect()
}

/// What stands between `PROXY ` and the line's end.
fn line(bytes: &[u8]) -> Result<ProxyHeader, ProxyFault> {
    let text = std::str::from_utf8(bytes).map_err(|_| ProxyFault::BadLine)?;
    let (family, rest) = text.split_once(' ').unwrap_or((text, ""));
    let parse: fn(&str) -> Option<IpAddr> = match family {
        // Whatever follows that is for nobody to read.
        "UNKNOWN" => return Ok(ProxyHeader::unknown()),
        "TCP4" => |text| text.parse::<Ipv4Addr>().ok().map(Into::into),
        "TCP6" => |text| text.parse::<Ipv6Addr>().ok().map(Into::into),
        _ => return Err(ProxyFault::BadLine),
    };
    let mut words = rest.split(' ');
    let mut next = || words.next().ok_or(ProxyFault::BadLine);
    let [source, destination] = [next()?, next()?];
    let [from, to] = [next()?, next()?];
    if next().is_ok() {
        return Err(ProxyFault::BadLine);
    }
    let address = |ip, number| {
        let address = parse(ip).zip(port(number)).map(|(ip, port)| SocketAddr::new(ip, port));
        address.ok_or(ProxyFault::BadAddress)
    };
    Ok(ProxyHeader::inet(address(source, from)?, address(destination, to)?))
}

/// Digits, without zeros before them.
fn port(text: &str) -> Option<u16> {
    let plain = text == "0" || !text.starts_with(['0', '+']);
    if plain { text.parse().ok() } else { None }
}
