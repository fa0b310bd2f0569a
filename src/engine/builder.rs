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
    io_collect: Duration,
    timer_collect: Duration,
    fresh_timers: bool,
    #[cfg(feature = "test-util")]
    clock: Option<crate::testing::MockClock>,
    #[cfg(feature = "test-util")]
    script: Option<crate::testing::Script>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Self {
            backends: Vec::new(),
            env: true,
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
    /// It holds names separated by commas: `epoll` and `poll`. It fills in only what this builder left
    /// open, so an explicit [`backend`](Self::backend) wins. The names `follow-fork`,
    /// `no-stat-hints`, `no-unblock-signals` and `no-watch-clock-jumps` are known too; the watchers
    /// they concern are not there yet. Text that cannot be understood is ignored as a whole, and so is all of it in a process that runs with raised privileges
    /// (set-user-ID and the like). libev's counterpart is `LIBEV_FLAGS`.
    pub fn env(mut self, look: bool) -> Self {
        self.env = look;
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
        let clock = self.make_clock();
        #[cfg(feature = "test-util")]
        if let Some(script) = &self.script {
            let poller = script.poller();
            return Ok(self.finish(EvLoop::assemble(poller, None, shared, clock)));
        }
        let mut last = std::io::ErrorKind::Unsupported.into();
        for backend in self.candidates() {
            match backend.open(&bell) {
                Ok(poller) => {
                    let ev = EvLoop::assemble(poller, Some(backend), shared, clock);
                    return Ok(self.finish(ev));
                }
                Err(e) => last = e,
            }
        }
        Err(refused(last))
    }

    fn candidates(&self) -> Vec<Backend> {
        if !self.backends.is_empty() {
            return self.backends.clone();
        }
        let secure = crate::sys::secure::raised_privileges();
        let asked = if self.env && !secure { env::var("EVLOOP_FLAGS").ok() } else { None };
        asked
            .and_then(|text| parse(&text))
            .filter(|backends| !backends.is_empty())
            .unwrap_or_else(|| Backend::recommended().to_vec())
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
        ev
    }
}

/// Names that are understood and that say nothing about backends.
const OTHER_FLAGS: [&str; 4] =
    ["follow-fork", "no-stat-hints", "no-unblock-signals", "no-watch-clock-jumps"];

/// The backends named, in order; `None` if there is a word that means nothing.
fn parse(flags: &str) -> Option<Vec<Backend>> {
    let words = flags.split(',').map(str::trim);
    words
        .filter(|word| !word.is_empty() && !OTHER_FLAGS.contains(word))
        .map(|word| Backend::available().iter().copied().find(|backend| backend.name() == word))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_names_and_one_bad_name_spoils_all() {
        use Backend::{Epoll, Poll};
        for (text, meaning) in [
            ("", Some(vec![])),
            ("poll", Some(vec![Poll])),
            (" poll , epoll,", Some(vec![Poll, Epoll])),
            ("follow-fork,poll", Some(vec![Poll])),
            ("no-stat-hints", Some(vec![])),
            ("poll,kqueue", None),
            ("Poll", None),
            ("4", None),
        ] {
            assert_eq!(parse(text), meaning, "{text:?}");
        }
    }
}
