//! Heads of requests: they are read, and requests begin with them.

use std::cell::RefMut;
use std::rc::Rc;

use super::choosing::choose;
use super::connection::{self, At, Phase, conn_flag};
use super::driving::Step;
use super::exchange::{Exchange, Target, flag};
#[cfg(feature = "tls")]
use super::preface;
use super::service::{Service, State};
use super::stats::index_of;
use super::{CompletionReason, calling, capacity, composing, ending, sending, times};
use crate::EvLoop;
use crate::net::{Buffer, Chunk};
use crate::wire::{BodyDecoder, Fault, Framing, Method, RequestHead, Status, Version};

pub(super) fn read_head(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    mut state: RefMut<'_, State>,
) -> Step {
    let State { conns, spare_exchanges, lent, .. } = &mut *state;
    let Some(conn) = conns.get_mut(at.index as usize).filter(|conn| conn.is_at(at)) else {
        return Step::Wait;
    };
    let fed = if conn.has(conn_flag::STALLED) {
        None
    } else {
        at.stream.with_input(ev, |input| {
            let exchange = match &mut conn.exchange {
                Some(exchange) => exchange,
                none => {
                    *lent += 1;
                    let spare = spare_exchanges.pop();
                    none.insert(spare.unwrap_or_else(|| Exchange::new(service.options.head)))
                }
            };
            feed(exchange, input).map(|done| done.then(|| !input.is_empty()))
        })
    };
    match fed {
        Some(Ok(Some(more))) => begin(ev, service, at, state).followed_by(more),
        Some(Err(fault)) => {
            drop(state);
            ending::refuse(ev, service, at, fault.status(), Some(fault));
            Step::Wait
        }
        None | Some(Ok(None)) => {
            drop(state);
            wait_for_head(ev, service, at)
        }
    }
}

/// Takes what there is of a head. Says whether that is all of it.
#[inline]
fn feed(exchange: &mut Exchange, input: &mut Buffer) -> Result<bool, Fault> {
    loop {
        let Some(Chunk::Bytes(bytes)) = input.chunks().next() else { return Ok(false) };
        let progress = exchange.parser.feed(bytes)?;
        exchange.bytes_in += progress.used as u64;
        input.drain(progress.used);
        if progress.done {
            return Ok(true);
        }
        if progress.used == 0 {
            return Ok(false);
        }
    }
}

pub(super) fn wait_for_head(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    let mut borrowed = service.state.borrow_mut();
    let state = &mut *borrowed;
    let Some(conn) = state.conns.get_mut(at.index as usize).filter(|conn| conn.is_at(at)) else {
        return Step::Wait;
    };
    if conn.has(conn_flag::STALLED) {
        // Who does not take the replies is asked nothing more.
        if at.stream.input_len(ev) >= service.options.read_ahead && !conn.has(conn_flag::DEAF) {
            conn.set(conn_flag::DEAF);
            at.stream.disable_read(ev);
        }
        return Step::Wait;
    }
    let was_deaf = conn.has(conn_flag::DEAF);
    conn.clear(conn_flag::DEAF);
    let parser = conn.exchange.as_ref().map(|exchange| &exchange.parser);
    let (started, fresh) =
        parser.map_or((false, true), |parser| (parser.started(), parser.is_fresh()));
    // Also empty lines are remembered: there may be only so many.
    let spare = if fresh { conn.exchange.take() } else { None };
    if conn.has(conn_flag::ENDED) {
        // Half a request is none: nobody waits for a reply.
        conn.phase = Phase::Closing;
        conn.set(conn_flag::ENDING);
        at.stream.close_after_flush(ev);
        return Step::Wait;
    }
    let is_ending = state.stopping.is_ending();
    let is_new = conn.serial == 0;
    // An old client's empty line behind a body begins nothing; what comes before the first head does.
    let begun = started || is_new && !fresh;
    let first = begun && !conn.has(conn_flag::HEAD_TIMED);
    conn.phase = if started { Phase::Head } else { Phase::Idle };
    if is_ending && !started {
        conn.phase = Phase::Closing;
        conn.set(conn_flag::ENDING);
        at.stream.close_after_flush(ev);
        return Step::Wait;
    }
    if first {
        conn.set(conn_flag::HEAD_TIMED);
    }
    let has_line = conn.exchange.as_ref().is_some_and(|exchange| exchange.parser.has_line());
    if let Some(mut spare) = spare {
        spare.reset();
        state.give_exchange(spare);
    }
    drop(borrowed);
    if was_deaf {
        at.stream.enable_read(ev);
    }
    if first {
        times::time_head(ev, service, at, is_new);
    }
    if let (true, Some(hook)) = (has_line, &service.routes.request_line) {
        calling::request_line(ev, service, at, hook);
    }
    Step::Wait
}

