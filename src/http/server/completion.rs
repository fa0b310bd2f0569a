//! How requests end.

use std::fmt;
use std::mem::size_of;
use std::net::IpAddr;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::Connection;
use crate::net::Address;
use crate::wire::{Fault, Method, Status, Version};

/// Why a request is over (libmicrohttpd's `MHD_RequestTerminationCode`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum CompletionReason {
    /// The whole reply was handed to the system.
    Ok,
    /// The client has ended the connection before that.
    ClientAborted,
    /// Reading from the client has failed.
    ReadError,
    /// Writing to it has failed.
    WriteError,
    /// One of the time-outs.
    Timeout,
    /// What came was not HTTP, or more than is accepted.
    ProtocolError,
    /// The server was stopped.
    ServerShutdown,
    /// The handler has failed, or has ended its reply before it was complete.
    HandlerError,
    /// The connection was taken over for something else.
    Upgraded,
}

impl CompletionReason {
    /// All of them, in the order in which they are counted.
    pub const ALL: [Self; 9] = [
        Self::Ok,
        Self::ClientAborted,
        Self::ReadError,
        Self::WriteError,
        Self::Timeout,
        Self::ProtocolError,
        Self::ServerShutdown,
        Self::HandlerError,
        Self::Upgraded,
    ];

    /// A name for logs: `client-aborted`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::ClientAborted => "client-aborted",
            Self::ReadError => "read-error",
            Self::WriteError => "write-error",
            Self::Timeout => "timeout",
            Self::ProtocolError => "protocol-error",
            Self::ServerShutdown => "server-shutdown",
            Self::HandlerError => "handler-error",
            Self::Upgraded => "upgraded",
        }
    }
}

impl fmt::Display for CompletionReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a request has asked for, for those who are told of it later.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct Summary {
    /// The connection it came on.
    pub connection: Connection,
    /// Its method.
    pub method: Method,
    /// Its target, as it came.
    pub target: String,
    /// Its version.
    pub version: Version,
    /// Who it is from, by name, where somebody has [said](super::Request::set_user) so.
    pub user: Option<Box<str>>,
    /// Its [id](super::Request::id), where it has one.
    pub id: Option<Box<str>>,
    /// More about it, where somebody has asked for that: [`Routes::with_details`](super::Routes::with_details).
    pub details: Option<Box<RequestDetails>>,
}

impl Summary {
    /// About how much memory it takes, in bytes.
    pub(super) fn memory(&self) -> usize {
        let notes = [&self.user, &self.id].into_iter().flatten().map(|text| text.len());
        let details = self.details.as_deref().map_or(0, RequestDetails::memory);
        size_of::<Self>() + self.target.capacity() + notes.sum::<usize>() + details
    }
}

/// What logs tell of a request. What clients say is what they like to say.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
#[non_exhaustive]
pub struct RequestDetails {
    /// Who has sent it, or the proxy before that.
    pub peer: Option<Address>,
    /// Where the client is: as far as proxies that are trusted tell it. `None` on Unix sockets.
    pub client: Option<IpAddr>,
    /// The host that was asked for, with its port.
    pub host: Option<Box<str>>,
    /// `Referer`.
    pub referer: Option<Box<[u8]>>,
    /// `User-Agent`.
    pub user_agent: Option<Box<[u8]>>,
}

impl RequestDetails {
    fn memory(&self) -> usize {
        let host = self.host.as_ref().map_or(0, |host| host.len());
        let fields =
            [&self.referer, &self.user_agent].into_iter().flatten().map(|field| field.len());
        size_of::<Self>() + host + fields.sum::<usize>()
    }
}

/// How a request has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Completed {
    /// What it has asked for.
    pub request: Rc<Summary>,
    /// Why it is over.
    pub reason: CompletionReason,
    /// The status of the reply; `None` if there was none.
    pub status: Option<Status>,
    /// Bytes of the request, head and body.
    pub bytes_in: u64,
    /// Bytes of the reply, head and body, that were given to the connection.
    pub bytes_out: u64,
    /// Those of them that are its body, with the framing of chunks left out.
    pub body_out: u64,
    /// When the head was complete.
    pub started: Option<Instant>,
    /// How long it took from there.
    pub duration: Duration,
}

/// What was refused before it was a request: a head that is none, or too large, or does not come to its end in time; a
/// connection that is one too many. And what has never become one: a head in whose middle the connection has ended.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Refused {
    /// The connection it came on.
    pub connection: Connection,
    /// Who has sent it, or the proxy before that.
    pub peer: Option<Address>,
    /// What was asked for, if that much could be read.
    pub request: Option<Summary>,
    /// What was answered; `None` where nobody was left to be answered.
    pub status: Option<Status>,
    /// What is wrong with it, if that is what it was refused for.
    pub fault: Option<Fault>,
    /// The same in a word: [`Timeout`](CompletionReason::Timeout) or [`ProtocolError`](CompletionReason::ProtocolError).
    /// Of a connection that has ended, why it has: mostly [`ClientAborted`](CompletionReason::ClientAborted).
    pub reason: CompletionReason,
    /// Bytes of it that had come by then, and whatever had come behind it.
    pub bytes_in: u64,
    /// Bytes of the reply, head and body.
    pub bytes_out: u64,
    /// Those of them that are its body.
    pub body_out: u64,
}

/// How a client has left while its request was being handled.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Disconnected {
    /// It has ended its sending side, and may wait for the reply: with
    /// [`HalfClose::Allow`](super::HalfClose::Allow) this is advice, and the reply is sent.
    HalfClosed,
    /// The connection is gone.
    Gone,
}
