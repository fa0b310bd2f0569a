//! Counters and the stall watch: what the loop does with its time.
//!
//! Off, which is the default, they cost nothing: the board is worked off by another function when they
//! are on. On, they cost two readings of the clock per callback, and the short way from the kernel's
//! array to the callbacks is not taken.

use std::fmt;
use std::panic::Location;
use std::time::Duration;

use super::pending::What;
use super::tenants::Kind;
use super::{Band, EvLoop, Key, Pend, nanos, with_slots};

/// What a loop has done since its counters were turned on: [`EvLoop::metrics`].
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Metrics {
    /// Iterations, as [`EvLoop::iteration`] counts them.
    pub iterations: u64,
    /// Closures posted from other threads that were called.
    pub posted: u64,
    /// Deferred closures that were called.
    pub deferred: u64,
    /// Time in the kernel wait.
    pub waited: Duration,
    /// Time between the waits: in callbacks and in the loop itself.
    pub busy: Duration,
    /// The loop's lag: how long an event may have had to wait because the loop was busy, which is the
    /// time between the last two waits.
    pub lag: Duration,
    /// The longest lag.
    pub longest_lag: Duration,
    /// The longest callback.
    pub longest: Option<Stall>,
    events: [u64; Kind::COUNT],
}

impl Metrics {
    /// How many times watchers of a kind were called.
    #[must_use]
    pub fn events(&self, kind: Kind) -> u64 {
        self.events.get(kind as usize).copied().unwrap_or(0)
    }
}

/// A callback that took long: what [`EvLoop::on_stall`] tells, and [`Metrics::longest`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Stall {
    pub(crate) watcher: Option<(Kind, Key)>,
    /// The priority it was called at; +2 for posted closures, 0 for deferred ones.
    pub priority: i8,
    /// Where the watcher was created. In release builds only for those created while the counters were
    /// on, and never for posted and deferred closures.
    pub site: Option<&'static Location<'static>>,
    /// How long it took. What it spent in runs nested in it is not counted.
    pub took: Duration,
}

impl Stall {
    /// The kind of the watcher; `None` for a posted or deferred closure.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        self.watcher.map(|(kind, _)| kind)
    }
}

impl fmt::Display for Stall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind() {
            Some(kind) => write!(f, "a callback of kind {kind:?} took {:?}", self.took)?,
            None => write!(f, "a posted or deferred closure took {:?}", self.took)?,
        }
        match self.site {
            Some(site) => write!(f, ", its watcher was created at {}:{}", site.file(), site.line()),
            None => Ok(()),
        }
    }
}

type StallHook = Box<dyn FnMut(&Stall)>;

pub(crate) struct Monitor {
    metrics: Metrics,
    /// The loop's iterations when the counters were turned on.
    iterations_before: u64,
    /// When the last wait ended, and whether there was one since the counters were turned on.
    woke_at: Option<u64>,
    waited: u64,
    busy: u64,
    /// Time spent in nested runs, for subtraction from the callbacks around them.
    nested: u64,
    limit: u64,
    on_stall: Option<StallHook>,
}

/// The beginning of a nested run.
pub(super) struct Nested {
    began: u64,
    /// The time in nested runs until then.
    nested_before: u64,
}

/// Whose call is being measured.
enum Called {
    Watcher(Kind, Key),
    Posted,
    Deferred,
}

impl EvLoop {
    /// Turns the loop's counters on or off; see [`metrics`](Self::metrics). Default: off. Turned on
    /// again, they begin at zero, and the hook of [`on_stall`](Self::on_stall) is gone.
    ///
    /// Creation sites of watchers are remembered from now on; to have all of them use
    /// [`Builder::metrics`](crate::Builder::metrics).
    pub fn set_metrics(&mut self, on: bool) {
        if on == self.monitor.is_some() {
            return;
        }
        self.note(Self::MONITOR, on);
        self.monitor = on.then(|| {
            Box::new(Monitor {
                metrics: Metrics::default(),
                iterations_before: self.iteration,
                woke_at: None,
                waited: 0,
                busy: 0,
                nested: 0,
                limit: u64::MAX,
                on_stall: None,
            })
        });
        for kind in Kind::ALL {
            with_slots!(mut self, *kind, slots => slots.keep_sites(on));
        }
    }

    /// The loop's counters; `None` while they are off.
    ///
    /// ```
    /// use evloop::{EvLoop, Kind};
    /// use std::time::Duration;
    ///
    /// let mut ev = EvLoop::builder().metrics(true).build()?;
    /// ev.after(Duration::from_millis(1), |_| {});
    /// ev.run()?;
    /// let metrics = ev.metrics().expect("they are on");
    /// assert_eq!(metrics.events(Kind::Timer), 1);
    /// assert!(metrics.waited >= Duration::from_millis(1) || metrics.iterations > 1);
    /// # Ok::<(), evloop::Error>(())
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Option<Metrics> {
        let monitor = self.monitor.as_ref()?;
        Some(Metrics {
            iterations: self.iteration - monitor.iterations_before,
            waited: Duration::from_nanos(monitor.waited),
            busy: Duration::from_nanos(monitor.busy),
            ..monitor.metrics.clone()
        })
    }

