//! The WebSockets of a loop: where they are found, and what they share.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};
use slab::Slab;

use super::WebSocket;
use super::options::WebSocketOptions;
use super::socket::Peer;
use crate::{Error, ErrorKind, EvLoop, Result};

/// Memory that is kept for the next message, in bytes.
const KEPT: usize = 64 * 1024;

/// Random bytes that are asked for at a time: a system call for every so many frames of a client.
const RANDOM: usize = 256;

#[derive(Default)]
pub(super) struct Hub {
    table: RefCell<Slab<Rc<Peer>>>,
    /// Memory for a message that is read, and for a frame that is written.
    scratch: Cell<Vec<u8>>,
    out: Cell<Vec<u8>>,
    random: RefCell<Random>,
    /// What those have who were given no options.
    pub(super) defaults: WebSocketOptions,
}

/// Random bytes, each used once.
struct Random {
    bytes: [u8; RANDOM],
    left: usize,
}

impl Default for Random {
    fn default() -> Self {
        Self { bytes: [0; RANDOM], left: 0 }
    }
}

impl Hub {
    pub(super) fn get(&self, key: WebSocket) -> Option<Rc<Peer>> {
        let table = self.table.borrow();
        table.get(key.index as usize).filter(|peer| peer.key == key).map(Rc::clone)
    }

    /// Takes in one that is made with the key that it gets.
    pub(super) fn insert(&self, make: impl FnOnce(u32) -> Rc<Peer>) -> Rc<Peer> {
        let mut table = self.table.borrow_mut();
        let entry = table.vacant_entry();
        // There are never more of them than descriptors.
        let peer = make(u32::try_from(entry.key()).unwrap_or(u32::MAX));
        entry.insert(Rc::clone(&peer));
        peer
    }

    pub(super) fn remove(&self, key: WebSocket) -> Option<Rc<Peer>> {
        self.get(key)?;
        let removed = self.table.borrow_mut().try_remove(key.index as usize);
        let mut table = self.table.borrow_mut();
        // After a burst: what a thousand needed is not kept for the next one.
        if table.is_empty() && table.capacity() > 1024 {
            *table = Slab::new();
        }
        removed
    }

    /// Those that are open, each looked for when it is asked for: between two of them any may come and go. Who comes
    /// meanwhile may be among them.
    pub(super) fn open(&self) -> impl Iterator<Item = Rc<Peer>> + '_ {
        let places = self.table.borrow().capacity();
        (0..places).filter_map(|place| {
            let table = self.table.borrow();
            table.get(place).filter(|peer| peer.is_open()).map(Rc::clone)
        })
    }

    pub(super) fn take_scratch(&self) -> Vec<u8> {
        self.scratch.take()
    }

    pub(super) fn give_scratch(&self, memory: Vec<u8>) {
        give(&self.scratch, memory);
    }

    pub(super) fn take_out(&self) -> Vec<u8> {
        let mut out = self.out.take();
        out.clear();
        out
    }

    pub(super) fn give_out(&self, memory: Vec<u8>) {
        give(&self.out, memory);
    }

    /// Bytes that nobody can predict, and nobody gets again.
    pub(super) fn random<const N: usize>(&self) -> Result<[u8; N]> {
        let mut random = self.random.borrow_mut();
        if random.left < N {
            random.refill()?;
        }
        let from = random.left - N;
        random.left = from;
        let place = random.bytes.get_mut(from..from + N).unwrap_or_default();
        let mut taken = [0; N];
        taken.copy_from_slice(place);
        place.fill(0);
        Ok(taken)
    }
}

impl Random {
    fn refill(&mut self) -> Result<()> {
        const ASKING: &str = "asking for random bytes";
        let mut filled = 0;
        while let Some(rest) = self.bytes.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match getrandom(rest, GetRandomFlags::empty()) {
                Ok(0) => return Err(Error::new(ErrorKind::Io, ASKING)),
                Ok(n) => filled += n,
                Err(Errno::INTR) => {}
                Err(error) => return Err(Error::os(ErrorKind::Io, ASKING, error.into())),
            }
        }
        self.left = filled;
        Ok(())
    }
}

fn give(place: &Cell<Vec<u8>>, memory: Vec<u8>) {
    let there = place.take();
    let better = if memory.capacity() > there.capacity() { memory } else { there };
    place.set(if better.capacity() > KEPT { Vec::new() } else { better });
}

impl EvLoop {
    /// The WebSockets there are now, those that are still being opened or closed not among them. Any of them may be
    /// closed while the list is gone through.
    ///
    /// ```
    /// # let mut ev = evloop::EvLoop::new()?;
    /// for ws in ev.websockets() {
    ///     let _ = ws.send_text(&mut ev, "going down in a minute");
    /// }
    /// # Ok::<(), evloop::Error>(())
    /// ```
    #[must_use]
    pub fn websockets(&self) -> Vec<WebSocket> {
        let Some(hub) = self.local_if_made::<Hub>() else { return Vec::new() };
        hub.open().map(|peer| peer.key).collect()
    }
}

// So that the sizes in the documentation stay what they are.
const _: () = assert!(size_of::<WebSocket>() == 24);
