//! A stream's descriptor and its watcher, in one piece.

// The watcher has this as its cell, closure and source in one, and the stream as its transport. A closure that owns the
// stream and a descriptor that is shared with it would be two pieces of memory in place of one, for every connection.
//
// The stream owns it and it owns the stream: whoever takes the transport out of the state ends that.

use std::any::Any;
use std::cell::Cell;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use super::cell::StreamCell;
use super::drive;
use crate::engine::{Callback, IoCallback, Key};
use crate::{EvLoop, Events, Interest, Io};

pub(super) struct Watched {
    cell: Rc<StreamCell>,
    /// `None` only while it is made.
    io: Cell<Option<Io>>,
    fd: OwnedFd,
}

impl Watched {
    /// Takes a descriptor in, with a watcher that asks for nothing and was not started.
    pub(super) fn new(ev: &mut EvLoop, cell: &Rc<StreamCell>, fd: OwnedFd) -> Rc<Self> {
        let watched = Rc::new(Self { cell: Rc::clone(cell), io: Cell::new(None), fd });
        let io = ev.insert_io(Rc::clone(&watched) as Rc<dyn IoCallback>, Interest::NONE);
        watched.io.set(Some(io));
        watched
    }

    pub(super) fn io(&self) -> Option<Io> {
        self.io.get()
    }

    /// The descriptor, when the watcher was freed.
    pub(super) fn into_fd(self) -> OwnedFd {
        self.fd
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl Callback for Watched {
    #[inline]
    fn call(self: Rc<Self>, ev: &mut EvLoop, _key: Key, ready: Events) {
        drive::on_io(ev, &self.cell, ready);
    }
}

impl IoCallback for Watched {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn source(&self) -> Option<Rc<dyn Any>> {
        None
    }
}
