//! Dialling: from an address to a connected socket.

// A *call* is one dial, from the address to the one report; it lies in a table of the loop's under its id,
// and the id is all that the watchers' closures hold: a call that was cancelled or has ended is not found
// by them. Whoever works on a call takes it out of the table and puts it back, so nothing is borrowed
// while watchers are made or freed.
//
// A call has up to three stages: the name is resolved; the addresses race each other (RFC 8305); and, where
// it ended inside of somebody's `dial`, the report waits for the loop to deliver it.
//
// The sockets of attempts under way belong to the watchers that wait for them, or to the call: either way
// they are closed when the loop is dropped.

mod attempt;
mod call;
mod error;
mod options;
mod order;
mod race;

pub(super) use error::reason_of;
pub use error::{Attempt, ConnectError};
pub use options::{ConnectOptions, Family};

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd, ioctl_fionbio};
use rustix::net::sockopt;

use self::attempt::watch;
use self::call::{
    Call, Naming, Stage, draw_id, named, release, settle_later, take, watch_the_time,
};
use self::race::{Open, Race, Winner, advance};
use super::socket::Target;
use super::{Address, Place, Scheme, resolve};
use crate::{Error, ErrorKind, EvLoop, Result};

const CONNECTING: &str = "connecting";

/// A connected socket: non-blocking, closed on exec, otherwise as the system made it.
#[derive(Debug)]
pub(super) struct Dialed {
    pub(super) socket: OwnedFd,
    /// Whom it is connected to: of a name's addresses the one.
    #[cfg_attr(not(test), expect(dead_code, reason = "streams ask the socket"))]
    pub(super) address: Address,
    /// What was tried in vain, in the order it was begun.
    #[cfg_attr(not(test), expect(dead_code, reason = "it worked in the end"))]
    pub(super) failed: Vec<Attempt>,
}

/// The key of a dial.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Dial(u64);

/// Connects to `to`. From the loop `on_resolved` is called if there was a name to resolve and it has
/// addresses, then `done`, unless it is cancelled; neither from inside this call.
///
/// # Errors
///
/// `InvalidInput` for port 0, a `udp://` address, and a number of a family that the options exclude; `Forked`.
/// Everything else is told to `done`.
pub(super) fn dial(
    ev: &mut EvLoop,
    to: &Address,
    options: &ConnectOptions,
    on_resolved: impl FnOnce(&mut EvLoop) + 'static,
    done: impl FnOnce(&mut EvLoop, Result<Dialed>) + 'static,
) -> Result<Dial> {
    ev.be_unforked(CONNECTING)?;
    if to.scheme() == Some(Scheme::Udp) {
        return Err(invalid("there are no connections by UDP"));
    }
    if to.port() == Some(0) {
        return Err(invalid("there is no connecting to port 0"));
    }
    let plan = options.plan();
    let mut race = Race::new(plan, options.delay);
    let mut asked = None;
    match to.place() {
        Place::Name { host, port } => asked = Some((host.clone(), *port)),
        Place::Any(port) => {
            let (v6, v4) = (Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into());
            let here = [v6, v4].map(|ip: IpAddr| SocketAddr::new(ip, *port));
            race.waiting = plan.order(here);
        }
        place => match Target::of(place) {
            Ok(Some(Target::Ip(address))) => race.waiting = plan.order([address]),
            Ok(Some(target)) => race.waiting.push_back(target),
            Ok(None) => return Err(invalid("it is not clear what is to be connected to")),
            // Such as a zone that there is not, just now.
            Err(error) => race.fail(0, Some(to.clone()), error),
        },
    }
    if asked.is_none() && race.waiting.is_empty() && race.failed.is_empty() {
        return Err(invalid("the address is of a family that the options exclude"));
    }
    let to = to.clone();
    let done = move |ev: &mut EvLoop, outcome: Result<Winner>| {
        let dialed = outcome.map(|Winner { socket, address, failed }| {
            let address = address.unwrap_or(to);
            Dialed { socket, address, failed }
        });
        done(ev, dialed);
    };
    let id = draw_id();
    let limit = watch_the_time(ev, id, options.limit);
    let Some((host, port)) = asked else {
        let outcome = advance(ev, id, &mut race);
        let call = Call { stage: Stage::Racing(race), limit, done: Box::new(done) };
        settle_later(ev, id, call, outcome);
        return Ok(Dial(id));
    };
    let mut refused = None;
    let mut question = None;
    if let Some(addresses) = options.hinted(&host) {
        ev.defer(move |ev| named(ev, id, Ok(addresses)));
    } else {
        let told = move |ev: &mut EvLoop, answer| named(ev, id, answer);
        match resolve::ask(ev, &host, options.resolve_limit, told) {
            Ok(asked) => question = Some(asked),
            Err(error) => refused = Some(Err(error)),
        }
    }
    let naming = Naming { host, port, question, race, on_resolved: Box::new(on_resolved) };
    let call = Call { stage: Stage::Naming(naming), limit, done: Box::new(done) };
    settle_later(ev, id, call, refused);
    Ok(Dial(id))
}