/// A head is complete.
fn begin(ev: &mut EvLoop, service: &Rc<Service>, at: At, mut state: RefMut<'_, State>) -> Step {
    let now = ev.now_nanos();
    let mut parts = state.take_parts();
    let wants_summary = service.wants_summary();
    state.counters.requests += 1;
    let State { conns, counters, .. } = &mut *state;
    let Some(conn) = conns.get_mut(at.index as usize).filter(|conn| conn.is_at(at)) else {
        return Step::Wait;
    };
    if !conn.has(conn_flag::BLOCKED) {
        // What was written before has left, or somebody would have said so.
        counters.completions[index_of(CompletionReason::Ok)] +=
            u64::from(std::mem::take(&mut conn.unsent));
    }
    let Some(exchange) = conn.exchange.as_deref_mut() else { return Step::Wait };
    conn.serial = conn.serial.wrapping_add(1).max(1);
    conn.phase = Phase::Handling;
    exchange.serial = conn.serial;
    exchange.parser.swap_head(&mut parts.head);
    exchange.started = now;
    exchange.body_limit = service.options.max_body;
    exchange.host = 0;
    let head = &parts.head;
    exchange.flags = flags_of(head) | exchange.flags & flag::LINE_TOLD;
    let framing = head.framing();
    if framing == Framing::None {
        exchange.set(flag::BODY_DONE);
    } else {
        exchange.decoder = BodyDecoder::from_framing(framing, service.options.chunks);
        exchange.has_decoder = true;
        exchange.body_begun = ev.running_nanos();
    }
    let refused = choose(service, &mut parts, &mut exchange.target, &mut exchange.host);
    #[cfg(feature = "compress")]
    let refused = match refused {
        Ok(()) if service.has_codings() => look_at_codings(service, &mut parts, exchange),
        refused => refused,
    };
    if wants_summary {
        exchange.started = ev.clock_nanos();
        let mut summary = sending::summary_of(at, &parts);
        if service.routes.details {
            summary.details = Some(Box::new(sending::details_of(ev, service, at, &parts)));
        }
        exchange.hooks().summary = Some(Rc::new(summary));
    }
    let streams = match exchange.target {
        Target::Entry(entry) => service.routes.entries[entry as usize].streams,
        _ => false,
    };
    if streams {
        exchange.body_limit = u64::MAX;
    }
    // There is none; one that is looked for need not be dropped by a call.
    if let Some(old) = exchange.request.replace(parts) {
        drop(old);
    }
    #[cfg(feature = "tls")]
    let is_plain = conn.has(conn_flag::PLAIN);
    let was_timed = conn.has(conn_flag::HEAD_TIMED);
    let is_timed = conn.has(conn_flag::IDLE_TIMED);
    conn.clear(conn_flag::HEAD_TIMED);
    conn.set(conn_flag::IDLE_TIMED);
    let is_plain_head = framing == Framing::None && refused.is_ok() && is_timed && !was_timed;
    #[cfg(feature = "tls")]
    let is_plain_head = is_plain_head && !is_plain;
    if is_plain_head && !service.looks_at_heads() {
        // As it is with most: nobody has a say in it before its handler.
        return calling::handler_in(ev, service, at, state);
    }
    drop(state);
    if was_timed {
        at.stream.set_timer(ev, None);
    }
    if !is_timed {
        at.stream.set_read_timeout(ev, service.options.idle_timeout);
    }
    if let Some(hook) = &service.routes.request_line {
        calling::request_line(ev, service, at, hook);
    }
    #[cfg(feature = "tls")]
    if is_plain {
        return preface::refuse_plain(ev, service, at);
    }
    #[cfg(feature = "tls")]
    let refused = match refused {
        Ok(()) if service.options.matches_server_name && misdirected(ev, service, at) => {
            Err((Status::MISDIRECTED_REQUEST, None))
        }
        refused => refused,
    };
    let refused = if refused.is_ok() && capacity::is_exceeded(ev, service) {
        Err((Status::SERVICE_UNAVAILABLE, None))
    } else {
        refused
    };
    if let Err((status, fault)) = refused {
        ending::refuse(ev, service, at, status, fault);
        return Step::Wait;
    }
    if !service.routes.before.is_empty() && !calling::before(ev, service, at) {
        // A hook that answers later is a handler.
        times::time_handler(ev, service, at);
        return Step::On;
    }
    if framing == Framing::None {
        return calling::handler(ev, service, at);
    }
    let mut state = service.state.borrow_mut();
    let Some(conn) = state.conn(at) else { return Step::Wait };
    let Some(exchange) = conn.exchange.as_deref_mut() else { return Step::Wait };
    let serial = exchange.serial;
    if !matches!(exchange.target, Target::Entry(_)) {
        // Nobody wants the body.
        drop(state);
        return calling::handler(ev, service, at);
    }
    if let Framing::Length(length) = framing {
        if length > exchange.body_limit {
            drop(state);
            let fault = Fault::BodyTooLarge;
            ending::refuse(ev, service, at, fault.status(), Some(fault));
            return Step::Wait;
        }
    }
    // A hook may have taken it.
    let is_taken = exchange.hooks.as_ref().is_some_and(|hooks| hooks.incoming.is_some());
    if streams || is_taken {
        drop(state);
        return calling::handler(ev, service, at);
    }
    conn.phase = Phase::Body;
    exchange.body_started = exchange.body_begun;
    exchange.body_before = 0;
    exchange.body_active = exchange.body_begun;
    drop(state);
    connection::go_on_with_body(ev, service, at, serial);
    Step::On
}

