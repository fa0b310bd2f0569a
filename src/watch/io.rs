//! Io: a descriptor is ready to be read or written.
//!
//! An io watcher owns a *source*, anything that is [`AsFd`]: a socket, a pipe, a file, an
//! `Rc<TcpStream>` that other watchers share. It is level-triggered: as long as the source is ready
//! for what the watcher asks, the callback is called in every iteration.

// The source is in an `Rc` of its own and not inside the cell, because `into_source` must hand it
// out while the callback, and with it the cell, is still in use.

use std::any::Any;
use std::cell::RefCell;
use std::os::fd::{AsFd, BorrowedFd, RawFd};
use std::rc::Rc;

use super::verbs;
use crate::engine::{Band, Callback, IoCallback, IoSlot, Key};
use crate::event::{Events, Interest};
use crate::{EvLoop, Kind, Result};

const KIND: Kind = Kind::Io;

/// The key of an io watcher (`ev_io`): call when a descriptor is ready.
///
/// Made by [`EvLoop::io`] and [`EvLoop::once`]. A key is a number: copy it freely.
///
/// ```
/// use evloop::{EvLoop, Interest};
/// use std::io::{Read, Write};
/// use std::os::unix::net::UnixStream;
///
/// let mut ev = EvLoop::new()?;
/// let (mut here, there) = UnixStream::pair()?;
/// there.set_nonblocking(true)?;
/// ev.io(there, Interest::READ, |ev, e| {
///     let mut bytes = [0; 64];
///     let mut source = e.source; // `Read` is implemented for `&UnixStream`
///     match source.read(&mut bytes) {
///         Ok(0) | Err(_) => {
///             e.watcher.free(ev); // closes the stream
///         }
///         Ok(n) => assert_eq!(&bytes[..n], b"hello"),
///     }
/// })
/// .start(&mut ev)?;
/// here.write_all(b"hello")?;
/// drop(here);
/// ev.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Sharp edges
///
/// * **Reading may still block.** Readiness is a hint; set sockets and pipes non-blocking.
/// * **A hang-up or an error is everything you asked for**: the next read or write tells which it
///   was. A watcher that then neither reads nor stops is called again in every iteration.
/// * **Close through the watcher**, with [`free`](Io::free): it takes the descriptor out of the
///   kernel's set first. If a duplicate of it stays open elsewhere, epoll may go on reporting it; such
///   reports are recognised and dropped.
/// * **A borrowed source** (`BorrowedFd<'static>`) can be closed under the loop. poll notices, stops
///   the watcher and calls it with [`Events::ERROR`]; epoll is silent until the descriptor's
///   registration changes or [`verify`](EvLoop::verify) looks.
/// * **Regular files are always ready**, also on epoll, which itself refuses them: the loop does not
///   sleep while a started watcher asks about one.
/// * **A stopped watcher** costs no system call; if the kernel reports its descriptor all the same, the
///   loop wakes up once, takes it out, and calls nobody.
/// * **[`Interest::EDGE`]**: read until `WouldBlock`, or you will not hear of the rest. Not with the
///   poll backend, and all watchers of one descriptor must agree.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Io(Key);

/// What the callback of an io watcher is told.
#[derive(Debug)]
#[non_exhaustive]
pub struct IoEvent<'a, F> {
    /// What is ready. `std` reads and writes shared files and sockets by what `&File`, `&TcpStream` and the like
    /// implement, so a variable is needed: `let mut source = event.source;`, and then `source.read(…)`.
    pub source: &'a F,
    /// The watcher it happened to.
    pub watcher: Io,
    /// What of the watcher's interest is ready; or what was fed; or [`Events::ERROR`] with
    /// `READ` and `WRITE` if the loop had to stop the watcher.
    pub ready: Events,
}

struct Cell<F, C> {
    source: Rc<F>,
    /// Never borrowed twice, since a running watcher is not entered again.
    callback: RefCell<C>,
}

