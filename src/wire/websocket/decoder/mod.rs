//! What frames mean.

// The rooms: `head` reads the first bytes of a frame, `payload` the rest of it, and puts frames together to messages,
// `inflating` those that are compressed; `message` is what callers see of that. Here is the decoder they are parts of,
// and how it is asked.
//
// `payload` holds the message so far, and behind that, from `start` on, what has come of the frame at hand. So a
// control frame between the fragments of a message needs no memory of its own.

mod head;
#[cfg_attr(not(feature = "compress"), path = "inflating_off.rs")]
mod inflating;
mod message;
mod payload;

use std::mem;

use self::head::{Head, Rules};
use self::inflating::Inflating;
use super::utf8::Utf8;
use super::{MessageKind, OpCode, Role, WebSocketFault, close};

pub use self::message::{Decoded, DecoderLimits, Fragment, Message};

/// Memory for payload up to which a decoder keeps it for the next message, in bytes.
const KEPT: usize = 64 * 1024;

/// Bits of [`Decoder::flags`].
mod flag {
    /// All of the head has come.
    pub(super) const PAYLOAD: u8 = 1;
    /// A message has begun.
    pub(super) const MESSAGE: u8 = 1 << 1;
    /// And it is a text.
    pub(super) const TEXT: u8 = 1 << 2;
    /// And it is compressed.
    pub(super) const COMPRESSED: u8 = 1 << 3;
    /// The text at hand was looked at piece by piece.
    pub(super) const LOOKED_AT: u8 = 1 << 4;
    /// The other end is done.
    pub(super) const CLOSED: u8 = 1 << 5;
    /// Fragments are wanted.
    pub(super) const FRAGMENTS: u8 = 1 << 6;
    /// Of the message, one frame was taken already.
    pub(super) const GOES_ON: u8 = 1 << 7;
}

/// What of the payload was delivered, and goes when the next is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Delivered {
    Nothing,
    Control,
    All,
}

/// What was completed.
#[derive(Clone, Copy)]
enum Found {
    Message,
    Fragment {
        is_first: bool,
        is_last: bool,
    },
    Control(OpCode),
    /// A whole frame that is in the input as it was sent: from there, so many bytes.
    Direct(usize, usize),
}

/// Makes messages of what comes behind the handshake.
///
/// It is fed slices and says what of them it has [used](Decoded::used). See the [module](super) for what it refuses.
/// Between messages it owns no memory but what it was [given](Self::give_memory), or kept for the next, 64 KiB at
/// most.
#[derive(Debug)]
pub struct Decoder {
    payload: Vec<u8>,
    /// Where in it the frame at hand begins: no message is longer than that. Every WebSocket that is idle has a decoder.
    start: u32,
    /// Bytes of the message, before the frame at hand.
    message: u32,
    /// Bytes of the frame that have not come yet.
    left: u32,
    /// Frames of the message.
    fragments: u32,
    max_frame: u32,
    max_message: u32,
    max_fragments: u32,
    /// From the byte on that comes next.
    key: [u8; 4],
    head: Head,
    flags: u8,
    role: Role,
    delivered: Delivered,
    utf8: Utf8,
    fault: Option<WebSocketFault>,
    inflating: Inflating,
}

impl Decoder {
    /// For this end of a connection: `Role::Server` reads what clients send.
    #[must_use]
    pub fn new(role: Role, limits: DecoderLimits) -> Self {
        let clamped = |limit: usize| u32::try_from(limit).unwrap_or(u32::MAX);
        Self {
            payload: Vec::new(),
            start: 0,
            message: 0,
            left: 0,
            fragments: 0,
            max_frame: clamped(limits.frame),
            max_message: clamped(limits.message),
            max_fragments: limits.fragments,
            key: [0; 4],
            head: Head::default(),
            flags: 0,
            role,
            delivered: Delivered::Nothing,
            utf8: Utf8::default(),
            fault: None,
            inflating: Inflating::default(),
        }
    }

    /// Whether messages are delivered frame by frame, in place of whole. The default is no. Not to be changed in the
    /// middle of a message.
    pub fn set_fragments(&mut self, on: bool) {
        self.put(flag::FRAGMENTS, on);
    }

    /// Has it take compressed messages, as was [agreed](super::deflate).
    #[cfg(feature = "compress")]
    #[cfg_attr(docsrs, doc(cfg(feature = "compress")))]
    pub fn set_inflater(&mut self, inflater: super::deflate::Inflater) {
        self.inflating = Inflating::with(inflater);
    }

    /// Whether it is in the middle of something: of a frame, or between the frames of a message.
    #[must_use]
    pub fn is_in_message(&self) -> bool {
        self.head.is_begun() || self.has(flag::PAYLOAD | flag::MESSAGE)
    }

