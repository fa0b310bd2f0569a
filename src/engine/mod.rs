//! The hall: the loop itself.
//!
//! Readiness, time and calls from other threads come in; each becomes a note on the board (or, on
//! the hot path, stays a line of the kernel's own report); when the batch is complete the notes are
//! taken down in order and the watchers are called. The hall knows that watchers have cells to call
//! and when to call them. What a kind of watcher means is in its file below `watch`.
//!
//! Invariants that every file here keeps:
//!
//! * **No borrow, lock or taken-out state is held across a callback.** A callback may do anything
//!   to the loop, even swap it for another one, so whatever is looked at after a call is looked up
//!   anew, by key.
//! * A slot's [`Pend`] is `CALLED` exactly while its callback is on the stack.
//! * `refs` counts the watchers that are active and not exempt (`set_ref(false)`).

mod builder;
mod children;
mod clock;
mod dispatch;
mod expiry;
mod fds;
mod feeding;
mod fork;
mod group;
mod heads;
mod heap;
mod inspect;
mod internals;
mod locals;
mod monitor;
mod pending;
mod rare;
mod remote;
mod roster;
mod run;
mod schedule;
mod signals;
mod slots;
#[cfg(feature = "stat")]
mod stats;
mod tenants;
mod time;
mod wall;

use std::any::Any;
use std::cell::Cell;
use std::collections::{HashMap, VecDeque};
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub use builder::Builder;
pub use monitor::{Metrics, Stall};
pub use remote::Remote;
pub use run::{Break, Run};
pub use schedule::Schedule;
pub use tenants::Kind;

pub(crate) use children::{Change, ChildCallback};
#[cfg(feature = "test-util")]
pub(crate) use clock::Mock;
#[cfg(feature = "test-util")]
pub(crate) use clock::nanos_since_1970;
pub(crate) use clock::{NEVER, nanos, system_time};
pub(crate) use group::Group;
pub(crate) use heads::Head;
pub(crate) use heap::Deadline;
pub(crate) use pending::{Band, Pend};
pub(crate) use remote::{Caller, Shared};
pub(crate) use roster::Roster;
pub(crate) use slots::{Key, Slots};
#[cfg(feature = "stat")]
pub(crate) use stats::{Look, StatCallback, StatSlot};
pub(crate) use tenants::{
    AsyncSlot, ChildSlot, IoCallback, IoSlot, PeriodicSlot, SignalSlot, SimpleSlot, TimerData,
    TimerSlot,
};

use crate::backend::{Backend, Poller};
use crate::event::Events;
use crate::{Error, Result};
use children::Children;
use clock::Clock;
use fds::Fds;
use feeding::Waiting;
use heads::with_slots;
use heap::Heap;
use locals::Locals;
use monitor::Monitor;
use pending::Board;
use remote::Posted;
use signals::Signals;
use wall::Periodics;

