//! The two ends of a stream's buffers, as its owner has them.

use std::fmt;
use std::io;
use std::ops::{Deref, DerefMut};
use std::rc::Rc;

use super::Stream;
use super::cell::{State, StreamCell, flag};
use super::finding::touch;
use super::hub::Hub;
use crate::net::Buffer;
use crate::{Error, ErrorKind, EvLoop};

/// What has come to a [`Stream`], lent: a [`Buffer`] with all it can do.
pub struct Input<'a> {
    ev: &'a mut EvLoop,
    /// `None` only while it is given back.
    buffer: Option<Box<Buffer>>,
    of: Option<(Rc<Hub>, Rc<StreamCell>)>,
}

// The buffer is out of the state as long as it is lent. Nobody else can ask for it: the loop is borrowed.

impl<'a> Input<'a> {
    pub(super) fn new(ev: &'a mut EvLoop, stream: Stream) -> Self {
        let hub = ev.local::<Hub>();
        let of = hub.get(stream).map(|cell| (Rc::clone(&hub), cell));
        let lent = of.as_ref().and_then(|(_, cell)| cell.state.borrow_mut().input.take());
        let buffer = Some(lent.unwrap_or_else(|| hub.take_buffer()));
        Self { ev, buffer, of }
    }
}

impl Deref for Input<'_> {
    type Target = Buffer;

    fn deref(&self) -> &Buffer {
        self.buffer.as_ref().expect("the buffer is there until the guard is dropped")
    }
}

impl DerefMut for Input<'_> {
    fn deref_mut(&mut self) -> &mut Buffer {
        self.buffer.as_mut().expect("the buffer is there until the guard is dropped")
    }
}

impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Input").field(&self.buffer).finish()
    }
}

impl Drop for Input<'_> {
    fn drop(&mut self) {
        let (Some(buffer), Some((hub, cell))) = (self.buffer.take(), &self.of) else { return };
        if give_back(hub, cell, Some(buffer)) {
            touch(self.ev, hub, cell);
        }
    }
}

/// Puts the input back into the state; says whether reading was held back for it and need not be any more.
pub(super) fn give_back(hub: &Hub, cell: &StreamCell, buffer: Option<Box<Buffer>>) -> bool {
    let mut state = cell.state.borrow_mut();
    state.input = buffer;
    taken(hub, &mut state)
}

/// Something was taken out of the input; says whether reading was held back for it and need not be any more.
#[inline]
pub(super) fn taken(hub: &Hub, state: &mut State) -> bool {
    // While it is being told of, the next line may be asked for at once: it stays even if empty.
    if !state.has(flag::BUSY) {
        if let Some(empty) = state.input.take_if(|input| input.is_empty()) {
            hub.give_buffer(empty);
        }
    }
    let freed = state.has(flag::HELD) && state.input_len() < state.limits().read_high;
    if freed {
        state.clear(flag::HELD);
    }
    freed
}

/// Appends to the output of a [`Stream`]: see [`Stream::writer`].
///
/// A write that is refused fails with [`WriteZero`](io::ErrorKind::WriteZero) if the output is at its hard
/// limit, and with [`NotConnected`](io::ErrorKind::NotConnected) if the stream is closed; the source is the
/// [`Error`].
pub struct Writer<'a> {
    ev: &'a mut EvLoop,
    stream: Stream,
}

impl<'a> Writer<'a> {
    pub(super) fn new(ev: &'a mut EvLoop, stream: Stream) -> Self {
        Self { ev, stream }
    }
}

impl io::Write for Writer<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let refused = |error: Error| {
            let kind = match error.kind() {
                ErrorKind::Full => io::ErrorKind::WriteZero,
                _ => io::ErrorKind::NotConnected,
            };
            io::Error::new(kind, error)
        };
        self.stream.write(self.ev, bytes).map_err(refused)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Write for Writer<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.stream.write(self.ev, text).map_err(|_| fmt::Error)?;
        Ok(())
    }
}

impl fmt::Debug for Writer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Writer").field(&self.stream).finish()
    }
}
