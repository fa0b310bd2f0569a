//! Listeners: sockets that others connect to.

// One listener has any number of sockets, each the source of an io watcher, and one timer, its *server*.
// A socket's watcher only marks the socket and feeds the server, which accepts and calls the user. So
// nothing that belongs to a socket is in use while the user is called, and a listener that is closed in
// its own callback is closed at once, its address free to be bound again. The server's own time says
// when a rest is over.
//
// Pausing takes the interest away and not the watcher, so that resuming cannot fail, and so that a
// listener which rests by itself keeps the loop running.

mod accept;
mod accepted;
mod bind;
mod inherit;
mod limits;
mod options;

pub use accepted::Accepted;
pub use inherit::{InheritedFd, listen_fds_from_environment};
pub use limits::Permit;
pub use options::{ListenAddresses, ListenOptions};

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use self::accept::Rest;
use self::bind::Bound;
use self::limits::{Counts, Hosts, Rate};
use super::Address;
use crate::{Error, EvLoop, Interest, Io, Result, Timer};

/// The key of a listener (`evconnlistener`): sockets that others connect to, and a callback for each
/// connection.
///
/// Made by [`EvLoop::listen`] and [`ListenOptions`]. A key is a number: copy it freely. What was closed is not
/// found by it any more, nor is it found in another loop.
///
/// ```
/// use evloop::EvLoop;
/// use std::net::TcpStream;
///
/// let mut ev = EvLoop::new()?;
/// let listener = ev.listen("127.0.0.1:0", |ev, accepted| {
///     println!("{:?} has connected to {:?}", accepted.peer(), accepted.local());
///     accepted.listener().close(ev);
///     // What is not served or taken is refused: dropped, and so closed.
/// })?;
/// let address = listener.addresses(&ev)[0].to_string();
/// let _client = TcpStream::connect(address)?;
/// ev.run()?; // ends when the listener is closed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Sharp edges
///
/// * **Callbacks may do anything**: pause or close the listener, add to it, run the loop, panic. Nothing is
///   accepted while one of them runs, also not by a loop that is run inside it.
/// * **What waits in the kernel** when a listener is closed is reset. To hand it on, take the sockets out
///   with [`into_fds`](Self::into_fds).
/// * **Without descriptors** ([`ListenerPause::Starved`]) it rests for 100 ms, then for longer, up to 1 s, or until
///   this loop closes one.
/// * **A forked child** that has taken over ([`after_fork`](EvLoop::after_fork)) accepts from the same queue as
///   its parent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Listener(u64);

/// What went wrong with a listener.
#[derive(Debug)]
#[non_exhaustive]
pub struct AcceptError {
    /// The listener.
    pub listener: Listener,
    /// Where it listens with the socket that failed.
    pub address: Option<Address>,
    /// What the system said; [`raw_os_error`](Error::raw_os_error) has the number.
    pub error: Error,
    /// Whether the socket was given up. If not, the listener rests for a while; that is reported once
    /// per second at most.
    pub stopped: bool,
}

impl AcceptError {
    fn new(id: u64, address: Option<Address>, error: Error, stopped: bool) -> Self {
        Self { listener: Listener(id), address, error, stopped }
    }
}

/// Why a listener does not accept. More may join.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ListenerPause {
    /// It was [paused](Listener::pause).
    Asked,
    /// As many connections are open [as may be](ListenOptions::max_connections).
    Connections,
    /// As many were accepted lately [as may be](ListenOptions::accept_rate).
    Rate,
    /// The process or the system has no descriptor left, or no memory.
    Starved,
    /// Nothing but errors has come for a while.
    Failing,
}

