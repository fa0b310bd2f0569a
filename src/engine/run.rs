//! Running: the exact order of one iteration. The crate documentation tours it for users, in fewer steps
//! than there are numbers here.

use std::io;
use std::time::Duration;

use super::monitor::Nested;
#[cfg(feature = "stat")]
use super::remote::HINTED;
use super::remote::{NOTIFIED, POSTED, SIGNALLED, WOKEN};
#[cfg(feature = "stat")]
use super::tenants::Kind;
use super::time::ByMonotonicClock;
use super::{EvLoop, NEVER, nanos};
use crate::backend::Wait;
use crate::{Error, ErrorKind, Result};

/// How long [`EvLoop::run_mode`] goes on.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Run {
    /// Until nothing active is left, or a break (`ev_run(0)`).
    UntilDone,
    /// Wait for events and handle one batch (`EVRUN_ONCE`).
    Once,
    /// Handle what is ready without waiting (`EVRUN_NOWAIT`).
    NoWait,
}

/// How many runs [`EvLoop::break_loop`] ends.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Break {
    /// None: takes back a break that has not taken effect yet (`EVBREAK_CANCEL`).
    Cancel,
    /// The innermost (`EVBREAK_ONE`).
    One,
    /// All of them (`EVBREAK_ALL`).
    All,
}

/// What an error of a run says was being done.
const RUNNING: &str = "running the loop";

/// From how much on a wait has ended so late, in nanoseconds, that the process was held up.
const LATE: u64 = 50_000_000;

impl EvLoop {
    /// Runs until nothing active is left to wait for, or until [`break_loop`](Self::break_loop)
    /// (`ev_run`). Returns whether something active is left.
    ///
    /// May be called from inside a callback, except a prepare or check watcher's: the nested run
    /// first delivers everything that is still pending. A watcher whose callback is on the stack is
    /// not entered again; what happens to it meanwhile it hears when it returns.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Wait`] if the kernel wait fails, [`ErrorKind::Callback`] after
    /// [`fail`](Self::fail), [`ErrorKind::Suspended`], [`ErrorKind::Forked`] in a forked child, and
    /// [`ErrorKind::Nested`] from a prepare or check callback. After each of them the loop is consistent
    /// and can be run again.
    pub fn run(&mut self) -> Result<bool> {
        self.run_mode(Run::UntilDone)
    }

    /// [`run`](Self::run) with a choice of how long.
    ///
    /// `Run::Once` waits on when the wait ends without an event for the program (an interrupted
    /// wait, an io report that nobody wants any more). With no references it does not wait.
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub fn run_mode(&mut self, mode: Run) -> Result<bool> {
        self.enter(mode, None)
    }

    /// One pass, waiting at most `max_wait` (`None`: as long as it takes): [`Run::Once`] with a
    /// limit. For foreign loops that host this one; see [`backend_fd`](Self::backend_fd).
    ///
    /// # Errors
    ///
    /// As for [`run`](Self::run).
    pub fn turn(&mut self, max_wait: Option<Duration>) -> Result<bool> {
        self.enter(Run::Once, max_wait.map(nanos))
    }

    /// Has `run` return once the batch at hand is worked off (`ev_break`).
    ///
    /// What is pending is still delivered first. Outside a run it is forgotten; a nested run forgets
    /// what was asked before it. For other threads there is
    /// [`Remote::break_loop`](crate::Remote::break_loop).
    pub fn break_loop(&mut self, how: Break) {
        // Nothing takes back a failure.
        if self.failure.is_none() {
            self.broken = match how {
                Break::Cancel => None,
                how => Some(how),
            };
        }
    }

    /// How many times the loop has polled (`ev_iteration`): 0 before the first, and in its prepare
    /// watchers; 1 in the callbacks of the first iteration.
    #[must_use]
    pub fn iteration(&self) -> u64 {
        self.iteration
    }

    /// How many runs are on the stack (`ev_depth`): 0 outside, 1 in a callback, more when nested.
    #[must_use]
    pub fn depth(&self) -> u32 {
        self.depth
    }

    /// Whether something keeps [`run`](Self::run) from returning: an active watcher that counts
    /// ([`set_ref`](crate::Timer::set_ref)), or a deferred closure.
    #[must_use]
    pub fn has_refs(&self) -> bool {
        self.refs > 0 || !self.deferred.is_empty()
    }

