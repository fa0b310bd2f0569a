//! Requests are over, are counted, and whoever wants to know is told.

use std::collections::VecDeque;
use std::mem::{self, size_of, size_of_val};
use std::rc::Rc;
use std::time::Duration;

use super::completion::{Completed, CompletionReason, Disconnected, Refused, Summary};
use super::connection::At;
use super::exchange::{Exchange, Hooks, OnCompleted, flag};
use super::incoming::{BodyError, BodyEvent, RequestBody};
use super::service::Service;
use super::stats::index_of;
use super::{Connection, calling, clients, sending};
use crate::EvLoop;
use crate::wire::{Fault, Status};

/// A request that is over when its reply has left. Nothing of it is here but what is to be told, and to whom: a client
/// that asks for much, and takes none of it, has one of these for each of its requests.
pub(super) struct Completing {
    pub(super) record: Record,
    pub(super) own: Vec<OnCompleted>,
}

/// Those of a connection, in their order.
#[derive(Default)]
pub(super) struct Outstanding {
    all: VecDeque<Completing>,
    bytes: usize,
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

impl Completing {
    /// Of an exchange, whose hooks may be dropped then.
    pub(super) fn of(
        exchange: &Exchange,
        reason: CompletionReason,
        hooks: Option<&mut Hooks>,
    ) -> Self {
        let record = record_of(exchange, reason, hooks.as_deref());
        Self {
            record,
            own: hooks.map(|hooks| mem::take(&mut hooks.on_completed)).unwrap_or_default(),
        }
    }

    /// Whether there is more to it than that it is counted, as one of those that end well.
    pub(super) fn tells(&self) -> bool {
        self.record.summary.is_some() || self.record.reason != CompletionReason::Ok
    }

    /// About how much memory it takes, in bytes.
    fn memory(&self) -> usize {
        let summary = self.record.summary.as_deref().map_or(0, Summary::memory);
        let own = self.own.iter().map(|hook| size_of_val(hook) + size_of_val(&**hook));
        size_of::<Self>() + summary + own.sum::<usize>()
    }
}

impl Outstanding {
    pub(super) fn push(&mut self, completing: Completing) {
        self.bytes += completing.memory();
        self.all.push_back(completing);
    }

    /// About how much memory they take, in bytes.
    pub(super) fn memory(&self) -> usize {
        self.bytes
    }

    pub(super) fn into_all(self) -> VecDeque<Completing> {
        self.all
    }
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
    let completing = Completing::of(&exchange, why, hooks.as_deref_mut());
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
    drop(hooks);
    complete(ev, service, completing);
}

fn record_of(exchange: &Exchange, reason: CompletionReason, hooks: Option<&Hooks>) -> Record {
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
    let Completing { record, own } = completing;
    service.state.borrow_mut().counters.completions[index_of(record.reason)] += 1;
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
