//! The payload of frames: unmasked, judged as it comes, and put together to messages.

use super::super::utf8::Utf8;
use super::super::{OpCode, Role, WebSocketFault, close, mask};
use super::head::Announced;
use super::{Decoder, Found, flag};

impl Decoder {
    /// The head is complete.
    pub(super) fn begin_frame(&mut self, announced: Announced) -> Result<(), WebSocketFault> {
        let Announced { len, key } = announced;
        let is_control = self.head.is_control();
        let len = u32::try_from(len).ok().filter(|len| is_control || *len <= self.max_frame);
        let len = len.ok_or(WebSocketFault::FrameTooBig)?;
        if !is_control {
            self.begin_data(len)?;
        }
        self.key = key.unwrap_or_default();
        self.left = len;
        self.flags |= flag::PAYLOAD;
        Ok(())
    }

    fn begin_data(&mut self, len: u32) -> Result<(), WebSocketFault> {
        if !self.has(flag::MESSAGE) {
            self.flags &= !(flag::TEXT | flag::COMPRESSED | flag::LOOKED_AT | flag::GOES_ON);
            self.flags |= flag::MESSAGE;
            self.put(flag::TEXT, self.head.opcode() == Some(OpCode::Text));
            self.put(flag::COMPRESSED, self.head.is_compressed());
            self.utf8 = Utf8::default();
            self.message = 0;
            self.fragments = 0;
            if self.has(flag::COMPRESSED) {
                self.inflating.begin();
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

    /// Takes bytes of the payload.
    pub(super) fn take(&mut self, bytes: &[u8]) -> Result<(), WebSocketFault> {
        let at = self.payload.len();
        let (is_control, in_fragments) = (self.head.is_control(), self.has(flag::FRAGMENTS));
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
            // The one frame of a message that came at once is looked at when it is delivered.
            let at_once = self.head.first() == 0x81 && at == self.start as usize && self.left == 0;
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
        let payload = self.payload.get(self.start as usize..).unwrap_or_default();
        let is_close = self.head.opcode() == Some(OpCode::Close);
        if !is_close || self.left == 0 || payload.len() < 2 {
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

    pub(super) fn end_frame(&mut self) {
        self.flags &= !flag::PAYLOAD;
        self.head.end();
        self.left = 0;
    }

    /// All of a frame has come.
    pub(super) fn finish_frame(&mut self) -> Result<Option<Found>, WebSocketFault> {
        self.end_frame();
        if self.head.is_control() {
            let opcode = self.head.opcode().unwrap_or(OpCode::Close);
            self.put(flag::CLOSED, opcode == OpCode::Close || self.has(flag::CLOSED));
            return Ok(Some(Found::Control(opcode)));
        }
        let is_last = self.head.is_last();
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

    fn inflate(&mut self, is_last: bool) -> Result<(), WebSocketFault> {
        let piece = self.payload.get(self.start as usize..).unwrap_or_default();
        let made = self.inflating.feed(piece, is_last, self.max_message as usize)?;
        if self.flags & flag::TEXT != 0 {
            self.flags |= flag::LOOKED_AT;
            if !self.utf8.feed(made) {
                return Err(WebSocketFault::BadUtf8);
            }
        }
        self.payload.truncate(self.start as usize);
        Ok(())
    }
}
