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
mod fork;
mod heap;
mod inspect;
mod internals;
mod monitor;
mod pending;
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

use std::any::{Any, TypeId};
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
use heap::Heap;
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

/// Asked for with every verb of a stream, so it must cost next to nothing: there are a handful, and a look at
/// each is less than a hash.
#[derive(Default)]
struct Locals(Vec<(TypeId, Rc<dyn Any>)>);

impl Locals {
    #[inline]
    fn get<T: 'static>(&self) -> Option<&T> {
        match self.0.first()?.1.downcast_ref() {
            Some(value) => Some(value),
            None => self.look_for(TypeId::of::<T>())?.downcast_ref(),
        }
    }

    #[inline(never)]
    fn look_for(&self, id: TypeId) -> Option<&Rc<dyn Any>> {
        self.0.iter().find(|(of, _)| *of == id).map(|(_, value)| value)
    }

    /// The one that was asked for last is in front: mostly it is asked for again.
    #[inline]
    fn find<T: 'static>(&mut self) -> Option<Rc<T>> {
        let id = TypeId::of::<T>();
        match self.0.first() {
            Some((of, value)) if *of == id => Rc::clone(value).downcast().ok(),
            _ => self.fetch(id)?.downcast().ok(),
        }
    }

    #[inline(never)]
    fn fetch(&mut self, id: TypeId) -> Option<Rc<dyn Any>> {
        let at = self.0.iter().position(|(of, _)| *of == id)?;
        self.0.swap(0, at);
        self.0.first().map(|(_, value)| Rc::clone(value))
    }
}

type Deferred = Box<dyn FnOnce(&mut EvLoop)>;

struct Waiting {
    kind: Kind,
    key: Key,
    band: Band,
    pend: Pend,
}

struct AroundWait {
    before: Box<dyn FnMut()>,
    after: Box<dyn FnMut()>,
}

/// The watchers of one simple kind: slots, and those started, in start order.
pub(crate) struct Group {
    pub(crate) slots: Slots<SimpleSlot>,
    pub(crate) roster: Roster,
}

impl Group {
    fn new(first_generation: u32) -> Self {
        Self { slots: Slots::new(first_generation), roster: Roster::default() }
    }

    /// A watcher is started.
    pub(crate) fn join(&mut self, key: Key) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.place = self.roster.push(key.index);
        }
    }

    /// A watcher is stopped.
    pub(crate) fn leave(&mut self, key: Key) {
        let Self { slots, roster } = self;
        let Some(slot) = slots.get(key) else { return };
        roster.remove(slot.place, |index, place| {
            if let Some(slot) = slots.at_mut(index) {
                slot.place = place;
            }
        });
    }
}

/// A watcher's closure, and for io its source: what the hall calls.
///
/// `call` takes the `Rc`, so the cell lives to the end of the call whatever the callback frees, and
/// a cell that is called once can take itself apart.
pub(crate) trait Callback {
    fn call(self: Rc<Self>, ev: &mut EvLoop, key: Key, events: Events);
}

/// What every slot holds beside its cell.
#[derive(Clone, Copy)]
pub(crate) struct Head {
    pub(crate) pend: Pend,
    /// The priority for the next event.
    pub(crate) band: Band,
    /// The band its entry stands in while it is pending.
    pub(crate) queued_in: Band,
    pub(crate) flags: u8,
}

impl Head {
    pub(crate) const ACTIVE: u8 = 1;
    /// Does not keep the loop running.
    pub(crate) const EXEMPT: u8 = 2;
    /// Io: the reports of this batch are not for it.
    pub(crate) const BLIND: u8 = 4;
    /// An event of `feed_later` waits for the next iteration.
    pub(crate) const LATER: u8 = 8;
    /// The bits from here on belong to the kind.
    pub(crate) const FIRST_OF_KIND: u8 = 16;

    pub(crate) fn new() -> Self {
        Self { pend: Pend::NONE, band: Band::DEFAULT, queued_in: Band::DEFAULT, flags: 0 }
    }

    #[inline]
    pub(crate) fn has(&self, flag: u8) -> bool {
        self.flags & flag != 0
    }

    pub(crate) fn put(&mut self, flag: u8, on: bool) {
        if on {
            self.flags |= flag;
        } else {
            self.flags &= !flag;
        }
    }

    #[inline]
    pub(crate) fn is_active(&self) -> bool {
        self.has(Self::ACTIVE)
    }
}

