//! What a stream tells its owner.

use std::fmt;

use crate::Error;
use crate::net::Message;

/// What happened to a [`Stream`](crate::net::Stream). More may join.
///
/// A connection that was made from here: `Opened`, `Resolved` if there was a name to resolve, `Connected`,
/// `Handshaked` if there is something to agree on; one that was accepted has `Accepted` in place of
/// the second and third. Then come `Received`, `Sent`, `Drained`, `Timer`, `Timeout` and `Wakeup` as things
/// happen, `Eof` at most once, `Error` at most once, and `Closed` exactly once, as the last.
#[derive(Debug)]
#[non_exhaustive]
pub enum StreamEvent {
    /// It exists: the first event of each.
    Opened,
    /// The name has addresses, which are tried now.
    Resolved,
    /// The connection is there; what was written meanwhile is on its way.
    Connected,
    /// The connection came from a listener.
    Accepted,
    /// The filters have agreed with the peer on how to begin: with TLS, both know whom they talk to.
    Handshaked,
    /// So many bytes have come, and as much as the read low mark asks for is in
    /// [`input`](crate::net::Stream::input). 0 when [triggered](crate::net::Stream::trigger_received) by hand, or when
    /// only an older rest is left at the end.
    Received(usize),
    /// The system has taken so many bytes of the output. With filters, bytes as they were sent.
    Sent(usize),
    /// The output has fallen to the write low mark, or below: there is room for more.
    Drained,
    /// The stream's own [timer](crate::net::Stream::set_timer).
    Timer,
    /// In this direction nothing moved for as long as it may. The direction is disabled; nothing else is
    /// changed.
    Timeout(Direction),
    /// The peer sends no more. Everything it has sent was received before.
    Eof {
        /// `false` if the end may be forged: TLS did not say that it was one.
        clean: bool,
    },
    /// Why the stream cannot go on. `Closed` follows.
    Error {
        /// What went wrong.
        error: Error,
        /// On the way in or out, where it can be told.
        direction: Option<Direction>,
    },
    /// Somebody [posted](crate::net::StreamRemote::post) this.
    Wakeup(Message),
    /// It is over: no other event follows, and the key is stale once the handler returns.
    Closed(Reason),
}

/// One of the two ways.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// From the peer.
    Read,
    /// To the peer.
    Write,
}

/// Why a stream was closed. More may join.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Reason {
    /// By [`close_now`](crate::net::Stream::close_now) or [`reset`](crate::net::Stream::reset).
    Local,
    /// By [`close_after_flush`](crate::net::Stream::close_after_flush) or
    /// [`close_lingering`](crate::net::Stream::close_lingering), and all output was handed to the system.
    Flushed,
    /// The peer ended its side, and the stream [closes then](crate::net::Stream::set_close_on_eof).
    PeerEof,
    /// The peer ended it the hard way.
    Reset,
    /// Something took longer than it may.
    Timeout(Phase),
    /// A limit was reached.
    Limit(LimitKind),
    /// TLS could not be agreed on, or its rules were broken.
    Tls,
    /// Nobody listens there.
    Refused,
    /// Something else failed, which the event `Error` tells: a name, an unreachable address, a filter, a
    /// file.
    Failed,
    /// Its descriptor was [taken out](crate::net::Stream::into_parts).
    HandedOff,
    /// The loop was dropped.
    LoopGone,
}

/// What was waited for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Phase {
    /// An answer about a name.
    Resolve,
    /// The connection.
    Connect,
    /// What the filters have to agree on.
    Handshake,
    /// The output of a stream that closes when it is flushed.
    Flush,
    /// The [deadline](crate::net::Stream::set_deadline) of the whole.
    Deadline,
}

/// Which limit was reached. More may join.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum LimitKind {
    /// What the filters were given and have not taken: more than 1 MiB.
    Filter,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Local => "closed here",
            Self::Flushed => "closed here, after everything was sent",
            Self::PeerEof => "the peer ended it",
            Self::Reset => "reset by the peer",
            Self::Timeout(Phase::Resolve) => "no answer about the name in time",
            Self::Timeout(Phase::Connect) => "not connected in time",
            Self::Timeout(Phase::Handshake) => "no agreement with the peer in time",
            Self::Timeout(Phase::Flush) => "the output did not leave in time",
            Self::Timeout(Phase::Deadline) => "its deadline has passed",
            Self::Limit(LimitKind::Filter) => "its filters take too little of what comes",
            Self::Tls => "TLS failed",
            Self::Refused => "refused",
            Self::Failed => "failed",
            Self::HandedOff => "handed off",
            Self::LoopGone => "the loop ended",
        })
    }
}
