//! Datagrams: UDP, and Unix sockets that keep the boundaries of what is sent.

mod event;
mod options;
mod peer;
mod receive;
mod room;
mod send;
mod settings;

pub use event::{DatagramCounters, DatagramEvent, DropPolicy, Packet, Sent};
pub use options::DatagramOptions;
pub use peer::Peer;
pub use settings::Interface;

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::rc::Rc;

use self::room::{Desk, Room};
use crate::net::{Address, Reason, socket};
use crate::{EvLoop, Result};

/// The key of a socket of datagrams: UDP, or a Unix socket (`uv_udp_t`).
///
/// Made by [`EvLoop::datagram`] and [`DatagramOptions`]. A key is a number: copy it freely. What came is
/// told to the socket's handler; sending is a verb.
///
/// ```
/// use evloop::net::DatagramEvent;
/// use evloop::EvLoop;
///
/// let mut ev = EvLoop::new()?;
/// let echo = ev.datagram("127.0.0.1:0", |ev, socket, event| {
///     if let DatagramEvent::Received(packet) = event {
///         let _ = socket.send_to(ev, packet.bytes, packet.peer); // what is not sent is lost, as it may be
///     }
/// })?;
/// let address = echo.local(&ev).expect("it is bound").to_string();
///
/// let client = evloop::net::DatagramOptions::new().connect(&mut ev, address.as_str(), move |ev, socket, event| {
///     if let DatagramEvent::Received(packet) = event {
///         assert_eq!(packet.bytes, b"hello");
///         socket.close(ev);
///         echo.close(ev);
///     }
/// })?;
/// let _ = client.send(&mut ev, b"hello")?;
/// ev.run()?; // until both are closed
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # How it goes
///
/// * **Receiving**: up to 32 datagrams with one system call; each is an event, in order. What else the loop
///   has to do comes after those.
/// * **Sending** is tried at once. What the system does not take now waits in a
///   [queue with a cap](DatagramOptions::queue_packets) and leaves, in order, when it does, many with one
///   system call. An empty datagram is one like others, both ways.
/// * **An open socket keeps the loop running**, also while it is paused, unless [told otherwise](Self::set_ref).
///
/// # Sharp edges
///
/// * **Closed in the middle of a batch** by its handler, the rest of the batch is dropped, and
///   [counted](DatagramCounters::undelivered). Paused there, or if the handler panics, the rest is kept, and
///   delivered when it is resumed, or by the next run.
/// * **While the handler runs the loop nested**, it is told nothing: its own events come when it returns.
/// * **Closed inside its own handler**, its descriptor is closed when the handler returns, and its port is
///   free then.
/// * **An error is not an end**: a connected socket is told that nobody listens there, and may hear from
///   there a second later. One that is not connected is not told at all.
/// * **A Unix socket whose receiver is full** holds up all that waits behind it. If it is not connected, nobody
///   tells when there is room again, so it is tried every 5 ms.
/// * **The sender's address proves nothing** with UDP, and a small question must not cause a large answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Datagram {
    id: u64,
    slot: u32,
}

impl EvLoop {
    /// Opens a socket of datagrams that is bound to an address, with the default
    /// [options](DatagramOptions): `127.0.0.1:5353`, `[::]:5353`, `:5353`, `unix:/run/it.sock`, `unix:@it`.
    ///
    /// # Errors
    ///
    /// Those of [`DatagramOptions::bind`].
    pub fn datagram<A: TryInto<Address>>(
        &mut self,
        address: A,
        handler: impl FnMut(&mut Self, Datagram, DatagramEvent<'_>) + 'static,
    ) -> Result<Datagram>
    where
        A::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        DatagramOptions::new().bind(self, address, handler)
    }
}

impl Datagram {
    /// Sends to whom the socket is connected to. Never waits, and calls nobody.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) if it is connected to nobody, and for more
    /// than fits into one datagram (`EMSGSIZE`); [`ErrorKind::Io`](crate::ErrorKind::Io) if the system refuses
    /// this one; what it says about an earlier one comes as an [event](DatagramEvent::Error).
    /// [`ErrorKind::Closed`](crate::ErrorKind::Closed), [`ErrorKind::Stale`](crate::ErrorKind::Stale).
    pub fn send(self, ev: &mut EvLoop, bytes: &[u8]) -> Result<Sent> {
        send::send(ev, self, None, bytes, &[])
    }

    /// Sends to somebody: a [`Peer`], or a `SocketAddr`.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send); [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) also for an
    /// address of another family than the socket's, and for a peer that has none.
    pub fn send_to(self, ev: &mut EvLoop, bytes: &[u8], to: impl Into<Peer>) -> Result<Sent> {
        send::send(ev, self, Some(to.into()), bytes, &[])
    }

