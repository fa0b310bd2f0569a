//! What is wrong with frames: one name per rule.

use std::{error, fmt};

use super::CloseCode;
use crate::error::{Error, ErrorKind};

macro_rules! faults {
    ($($(#[$doc:meta])* $name:ident $code:ident $text:literal;)*) => {
        /// A rule that frames do not keep: what came, or what was to be sent.
        ///
        /// ```
        /// use evloop::wire::websocket::{CloseCode, Decoder, DecoderLimits, Role, WebSocketFault};
        ///
        /// let mut decoder = Decoder::new(Role::Server, DecoderLimits::default());
        /// let fault = decoder.next(b"\x81\x05hello").unwrap_err();
        /// assert_eq!(fault, WebSocketFault::NotMasked);
        /// assert_eq!(fault.close_code(), CloseCode::PROTOCOL);
        /// ```
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum WebSocketFault {
            $($(#[$doc])* $name,)*
        }

        impl WebSocketFault {
            /// The code with which a connection is closed that has this fault.
            #[must_use]
            pub fn close_code(self) -> CloseCode {
                match self {
                    $(Self::$name => CloseCode::$code,)*
                }
            }

            pub(crate) fn text(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

faults! {
    /// A reserved bit is set that nobody has agreed on, or not where it may be (RFC 6455 §5.2, RFC 7692 §6).
    ReservedBit PROTOCOL "a reserved bit is set";
    /// An opcode of 3–7 or 11–15 (RFC 6455 §5.2).
    ReservedOpCode PROTOCOL "the opcode is reserved";
    /// A frame to a server that is not masked (RFC 6455 §5.1).
    NotMasked PROTOCOL "a client's frame is not masked";
    /// A frame to a client that is masked (RFC 6455 §5.1).
    Masked PROTOCOL "a server's frame is masked";
    /// A control frame that is not the last of its message (RFC 6455 §5.5).
    FragmentedControl PROTOCOL "a control frame is fragmented";
    /// A control frame of more than 125 bytes (RFC 6455 §5.5).
    ControlTooLong PROTOCOL "a control frame is too long";
    /// More of a message that was never begun (RFC 6455 §5.4).
    NothingToContinue PROTOCOL "there is nothing to continue";
    /// A new message before the one at hand has ended (RFC 6455 §5.4).
    MessageInMessage PROTOCOL "a message begins inside of another";
    /// A length that could have been written in fewer bytes (RFC 6455 §5.2).
    LongLength PROTOCOL "a length is not written as short as it can be";
    /// A length of 2^63 or more (RFC 6455 §5.2).
    BadLength PROTOCOL "a length has its first bit set";
    /// A close frame of one byte (RFC 6455 §5.5.1).
    BadClosePayload PROTOCOL "a close frame has half a code";
    /// A code that no close frame may have (RFC 6455 §7.4).
    BadCloseCode PROTOCOL "a close frame has a code that may not be sent";
    /// A text, or a reason to close, that is not UTF-8 (RFC 6455 §8.1).
    BadUtf8 INVALID_DATA "a text is not UTF-8";
    /// A frame longer than [`DecoderLimits::frame`](super::DecoderLimits::frame).
    FrameTooBig TOO_BIG "a frame is too big";
    /// A message longer than [`DecoderLimits::message`](super::DecoderLimits::message), also once it is inflated.
    MessageTooBig TOO_BIG "a message is too big";
    /// More frames than [`DecoderLimits::fragments`](super::DecoderLimits::fragments) in a message.
    TooManyFragments TOO_BIG "a message has too many fragments";
    /// A compressed message that nothing can be made of (RFC 7692 §7.2.2).
    BadCompression INVALID_DATA "a compressed message is malformed";
    /// A compressed message that inflates to too much for what it is.
    RatioTooHigh TOO_BIG "a message is compressed too well";
}

impl fmt::Display for WebSocketFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

impl error::Error for WebSocketFault {}

/// An error of the kind [`Protocol`](ErrorKind::Protocol), with the fault as its source.
impl From<WebSocketFault> for Error {
    fn from(fault: WebSocketFault) -> Self {
        Self::caused(ErrorKind::Protocol, "reading or writing a WebSocket", Box::new(fault))
    }
}
