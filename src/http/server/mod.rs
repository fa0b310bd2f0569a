//! The HTTP/1.1 server: [`Routes`] say who answers, [`ServerOptions`] what is allowed.
//!
//! What users read is in the module above. This is how it is made.
//!
//! # Invariants
//!
//! * **Nothing is borrowed while a user's closure runs** but the cell of that closure. What it may have done is found
//!   by looking again: a connection by index *and* stream, a request by its serial number on top.
//! * **A connection is driven by one step at a time.** Whatever changes from outside (a reply from a timer, a body
//!   that is wanted again) raises `Received` on its stream, and so comes to the same place as bytes do.
//! * **An exchange is lent**: from the first byte of a head until its reply is written. A connection without one is
//!   idle, and is a few dozen bytes beside its stream.
//! * **A record is made of every exchange that had a head**, once, where it is let go: `on_completed` cannot be
//!   missed or come twice.
//! * **Phases only go round**: idle, head, body, handling, draining, idle; or to closing, from where nothing leads
//!   back, and where all that comes is thrown away.

// The rooms. `service` is what the connections of a server share, `connection` one of them, `exchange` one
// request on it. What comes before the first request is in `preface`; who the client is, and whether it may come in, in
// `clients`. `driving` goes from step to step, through `heads`, behind which a request is looked up (`choosing`, `hosts`), `bodies`, which
// `unpacking` may make larger, the handlers, which `calling` calls, and the end, which `completing` tells; `telling` calls
// those who take or make bodies. `sending` writes replies, with heads by `composing` and `plain_head` and bodies in
// `pieces`, which `packing` may make smaller; `prepared` is for replies that are made within the crate. `ending`
// closes, `times` waits no longer, `pace` for nobody who takes too little, `capacity` turns away, `stopping` sees all off, `guests` too, who are no requests any more.
// `request`, `reply`, `incoming`, `outgoing`, `response` and `remote` are what users hold; `routes` and `options` what
// they say in advance; `watching` is for those who look at a server that runs.

mod bodies;
mod calling;
pub(crate) mod capacity;
mod choosing;
pub(crate) mod clients;
mod completing;
mod completion;
mod composing;
mod connection;
mod driving;
mod ending;
mod exchange;
pub(crate) mod guests;
mod heads;
mod hosts;
mod incoming;
mod options;
mod outgoing;
mod pace;
#[cfg(feature = "compress")]
mod packing;
mod pieces;
mod piping;
mod plain_head;
mod preface;
mod prepared;
mod remote;
mod reply;
mod request;
mod response;
mod routes;
mod sending;
mod service;
mod stats;
mod stopping;
mod taking_over;
mod telling;
mod threads;
mod times;
#[cfg_attr(not(feature = "compress"), path = "unpacking_off.rs")]
mod unpacking;
mod watching;

use std::any::Any;
use std::error::Error as StdError;
use std::fmt;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::net::{Accepted, Address, ListenAddresses, Listener, Reason, Stream};
use crate::{EvLoop, Result};
use service::Service;

pub(in crate::http) use prepared::Parts;
pub(in crate::http) use response::Outline;

pub use completion::{Completed, CompletionReason, Disconnected, Refused, RequestDetails, Summary};
pub use incoming::{BodyError, BodyEvent, RequestBody};
#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use options::PlainHttp;
#[cfg(feature = "websocket")]
pub(crate) use options::SHORTEST;
pub use options::{HalfClose, PanicPolicy, ServerOptions};
pub use outgoing::{BodyLength, Pull, ReplyStream};
pub use remote::RemoteReply;
pub use reply::{PullWaker, Reply};
pub use request::Request;
pub use response::Response;
pub use routes::{Outcome, Routes};
pub use stats::ServerStats;
pub use threads::{ServerThreads, ServersRemote, Sharing, ThreadOptions};
pub use watching::{ConnectionInfo, HookSwitch};

/// The key of a server.
///
/// As with watchers it is a number, and may be copied and kept. Verbs on a server that has stopped do nothing.
///
/// ```
/// use std::time::Duration;
/// use evloop::EvLoop;
/// use evloop::http::Routes;
///
/// let mut ev = EvLoop::new()?;
/// let routes = Routes::new().get("/", |ev, _, reply| reply.text(ev, "hello"));
/// let server = ev.http_server("127.0.0.1:0", routes)?;
/// for address in server.addresses(&ev) {
///     println!("listening on http://{address}"); // with the port that the system has chosen
/// }
/// server.on_stopped(&mut ev, |_| println!("everybody was answered"));
/// server.shutdown(&mut ev, Some(Duration::from_secs(10)));
/// ev.run()?; // as long as there is a server
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Server {
    id: u64,
}

/// A client's connection, which may carry many requests.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Connection {
    stream: Stream,
}

/// What becomes of a [`Connection`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum ConnectionEvent {
    /// It was accepted.
    Opened,
    /// It is gone, for this reason: [`Reason::HandedOff`] where it was [taken over](Reply::upgrade), and may be there still as
    /// something else.
    Closed(Reason),
}

