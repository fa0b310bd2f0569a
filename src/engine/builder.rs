//! Making a loop: options, the environment, the choice of a backend.

use std::env;
use std::sync::Arc;
use std::time::Duration;

use super::clock::Clock;
use super::{EvLoop, Shared, nanos};
use crate::backend::Backend;
use crate::sys::wake::Bell;
use crate::{Error, ErrorKind, Result};

/// Options for a new [`EvLoop`], from [`EvLoop::builder`].
///
/// ```
/// use evloop::{Backend, EvLoop};
/// use std::time::Duration;
///
/// let ev = EvLoop::builder()
///     .backend(Backend::Epoll)
///     .backend(Backend::Poll) // if there is no epoll
///     .io_collect(Duration::from_micros(50))
///     .build()?;
/// # Ok::<(), evloop::Error>(())
/// ```
#[derive(Clone, Debug)]
#[must_use = "a builder does nothing until `build`"]
pub struct Builder {
    backends: Vec<Backend>,
    env: bool,
    follow_fork: Option<bool>,
    stat_hints: Option<bool>,
    unblock_signals: Option<bool>,
    watch_clock_jumps: Option<bool>,
    metrics: bool,
    #[cfg(feature = "test-util")]
    process_descriptors: bool,
    io_collect: Duration,
    timer_collect: Duration,
    fresh_timers: bool,
    #[cfg(feature = "test-util")]
    clock: Option<crate::testing::MockClock>,
    #[cfg(feature = "test-util")]
    script: Option<crate::testing::Script>,
}