impl<F: 'static, C: FnMut(&mut EvLoop, IoEvent<'_, F>)> Callback for Cell<F, C> {
    #[inline]
    fn call(self: Rc<Self>, ev: &mut EvLoop, key: Key, ready: Events) {
        if let Ok(mut callback) = self.callback.try_borrow_mut() {
            callback(ev, IoEvent { source: &*self.source, watcher: Io(key), ready });
        }
    }
}

impl<F: AsFd + 'static, C: FnMut(&mut EvLoop, IoEvent<'_, F>)> IoCallback for Cell<F, C> {
    fn fd(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }

    fn source(&self) -> Option<Rc<dyn Any>> {
        Some(Rc::clone(&self.source) as Rc<dyn Any>)
    }
}

impl EvLoop {
    /// Makes an io watcher (`ev_io_init`): `callback` is called when `source` is ready for
    /// `interest`. It is not started yet.
    ///
    /// Any number of watchers may watch one descriptor, each told of what it asked for, in the order
    /// they were started. [`Interest::NONE`] is legal: the watcher keeps the loop running and is
    /// never called.
    ///
    /// The source must go on naming one descriptor as long as the watcher exists.
    #[track_caller]
    pub fn io<F: AsFd + 'static>(
        &mut self,
        source: F,
        interest: Interest,
        callback: impl FnMut(&mut EvLoop, IoEvent<'_, F>) + 'static,
    ) -> Io {
        let cell = Cell { source: Rc::new(source), callback: RefCell::new(callback) };
        self.insert_io(Rc::new(cell), interest)
    }

    #[track_caller]
    pub(crate) fn insert_io(&mut self, cell: Rc<dyn IoCallback>, interest: Interest) -> Io {
        let slot = IoSlot::new(cell, interest);
        self.fds.count(slot.head.band);
        Io(self.ios.insert(slot))
    }
}

verbs!(Io, "watcher");

fn stop_it(ev: &mut EvLoop, key: Key) -> bool {
    ev.stop_io(key)
}

fn remove(ev: &mut EvLoop, key: Key) -> bool {
    let Some(slot) = ev.remove_io(key) else { return false };
    slot.cell.freed(ev);
    true
}

fn change_band(ev: &mut EvLoop, key: Key, band: Band) {
    if let Some(old) = ev.set_band(KIND, key, band) {
        ev.fds.uncount(old);
        ev.fds.count(band);
    }
}

