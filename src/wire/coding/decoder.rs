//! Unpacking.

use std::fmt;

use flate2::Crc;

use super::super::inflate::{Inflate, Step};
use super::check::{Adler, Check};
use super::gzip::Header;
use super::{Coding, CodingFault};

/// So many members of gzip are taken, and one more for each [`MEMBER`] bytes that came in.
const MEMBERS: u64 = 16;
const MEMBER: u64 = 256;

/// How much may come out of packed data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DecodeLimits {
    /// Bytes in all. 64 MiB.
    pub size: u64,
    /// Bytes for each byte that came in, from [`ratio_from`](Self::ratio_from) on. 200; text packs to a tenth, and
    /// nothing to less than a thousandth.
    pub ratio: u32,
    /// What may come out whatever the ratio. 1 MiB.
    pub ratio_from: u64,
}

impl Default for DecodeLimits {
    fn default() -> Self {
        Self { size: 64 * 1024 * 1024, ratio: 200, ratio_from: 1024 * 1024 }
    }
}

/// What a call has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Decoded {
    /// So many bytes of the input are done with.
    pub used: usize,
    /// There is more to come out: call again with the rest, even if that is empty.
    pub more: bool,
}

/// Unpacks a body, piece by piece.
///
/// The outcome is the same however the input is cut: the same bytes and the same fault, but for one that is
/// [too dense](CodingFault::TooDense), which may be noticed a few bytes earlier or later.
///
/// * gzip may have several members, one behind the other, and all that a header can have; checksums and lengths are
///   looked at, the header's too.
/// * deflate is the zlib format, or, if it does not begin like that, without header and checksum.
/// * Behind the end there may be nothing, unless it is to be [ignored](Self::ignore_trailing).
pub struct Decoder {
    coding: Coding,
    limits: DecodeLimits,
    state: State,
    inflate: Inflate,
    check: Check,
    /// More may come out without further input.
    may_have_more: bool,
    ignores: bool,
    total_in: u64,
    total_out: u64,
    members: u64,
    fault: Option<CodingFault>,
}

enum State {
    /// In the header of a gzip member.
    Gzip(Header),
    /// At the beginning of what is zlib, or has no header at all; the first byte.
    Zlib(Option<u8>),
    Data,
    /// So many bytes of the trailer have come.
    Trailer(usize),
    /// Here it may end.
    End,
    /// Whatever comes is nothing.
    Behind,
}

impl Decoder {
    /// One for a new body.
    #[must_use]
    pub fn new(coding: Coding, limits: DecodeLimits) -> Self {
        let state = match coding {
            Coding::Gzip => State::Gzip(Header::new()),
            Coding::Deflate => State::Zlib(None),
        };
        Self {
            coding,
            limits,
            state,
            inflate: Inflate::new(),
            check: Check::None,
            may_have_more: false,
            ignores: false,
            total_in: 0,
            total_out: 0,
            members: 1,
            fault: None,
        }
    }

    /// Takes whatever stands behind the end, and is not another member, for nothing (`gzip` does so with a warning).
    #[must_use]
    pub fn ignore_trailing(mut self) -> Self {
        self.ignores = true;
        self
    }

    /// Unpacks more, and appends it: at most 32 KiB in a call.
    ///
    /// # Errors
    ///
    /// What is wrong, from then on each time. What came out before that was appended.
    pub fn decode(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<Decoded, CodingFault> {
        if let Some(fault) = self.fault {
            return Err(fault);
        }
        let mut used = 0;
        let before = out.len();
        let result = loop {
            let rest = input.get(used..).unwrap_or_default();
            match self.step(rest, out) {
                Ok(0) if !self.may_have_more => break Ok(()),
                Ok(n) => used += n,
                Err(fault) => break Err(fault),
            }
            if out.len() > before {
                break Ok(());
            }
        };
        match result {
            Ok(()) => Ok(Decoded { used, more: self.may_have_more || used < input.len() }),
            Err(fault) => {
                self.fault = Some(fault);
                Err(fault)
            }
        }
    }

    /// That was all of the input.
    ///
    /// # Errors
    ///
    /// [`CodingFault::Incomplete`] if there should be more, and whatever was wrong before.
    pub fn finish(&self) -> Result<(), CodingFault> {
        match self.fault {
            Some(fault) => Err(fault),
            None if self.is_done() => Ok(()),
            None => Err(CodingFault::Incomplete),
        }
    }

    /// Whether it may end here.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.fault.is_none() && matches!(self.state, State::End | State::Behind)
    }

    /// How many bytes have come out, in all.
    #[must_use]
    pub fn total_out(&self) -> u64 {
        self.total_out
    }

    /// How many bytes have gone in, in all.
    #[must_use]
    pub fn total_in(&self) -> u64 {
        self.total_in
    }