/// What a listener has done so far ([`Listener::stats`]).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct ListenerStats {
    /// Connections that the callback was called with.
    pub accepted: u64,
    /// Those closed at once because their host had [as many as it may](ListenOptions::max_per_ip).
    pub refused: u64,
    /// Those closed at once because no descriptor was left to serve them with.
    pub shed: u64,
    /// How often accepting has failed, for whatever reason but that nobody waited.
    pub errors: u64,
    /// How often it was found that somebody waits.
    pub wakeups: u64,
    /// Connections accepted in the last of those, by all sockets of the listener.
    pub last_wakeup: u64,
    /// The most in any. As many as [there may be](ListenOptions::accepts_per_wakeup) means that more
    /// connections come than the loop has time for.
    pub most_per_wakeup: u64,
    /// Connections that are open, as far as they are counted.
    pub connections: usize,
    /// Why nothing is accepted now.
    pub paused: Option<ListenerPause>,
}

impl EvLoop {
    /// Listens on an address, or on several: `callback` is called with each connection
    /// (`evconnlistener_new_bind`).
    ///
    /// With the options that are good for most; [`ListenOptions`] has others, and tells what addresses
    /// mean. It keeps the loop running until it is closed or paused.
    ///
    /// # Errors
    ///
    /// Those of [`ListenOptions::listen`].
    pub fn listen(
        &mut self,
        addresses: impl ListenAddresses,
        callback: impl FnMut(&mut Self, Accepted) + 'static,
    ) -> Result<Listener> {
        ListenOptions::new().listen(self, addresses, callback)
    }
}

/// The listeners of this loop, oldest first.
#[must_use]
pub fn listeners(ev: &EvLoop) -> Vec<Listener> {
    let Some(porch) = ev.local_if_made::<Porch>() else { return Vec::new() };
    porch.listeners.borrow().keys().map(|id| Listener(*id)).collect()
}