    /// Has `f` called at the end of this batch, when nothing is pending any more.
    ///
    /// For what should happen once after everything else: flush what callbacks have gathered, free
    /// what they still look at. Deferred closures run in the order they were deferred; one deferred
    /// by another runs in the next iteration, which then does not wait. They keep `run` from
    /// returning.
    ///
    /// ```
    /// use evloop::{EvLoop, Run};
    ///
    /// let mut ev = EvLoop::new()?;
    /// ev.defer(|ev| assert_eq!(ev.pending_count(), 0));
    /// ev.run()?;
    /// # Ok::<(), evloop::Error>(())
    /// ```
    pub fn defer(&mut self, f: impl FnOnce(&mut Self) + 'static) {
        self.deferred.push_back(Box::new(f));
    }

    fn enter(&mut self, mode: Run, limit: Option<u64>) -> Result<bool> {
        if self.suspended.is_some() {
            return Err(Error::new(ErrorKind::Suspended, RUNNING));
        }
        if self.closed_to_run > 0 {
            return Err(Error::new(ErrorKind::Nested, RUNNING));
        }
        self.be_unforked(RUNNING)?;
        let run = Entered::new(self);
        // 0. What is pending already.
        run.0.dispatch();
        let left = run.0.cycle(mode, limit)?;
        drop(run);
        // Nested runs leave it to the outermost.
        match self.failure.take_if(|_| self.depth == 0) {
            Some(cause) => Err(Error::callback(cause)),
            None => Ok(left),
        }
    }

    fn cycle(&mut self, mode: Run, limit: Option<u64>) -> Result<bool> {
        loop {
            // 2. to 4. Fork and prepare watchers.
            if self.has(Self::FORKED | Self::PREPARES) {
                self.call_before_the_wait()?;
            }
            // 5. A break by now: no poll, no check.
            if self.is_broken() {
                break;
            }
            // 2. again: any callback so far may have forked, and this may be the child.
            self.be_unforked(RUNNING)?;
            if self.has(Self::FORKED) {
                continue;
            }
            // 7 to 13.
            let Some(flags) = self.wait(mode, limit)? else { continue };
            // 14. Into the queues, in this order.
            self.queue_events(flags);
            // 15. Out of them.
            self.dispatch();
            if !self.deferred.is_empty() {
                self.call_deferred();
            }
            // 16.
            if self.is_broken() || mode != Run::UntilDone || !self.has_refs() {
                break;
            }
        }
        Ok(self.has_refs())
    }

    #[inline(never)]
    fn call_before_the_wait(&mut self) -> Result<()> {
        self.be_unforked(RUNNING)?;
        if self.has(Self::FORKED) {
            self.queue_forks();
            self.dispatch();
        }
        if self.has(Self::PREPARES) {
            self.queue_prepares();
            self.dispatch();
        }
        Ok(())
    }

    /// Passes on the panic of a rule for periodics.
    pub(super) fn pass_on_panic(&mut self) {
        if let Some(payload) = self.panicked.take() {
            std::panic::resume_unwind(payload);
        }
    }

    /// A failure is a break of all.
    #[inline]
    fn is_broken(&self) -> bool {
        self.broken.is_some()
    }

    /// Whether the next iteration has something to do without the kernel.
    pub(super) fn has_work_now(&self) -> bool {
        self.board.live() > 0
            || self.batch.is_open()
            || self.idles_want_to_run()
            || !self.later.is_empty()
            || self.has(Self::GATHERED | Self::FORKED)
            || self.panicked.is_some()
            || !self.deferred.is_empty()
            || !self.posted.is_empty()
            || self.shared.has_flags()
            || self.fds.has_changes()
            || self.poller.is_always_ready()
    }

    /// An idle watcher whose callback runs a nested loop must not keep that loop from sleeping.
    #[inline]
    fn idles_want_to_run(&self) -> bool {
        !self.idles.roster.is_empty() && self.top_idle_band().is_some()
    }

