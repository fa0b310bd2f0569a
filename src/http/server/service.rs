//! What the connections of one server share.

// All state is in one `RefCell`, borrowed for a few lines at a time: never while a handler, a hook or a `Drop` of
// something that a user has handed over could run. What is taken out of it to be dropped leaves it first.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::panic::resume_unwind;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};

use slab::Slab;

use super::capacity::{Apart, Usage};
use super::clients::PerIp;
use super::connection::{At, Conn, conn_flag};
use super::exchange::Exchange;
use super::guests::Guest;
use super::options::ServerOptions;
use super::plain_head::{DateLine, PlainHead};
use super::request::Parts;
use super::stats::Counters;
use super::stopping::{self, Stopping};
use super::{
    Completed, ConnectionEvent, HookSwitch, Refused, Routes, Server, clients, connection, preface,
};
use crate::net::{Listener, Stream};
use crate::{EvLoop, Remote, Result, Timer};

/// The servers of a loop.
#[derive(Default)]
pub(super) struct Services {
    list: RefCell<Vec<Rc<Service>>>,
}

pub(super) struct Service {
    pub(super) key: Server,
    pub(super) options: ServerOptions,
    pub(super) routes: Routes,
    /// Something has to come before the first request.
    pub(super) has_preface: bool,
    /// There is a number of requests that is too many, or of bytes.
    pub(super) has_capacity: bool,
    /// Connections keep where they come from.
    pub(super) asks_for_clients: bool,
    pub(super) state: RefCell<State>,
    pub(super) remote: Remote,
    /// Replies that were dropped without an answer.
    dropped: RefCell<Vec<(At, u32)>>,
    /// Somebody will look at them.
    is_swept: Cell<bool>,
    /// A panic that goes on when everything is in order again.
    panic: RefCell<Option<Box<dyn Any + Send>>>,
    has_panic: Cell<bool>,
    /// Requests that were over while the hook that is told was on the stack.
    pub(super) untold: RefCell<VecDeque<Completed>>,
    /// What is held for requests besides their buffers.
    pub(super) aside: super::capacity::Aside,
    /// What was none, and was refused or broken off meanwhile.
    pub(super) untold_refused: RefCell<VecDeque<Refused>>,
    /// Connections that have come or gone while their hook was.
    pub(super) untold_connections: RefCell<VecDeque<(Stream, ConnectionEvent)>>,
    #[cfg(feature = "compress")]
    pub(super) packing: super::packing::Packing,
    /// Somebody is always told what requests ask for.
    wants_summaries: bool,
    /// Whoever else is, while one of these is on.
    switches: Box<[HookSwitch]>,
    /// Somebody may have a say in a request between its head and its handler.
    looks_at_heads: bool,
    /// Replies are looked at before they are sent.
    looks: bool,
    /// Some bodies are packed or unpacked.
    #[cfg(feature = "compress")]
    has_codings: bool,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) conns: Slab<Conn>,
    #[expect(clippy::vec_box, reason = "connections own boxes, which come and go whole")]
    pub(super) spare_exchanges: Vec<Box<Exchange>>,
    /// How many of those are lent.
    pub(super) lent: usize,
    /// How many connections are gone, and somebody is being told so.
    pub(super) leaving: usize,
    /// How many connections were one too many, and are only told so.
    pub(super) away: usize,
    /// How many have become something else, where it matters how many there are.
    pub(super) apart: Apart,
    pub(super) usage: Usage,
    /// How many connections each address has, where a proxy says whose they are.
    pub(super) per_ip: PerIp,
    #[expect(clippy::vec_box, reason = "requests own boxes, which come and go whole")]
    pub(super) spare_parts: Vec<Box<Parts>>,
    /// Heads are put together here.
    pub(super) scratch: Vec<u8>,
    /// What has come out of packing.
    #[cfg(feature = "compress")]
    pub(super) packed: Vec<u8>,
    pub(super) date: DateLine,
    pub(super) head: PlainHead,
    pub(super) counters: Counters,
    pub(super) listener: Option<Listener>,
    pub(super) stopping: Stopping,
    /// Who else is there until the server stops.
    pub(super) guests: Slab<Rc<dyn Guest>>,
    /// Connections that go on in the next iteration.
    pub(super) next_turn: Vec<At>,
    pub(super) next_turn_timer: Option<Timer>,
    /// Connections that must take their output fast enough.
    pub(super) paced: Vec<At>,
    pub(super) pace_timer: Option<Timer>,
    /// Connections whose handler is on the stack of a run that they are nested in.
    pub(super) waiting: Vec<At>,
}