/// Runs a body with the slots of a kind known only at run time.
macro_rules! with_slots {
    (mut $ev:expr, $kind:expr, $slots:ident => $do:expr) => {
        with_slots!(@ (&mut) $ev, $kind, $slots => $do)
    };
    ($ev:expr, $kind:expr, $slots:ident => $do:expr) => {
        with_slots!(@ (&) $ev, $kind, $slots => $do)
    };
    (@ ($($by:tt)+) $ev:expr, $kind:expr, $slots:ident => $do:expr) => {
        match $kind {
            Kind::Io => {
                let $slots = $($by)+ $ev.ios;
                $do
            }
            Kind::Timer => {
                let $slots = $($by)+ $ev.timers;
                $do
            }
            Kind::Periodic => {
                let $slots = $($by)+ $ev.periodics.slots;
                $do
            }
            Kind::Signal => {
                let $slots = $($by)+ $ev.signals.slots;
                $do
            }
            Kind::Child => {
                let $slots = $($by)+ $ev.children.slots;
                $do
            }
            #[cfg(feature = "stat")]
            Kind::Stat => {
                let $slots = $($by)+ $ev.stats.slots;
                $do
            }
            Kind::Idle => {
                let $slots = $($by)+ $ev.idles.slots;
                $do
            }
            Kind::Prepare => {
                let $slots = $($by)+ $ev.prepares.slots;
                $do
            }
            Kind::Check => {
                let $slots = $($by)+ $ev.checks.slots;
                $do
            }
            Kind::Async => {
                let $slots = $($by)+ $ev.asyncs;
                $do
            }
            Kind::Fork => {
                let $slots = $($by)+ $ev.fork_watchers.slots;
                $do
            }
            Kind::Cleanup => {
                let $slots = $($by)+ $ev.cleanups.slots;
                $do
            }
        }
    };
}
use with_slots;

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

    /// The loop's own value of a type: made with `Default` at the first call, the same one at every
    /// later call, dropped with the loop.
    ///
    /// For modules built on the loop that need one of something per loop, without a global and
    /// without asking their users to carry it.
    ///
    /// ```
    /// use std::cell::Cell;
    ///
    /// #[derive(Default)]
    /// struct RequestsSeen(Cell<u64>);
    ///
    /// let mut ev = evloop::EvLoop::new()?;
    /// let seen = ev.local::<RequestsSeen>();
    /// seen.0.set(seen.0.get() + 1);
    /// assert_eq!(ev.local::<RequestsSeen>().0.get(), 1);
    /// # Ok::<(), evloop::Error>(())
    /// ```
    #[inline]
    pub fn local<T: Default + 'static>(&mut self) -> Rc<T> {
        match self.locals.find::<T>() {
            Some(value) => value,
            None => self.make_local(),
        }
    }

    #[cold]
    #[inline(never)]
    fn make_local<T: Default + 'static>(&mut self) -> Rc<T> {
        let value = Rc::new(T::default());
        self.locals.0.push((TypeId::of::<T>(), Rc::clone(&value) as Rc<dyn Any>));
        value
    }

    /// The loop's own value of a type, if [`local`](Self::local) has made it: for questions, which need
    /// no loop that can be changed.
    ///
    /// ```
    /// # use std::cell::Cell;
    /// let mut ev = evloop::EvLoop::new()?;
    /// assert!(ev.local_if_made::<Cell<u64>>().is_none());
    /// ev.local::<Cell<u64>>().set(7);
    /// assert_eq!(ev.local_if_made::<Cell<u64>>().map(Cell::get), Some(7));
    /// # Ok::<(), evloop::Error>(())
    /// ```
    #[must_use]
    pub fn local_if_made<T: 'static>(&self) -> Option<&T> {
        self.locals.get()
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
    /// # use evloop::{ErrorKind, EvLoop};
    /// # use std::time::Duration;
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

    // --- what is not always so ------------------------------------------------------------------

    // None of them is also one of the flags that come from outside (`remote`), so that both fit into one
    // word and one test.

    /// There are hooks around the wait.
    const HOOKS: u32 = 1 << 8;
    /// The counters are on.
    const MONITOR: u32 = 1 << 9;
    /// There are deadlines beside the timers'.
    const LINES: u32 = 1 << 10;
    /// There are internal io watchers.
    const INTERNALS: u32 = 1 << 11;
    /// The process was forked, and the fork watchers were not called yet.
    const FORKED: u32 = 1 << 12;
    /// Something was gathered and not queued yet.
    const GATHERED: u32 = 1 << 13;
    /// There are started prepare watchers.
    const PREPARES: u32 = 1 << 14;
    /// There are started check watchers.
    const CHECKS: u32 = 1 << 15;
    /// Whatever makes more of the end of a wait than the kernel's report.
    const AFTER_THE_WAIT: u32 = Self::LINES | Self::INTERNALS | Self::GATHERED | Self::CHECKS;

    #[inline]
    fn has(&self, rare: u32) -> bool {
        self.rare & rare != 0
    }

    fn note(&mut self, rare: u32, on: bool) {
        if on {
            self.rare |= rare;
        } else {
            self.rare &= !rare;
        }
    }

    /// To be called when a watcher of a group was started or stopped.
    pub(crate) fn note_groups(&mut self) {
        self.note(Self::PREPARES, !self.prepares.roster.is_empty());
        self.note(Self::CHECKS, !self.checks.roster.is_empty());
    }

    /// To be called when a line other than the timers' has become empty or got its first entry.
    fn note_lines(&mut self) {
        let lines = !self.periodics.heap.is_empty();
        #[cfg(feature = "stat")]
        let lines = lines || self.stats.has_deadlines();
        self.note(Self::LINES, lines);
    }

    // --- what all kinds of watchers share -----------------------------------------------------

    #[inline]
    pub(crate) fn head(&self, kind: Kind, key: Key) -> Option<&Head> {
        with_slots!(self, kind, slots => slots.get(key).map(|slot| &slot.head))
    }

    #[inline]
    pub(crate) fn head_mut(&mut self, kind: Kind, key: Key) -> Option<&mut Head> {
        with_slots!(mut self, kind, slots => slots.get_mut(key).map(|slot| &mut slot.head))
    }

    #[inline]
    pub(crate) fn add_refs(&mut self, count: usize) {
        self.refs += count;
    }

    #[inline]
    pub(crate) fn drop_refs(&mut self, count: usize) {
        self.refs -= count;
    }

    /// Marks a stopped watcher as started.
    #[inline]
    pub(crate) fn activate(&mut self, kind: Kind, key: Key) {
        let Some(head) = self.head_mut(kind, key) else { return };
        head.flags |= Head::ACTIVE;
        let counted = usize::from(!head.has(Head::EXEMPT));
        self.refs += counted;
    }

    /// Marks a started watcher as stopped; says whether it was started.
    #[inline]
    pub(crate) fn deactivate(&mut self, kind: Kind, key: Key) -> bool {
        let Some(head) = self.head_mut(kind, key) else { return false };
        if !head.is_active() {
            return false;
        }
        head.flags &= !Head::ACTIVE;
        let counted = usize::from(!head.has(Head::EXEMPT));
        self.refs -= counted;
        true
    }

    pub(crate) fn set_exempt(&mut self, kind: Kind, key: Key, exempt: bool) {
        if kind == Kind::Cleanup {
            // A loop that waits for its own end would wait for ever.
            return;
        }
        let Some(head) = self.head_mut(kind, key) else { return };
        if head.has(Head::EXEMPT) == exempt {
            return;
        }
        head.put(Head::EXEMPT, exempt);
        match (head.is_active(), exempt) {
            (true, true) => self.refs -= 1,
            (true, false) => self.refs += 1,
            (false, _) => {}
        }
    }

    /// Makes a watcher pending, or adds to what it is pending for.
    pub(crate) fn feed(&mut self, kind: Kind, key: Key, events: Events) -> bool {
        if kind == Kind::Io && self.batch.is_open() {
            self.put_up_reports();
        }
        self.enqueue(kind, key, events)
    }

    /// [`feed`](Self::feed) for the loop's own events, which come while no reports are outstanding
    /// or while they are being put up.
    pub(crate) fn enqueue(&mut self, kind: Kind, key: Key, events: Events) -> bool {
        let Some(head) = self.head_mut(kind, key) else { return false };
        if head.pend.is_none() {
            head.queued_in = head.band;
            let band = head.band;
            let pend = self.board.push(band, kind, key.index, events);
            if let Some(head) = self.head_mut(kind, key) {
                head.pend = pend;
            }
        } else if head.pend.is_running() {
            head.pend = Pend::CALLED_AND_MISSED;
            match self.missed.iter_mut().find(|(k, other, _)| (*k, *other) == (kind, key)) {
                Some((_, _, collected)) => *collected |= events,
                None => self.missed.push((kind, key, events)),
            }
        } else {
            let (band, pend) = (head.queued_in, head.pend);
            self.board.join(band, pend, events);
        }
        true
    }

    pub(crate) fn feed_later(&mut self, kind: Kind, key: Key, events: Events) -> bool {
        let Some(head) = self.head_mut(kind, key) else { return false };
        let waits_already = head.has(Head::LATER);
        head.flags |= Head::LATER;
        let mut waiting = self.later.iter_mut();
        let known = if waits_already {
            waiting.find(|(k, other, _)| (*k, *other) == (kind, key))
        } else {
            None
        };
        match known {
            Some((_, _, collected)) => *collected |= events,
            None => self.later.push((kind, key, events)),
        }
        true
    }

    /// Forgets what a watcher is pending for, in whatever way it is pending.
    pub(crate) fn clear_pending(&mut self, kind: Kind, key: Key) -> Events {
        if kind == Kind::Io && self.batch.is_open() {
            self.put_up_reports();
        }
        let mut events = Events::NONE;
        if kind == Kind::Child && self.forget_changes(key) {
            events |= Events::CHILD;
        }
        #[cfg(feature = "stat")]
        if kind == Kind::Stat && self.forget_gathered(kind, key) {
            events |= Events::STAT;
        }
        events | self.unqueue(kind, key)
    }

    /// [`clear_pending`](Self::clear_pending) without the reports that are still in the kernel's
    /// array: for `stop`, whose watcher no report finds any more.
    #[inline]
    pub(crate) fn unqueue(&mut self, kind: Kind, key: Key) -> Events {
        let Some(head) = self.head_mut(kind, key) else { return Events::NONE };
        if head.pend.is_none() && !head.has(Head::LATER) {
            return Events::NONE;
        }
        let mut events = Events::NONE;
        let (band, pend, later) = (head.queued_in, head.pend, head.has(Head::LATER));
        head.flags &= !Head::LATER;
        if later {
            let place = self.later.iter().position(|(k, other, _)| (*k, *other) == (kind, key));
            events |= place.map_or(Events::NONE, |place| self.later.remove(place).2);
        }
        let Some(head) = self.head_mut(kind, key) else { return events };
        if pend.is_none() {
            return events;
        }
        if pend.is_running() {
            head.pend = Pend::CALLED;
            if pend.has_missed() {
                events |= self.take_missed(kind, key).unwrap_or_default();
                if let Some(waiting) = self.take_waiting(kind, key) {
                    if self.board.holds(waiting.band, waiting.pend, kind, key.index) {
                        events |= self.board.cancel(waiting.band, waiting.pend);
                    }
                }
            }
        } else {
            head.pend = Pend::NONE;
            events |= self.board.cancel(band, pend);
        }
        events
    }

    fn take_missed(&mut self, kind: Kind, key: Key) -> Option<Events> {
        let place = self.missed.iter().position(|(k, other, _)| (*k, *other) == (kind, key))?;
        Some(self.missed.remove(place).2)
    }

    fn take_waiting(&mut self, kind: Kind, key: Key) -> Option<Waiting> {
        let place = self.waiting.iter().rposition(|w| (w.kind, w.key) == (kind, key))?;
        Some(self.waiting.remove(place))
    }

    pub(crate) fn is_pending(&self, kind: Kind, key: Key) -> bool {
        let Some(head) = self.head(kind, key) else { return false };
        let waiting =
            if head.pend.is_running() { head.pend.has_missed() } else { !head.pend.is_none() };
        waiting
            || kind == Kind::Io && self.batch.is_open() && self.is_reported(key)
            || head.has(Head::LATER)
    }

    /// Changes the priority for events to come.
    pub(crate) fn set_band(&mut self, kind: Kind, key: Key, band: Band) -> Option<Band> {
        if kind == Kind::Io && self.batch.is_open() {
            // The open reports belong to one band, the present one.
            self.put_up_reports();
        }
        let head = self.head_mut(kind, key)?;
        Some(std::mem::replace(&mut head.band, band))
    }

    pub(crate) fn invoke(&mut self, kind: Kind, key: Key, events: Events) -> bool {
        if kind == Kind::Io && self.batch.is_open() {
            self.put_up_reports();
        }
        let Some(head) = self.head(kind, key) else { return false };
        let (band, pend) = (head.queued_in, head.pend);
        if pend.is_running() {
            return false;
        }
        if self.has(Self::MONITOR) {
            self.count_invoked(kind);
        }
        if pend.is_none() {
            self.call(kind, key, events, Pend::CALLED);
        } else {
            // What waits stays where it is and is found again when the callback returns.
            self.waiting.push(Waiting { kind, key, band, pend });
            self.call(kind, key, events, Pend::CALLED_AND_MISSED);
        }
        true
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
