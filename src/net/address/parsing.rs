//! From text to an address. Each function takes a part of the text and where it begins.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::path::PathBuf;

use super::fault::{Fault, Why};
use super::{Address, Place, Scheme};
use crate::Error;

/// What a Unix socket's path, or its abstract name, may have in bytes: `sun_path` without the byte that
/// ends the path, or that says that a name is abstract.
const LONGEST_PATH: usize = 107;

/// What a host's name may have in bytes, without a dot at its end, and each of its labels.
const LONGEST_NAME: usize = 253;
const LONGEST_LABEL: usize = 63;

/// What the name of a network interface may have in bytes.
const LONGEST_ZONE: usize = 15;

pub(super) fn parse(text: &str) -> Result<Address, Fault> {
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

pub(super) fn check_path(path: &[u8], at: usize) -> Result<(), Fault> {
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
pub(in crate::net) fn check_name(name: &str) -> Result<(), Error> {
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