    /// Sends bytes with descriptors (`SCM_RIGHTS`), 253 at most, over a connected Unix socket. Those given stay
    /// open; if it has to wait, duplicates do.
    ///
    /// # Errors
    ///
    /// As for [`send`](Self::send); [`ErrorKind::InvalidInput`](crate::ErrorKind::InvalidInput) also if it is not
    /// a Unix socket, and for too many.
    pub fn send_fds(self, ev: &mut EvLoop, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<Sent> {
        send::send(ev, self, None, bytes, fds)
    }

    /// The same, to somebody.
    ///
    /// # Errors
    ///
    /// Those of [`send_fds`](Self::send_fds) and [`send_to`](Self::send_to).
    pub fn send_fds_to(
        self,
        ev: &mut EvLoop,
        bytes: &[u8],
        fds: &[BorrowedFd<'_>],
        to: impl Into<Peer>,
    ) -> Result<Sent> {
        send::send(ev, self, Some(to.into()), bytes, fds)
    }

    /// Closes it, with all that waits to be sent or delivered. Its handler is told, later in this iteration.
    ///
    /// Returns whether it was open.
    pub fn close(self, ev: &mut EvLoop) -> bool {
        let room = ev.local::<Desk>().find(self);
        room.is_some_and(|room| room.close(ev, Reason::Local))
    }

    /// Closes it and hands its descriptor out, bound and connected as it is; a path is left where it is. The
    /// handler is told [`Reason::HandedOff`]. What waits to be sent is lost.
    ///
    /// `None`, and no change, if it is not open, or if there is no free descriptor.
    #[must_use = "the socket is closed if it is not kept"]
    pub fn into_fd(self, ev: &mut EvLoop) -> Option<OwnedFd> {
        let room = ev.local::<Desk>().find(self)?;
        room::take_fd(ev, &room)
    }

    /// Receives nothing until it is resumed: what comes waits in the system, and is lost when its buffer is
    /// full. It sends as before. A stale key changes nothing.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn pause(self, ev: &mut EvLoop) -> Self {
        if let Some(room) = ev.local::<Desk>().find(self) {
            room.is_paused.set(true);
            room.attend(ev);
        }
        self
    }

    /// Receives again.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn resume(self, ev: &mut EvLoop) -> Self {
        if let Some(room) = ev.local::<Desk>().find(self) {
            room.is_paused.set(false);
            if !room.kept.borrow().is_empty() {
                room.nudge(ev);
            }
            room.attend(ev);
        }
        self
    }

    fn room(self, ev: &EvLoop) -> Option<Rc<Room>> {
        ev.local_if_made::<Desk>()?.find(self)
    }

    /// Whether it was paused.
    #[must_use]
    pub fn is_paused(self, ev: &EvLoop) -> bool {
        self.room(ev).is_some_and(|room| room.is_paused.get())
    }

    /// Whether it is open: not closed, and of this loop.
    #[must_use]
    pub fn exists(self, ev: &EvLoop) -> bool {
        self.room(ev).is_some_and(|room| room.is_open())
    }

    /// Sets whether it keeps the loop running while it is open, which it does unless told otherwise
    /// (`uv_unref`). A stale key changes nothing.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn set_ref(self, ev: &mut EvLoop, keeps_running: bool) -> Self {
        if let Some(room) = ev.local::<Desk>().find(self) {
            room.set_ref(ev, keeps_running);
        }
        self
    }

    /// Where it is bound; `None` if it has no name, or is not open.
    #[must_use]
    pub fn local(self, ev: &EvLoop) -> Option<Address> {
        socket::local_address(self.room(ev)?.fd()?)
    }

    /// Whom it is connected to; `None` if to nobody, or to one without a name, or if it is not open.
    #[must_use]
    pub fn peer(self, ev: &EvLoop) -> Option<Address> {
        socket::peer_address(self.room(ev)?.fd()?)
    }

    /// The descriptor's number, for logs and for options that are not offered here; `None` if it is not open.
    #[must_use]
    pub fn fd(self, ev: &EvLoop) -> Option<RawFd> {
        self.room(ev)?.fd().map(|fd| fd.as_raw_fd())
    }

    /// How many datagrams, and how many bytes, wait to be sent.
    #[must_use]
    pub fn queued(self, ev: &EvLoop) -> (usize, usize) {
        let room = self.room(ev);
        room.map_or((0, 0), |room| room.queue.borrow().size())
    }

    /// What it has counted; also while it is told that it is closed. `None` for a stale key.
    #[must_use]
    pub fn counters(self, ev: &EvLoop) -> Option<DatagramCounters> {
        self.room(ev).map(|room| room.counters.get())
    }
}
