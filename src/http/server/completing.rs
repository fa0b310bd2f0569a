//! Requests are over, are counted, and whoever wants to know is told.

use std::rc::Rc;
use std::time::Duration;

use super::completion::{Completed, CompletionReason, Disconnected, Refused, Summary};
use super::connection::At;
use super::exchange::{Exchange, Hooks, flag};
use super::incoming::{BodyError, BodyEvent, RequestBody};
use super::service::Service;
use super::stats::index_of;
use super::{Connection, calling, clients, sending};
use crate::EvLoop;
use crate::wire::{Fault, Status};

/// A request that is over when its reply has left.
pub(super) struct Completing {
    pub(super) record: Record,
    pub(super) hooks: Option<Box<Hooks>>,
}

/// What is known of a request at its end.
pub(super) struct Record {
    pub(super) summary: Option<Rc<Summary>>,
    pub(super) reason: CompletionReason,
    pub(super) status: Option<Status>,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) head_out: usize,
    /// In nanoseconds of the loop.
    pub(super) started: u64,
}

/// An exchange ends before its time.
pub(super) fn abandon(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    mut exchange: Box<Exchange>,
    why: CompletionReason,
) {
    if exchange.serial == 0 {
        if exchange.parser.started() {
            broken_off(ev, service, at, &exchange, why);
        }
        exchange.reset();
        service.state.borrow_mut().give_exchange(exchange);
        return;
    }
    let body = RequestBody { server: service.key, at, serial: exchange.serial };
    let mut hooks = exchange.hooks.take();
    let told_end = exchange.has(flag::BODY_TOLD);
    let record = record_of(&exchange, why, hooks.as_deref());
    let request = exchange.request.take();
    exchange.reset();
    service.state.borrow_mut().give_exchange(exchange);
    drop(request);
    if let Some(hooks) = &mut hooks {
        if let Some(mut hook) = hooks.on_disconnect.take() {
            calling::guarded(ev, service, |ev| hook(ev, Disconnected::Gone));
        }
        if let Some(mut receiver) = hooks.incoming.take().and_then(|incoming| incoming.receiver) {
            if !told_end {
                let event = BodyEvent::Failed(BodyError::Over(why));
                calling::guarded(ev, service, |ev| receiver(ev, body, event));
            }
        }
    }
    complete(ev, service, Completing { record, hooks });
}

pub(super) fn record_of(
    exchange: &Exchange,
    reason: CompletionReason,
    hooks: Option<&Hooks>,
) -> Record {
    Record {
        summary: hooks.and_then(|hooks| hooks.summary.clone()),
        reason,
        status: exchange.status,
        bytes_in: exchange.bytes_in,
        bytes_out: exchange.bytes_out,
        head_out: exchange.head_out,
        started: exchange.started,
    }
}

/// A request is over: it is counted, and whoever wants to know is told.
pub(super) fn complete(ev: &mut EvLoop, service: &Rc<Service>, completing: Completing) {
    let Completing { record, hooks } = completing;
    service.state.borrow_mut().counters.completions[index_of(record.reason)] += 1;
    let own = hooks.map(|mut hooks| std::mem::take(&mut hooks.on_completed)).unwrap_or_default();
    let Some(summary) = record.summary else { return };
    if own.is_empty() && service.routes.completed.is_none() {
        return;
    }
    // Not as late as this iteration began: who measures wants to know what the handler took too.
    let took = ev.clock_nanos().saturating_sub(record.started);
    let completed = Completed {
        request: summary,
        reason: record.reason,
        status: record.status,
        bytes_in: record.bytes_in,
        bytes_out: record.bytes_out,
        body_out: record.bytes_out.saturating_sub(record.head_out as u64),
        started: ev.instant_of(record.started),
        duration: Duration::from_nanos(took),
    };
    for hook in own {
        calling::guarded(ev, service, |ev| hook(ev, &completed));
    }
    let Some(hooks) = &service.routes.completed else { return };
    let mut next = Some(completed);
    match hooks.try_borrow_mut() {
        Ok(mut hooks) => {
            while let Some(completed) = next {
                for hook in hooks.iter_mut() {
                    calling::guarded(ev, service, |ev| hook(ev, &completed));
                }
                next = service.untold.borrow_mut().pop_front();
            }
        }
        // One is on the stack, of a run in which this one is nested, and is told when it returns.
        Err(_) => service.untold.borrow_mut().extend(next),
    }
}

/// What was no request was answered, with so many bytes of head and so many in all: whoever wants to know is told.
pub(super) fn refused(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    status: Status,
    fault: Option<Fault>,
    written: (usize, u64),
) {
    if service.routes.refused.is_none() {
        return;
    }
    let refused = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        let reason = conn.more.as_ref().and_then(|more| more.reason);
        let reason = reason.unwrap_or(CompletionReason::ProtocolError);
        let refused = no_request(ev, at, conn.exchange.as_deref(), reason);
        Refused {
            status: Some(status),
            fault,
            bytes_out: written.1,
            body_out: written.1.saturating_sub(written.0 as u64),
            ..refused
        }
    };
    tell_refused(ev, service, refused);
}

/// A connection has ended in the middle of a head: the same.
fn broken_off(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    exchange: &Exchange,
    why: CompletionReason,
) {
    if service.routes.refused.is_some() {
        let refused = no_request(ev, at, Some(exchange), why);
        tell_refused(ev, service, refused);
    }
}

/// What is known of a head that is none, or not all of one, and was not answered.
fn no_request(
    ev: &EvLoop,
    at: At,
    exchange: Option<&Exchange>,
    reason: CompletionReason,
) -> Refused {
    let parser = exchange.map(|exchange| &exchange.parser);
    let line = parser.filter(|parser| parser.has_line());
    let read = exchange.map_or(0, |exchange| exchange.bytes_in);
    Refused {
        connection: Connection { stream: at.stream },
        peer: clients::source_of(ev, at.stream),
        request: line.map(|parser| sending::summary_of_head(at, parser.head())),
        status: None,
        fault: None,
        reason,
        bytes_in: read + at.stream.input_len(ev) as u64,
        bytes_out: 0,
        body_out: 0,
    }
}

fn tell_refused(ev: &mut EvLoop, service: &Rc<Service>, refused: Refused) {
    let Some(hooks) = &service.routes.refused else { return };
    let mut next = Some(refused);
    match hooks.try_borrow_mut() {
        Ok(mut hooks) => {
            while let Some(refused) = next {
                for hook in hooks.iter_mut() {
                    calling::guarded(ev, service, |ev| hook(ev, &refused));
                }
                next = service.untold_refused.borrow_mut().pop_front();
            }
        }
        // As with requests that are over.
        Err(_) => service.untold_refused.borrow_mut().extend(next),
    }
}
