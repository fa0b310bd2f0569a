//! One attempt: a socket, asked to connect, until it is connected or has failed.
//!
//! A Unix socket whose queue is full says so at once and tells nobody when there is room, so it is
//! asked again after a pause. Whom a socket is connected to is looked at before it counts.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketAddrAny, SocketType, getpeername, getsockname, sockopt};

use super::call::{Call, Stage, put, settle, start_timer, take_attempt};
use super::order::Plan;
use super::race::{Open, Standing, Wait, advance};
use crate::net::socket::{Target, take_error};
use crate::{EvLoop, Interest};

/// How long a Unix socket that cannot take us in is left alone: at first, and at most.
const PAUSE: Duration = Duration::from_millis(1);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// More interruptions in a row are not by signals.
const INTERRUPTIONS: usize = 16;

pub(super) fn attempt(
    ev: &mut EvLoop,
    id: u64,
    number: usize,
    target: &Target,
    plan: Plan,
) -> io::Result<Standing> {
    let socket = target.socket(SocketType::STREAM)?;
    if let Target::Ip(address) = target {
        if let Some(local) = plan.from(address) {
            // With port 0 this takes a port of its own from the system's range, whoever the peer is: rustix
            // does not offer IP_BIND_ADDRESS_NO_PORT, which would leave the choice to `connect`.
            Target::Ip(local).bind(&socket)?;
        }
    }
    push(ev, id, number, socket, target, PAUSE)
}

/// Asks the system for the connection.
fn push(
    ev: &mut EvLoop,
    id: u64,
    number: usize,
    socket: OwnedFd,
    target: &Target,
    pause: Duration,
) -> io::Result<Standing> {
    for _ in 0..INTERRUPTIONS {
        let Err(error) = target.connect(&socket) else {
            check_peer(&socket)?;
            return Ok(Standing::Connected(socket));
        };
        match (Errno::from_io_error(&error), target) {
            (Some(Errno::INTR), _) => {}
            // After an interruption it says that it is connecting already, or has done so.
            (Some(Errno::INPROGRESS | Errno::ALREADY), _) => {
                return Ok(Standing::Waits(watch(ev, id, number, socket)?));
            }
            (Some(Errno::ISCONN), _) => {
                check_peer(&socket)?;
                return Ok(Standing::Connected(socket));
            }
            (Some(Errno::AGAIN), Target::Unix(_)) => {
                let timer = start_timer(ev, pause, move |ev| look_for_room(ev, id, number));
                return Ok(Standing::Waits(Wait::Room { timer, socket, pause }));
            }
            _ => return Err(error),
        }
    }
    Err(Errno::INTR.into())
}

pub(super) fn watch(ev: &mut EvLoop, id: u64, number: usize, socket: OwnedFd) -> io::Result<Wait> {
    let looks = move |ev: &mut EvLoop, socket, _| look(ev, id, number, socket);
    Ok(Wait::System(ev.once(socket, Interest::WRITE, None, looks)?))
}

/// A socket that was connecting is writable.
pub(super) fn look(ev: &mut EvLoop, id: u64, number: usize, socket: OwnedFd) {
    let Some((call, open)) = take_attempt(ev, id, number) else { return };
    let standing = match is_connected(&socket) {
        Ok(true) => Ok(Standing::Connected(socket)),
        Ok(false) => watch(ev, id, number, socket).map(Standing::Waits),
        Err(error) => Err(error),
    };
    go_on(ev, id, call, (number, open.target), standing);
}

/// A Unix socket's queue was full a moment ago.
fn look_for_room(ev: &mut EvLoop, id: u64, number: usize) {
    let Some((mut call, open)) = take_attempt(ev, id, number) else { return };
    match (open.wait, open.target) {
        (Wait::Room { timer, socket, pause }, Some(target)) => {
            timer.free(ev);
            let pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            let standing = push(ev, id, number, socket, &target, pause);
            go_on(ev, id, call, (number, Some(target)), standing);
        }
        (wait, target) => {
            if let Stage::Racing(race) = &mut call.stage {
                race.open.push(Open { number, target, wait });
            }
            put(ev, id, call);
        }
    }
}

/// An attempt stands somewhere else than before.
fn go_on(
    ev: &mut EvLoop,
    id: u64,
    mut call: Call,
    (number, target): (usize, Option<Target>),
    standing: io::Result<Standing>,
) {
    let Stage::Racing(race) = &mut call.stage else { return put(ev, id, call) };
    let outcome = match standing {
        Ok(Standing::Connected(socket)) => Some(Ok(race.won(socket, target))),
        Ok(Standing::Waits(wait)) => {
            race.open.push(Open { number, target, wait });
            None
        }
        Err(error) => {
            race.fail(number, target.as_ref().map(Target::address), error);
            advance(ev, id, race)
        }
    };
    settle(ev, id, call, outcome);
}

/// Whether a socket that was found writable is connected; if not, it was called too early.
fn is_connected(socket: &OwnedFd) -> io::Result<bool> {
    take_error(socket)?;
    match check_peer(socket) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOTCONN) => {
            // Somebody fed the event; or somebody else has taken the error, which leaves it writable.
            let mut polled = [PollFd::new(socket, PollFlags::OUT)];
            let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
            if poll(&mut polled, Some(&at_once))? == 0 { Ok(false) } else { Err(error) }
        }
        checked => checked.map(|()| true),
    }
}

/// A connection to a port of this machine that nobody listens on, and that the system happens to have chosen as
/// our own, is one to itself (RFC 9293, simultaneous open). Nobody is there, and as long as it lasts nobody
/// can be.
fn check_peer(socket: &OwnedFd) -> io::Result<()> {
    let ip = |address: SocketAddrAny| {
        SocketAddr::try_from(address).ok().map(|address| (address.ip(), address.port()))
    };
    let peer = getpeername(socket)?.and_then(ip);
    if peer.is_some() && peer == ip(getsockname(socket)?) {
        // Without this the port would be in TIME_WAIT.
        sockopt::set_socket_linger(socket, Some(Duration::ZERO))?;
        return Err(Errno::CONNREFUSED.into());
    }
    Ok(())
}
