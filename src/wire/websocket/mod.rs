//! WebSocket without sockets: frames in, messages out, and the handshake (RFC 6455, RFC 7692). Feature `websocket`.
//!
//! A [`Decoder`] is fed what comes behind the handshake and says which messages those bytes are; functions such as
//! [`frame`] write. Neither has a socket, a clock or a source of random numbers: the keys with which clients mask
//! are handed in.
//!
//! ```
//! use evloop::wire::websocket::{Decoder, DecoderLimits, Frame, Message, Role, frame};
//!
//! let mut bytes = Vec::new();
//! frame(&mut bytes, Frame::TEXT, b"hello", Some([1, 2, 3, 4]))?; // as a client writes it
//!
//! let mut decoder = Decoder::new(Role::Server, DecoderLimits::default());
//! let mut input = &bytes[..];
//! while !input.is_empty() {
//!     let decoded = decoder.next(input)?;
//!     if let Some(message) = decoded.message {
//!         assert_eq!(message, Message::Text("hello"));
//!     }
//!     input = &input[decoded.used..];
//! }
//! # Ok::<(), evloop::wire::websocket::WebSocketFault>(())
//! ```
//!
//! # What is refused
//!
//! With the [code](WebSocketFault::close_code) that the connection is closed with:
//!
//! | what | RFC 6455 | code |
//! |---|---|---|
//! | a frame to a server that is not masked, one to a client that is | §5.1 | 1002 |
//! | a reserved bit that nobody has agreed on, a reserved opcode | §5.2 | 1002 |
//! | a length that could have been written shorter, or beyond 2^63 | §5.2 | 1002 |
//! | a control frame in fragments, or of more than 125 bytes | §5.5 | 1002 |
//! | a continuation of nothing, a new message inside of another | §5.4 | 1002 |
//! | a close frame of one byte, or with a code that none may send | §5.5.1, §7.4 | 1002 |
//! | a text, or a reason to close, that is not UTF-8: at the first wrong byte | §8.1 | 1007 |
//! | a frame, a message, a number of fragments, above the [limits](DecoderLimits) | §10.4 | 1009 |
//!
//! # Invariants
//!
//! * **However the bytes are cut, the outcome is the same**, and each is looked at once: tiny fragments and tiny reads
//!   are linear.
//! * **What is announced is not allocated**: memory grows with what has come, and never above the limits.
//! * **A fault is the end**: it comes again from every further call. So is a close frame: what follows it is
//!   swallowed.

mod close;
mod decoder;
#[cfg(feature = "compress")]
#[cfg_attr(docsrs, doc(cfg(feature = "compress")))]
pub mod deflate;
mod encode;
mod fault;
mod frame;
mod handshake;
mod mask;
mod utf8;

pub use close::CloseCode;
pub use decoder::{Decoded, Decoder, DecoderLimits, Fragment, Message};
pub use encode::{close_frame, frame, frame_head};
pub use fault::WebSocketFault;
pub use frame::{Frame, MessageKind, OpCode, Role};
pub use handshake::{
    HandshakeFault, HandshakeRequest, accept_key, check_request, check_response, client_request,
};
pub use mask::mask;
