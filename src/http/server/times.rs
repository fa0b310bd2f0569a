//! How long anything of a request may take.

// A connection that waits for a request has the read time-out of its stream, which costs nothing per request. The
// phases of a request that last longer than one read have the stream's timer, one at a time: the head, the
// body, the handler.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::connection::{At, Phase, conn_flag};
use super::exchange::flag;
use super::service::Service;
use super::{CompletionReason, Connection, driving, ending};
use crate::EvLoop;
use crate::net::Direction;
use crate::wire::Status;

/// Between two looks at how fast a body comes.
const LOOK: Duration = Duration::from_secs(1);

/// Time-outs of one connection, each where it differs from the server's. With its stream, since few have any.
#[derive(Clone, Copy, Default)]
struct OwnLimits {
    header: Option<Option<Duration>>,
    write: Option<Option<Duration>>,
}

fn header_limit(ev: &EvLoop, service: &Service, at: At) -> Option<Duration> {
    let own = at.stream.data::<OwnLimits>(ev).and_then(|own| own.header);
    own.unwrap_or(service.options.header_timeout)
}

pub(super) fn write_limit(ev: &EvLoop, service: &Service, at: At) -> Option<Duration> {
    let own = at.stream.data::<OwnLimits>(ev).and_then(|own| own.write);
    own.unwrap_or(service.options.write_timeout)
}

impl Connection {
    /// Sets how long it may take for a whole head, instead of [the server's](super::ServerOptions::header_timeout): from the
    /// next one on. For [hooks](super::Routes::before) of requests, which know who it is; in that of
    /// [connections](super::Routes::on_connection) for the first one too, once something of it has come. Returns whether it
    /// exists.
    pub fn set_header_timeout(self, ev: &mut EvLoop, limit: Option<Duration>) -> bool {
        self.with_own_limits(ev, |own| own.header = Some(limit))
    }

    /// Sets how long it may take nothing of what waits for it, instead of [the
    /// server's](super::ServerOptions::write_timeout). Returns whether it exists.
    pub fn set_write_timeout(self, ev: &mut EvLoop, limit: Option<Duration>) -> bool {
        if self.stream.output_len(ev) > 0 {
            self.stream.set_write_timeout(ev, limit);
        }
        self.with_own_limits(ev, |own| own.write = Some(limit))
    }

    fn with_own_limits(self, ev: &mut EvLoop, change: impl FnOnce(&mut OwnLimits)) -> bool {
        let mut own = self.stream.data::<OwnLimits>(ev).map(|own| *own).unwrap_or_default();
        change(&mut own);
        self.stream.set_data(ev, own);
        self.stream.exists(ev)
    }
}

/// A head has begun, and must be complete in time.
pub(super) fn time_head(ev: &mut EvLoop, service: &Rc<Service>, at: At, is_first: bool) {
    let Some(limit) = header_limit(ev, service, at) else { return };
    // The first one has the time since the connection was opened.
    let opened = if is_first { begun(ev, service, at) } else { None };
    let from = opened.unwrap_or_else(|| ev.now());
    at.stream.set_timer(ev, from.checked_add(limit));
}

/// A head may begin, of which nobody would see the first bytes come.
#[cfg(feature = "tls")]
pub(super) fn time_first_head(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        conn.set(conn_flag::HEAD_TIMED);
    }
    time_head(ev, service, at, true);
}

/// From when on a client could have asked for something.
fn begun(ev: &EvLoop, service: &Service, at: At) -> Option<Instant> {
    let ready = {
        let mut state = service.state.borrow_mut();
        state.conn(at)?.more.as_ref().and_then(|more| more.ready)
    };
    let ready = ready.and_then(|ready| ev.instant_of(ready.saturating_add(ev.suspensions())));
    ready.or_else(|| at.stream.info(ev).and_then(|info| info.opened))
}

/// More of a body is waited for.
pub(super) fn time_body(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let now = ev.running_nanos();
    {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.conn(at).and_then(|conn| conn.exchange.as_deref_mut()) else {
            return;
        };
        if exchange.has(flag::BODY_TIMED) {
            return;
        }
        exchange.set(flag::BODY_TIMED);
        exchange.clear(flag::HANDLER_TIMED);
        exchange.body_started = now;
        exchange.body_before = exchange.body_len;
        exchange.body_active = now;
    }
    look_at_body(ev, service, at);
}

/// The body is complete, or nobody waits for more of it now.
pub(super) fn stop_body(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let was_timed = {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.conn(at).and_then(|conn| conn.exchange.as_deref_mut()) else {
            return;
        };
        let was_timed = exchange.has(flag::BODY_TIMED);
        exchange.clear(flag::BODY_TIMED);
        was_timed
    };
    if was_timed {
        at.stream.set_timer(ev, None);
    }
}

/// The handler has returned without a reply.
pub(super) fn time_handler(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let limit = {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.conn(at).and_then(|conn| conn.exchange.as_deref_mut()) else {
            return;
        };
        let own = exchange.own.as_ref().and_then(|own| own.handler);
        let Some(limit) = own.unwrap_or(service.options.handler_timeout) else { return };
        if exchange.has(flag::BODY_TIMED | flag::HANDLER_TIMED) || !exchange.is_unanswered() {
            return;
        }
        exchange.set(flag::HANDLER_TIMED);
        limit
    };
    at.stream.set_timer_in(ev, limit);
}

/// Goes on in the next iteration: others have their turn first.
pub(super) fn later(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let timer = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        conn.set(conn_flag::LATER);
        state.next_turn.push(at);
        state.next_turn_timer
    };
    let timer = timer.unwrap_or_else(|| {
        let key = service.key;
        let timer = ev.timer(Duration::ZERO, Duration::ZERO, move |ev, _| {
            if let Some(service) = Service::find(ev, key) {
                next_turn(ev, &service);
            }
        });
        service.state.borrow_mut().next_turn_timer = Some(timer);
        timer
    });
    timer.restart(ev, Duration::ZERO);
}

