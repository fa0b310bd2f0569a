//! How connections end: after a reply, after a fault, or at once.

use std::rc::Rc;
use std::time::Duration;

use super::completing::Completing;
use super::connection::{self, At, Phase, conn_flag};
use super::exchange::{Answer, Exchange, Framing, flag};
use super::incoming::BodyError;
use super::response::{Body, HAS_DATE, HAS_SERVER, HAS_UPGRADE, Response};
use super::service::Service;
use super::{CompletionReason, calling, completing, pace, telling, times};
use crate::EvLoop;
use crate::wire::{self, Fault, Status};

/// For how long a stream that is being closed waits for its peer to take something.
const USUAL_FLUSH: Duration = Duration::from_secs(30);

/// What is as good as for ever.
const A_CENTURY: Duration = Duration::from_secs(100 * 365 * 86_400);

/// Answers what cannot be served, and ends the connection: nothing that comes after it is looked at.
pub(super) fn refuse(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    status: Status,
    fault: Option<Fault>,
) {
    refuse_with(ev, service, at, status, fault, None);
}

/// [`refuse`]s with a page that is there already.
pub(super) fn refuse_with(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    status: Status,
    fault: Option<Fault>,
    page: Option<Response>,
) {
    let (can_answer, had_head, is_head, serial, why, host) = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        if conn.has(conn_flag::ENDING) {
            return;
        }
        if conn.exchange.as_ref().is_some_and(|exchange| exchange.answer == Answer::Done) {
            // Nothing is taken back: what is wrong behind a reply only ends the connection.
            drop(state);
            return close(ev, service, at);
        }
        conn.set(conn_flag::ENDING);
        conn.phase = Phase::Closing;
        let Some(exchange) = conn.exchange.as_deref() else {
            drop(state);
            return at.stream.close_now(ev);
        };
        (
            exchange.answer == Answer::None,
            exchange.serial != 0,
            exchange.has(flag::IS_HEAD),
            exchange.serial,
            conn.more.as_ref().and_then(|more| more.reason),
            exchange.host,
        )
    };
    let body_error = match (fault, why) {
        (None, Some(why)) => BodyError::Over(why),
        (fault, _) => BodyError::Fault(fault.unwrap_or(Fault::Incomplete)),
    };
    if had_head {
        telling::body_failed(ev, service, at, serial, body_error);
    }
    let mut written = (0, 0);
    if can_answer {
        let response = match page {
            Some(page) => page,
            None => calling::error_page(ev, service, host, status, fault),
        };
        let response = match fault {
            // RFC 9110 §15.5.16.
            Some(Fault::UnknownContentCoding) if service.unpacks() => {
                response.header("Accept-Encoding", "gzip, deflate")
            }
            _ => response,
        };
        written = write_last(ev, service, at, &response, is_head);
    }
    if !had_head {
        completing::refused(ev, service, at, status, fault, written);
    }
    let exchange = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        let reason = conn.more.as_ref().and_then(|more| more.reason);
        let reason = reason.unwrap_or(CompletionReason::ProtocolError);
        let Some(mut exchange) = conn.exchange.take() else { return };
        if exchange.serial == 0 {
            exchange.reset();
            state.give_exchange(exchange);
            None
        } else {
            if can_answer {
                exchange.status = Some(status);
                exchange.bytes_out += written.1;
                exchange.head_out = written.0;
            }
            Some((exchange, reason))
        }
    };
    if let Some((exchange, reason)) = exchange {
        close_exchange(ev, service, at, exchange, reason);
    }
    if can_answer {
        linger(ev, service, at);
    } else {
        // A reply that has begun cannot be completed.
        at.stream.reset(ev);
    }
}

/// Tells who was not even listened to that it is not served, and ends the connection.
pub(super) fn refuse_unasked(ev: &mut EvLoop, service: &Rc<Service>, at: At, status: Status) {
    if let Some(conn) = service.state.borrow_mut().conn(at) {
        conn.set(conn_flag::ENDING);
        conn.phase = Phase::Closing;
    }
    let page = calling::error_page(ev, service, 0, status, None);
    let written = write_last(ev, service, at, &page, false);
    completing::refused(ev, service, at, status, None, written);
    linger(ev, service, at);
}

