//! Bodies of requests are unpacked on their way in.

// The framing is taken off first, and what is left goes through a decoder: for a gathered body all that has come, for a
// streamed one as much as is wanted at a time. The limit of a body holds for both of its sizes, since a packed body of
// nothing but framing would never become too large unpacked.

use super::bodies::{Taken, decode};
use super::capacity::Held;
use super::exchange::{Exchange, Hooks, flag};
use super::request::Parts;
use super::service::Service;
use crate::net::Buffer;
use crate::wire::coding::{Coding, Decoder};
use crate::wire::{BodyDecoder, Fault, Framing};

/// What one that unpacks takes of memory, in bytes: the window, and its tables.
const UNPACKER: usize = 48 * 1024;

/// Unpacks one body.
pub(super) struct Unpacker {
    decoder: Decoder,
    /// Dropped with it.
    _held: Held,
    /// What has come and was not looked at yet, from `at` on.
    packed: Vec<u8>,
    at: usize,
    /// There is more to come out.
    more: bool,
    out: Vec<u8>,
    total_in: u64,
}

/// Looks whether a request has a packed body, which it then seems not to have been.
pub(super) fn look(
    service: &Service,
    parts: &mut Parts,
    exchange: &mut Exchange,
) -> Result<(), Fault> {
    let Some(limits) = service.routes.coding.decompression else { return Ok(()) };
    if parts.head.framing() == Framing::None {
        return Ok(());
    }
    let mut coding = None;
    for value in parts.head.fields().get_all("content-encoding") {
        for member in value.split(|&byte| byte == b',').map(<[u8]>::trim_ascii) {
            if member.is_empty() || member.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            let known = Coding::named(member).ok_or(Fault::UnknownContentCoding)?;
            if coding.replace(known).is_some() {
                return Err(Fault::UnknownContentCoding);
            }
        }
    }
    let Some(coding) = coding else { return Ok(()) };
    parts.head.unpack();
    exchange.set(flag::UNPACKS);
    exchange.hooks().unpacker = Some(Box::new(Unpacker {
        decoder: Decoder::new(coding, limits),
        _held: service.aside.hold(UNPACKER),
        packed: Vec::new(),
        at: 0,
        more: false,
        out: Vec::new(),
        total_in: 0,
    }));
    Ok(())
}

/// What unpacks the body of a request with these flags.
pub(super) fn of(flags: u32, hooks: &mut Option<Box<Hooks>>) -> Option<&mut Unpacker> {
    if flags & flag::UNPACKS == 0 {
        return None;
    }
    hooks.as_mut()?.unpacker.as_deref_mut()
}

impl Unpacker {
    /// Gathers what has come of a body, and says how much it was, packed.
    pub(super) fn gather(
        &mut self,
        input: &mut Buffer,
        decoder: &mut BodyDecoder,
        body: &mut Vec<u8>,
        limit: u64,
    ) -> (Taken, u64) {
        let found = decode(input, decoder, |input, n| {
            self.take(input, n, limit)?;
            while self.has_more() {
                self.step(limit)?;
                body.append(&mut self.out);
            }
            Ok(true)
        });
        let found = match found {
            Taken::End => self.finish(),
            // A chunk that cannot be kept is refused when it is announced.
            Taken::More if self.total_in.saturating_add(decoder.announced()) > limit => {
                Taken::Bad(Fault::BodyTooLarge)
            }
            found => found,
        };
        (found, self.total_in)
    }

    /// Takes in as much of a streamed body as is wanted at a time: until `most` bytes are unread.
    pub(super) fn deliver(
        &mut self,
        input: &mut Buffer,
        decoder: &mut BodyDecoder,
        unread: &mut Buffer,
        most: usize,
        limit: u64,
    ) -> Taken {
        loop {
            while self.has_more() {
                if unread.len() >= most {
                    return Taken::Enough;
                }
                if let Err(fault) = self.step(limit) {
                    return Taken::Bad(fault);
                }
                unread.append(&self.out);
                self.out.clear();
            }
            if decoder.is_done() {
                return self.finish();
            }
            // One piece, which is unpacked before the next.
            let found = decode(input, decoder, |input, n| {
                self.take(input, n, limit)?;
                Ok(false)
            });
            match found {
                Taken::Enough | Taken::End => {}
                found => return found,
            }
        }
    }

    /// How much has come, packed.
    pub(super) fn total_in(&self) -> u64 {
        self.total_in
    }

    fn has_more(&self) -> bool {
        self.more || self.at < self.packed.len()
    }

    /// Takes so many bytes, which come next.
    fn take(&mut self, input: &mut Buffer, n: usize, limit: u64) -> Result<(), Fault> {
        self.total_in = self.total_in.saturating_add(n as u64);
        if self.total_in > limit {
            return Err(Fault::BodyTooLarge);
        }
        // All of what came before is done with.
        self.at = 0;
        self.packed.clear();
        self.packed.resize(n, 0);
        input.copy_out(0, &mut self.packed);
        input.drain(n);
        Ok(())
    }

    /// Unpacks some more into `out`.
    fn step(&mut self, limit: u64) -> Result<(), Fault> {
        let rest = self.packed.get(self.at..).unwrap_or_default();
        let decoded = self.decoder.decode(rest, &mut self.out)?;
        self.at += decoded.used;
        self.more = decoded.more;
        if self.decoder.total_out() > limit {
            return Err(Fault::BodyTooLarge);
        }
        Ok(())
    }

    fn finish(&self) -> Taken {
        match self.decoder.finish() {
            Ok(()) => Taken::End,
            Err(fault) => Taken::Bad(fault.into()),
        }
    }
}