impl Listener {
    fn open(
        ev: &mut EvLoop,
        options: &ListenOptions,
        bound: Vec<Bound>,
        callback: OnAccept,
    ) -> Result<Self> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let inner = Rc::new(Inner::new(id, options, Counts::new(id, ev.remote()), callback));
        let weak = Rc::downgrade(&inner);
        let server = ev.timer(Duration::ZERO, Duration::ZERO, move |ev, _| {
            if let Some(inner) = weak.upgrade() {
                inner.serve(ev);
            }
        });
        inner.server.set(Some(server.set_ref(ev, false)));
        ev.local::<Porch>().listeners.borrow_mut().insert(id, Rc::clone(&inner));
        inner.watch(ev, bound).inspect_err(|_| {
            Self(id).close(ev);
        })?;
        Ok(Self(id))
    }

    /// Where it listens: with the real port where 0 was asked for. Empty for a stale key.
    ///
    /// Sockets that cannot tell, as adopted ones may, are left out.
    #[must_use]
    pub fn addresses(self, ev: &EvLoop) -> Vec<Address> {
        let Some(inner) = self.find(ev) else { return Vec::new() };
        let sockets = inner.sockets.borrow();
        sockets.iter().filter_map(|socket| socket.bound.address().cloned()).collect()
    }

    /// Listens on further addresses, with the options it was made with.
    ///
    /// # Errors
    ///
    /// Those of [`ListenOptions::listen`], and nothing is added then;
    /// [`ErrorKind::Stale`](crate::ErrorKind::Stale) if it is closed.
    pub fn add(self, ev: &mut EvLoop, addresses: impl ListenAddresses) -> Result<()> {
        let addresses = addresses.addresses()?;
        ev.be_unforked(ADDING)?;
        let inner = self.find(ev).ok_or_else(|| Error::stale(ADDING))?;
        let bound = bind::all(&inner.options, &addresses)?;
        inner.watch(ev, bound)
    }

    /// Accepts from a further socket, which listens already: see [`ListenOptions::adopt`].
    ///
    /// # Errors
    ///
    /// Those of [`ListenOptions::adopt`]; [`ErrorKind::Stale`](crate::ErrorKind::Stale) if it is closed. The socket is closed then.
    pub fn add_fd(self, ev: &mut EvLoop, socket: impl Into<OwnedFd>) -> Result<()> {
        let bound = bind::adopt(socket.into())?;
        let inner = self.find(ev).ok_or_else(|| Error::stale(ADDING))?;
        inner.watch(ev, vec![bound])
    }

    /// Listens on this address no more: closes the socket that [`addresses`](Self::addresses) has it from.
    ///
    /// Returns whether there was one. A listener without sockets stays, to be added to or closed, and does not
    /// keep the loop running.
    pub fn remove(self, ev: &mut EvLoop, address: &Address) -> bool {
        let Some(inner) = self.find(ev) else { return false };
        let is_it = |socket: &Socket| socket.bound.address() == Some(address);
        let position = inner.sockets.borrow().iter().position(is_it);
        let Some(position) = position else { return false };
        let socket = inner.sockets.borrow_mut().remove(position);
        socket.io.free(ev);
        drop(socket);
        descriptor_closed(ev);
        true
    }

    /// Accepts nothing until [`resume`](Self::resume) (`evconnlistener_disable`); connections wait in the
    /// kernel. Meanwhile it does not keep the loop running. Returns whether it exists.
    pub fn pause(self, ev: &mut EvLoop) -> bool {
        self.ask(ev, true)
    }

    /// Accepts again (`evconnlistener_enable`), unless there is [another reason](ListenerPause) not to. Returns
    /// whether it exists.
    pub fn resume(self, ev: &mut EvLoop) -> bool {
        self.ask(ev, false)
    }

    fn ask(self, ev: &mut EvLoop, pause: bool) -> bool {
        let Some(inner) = self.find(ev) else { return false };
        inner.asked.set(pause);
        inner.attend(ev);
        true
    }

    /// Closes its sockets at once, also inside its own callback (`evconnlistener_free`). Connections that were
    /// accepted stay; those that wait are reset. Returns whether it existed.
    pub fn close(self, ev: &mut EvLoop) -> bool {
        let Some((inner, sockets)) = self.dismantle(ev) else { return false };
        drop(sockets);
        descriptor_closed(ev);
        // What the callbacks hold is anybody's: last, and with nothing borrowed.
        drop(inner);
        true
    }

    /// Closes the listener and gives its sockets out, still listening (`MHD_quiesce_daemon`): for another
    /// loop or process to accept from, with no connection lost meanwhile.
    ///
    /// The files of Unix sockets stay. Empty for a stale key.
    ///
    /// ```
    /// # use evloop::{EvLoop, net::ListenOptions};
    /// # let mut ev = EvLoop::new()?;
    /// # let mut other = EvLoop::new()?;
    /// let listener = ev.listen("127.0.0.1:0", |_, _| {})?;
    /// for fd in listener.into_fds(&mut ev) {
    ///     ListenOptions::new().adopt(&mut other, fd, |_, _| {})?;
    /// }
    /// # Ok::<(), evloop::Error>(())
    /// ```
    #[must_use = "dropped, the sockets are closed"]
    pub fn into_fds(self, ev: &mut EvLoop) -> Vec<OwnedFd> {
        let Some((inner, sockets)) = self.dismantle(ev) else { return Vec::new() };
        let fds = sockets.into_iter().filter_map(Rc::into_inner).map(Bound::into_fd).collect();
        drop(inner);
        fds
    }

    /// Takes everything apart but the callbacks, which go with what is returned.
    fn dismantle(self, ev: &mut EvLoop) -> Option<(Dismissed, Vec<Rc<Bound>>)> {
        let inner = ev.local::<Porch>().listeners.borrow_mut().remove(&self.0)?;
        inner.closed.set(true);
        inner.set_rest(None);
        inner.spare.take();
        if let Some(server) = inner.server.take() {
            server.free(ev);
        }
        let sockets = inner.sockets.take();
        let free = |socket: Socket| {
            socket.io.free(ev);
            socket.bound
        };
        let sockets = sockets.into_iter().map(free).collect();
        Some((Dismissed(inner.on_accept.take(), inner.on_error.take()), sockets))
    }

    /// Whether it was not closed, and belongs to this loop.
    #[must_use]
    pub fn exists(self, ev: &EvLoop) -> bool {
        self.find(ev).is_some()
    }

    /// Sets whether it keeps the loop running, which it does unless told otherwise; not while it is
    /// [paused](Self::pause).
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn set_ref(self, ev: &mut EvLoop, keeps_running: bool) -> Self {
        if let Some(inner) = self.find(ev) {
            inner.keeps_running.set(keeps_running);
            inner.attend(ev);
        }
        self
    }

    /// Replaces the callback; a running one is replaced when it returns. Returns whether it exists.
    pub fn set_callback(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, Accepted) + 'static,
    ) -> bool {
        let Some(inner) = self.find(ev) else { return false };
        let _old = inner.on_accept.replace(Some(Box::new(callback)));
        true
    }

    /// Has `callback` called when accepting fails for more than one connection
    /// (`evconnlistener_set_error_cb`). Returns whether it exists.
    ///
    /// There is nothing that must be done then. For want of descriptors and for whatever else may pass, it is
    /// called once per second at most.
    pub fn on_error(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, AcceptError) + 'static,
    ) -> bool {
        let Some(inner) = self.find(ev) else { return false };
        let _old = inner.on_error.replace(Some(Box::new(callback)));
        true
    }

    /// What it has done, and why it does nothing; `None` for a stale key.
    #[must_use]
    pub fn stats(self, ev: &EvLoop) -> Option<ListenerStats> {
        let inner = self.find(ev)?;
        let totals = *inner.totals.borrow();
        let connections = inner.counts.connections();
        Some(ListenerStats { connections, paused: inner.why_not(ev), ..totals })
    }

    fn find(self, ev: &EvLoop) -> Option<Rc<Inner>> {
        ev.local_if_made::<Porch>()?.listeners.borrow().get(&self.0).map(Rc::clone)
    }
}

