//! Where there is nothing that could make messages of compressed ones, none are agreed on. With feature `compress`:
//! `inflating`.

use super::super::WebSocketFault;

#[derive(Default, Debug)]
pub(super) struct Inflating(());

#[expect(clippy::unused_self, reason = "the same as where there is something to do")]
impl Inflating {
    pub(super) fn is_agreed_on(&self) -> bool {
        false
    }

    pub(super) fn begin(&mut self) {}

    pub(super) fn feed(
        &mut self,
        _: &[u8],
        _is_last: bool,
        _max: usize,
    ) -> Result<&[u8], WebSocketFault> {
        Err(WebSocketFault::ReservedBit)
    }

    pub(super) fn message(&self) -> &[u8] {
        &[]
    }

    pub(super) fn let_go(&mut self) {}

    pub(super) fn memory(&self) -> usize {
        0
    }
}