/// Waits for the completion of a connection that somebody else has begun, as long as the options allow. The
/// socket is made non-blocking and is closed on exec. One that is connected already is fine.
///
/// # Errors
///
/// `InvalidInput` for what is not a socket, and for one that listens; `Forked`. Everything else is told to
/// `done`; the source is the system's error itself, since it is not known whom it is about.
pub(super) fn dial_adopted(
    ev: &mut EvLoop,
    socket: OwnedFd,
    options: &ConnectOptions,
    done: impl FnOnce(&mut EvLoop, Result<OwnedFd>) + 'static,
) -> Result<Dial> {
    ev.be_unforked(CONNECTING)?;
    if sockopt::socket_acceptconn(&socket).map_err(unfit)? {
        return Err(invalid("the socket listens"));
    }
    let flags = fcntl_getfd(&socket).map_err(unfit)?;
    fcntl_setfd(&socket, flags | FdFlags::CLOEXEC).map_err(unfit)?;
    ioctl_fionbio(&socket, true).map_err(unfit)?;
    let id = draw_id();
    let limit = watch_the_time(ev, id, options.limit);
    let mut race = Race::new(options.plan(), options.delay);
    let outcome = match watch(ev, id, 0, socket) {
        Ok(wait) => {
            race.open.push(Open { number: 0, target: None, wait });
            None
        }
        Err(error) => {
            race.fail(0, None, error);
            Some(Err(race.error(ErrorKind::Connect)))
        }
    };
    let done = |ev: &mut EvLoop, outcome: Result<Winner>| done(ev, outcome.map(|won| won.socket));
    let call = Call { stage: Stage::Racing(race), limit, done: Box::new(done) };
    settle_later(ev, id, call, outcome);
    Ok(Dial(id))
}

impl Dial {
    /// Gives it up: all its sockets are closed, and what was to be called is dropped.
    ///
    /// Returns whether it was under way: not cancelled, and `done` not called yet.
    pub(super) fn cancel(self, ev: &mut EvLoop) -> bool {
        let Some(Call { stage, limit, done }) = take(ev, self.0) else { return false };
        limit.free(ev);
        release(ev, stage);
        drop(done);
        true
    }

    /// Whether `done` is still to be called.
    #[cfg(test)]
    pub(super) fn is_active(self, ev: &EvLoop) -> bool {
        ev.local_if_made::<call::Calls>()
            .is_some_and(|calls| calls.0.borrow().contains_key(&self.0))
    }
}

#[cold]
fn invalid(why: &'static str) -> Error {
    Error::caused(ErrorKind::InvalidInput, CONNECTING, why.into())
}

#[cold]
fn unfit(errno: Errno) -> Error {
    Error::os(ErrorKind::InvalidInput, CONNECTING, errno.into())
}

#[cfg(test)]
mod tests;
