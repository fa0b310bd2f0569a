//! The two ends of a connection inside the loop, without a descriptor (`bufferevent_pair`).

use std::cell::RefCell;
use std::io;
use std::rc::{Rc, Weak};

use super::cell::StreamCell;
use crate::net::Buffer;

/// What a pipe holds before the writer has to wait, like a socket's buffer.
const CAPACITY: usize = 64 * 1024;

/// One direction.
#[derive(Default)]
pub(super) struct Pipe {
    bytes: Buffer,
    /// Nobody writes to it any more.
    ended: bool,
    /// The writer was closed with a reset.
    is_reset: bool,
    /// Nobody reads it any more.
    broken: bool,
}

/// One end.
pub(super) struct End {
    incoming: Rc<RefCell<Pipe>>,
    outgoing: Rc<RefCell<Pipe>>,
    other: Weak<StreamCell>,
}

impl End {
    pub(super) fn pair() -> (Self, Self) {
        let (one, two) = <(Rc<RefCell<Pipe>>, Rc<RefCell<Pipe>>)>::default();
        let left =
            Self { incoming: Rc::clone(&one), outgoing: Rc::clone(&two), other: Weak::new() };
        (left, Self { incoming: two, outgoing: one, other: Weak::new() })
    }

    pub(super) fn know(&mut self, other: &Rc<StreamCell>) {
        self.other = Rc::downgrade(other);
    }

    /// The stream at the other end, which is to look at what was done here.
    pub(super) fn other(&self) -> Option<Rc<StreamCell>> {
        self.other.upgrade()
    }

    pub(super) fn read(&self, into: &mut Buffer, most: usize) -> io::Result<usize> {
        let mut pipe = self.incoming.borrow_mut();
        if pipe.is_reset {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        match pipe.bytes.move_to(most, into) {
            0 if pipe.ended => Ok(0),
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }

    pub(super) fn write(&self, from: &mut Buffer, most: usize) -> io::Result<usize> {
        let mut pipe = self.outgoing.borrow_mut();
        if pipe.broken {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let n = most.min(CAPACITY.saturating_sub(pipe.bytes.len()));
        // A reader takes bytes from memory, not from a file.
        from.load(n)?;
        match from.move_to(n, &mut pipe.bytes) {
            0 => Err(io::ErrorKind::WouldBlock.into()),
            n => Ok(n),
        }
    }

    pub(super) fn end(&self) {
        self.outgoing.borrow_mut().ended = true;
    }

    pub(super) fn end_reading(&self) {
        let mut pipe = self.incoming.borrow_mut();
        pipe.broken = true;
        pipe.bytes = Buffer::new();
    }

    pub(super) fn reset(&self) {
        let mut pipe = self.outgoing.borrow_mut();
        pipe.is_reset = true;
        pipe.bytes = Buffer::new();
    }
}

impl Drop for End {
    fn drop(&mut self) {
        // A socket that is closed with unread input resets the connection; here the peer just finds that
        // nobody reads.
        self.end();
        self.end_reading();
    }
}
