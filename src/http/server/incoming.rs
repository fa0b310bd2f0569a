//! Bodies of requests, as they come.

use std::fmt;

use super::connection::{self, At};
use super::exchange::flag;
use super::service::Service;
use super::{CompletionReason, Server, times};
use crate::EvLoop;
use crate::net::Buffer;
use crate::wire::{Fault, Fields};

/// The key of a body that comes piece by piece: see [`Request::receive`](super::Request::receive).
///
/// Verbs on one that is over do nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RequestBody {
    pub(super) server: Server,
    pub(super) at: At,
    pub(super) serial: u32,
}

/// What becomes of a body.
#[derive(Debug)]
#[non_exhaustive]
pub enum BodyEvent<'a> {
    /// This has come and was not taken yet. Take what there is a use for; what is left is there the next time,
    /// with more behind it. While [64 KiB](super::ServerOptions::read_ahead) are left nothing is read from the client, and where no more comes, at the end or
    /// then, the rest is offered again after [`resume`](RequestBody::resume). If the reply has been sent by then, it is
    /// [over](Self::Failed) instead: who wants the rest even so says [`pause`](RequestBody::pause).
    Data(&'a mut Buffer),
    /// That was all, and these were the fields behind it, which most bodies have none of.
    End(&'a Fields),
    /// There is no more, although there should be: this is why. The last event.
    Failed(BodyError),
}

/// Why a body is not complete.
///
/// ```
/// use evloop::http::{BodyError, CompletionReason};
///
/// let error = BodyError::Over(CompletionReason::ClientAborted);
/// assert_eq!(error.to_string(), "the body is not complete: client-aborted");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum BodyError {
    /// It is larger than it [may be](RequestBody::set_limit), or framed as nothing can be. The client was answered.
    Fault(Fault),
    /// The request is over, for this reason.
    Over(CompletionReason),
}

impl fmt::Display for BodyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fault(_) => f.write_str("the body cannot be read"),
            Self::Over(reason) => write!(f, "the body is not complete: {reason}"),
        }
    }
}

impl std::error::Error for BodyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Fault(fault) => Some(fault),
            Self::Over(_) => None,
        }
    }
}

pub(super) type Receiver = Box<dyn FnMut(&mut EvLoop, RequestBody, BodyEvent<'_>)>;

/// Who takes a body.
pub(super) struct Incoming {
    /// `None` while it is called.
    pub(super) receiver: Option<Receiver>,
}

impl Incoming {
    pub(super) fn new(
        receiver: impl FnMut(&mut EvLoop, RequestBody, BodyEvent<'_>) + 'static,
    ) -> Self {
        Self { receiver: Some(Box::new(receiver)) }
    }
}

impl RequestBody {
    /// Wants nothing more for now, nor to be told of the end: the client is held up when the system's buffers are full. The
    /// body's time-outs do not run meanwhile, only that of the [handler](super::ServerOptions::handler_timeout), and the
    /// connection waits, also where the reply has been sent. Returns whether the body still comes, as all of these do.
    pub fn pause(self, ev: &mut EvLoop) -> bool {
        let found = self.change(ev, |exchange| {
            exchange.set(flag::PAUSED);
            exchange.clear(flag::PARKED);
        });
        if found {
            if let Some(service) = Service::find(ev, self.server) {
                times::stop_body(ev, &service, self.at);
                times::time_handler(ev, &service, self.at);
            }
        }
        found
    }

    /// Wants more again: what was left is there at once.
    pub fn resume(self, ev: &mut EvLoop) -> bool {
        let found = self.change(ev, |exchange| exchange.clear(flag::PAUSED | flag::PARKED));
        if found {
            self.touch(ev);
        }
        found
    }

    /// Wants nothing of it, and will not be told of its end. Up to [so
    /// much](super::ServerOptions::max_drain) of it is read so that the connection can be kept.
    pub fn discard(self, ev: &mut EvLoop) -> bool {
        let mut old = None;
        let found = self.change(ev, |exchange| {
            exchange.set(flag::DISCARDED);
            exchange.clear(flag::PAUSED | flag::PARKED);
            old = exchange.hooks.as_mut().and_then(|hooks| hooks.incoming.take());
        });
        drop(old);
        if found {
            if let Some(service) = Service::find(ev, self.server) {
                // From here on it is the handler that is waited for.
                times::stop_body(ev, &service, self.at);
                times::time_handler(ev, &service, self.at);
            }
            self.touch(ev);
        }
        found
    }

    /// How large it may be in all, in bytes; more is answered with 413, if nothing else was. As large as it likes,
    /// unless it is said here.
    pub fn set_limit(self, ev: &mut EvLoop, bytes: u64) -> bool {
        self.change(ev, |exchange| exchange.body_limit = bytes)
    }

    /// Whether whoever takes it has neither paused it nor said that nobody wants it, and it may go on.
    pub(crate) fn is_wanted(self, ev: &mut EvLoop) -> bool {
        let mut wanted = false;
        self.change(ev, |exchange| wanted = !exchange.has(flag::PAUSED));
        wanted
    }

    fn change(self, ev: &mut EvLoop, change: impl FnOnce(&mut super::exchange::Exchange)) -> bool {
        let Some(service) = Service::find(ev, self.server) else { return false };
        let mut state = service.state.borrow_mut();
        let exchange = state.exchange(self.at, self.serial);
        // One that is thrown away is nobody's to hold up.
        let is_over = flag::BODY_TOLD | flag::DISCARDED;
        let Some(exchange) = exchange.filter(|exchange| !exchange.has(is_over)) else {
            return false;
        };
        change(exchange);
        true
    }

    fn touch(self, ev: &mut EvLoop) {
        if let Some(service) = Service::find(ev, self.server) {
            connection::touch(ev, &service, self.at);
        }
    }
}