/// An event loop: watchers, and the thread they are called on.
///
/// Create watchers with the constructors ([`io`](Self::io), [`timer`](Self::timer) …), start them,
/// then [`run`](Self::run). The [crate documentation](crate) explains the model and tours one
/// iteration. The libev counterpart is `struct ev_loop`; there is no default loop, because any loop
/// may hold any watcher.
///
/// A loop stays on the thread that made it (`!Send`); [`remote`](Self::remote) gives other threads
/// a handle. Dropping it calls the [cleanup watchers](Self::on_close), stops every watcher and drops
/// their closures and sources; handles that survive say that it is gone.
///
/// | what for | |
/// |---|---|
/// | to make one | [`new`](Self::new), [`builder`](Self::builder) |
/// | to run it | [`run`](Self::run), [`run_mode`](Self::run_mode), [`turn`](Self::turn); to end that, [`break_loop`](Self::break_loop), [`fail`](Self::fail) |
/// | watchers | [`io`](Self::io), [`timer`](Self::timer), [`timer_at`](Self::timer_at), [`periodic`](Self::periodic), [`signal`](Self::signal), [`child`](Self::child), [`idle`](Self::idle), [`prepare`](Self::prepare), [`check`](Self::check), [`on_fork`](Self::on_fork), [`on_close`](Self::on_close) |
#[cfg_attr(feature = "stat", doc = "| | [`stat`](Self::stat) |")]
/// | for once | [`after`](Self::after), [`once`](Self::once), [`defer`](Self::defer) |
/// | other threads | [`remote`](Self::remote), [`notifier`](Self::notifier), [`channel`](Self::channel) |
#[cfg_attr(
    feature = "net",
    doc = "| connections | [`connect`](Self::connect), [`listen`](Self::listen), [`stream`](Self::stream), [`datagram`](Self::datagram), [`resolve`](Self::resolve) |"
)]
#[cfg_attr(feature = "net", doc = "| what blocks | [`work`](Self::work) |")]
#[cfg_attr(feature = "http-server", doc = "| HTTP | [`http_server`](Self::http_server) |")]
/// | its time | [`now`](Self::now), [`wall_now`](Self::wall_now), [`update_now`](Self::update_now), [`suspend`](Self::suspend) |
/// | inside other loops | [`backend_fd`](Self::backend_fd), [`next_deadline`](Self::next_deadline) |
/// | to look inside | [`watchers`](Self::watchers), [`metrics`](Self::metrics), [`on_stall`](Self::on_stall), [`verify`](Self::verify) |
///
/// ```
/// use evloop::EvLoop;
/// use std::time::Duration;
///
/// let mut ev = EvLoop::new()?;
/// let mut left = 3;
/// ev.timer(Duration::ZERO, Duration::from_millis(1), move |ev, e| {
///     left -= 1;
///     if left == 0 {
///         e.watcher.stop(ev);
///     }
/// })
/// .start(&mut ev);
/// assert!(!ev.run()?); // nothing is left to wait for
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * Two loops swapped with `mem::swap` inside a callback stay sound, and that is all: the watcher that did
///   it counts as running for good in the loop that was moved away.
/// * A loop that is dropped drops closures and sources, in no particular order. A destructor that uses a
///   handle to the loop is told that it is gone.
pub struct EvLoop {
    // What a turn touches comes first.
    pub(crate) ios: Slots<IoSlot>,
    pub(crate) fds: Fds,
    board: Board,
    batch: dispatch::Batch,
    poller: Box<dyn Poller>,
    shared: Arc<Shared>,
    refs: usize,
    iteration: u64,
    depth: u32,
    broken: Option<Break>,
    /// What is not always so, one bit each: a turn looks at all of it with one test.
    rare: u32,
    /// The fork counter when the loop became this process's.
    forks: u32,

    pub(crate) timers: Slots<TimerSlot>,
    pub(crate) heap: Heap,
    next_ticket: u32,
    /// Room for the entries of a line that are due, where they are many.
    due: Vec<Deadline>,
    /// Delays given to active timers with `set`, for their next start. Rare, so not in the slot.
    pub(crate) afters: HashMap<u32, u64>,
    clock: Clock,
    /// The loop's idea of now; meaningless unless `fresh`.
    now: Cell<u64>,
    fresh: Cell<bool>,
    /// The wall clock in this iteration, once somebody has asked, in nanoseconds since 1970.
    wall: Cell<Option<u64>>,
    /// `fresh_timers`: whether the option is on, and whether this phase has refreshed.
    fresh_timers: bool,
    refreshed: bool,
    /// Timers are not to be called before the kernel was asked once more.
    holds_timers: bool,

    pub(crate) prepares: Group,
    pub(crate) checks: Group,
    pub(crate) idles: Group,
    pub(crate) fork_watchers: Group,
    pub(crate) cleanups: Group,
    pub(crate) asyncs: Slots<AsyncSlot>,
    pub(crate) async_roster: Roster,

    pub(crate) periodics: Periodics,
    pub(crate) signals: Signals,
    pub(crate) children: Children,
    #[cfg(feature = "stat")]
    pub(crate) stats: stats::Stats,
    /// How many io watchers there are that nobody sees.
    internals: usize,
    /// Room for those of them that were reported.
    told: Vec<Key>,
    /// What they, signals and looks at files have found out, until it is queued.
    gathered: Vec<(Kind, Key, Events)>,
    monitor: Option<Box<Monitor>>,
    /// A rule for periodics has panicked: to be passed on when nothing can be lost by it.
    panicked: Option<Box<dyn Any + Send>>,
    closing: bool,
    pub(crate) options: builder::Options,