/// Writes a reply that is the connection's last, past everything that says how replies usually are.
/// Returns how long its head is, and how long it is in all.
fn write_last(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    response: &Response,
    is_head: bool,
) -> (usize, u64) {
    let mut state = service.state.borrow_mut();
    let state = &mut *state;
    let now = ev.now_nanos();
    let out = &mut state.scratch;
    out.clear();
    let status = response.outline.status;
    wire::status_line(out, status);
    if service.options.date && response.outline.has & HAS_DATE == 0 {
        out.extend_from_slice(state.date.line(now, || ev.wall_now()));
    }
    if let Some(name) = &service.options.server_name {
        if response.outline.has & HAS_SERVER == 0 {
            out.extend_from_slice(b"Server: ");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
    out.extend_from_slice(&response.outline.lines);
    let body: &[u8] = match &response.body {
        Body::Static(bytes) => bytes,
        Body::Owned(bytes) => bytes,
        Body::Shared(bytes) => bytes,
        Body::Empty | Body::File(..) | Body::Parts(..) => b"",
    };
    if !status.forbids_body() {
        let _ = wire::number_field(out, "Content-Length", body.len() as u64);
    }
    out.extend_from_slice(if response.outline.has & HAS_UPGRADE == 0 {
        b"Connection: close\r\n\r\n".as_slice()
    } else {
        b"Connection: close, Upgrade\r\n\r\n"
    });
    let head = out.len();
    if !is_head && !status.forbids_body() {
        out.extend_from_slice(body);
    }
    // If it is not taken, the client is gone.
    let _ = at.stream.write_anyway(ev, &state.scratch);
    (head, state.scratch.len() as u64)
}

/// The exchange is over; its hooks are told when what was written has left.
fn close_exchange(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    mut exchange: Box<Exchange>,
    reason: CompletionReason,
) {
    let mut hooks = exchange.hooks.take();
    let completing = Completing::of(&exchange, reason, hooks.as_deref_mut());
    let request = exchange.request.take();
    exchange.reset();
    let over = {
        let mut state = service.state.borrow_mut();
        state.give_exchange(exchange);
        match state.conn(at).filter(|_| reason == CompletionReason::Ok) {
            Some(conn) if completing.tells() => {
                conn.more().outstanding.push(completing);
                connection::make_loud(ev, conn);
                None
            }
            Some(conn) => {
                conn.unsent += 1;
                None
            }
            None => Some(completing),
        }
    };
    drop((request, hooks));
    if let Some(completing) = over {
        completing::complete(ev, service, completing);
    }
}

/// The reply was the connection's last.
pub(super) fn close(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        conn.set(conn_flag::ENDING);
        conn.phase = Phase::Closing;
    }
    telling::body_left(ev, service, at);
    let (exchange, reason, all_read) = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        let reason = conn.more.as_ref().and_then(|more| more.reason);
        let exchange = conn.exchange.take();
        let all_read = exchange.as_ref().is_none_or(|exchange| exchange.has(flag::BODY_DONE));
        let usual = exchange.as_ref().map_or(CompletionReason::Ok, |exchange| exchange.outcome());
        (exchange, reason.unwrap_or(usual), all_read)
    };
    if let Some(exchange) = exchange {
        close_exchange(ev, service, at, exchange, reason);
    }
    pace::watch(ev, service, at);
    let limit = times::write_limit(ev, service, at);
    if limit != Some(USUAL_FLUSH) {
        at.stream.set_write_timeout(ev, Some(limit.unwrap_or(A_CENTURY)));
    }
    if all_read && at.stream.input_len(ev) == 0 {
        at.stream.close_after_flush(ev);
    } else {
        // What was sent and not read would have the system answer with a reset, which may overtake the reply.
        linger(ev, service, at);
    }
}

/// Closes after the last reply to a client that may be sending still: what it has not read would be lost with a reset.
fn linger(ev: &mut EvLoop, service: &Service, at: At) {
    let (time, bytes) = service.options.linger;
    if time.is_zero() || bytes == 0 {
        at.stream.close_after_flush(ev);
    } else {
        at.stream.close_lingering_within(ev, time, bytes);
    }
}

/// The client has ended its side inside of a body.
pub(super) fn incomplete(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    if let Some(conn) = service.state.borrow_mut().conn(at) {
        conn.more().reason.get_or_insert(CompletionReason::ClientAborted);
    }
    let fault = Fault::Incomplete;
    refuse(ev, service, at, fault.status(), Some(fault));
}

/// Ends an idle connection without a word.
pub(super) fn hang_up(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let mut is_asked = true;
    if let Some(conn) = service.state.borrow_mut().conn(at) {
        is_asked = conn.phase != Phase::Preface;
        conn.set(conn_flag::ENDING);
        conn.phase = Phase::Closing;
    }
    if is_asked {
        at.stream.close_after_flush(ev);
    } else {
        // A handshake that is under way is not waited for.
        at.stream.close_now(ev);
    }
}

/// Ends a connection at once, whatever it is about.
pub(super) fn abort(ev: &mut EvLoop, service: &Rc<Service>, at: At, reason: CompletionReason) {
    if let Some(conn) = service.state.borrow_mut().conn(at) {
        conn.more().reason.get_or_insert(reason);
        conn.set(conn_flag::ENDING);
        conn.phase = Phase::Closing;
    }
    at.stream.close_now(ev);
}

/// Ends a reply in its middle, so that the client can tell.
pub(super) fn break_off(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let tells_by_end = {
        let mut state = service.state.borrow_mut();
        let exchange = state.conn(at).and_then(|conn| conn.exchange.as_deref());
        exchange.is_some_and(|exchange| {
            matches!(exchange.answer, Answer::Streaming(Framing::UntilClose) | Answer::Done)
        })
    };
    if tells_by_end {
        // An orderly end would look like the end of the body.
        at.stream.reset(ev);
    } else {
        at.stream.close_after_flush(ev);
    }
}
