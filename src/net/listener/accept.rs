//! Accepting: as many as may be in one go, and what to do when it fails.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::os::fd::{IntoRawFd, OwnedFd};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{self as sys, AddressFamily, SocketAddrAny, SocketType};

use super::bind::{Bound, FLAGS};
use super::{AcceptError, Accepted, Inner, Listener, ListenerPause, Permit, Socket};
use crate::net::{Place, socket};
use crate::{Error, ErrorKind, EvLoop, Events, Interest, Io};

const ACCEPTING: &str = "accepting connections";

/// How long to rest when there was nothing to accept with, at first and at most.
pub(super) const FIRST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Between two calls of the error callback for what passes by itself.
const BETWEEN_REPORTS: Duration = Duration::from_secs(1);

/// How many of those that wait are closed at a time, when nothing is left to serve them with.
const MOST_SHED: u32 = 64;

/// So many connections that fail in a row, with none that does not, are no fault of theirs.
const MOST_FAILURES: u32 = 64;

/// What an error of `accept` means.
enum Fault {
    /// Nobody waits.
    Empty,
    /// This one connection is none, or the call was interrupted.
    ThisOne,
    /// There is no descriptor, or no memory.
    Starved,
    /// It does not listen, or is not ours any more.
    Dead,
}

impl Fault {
    fn of(errno: Errno) -> Self {
        match errno {
            Errno::AGAIN => Self::Empty,
            Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM => Self::Starved,
            Errno::BADF | Errno::INVAL | Errno::NOTSOCK => Self::Dead,
            // EINTR, ECONNABORTED, EPROTO, EPERM, and whatever else of the network waits at the
            // connection: accept(2) says to go on as after EAGAIN.
            _ => Self::ThisOne,
        }
    }
}

/// The listener rests because of an error.
#[derive(Clone, Copy)]
pub(super) struct Rest {
    pub(super) until: std::time::Instant,
    /// For want of descriptors or memory.
    pub(super) starved: bool,
}

/// A callback, lent out for a call: it comes back also if it panics, and not if it was replaced or is not
/// wanted any more.
struct Lent<'a, F> {
    place: &'a RefCell<Option<F>>,
    closed: &'a Cell<bool>,
    callback: Option<F>,
}

impl<'a, F> Lent<'a, F> {
    fn from(place: &'a RefCell<Option<F>>, closed: &'a Cell<bool>) -> Self {
        Self { place, closed, callback: place.take() }
    }
}

impl<F> Drop for Lent<'_, F> {
    fn drop(&mut self) {
        if !self.closed.get() {
            let mut place = self.place.borrow_mut();
            if place.is_none() {
                *place = self.callback.take();
            }
        }
    }
}

impl Inner {
    /// One of the sockets is ready. This is inside its watcher, which holds the socket: nothing is called
    /// from here, so that whoever closes the listener in a callback closes the socket.
    pub(super) fn knock(&self, ev: &mut EvLoop, io: Io, ready: Events) {
        let broken = ready.contains(Events::ERROR);
        if self.serving.get() && !broken {
            // A loop run inside a callback of ours: it would not sleep.
            let _ = io.set_interest(ev, Interest::NONE);
            self.applied.set(None);
            return;
        }
        if broken {
            self.mark(io, |socket| &socket.broken);
        } else {
            self.mark(io, |socket| &socket.ready);
        }
        if let Some(server) = self.server.get() {
            server.feed(ev, Events::READ);
        }
    }

    /// Accepts from the sockets that are ready, and looks what comes next. Inside the server's watcher.
    pub(super) fn serve(&self, ev: &mut EvLoop) {
        // Who finds our watcher may invoke it from anywhere.
        if self.serving.replace(true) {
            return;
        }
        let outcome = catch_unwind(AssertUnwindSafe(|| self.serve_ready(ev)));
        self.serving.set(false);
        self.attend(ev);
        if let Err(panic) = outcome {
            resume_unwind(panic);
        }
    }

    fn serve_ready(&self, ev: &mut EvLoop) {
        if self.rest.get().is_some_and(|rest| rest.until <= ev.now()) {
            self.set_rest(None);
        }
        if self.rest.get().is_none() {
            self.mend(ev);
        }
        let ready = self.sockets.borrow().iter().filter(|socket| socket.ready.get()).count();
        if ready == 0 {
            return;
        }
        if self.options.spare_descriptor && self.spare.borrow().is_none() {
            *self.spare.borrow_mut() = spare();
        }
        // The more of them, the less for each, but something for each.
        let share =
            (self.options.accepts_per_wakeup / u32::try_from(ready).unwrap_or(u32::MAX)).max(1);
        let before = self.totals.borrow().accepted;
        self.totals.borrow_mut().wakeups += 1;
        while let Some(io) = self.next_ready() {
            self.accept_from(ev, io, share);
            let mut totals = self.totals.borrow_mut();
            let now = totals.accepted - before;
            totals.last_wakeup = now;
            totals.most_per_wakeup = totals.most_per_wakeup.max(now);
        }
    }

