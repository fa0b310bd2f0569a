//! One step of the way, as `Forwarded` has it.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::wire::Fault;
use crate::wire::parameters::pairs;
use crate::wire::syntax::{is_token, trim};

/// Somebody on the way (RFC 7239 §6).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Node<'a> {
    /// An address, and a port if that was told.
    Ip(IpAddr, Option<u16>),
    /// A name that says nothing to others; it begins with an underscore.
    Obfuscated(Cow<'a, str>),
    /// Nobody knows, or says.
    Unknown,
}

/// What one proxy has added (RFC 7239 §4). Written down it reads the same.
///
/// ```
/// use evloop::wire::forwarded::{ForwardedElement, Node};
///
/// let text = r#"for="[2001:db8::1]:4711";proto=https;host="example.org:8443""#;
/// let element = ForwardedElement::parse(text)?;
/// assert_eq!(element.node, Some(Node::Ip("2001:db8::1".parse().unwrap(), Some(4711))));
/// assert_eq!(element.proto.as_deref(), Some("https"));
/// assert_eq!(element.to_string(), text);
/// # Ok::<(), evloop::wire::Fault>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct ForwardedElement<'a> {
    /// `for`: who has connected to the proxy.
    pub node: Option<Node<'a>>,
    /// `by`: where the proxy was connected to.
    pub by: Option<Node<'a>>,
    /// `proto`: what was spoken.
    pub proto: Option<Cow<'a, str>>,
    /// `host`: which host was asked for.
    pub host: Option<Cow<'a, str>>,
}

impl<'a> ForwardedElement<'a> {
    /// Reads one, without the commas that divide them. Parameters of other names are passed over.
    ///
    /// # Errors
    ///
    /// [`BadParameter`](Fault::BadParameter) for what does not obey the grammar, for a name that is there twice, and for
    /// what is not there where a [node](Node) should be: an address of IPv6 without quotes and brackets, say.
    pub fn parse(text: &'a str) -> Result<Self, Fault> {
        let mut element = Self::default();
        for pair in pairs(text) {
            let (name, value) = pair?;
            let is_twice = if name.eq_ignore_ascii_case("for") {
                element.node.replace(strict_node(value)?).is_some()
            } else if name.eq_ignore_ascii_case("by") {
                element.by.replace(strict_node(value)?).is_some()
            } else if name.eq_ignore_ascii_case("proto") {
                element.proto.replace(value).is_some()
            } else if name.eq_ignore_ascii_case("host") {
                element.host.replace(value).is_some()
            } else {
                false
            };
            if is_twice {
                return Err(Fault::BadParameter);
            }
        }
        Ok(element)
    }
}

/// As a proxy sends it. The caller sees to it that a name is one, and that there is no control byte in the rest.
impl fmt::Display for ForwardedElement<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes = [("for", &self.node), ("by", &self.by)];
        let nodes = nodes.map(|(name, node)| (name, node.as_ref().map(Node::to_string)));
        let texts = [("proto", &self.proto), ("host", &self.host)];
        let texts = texts.map(|(name, text)| (name, text.as_deref().map(str::to_owned)));
        let mut divider = "";
        for (name, value) in nodes.into_iter().chain(texts) {
            let Some(value) = value else { continue };
            write!(f, "{divider}{name}=")?;
            divider = ";";
            if is_token(value.as_bytes()) {
                f.write_str(&value)?;
            } else {
                write!(f, "\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))?;
            }
        }
        Ok(())
    }
}

/// Without the quotes it may need.
impl fmt::Display for Node<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(IpAddr::V4(ip), Some(port)) => write!(f, "{ip}:{port}"),
            Self::Ip(IpAddr::V4(ip), None) => write!(f, "{ip}"),
            Self::Ip(IpAddr::V6(ip), Some(port)) => write!(f, "[{ip}]:{port}"),
            Self::Ip(IpAddr::V6(ip), None) => write!(f, "[{ip}]"),
            Self::Obfuscated(name) => f.write_str(name),
            Self::Unknown => f.write_str("unknown"),
        }
    }
}

