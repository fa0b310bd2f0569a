//! Watching a server while it runs: hooks that are called only while somebody wants to know, and what there is to know about
//! a connection.
//!
//! A hook that is told of each request has all of them remembered until they are over, which costs as much as
//! answering a short one. Who looks only now and then has them called behind a [`HookSwitch`], and learns the rest by asking.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::connection::Conn;
use super::service::{Service, Services};
use super::{Completed, Connection, Routes};
use crate::EvLoop;
use crate::wire::Method;

/// Turns hooks on and off while servers run, from any thread: [`Routes::on_completed_while`]. Clones turn the same ones. It is
/// off at first.
///
/// ```
/// use evloop::EvLoop;
/// use evloop::http::{HookSwitch, Routes};
///
/// let mut ev = EvLoop::new()?;
/// let verbose = HookSwitch::new();
/// let routes = Routes::new()
///     .get("/", |ev, _, reply| reply.text(ev, "hello"))
///     .on_completed_while(&verbose, |_, completed| {
///         println!("{} {}", completed.request.method, completed.request.target);
///     });
/// # let server =
/// ev.http_server("127.0.0.1:0", routes)?;
/// # server.stop_now(&mut ev);
/// verbose.set(true); // by a signal, say
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct HookSwitch(Arc<AtomicBool>);

impl HookSwitch {
    /// One that is off.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Turns it on or off. Other threads see it soon.
    pub fn set(&self, on: bool) {
        let Self(is_on) = self;
        is_on.store(on, Ordering::Relaxed);
    }

    /// Whether it is on.
    #[must_use]
    pub fn is_on(&self) -> bool {
        let Self(is_on) = self;
        is_on.load(Ordering::Relaxed)
    }
}

impl Routes {
    /// The same as [`on_completed`](Self::on_completed), called only while `switch` is on: for requests that have come
    /// and ended while it was. While it is off, and nobody else is told, requests are not remembered, and cost what they cost
    /// without hooks.
    pub fn on_completed_while(
        self,
        switch: &HookSwitch,
        mut hook: impl FnMut(&mut EvLoop, &Completed) + 'static,
    ) -> Self {
        let is_on = switch.clone();
        self.completing(Some(switch.clone()), move |ev, completed| {
            if is_on.is_on() {
                hook(ev, completed);
            }
        })
    }
}

/// What there is to know about a [`Connection`], as it is now (`MHD_get_connection_info`). Its bytes and its age are its
/// [stream's](crate::net::Stream::info).
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub struct ConnectionInfo {
    /// How many requests have come on it: those whose head was complete.
    pub requests: u32,
    /// The method and the target of the one that is not over, if there is one.
    pub request: Option<(Method, String)>,
}

impl Connection {
    /// Everything about it; `None` if it is not one of a server of this loop, or not any more. It is looked for among all
    /// connections.
    #[must_use]
    pub fn info(self, ev: &EvLoop) -> Option<ConnectionInfo> {
        ev.local_if_made::<Services>()?.all().iter().find_map(|service| self.info_of(service))
    }

    fn info_of(self, service: &Service) -> Option<ConnectionInfo> {
        let state = service.state.borrow();
        let (_, conn) = state.conns.iter().find(|(_, conn)| conn.stream == self.stream)?;
        Some(ConnectionInfo { requests: conn.serial, request: asked(conn) })
    }
}

/// What is being answered.
fn asked(conn: &Conn) -> Option<(Method, String)> {
    let exchange = conn.exchange.as_deref().filter(|exchange| exchange.serial != 0)?;
    let (method, target) = match &exchange.request {
        Some(parts) => (parts.head.method(), parts.head.target_bytes()),
        None => (&exchange.method, exchange.asked.as_slice()),
    };
    Some((method.clone(), String::from_utf8_lossy(target).into_owned()))
}
