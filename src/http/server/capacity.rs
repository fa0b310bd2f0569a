//! When there is too much to do, some are turned away with 503, so that the others are served.

use std::cell::Cell;
use std::rc::Rc;

use super::connection::{At, conn_flag};
use super::options::ServerOptions;
use super::request::Request;
use super::service::Service;
use super::{CompletionReason, ending};
use crate::EvLoop;
use crate::wire::Status;

/// How old what is known of memory may be, in nanoseconds: to look costs time for each connection.
const FRESH: u64 = 20_000_000;

/// Where too much begins; 0 is nowhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Capacity {
    pub(super) connections: usize,
    pub(super) requests: usize,
    pub(super) memory: usize,
}

/// What memory was in use when it was looked at.
#[derive(Default)]
pub(super) struct Usage {
    at: Option<u64>,
    bytes: usize,
}

/// How many connections were taken over, and are still there: WebSockets, most of them.
#[derive(Clone, Default)]
pub(super) struct Apart(Rc<Cell<usize>>);

/// One of them, until this is dropped with its stream.
pub(super) struct Place(Apart);

impl Apart {
    pub(super) fn enter(&self) -> Place {
        self.0.set(self.0.get() + 1);
        Place(self.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Self(Apart(count)) = self;
        count.set(count.get().saturating_sub(1));
    }
}

/// How much is held for requests besides their buffers.
#[derive(Clone, Default)]
pub(super) struct Aside(Rc<Cell<usize>>);

/// So many bytes of it, until this is dropped.
pub(crate) struct Held {
    all: Aside,
    bytes: usize,
}

impl Aside {
    pub(super) fn hold(&self, bytes: usize) -> Held {
        let mut held = Held { all: self.clone(), bytes: 0 };
        held.add(bytes);
        held
    }
}

impl Held {
    pub(crate) fn add(&mut self, bytes: usize) {
        let Aside(all) = &self.all;
        all.set(all.get().saturating_add(bytes));
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let Aside(all) = &self.all;
        all.set(all.get().saturating_sub(self.bytes));
    }
}

impl Request {
    /// Accounts for what is kept of it besides its body.
    pub(crate) fn held(&self) -> Held {
        self.service().aside.hold(0)
    }
}

/// Whether a request that has just come is one too many.
#[inline]
pub(super) fn is_exceeded(ev: &EvLoop, service: &Service) -> bool {
    service.has_capacity && exceeds(ev, service, service.options.capacity)
}

#[cold]
fn exceeds(ev: &EvLoop, service: &Service, capacity: Capacity) -> bool {
    let mut state = service.state.borrow_mut();
    // Heads that are still coming are nobody's requests yet: or whoever sends the first bytes of so many would have all
    // others turned away, for as long as a head may take.
    if capacity.requests != 0 && state.lent > capacity.requests && state.begun() > capacity.requests
    {
        return true;
    }
    if capacity.memory == 0 {
        return false;
    }
    let now = ev.now_nanos();
    if state.usage.at.is_none_or(|at| now.saturating_sub(at) >= FRESH) {
        let of = |conn: &super::connection::Conn| {
            let body = conn.exchange.as_deref().map_or(0, |exchange| {
                let gathered = exchange.request.as_ref().map_or(0, |parts| parts.body.capacity());
                gathered + exchange.unread.kept()
            });
            let outstanding = conn.more.as_ref().map_or(0, |more| more.outstanding.memory());
            conn.stream.memory(ev) + body + outstanding
        };
        let own: usize = state.conns.iter().map(|(_, conn)| of(conn)).sum();
        let others: usize = state.guests.iter().map(|(_, guest)| guest.memory(ev)).sum();
        let Aside(aside) = &service.aside;
        let bytes = own.saturating_add(others).saturating_add(aside.get());
        state.usage = Usage { at: Some(now), bytes };
    }
    state.usage.bytes > capacity.memory
}

/// Turns a connection away that is one too many. Says whether it was.
pub(super) fn turn_away(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> bool {
    let most = service.options.capacity.connections;
    if most == 0 {
        return false;
    }
    {
        let mut state = service.state.borrow_mut();
        // Those that are being told so take nobody's place.
        if state.conns.len() - state.away + state.apart.0.get() <= most {
            return false;
        }
        let Some(conn) = state.conn(at) else { return true };
        conn.more().reason.get_or_insert(CompletionReason::ProtocolError);
        conn.set(conn_flag::AWAY);
        state.away += 1;
    }
    if service.has_preface {
        // It would not understand a word before that.
        ending::hang_up(ev, service, at);
    } else {
        ending::refuse_unasked(ev, service, at, Status::SERVICE_UNAVAILABLE);
    }
    true
}

impl ServerOptions {
    /// Above how many connections further ones are answered with 503 and closed, rather than left to wait in the system's queue
    /// as with [`max_connections`](Self::max_connections), which has to be larger by as many as may be
    /// told so at a time: 0, which is never. With TLS they are only closed. Those that have become
    /// [something else](super::Reply::upgrade), such as WebSockets, count until they end.
    pub fn refuse_connections_above(mut self, most: usize) -> Self {
        self.capacity.connections = most;
        self
    }

    /// How many requests there may be at a time, from the end of their heads to the end of their replies;
    /// more are answered with 503 and `Retry-After`: 0, which is any number. A limit for handlers that keep their
    /// [`Reply`](super::Reply): what they hold is bounded by it.
    pub fn max_requests_at_once(mut self, most: usize) -> Self {
        self.capacity.requests = most;
        self
    }

    /// How much memory the buffers of all connections may take together before further requests are answered with
    /// 503 and `Retry-After`, in bytes: 0, which is as much as the other limits let them. Input, bodies and the fields of forms
    /// that are coming count, what packs and unpacks bodies piece by piece, and output that was copied, also of WebSockets, and what is kept of requests that are answered until
    /// [somebody is told](super::Routes::on_completed) that their replies have left; what is [shared](super::Response::shared), and files, do not. It is looked at every 20 ms, so that it
    /// may be exceeded by what comes meanwhile.
    pub fn memory_budget(mut self, bytes: usize) -> Self {
        self.capacity.memory = bytes;
        self
    }
}