/// What the value of a `Forwarded` field is made of, the last one first; `None` for what is malformed.
///
/// From the right, since what is at the left may be of somebody who wants to confuse its readers: a quotation mark
/// without another one there has no effect on what trusted proxies have added behind it.
pub fn elements_from_last(
    value: &[u8],
) -> impl Iterator<Item = Option<ForwardedElement<'_>>> + use<'_> {
    let mut rest = Some(value);
    let members = std::iter::from_fn(move || {
        let all = rest?;
        let (before, member) = match last_comma(all) {
            Some(at) => (all.get(..at), all.get(at + 1..).unwrap_or_default()),
            None => (None, all),
        };
        rest = before;
        Some(trim(member))
    });
    members.filter(|member| !member.is_empty()).map(|member| {
        let text = std::str::from_utf8(member).ok()?;
        ForwardedElement::parse(text).ok()
    })
}

/// Where the last comma is that is not in a quoted string, seen from the end.
fn last_comma(value: &[u8]) -> Option<usize> {
    let mut quoted = false;
    for (at, byte) in value.iter().enumerate().rev() {
        match byte {
            b',' if !quoted => return Some(at),
            b'"' if !quoted => quoted = true,
            b'"' => {
                let before = value.iter().take(at).rev();
                quoted = before.take_while(|byte| **byte == b'\\').count() % 2 == 1;
            }
            _ => {}
        }
    }
    None
}

fn strict_node(value: Cow<'_, str>) -> Result<Node<'_>, Fault> {
    let is_hidden = value.starts_with('_');
    if !is_hidden {
        return node(&value, false).ok_or(Fault::BadParameter);
    }
    // A port, even one that is a name too, says nothing about who has no address.
    let len = value.find(':').unwrap_or(value.len());
    let (name, port) = value.split_at(len);
    let is_name = |text: &str| {
        text.len() > 1 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
    };
    let is_right = is_name(name) && (port.is_empty() || is_port(port));
    if !is_right {
        return Err(Fault::BadParameter);
    }
    Ok(Node::Obfuscated(match value {
        Cow::Borrowed(text) => Cow::Borrowed(text.get(..len).unwrap_or_default()),
        Cow::Owned(mut text) => {
            text.truncate(len);
            Cow::Owned(text)
        }
    }))
}

/// A member of `X-Forwarded-For`, for which there is no grammar: with a port or without, IPv6 with brackets or without.
pub(super) fn loose_node(member: &[u8]) -> Option<Node<'static>> {
    node(std::str::from_utf8(member).ok()?, true)
}

fn node(text: &str, bare: bool) -> Option<Node<'static>> {
    if let Some(rest) = text.strip_prefix('[') {
        let (ip, port) = rest.split_once(']')?;
        return Some(Node::Ip(ip.parse::<Ipv6Addr>().ok()?.into(), port_of(port)?));
    }
    if bare {
        if let Ok(ip) = text.parse::<Ipv6Addr>() {
            return Some(Node::Ip(ip.into(), None));
        }
    }
    let len = text.find(':').unwrap_or(text.len());
    let (name, port) = text.split_at(len);
    let port = port_of(port)?;
    if name.eq_ignore_ascii_case("unknown") {
        return Some(Node::Unknown);
    }
    Some(Node::Ip(name.parse::<Ipv4Addr>().ok()?.into(), port))
}

/// What stands behind an address: nothing, a colon and a port, or one and a name of a port.
fn port_of(text: &str) -> Option<Option<u16>> {
    if text.is_empty() {
        return Some(None);
    }
    is_port(text).then(|| text.get(1..).and_then(|port| port.parse().ok()))
}

fn is_port(text: &str) -> bool {
    let Some(port) = text.strip_prefix(':') else { return false };
    match port.strip_prefix('_') {
        Some(name) => {
            !name.is_empty()
                && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
        }
        None => {
            (1..=5).contains(&port.len())
                && port.bytes().all(|b| b.is_ascii_digit())
                && port.parse::<u16>().is_ok()
        }
    }
}