    posted: VecDeque<Posted>,
    deferred: VecDeque<Deferred>,
    later: Vec<(Kind, Key, Events)>,
    /// Events for watchers whose callback is on the stack.
    missed: Vec<(Kind, Key, Events)>,
    /// Entries of watchers that were invoked while they waited: their slots say "running" meanwhile.
    waiting: Vec<Waiting>,
    /// How many prepare and check callbacks are on the stack: `run` is refused meanwhile.
    closed_to_run: u32,
    suspended: Option<u64>,
    /// How long suspensions have lasted in all.
    suspensions: u64,
    failure: Option<Box<dyn std::error::Error + Send + Sync>>,
    io_collect: u64,
    timer_collect: u64,
    around_wait: Option<Box<AroundWait>>,
    locals: Locals,
    backend: Option<Backend>,
    /// Threads: the loop, its keys' work and its callbacks stay on one.
    _not_send: std::marker::PhantomData<*const ()>,
}

type Deferred = Box<dyn FnOnce(&mut EvLoop)>;

struct AroundWait {
    before: Box<dyn FnMut()>,
    after: Box<dyn FnMut()>,
}

/// A watcher's closure, and for io its source: what the hall calls.
///
/// `call` takes the `Rc`, so the cell lives to the end of the call whatever the callback frees, and
/// a cell that is called once can take itself apart.
pub(crate) trait Callback {
    fn call(self: Rc<Self>, ev: &mut EvLoop, key: Key, events: Events);
}

impl EvLoop {
    /// A loop with the best backend there is (`ev_loop_new(EVFLAG_AUTO)`).
    ///
    /// The environment variable `EVLOOP_FLAGS` may choose another: see
    /// [`Builder::env`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Create`](crate::ErrorKind::Create) when no backend is usable or the descriptors
    /// a loop needs (two with epoll, one with poll) cannot be had.
    pub fn new() -> Result<Self> {
        Self::builder().build()
    }

    /// Options for a new loop.
    pub fn builder() -> Builder {
        Builder::new()
    }

