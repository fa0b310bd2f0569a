//! A backend that is told what to report.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::rc::Rc;
use std::time::Duration;

use crate::Io;
use crate::backend::{Poller, Reports, Wait};
use crate::event::{Events, Interest};

/// A script for [`Builder::script`](crate::Builder::script). Clones are the same script.
///
/// What is scripted happens in the order it was written, one step per wait; readiness given in a row
/// is one step, reported together. When the script is at its end, a wait with a time-out passes it, and
/// a wait without one is [`ErrorKind::Stuck`](crate::ErrorKind::Stuck), unless somebody still holds a
/// [`Remote`](crate::Remote) or [`Notifier`](crate::Notifier), who is waited for.
///
/// ```
/// use evloop::testing::Script;
/// use evloop::{ErrorKind, Events, EvLoop, Interest};
///
/// let script = Script::new();
/// let mut ev = EvLoop::builder().script(&script).build()?;
/// let input = ev.io(evloop::stdin()?, Interest::READ, |ev, e| {
///     assert_eq!(e.ready, Events::READ);
///     e.watcher.stop(ev);
/// });
/// input.start(&mut ev)?;
/// script.ready(input, Events::READ);
/// ev.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Not guaranteed
///
/// Readiness is for one wait, as if the program had dealt with it: script it again for a program that
/// leaves it.
#[derive(Clone, Default)]
pub struct Script(Rc<RefCell<State>>);

#[derive(Default)]
struct State {
    steps: VecDeque<Step>,
    refusals: VecDeque<i32>,
    waits: Vec<Option<Duration>>,
    changes: Vec<(RawFd, Interest)>,
    /// What is registered: number, name of the watcher first behind it, interest, generation.
    registered: Vec<Registered>,
    /// Which number a watcher stands behind.
    names: Vec<(u64, RawFd)>,
}

struct Registered {
    fd: RawFd,
    interest: Interest,
    generation: u32,
}

enum Step {
    Ready(Vec<(u64, Events)>),
    Fail(i32),
}

impl Script {
    /// An empty script.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The next wait that is not scripted yet reports that a watcher's descriptor is ready. Every
    /// watcher of that descriptor is told what it asked for of that; if none of it is registered,
    /// nobody is.
    ///
    /// The watcher must be started by the time of the wait.
    pub fn ready(&self, watcher: Io, events: Events) {
        let step = (watcher.name(), events);
        let steps = &mut self.0.borrow_mut().steps;
        match steps.back_mut() {
            Some(Step::Ready(together)) => together.push(step),
            _ => steps.push_back(Step::Ready(vec![step])),
        }
    }

    /// A wait fails with this error number.
    pub fn fail_wait(&self, errno: i32) {
        self.0.borrow_mut().steps.push_back(Step::Fail(errno));
    }

    /// A wait is interrupted by a signal.
    pub fn interrupt(&self) {
        self.fail_wait(libc::EINTR);
    }

    /// The next change of a registration fails with this error number.
    pub fn fail_register(&self, errno: i32) {
        self.0.borrow_mut().refusals.push_back(errno);
    }

    /// How long each wait so far would have been at most; `None` for one without end.
    #[must_use]
    pub fn waits(&self) -> Vec<Option<Duration>> {
        self.0.borrow().waits.clone()
    }

    /// Each change of a registration so far: one system call each, with a real backend. Nothing asked
    /// for means removed.
    #[must_use]
    pub fn changes(&self) -> Vec<(RawFd, Interest)> {
        self.0.borrow().changes.clone()
    }

    pub(crate) fn poller(&self) -> Box<dyn Poller> {
        Box::new(Scripted(self.clone()))
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.0.borrow();
        f.debug_struct("Script")
            .field("steps_left", &state.steps.len())
            .field("waits", &state.waits.len())
            .finish_non_exhaustive()
    }
}

struct Scripted(Script);

impl Poller for Scripted {
    fn modify(
        &mut self,
        fd: BorrowedFd<'_>,
        _old: Interest,
        new: Interest,
        generation: u32,
    ) -> io::Result<()> {
        let fd = fd.as_raw_fd();
        let mut state = self.0.0.borrow_mut();
        state.changes.push((fd, new));
        if let Some(errno) = state.refusals.pop_front() {
            return Err(io::Error::from_raw_os_error(errno));
        }
        state.registered.retain(|r| r.fd != fd);
        if !new.is_empty() {
            state.registered.push(Registered { fd, interest: new, generation });
        }
        Ok(())
    }

    fn wait(&mut self, wait: Wait, reports: &mut Reports) -> io::Result<()> {
        reports.clear();
        let mut state = self.0.0.borrow_mut();
        state.waits.push(match wait {
            Wait::Now => Some(Duration::ZERO),
            Wait::For(nanos) => Some(Duration::from_nanos(nanos)),
            Wait::Forever => None,
        });
        match state.steps.pop_front() {
            None if wait == Wait::Forever => Err(io::ErrorKind::WouldBlock.into()),
            None => Ok(()),
            Some(Step::Fail(errno)) => Err(io::Error::from_raw_os_error(errno)),
            Some(Step::Ready(together)) => {
                for (name, events) in together {
                    let Some(&(_, fd)) = state.names.iter().rev().find(|(n, _)| *n == name) else {
                        continue;
                    };
                    if let Some(r) = state.registered.iter().find(|r| r.fd == fd) {
                        let asked = r.interest.told();
                        let bits = events & (asked | Events::ERROR);
                        if !bits.is_empty() {
                            reports.push_events(fd as u32, r.generation, bits);
                        }
                    }
                }
                Ok(())
            }
        }
    }

    fn reset(&mut self) -> io::Result<()> {
        self.0.0.borrow_mut().registered.clear();
        Ok(())
    }

    fn introduce(&mut self, name: u64, fd: RawFd) {
        let names = &mut self.0.0.borrow_mut().names;
        names.retain(|(n, _)| *n != name);
        names.push((name, fd));
    }
}