    /// Steps 7 to 13: returns what was sent from other threads, and what else is not as usual; `None` in a
    /// forked child that has just taken over and begins again.
    fn wait(&mut self, mode: Run, limit: Option<u64>) -> Result<Option<u32>> {
        // 8. Time is read where it is needed.
        let mut previous = self.now.get();
        self.forget_time();
        self.refreshed = false;
        let limit = limit.map(|limit| self.now_nanos().saturating_add(limit));
        // 10.
        self.iteration = self.iteration.wrapping_add(1);
        loop {
            // 7. Changes of interest.
            self.tell_changes();
            // 9. How long. Failed changes have put events up, so the board is looked at last.
            let busy = mode == Run::NoWait
                || self.refs == 0
                || self.idles_want_to_run()
                || !self.later.is_empty()
                || !self.deferred.is_empty()
                || self.board.live() > 0;
            let wait = if busy { Wait::Now } else { self.plan(limit) };
            let announced = wait == Wait::Now || self.shared.announce_wait();
            let mut wait = if announced { wait } else { Wait::Now };
            if self.io_collect > 0 && !busy {
                wait = self.collect(wait, previous);
            }
            // 11. The wait.
            let planned = match wait {
                Wait::For(limit) => self.now.get().saturating_add(limit),
                Wait::Now | Wait::Forever => u64::MAX,
            };
            let polled = self.poll(wait);
            // 12.
            let mut flags = self.shared.take();
            // 13.
            self.forget_time();
            if !self.heap.is_empty() || limit.is_some() || self.io_collect > 0 {
                self.refresh();
            }
            previous = self.now.get();
            if !matches!(polled, Ok(Polled::Done)) {
                match self.wait_ended_badly(polled, flags, wait)? {
                    Some(more) => flags = more,
                    // The fork watchers come before anything is told to the new backend.
                    None if self.has(Self::FORKED) => return Ok(None),
                    None => continue,
                }
            } else if previous > planned && self.is_held_up(previous - planned, flags) {
                continue;
            }
            flags |= self.rare & Self::AFTER_THE_WAIT;
            if flags != 0 {
                self.find_out(flags);
            }
            if mode == Run::Once && !busy && !self.has_found_something(limit, flags) {
                continue;
            }
            return Ok(Some(flags));
        }
    }

    /// The process was held up: stopped, suspended, or given no time for long. What has come meanwhile is not in this
    /// batch if that was behind the kernel's report, and would be looked at after the timers that are overdue; whoever
    /// has spoken in time would be taken for silent. So timers have to wait for the next look. Says whether that is all
    /// there is to do.
    fn is_held_up(&mut self, late: u64, flags: u32) -> bool {
        if late < LATE.saturating_add(self.io_collect) {
            return false;
        }
        let finds_nothing = flags == 0 && self.batch.reports.len() == 0;
        self.holds_timers = !finds_nothing;
        finds_nothing
    }