    fn assemble(
        poller: Box<dyn Poller>,
        backend: Option<Backend>,
        shared: Arc<Shared>,
        clock: Clock,
        options: builder::Options,
    ) -> Self {
        // An odd multiple of the golden ratio: the loops of a process are far apart in generations,
        // so a key shown to another loop names nothing there.
        static LOOPS: AtomicU32 = AtomicU32::new(0);
        let first = LOOPS.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9);
        // Outside `run`, senders ring: a foreign loop may be waiting for the backend's descriptor.
        shared.announce_wait();
        Self {
            ios: Slots::new(first),
            fds: Fds::new(),
            board: Board::new(),
            batch: dispatch::Batch::new(),
            poller,
            shared,
            refs: 0,
            iteration: 0,
            depth: 0,
            broken: None,
            rare: 0,
            forks: crate::sys::fork::generation(),
            timers: Slots::new(first),
            heap: Heap::default(),
            next_ticket: 0,
            due: Vec::new(),
            afters: HashMap::new(),
            now: Cell::new(clock.now()),
            fresh: Cell::new(true),
            wall: Cell::new(Some(clock.wall())),
            clock,
            fresh_timers: false,
            refreshed: false,
            holds_timers: false,
            prepares: Group::new(first),
            checks: Group::new(first),
            idles: Group::new(first),
            fork_watchers: Group::new(first),
            cleanups: Group::new(first),
            asyncs: Slots::new(first),
            async_roster: Roster::default(),
            periodics: Periodics::new(first),
            signals: Signals::new(first),
            children: Children::new(first),
            #[cfg(feature = "stat")]
            stats: stats::Stats::new(first),
            internals: 0,
            told: Vec::new(),
            gathered: Vec::new(),
            monitor: None,
            panicked: None,
            closing: false,
            options,
            posted: VecDeque::new(),
            deferred: VecDeque::new(),
            later: Vec::new(),
            missed: Vec::new(),
            waiting: Vec::new(),
            closed_to_run: 0,
            suspended: None,
            suspensions: 0,
            failure: None,
            io_collect: 0,
            timer_collect: 0,
            around_wait: None,
            locals: Locals::default(),
            backend,
            _not_send: std::marker::PhantomData,
        }
    }

    /// The backend in use (`ev_backend`); `None` for a scripted one.
    #[must_use]
    pub fn backend(&self) -> Option<Backend> {
        self.backend
    }

    /// A descriptor that becomes readable when the loop has something to do: watch it from a
    /// foreign loop and call [`turn`](Self::turn) then, or at
    /// [`next_deadline`](Self::next_deadline), whichever comes first.
    ///
    /// `None` with backends that have no such descriptor ([`Backend::embeddable`] lists those that
    /// have). The libev counterpart is the embed watcher, turned around.
    ///
    /// # Sharp edges
    ///
    /// Do not read from it, change it or close it. When a watched descriptor was closed behind the
    /// loop's back the loop replaces what stands behind this number; a host that registered it in
    /// an epoll set of its own must then register it again.
    #[must_use]
    pub fn backend_fd(&self) -> Option<BorrowedFd<'_>> {
        self.poller.fd()
    }

    /// Hooks around the kernel wait (`ev_set_loop_release_cb`): `before` is called just before the
    /// thread may sleep and `after` as soon as it is back, also around the sleep of
    /// [`set_io_collect`](Self::set_io_collect).
    ///
    /// For a lock that others may have meanwhile, or a watchdog. The hooks have no access to the
    /// loop; a second call replaces both.
    pub fn on_wait(&mut self, before: impl FnMut() + 'static, after: impl FnMut() + 'static) {
        self.around_wait =
            Some(Box::new(AroundWait { before: Box::new(before), after: Box::new(after) }));
        self.note(Self::HOOKS, true);
    }

    /// A handle for other threads: post closures, wake the loop, break it.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote::new(Arc::clone(&self.shared))
    }

    /// Whether somebody outside could still wake the loop.
    #[cfg(feature = "test-util")]
    fn has_handles(&self) -> bool {
        let unheard = |slot: &AsyncSlot| Arc::strong_count(&slot.caller) == 1;
        let own = 1 + self.asyncs.iter().filter(|(_, slot)| unheard(slot)).count();
        Arc::strong_count(&self.shared) > own
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Records an error and breaks all runs: the outermost [`run`](Self::run) returns it after this
    /// batch, as [`ErrorKind::Callback`](crate::ErrorKind::Callback) with `error` as its source.
    ///
    /// Callbacks return nothing, so this is how one reports that the program cannot go on. The
    /// first error is kept; later ones are dropped. The loop can be run again.
    ///
    /// ```
    /// use evloop::{ErrorKind, EvLoop};
    /// use std::time::Duration;
    ///
    /// let mut ev = EvLoop::new()?;
    /// ev.after(Duration::ZERO, |ev| ev.fail("the configuration is gone"));
    /// let error = ev.run().unwrap_err();
    /// assert_eq!(error.kind(), ErrorKind::Callback);
    /// # Ok::<(), evloop::Error>(())
    /// ```
    pub fn fail(&mut self, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) {
        if self.failure.is_none() {
            self.failure = Some(error.into());
        }
        self.broken = Some(Break::All);
    }

    /// At most one poll in `interval` on average (`ev_set_io_collect_interval`): the loop sleeps
    /// before it polls, so that events gather and more are handled per turn. Timers stay punctual;
    /// io gets a latency of up to `interval`. Zero, the default, is off.
    pub fn set_io_collect(&mut self, interval: Duration) {
        self.io_collect = nanos(interval);
    }

    /// Waits are never shorter than `interval` (`ev_set_timeout_collect_interval`): timers bunch
    /// up and may be late by up to `interval`; io is not affected. Zero, the default, is off.
    pub fn set_timer_collect(&mut self, interval: Duration) {
        self.timer_collect = nanos(interval);
    }
}

impl Drop for EvLoop {
    fn drop(&mut self) {
        let panicked = self.call_cleanups();
        // First nothing more comes in, then the closures go: their destructors may use handles.
        for (_, slot) in self.asyncs.iter() {
            slot.caller.listen(false);
        }
        self.leave_seat();
        self.shared.close();
        if let Some(payload) = panicked {
            if !std::thread::panicking() {
                std::panic::resume_unwind(payload);
            }
        }
    }
}

impl Error {
    pub(crate) fn callback(cause: Box<dyn std::error::Error + Send + Sync>) -> Self {
        Self::caused(crate::ErrorKind::Callback, "running the loop", cause)
    }
}