    /// Has sockets watched again that the loop had to stop watching: because they were closed under us,
    /// or because the system refused, which may pass.
    fn mend(&self, ev: &mut EvLoop) {
        let broken = |socket: &&Socket| socket.broken.replace(false);
        loop {
            let io = self.sockets.borrow().iter().find(broken).map(|socket| socket.io);
            let Some(io) = io else { return };
            // Asked at once, so that the answer comes here.
            let _ = io.set_interest(ev, Interest::READ);
            self.applied.set(None);
            let Err(error) = io.start(ev) else {
                // What it is, accepting will tell.
                self.mark(io, |socket| &socket.ready);
                continue;
            };
            let errno = error.raw_os_error().map_or(Errno::NOMEM, Errno::from_raw_os_error);
            self.totals.borrow_mut().errors += 1;
            if errno == Errno::BADF {
                self.give_up(ev, io, errno);
            } else {
                self.mark(io, |socket| &socket.broken);
                return self.take_rest(ev, io, errno, false);
            }
            if self.closed.get() {
                return;
            }
        }
    }

    fn mark(&self, io: Io, flag: impl Fn(&Socket) -> &Cell<bool>) {
        if let Some(socket) = self.sockets.borrow().iter().find(|socket| socket.io == io) {
            flag(socket).set(true);
        }
    }

    /// The next socket that is ready, which then is not.
    fn next_ready(&self) -> Option<Io> {
        let sockets = self.sockets.borrow();
        let socket = sockets.iter().find(|socket| socket.ready.replace(false))?;
        Some(socket.io)
    }

    fn accept_from(&self, ev: &mut EvLoop, io: Io, most: u32) {
        for _ in 0..most {
            // Each time, as the callback may have changed anything.
            if self.closed.get() || self.why_not(ev).is_some() {
                return;
            }
            match self.accept(io) {
                None => return,
                Some(Ok((socket, peer))) => {
                    self.failures.set(0);
                    self.next_rest.set(FIRST_REST);
                    self.welcome(ev, socket, peer);
                }
                Some(Err(errno)) => match Fault::of(errno) {
                    Fault::Empty => {
                        self.failures.set(0);
                        return;
                    }
                    Fault::ThisOne => {
                        self.totals.borrow_mut().errors += 1;
                        self.failures.set(self.failures.get() + 1);
                        if self.failures.get() >= MOST_FAILURES {
                            self.failures.set(0);
                            return self.take_rest(ev, io, errno, false);
                        }
                    }
                    Fault::Starved => {
                        self.totals.borrow_mut().errors += 1;
                        self.shed(io);
                        return self.take_rest(ev, io, errno, true);
                    }
                    Fault::Dead => {
                        self.totals.borrow_mut().errors += 1;
                        return self.give_up(ev, io, errno);
                    }
                },
            }
        }
    }

    /// `None` if there is no such socket any more. Nothing of it is held when this returns.
    fn accept(&self, io: Io) -> Option<Result<(OwnedFd, Option<SocketAddrAny>), Errno>> {
        let sockets = self.sockets.borrow();
        let socket = sockets.iter().find(|socket| socket.io == io)?;
        Some(socket.bound.accept())
    }

    /// Has the callback decide about a connection.
    fn welcome(&self, ev: &mut EvLoop, socket: OwnedFd, peer: Option<SocketAddrAny>) {
        self.rate.spend(ev.now());
        let peer = peer.as_ref().and_then(socket::address_of);
        let ip: Option<IpAddr> = match peer.as_ref().map(|peer| peer.place()) {
            Some(Place::Socket(socket)) => Some(socket.ip()),
            _ => None,
        };
        let Ok(host) = self.hosts.admit(ip) else {
            self.totals.borrow_mut().refused += 1;
            return;
        };
        self.totals.borrow_mut().accepted += 1;
        let permit = Permit::new(&self.counts, host);
        let accepted = Accepted::new(socket, permit, peer, Listener(self.id));
        let mut lent = Lent::from(&self.on_accept, &self.closed);
        if let Some(callback) = &mut lent.callback {
            callback(ev, accepted);
        }
    }

    /// Gives the spare descriptor up to accept and close those who wait, and takes one again.
    fn shed(&self, io: Io) {
        let Some(spare_one) = self.spare.take() else { return };
        drop(spare_one);
        for _ in 0..MOST_SHED {
            match self.accept(io) {
                Some(Ok(_refused)) => self.totals.borrow_mut().shed += 1,
                Some(Err(Errno::INTR | Errno::CONNABORTED)) => {}
                _ => break,
            }
        }
        *self.spare.borrow_mut() = spare();
    }