/// What a loop remembers of its builder.
#[derive(Clone, Copy)]
pub(crate) struct Options {
    pub(super) follow_fork: bool,
    #[cfg_attr(not(feature = "stat"), expect(dead_code))]
    pub(crate) stat_hints: bool,
    pub(super) unblock_signals: bool,
    pub(super) watch_clock_jumps: bool,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            backends: Vec::new(),
            env: true,
            follow_fork: None,
            stat_hints: None,
            unblock_signals: None,
            watch_clock_jumps: None,
            metrics: false,
            #[cfg(feature = "test-util")]
            process_descriptors: true,
            io_collect: Duration::ZERO,
            timer_collect: Duration::ZERO,
            fresh_timers: false,
            #[cfg(feature = "test-util")]
            clock: None,
            #[cfg(feature = "test-util")]
            script: None,
        }
    }

    /// Tries only this backend; called again, the further ones after it, in that order.
    ///
    /// Without it the [recommended](Backend::recommended) ones are tried. There is no silent
    /// fallback to a backend that was not asked for.
    pub fn backend(mut self, backend: Backend) -> Self {
        self.backends.push(backend);
        self
    }

    /// Whether the environment variable `EVLOOP_FLAGS` is looked at. Default: yes.
    ///
    /// It holds names separated by commas: the backends `epoll` and `poll`, and `follow-fork`,
    /// `no-stat-hints`, `no-unblock-signals` and `no-watch-clock-jumps` for the options of those names.
    /// It fills in only what this builder left open, so an explicit [`backend`](Self::backend) wins.
    /// Text that cannot be understood is ignored as a whole, and so is all of it in a process that runs
    /// with raised privileges (set-user-ID and the like). libev's counterpart is `LIBEV_FLAGS`.
    pub fn env(mut self, look: bool) -> Self {
        self.env = look;
        self
    }

    /// Whether the loop calls [`after_fork`](EvLoop::after_fork) by itself when it finds itself in a
    /// forked child (`EVFLAG_FORKCHECK`). Default: no, it says
    /// [`ErrorKind::Forked`] there.
    ///
    /// It costs nothing: the comparison is made anyway.
    pub fn follow_fork(mut self, on: bool) -> Self {
        self.follow_fork = Some(on);
        self
    }

    /// Whether stat watchers may be hinted by the system when to look (libev: the reverse of
    /// `EVFLAG_NOINOTIFY`). Default: yes. Without it they look at their intervals, and no thread is
    /// started. Has no effect without the feature `stat`.
    pub fn stat_hints(mut self, on: bool) -> Self {
        self.stat_hints = Some(on);
        self
    }

    /// Whether starting a signal watcher unblocks its signal in the thread that starts it
    /// (`EVFLAG_NOSIGMASK`). Default: yes. Without it the mask is left alone, and a blocked signal does
    /// not come.
    pub fn unblock_signals(mut self, on: bool) -> Self {
        self.unblock_signals = Some(on);
        self
    }

    /// Whether the kernel is asked to tell when the wall clock is set (libev: the reverse of
    /// `EVFLAG_NOTIMERFD`), which takes a descriptor once a periodic is started. Default: yes. Without it
    /// a loop with periodics wakes up once a minute to look.
    pub fn watch_clock_jumps(mut self, on: bool) -> Self {
        self.watch_clock_jumps = Some(on);
        self
    }

    /// Whether the loop's counters are on from the beginning, which has the creation sites of all
    /// watchers kept for the stall watch: see [`EvLoop::metrics`]. Default: no.
    pub fn metrics(mut self, on: bool) -> Self {
        self.metrics = on;
        self
    }

    /// Has the loop do without process descriptors, as on a kernel that has none: child watchers rely on
    /// `SIGCHLD` alone. Feature `test-util`.
    #[cfg(feature = "test-util")]
    #[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
    pub fn without_process_descriptors(mut self) -> Self {
        self.process_descriptors = false;
        self
    }

    /// The initial [`set_io_collect`](EvLoop::set_io_collect). Default: zero, off.
    pub fn io_collect(mut self, interval: Duration) -> Self {
        self.io_collect = interval;
        self
    }

    /// The initial [`set_timer_collect`](EvLoop::set_timer_collect). Default: zero, off.
    pub fn timer_collect(mut self, interval: Duration) -> Self {
        self.timer_collect = interval;
        self
    }

    /// Whether the loop's time is read again at the first timer start of an iteration's callbacks.
    /// Default: no.
    ///
    /// A timer is relative to the loop's time, which stands still during callbacks; one started
    /// after a long computation is short by that computation. With this option it is not, for one
    /// more clock reading in iterations that start timers. For a single timer there is
    /// [`start_from_real_now`](crate::Timer::start_from_real_now).
    pub fn fresh_timers(mut self, on: bool) -> Self {
        self.fresh_timers = on;
        self
    }

    /// Has the loop live on a mock clock. Feature `test-util`.
    #[cfg(feature = "test-util")]
    #[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
    pub fn mock_clock(mut self, clock: &crate::testing::MockClock) -> Self {
        self.clock = Some(clock.clone());
        self
    }

    /// Has the loop hear from a script instead of a kernel. Feature `test-util`.
    #[cfg(feature = "test-util")]
    #[cfg_attr(docsrs, doc(cfg(feature = "test-util")))]
    pub fn script(mut self, script: &crate::testing::Script) -> Self {
        self.script = Some(script.clone());
        self
    }

    /// Makes the loop.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Create`] when none of the backends works, with the last one's refusal as its
    /// source.
    pub fn build(self) -> Result<EvLoop> {
        let refused = |e| Error::os(ErrorKind::Create, "creating an event loop", e);
        let bell = Arc::new(Bell::new().map_err(refused)?);
        let shared = Arc::new(Shared::new(Arc::clone(&bell)));
        crate::sys::fork::watch().map_err(refused)?;
        let clock = self.make_clock();
        let flags = self.flags();
        let options = Options {
            follow_fork: self.follow_fork.unwrap_or(flags.follow_fork),
            stat_hints: self.stat_hints.unwrap_or(!flags.no_stat_hints),
            unblock_signals: self.unblock_signals.unwrap_or(!flags.no_unblock_signals),
            watch_clock_jumps: self.watch_clock_jumps.unwrap_or(!flags.no_watch_clock_jumps),
        };
        #[cfg(feature = "test-util")]
        if let Some(script) = &self.script {
            let poller = script.poller();
            return Ok(self.finish(EvLoop::assemble(poller, None, shared, clock, options)));
        }
        let candidates = if !self.backends.is_empty() {
            &self.backends[..]
        } else if !flags.backends.is_empty() {
            &flags.backends[..]
        } else {
            Backend::recommended()
        };
        let mut last = std::io::ErrorKind::Unsupported.into();
        for &backend in candidates {
            match backend.open(&bell) {
                Ok(poller) => {
                    let ev = EvLoop::assemble(poller, Some(backend), shared, clock, options);
                    return Ok(self.finish(ev));
                }
                Err(e) => last = e,
            }
        }
        Err(refused(last))
    }

    /// What the environment asks for, if it may.
    fn flags(&self) -> Flags {
        let trusted = self.env && !crate::sys::secure::raised_privileges();
        let text = if trusted { env::var("EVLOOP_FLAGS").ok() } else { None };
        text.and_then(|text| parse(&text)).unwrap_or_default()
    }

    #[cfg(feature = "test-util")]
    fn make_clock(&self) -> Clock {
        match &self.clock {
            Some(clock) => Clock::mocked(clock.mock()),
            None => Clock::new(),
        }
    }

    #[cfg(not(feature = "test-util"))]
    #[expect(clippy::unused_self, reason = "with `test-util` it looks for a mock")]
    fn make_clock(&self) -> Clock {
        Clock::new()
    }

    fn finish(&self, mut ev: EvLoop) -> EvLoop {
        ev.io_collect = nanos(self.io_collect);
        ev.timer_collect = nanos(self.timer_collect);
        ev.fresh_timers = self.fresh_timers;
        ev.set_metrics(self.metrics);
        #[cfg(feature = "test-util")]
        {
            // Where there is no kernel, no descriptor tells of a child.
            ev.children.descriptors = self.process_descriptors && ev.backend.is_some();
        }
        ev
    }
}

