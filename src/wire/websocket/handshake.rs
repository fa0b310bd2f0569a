//! How a connection becomes a WebSocket (RFC 6455 §4).

use std::{error, fmt};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::super::{Fault, Fields, Method, ResponseHead, Status, Version, write};
use crate::error::{Error, ErrorKind};

/// The only version there is.
const VERSION: &[u8] = b"13";

/// What proves that the other end has understood.
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What stands in `Sec-WebSocket-Accept` for a key (RFC 6455 §4.2.2).
///
/// ```
/// use evloop::wire::websocket::accept_key;
///
/// assert_eq!(accept_key("dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// ```
#[must_use]
pub fn accept_key(key: &str) -> String {
    let mut hash = sha1_smol::Sha1::new();
    hash.update(key.as_bytes());
    hash.update(GUID);
    STANDARD.encode(hash.digest().bytes())
}

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident $status:ident $text:literal;)*) => {
        /// Why a connection cannot become a WebSocket: what is wrong with the request, or with the answer to it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum HandshakeFault {
            $($(#[$doc])* $name,)*
        }

        impl HandshakeFault {
            /// The status with which a server refuses the request. With 426 go `Upgrade: websocket` and
            /// `Sec-WebSocket-Version: 13`, with 405 goes `Allow: GET`.
            #[must_use]
            pub fn status(self) -> Status {
                match self {
                    $(Self::$name => Status::$status,)*
                }
            }

            fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

faults! {
    /// Not a `GET`.
    NotGet METHOD_NOT_ALLOWED "the method is not GET";
    /// HTTP/1.0.
    OldHttp BAD_REQUEST "the request is not one of HTTP/1.1";
    /// There is no `Host`.
    NoHost BAD_REQUEST "there is no host";
    /// `Upgrade` does not say `websocket`: an ordinary request.
    NoUpgrade UPGRADE_REQUIRED "the request asks for no WebSocket";
    /// `Connection` does not say `upgrade`.
    NoConnection BAD_REQUEST "the connection is not to be upgraded";
    /// `Sec-WebSocket-Version` is not 13.
    BadVersion UPGRADE_REQUIRED "the version is not 13";
    /// `Sec-WebSocket-Key` is not one, or not the base64 of 16 bytes.
    BadKey BAD_REQUEST "the key is malformed";
    /// A field of the handshake is malformed.
    BadField BAD_REQUEST "a field of the handshake is malformed";
    /// Whoever has sent the page may not use this: the `Origin` was refused.
    BadOrigin FORBIDDEN "the origin is refused";
    /// The answer is not 101.
    Refused BAD_GATEWAY "the server has refused";
    /// `Sec-WebSocket-Accept` is not what the key makes.
    BadAccept BAD_GATEWAY "the server has not understood the key";
    /// A subprotocol that was not offered, or several.
    BadProtocol BAD_GATEWAY "the server has chosen a protocol that was not offered";
    /// An extension that was not offered, or with parameters that cannot be.
    BadExtension BAD_GATEWAY "the server has chosen an extension that was not offered";
}

impl fmt::Display for HandshakeFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl error::Error for HandshakeFault {}

/// An error of the kind [`Protocol`](ErrorKind::Protocol), with the fault as its source.
impl From<HandshakeFault> for Error {
    fn from(fault: HandshakeFault) -> Self {
        Self::caused(ErrorKind::Protocol, "opening a WebSocket", Box::new(fault))
    }
}

/// What a client asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HandshakeRequest<'a> {
    key: &'a str,
    /// The subprotocols that the client can speak, the one it would like best first.
    pub protocols: Vec<&'a str>,
}

impl HandshakeRequest<'_> {
    /// What stands in `Sec-WebSocket-Accept` of the answer.
    #[must_use]
    pub fn accept(&self) -> String {
        accept_key(self.key)
    }
}

/// Whether a request may become a WebSocket.
///
/// `Host` is looked at by whoever has parsed the head; `has_host` says whether there was one.
///
/// # Errors
///
/// What is wrong with it, which knows [what to answer](HandshakeFault::status).
///
/// ```
/// use evloop::wire::websocket::{HandshakeFault, check_request};
/// use evloop::wire::{Fields, Method, Status, Version};
///
/// let fields: [(&str, &str); 5] = [
///     ("Connection", "keep-alive, Upgrade"),
///     ("Upgrade", "websocket"),
///     ("Sec-WebSocket-Version", "13"),
///     ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
///     ("Sec-WebSocket-Protocol", "chat, superchat"),
/// ];
/// let mut head = Fields::default();
/// for (name, value) in fields {
///     head.push(name, value)?;
/// }
/// let request = check_request(&Method::GET, Version::Http11, true, &head)?;
/// assert_eq!(request.accept(), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
/// assert_eq!(request.protocols, ["chat", "superchat"]);
///
/// let fault = check_request(&Method::GET, Version::Http11, true, &Fields::default()).unwrap_err();
/// assert_eq!((fault, fault.status().code()), (HandshakeFault::NoUpgrade, 426));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn check_request<'a>(
    method: &Method,
    version: Version,
    has_host: bool,
    fields: &'a Fields,
) -> Result<HandshakeRequest<'a>, HandshakeFault> {
    if *method != Method::GET {
        return Err(HandshakeFault::NotGet);
    }
    if version == Version::Http10 {
        return Err(HandshakeFault::OldHttp);
    }
    if !has_host {
        return Err(HandshakeFault::NoHost);
    }
    if !fields.contains_token("upgrade", "websocket") {
        return Err(HandshakeFault::NoUpgrade);
    }
    if !fields.contains_token("connection", "upgrade") {
        return Err(HandshakeFault::NoConnection);
    }
    if only(fields, "sec-websocket-version") != Some(VERSION) {
        return Err(HandshakeFault::BadVersion);
    }
    let key = only(fields, "sec-websocket-key").filter(|key| is_key(key));
    let key = key.and_then(|key| std::str::from_utf8(key).ok()).ok_or(HandshakeFault::BadKey)?;
    let protocols = protocols(fields)?;
    Ok(HandshakeRequest { key, protocols })
}