/// How many boxes are kept for the next request.
pub(super) const SPARE: usize = 64;

/// The loop is gone, and every stream with it.
impl Drop for Services {
    fn drop(&mut self) {
        for service in self.list.take() {
            stopping::let_go(&service);
        }
    }
}

impl Services {
    /// Those that have not stopped.
    pub(super) fn all(&self) -> Vec<Rc<Service>> {
        self.list.borrow().clone()
    }

    pub(super) fn find(&self, key: Server) -> Option<Rc<Service>> {
        self.list.borrow().iter().find(|service| service.key == key).map(Rc::clone)
    }

    pub(super) fn forget(&self, key: Server) -> Option<Rc<Service>> {
        let mut list = self.list.borrow_mut();
        let at = list.iter().position(|service| service.key == key)?;
        Some(list.remove(at))
    }
}

impl Service {
    pub(super) fn start(
        ev: &mut EvLoop,
        options: ServerOptions,
        mut routes: Routes,
    ) -> Result<Rc<Self>> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        if let Some(wrong) = routes.wrong.take() {
            return Err(wrong);
        }
        let looks = !routes.after.is_empty();
        #[cfg(feature = "compress")]
        let looks = looks || routes.coding.compression.is_some();
        #[cfg(feature = "compress")]
        let has_codings = routes.coding.is_any();
        let has_capacity = options.capacity.requests != 0 || options.capacity.memory != 0;
        let looks_at_heads =
            has_capacity || routes.request_line.is_some() || !routes.before.is_empty();
        #[cfg(feature = "tls")]
        let looks_at_heads = looks_at_heads || options.matches_server_name;
        let told = std::mem::take(&mut routes.completed_while);
        let wants_summaries = !routes.after.is_empty() || told.iter().any(Option::is_none);
        let service = Rc::new(Self {
            wants_summaries,
            switches: told.into_iter().flatten().collect(),
            key: Server { id: IDS.fetch_add(1, Ordering::Relaxed) },
            asks_for_clients: clients::are_asked_for(&options, &routes),
            has_capacity,
            looks_at_heads,
            has_preface: preface::is_wanted(&options),
            options,
            routes,
            state: RefCell::default(),
            remote: ev.remote(),
            dropped: RefCell::default(),
            is_swept: Cell::new(false),
            panic: RefCell::default(),
            has_panic: Cell::new(false),
            untold: RefCell::default(),
            untold_refused: RefCell::default(),
            aside: super::capacity::Aside::default(),
            untold_connections: RefCell::default(),
            #[cfg(feature = "compress")]
            packing: super::packing::Packing::default(),
            looks,
            #[cfg(feature = "compress")]
            has_codings,
        });
        ev.local::<Services>().list.borrow_mut().push(Rc::clone(&service));
        Ok(service)
    }

    /// It has a listener, or could not get one.
    pub(super) fn listens(
        self: Rc<Self>,
        ev: &mut EvLoop,
        listening: Result<Listener>,
    ) -> Result<Server> {
        match listening {
            Ok(listener) => {
                self.state.borrow_mut().listener = Some(listener);
                Ok(self.key)
            }
            Err(error) => {
                ev.local::<Services>().forget(self.key);
                Err(error)
            }
        }
    }

    pub(super) fn find(ev: &mut EvLoop, key: Server) -> Option<Rc<Self>> {
        ev.local::<Services>().find(key)
    }

    pub(super) fn look(ev: &EvLoop, key: Server) -> Option<Rc<Self>> {
        ev.local_if_made::<Services>()?.find(key)
    }

    /// A reply was dropped unanswered. Called from a `Drop`, so from anywhere.
    pub(super) fn note_dropped(&self, at: At, serial: u32) {
        self.dropped.borrow_mut().push((at, serial));
        if !self.is_swept.replace(true) {
            let key = self.key;
            self.remote.post(move |ev| {
                if let Some(service) = Self::find(ev, key) {
                    service.sweep(ev);
                }
            });
        }
    }

    /// Answers what was dropped unanswered.
    pub(super) fn sweep(self: &Rc<Self>, ev: &mut EvLoop) {
        self.is_swept.set(false);
        loop {
            let next = self.dropped.borrow_mut().pop();
            let Some((at, serial)) = next else { return };
            connection::unanswered(ev, self, at, serial);
        }
    }

    /// Keeps a panic, the first of several, until [`raise`](Self::raise).
    pub(super) fn keep_panic(&self, panic: Box<dyn Any + Send>) {
        self.panic.borrow_mut().get_or_insert(panic);
        self.has_panic.set(true);
    }

    /// Lets a panic go on. Called where nothing is half done.
    #[inline]
    pub(super) fn raise(&self) {
        if self.has_panic.get() {
            self.raise_now();
        }
    }

    #[cold]
    fn raise_now(&self) {
        self.has_panic.set(false);
        let panic = self.panic.borrow_mut().take();
        if let Some(panic) = panic {
            resume_unwind(panic);
        }
    }

    pub(super) fn has_dropped(&self) -> bool {
        !self.dropped.borrow().is_empty()
    }

    /// Whether what requests ask for must be remembered for somebody.
    pub(super) fn wants_summary(&self) -> bool {
        self.wants_summaries || self.switches.iter().any(HookSwitch::is_on)
    }

    /// Whether somebody may have a say in a request between its head and its handler: a hook, or a limit that some
    /// servers have.
    pub(super) fn looks_at_heads(&self) -> bool {
        self.looks_at_heads
    }

    /// Whether replies are looked at before they are sent, by hooks or to be packed.
    pub(super) fn looks_at_replies(&self) -> bool {
        self.looks
    }

    /// Whether it unpacks bodies of requests.
    pub(super) fn unpacks(&self) -> bool {
        #[cfg(feature = "compress")]
        return self.routes.coding.decompression.is_some();
        #[cfg(not(feature = "compress"))]
        return false;
    }

    #[cfg(feature = "compress")]
    pub(super) fn has_codings(&self) -> bool {
        self.has_codings
    }

    pub(super) fn has_after(&self) -> bool {
        !self.routes.after.is_empty()
    }
}

