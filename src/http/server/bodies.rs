//! Bodies of requests: gathered for their handlers, given to whoever takes them piece by piece, or read for nobody.

use std::rc::Rc;

use super::connection::{At, conn_flag};
use super::driving::{Step, listen, release};
use super::exchange::{Exchange, flag};
use super::incoming::BodyError;
use super::service::Service;
use super::{CompletionReason, calling, ending, telling, times, unpacking};
use crate::EvLoop;
use crate::net::{Buffer, Chunk};
use crate::wire::{BodyDecoder, Fault, Piece};

/// What was found of a body.
pub(super) enum Taken {
    /// All of it.
    End,
    /// Nothing more for now.
    More,
    /// More than is wanted at a time.
    Enough,
    Bad(Fault),
}

/// Gathers a body for its handler.
pub(super) fn gather(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    let now = ev.running_nanos();
    let (found, more) = {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.conn(at).and_then(|conn| conn.exchange.as_deref_mut()) else {
            return Step::Wait;
        };
        let taken =
            at.stream.with_input(ev, |input| (take_body(exchange, input, now), !input.is_empty()));
        // Some bodies are complete before anything of them has come.
        match taken.unwrap_or_else(|| (take_body(exchange, &mut Buffer::new(), now), false)) {
            (Some(found), more) => (found, more),
            (None, _) => return Step::Wait,
        }
    };
    match found {
        Taken::End => {
            times::stop_body(ev, service, at);
            calling::handler(ev, service, at).followed_by(more)
        }
        Taken::Bad(fault) => {
            ending::refuse(ev, service, at, fault.status(), Some(fault));
            Step::Wait
        }
        Taken::More | Taken::Enough => {
            if has_ended(service, at) {
                ending::incomplete(ev, service, at);
            } else {
                // Much may have waited before this request, and then nothing was read.
                listen(ev, service, at, true);
                times::time_body(ev, service, at);
            }
            Step::Wait
        }
    }
}

/// Adds what has come to the body of a request.
fn take_body(exchange: &mut Exchange, input: &mut Buffer, now: u64) -> Option<Taken> {
    if !input.is_empty() {
        exchange.set(flag::BODY_SEEN);
        exchange.body_active = now;
    }
    let parts = exchange.request.as_deref_mut()?;
    let before = input.len();
    let decoder = &mut exchange.decoder;
    let limit = exchange.body_limit;
    let body = &mut parts.body;
    let packed = unpacking::of(exchange.flags, &mut exchange.hooks);
    let (found, came) = match packed {
        Some(unpacker) => unpacker.gather(input, decoder, body, limit),
        None => {
            let found = gather_plain(input, decoder, body, limit);
            (found, body.len() as u64)
        }
    };
    exchange.bytes_in += (before - input.len()) as u64;
    exchange.body_len = came;
    if matches!(found, Taken::End) {
        exchange.flags |= flag::BODY_DONE | flag::BODY_TOLD;
        let trailers = exchange.decoder.take_trailers();
        parts.trailers = (!trailers.is_empty()).then_some(trailers);
    }
    Some(found)
}

fn gather_plain(
    input: &mut Buffer,
    decoder: &mut BodyDecoder,
    body: &mut Vec<u8>,
    limit: u64,
) -> Taken {
    let found = decode(input, decoder, |input, n| {
        if body.len() as u64 + n as u64 > limit {
            return Err(Fault::BodyTooLarge);
        }
        if let Some(Chunk::Bytes(bytes)) = input.chunks().next() {
            body.extend_from_slice(bytes.get(..n).unwrap_or(bytes));
        }
        input.drain(n);
        Ok(true)
    });
    // A chunk that cannot be kept is refused when it is announced.
    let announced = decoder.announced();
    match found {
        Taken::More if body.len() as u64 + announced > limit => Taken::Bad(Fault::BodyTooLarge),
        found => found,
    }
}

pub(super) fn has_ended(service: &Service, at: At) -> bool {
    service.state.borrow_mut().conn(at).is_some_and(|conn| conn.has(conn_flag::ENDED))
}

/// Takes the framing off what is in the input; `data` is given what is left, so many bytes at its beginning, and takes them out.
/// It says whether it wants more.
pub(super) fn decode(
    input: &mut Buffer,
    decoder: &mut BodyDecoder,
    mut data: impl FnMut(&mut Buffer, usize) -> Result<bool, Fault>,
) -> Taken {
    if decoder.is_done() {
        return Taken::End;
    }
    loop {
        let Some(Chunk::Bytes(bytes)) = input.chunks().next() else { return Taken::More };
        match decoder.next(bytes) {
            Ok(Piece::More) => return Taken::More,
            Ok(Piece::Skip(n)) => {
                input.drain(n);
            }
            Ok(Piece::Data(n)) => match data(input, n) {
                Ok(true) => {}
                Ok(false) => return Taken::Enough,
                Err(fault) => return Taken::Bad(fault),
            },
            Ok(Piece::End(n)) => {
                input.drain(n);
                return Taken::End;
            }
            Err(fault) => return Taken::Bad(fault),
        }
        if decoder.is_done() {
            return Taken::End;
        }
    }
}

