//! Why connections are closed.

use std::fmt;

use super::WebSocketFault;

/// Why a WebSocket is closed: a number (RFC 6455 §7.4).
///
/// ```
/// use evloop::wire::websocket::CloseCode;
///
/// assert_eq!(CloseCode::NORMAL.to_string(), "1000 normal");
/// assert!(CloseCode(4000).may_be_sent());
/// assert!(!CloseCode::ABNORMAL.may_be_sent());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct CloseCode(pub u16);

impl CloseCode {
    /// What the connection was for is done.
    pub const NORMAL: Self = Self(1000);
    /// A server goes down, a page is left.
    pub const GOING_AWAY: Self = Self(1001);
    /// The other end breaks the rules of the protocol.
    pub const PROTOCOL: Self = Self(1002);
    /// A kind of message that cannot be dealt with.
    pub const UNSUPPORTED: Self = Self(1003);
    /// The close frame had no code. Never sent.
    pub const NO_STATUS: Self = Self(1005);
    /// The connection ended without a close frame. Never sent.
    pub const ABNORMAL: Self = Self(1006);
    /// A message was not what its kind says: a text that is not UTF-8.
    pub const INVALID_DATA: Self = Self(1007);
    /// A rule of the program is broken.
    pub const POLICY: Self = Self(1008);
    /// A message is too large.
    pub const TOO_BIG: Self = Self(1009);
    /// The server has not agreed to an extension that the client needs.
    pub const MISSING_EXTENSION: Self = Self(1010);
    /// The server cannot go on.
    pub const INTERNAL: Self = Self(1011);
    /// The server starts anew.
    pub const RESTART: Self = Self(1012);
    /// The server has too much to do.
    pub const TRY_AGAIN_LATER: Self = Self(1013);

    /// Whether it may stand in a close frame: 1000–1003, 1007–1014, 3000–4999.
    #[must_use]
    pub fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }

    fn text(self) -> Option<&'static str> {
        Some(match self.0 {
            1000 => "normal",
            1001 => "going away",
            1002 => "protocol error",
            1003 => "unsupported data",
            1005 => "no code was sent",
            1006 => "the connection ended without a close",
            1007 => "invalid data",
            1008 => "policy violation",
            1009 => "message too big",
            1010 => "an extension is missing",
            1011 => "internal error",
            1012 => "service restart",
            1013 => "try again later",
            1014 => "bad gateway",
            _ => return None,
        })
    }
}

impl fmt::Display for CloseCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        self.text().map_or(Ok(()), |text| write!(f, " {text}"))
    }
}

/// What the payload of a close frame says.
pub(super) fn parse(payload: &[u8]) -> Result<(Option<CloseCode>, &str), WebSocketFault> {
    let Some((code, reason)) = payload.split_first_chunk() else {
        let is_empty = payload.is_empty();
        return if is_empty { Ok((None, "")) } else { Err(WebSocketFault::BadClosePayload) };
    };
    let code = CloseCode(u16::from_be_bytes(*code));
    if !code.may_be_sent() {
        return Err(WebSocketFault::BadCloseCode);
    }
    let reason = std::str::from_utf8(reason).map_err(|_| WebSocketFault::BadUtf8)?;
    Ok((Some(code), reason))
}
