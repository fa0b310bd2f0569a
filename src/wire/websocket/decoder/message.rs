//! What is asked of a decoder, and what it says.

use super::super::{CloseCode, MessageKind};

/// What a [`Decoder`](super::Decoder) takes at most. Above it the fault is one of those that close with 1009.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecoderLimits {
    /// Bytes in a frame, as it is sent; 1 MiB. None above 4 GiB.
    pub frame: usize,
    /// Bytes in a message, of all its frames and as it was before it was compressed; 4 MiB. None above 4 GiB.
    pub message: usize,
    /// Frames in a message; 1024. It is what bounds the work for messages of tiny frames.
    pub fragments: u32,
}

impl Default for DecoderLimits {
    fn default() -> Self {
        Self { frame: 1 << 20, message: 4 << 20, fragments: 1024 }
    }
}

/// What has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Message<'a> {
    /// A whole text.
    Text(&'a str),
    /// A whole message of bytes.
    Binary(&'a [u8]),
    /// One frame of a message, where [fragments are wanted](super::Decoder::set_fragments).
    Fragment(Fragment<'a>),
    /// To be answered with a pong of the same bytes.
    Ping(&'a [u8]),
    /// The answer to a ping, or nobody's.
    Pong(&'a [u8]),
    /// The other end is done, and sends no more.
    Close(Option<CloseCode>, &'a str),
}

/// One frame of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fragment<'a> {
    /// Of which kind the message is.
    pub kind: MessageKind,
    /// What is in it. Of a text it may begin and end inside of a character; that all of it is UTF-8 has been checked.
    pub bytes: &'a [u8],
    /// It is the first of its message.
    pub is_first: bool,
    /// It is the last of its message.
    pub is_last: bool,
}

/// What was read of a piece of input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Decoded<'a> {
    /// So many bytes belong to what was read; all of them where there is no message, and never none of some.
    pub used: usize,
    /// What they have completed, if anything.
    pub message: Option<Message<'a>>,
}
