//! The race of the addresses: who has begun, who waits, who has failed, and when the next begins.
//!
//! An attempt is in one place at a time: it waits its turn, is under way, or has failed. As long as the race goes
//! on one is under way.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::Duration;
use std::{io, mem};

use super::attempt::attempt;
use super::call::{Stage, settle, start_timer, take};
use super::order::Plan;
use super::{Attempt, CONNECTING, ConnectError};
use crate::net::Address;
use crate::net::socket::Target;
use crate::{Error, ErrorKind, EvLoop, Io, Result, Timer};

/// Addresses are tried. As long as it goes on an attempt is under way.
pub(super) struct Race {
    pub(super) plan: Plan,
    pub(super) delay: Duration,
    pub(super) waiting: VecDeque<Target>,
    /// How many attempts were begun; they are numbered in this order.
    begun: usize,
    pub(super) open: Vec<Open>,
    pub(super) failed: Vec<Failed>,
    /// Begins the next attempt beside those that are under way.
    pub(super) next: Option<Timer>,
}

pub(super) struct Open {
    pub(super) number: usize,
    /// `None` for an adopted socket.
    pub(super) target: Option<Target>,
    pub(super) wait: Wait,
}

/// What an attempt waits for.
pub(super) enum Wait {
    /// The system. The watcher owns the socket.
    System(Io),
    /// Room in the queue of a Unix socket, which nobody is told of: the timer looks again.
    Room { timer: Timer, socket: OwnedFd, pause: Duration },
}

pub(super) struct Failed {
    number: usize,
    address: Option<Address>,
    error: io::Error,
}

pub(super) struct Winner {
    pub(super) socket: OwnedFd,
    pub(super) address: Option<Address>,
    pub(super) failed: Vec<Attempt>,
}

/// How an attempt stands.
pub(super) enum Standing {
    Connected(OwnedFd),
    Waits(Wait),
}

impl Wait {
    pub(super) fn end(self, ev: &mut EvLoop) {
        match self {
            Self::System(io) => io.free(ev),
            Self::Room { timer, .. } => timer.free(ev),
        };
    }
}

impl Race {
    pub(super) fn new(plan: Plan, delay: Duration) -> Self {
        let (waiting, open, failed) = (VecDeque::new(), Vec::new(), Vec::new());
        Self { plan, delay, waiting, begun: 0, open, failed, next: None }
    }

    pub(super) fn take_open(&mut self, number: usize) -> Option<Open> {
        let place = self.open.iter().position(|open| open.number == number)?;
        Some(self.open.remove(place))
    }

    pub(super) fn fail(&mut self, number: usize, address: Option<Address>, error: io::Error) {
        self.failed.push(Failed { number, address, error });
    }

    pub(super) fn won(&mut self, socket: OwnedFd, target: Option<Target>) -> Winner {
        let (failed, _) = self.take_failed();
        Winner { socket, address: target.as_ref().map(Target::address), failed }
    }

    pub(super) fn error(&mut self, kind: ErrorKind) -> Error {
        match self.take_failed() {
            (_, Some(error)) => Error::os(kind, CONNECTING, error),
            (attempts, None) => {
                Error::caused(kind, CONNECTING, Box::new(ConnectError { attempts }))
            }
        }
    }

    /// The attempts in order; and that of an adopted socket.
    fn take_failed(&mut self) -> (Vec<Attempt>, Option<io::Error>) {
        let mut failed = mem::take(&mut self.failed);
        failed.sort_by_key(|failed| failed.number);
        let mut attempts = Vec::with_capacity(failed.len());
        for Failed { address, error, .. } in failed {
            match address {
                Some(address) => attempts.push(Attempt { address, error }),
                None => return (attempts, Some(error)),
            }
        }
        (attempts, None)
    }
}

pub(super) fn begin_race(ev: &mut EvLoop, id: u64) {
    let Some(mut call) = take(ev, id) else { return };
    let outcome = match &mut call.stage {
        Stage::Racing(race) => advance(ev, id, race),
        Stage::Naming(_) | Stage::Over(_) => None,
    };
    settle(ev, id, call, outcome);
}

/// Begins attempts until one more is under way, or none is left to begin. Returns how the race ended, if it
/// has.
pub(super) fn advance(ev: &mut EvLoop, id: u64, race: &mut Race) -> Option<Result<Winner>> {
    if let Some(next) = race.next.take() {
        next.free(ev);
    }
    while let Some(target) = race.waiting.pop_front() {
        let number = race.begun;
        race.begun += 1;
        match attempt(ev, id, number, &target, race.plan) {
            Ok(Standing::Connected(socket)) => return Some(Ok(race.won(socket, Some(target)))),
            Ok(Standing::Waits(wait)) => {
                race.open.push(Open { number, target: Some(target), wait });
                break;
            }
            Err(error) => race.fail(number, Some(target.address()), error),
        }
    }
    if race.open.is_empty() {
        return Some(Err(race.error(ErrorKind::Connect)));
    }
    if !race.waiting.is_empty() {
        race.next = Some(start_timer(ev, race.delay, move |ev| begin_race(ev, id)));
    }
    None
}