#[cfg(feature = "tls")]
fn misdirected(ev: &EvLoop, service: &Service, at: At) -> bool {
    let authority = {
        let mut state = service.state.borrow_mut();
        let exchange = state.conn(at).and_then(|conn| conn.exchange.as_deref());
        let parts = exchange.and_then(|exchange| exchange.request.as_ref());
        parts.and_then(|parts| parts.head.authority()).unwrap_or_default().to_owned()
    };
    preface::is_misdirected(ev, service, at, &authority)
}

fn flags_of(head: &RequestHead) -> u32 {
    if head.is_plain() && *head.method() != Method::HEAD {
        return flag::KEEPS_ALIVE;
    }
    let mut flags = composing::version_flags(head.version());
    if *head.method() == Method::HEAD {
        flags |= flag::IS_HEAD;
    }
    if head.keeps_alive() {
        flags |= flag::KEEPS_ALIVE;
    }
    if head.expects_continue() {
        flags |= flag::EXPECTS;
    }
    if head.accepts_trailers() {
        flags |= flag::TAKES_TRAILERS;
    }
    if head.upgrade().is_some() && head.version() == Version::Http11 {
        flags |= flag::UPGRADES;
    }
    flags
}

/// What the client can read, and whether it has packed its body.
#[cfg(feature = "compress")]
fn look_at_codings(
    service: &Service,
    parts: &mut super::request::Parts,
    exchange: &mut Exchange,
) -> Result<(), (Status, Option<Fault>)> {
    exchange.set(super::packing::flags_of(service, parts.head.fields()));
    super::unpacking::look(service, parts, exchange).map_err(|fault| (fault.status(), Some(fault)))
}