    /// Says how much it has used: nothing if there is nothing to be done.
    fn step(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Result<usize, CodingFault> {
        match self.state {
            State::Data if !rest.is_empty() || self.may_have_more => {
                return self.inflate(rest, out);
            }
            State::Behind => return Ok(rest.len()),
            _ => {}
        }
        let Some(&byte) = rest.first() else { return Ok(0) };
        self.total_in += 1;
        match &mut self.state {
            State::Gzip(header) => {
                let was_unsure = header.is_unsure() && self.members > 1;
                match header.byte(byte) {
                    Ok(true) => self.begin(Check::Crc(Crc::new())),
                    Ok(false) => {}
                    // It is not another member after all.
                    Err(_) if was_unsure => self.trailing()?,
                    Err(fault) => return Err(fault),
                }
            }
            State::Zlib(first) => {
                let Some(first) = *first else {
                    *first = Some(byte);
                    return Ok(1);
                };
                self.zlib(first, byte, out)?;
            }
            State::Trailer(have) => {
                let trailer = self.check.trailer();
                if trailer.bytes().get(*have) != Some(&byte) {
                    return Err(CodingFault::BadChecksum);
                }
                *have += 1;
                if *have == trailer.bytes().len() {
                    self.state = State::End;
                }
            }
            State::End => {
                if self.coding != Coding::Gzip || byte != 0x1F {
                    self.trailing()?;
                    return Ok(1);
                }
                self.members += 1;
                if self.members > MEMBERS + self.total_in / MEMBER {
                    return Err(CodingFault::TooMuchFraming);
                }
                let mut header = Header::new();
                header.byte(byte)?;
                self.state = State::Gzip(header);
            }
            State::Data | State::Behind => {}
        }
        Ok(1)
    }

    fn trailing(&mut self) -> Result<(), CodingFault> {
        if !self.ignores {
            return Err(CodingFault::TrailingData);
        }
        self.state = State::Behind;
        Ok(())
    }

    fn begin(&mut self, check: Check) {
        if self.members > 1 {
            self.inflate.forget();
        }
        self.check = check;
        self.state = State::Data;
    }

    /// The two bytes with which zlib begins (RFC 1950 §2.2), or which are data already.
    fn zlib(&mut self, first: u8, second: u8, out: &mut Vec<u8>) -> Result<(), CodingFault> {
        let is_header =
            first & 15 == 8 && first >> 4 <= 7 && u16::from_be_bytes([first, second]) % 31 == 0;
        if !is_header {
            self.begin(Check::None);
            // They were counted when they came.
            self.total_in -= 2;
            let mut bytes = &[first, second][..];
            while !bytes.is_empty() && matches!(self.state, State::Data) {
                let used = self.inflate(bytes, out)?;
                bytes = bytes.get(used..).unwrap_or_default();
            }
            return if bytes.is_empty() { Ok(()) } else { self.trailing() };
        }
        if second & 0x20 != 0 {
            // A dictionary that only they know.
            return Err(CodingFault::BadHeader);
        }
        self.begin(Check::Adler(Adler::new()));
        Ok(())
    }

    fn inflate(&mut self, rest: &[u8], out: &mut Vec<u8>) -> Result<usize, CodingFault> {
        // What is sent as it comes about is flushed again and again.
        self.inflate.allow(self.inflate.stored());
        let (used, step) = self.inflate.step(rest);
        self.total_in += used as u64;
        self.may_have_more = step == Step::More;
        self.take_out(out)?;
        match step {
            Step::More | Step::NeedsInput => {}
            Step::End => {
                self.state = match self.check {
                    Check::None => State::End,
                    _ => State::Trailer(0),
                };
            }
            Step::Broken => return Err(CodingFault::BadData),
            Step::Framing => return Err(CodingFault::TooMuchFraming),
        }
        Ok(used)
    }

    /// What has come out, which may be too much.
    fn take_out(&mut self, out: &mut Vec<u8>) -> Result<(), CodingFault> {
        let made = self.inflate.made();
        let left =
            usize::try_from(self.limits.size.saturating_sub(self.total_out)).unwrap_or(usize::MAX);
        let bytes = made.get(..left).unwrap_or(made);
        self.check.update(bytes);
        out.extend_from_slice(bytes);
        self.total_out += bytes.len() as u64;
        if made.len() > left {
            return Err(CodingFault::TooLarge);
        }
        let allowed = self.total_in.saturating_mul(u64::from(self.limits.ratio));
        if self.total_out > allowed.max(self.limits.ratio_from) {
            return Err(CodingFault::TooDense);
        }
        Ok(())
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("coding", &self.coding)
            .field("total_in", &self.total_in)
            .field("total_out", &self.total_out)
            .field("fault", &self.fault)
            .finish_non_exhaustive()
    }
}