    /// Has `hook` called when a callback has taken `limit` or longer: the stall watch. Turns the
    /// counters on.
    ///
    /// A callback that blocks keeps everybody else waiting, and this says which one it was. The hook is
    /// called when the callback has returned; it has no access to the loop. A second call replaces it.
    ///
    /// ```
    /// use evloop::EvLoop;
    /// use std::{cell::Cell, rc::Rc, time::Duration};
    ///
    /// let stalls = Rc::new(Cell::new(0));
    /// let seen = Rc::clone(&stalls);
    /// let mut ev = EvLoop::new()?;
    /// ev.on_stall(Duration::from_millis(2), move |stall| {
    ///     eprintln!("{stall}");
    ///     seen.set(seen.get() + 1);
    /// });
    /// ev.after(Duration::ZERO, |_| std::thread::sleep(Duration::from_millis(5)));
    /// ev.run()?;
    /// assert_eq!(stalls.get(), 1);
    /// # Ok::<(), evloop::Error>(())
    /// ```
    pub fn on_stall(&mut self, limit: Duration, hook: impl FnMut(&Stall) + 'static) {
        self.set_metrics(true);
        if let Some(monitor) = &mut self.monitor {
            monitor.limit = nanos(limit);
            monitor.on_stall = Some(Box::new(hook));
        }
    }

    /// [`dispatch`](Self::dispatch) with a clock in hand.
    #[cold]
    pub(super) fn dispatch_measured(&mut self) {
        loop {
            // All by way of the board, where each is called by the same line below.
            self.put_up_reports();
            let Some(band) = self.board.top() else { return };
            let Some(entry) = self.board.pop(band) else { continue };
            match entry.what {
                What::Watcher(kind) => {
                    let key = with_slots!(self, kind, slots => slots.key_at(entry.index));
                    if self.head(kind, key).is_some_and(|head| head.pend.is_running()) {
                        // Put off until it returns.
                        self.call(kind, key, entry.events, Pend::CALLED);
                        continue;
                    }
                    self.measured(&Called::Watcher(kind, key), band, |ev| {
                        ev.call(kind, key, entry.events, Pend::CALLED);
                    });
                }
                What::Posted => {
                    if let Some(f) = self.posted.pop_front() {
                        self.measured(&Called::Posted, band, f);
                    }
                }
                What::Blank => {}
            }
        }
    }

    /// Calls a deferred closure.
    pub(super) fn call_measured(&mut self, f: impl FnOnce(&mut Self)) {
        self.measured(&Called::Deferred, Band::DEFAULT, f);
    }

    fn measured(&mut self, called: &Called, band: Band, f: impl FnOnce(&mut Self)) {
        let watcher = match *called {
            Called::Watcher(kind, key) => Some((kind, key)),
            _ => None,
        };
        // It may be freed by its own callback.
        let site =
            watcher.and_then(|(kind, key)| with_slots!(self, kind, slots => slots.site(key.index)));
        let nested = self.monitor.as_ref().map_or(0, |monitor| monitor.nested);
        let began = self.clock.now();
        f(self);
        let ended = self.clock.now();
        let Some(monitor) = &mut self.monitor else { return };
        match called {
            Called::Watcher(kind, _) => monitor.metrics.events[*kind as usize] += 1,
            Called::Posted => monitor.metrics.posted += 1,
            Called::Deferred => monitor.metrics.deferred += 1,
        }
        let inside = monitor.nested.saturating_sub(nested);
        let took = ended.saturating_sub(began).saturating_sub(inside);
        let longest = monitor.metrics.longest.as_ref().map_or(0, |longest| nanos(longest.took));
        if took <= longest && took < monitor.limit {
            return;
        }
        let took = Duration::from_nanos(took);
        let stall = Stall { watcher, priority: band.priority(), site, took };
        if nanos(took) >= monitor.limit {
            if let Some(hook) = &mut monitor.on_stall {
                hook(&stall);
            }
        }
        if nanos(took) > longest {
            monitor.metrics.longest = Some(stall);
        }
    }

    /// A wait begins: what was since the last one is lag.
    pub(super) fn note_wait(&mut self) -> u64 {
        let now = self.clock.now();
        if let Some(monitor) = &mut self.monitor {
            if let Some(woke_at) = monitor.woke_at {
                let lag = now.saturating_sub(woke_at);
                monitor.busy += lag;
                let lag = Duration::from_nanos(lag);
                monitor.metrics.lag = lag;
                monitor.metrics.longest_lag = monitor.metrics.longest_lag.max(lag);
            }
        }
        now
    }

    /// The wait that began then is over.
    pub(super) fn note_waking(&mut self, began: u64) {
        let now = self.clock.now();
        if let Some(monitor) = &mut self.monitor {
            monitor.waited += now.saturating_sub(began);
            monitor.woke_at = Some(now);
        }
    }

    /// A run begins; remembered if it is a nested one and anybody wants to know.
    pub(super) fn nested_run_begins(&self) -> Option<Nested> {
        let monitor = self.monitor.as_ref().filter(|_| self.depth > 1)?;
        Some(Nested { began: self.clock.now(), nested_before: monitor.nested })
    }

    /// The run is over.
    pub(super) fn nested_run_ends(&mut self, run: Option<Nested>) {
        let Some(run) = run else { return };
        let now = self.clock.now();
        if let Some(monitor) = &mut self.monitor {
            // Runs nested in this one are part of it.
            monitor.nested = run.nested_before + now.saturating_sub(run.began);
        }
    }

    /// A watcher is called by `invoke`: part of the callback around it, but an event of its own.
    pub(super) fn count_invoked(&mut self, kind: Kind) {
        if let Some(monitor) = &mut self.monitor {
            monitor.metrics.events[kind as usize] += 1;
        }
    }

    /// Between runs nobody waits for the loop, so that is no lag.
    pub(super) fn forget_waking(&mut self) {
        if let Some(monitor) = &mut self.monitor {
            if let Some(woke_at) = monitor.woke_at.take() {
                monitor.busy += self.clock.now().saturating_sub(woke_at);
            }
        }
    }
}
