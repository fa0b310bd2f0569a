//! What the slabs hold, kind by kind.

use std::any::Any;
use std::collections::VecDeque;
use std::os::fd::BorrowedFd;
use std::rc::Rc;
use std::sync::Arc;

use super::children::{Change, ChildCallback};
use super::{Callback, Caller, Head, Key, Schedule};
use crate::event::Interest;

/// The kinds of watchers there are. More may join.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Kind {
    /// [`Io`](crate::Io): a descriptor is ready.
    Io,
    /// [`Timer`](crate::Timer): time has passed.
    Timer,
    /// [`Periodic`](crate::Periodic): the wall clock shows a certain time.
    Periodic,
    /// [`Signal`](crate::Signal): a signal was delivered to the process.
    Signal,
    /// [`Child`](crate::Child): a child process ended, stopped or went on.
    Child,
    /// [`Stat`](crate::Stat): a file changed. Feature `stat`.
    #[cfg(feature = "stat")]
    #[cfg_attr(docsrs, doc(cfg(feature = "stat")))]
    Stat,
    /// [`Idle`](crate::Idle): there is nothing better to do.
    Idle,
    /// [`Prepare`](crate::Prepare): the loop is about to wait.
    Prepare,
    /// [`Check`](crate::Check): the loop has waited.
    Check,
    /// [`Async`](crate::Async): another thread called.
    Async,
    /// [`Fork`](crate::Fork): the process is a fork of the one that made the loop.
    Fork,
    /// [`Cleanup`](crate::Cleanup): the loop is being dropped.
    Cleanup,
}

impl Kind {
    pub(crate) const COUNT: usize = Self::ALL.len();
    pub(crate) const ALL: &[Self] = &[
        Self::Io,
        Self::Timer,
        Self::Periodic,
        Self::Signal,
        Self::Child,
        #[cfg(feature = "stat")]
        Self::Stat,
        Self::Idle,
        Self::Prepare,
        Self::Check,
        Self::Async,
        Self::Fork,
        Self::Cleanup,
    ];
}

/// The cell of an io watcher: closure and source.
pub(crate) trait IoCallback: Callback {
    fn fd(&self) -> BorrowedFd<'_>;

    /// The source, for who knows its type; `None` where it is not shared out.
    fn source(&self) -> Option<Rc<dyn Any>>;

    /// The watcher was freed: lets go of what else belongs to it.
    fn freed(&self, _ev: &mut crate::EvLoop) {}
}

pub(crate) struct IoSlot {
    pub(crate) cell: Rc<dyn IoCallback>,
    pub(crate) head: Head,
    pub(crate) data: IoData,
}

pub(crate) struct IoData {
    /// The number whose list it is in; `NO_FD` before the first start.
    pub(crate) fd: u32,
    /// The next member of that list.
    pub(crate) next: u32,
    /// The registration of the number that its source is known to belong to.
    pub(crate) generation: u32,
    pub(crate) interest: Interest,
}

impl IoSlot {
    /// Kept by another watcher: its cell is called while events are gathered, and nobody sees it.
    pub(crate) const INTERNAL: u8 = Head::FIRST_OF_KIND;
    pub(crate) const NO_FD: u32 = u32::MAX;
    pub(crate) const NO_NEXT: u32 = u32::MAX;

    pub(crate) fn new(cell: Rc<dyn IoCallback>, interest: Interest) -> Self {
        let data = IoData { fd: Self::NO_FD, next: Self::NO_NEXT, generation: 0, interest };
        Self { cell, head: Head::new(), data }
    }
}

pub(crate) struct TimerSlot {
    pub(crate) cell: Rc<dyn Callback>,
    pub(crate) head: Head,
    pub(crate) data: TimerData,
}

pub(crate) struct TimerData {
    /// Active, or with `ABSOLUTE`: the moment it is due. Else: the time that is left, counted from
    /// the next start.
    pub(crate) due: u64,
    pub(crate) repeat: u64,
    /// Drawn at the last start or `again`; orders equal deadlines.
    pub(crate) ticket: u32,
}

impl TimerSlot {
    /// Made with `timer_at`: `due` is a moment also while stopped.
    pub(crate) const ABSOLUTE: u8 = Head::FIRST_OF_KIND;
    /// Ticks that were missed are skipped instead of shifting the phase.
    pub(crate) const KEEP_PHASE: u8 = Head::FIRST_OF_KIND << 1;
    /// `set` was called while it was active: the delay for the next start is kept in `EvLoop::afters`.
    pub(crate) const AFTER_SET: u8 = Head::FIRST_OF_KIND << 2;
}

/// Idle, prepare, check, fork and cleanup watchers.
pub(crate) struct SimpleSlot {
    pub(crate) cell: Rc<dyn Callback>,
    pub(crate) head: Head,
    /// Place in the roster while active.
    pub(crate) place: u32,
}

pub(crate) struct AsyncSlot {
    pub(crate) cell: Rc<dyn Callback>,
    pub(crate) caller: Arc<Caller>,
    pub(crate) head: Head,
    pub(crate) place: u32,
}

pub(crate) struct PeriodicSlot {
    pub(crate) cell: Rc<dyn Callback>,
    pub(crate) head: Head,
    /// When it is due while it is active, its entry in the heap says.
    pub(crate) schedule: Schedule,
}

impl PeriodicSlot {
    /// `set` was called while it was active: the moment at hand is not one of the new schedule.
    pub(crate) const CHANGED: u8 = Head::FIRST_OF_KIND;
}

pub(crate) struct SignalSlot {
    pub(crate) cell: Rc<dyn Callback>,
    pub(crate) head: Head,
    /// Place in its signal's roster while active.
    pub(crate) place: u32,
    pub(crate) signum: i32,
}

pub(crate) struct ChildSlot {
    pub(crate) cell: Rc<dyn ChildCallback>,
    pub(crate) head: Head,
    /// 0 for any.
    pub(crate) pid: u32,
    /// While active: the internal io watcher with the process's descriptor, if there is one.
    pub(super) io: Option<Key>,
    /// While active: it relies on `SIGCHLD`, and has this place in the list of those that do.
    pub(super) listens: bool,
    pub(super) place: u32,
    /// It is on the list of what was gathered.
    pub(super) is_gathered: bool,
    /// What has happened and was not delivered yet.
    pub(super) changes: VecDeque<Change>,
}

impl ChildSlot {
    /// It is told of stops and continuations too.
    pub(crate) const TRACE: u8 = Head::FIRST_OF_KIND;
    /// It owns a `std::process::Child`.
    pub(crate) const OWNER: u8 = Head::FIRST_OF_KIND << 1;
    /// Of any process.
    pub(crate) const ANY: u8 = Head::FIRST_OF_KIND << 2;
}

impl AsyncSlot {
    /// Keeps messages while it is stopped, so it is called at each start.
    pub(crate) const KEEPS: u8 = Head::FIRST_OF_KIND;
}

// Sizes are a feature: what a watcher costs beside its closure is in the README.
#[cfg(target_pointer_width = "64")]
const _: () = {
    assert!(size_of::<IoSlot>() <= 40);
    assert!(size_of::<TimerSlot>() <= 48);
    assert!(size_of::<PeriodicSlot>() <= 48);
};
