//! What a datagram socket tells its owner, and what it counts.

use std::os::fd::OwnedFd;

use super::Peer;
use crate::Error;
use crate::net::Reason;

/// What happened to a [`Datagram`](super::Datagram) socket. More may join.
#[derive(Debug)]
#[non_exhaustive]
pub enum DatagramEvent<'a> {
    /// A datagram has come.
    Received(Packet<'a>),
    /// What had to wait has left, or was given up: sending goes straight to the system again.
    Drained,
    /// Something went wrong that does not end the socket: an earlier datagram was refused
    /// (`ECONNREFUSED` of a connected socket, `EHOSTUNREACH` …), one that waited could not be sent, or what
    /// waited was given up ([`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut)).
    ///
    /// At most 16 wait to be told; more are only [counted](DatagramCounters::errors).
    Error(Error),
    /// It is over: no other event follows, and the key is stale once the handler returns.
    Closed(Reason),
}

/// One datagram. Its bytes are borrowed: copy what is to be kept.
#[derive(Debug)]
#[non_exhaustive]
pub struct Packet<'a> {
    /// What is in it; nothing, if it was sent empty, which is not an end of anything.
    pub bytes: &'a [u8],
    /// Who has sent it.
    pub peer: Peer,
    /// How long it was when it was sent.
    pub length: usize,
    /// Whether it was longer than [`max_packet`](super::DatagramOptions::max_packet): the rest is lost.
    pub truncated: bool,
    /// The descriptors that came with it, close-on-exec; ours to keep. As many as
    /// [allowed](super::DatagramOptions::accept_fds), which is none if nothing was said.
    pub fds: Vec<OwnedFd>,
    /// Whether descriptors came that were closed at once, all of them: more than allowed, or more than this
    /// process may have open. Of an adopted socket that was set to bring other control messages, those count too.
    pub fds_lost: bool,
}

/// What became of a datagram that was given to be sent.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[must_use = "a datagram may have been dropped; ignore it with `let _ =`"]
pub enum Sent {
    /// The system has it.
    Now,
    /// It waits until the system takes it.
    Queued,
    /// As much waits as may. It is gone, and [counted](DatagramCounters::dropped).
    Dropped,
}

/// Which one has to go when as many wait to be sent as may.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum DropPolicy {
    /// The one that comes: what waits is kept in order, and the sender is told.
    #[default]
    Newest,
    /// Those that wait for longest, as many as must: for what is worth less the older it is.
    Oldest,
}

/// What a socket has counted since it was opened; from [`counters`](super::Datagram::counters).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct DatagramCounters {
    /// Datagrams received.
    pub packets_in: u64,
    /// Their bytes, as they were sent.
    pub bytes_in: u64,
    /// Those of them that were longer than there was room for.
    pub truncated: u64,
    /// Those of them that were not delivered, since the socket was closed first.
    pub undelivered: u64,
    /// How often datagrams were received, up to 32 at a time.
    pub batches_in: u64,
    /// Datagrams that the system has taken.
    pub packets_out: u64,
    /// Their bytes.
    pub bytes_out: u64,
    /// How often datagrams left that had waited, up to 32 at a time.
    pub batches_out: u64,
    /// Datagrams given up: too much waited, or for too long, or the socket was closed.
    pub dropped: u64,
    /// Datagrams that the system refused after they had waited.
    pub refused: u64,
    /// What was told as [`DatagramEvent::Error`], or could not be told since too many waited.
    pub errors: u64,
}