    /// The wait was interrupted, or failed. Returns the flags to go on with; `None`: to wait again.
    #[cold]
    fn wait_ended_badly(
        &mut self,
        polled: io::Result<Polled>,
        flags: u32,
        wait: Wait,
    ) -> Result<Option<u32>> {
        match polled {
            Ok(Polled::Done) => return Ok(Some(flags)),
            Ok(Polled::Forked) => {
                self.shared.put_back(flags);
                self.be_unforked(RUNNING)?;
                return Ok(None);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {
                self.batch.reports.clear();
                self.batch.close();
                if flags == 0 {
                    return Ok((wait == Wait::Now).then_some(flags));
                }
                if flags & SIGNALLED == 0 || wait == Wait::Now {
                    return Ok(Some(flags));
                }
            }
            Err(e) => {
                // What was sent is for the next run.
                self.shared.put_back(flags);
                return Err(Error::os(ErrorKind::Wait, "waiting for events", e));
            }
            Ok(Polled::Stuck) => {
                self.shared.put_back(flags);
                return Err(Error::new(ErrorKind::Stuck, "waiting for events"));
            }
        }
        // Interrupted by the signal itself. What else is ready belongs to the same iteration, and so does
        // the bell, which would otherwise end the next wait.
        let polled = self.poll(Wait::Now);
        let flags = flags | self.shared.take();
        self.forget_time();
        self.wait_ended_badly(polled, flags, Wait::Now)
    }

    /// Finds out what the end of a wait means where the kernel's report alone does not say it.
    #[inline(never)]
    fn find_out(&mut self, flags: u32) {
        if self.has(Self::INTERNALS) {
            self.attend_internals();
        }
        if flags & SIGNALLED != 0 {
            self.gather_signals();
        }
        #[cfg(feature = "stat")]
        if flags & HINTED != 0 {
            self.look_where_hinted();
        }
        if self.has(Self::LINES) {
            self.look_at_wall();
            #[cfg(feature = "stat")]
            self.look_at_files();
        }
    }

    /// Whether the wait has ended for a reason of the program's.
    #[inline(never)]
    fn has_found_something(&mut self, limit: Option<u64>, flags: u32) -> bool {
        // A notifier may have been stopped since it called; a signal, or a hint, may be news to the loop
        // alone.
        let called = flags & NOTIFIED != 0 && self.is_any_async_called();
        if self.has_wanted_reports()
            || called
            || flags & (POSTED | WOKEN) != 0
            || flags & SIGNALLED != 0 && self.has_signals()
            || self.has(Self::GATHERED)
            || self.has(Self::LINES) && self.is_a_periodic_due()
            || self.panicked.is_some()
        {
            return true;
        }
        if self.heap.is_empty() && limit.is_none() {
            return false;
        }
        let now = self.now_nanos();
        limit.is_some_and(|limit| limit <= now) || self.first_due::<ByMonotonicClock>(now).is_some()
    }

    /// How long the kernel may keep us: until the first timer, or the caller's limit.
    #[inline]
    fn plan(&mut self, limit: Option<u64>) -> Wait {
        let mut due = self.heap.first().map(|first| first.due).filter(|due| *due != NEVER);
        let lines = self.has(Self::LINES);
        if lines {
            // The clock may have been set since.
            self.look_at_wall();
            self.pass_on_panic();
        }
        if due.is_none() && limit.is_none() && !lines {
            return Wait::Forever;
        }
        let now = self.now_nanos();
        if due.is_some_and(|due| due <= now) {
            if self.first_due::<ByMonotonicClock>(now).is_some() {
                return Wait::Now;
            }
            // It had come up early; the first one is true now.
            due = self.heap.first().map(|first| first.due).filter(|due| *due != NEVER);
        }
        if lines {
            due = self.first_of_other_lines().into_iter().chain(due).min();
        }
        let due = due.map(|due| due.max(now.saturating_add(self.timer_collect)));
        let end = match (due, limit) {
            (None, None) => return Wait::Forever,
            (Some(end), None) | (None, Some(end)) => end,
            (Some(due), Some(limit)) => due.min(limit),
        };
        match end.saturating_sub(now) {
            0 => Wait::Now,
            left => Wait::For(left),
        }
    }

    /// The first deadline that is no timer's, by the monotonic clock.
    #[inline(never)]
    pub(super) fn first_of_other_lines(&self) -> Option<u64> {
        let first = self.next_periodic();
        #[cfg(feature = "stat")]
        let first = first.into_iter().chain(self.stats.next_look()).min();
        first.filter(|due| *due != NEVER)
    }

    /// Spends part of a wait asleep, so that events gather; returns the rest.
    #[inline(never)]
    fn collect(&mut self, wait: Wait, previous: u64) -> Wait {
        let since = self.now_nanos().saturating_sub(previous);
        let mut nap = self.io_collect.saturating_sub(since);
        if let Wait::For(limit) = wait {
            // Never past the next timer.
            nap = nap.min(limit);
        }
        if nap == 0 || wait == Wait::Now {
            return wait;
        }
        self.outside(|ev| ev.clock.sleep(Duration::from_nanos(nap)));
        match wait {
            Wait::For(limit) if limit > nap => Wait::For(limit - nap),
            Wait::For(_) => Wait::Now,
            wait => wait,
        }
    }

    /// Between the hooks of [`on_wait`](EvLoop::on_wait).
    fn outside<R>(&mut self, f: impl FnOnce(&mut Self) -> R) -> R {
        let began = self.has(Self::MONITOR).then(|| self.note_wait());
        if let Some(hooks) = &mut self.around_wait {
            (hooks.before)();
        }
        let result = f(self);
        if let Some(hooks) = &mut self.around_wait {
            (hooks.after)();
        }
        if let Some(began) = began {
            self.note_waking(began);
        }
        result
    }

    #[inline]
    fn poll(&mut self, wait: Wait) -> io::Result<Polled> {
        self.begin_batch();
        let polled = if self.has(Self::HOOKS | Self::MONITOR | Self::LINES) {
            self.poll_observed(wait)
        } else {
            self.poll_backend(wait)
        };
        // They are admitted when it is their turn.
        self.batch.close();
        polled
    }

    /// A hook, or a rule for periodics, may have forked. What the child must not do is poll.
    #[cold]
    fn poll_observed(&mut self, wait: Wait) -> io::Result<Polled> {
        self.outside(|ev| if ev.is_forked() { Ok(Polled::Forked) } else { ev.poll_backend(wait) })
    }

    #[cfg(not(feature = "test-util"))]
    #[inline]
    fn poll_backend(&mut self, wait: Wait) -> io::Result<Polled> {
        self.poller.wait(wait, &mut self.batch.reports)?;
        Ok(Polled::Done)
    }

    /// With a mock clock the loop polls where it would sleep, and moves the clock instead.
    #[cfg(feature = "test-util")]
    #[inline]
    fn poll_backend(&mut self, wait: Wait) -> io::Result<Polled> {
        let scripted = self.backend.is_none();
        if self.clock.mock().is_none() && !scripted {
            self.poller.wait(wait, &mut self.batch.reports)?;
            return Ok(Polled::Done);
        }
        let asked = match wait {
            Wait::For(_) if !scripted => Wait::Now,
            wait => wait,
        };
        match self.poller.wait(asked, &mut self.batch.reports) {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                // The script is at its end; only another thread can still do something.
                if !self.has_handles() {
                    return Ok(Polled::Stuck);
                }
                self.shared.await_bell()?;
            }
            other => other?,
        }
        if let (Wait::For(limit), Some(mock)) = (wait, self.clock.mock()) {
            if self.batch.reports.len() == 0 && !self.shared.has_flags() {
                mock.elapsed.set(mock.elapsed.get().saturating_add(limit));
            }
        }
        Ok(Polled::Done)
    }