/// A handler has failed. Its text is that of its cause.
#[derive(Debug)]
#[non_exhaustive]
pub struct Failure {
    /// On whose behalf, if that is known.
    pub connection: Option<Connection>,
    /// How.
    pub cause: FailureCause,
}

/// How a handler has failed.
///
/// Its text ends with what the handler's error says; `{:#}` has all that caused that error too, on one line.
#[derive(Debug)]
#[non_exhaustive]
pub enum FailureCause {
    /// It has returned this.
    Error(Box<dyn StdError>),
    /// It has panicked with this.
    Panic(Box<dyn Any + Send>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.cause.fmt(f)
    }
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Error(error) => {
                write!(f, "a handler has failed: {error}")?;
                let mut cause = error.source().filter(|_| f.alternate());
                while let Some(error) = cause {
                    write!(f, ": {error}")?;
                    cause = error.source();
                }
                Ok(())
            }
            Self::Panic(panic) => {
                let text = panic.downcast_ref::<&str>().copied();
                let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
                write!(f, "a handler has panicked: {}", text.unwrap_or("with a value"))
            }
        }
    }
}

impl EvLoop {
    /// Serves HTTP on an address, or on several, with the default [options](ServerOptions)
    /// (`evhttp_bind_socket`, `MHD_start_daemon`).
    ///
    /// # Errors
    ///
    /// Those of [`ServerOptions::listen`].
    pub fn http_server(
        &mut self,
        addresses: impl ListenAddresses,
        routes: Routes,
    ) -> Result<Server> {
        ServerOptions::new().listen(self, addresses, routes)
    }
}

impl Server {
    /// Whether it is of this loop and has not stopped.
    #[must_use]
    pub fn exists(self, ev: &EvLoop) -> bool {
        Service::look(ev, self).is_some()
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(self, ev: &EvLoop) -> Vec<Address> {
        self.listener(ev).map(|listener| listener.addresses(ev)).unwrap_or_default()
    }

    /// Its listener, to pause it for example; `None` once it stops.
    #[must_use]
    pub fn listener(self, ev: &EvLoop) -> Option<Listener> {
        Service::look(ev, self)?.state.borrow().listener
    }

    /// Serves a connection that somebody else has accepted (`MHD_add_connection`).
    pub fn serve(self, ev: &mut EvLoop, accepted: Accepted) {
        if let Some(service) = Service::find(ev, self) {
            connection::accept(ev, &service, accepted);
        }
    }

    /// Serves a connected stream socket.
    ///
    /// # Errors
    ///
    /// Those of [`EvLoop::stream`]; [`ErrorKind::Closed`](crate::ErrorKind::Closed) if the server has stopped.
    pub fn serve_fd(self, ev: &mut EvLoop, socket: impl Into<OwnedFd>) -> Result<()> {
        let service = Service::find(ev, self).ok_or_else(reply::gone)?;
        connection::accept_fd(ev, &service, socket.into())
    }

    /// What it has done so far.
    #[must_use]
    pub fn stats(self, ev: &EvLoop) -> ServerStats {
        Service::look(ev, self).map(|service| stats::of(ev, &service)).unwrap_or_default()
    }

    /// The connections there are now.
    #[must_use]
    pub fn connections(self, ev: &EvLoop) -> Vec<Connection> {
        let Some(service) = Service::look(ev, self) else { return Vec::new() };
        let state = service.state.borrow();
        state.conns.iter().map(|(_, conn)| Connection { stream: conn.stream }).collect()
    }

    /// Accepts no more, and gives the listening sockets away, still open: for the process that comes next
    /// (`MHD_quiesce_daemon`). Connections are served on.
    pub fn quiesce(self, ev: &mut EvLoop) -> Vec<OwnedFd> {
        Service::find(ev, self).map(|service| stopping::quiesce(ev, &service)).unwrap_or_default()
    }

    /// Stops when everything is answered: accepts no more, closes the connections on which nothing happens, and the
    /// others after their replies, which say so. What is not done by `limit` is cut.
    pub fn shutdown(self, ev: &mut EvLoop, limit: Option<Duration>) {
        if let Some(service) = Service::find(ev, self) {
            stopping::shutdown(ev, &service, limit);
        }
    }

    /// Stops at once. Requests that are being handled end with [`CompletionReason::ServerShutdown`].
    pub fn stop_now(self, ev: &mut EvLoop) {
        if let Some(service) = Service::find(ev, self) {
            stopping::stop_now(ev, &service);
        }
    }

    /// Has `hook` called when the server has stopped and its last connection is closed.
    ///
    /// Returns whether the server exists; `hook` is dropped if not.
    pub fn on_stopped(self, ev: &mut EvLoop, hook: impl FnOnce(&mut EvLoop) + 'static) -> bool {
        let Some(service) = Service::find(ev, self) else { return false };
        stopping::on_stopped(&service, Box::new(hook));
        true
    }
}