/// While a request is handled, what comes is kept: up to a point.
pub(super) fn hold_back(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let most = service.options.read_ahead;
    let len = at.stream.input_len(ev);
    let mut state = service.state.borrow_mut();
    let Some(conn) = state.conn(at) else { return };
    let Some(exchange) = conn.exchange.as_deref() else { return };
    let paused = exchange.has(flag::PAUSED);
    let is_wanted = exchange.hooks.as_ref().is_some_and(|hooks| hooks.incoming.is_some())
        && !exchange.has(flag::BODY_DONE)
        && !paused
        && exchange.unread.len() < most;
    if conn.has(conn_flag::DEAF) {
        if is_wanted || len < most && !paused {
            conn.clear(conn_flag::DEAF);
            drop(state);
            at.stream.enable_read(ev);
        }
    } else if !is_wanted && len >= most {
        conn.set(conn_flag::DEAF);
        drop(state);
        at.stream.disable_read(ev);
    }
}

/// Gives what has come of a streamed body to whoever wants it.
pub(super) fn deliver(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    let most = service.options.read_ahead;
    let now = ev.running_nanos();
    let (found, has_data, is_packed, serial) = {
        let mut input = at.stream.input(ev);
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.conn(at).and_then(|conn| conn.exchange.as_deref_mut()) else {
            return Step::Wait;
        };
        if !input.is_empty() {
            exchange.set(flag::BODY_SEEN);
            exchange.body_active = now;
        }
        let before = input.len();
        let had = exchange.unread.len();
        let packed = unpacking::of(exchange.flags, &mut exchange.hooks);
        let is_packed = packed.is_some();
        let Exchange { decoder, unread, body_len, body_limit, .. } = exchange;
        let found = if let Some(unpacker) = packed {
            let found = unpacker.deliver(&mut input, decoder, unread, most, *body_limit);
            *body_len = unpacker.total_in();
            found
        } else if decoder.is_done() {
            Taken::End
        } else {
            decode(&mut input, decoder, |input, n| {
                *body_len += n as u64;
                if *body_len > *body_limit {
                    return Err(Fault::BodyTooLarge);
                }
                input.move_to(n, unread);
                Ok(unread.len() < most)
            })
        };
        exchange.bytes_in += (before - input.len()) as u64;
        if matches!(found, Taken::End) {
            exchange.set(flag::BODY_DONE);
        }
        // What is new, or was left and is wanted again.
        let has_data = exchange.unread.len() > had || had > 0;
        (found, has_data, is_packed, exchange.serial)
    };
    if let Taken::Bad(fault) = found {
        if has_data {
            telling::body_data(ev, service, at, serial);
        }
        telling::body_failed(ev, service, at, serial, BodyError::Fault(fault));
        ending::refuse(ev, service, at, fault.status(), Some(fault));
        return Step::Wait;
    }
    if has_data && !telling::body_data(ev, service, at, serial) {
        return Step::On;
    }
    let (left, paused, done) = {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.exchange(at, serial) else { return Step::Wait };
        (exchange.unread.len(), exchange.has(flag::PAUSED), exchange.has(flag::BODY_DONE))
    };
    // Who has paused is told of no end either, wherever the last bytes were cut: what came before is still being used.
    if done && left == 0 && !paused {
        times::stop_body(ev, service, at);
        telling::body_end(ev, service, at, serial);
        // From here on it is the handler that is waited for.
        times::time_handler(ev, service, at);
        return Step::On;
    }
    if paused {
        times::stop_body(ev, service, at);
        times::time_handler(ev, service, at);
        listen(ev, service, at, false);
        return Step::On;
    }
    if left >= most || done {
        // It has not taken all, and is asked again when it has more, or says so.
        listen(ev, service, at, false);
        times::stop_body(ev, service, at);
        times::time_handler(ev, service, at);
        park(service, at, serial);
        // If the reply was sent before, that was all.
        return Step::On;
    }
    if matches!(found, Taken::Enough) {
        if is_packed {
            // Much may come out of little: others have their turn first.
            times::later(ev, service, at);
            return Step::Wait;
        }
        return Step::On;
    }
    listen(ev, service, at, true);
    if has_ended(service, at) {
        telling::body_failed(
            ev,
            service,
            at,
            serial,
            BodyError::Over(CompletionReason::ClientAborted),
        );
        ending::incomplete(ev, service, at);
        return Step::Wait;
    }
    times::time_body(ev, service, at);
    Step::Wait
}

/// What is left of a body is offered again when its taker says so.
pub(super) fn park(service: &Service, at: At, serial: u32) {
    if let Some(exchange) = service.state.borrow_mut().exchange(at, serial) {
        exchange.set(flag::PAUSED | flag::PARKED);
    }
}

/// Reads what is left of a body for nobody.
pub(super) fn drain(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    let now = ev.running_nanos();
    let found = {
        let mut input = at.stream.input(ev);
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.conn(at).and_then(|conn| conn.exchange.as_deref_mut()) else {
            return Step::Wait;
        };
        let before = input.len();
        if before > 0 {
            exchange.body_active = now;
        }
        let Exchange { drain_left, body_len, decoder, .. } = exchange;
        let found = decode(&mut input, decoder, |input, n| {
            *drain_left = drain_left.checked_sub(n as u64).ok_or(Fault::BodyTooLarge)?;
            *body_len += n as u64;
            input.drain(n);
            Ok(true)
        });
        exchange.bytes_in += (before - input.len()) as u64;
        found
    };
    match found {
        Taken::End => {
            times::stop_body(ev, service, at);
            release(ev, service, at, service.state.borrow_mut())
        }
        // It was answered: what is wrong behind that only ends the connection.
        Taken::Bad(_) => {
            ending::close(ev, service, at);
            Step::Wait
        }
        Taken::More | Taken::Enough => {
            if has_ended(service, at) {
                ending::close(ev, service, at);
            } else {
                times::time_body(ev, service, at);
            }
            Step::Wait
        }
    }
}