    fn queue_events(&mut self, flags: u32) {
        if flags != 0 {
            self.queue_what_is_rare(flags);
        }
        if self.holds_timers {
            // They are overdue, so that the next iteration does not sleep.
            self.holds_timers = false;
        } else {
            self.expire_timers();
        }
        // The idle rule must know which priorities are busy, and what was fed for later joins what is
        // ready now: in both cases the reports are looked into before they have their turn.
        self.admit_reports(!self.idles.roster.is_empty() || !self.later.is_empty());
        if !self.later.is_empty() {
            self.queue_later();
        }
        if !self.idles.roster.is_empty() {
            self.queue_idles();
        }
        if flags != 0 {
            self.pass_on_panic();
        }
    }

    /// What has its place before timers, in order.
    #[inline(never)]
    fn queue_what_is_rare(&mut self, flags: u32) {
        if flags & POSTED != 0 {
            self.queue_posted();
        }
        if self.has(Self::CHECKS) {
            self.queue_checks();
        }
        if flags & SIGNALLED != 0 {
            self.queue_signals();
        }
        if self.has(Self::GATHERED) {
            self.queue_children();
        }
        if flags & NOTIFIED != 0 {
            self.queue_asyncs();
        }
        #[cfg(feature = "stat")]
        if self.has(Self::GATHERED) {
            self.queue_gathered(Kind::Stat);
        }
        if self.has(Self::LINES) {
            self.expire_periodics();
        }
    }

    #[inline(never)]
    fn call_deferred(&mut self) {
        // Those deferred meanwhile are for the next iteration.
        for _ in 0..self.deferred.len() {
            let Some(f) = self.deferred.pop_front() else { return };
            if self.has(Self::MONITOR) {
                self.call_measured(f)
            } else {
                f(self)
            }
            self.dispatch();
        }
    }
}

/// How a wait ended, interruptions and failures apart.
enum Polled {
    Done,
    /// It was not made, because this is a forked child.
    Forked,
    /// It would never have ended (scripted backends only).
    #[cfg_attr(not(feature = "test-util"), expect(dead_code))]
    Stuck,
}

/// A run on the stack. Dropped when it returns and when it panics.
struct Entered<'a>(&'a mut EvLoop, Option<Nested>);

impl<'a> Entered<'a> {
    fn new(ev: &'a mut EvLoop) -> Self {
        ev.depth += 1;
        ev.broken = ev.failure.is_some().then_some(Break::All);
        let began = ev.nested_run_begins();
        Self(ev, began)
    }
}

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        let ev = &mut *self.0;
        ev.nested_run_ends(self.1.take());
        // Saturating: a callback may have swapped the loop for another one.
        ev.depth = ev.depth.saturating_sub(1);
        ev.unmute();
        // 17. A break of one is used up; a break of all goes on to the enclosing runs.
        if ev.depth == 0 || ev.broken == Some(Break::One) {
            ev.broken = None;
        }
        if ev.depth == 0 {
            // A foreign loop may be waiting on our descriptor now: senders must ring.
            ev.shared.announce_wait();
            ev.forget_waking();
        }
    }
}