fn next_turn(ev: &mut EvLoop, service: &Rc<Service>) {
    let mut list = std::mem::take(&mut service.state.borrow_mut().next_turn);
    for at in list.drain(..) {
        if let Some(conn) = service.state.borrow_mut().conn(at) {
            conn.clear(conn_flag::LATER);
        }
        at.stream.trigger_received(ev, true);
    }
    // Its memory is for the next time.
    let mut state = service.state.borrow_mut();
    if state.next_turn.is_empty() {
        state.next_turn = list;
    }
}

/// The stream's timer went off.
pub(super) fn on_timer(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let (phase, asked, body, handler) = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        let flags = conn.exchange.as_ref().map_or(0, |exchange| exchange.flags);
        let asked = conn.exchange.as_ref().is_some_and(|exchange| exchange.parser.started());
        // A reply that has begun is in time.
        let waits = conn.exchange.as_ref().is_some_and(|exchange| exchange.is_unanswered());
        let handler = waits && flags & flag::HANDLER_TIMED != 0;
        (conn.phase, asked, flags & flag::BODY_TIMED != 0, handler)
    };
    match phase {
        // Empty lines ask for nothing.
        Phase::Idle | Phase::Preface => ending::hang_up(ev, service, at),
        Phase::Head if !asked => ending::hang_up(ev, service, at),
        Phase::Head => time_out(ev, service, at, Status::REQUEST_TIMEOUT),
        _ if body => look_at_body(ev, service, at),
        Phase::Handling if handler => time_out(ev, service, at, Status::SERVICE_UNAVAILABLE),
        _ => {}
    }
}

/// Judges how a body comes, and sets the timer for the next look.
fn look_at_body(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let now = ev.running_nanos();
    let options = &service.options;
    let next = {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.conn(at).and_then(|conn| conn.exchange.as_deref_mut()) else {
            return;
        };
        let since = |from: u64| Duration::from_nanos(now.saturating_sub(from));
        let waited = since(exchange.body_started);
        let idle = since(exchange.body_active);
        let came = exchange.body_len.saturating_sub(exchange.body_before);
        let own = exchange.own.as_deref();
        let usual = (options.min_body_rate, options.body_rate_grace);
        let (least, grace) = own.and_then(|own| own.rate).unwrap_or(usual);
        let owed = u128::from(least) * waited.as_millis() / 1000;
        let is_slow = least > 0 && waited >= grace && u128::from(came) < owed;
        let body_timeout = own.and_then(|own| own.body).unwrap_or(options.body_timeout);
        let body_total = own.and_then(|own| own.total).unwrap_or(options.body_total);
        let is_idle = body_timeout.is_some_and(|limit| idle >= limit);
        let is_late = body_total.is_some_and(|limit| since(exchange.body_begun) >= limit);
        if is_slow || is_idle || is_late {
            None
        } else {
            let idle = body_timeout.map(|limit| limit.saturating_sub(idle));
            let total = body_total.map(|limit| limit.saturating_sub(since(exchange.body_begun)));
            let rate = (least > 0).then(|| grace.saturating_sub(waited).max(LOOK));
            Some([idle, total, rate].into_iter().flatten().min())
        }
    };
    match next {
        None => time_out(ev, service, at, Status::REQUEST_TIMEOUT),
        Some(None) => {}
        Some(Some(delay)) => {
            at.stream.set_timer_in(ev, delay.max(Duration::from_millis(1)));
        }
    }
}

fn time_out(ev: &mut EvLoop, service: &Rc<Service>, at: At, status: Status) {
    let draining = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        // What is only drained was answered: that its body does not come harms nobody.
        let draining = conn.phase == Phase::Draining;
        if !draining {
            conn.more().reason.get_or_insert(CompletionReason::Timeout);
        }
        draining
    };
    if draining {
        ending::close(ev, service, at);
    } else {
        ending::refuse(ev, service, at, status, None);
    }
}

/// One of the stream's own time-outs.
pub(super) fn on_timeout(ev: &mut EvLoop, service: &Rc<Service>, at: At, direction: Direction) {
    let (phase, is_deaf) = match service.state.borrow_mut().conn(at) {
        Some(conn) => (conn.phase, conn.has(conn_flag::DEAF)),
        None => return,
    };
    let waits = at.stream.output_len(ev) > 0;
    match (direction, phase) {
        (Direction::Read, _) if is_deaf => {}
        (Direction::Read, Phase::Idle) if !waits => {
            // Between requests, or before the first: nobody is owed anything.
            ending::hang_up(ev, service, at);
        }
        (Direction::Read, Phase::Head) if !waits && header_limit(ev, service, at).is_none() => {
            // It has no time-out of its own.
            time_out(ev, service, at, Status::REQUEST_TIMEOUT);
        }
        (Direction::Read, Phase::Idle | Phase::Head) => {
            // A head has its own. Who still reads a reply, slowly perhaps, has nothing to say before its end, and the
            // write time-out.
            at.stream.enable_read(ev);
        }
        (Direction::Write, _) => {
            // Nothing of what waits is taken.
            if let Some(conn) = service.state.borrow_mut().conn(at) {
                conn.more().reason = Some(CompletionReason::Timeout);
                conn.set(conn_flag::ENDING);
                conn.phase = Phase::Closing;
            }
            at.stream.reset(ev);
        }
        (Direction::Read, _) => {
            // A request has its own time-outs.
            at.stream.enable_read(ev);
            driving::advance(ev, service, at);
        }
    }
}
