//! A connection becomes something else.

use std::rc::Rc;

use super::completing::Completing;
use super::connection::{At, conn_flag};
use super::exchange::flag;
use super::reply::gone;
use super::response::Outline;
use super::service::Service;
use super::stats::index_of;
use super::stopping::Leaving;
use super::{CompletionReason, ConnectionEvent, calling, completing};
use crate::net::{Reason, Stream};
use crate::wire::{self, Status};
use crate::{Error, ErrorKind, EvLoop, Result};

/// Answers 101 and forgets the connection.
pub(super) fn upgrade(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    serial: u32,
    outline: &Outline,
    protocol: &str,
) -> Result<Stream> {
    const UPGRADING: &str = "taking a connection over";
    let refused =
        |cause: &'static str| Err(Error::caused(ErrorKind::InvalidInput, UPGRADING, cause.into()));
    let checked = outline.check();
    let mut state = service.state.borrow_mut();
    let now = ev.now_nanos();
    let Some(exchange) =
        state.open_exchange(at, serial).filter(|exchange| exchange.is_unanswered())
    else {
        return Err(gone());
    };
    let wants = exchange.has(flag::UPGRADES);
    let has_body = !exchange.has(flag::BODY_DONE) && exchange.decoder.remaining() != Some(0);
    let wrong = checked.err().map(Err).or_else(|| {
        if !wants {
            Some(refused("the client has not asked for it"))
        } else if has_body {
            Some(refused("the request has a body"))
        } else if !wire::is_field_value(protocol.as_bytes()) || protocol.is_empty() {
            Some(refused("no name of a protocol"))
        } else {
            None
        }
    });
    if let Some(wrong) = wrong {
        drop(state);
        super::sending::refuse_reply(ev, service, at, serial);
        return wrong;
    }
    let super::service::State { scratch, date, .. } = &mut *state;
    scratch.clear();
    wire::status_line(scratch, Status::SWITCHING_PROTOCOLS);
    if service.options.date {
        scratch.extend_from_slice(date.line(now, || ev.wall_now()));
    }
    scratch.extend_from_slice(b"Connection: upgrade\r\nUpgrade: ");
    scratch.extend_from_slice(protocol.as_bytes());
    scratch.extend_from_slice(b"\r\n");
    scratch.extend_from_slice(&outline.lines);
    scratch.extend_from_slice(b"\r\n");
    if let Err(error) = at.stream.write_anyway(ev, scratch) {
        // Nobody else has the right to answer any more.
        at.stream.reset(ev);
        return Err(error);
    }
    let len = scratch.len() as u64;
    let Some(conn) = state.conn(at) else { return Err(gone()) };
    let was_deaf = conn.has(conn_flag::DEAF);
    let mut conn = state.conns.remove(at.index as usize);
    let is_limited = service.options.capacity.connections != 0;
    let place = is_limited.then(|| state.apart.enter());
    state.counters.completions[index_of(CompletionReason::Ok)] += u64::from(conn.unsent);
    if let Some(info) = at.stream.info(ev) {
        // Some of the head may still wait to leave; what follows it is counted by nobody here.
        state.counters.bytes_in += info.bytes_in;
        state.counters.bytes_out += info.bytes_out + at.stream.output_len(ev) as u64;
    }
    drop(state);
    let leaving = Leaving::begin(service);
    // Those before it have been answered.
    let mut more = conn.more.take().map(|more| *more).unwrap_or_default();
    if let Some(counted) = more.counted.take() {
        // It is its address's for as long as it is there.
        at.stream.set_data(ev, counted);
    }
    if let Some(place) = place {
        // And one of the connections there may be.
        at.stream.set_data(ev, place);
    }
    let mut done = more.outstanding.into_all();
    if let Some(mut exchange) = conn.exchange.take() {
        exchange.status = Some(Status::SWITCHING_PROTOCOLS);
        exchange.bytes_out += len;
        exchange.head_out = usize::try_from(len).unwrap_or(usize::MAX);
        let mut hooks = exchange.hooks.take();
        let reason = CompletionReason::Upgraded;
        done.push_back(Completing::of(&exchange, reason, hooks.as_deref_mut()));
        let request = exchange.request.take();
        exchange.reset();
        service.state.borrow_mut().give_exchange(exchange);
        drop((request, hooks));
    }
    let stream = at.stream;
    stream.set_read_timeout(ev, None);
    stream.set_timer(ev, None);
    stream.set_quiet(ev, false);
    stream.set_watch_hangup(ev, false);
    if conn.has(conn_flag::WRITE_TIMED) {
        stream.set_write_timeout(ev, None);
    }
    if was_deaf {
        stream.enable_read(ev);
    }
    // For the handler that it gets now, to see what has come already.
    stream.trigger_received(ev, false);
    if conn.has(conn_flag::ENDED) {
        // Or it would wait for a client that has left long ago.
        stream.tell_eof_again(ev);
    }
    // Whoever takes it over is called himself: nobody else is before he is done.
    let service = Rc::clone(service);
    ev.defer(move |ev| {
        for completing in done {
            completing::complete(ev, &service, completing);
        }
        calling::connection(ev, &service, stream, ConnectionEvent::Closed(Reason::HandedOff));
        leaving.end(ev);
        service.raise();
    });
    Ok(stream)
}
