//! What makes messages of compressed ones, where that was agreed on. Without feature `compress`: `inflating_off`.

use super::super::WebSocketFault;
use super::super::deflate::Inflater;

#[derive(Default, Debug)]
pub(super) struct Inflating(Option<Box<Inflater>>);

impl Inflating {
    pub(super) fn with(inflater: Inflater) -> Self {
        Self(Some(Box::new(inflater)))
    }

    pub(super) fn is_agreed_on(&self) -> bool {
        self.0.is_some()
    }

    /// A compressed message begins.
    pub(super) fn begin(&mut self) {
        if let Some(inflater) = &mut self.0 {
            inflater.begin();
        }
    }

    /// The payload of its next frame. Returns what came of it.
    pub(super) fn feed(
        &mut self,
        piece: &[u8],
        is_last: bool,
        max: usize,
    ) -> Result<&[u8], WebSocketFault> {
        let Some(inflater) = &mut self.0 else { return Err(WebSocketFault::ReservedBit) };
        let before = inflater.message().len();
        inflater.feed(piece, is_last, max)?;
        Ok(inflater.message().get(before..).unwrap_or_default())
    }

    /// What came of it so far, and was not delivered.
    pub(super) fn message(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |inflater| inflater.message())
    }

    /// It was delivered.
    pub(super) fn let_go(&mut self) {
        if let Some(inflater) = &mut self.0 {
            inflater.let_go();
        }
    }

    pub(super) fn memory(&self) -> usize {
        self.0.as_ref().map_or(0, |inflater| inflater.memory())
    }
}