impl State {
    pub(super) fn conn(&mut self, at: At) -> Option<&mut Conn> {
        self.conns.get_mut(at.index as usize).filter(|conn| conn.is_at(at))
    }

    /// The exchange of a request that is not over.
    pub(super) fn exchange(&mut self, at: At, serial: u32) -> Option<&mut Exchange> {
        let conn = self.conn(at)?;
        conn.exchange.as_deref_mut().filter(|exchange| exchange.serial == serial)
    }

    /// The same, if it can still be answered: its connection is not being ended.
    pub(super) fn open_exchange(&mut self, at: At, serial: u32) -> Option<&mut Exchange> {
        let conn = self.conn(at).filter(|conn| !conn.has(conn_flag::ENDING))?;
        conn.exchange.as_deref_mut().filter(|exchange| exchange.serial == serial)
    }

    /// Of how many requests the heads have come, and the replies have not ended.
    pub(super) fn begun(&self) -> usize {
        let has_begun =
            |conn: &Conn| conn.exchange.as_deref().is_some_and(|exchange| exchange.serial != 0);
        self.conns.iter().filter(|(_, conn)| has_begun(conn)).count()
    }

    /// Gets back one that holds nothing of a user's.
    // As for what makes it so.
    #[inline(always)]
    pub(super) fn give_exchange(&mut self, exchange: Box<Exchange>) {
        self.lent = self.lent.saturating_sub(1);
        if self.spare_exchanges.len() < SPARE {
            self.spare_exchanges.push(exchange);
        }
    }

    pub(super) fn take_parts(&mut self) -> Box<Parts> {
        self.spare_parts.pop().unwrap_or_default()
    }

    pub(super) fn give_parts(&mut self, parts: Box<Parts>) {
        if self.spare_parts.len() < SPARE {
            self.spare_parts.push(parts);
        }
    }
}
