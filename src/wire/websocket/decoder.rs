//! What frames mean.

// `payload` holds the message so far, and behind that, from `start` on, what has come of the frame at hand. So a
// control frame between the fragments of a message needs no memory of its own.

use std::mem;

use super::utf8::Utf8;
use super::{CloseCode, MessageKind, OpCode, Role, WebSocketFault, close, mask};

/// Memory for payload up to which a decoder keeps it for the next message, in bytes.
const KEPT: usize = 64 * 1024;

/// What a [`Decoder`] takes at most. Above it the fault is one of those that close with 1009.
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
    /// One frame of a message, where [fragments are wanted](Decoder::set_fragments).
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
    head: [u8; 14],
    head_len: u8,
    flags: u8,
    role: Role,
    delivered: Delivered,
    utf8: Utf8,
    fault: Option<WebSocketFault>,
    #[cfg(feature = "compress")]
    inflater: Option<Box<super::deflate::Inflater>>,
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
            head: [0; 14],
            head_len: 0,
            flags: 0,
            role,
            delivered: Delivered::Nothing,
            utf8: Utf8::default(),
            fault: None,
            #[cfg(feature = "compress")]
            inflater: None,
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
        self.inflater = Some(Box::new(inflater));
    }

    /// Whether it is in the middle of something: of a frame, or between the frames of a message.
    #[must_use]
    pub fn is_in_message(&self) -> bool {
        self.head_len > 0 || self.has(flag::PAYLOAD | flag::MESSAGE)
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
        let viewed = match found {
            Found::Direct(from, len) => {
                self.flags &= !(flag::MESSAGE | flag::GOES_ON);
                let bytes = input.get(from..).and_then(|rest| rest.get(..len)).unwrap_or_default();
                whole(self.flags, bytes)
            }
            Found::Message => {
                self.delivered = Delivered::All;
                self.flags &= !(flag::MESSAGE | flag::GOES_ON);
                #[cfg(feature = "compress")]
                let bytes = match &self.inflater {
                    Some(inflater) if self.flags & flag::COMPRESSED != 0 => inflater.message(),
                    _ => self.payload.as_slice(),
                };
                #[cfg(not(feature = "compress"))]
                let bytes = self.payload.as_slice();
                whole(self.flags, bytes)
            }
            Found::Fragment { is_first, is_last } => {
                self.delivered = Delivered::All;
                if is_last {
                    self.flags &= !(flag::MESSAGE | flag::GOES_ON);
                }
                #[cfg(feature = "compress")]
                let bytes = match &self.inflater {
                    Some(inflater) if self.flags & flag::COMPRESSED != 0 => inflater.message(),
                    _ => self.payload.as_slice(),
                };
                #[cfg(not(feature = "compress"))]
                let bytes = self.payload.as_slice();
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
        #[cfg(feature = "compress")]
        let inflated = self.inflater.as_ref().map_or(0, |inflater| inflater.memory());
        #[cfg(not(feature = "compress"))]
        let inflated = 0;
        self.payload.capacity() + inflated
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
                #[cfg(feature = "compress")]
                if let Some(inflater) = &mut self.inflater {
                    inflater.let_go();
                }
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
                let of_head = self.read_head(rest)?;
                used += of_head;
                if !self.has(flag::PAYLOAD) {
                    break;
                }
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

    /// Takes what there is of the head. With all of it, `PAYLOAD` is set.
    fn read_head(&mut self, input: &[u8]) -> Result<usize, WebSocketFault> {
        let mut used = 0;
        while self.head_len < 2 {
            let Some(byte) = input.get(used).copied() else { return Ok(used) };
            used += 1;
            self.head_len += 1;
            let [first, second, ..] = &mut self.head;
            if self.head_len == 1 {
                *first = byte;
                self.check_first(byte)?;
            } else {
                *second = byte;
                let first = *first;
                self.check_second(first, byte)?;
            }
        }
        let [_, second, ..] = self.head;
        let of_length = match second & 0x7F {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let of_key = if self.role == Role::Server { 4 } else { 0 };
        let (from, to) = (usize::from(self.head_len), 2 + of_length + of_key);
        let rest = input.get(used..).unwrap_or_default();
        let n = (to - from).min(rest.len());
        if let (Some(place), Some(bytes)) = (self.head.get_mut(from..from + n), rest.get(..n)) {
            place.copy_from_slice(bytes);
        }
        used += n;
        self.head_len += n as u8;
        if usize::from(self.head_len) == to {
            self.begin_frame(of_length)?;
        }
        Ok(used)
    }

    fn check_first(&self, byte: u8) -> Result<(), WebSocketFault> {
        let opcode = OpCode::new(byte & 0x0F).ok_or(WebSocketFault::ReservedOpCode);
        let begins = matches!(opcode, Ok(OpCode::Text | OpCode::Binary));
        #[cfg(feature = "compress")]
        let may_compress = begins && self.inflater.is_some();
        #[cfg(not(feature = "compress"))]
        let may_compress = false;
        let reserved = byte & 0x70;
        if reserved != 0 && !(reserved == 0x40 && may_compress) {
            return Err(WebSocketFault::ReservedBit);
        }
        let opcode = opcode?;
        if opcode.is_control() {
            return if byte & 0x80 == 0 { Err(WebSocketFault::FragmentedControl) } else { Ok(()) };
        }
        match (begins, self.has(flag::MESSAGE)) {
            (true, true) => Err(WebSocketFault::MessageInMessage),
            (false, false) => Err(WebSocketFault::NothingToContinue),
            _ => Ok(()),
        }
    }

    fn check_second(&self, first: u8, byte: u8) -> Result<(), WebSocketFault> {
        match (self.role, byte & 0x80 != 0) {
            (Role::Server, false) => return Err(WebSocketFault::NotMasked),
            (Role::Client, true) => return Err(WebSocketFault::Masked),
            _ => {}
        }
        if first & 0x08 != 0 {
            let len = byte & 0x7F;
            if len > 125 {
                return Err(WebSocketFault::ControlTooLong);
            }
            if first & 0x0F == 8 && len == 1 {
                return Err(WebSocketFault::BadClosePayload);
            }
        }
        Ok(())
    }

    /// The head is complete.
    fn begin_frame(&mut self, of_length: usize) -> Result<(), WebSocketFault> {
        let [first, second, a, b, c, d, e, f, g, h, ..] = self.head;
        let len = match of_length {
            0 => u64::from(second & 0x7F),
            2 => u64::from(u16::from_be_bytes([a, b])),
            _ => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        };
        if len >> 63 != 0 {
            return Err(WebSocketFault::BadLength);
        }
        if of_length == 2 && len < 126 || of_length == 8 && len <= 0xFFFF {
            return Err(WebSocketFault::LongLength);
        }
        let limited = u32::try_from(len).ok().filter(|len| *len <= self.max_frame);
        let is_control = first & 0x08 != 0;
        let limited = if is_control { u32::try_from(len).ok() } else { limited };
        let len = limited.ok_or(WebSocketFault::FrameTooBig)?;
        if !is_control {
            self.begin_data(first, len)?;
        }
        if let Some(key) = self.head.get(2 + of_length..).and_then(|rest| rest.first_chunk()) {
            self.key = *key;
        }
        self.left = len;
        self.flags |= flag::PAYLOAD;
        Ok(())
    }

    fn begin_data(&mut self, first: u8, len: u32) -> Result<(), WebSocketFault> {
        if !self.has(flag::MESSAGE) {
            self.flags &= !(flag::TEXT | flag::COMPRESSED | flag::LOOKED_AT | flag::GOES_ON);
            self.flags |= flag::MESSAGE;
            self.put(flag::TEXT, first & 0x0F == 1);
            self.put(flag::COMPRESSED, first & 0x40 != 0);
            self.utf8 = Utf8::default();
            self.message = 0;
            self.fragments = 0;
            #[cfg(feature = "compress")]
            if let (true, Some(inflater)) = (self.has(flag::COMPRESSED), &mut self.inflater) {
                inflater.begin();
            }
        }
        self.fragments = self.fragments.saturating_add(1);
        if self.fragments > self.max_fragments {
            return Err(WebSocketFault::TooManyFragments);
        }
        // What is compressed is counted as it is inflated.
        if !self.has(flag::COMPRESSED)
            && self.message.checked_add(len).is_none_or(|all| all > self.max_message)
        {
            return Err(WebSocketFault::MessageTooBig);
        }
        Ok(())
    }

    /// Whether all of the frame is there, is a message, and can be delivered from where it is.
    fn is_direct(&self, rest: &[u8]) -> bool {
        let [first, ..] = self.head;
        self.role == Role::Client
            && rest.len() >= self.left as usize
            && matches!(first, 0x81 | 0x82)
            && !self.has(flag::FRAGMENTS)
    }

    fn is_control(&self) -> bool {
        let [first, ..] = self.head;
        first & 0x08 != 0
    }

    /// Takes bytes of the payload.
    fn take(&mut self, bytes: &[u8]) -> Result<(), WebSocketFault> {
        let at = self.payload.len();
        let (is_control, in_fragments) = (self.is_control(), self.has(flag::FRAGMENTS));
        self.payload.extend_from_slice(bytes);
        let taken = self.payload.get_mut(at..).unwrap_or_default();
        if self.role == Role::Server {
            mask(taken, self.key);
            self.key.rotate_left(bytes.len() % 4);
        }
        // Not longer than what was left of a frame, which has its length in 32 bits.
        self.left -= bytes.len() as u32;
        let is_plain_text = self.flags & (flag::TEXT | flag::COMPRESSED) == flag::TEXT;
        if is_plain_text && !is_control {
            let [first, ..] = self.head;
            // The one frame of a message that came at once is looked at when it is delivered.
            let at_once = first == 0x81 && at == self.start as usize && self.left == 0;
            if !at_once || in_fragments {
                self.flags |= flag::LOOKED_AT;
                if !self.utf8.feed(taken) {
                    return Err(WebSocketFault::BadUtf8);
                }
            }
        } else if is_control {
            self.look_at_reason()?;
        }
        Ok(())
    }

    /// Of a close frame, the code and the reason are looked at as they come.
    fn look_at_reason(&self) -> Result<(), WebSocketFault> {
        let [first, ..] = self.head;
        let payload = self.payload.get(self.start as usize..).unwrap_or_default();
        if first & 0x0F != 8 || self.left == 0 || payload.len() < 2 {
            return Ok(());
        }
        let (code, reason) = payload.split_at(2);
        close::parse(code)?;
        let is_wrong = |error: std::str::Utf8Error| error.error_len().is_some();
        match std::str::from_utf8(reason) {
            Err(error) if is_wrong(error) => Err(WebSocketFault::BadUtf8),
            _ => Ok(()),
        }
    }

    fn end_frame(&mut self) {
        self.flags &= !flag::PAYLOAD;
        self.head_len = 0;
        self.left = 0;
    }

    /// All of a frame has come.
    fn finish_frame(&mut self) -> Result<Option<Found>, WebSocketFault> {
        let [first, ..] = self.head;
        self.end_frame();
        if first & 0x08 != 0 {
            let opcode = OpCode::new(first & 0x0F).unwrap_or(OpCode::Close);
            self.put(flag::CLOSED, opcode == OpCode::Close || self.has(flag::CLOSED));
            return Ok(Some(Found::Control(opcode)));
        }
        let is_last = first & 0x80 != 0;
        let is_first = !self.has(flag::GOES_ON);
        self.flags |= flag::GOES_ON;
        if self.has(flag::COMPRESSED) {
            self.inflate(is_last)?;
        } else {
            // Both are within the limit of a message.
            self.message += (self.payload.len() - self.start as usize) as u32;
        }
        if is_last && self.has(flag::LOOKED_AT) && !self.utf8.is_whole() {
            return Err(WebSocketFault::BadUtf8);
        }
        if self.has(flag::FRAGMENTS) {
            return Ok(Some(Found::Fragment { is_first, is_last }));
        }
        if is_last {
            return Ok(Some(Found::Message));
        }
        self.start = u32::try_from(self.payload.len()).unwrap_or(u32::MAX);
        Ok(None)
    }

    #[cfg(feature = "compress")]
    fn inflate(&mut self, is_last: bool) -> Result<(), WebSocketFault> {
        let Some(inflater) = &mut self.inflater else { return Err(WebSocketFault::ReservedBit) };
        let before = inflater.message().len();
        let piece = self.payload.get(self.start as usize..).unwrap_or_default();
        inflater.feed(piece, is_last, self.max_message as usize)?;
        self.payload.truncate(self.start as usize);
        if self.flags & flag::TEXT != 0 {
            self.flags |= flag::LOOKED_AT;
            if !self.utf8.feed(inflater.message().get(before..).unwrap_or_default()) {
                return Err(WebSocketFault::BadUtf8);
            }
        }
        Ok(())
    }

    #[cfg(not(feature = "compress"))]
    #[expect(clippy::unused_self, reason = "the same as where there is something to do")]
    fn inflate(&mut self, _is_last: bool) -> Result<(), WebSocketFault> {
        Err(WebSocketFault::ReservedBit)
    }
}

fn whole(flags: u8, bytes: &[u8]) -> Result<Message<'_>, WebSocketFault> {
    if flags & flag::TEXT == 0 {
        return Ok(Message::Binary(bytes));
    }
    std::str::from_utf8(bytes).map(Message::Text).map_err(|_| WebSocketFault::BadUtf8)
}