impl Io {
    /// Starts the watcher; no effect if it is started already.
    ///
    /// The first start asks the kernel at once, later ones usually make no system call.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Register`](crate::ErrorKind::Register) if the system refuses (no memory, the
    /// per-user limit of watched descriptors, a descriptor that is not open);
    /// [`ErrorKind::Unsupported`](crate::ErrorKind::Unsupported) for edges with poll;
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if another watcher of the
    /// descriptor is level-triggered and this one is not, or the reverse;
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale). The watcher is stopped then and keeps its source.
    #[inline]
    pub fn start(self, ev: &mut EvLoop) -> Result<Self> {
        ev.start_io(self.0).map(|()| self)
    }

    /// Starts the watcher, and frees it, source and all, if that fails: the form for servers, which
    /// have nothing better to do with a connection that cannot be watched.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_or_free(self, ev: &mut EvLoop) -> Result<Self> {
        self.start(ev).inspect_err(|_| {
            self.free(ev);
        })
    }

    /// Changes what the watcher asks for (`ev_io_modify`), in any state.
    ///
    /// The kernel hears of it before the next wait, once for all changes until then, and not at all
    /// if they cancel out. Events already queued that are no longer asked for are forgotten.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale); and when a started watcher changes to or from
    /// [`Interest::EDGE`] those of [`start`](Self::start), with the interest unchanged.
    pub fn set_interest(self, ev: &mut EvLoop, interest: Interest) -> Result<Self> {
        ev.set_io_interest(self.0, interest).map(|()| self)
    }

    /// What the watcher asks for; nothing, for a stale key.
    #[must_use]
    pub fn interest(self, ev: &EvLoop) -> Interest {
        ev.ios.get(self.0).map_or(Interest::NONE, |slot| slot.data.interest)
    }

    /// The descriptor's number, for [`feed_fd`](EvLoop::feed_fd) and for logs; `None` for a stale key.
    #[must_use]
    pub fn fd(self, ev: &EvLoop) -> Option<RawFd> {
        use std::os::fd::AsRawFd;
        ev.ios.get(self.0).map(|slot| slot.cell.fd().as_raw_fd())
    }

    /// Frees the watcher and hands its source out, deregistered: to give a connection to another
    /// loop, to take it over for another protocol, or after a failed start.
    ///
    /// `None`, and no change, if the key is stale or the source is not an `F`. From inside its own
    /// callback the `Rc` is shared with the running call until that returns.
    ///
    /// ```
    /// # use evloop::{EvLoop, Interest};
    /// # use std::{os::unix::net::UnixStream, rc::Rc};
    /// # let mut ev = EvLoop::new()?;
    /// # let (_a, stream) = UnixStream::pair()?;
    /// let io = ev.io(stream, Interest::READ, |_, _| {}).start(&mut ev)?;
    /// let stream: Rc<UnixStream> = io.into_source(&mut ev).expect("it is a UnixStream");
    /// let stream: UnixStream = Rc::into_inner(stream).expect("nobody else has it");
    /// # drop(stream);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use = "the source is dropped, and so closed, if it is not kept"]
    pub fn into_source<F: 'static>(self, ev: &mut EvLoop) -> Option<Rc<F>> {
        let source = self.source::<F>(ev)?;
        self.free(ev);
        Some(source)
    }

    /// Replaces the callback, in any state; a running one is replaced when it returns.
    ///
    /// Returns whether it did: not if the key is stale, nor if the source is not an `F`.
    ///
    /// ```
    /// # use evloop::{EvLoop, Interest};
    /// # use std::os::unix::net::UnixStream;
    /// # let mut ev = EvLoop::new()?;
    /// # let (_a, stream) = UnixStream::pair()?;
    /// let io = ev.io(stream, Interest::READ, |_, _| {});
    /// assert!(io.set_callback::<UnixStream>(&mut ev, |_, e| println!("{:?}", e.source)));
    /// assert!(!io.set_callback::<std::fs::File>(&mut ev, |_, _| {}));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn set_callback<F: AsFd + 'static>(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, IoEvent<'_, F>) + 'static,
    ) -> bool {
        let Some(source) = self.source::<F>(ev) else { return false };
        let Some(slot) = ev.ios.get_mut(self.0) else { return false };
        let cell = Rc::new(Cell { source, callback: RefCell::new(callback) });
        // The old closure is dropped here, or when the call that is running it returns.
        slot.cell = cell;
        true
    }

    /// What a script calls it.
    #[cfg(feature = "test-util")]
    pub(crate) fn name(self) -> u64 {
        self.0.bits()
    }

    /// The source, shared with the watcher, if it is an `F`; `None` for a stale key too.
    ///
    /// Free the watcher before the last other owner of the source lets go of it: what closes the descriptor
    /// is the end of the last of them.
    ///
    /// ```
    /// # use evloop::{EvLoop, Interest};
    /// # use std::os::unix::net::UnixStream;
    /// # let (near, far) = UnixStream::pair()?;
    /// # let mut ev = EvLoop::new()?;
    /// let io = ev.io(near, Interest::READ, |_, _| {});
    /// let socket = io.source::<UnixStream>(&ev).unwrap();
    /// socket.set_nonblocking(true)?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn source<F: 'static>(self, ev: &EvLoop) -> Option<Rc<F>> {
        ev.ios.get(self.0)?.cell.source()?.downcast::<F>().ok()
    }
}