const ADDING: &str = "adding to a listener";

/// The listeners of a loop.
#[derive(Default)]
struct Porch {
    listeners: RefCell<BTreeMap<u64, Rc<Inner>>>,
}

type OnAccept = Box<dyn FnMut(&mut EvLoop, Accepted)>;
type OnError = Box<dyn FnMut(&mut EvLoop, AcceptError)>;

/// The callbacks of a listener that is closed.
struct Dismissed(#[expect(dead_code)] Option<OnAccept>, #[expect(dead_code)] Option<OnError>);

struct Socket {
    io: Io,
    /// Shared with the watcher, and with nobody else at any time.
    bound: Rc<Bound>,
    /// Somebody waits.
    ready: Cell<bool>,
    /// The loop has stopped watching it.
    broken: Cell<bool>,
}

struct Inner {
    id: u64,
    options: ListenOptions,
    sockets: RefCell<Vec<Socket>>,
    /// `None` when it is closed.
    server: Cell<Option<Timer>>,
    /// Empty while it is being called, as is the other.
    on_accept: RefCell<Option<OnAccept>>,
    on_error: RefCell<Option<OnError>>,
    closed: Cell<bool>,
    /// It was paused by its user.
    asked: Cell<bool>,
    keeps_running: Cell<bool>,
    /// It accepts, or one of the callbacks is running.
    serving: Cell<bool>,
    /// What the sockets' watchers were told last: whether to look, and whether to keep the loop running.
    /// `None` if not all of them were told the same.
    applied: Cell<Option<(bool, bool)>>,
    counts: Arc<Counts>,
    /// How many connections there may be, as far as is known.
    cap: Cell<usize>,
    hosts: Hosts,
    rate: Rate,
    rest: Cell<Option<Rest>>,
    /// How long the next one will be.
    next_rest: Cell<Duration>,
    /// Connections that failed in a row.
    failures: Cell<u32>,
    /// When the error callback was last called for what passes.
    reported: Cell<Option<std::time::Instant>>,
    spare: RefCell<Option<OwnedFd>>,
    totals: RefCell<ListenerStats>,
}

impl Inner {
    fn new(id: u64, options: &ListenOptions, counts: Counts, callback: OnAccept) -> Self {
        let spare = if options.spare_descriptor { accept::spare() } else { None };
        Self {
            id,
            options: options.clone(),
            sockets: RefCell::default(),
            server: Cell::new(None),
            on_accept: RefCell::new(Some(callback)),
            on_error: RefCell::new(None),
            closed: Cell::new(false),
            asked: Cell::new(false),
            keeps_running: Cell::new(true),
            serving: Cell::new(false),
            applied: Cell::new(None),
            counts: Arc::new(counts),
            cap: Cell::new(options.connections_cap()),
            hosts: Hosts::new(options.max_per_ip),
            rate: Rate::new(options.rate, options.burst),
            rest: Cell::new(None),
            next_rest: Cell::new(accept::FIRST_REST),
            failures: Cell::new(0),
            reported: Cell::new(None),
            spare: RefCell::new(spare),
            totals: RefCell::default(),
        }
    }

    /// Accepts from these too; from none of them if one cannot be watched.
    fn watch(self: &Rc<Self>, ev: &mut EvLoop, bound: Vec<Bound>) -> Result<()> {
        let mut sockets = Vec::with_capacity(bound.len());
        for bound in bound {
            let (bound, weak) = (Rc::new(bound), Rc::downgrade(self));
            let io = ev.io(Rc::clone(&bound), Interest::READ, move |ev, e| {
                if let Some(inner) = weak.upgrade() {
                    inner.knock(ev, e.watcher, e.ready);
                }
            });
            match io.start_or_free(ev) {
                Ok(io) => {
                    let (ready, broken) = (Cell::new(false), Cell::new(false));
                    sockets.push(Socket { io, bound, ready, broken });
                }
                Err(e) => {
                    for socket in sockets {
                        socket.io.free(ev);
                    }
                    return Err(e);
                }
            }
        }
        self.sockets.borrow_mut().append(&mut sockets);
        self.applied.set(None);
        self.attend(ev);
        Ok(())
    }

    fn set_rest(&self, rest: Option<Rest>) {
        let is_starved = |rest: Option<Rest>| rest.is_some_and(|rest| rest.starved);
        let before = is_starved(self.rest.replace(rest));
        match (before, is_starved(rest)) {
            (false, true) => STARVING.set(STARVING.get() + 1),
            (true, false) => STARVING.set(STARVING.get() - 1),
            _ => {}
        }
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.set_rest(None);
    }
}

thread_local! {
    /// How many listeners of this thread's loops wait for a descriptor.
    static STARVING: Cell<u32> = const { Cell::new(0) };
}

/// To be called when this loop has closed a descriptor: listeners that had none left try again. Calls
/// nobody.
#[inline]
pub(super) fn descriptor_closed(ev: &mut EvLoop) {
    if STARVING.get() > 0 {
        feed_the_starving(ev);
    }
}

#[cold]
fn feed_the_starving(ev: &mut EvLoop) {
    let starving = |inner: &&Rc<Inner>| inner.rest.get().is_some_and(|rest| rest.starved);
    let porch = ev.local::<Porch>();
    let listeners: Vec<_> = porch.listeners.borrow().values().filter(starving).cloned().collect();
    for inner in listeners {
        inner.set_rest(None);
        inner.attend(ev);
    }
}

/// A connection was given back that the listener may have waited for.
fn look_again(ev: &mut EvLoop, id: u64) {
    if let Some(inner) = Listener(id).find(ev) {
        inner.attend(ev);
    }
}
