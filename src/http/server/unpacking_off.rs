//! Without the feature `compress` no body is unpacked: what `unpacking` is then.

use super::bodies::Taken;
use super::exchange::Hooks;
use crate::net::Buffer;
use crate::wire::BodyDecoder;

/// There is none.
pub(super) enum Unpacker {}

#[inline]
pub(super) fn of(_flags: u32, _hooks: &mut Option<Box<Hooks>>) -> Option<&mut Unpacker> {
    None
}

impl Unpacker {
    pub(super) fn total_in(&self) -> u64 {
        match *self {}
    }

    pub(super) fn gather(
        &mut self,
        _input: &mut Buffer,
        _decoder: &mut BodyDecoder,
        _body: &mut Vec<u8>,
        _limit: u64,
    ) -> (Taken, u64) {
        match *self {}
    }

    pub(super) fn deliver(
        &mut self,
        _input: &mut Buffer,
        _decoder: &mut BodyDecoder,
        _unread: &mut Buffer,
        _most: usize,
        _limit: u64,
    ) -> Taken {
        match *self {}
    }
}
