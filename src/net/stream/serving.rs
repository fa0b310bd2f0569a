//! Streams of a server, which begin otherwise.
//!
//! A client has most likely sent what it connected for by the time it is accepted. So the descriptor is read as if the system
//! had reported it, in the same iteration, and watched from when the stream first has to wait: who is answered and gone
//! before that costs no word with the system about it. And such a stream tells what is out of the ordinary, not that it has begun.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::cell::{StreamCell, flag};
use super::open::{self, Raw};
use super::times::nanos;
use super::{Handler, Stream, StreamEvent};
use crate::net::{Accepted, Permit};
use crate::{EvLoop, Events, Result};

/// Makes a stream of an accepted connection, which its listener counts until it is closed.
///
/// It is [quiet](Stream::set_quiet), [notices hang-ups](Stream::set_watch_hangup), and has this read time-out.
pub(crate) fn serve_accepted(
    ev: &mut EvLoop,
    accepted: Accepted,
    read_limit: Option<Duration>,
    handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
) -> Stream {
    let (socket, permit) = accepted.into_parts();
    // Nagle's algorithm was turned off by the listener.
    let raw = Raw::Socket(socket);
    let flags = flag::ACCEPTED | flag::UNSTARTED;
    let cell = begin(ev, raw, flags, Some(permit), read_limit, Box::new(handler));
    let io = cell.state.borrow().transport.io();
    if let Some(io) = io {
        // As if the system had said so.
        io.feed(ev, Events::READ);
    }
    cell.key
}

/// The same of any descriptor of a connection, which waits until the system says that something has come: it may be given
/// outside of a run, when the loop's time is not what it is when it runs.
///
/// # Errors
///
/// As for [`EvLoop::stream`].
pub(crate) fn serve_given(
    ev: &mut EvLoop,
    fd: OwnedFd,
    read_limit: Option<Duration>,
    handler: impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static,
) -> Result<Stream> {
    let raw = open::prepare_for(ev, fd)?;
    Ok(begin(ev, raw, 0, None, read_limit, Box::new(handler)).key)
}

fn begin(
    ev: &mut EvLoop,
    raw: Raw,
    flags: u64,
    permit: Option<Permit>,
    read_limit: Option<Duration>,
    handler: Handler,
) -> Rc<StreamCell> {
    const SERVED: u64 = flag::QUIET | flag::WATCHED;
    let (hub, cell) = open::new(ev, handler, flags | SERVED, 0);
    {
        let mut state = cell.state.borrow_mut();
        // Who serves it knows that it has begun.
        state.news = 0;
        state.permit = permit;
        state.read_timeout = nanos(read_limit);
    }
    open::attach(ev, &hub, &cell, raw);
    cell
}