    /// Accepts nothing for a while.
    fn take_rest(&self, ev: &mut EvLoop, io: Io, errno: Errno, starved: bool) {
        let length = self.next_rest.get();
        self.next_rest.set((length * 2).min(LONGEST_REST));
        let now = ev.now();
        self.set_rest(Some(Rest { until: now + length, starved }));
        let reported = self.reported.get();
        if reported.is_none_or(|before| now.saturating_duration_since(before) >= BETWEEN_REPORTS) {
            self.reported.set(Some(now));
            let address = self.address_of(io);
            self.report(ev, AcceptError::new(self.id, address, error(errno), false));
        }
    }

    /// A socket that will never give anything again.
    fn give_up(&self, ev: &mut EvLoop, io: Io, errno: Errno) {
        let address = self.address_of(io);
        let position = self.sockets.borrow().iter().position(|socket| socket.io == io);
        let Some(position) = position else { return };
        let socket = self.sockets.borrow_mut().remove(position);
        socket.io.free(ev);
        if matches!(errno, Errno::BADF | Errno::NOTSOCK) {
            // Somebody has closed it under us, and the number may be somebody else's: not to be closed.
            if let Some(bound) = std::rc::Rc::into_inner(socket.bound) {
                let _ = Bound::into_fd(bound).into_raw_fd();
            }
        }
        self.report(ev, AcceptError::new(self.id, address, error(errno), true));
    }

    fn address_of(&self, io: Io) -> Option<crate::net::Address> {
        let sockets = self.sockets.borrow();
        sockets.iter().find(|socket| socket.io == io)?.bound.address().cloned()
    }

    fn report(&self, ev: &mut EvLoop, error: AcceptError) {
        let mut lent = Lent::from(&self.on_error, &self.closed);
        if let Some(callback) = &mut lent.callback {
            callback(ev, error);
        }
    }

    /// Why nothing is accepted at this moment.
    pub(super) fn why_not(&self, ev: &EvLoop) -> Option<ListenerPause> {
        if self.asked.get() {
            return Some(ListenerPause::Asked);
        }
        if let Some(rest) = self.rest.get() {
            let reason = if rest.starved { ListenerPause::Starved } else { ListenerPause::Failing };
            return Some(reason);
        }
        if self.is_full() {
            return Some(ListenerPause::Connections);
        }
        self.rate.not_before(ev.now()).map(|_| ListenerPause::Rate)
    }

    fn is_full(&self) -> bool {
        if self.counts.connections() < self.cap.get() {
            return false;
        }
        // The process's limit may have been raised.
        self.cap.set(self.options.connections_cap());
        self.counts.connections() >= self.cap.get()
    }

    /// Has the watchers do what is to be done now.
    pub(super) fn attend(&self, ev: &mut EvLoop) {
        if self.closed.get() {
            return;
        }
        let Some(server) = self.server.get() else { return };
        // Who gives a connection back after this is set looks again.
        self.counts.hold(true);
        let pause = self.why_not(ev);
        if pause != Some(ListenerPause::Connections) {
            self.counts.hold(false);
        }
        let until = match pause {
            Some(ListenerPause::Starved | ListenerPause::Failing) => {
                self.rest.get().map(|rest| rest.until)
            }
            Some(ListenerPause::Rate) => self.rate.not_before(ev.now()),
            _ => None,
        };
        match until {
            Some(until) => {
                // A socket that is not watched keeps nothing running.
                let broken = self.sockets.borrow().iter().any(|socket| socket.broken.get());
                server.set_ref(ev, broken && self.keeps_running.get());
                server.restart(ev, until.saturating_duration_since(ev.now()));
            }
            None if server.is_active(ev) => {
                server.stop(ev);
            }
            None => {}
        }
        // A listener that rests by itself keeps the loop running all the same: it will go on.
        let wanted = (pause.is_none(), self.keeps_running.get() && !self.asked.get());
        if self.applied.get() != Some(wanted) {
            self.applied.set(Some(wanted));
            for socket in self.sockets.borrow().iter() {
                apply(ev, socket.io, wanted);
            }
        }
    }
}

/// Tells a socket's watcher whether to look and whether to keep the loop running.
pub(super) fn apply(ev: &mut EvLoop, io: Io, (open, keeps): (bool, bool)) {
    let interest = if open { Interest::READ } else { Interest::NONE };
    let _ = io.set_interest(ev, interest);
    io.set_ref(ev, keeps);
}

/// Something that takes what an accepted socket takes: a descriptor, and a socket in the kernel.
pub(super) fn spare() -> Option<OwnedFd> {
    sys::socket_with(AddressFamily::UNIX, SocketType::STREAM, FLAGS, None).ok()
}

fn error(errno: Errno) -> Error {
    Error::os(ErrorKind::Listen, ACCEPTING, io::Error::from(errno))
}