/// What `EVLOOP_FLAGS` says.
#[derive(Default, PartialEq, Debug)]
struct Flags {
    backends: Vec<Backend>,
    follow_fork: bool,
    no_stat_hints: bool,
    no_unblock_signals: bool,
    no_watch_clock_jumps: bool,
}

/// `None` if there is a word that means nothing.
fn parse(text: &str) -> Option<Flags> {
    let mut flags = Flags::default();
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        match word {
            "follow-fork" => flags.follow_fork = true,
            "no-stat-hints" => flags.no_stat_hints = true,
            "no-unblock-signals" => flags.no_unblock_signals = true,
            "no-watch-clock-jumps" => flags.no_watch_clock_jumps = true,
            name => {
                let mut known = Backend::available().iter().copied();
                flags.backends.push(known.find(|backend| backend.name() == name)?);
            }
        }
    }
    Some(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_names_and_one_bad_name_spoils_all() {
        use Backend::{Epoll, Poll};
        let backends =
            |backends: &[Backend]| Flags { backends: backends.into(), ..Flags::default() };
        for (text, meaning) in [
            ("", Some(backends(&[]))),
            ("poll", Some(backends(&[Poll]))),
            (" poll , epoll,", Some(backends(&[Poll, Epoll]))),
            ("follow-fork,poll", Some(Flags { follow_fork: true, ..backends(&[Poll]) })),
            ("no-stat-hints", Some(Flags { no_stat_hints: true, ..Flags::default() })),
            (
                "no-unblock-signals,no-watch-clock-jumps",
                Some(Flags {
                    no_unblock_signals: true,
                    no_watch_clock_jumps: true,
                    ..Flags::default()
                }),
            ),
            ("poll,kqueue", None),
            ("Poll", None),
            ("4", None),
        ] {
            assert_eq!(parse(text), meaning, "{text:?}");
        }
    }
}