/// The value of a field that is there once.
fn only<'a>(fields: &'a Fields, name: &'a str) -> Option<&'a [u8]> {
    let mut all = fields.get_all(name);
    all.next().filter(|_| all.next().is_none())
}

/// The base64 of 16 bytes.
fn is_key(key: &[u8]) -> bool {
    let mut bytes = [0; 18];
    key.len() == 24 && STANDARD.decode_slice(key, &mut bytes) == Ok(16)
}

/// The members of all `Sec-WebSocket-Protocol`, each of which is a token and there once.
fn protocols(fields: &Fields) -> Result<Vec<&str>, HandshakeFault> {
    let mut all = Vec::new();
    for value in fields.get_all("sec-websocket-protocol") {
        let value = std::str::from_utf8(value).map_err(|_| HandshakeFault::BadField)?;
        for member in value.split(',') {
            let member = member.trim_matches([' ', '\t']);
            if member.is_empty() {
                continue;
            }
            // So many that comparing them all with each other would be work is nobody's need.
            let is_one = super::super::is_token(member.as_bytes());
            if !is_one || all.len() >= 64 || all.contains(&member) {
                return Err(HandshakeFault::BadField);
            }
            all.push(member);
        }
    }
    Ok(all)
}

/// Appends the request with which a client asks for a WebSocket.
///
/// `nonce` is 16 random bytes; `fields` are those of the caller, such as `Origin`, and are sent as they are. Returns
/// what the server is to [accept](check_response) with.
///
/// # Errors
///
/// [`Fault`] for a host, target or field that cannot be sent, or a subprotocol that is no token, or there twice.
pub fn client_request(
    out: &mut Vec<u8>,
    host: &str,
    target: &str,
    nonce: [u8; 16],
    protocols: &[&str],
    fields: &Fields,
) -> Result<String, Fault> {
    write::request_line(out, &Method::GET, target)?;
    write::field(out, "Host", host.as_bytes())?;
    write::field(out, "Upgrade", b"websocket")?;
    write::field(out, "Connection", b"Upgrade")?;
    let key = STANDARD.encode(nonce);
    write::field(out, "Sec-WebSocket-Key", key.as_bytes())?;
    write::field(out, "Sec-WebSocket-Version", VERSION)?;
    if !protocols.is_empty() {
        // Each of them once (RFC 6455 §4.1): a server takes them for a mistake else.
        let is_new = |at: usize, each: &&str| {
            protocols.get(..at).is_none_or(|before| !before.contains(each))
        };
        let is_right = |(at, each): (usize, &&str)| {
            super::super::is_token(each.as_bytes()) && is_new(at, each)
        };
        if !protocols.iter().enumerate().all(is_right) {
            return Err(Fault::BadFieldValue);
        }
        write::field(out, "Sec-WebSocket-Protocol", protocols.join(", ").as_bytes())?;
    }
    for (name, value) in fields.iter() {
        write::field(out, name, value)?;
    }
    write::end_of_head(out);
    Ok(accept_key(&key))
}

/// Whether a server has agreed; the subprotocol it has chosen. Extensions are looked at by whoever has offered any.
///
/// # Errors
///
/// What is wrong with the answer.
pub fn check_response(
    head: &ResponseHead,
    accept: &str,
    offered: &[&str],
) -> Result<Option<String>, HandshakeFault> {
    let fields = head.fields();
    if head.status() != Status::SWITCHING_PROTOCOLS {
        return Err(HandshakeFault::Refused);
    }
    let upgrade = only(fields, "upgrade");
    if !upgrade.is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
        return Err(HandshakeFault::NoUpgrade);
    }
    if !fields.contains_token("connection", "upgrade") {
        return Err(HandshakeFault::NoConnection);
    }
    if only(fields, "sec-websocket-accept") != Some(accept.as_bytes()) {
        return Err(HandshakeFault::BadAccept);
    }
    let Some(_) = fields.get("sec-websocket-protocol") else { return Ok(None) };
    let chosen = only(fields, "sec-websocket-protocol");
    let chosen = chosen.and_then(|chosen| std::str::from_utf8(chosen).ok());
    let chosen = chosen.filter(|chosen| offered.contains(chosen));
    chosen.map(|chosen| Some(chosen.to_owned())).ok_or(HandshakeFault::BadProtocol)
}