    /// Whether the other end has said that it is done.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.has(flag::CLOSED)
    }

    /// Lends it memory for the next message, unless it has some.
    pub fn give_memory(&mut self, mut memory: Vec<u8>) {
        if self.payload.capacity() == 0 {
            memory.clear();
            self.payload = memory;
            self.start = 0;
        }
    }

    /// Takes its memory, which it has no use for, out of it; none if it is [in a message](Self::is_in_message).
    #[must_use]
    pub fn take_memory(&mut self) -> Vec<u8> {
        self.let_go();
        if self.payload.is_empty() { mem::take(&mut self.payload) } else { Vec::new() }
    }

    /// Reads on. Call it again with what it has not [used](Decoded::used).
    ///
    /// # Errors
    ///
    /// The first rule that is broken; it comes again from every further call.
    pub fn next<'a>(&'a mut self, input: &'a [u8]) -> Result<Decoded<'a>, WebSocketFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        self.let_go();
        let (used, found) = match self.read(input) {
            Ok(read) => read,
            Err(fault) => return Err(self.fail(fault)),
        };
        let Some(found) = found else { return Ok(Decoded { used, message: None }) };
        let is_compressed = self.has(flag::COMPRESSED);
        let viewed = match found {
            Found::Direct(from, len) => {
                self.flags &= !(flag::MESSAGE | flag::GOES_ON);
                let bytes = input.get(from..).and_then(|rest| rest.get(..len)).unwrap_or_default();
                whole(self.flags, bytes)
            }
            Found::Message => {
                self.delivered = Delivered::All;
                self.flags &= !(flag::MESSAGE | flag::GOES_ON);
                let made = if is_compressed { self.inflating.message() } else { &self.payload };
                whole(self.flags, made)
            }
            Found::Fragment { is_first, is_last } => {
                self.delivered = Delivered::All;
                if is_last {
                    self.flags &= !(flag::MESSAGE | flag::GOES_ON);
                }
                let bytes = if is_compressed { self.inflating.message() } else { &self.payload };
                let is_text = self.flags & flag::TEXT != 0;
                let kind = if is_text { MessageKind::Text } else { MessageKind::Binary };
                Ok(Message::Fragment(Fragment { kind, bytes, is_first, is_last }))
            }
            Found::Control(opcode) => {
                self.delivered = Delivered::Control;
                let bytes = self.payload.get(self.start as usize..).unwrap_or_default();
                match opcode {
                    OpCode::Ping => Ok(Message::Ping(bytes)),
                    OpCode::Pong => Ok(Message::Pong(bytes)),
                    _ => close::parse(bytes).map(|(code, reason)| Message::Close(code, reason)),
                }
            }
        };
        match viewed {
            Ok(message) => Ok(Decoded { used, message: Some(message) }),
            Err(fault) => {
                self.fault = Some(fault);
                Err(fault)
            }
        }
    }

    /// What is held of a message that has not come to its end, in bytes.
    #[must_use]
    pub fn memory(&self) -> usize {
        self.payload.capacity() + self.inflating.memory()
    }

    fn has(&self, flags: u8) -> bool {
        self.flags & flags != 0
    }

    fn put(&mut self, flags: u8, on: bool) {
        if on { self.flags |= flags } else { self.flags &= !flags }
    }

    #[cold]
    fn fail(&mut self, fault: WebSocketFault) -> WebSocketFault {
        self.payload = Vec::new();
        self.start = 0;
        self.fault = Some(fault);
        fault
    }

    /// What was delivered is not needed any more.
    fn let_go(&mut self) {
        match mem::replace(&mut self.delivered, Delivered::Nothing) {
            Delivered::Nothing => return,
            Delivered::Control => self.payload.truncate(self.start as usize),
            Delivered::All => {
                self.payload.clear();
                self.start = 0;
                self.inflating.let_go();
            }
        }
        if self.payload.is_empty() && self.payload.capacity() > KEPT {
            self.payload = Vec::new();
        }
    }

    fn read(&mut self, input: &[u8]) -> Result<(usize, Option<Found>), WebSocketFault> {
        if self.has(flag::CLOSED) {
            return Ok((input.len(), None));
        }
        let mut used = 0;
        while let Some(rest) = input.get(used..).filter(|rest| !rest.is_empty()) {
            let mut rest = rest;
            if !self.has(flag::PAYLOAD) {
                let (of_head, announced) = self.head.read(rest, self.rules())?;
                used += of_head;
                let Some(announced) = announced else { break };
                self.begin_frame(announced)?;
                rest = rest.get(of_head..).unwrap_or_default();
                if self.is_direct(rest) {
                    let len = self.left as usize;
                    self.end_frame();
                    return Ok((used + len, Some(Found::Direct(used, len))));
                }
            }
            let n = rest.len().min(self.left as usize);
            self.take(rest.get(..n).unwrap_or_default())?;
            used += n;
            if self.left > 0 {
                break;
            }
            if let Some(found) = self.finish_frame()? {
                return Ok((used, Some(found)));
            }
        }
        Ok((used, None))
    }

    fn rules(&self) -> Rules {
        Rules {
            role: self.role,
            in_message: self.has(flag::MESSAGE),
            may_compress: self.inflating.is_agreed_on(),
        }
    }

    /// Whether all of the frame is there, is a message, and can be delivered from where it is.
    fn is_direct(&self, rest: &[u8]) -> bool {
        self.role == Role::Client
            && rest.len() >= self.left as usize
            && matches!(self.head.first(), 0x81 | 0x82)
            && !self.has(flag::FRAGMENTS)
    }
}

fn whole(flags: u8, bytes: &[u8]) -> Result<Message<'_>, WebSocketFault> {
    if flags & flag::TEXT == 0 {
        return Ok(Message::Binary(bytes));
    }
    std::str::from_utf8(bytes).map(Message::Text).map_err(|_| WebSocketFault::BadUtf8)
}
