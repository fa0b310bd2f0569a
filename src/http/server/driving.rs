//! A connection goes on: heads are read, bodies taken, requests finished, one step after the other.

// A step looks at the phase, does one thing, and says what is next. Nothing is borrowed between steps; in a step that
// calls a handler, nothing is while it runs, and what it has done to the connection is found by looking again.
//
// Whatever changes from outside (a reply from a timer, a body that is wanted again) has the stream raise
// `Received`, and so comes here.

use std::mem;
use std::rc::Rc;

use super::completing::Completing;
use super::connection::{self, At, Phase, conn_flag};
use super::exchange::{Answer, Exchange, flag};
use super::service::{Service, State};
use super::{bodies, calling, ending, heads, preface, telling, times};
use crate::EvLoop;

/// From how long on a request's own time does not count as time between requests, in nanoseconds.
const SLOW: u64 = 1_000_000_000;

/// What is next.
pub(super) enum Step {
    /// The next step of this request.
    On,
    /// A request was answered; `more` has come behind it, or may have.
    Answered { more: bool },
    /// Nothing, until something happens.
    Wait,
}

impl Step {
    /// The same, where it is known whether something has come behind the request.
    #[inline]
    pub(super) fn followed_by(self, more: bool) -> Self {
        if let Self::Answered { .. } = self { Self::Answered { more } } else { self }
    }
}

/// Goes on as far as it can.
pub(super) fn advance(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        if conn.has(conn_flag::DRIVEN | conn_flag::LATER) {
            conn.set(conn_flag::AGAIN);
            // Its turn comes, and until then no more is taken in than would be at any other time.
            if !conn.has(conn_flag::DEAF) && at.stream.input_len(ev) >= service.options.read_ahead {
                conn.set(conn_flag::DEAF);
                at.stream.disable_read(ev);
            }
            return;
        }
        conn.set(conn_flag::DRIVEN);
        conn.clear(conn_flag::AGAIN);
    }
    let driving = Driving { service, at };
    let mut left = service.options.pipelined_per_turn;
    loop {
        match step(ev, service, at) {
            Step::On => {}
            Step::Answered { more } => {
                left -= 1;
                // Most have asked for one thing, and wait for that.
                if !more && may_rest(service, at) {
                    return driving.end();
                }
                if left == 0 {
                    // More would only pile up meanwhile.
                    if at.stream.input_len(ev) >= service.options.read_ahead {
                        listen(ev, service, at, false);
                    }
                    times::later(ev, service, at);
                    break;
                }
            }
            // Whoever takes a body may have said what is to be answered, too.
            Step::Wait if has_pending(service, at) => {}
            Step::Wait => break,
        }
    }
    drop(driving);
}

/// Whether somebody has said, while the connection was driven, what is to be answered, and it was not looked at yet.
fn has_pending(service: &Service, at: At) -> bool {
    let mut state = service.state.borrow_mut();
    let conn = state.conn(at).filter(|conn| conn.phase == Phase::Handling);
    let exchange = conn.and_then(|conn| conn.exchange.as_deref());
    let hooks = exchange.and_then(|exchange| exchange.hooks.as_deref());
    hooks.is_some_and(|hooks| hooks.pending.is_some())
}

/// Has a connection between requests wait, if it has nothing else to do. Says whether it is driven no more.
fn may_rest(service: &Service, at: At) -> bool {
    const WRONG: u16 = conn_flag::ENDED | conn_flag::DEAF | conn_flag::STALLED | conn_flag::AGAIN;
    let mut state = service.state.borrow_mut();
    let is_ending = state.stopping.is_ending();
    let Some(conn) = state.conn(at) else { return true };
    let rests = conn.phase == Phase::Idle && !is_ending && !conn.has(WRONG);
    if rests {
        conn.clear(conn_flag::DRIVEN);
    }
    rests
}

/// Whatever ends it, a panic too, the connection is not driven any more.
struct Driving<'a> {
    service: &'a Rc<Service>,
    at: At,
}

impl Driving<'_> {
    /// Somebody has seen to that.
    fn end(self) {
        mem::forget(self);
    }
}

impl Drop for Driving<'_> {
    fn drop(&mut self) {
        // It may be a panic of ours that ends it.
        let Ok(mut state) = self.service.state.try_borrow_mut() else { return };
        if let Some(conn) = state.conn(self.at) {
            conn.clear(conn_flag::DRIVEN);
        }
    }
}

fn step(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    let mut state = service.state.borrow_mut();
    let Some(conn) = state.conn(at) else { return Step::Wait };
    let go_on = match conn.phase {
        Phase::Idle | Phase::Head => return heads::read_head(ev, service, at, state),
        Phase::Preface => preface::go_on,
        Phase::Body => bodies::gather,
        Phase::Handling => handle,
        Phase::Draining => bodies::drain,
        Phase::Closing => ignore,
    };
    drop(state);
    go_on(ev, service, at)
}

/// What comes now is of interest to nobody.
fn ignore(ev: &mut EvLoop, _service: &Rc<Service>, at: At) -> Step {
    at.stream.with_input(ev, |input| input.drain(input.len()));
    Step::Wait
}

/// The handler has been called.
fn handle(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    if service.has_dropped() {
        service.sweep(ev);
    }
    let (answer, has_pending, takes, wants, rests, pulls) = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return Step::Wait };
        let stalled = conn.has(conn_flag::STALLED);
        let Some(exchange) = conn.exchange.as_deref_mut() else { return Step::Wait };
        if !exchange.has(flag::HANDLED) && exchange.is_unanswered() {
            // Its handler is on the stack of a run that this one is nested in.
            return calling::try_again(ev, service, at, state);
        }
        let (mut has_pending, mut takes, mut wants, mut rests, mut pulls) =
            (false, false, false, false, false);
        if let Some(hooks) = &exchange.hooks {
            has_pending = hooks.pending.is_some();
            takes = hooks.incoming.is_some() && !exchange.has(flag::BODY_TOLD);
            wants = takes && !exchange.has(flag::PAUSED);
            rests = takes && exchange.has(flag::PAUSED) && !exchange.has(flag::PARKED);
            pulls =
                !stalled && hooks.puller.as_ref().is_some_and(|p| !p.sleeps && p.source.is_some());
        }
        (exchange.answer, has_pending, takes, wants, rests, pulls)
    };
    if has_pending {
        return calling::pending(ev, service, at);
    }
    if wants {
        return bodies::deliver(ev, service, at);
    }
    // Whoever takes the body goes on after the reply, and then may have paused.
    if answer == Answer::Done && !rests {
        if takes {
            telling::body_left(ev, service, at);
        }
        return finish(ev, service, at);
    }
    if pulls {
        return telling::pull(ev, service, at);
    }
    bodies::hold_back(ev, service, at);
    Step::Wait
}

/// Whether the stream is read.
pub(super) fn listen(ev: &mut EvLoop, service: &Rc<Service>, at: At, on: bool) {
    {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        if conn.has(conn_flag::DEAF) != on {
            return;
        }
        if on { conn.clear(conn_flag::DEAF) } else { conn.set(conn_flag::DEAF) }
    }
    if on {
        at.stream.enable_read(ev);
    } else {
        at.stream.disable_read(ev);
    }
}

// --- the end of a request ----------------------------------------------------------------------

/// The reply is written.
fn finish(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    let mut state = service.state.borrow_mut();
    let Some(conn) = state.conn(at) else { return Step::Wait };
    let Some(exchange) = conn.exchange.as_deref_mut() else { return Step::Wait };
    if exchange.has(flag::CLOSES) {
        drop(state);
        ending::close(ev, service, at);
        return Step::Wait;
    }
    if exchange.has(flag::BODY_DONE) {
        return release(ev, service, at, state);
    }
    conn.phase = Phase::Draining;
    exchange.drain_left = service.options.max_drain;
    exchange.body_active = ev.running_nanos();
    exchange.body_started = exchange.body_active;
    exchange.body_before = exchange.body_len;
    // The client may have waited with it all the time.
    if exchange.has(flag::EXPECTS) && !exchange.has(flag::BODY_SEEN) {
        drop(state);
        ending::close(ev, service, at);
        return Step::Wait;
    }
    drop(state);
    listen(ev, service, at, true);
    Step::On
}

/// What [`finish`] and [`release`] come to for most requests: the reply is written, nothing of the request is left,
/// and nobody is to be told. Says whether it was one of those.
pub(super) fn release_plainly(ev: &EvLoop, service: &Service, at: At) -> bool {
    const RIGHT: u32 = flag::BODY_DONE;
    const WRONG: u32 = flag::CLOSES | flag::HANDLER_TIMED;
    if service.has_dropped() {
        return false;
    }
    let mut state = service.state.borrow_mut();
    let state = &mut *state;
    if !state.waiting.is_empty() {
        return false;
    }
    let Some(conn) = state.conns.get_mut(at.index as usize).filter(|conn| conn.is_at(at)) else {
        return false;
    };
    // A handler may have stopped the server behind its reply.
    if conn.has(conn_flag::DEAF | conn_flag::LOUD | conn_flag::ENDING) {
        return false;
    }
    let now = ev.now_nanos();
    let is_plain = conn.exchange.as_deref_mut().is_some_and(|exchange| {
        let is_plain = exchange.answer == Answer::Done
            && exchange.flags & (RIGHT | WRONG) == RIGHT
            && exchange.hooks.is_none()
            && !was_slow(exchange, now);
        if is_plain {
            exchange.reset();
        }
        is_plain
    });
    if !is_plain {
        return false;
    }
    conn.phase = Phase::Idle;
    conn.unsent += 1;
    if let Some(exchange) = conn.exchange.take() {
        state.give_exchange(exchange);
    }
    true
}

/// Whether a request took so long that the time between requests has to begin anew.
fn was_slow(exchange: &Exchange, now: u64) -> bool {
    now.saturating_sub(exchange.started) >= SLOW
}

/// The exchange is over, and the connection goes on.
pub(super) fn release(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    mut state: std::cell::RefMut<'_, State>,
) -> Step {
    let Some(conn) = state.conn(at) else { return Step::Wait };
    conn.phase = Phase::Idle;
    let was_deaf = conn.has(conn_flag::DEAF);
    let Some(mut exchange) = conn.exchange.take() else { return Step::Wait };
    let handler_timed = exchange.has(flag::HANDLER_TIMED);
    let was_slow = was_slow(&exchange, ev.now_nanos());
    let mut hooks = exchange.hooks.take();
    let completing = Completing::of(&exchange, exchange.outcome(), hooks.as_deref_mut());
    let told = completing.tells();
    if told {
        let outstanding = &mut conn.more().outstanding;
        outstanding.push(completing);
        let kept = outstanding.memory();
        connection::make_loud(ev, conn);
        // What is kept of requests whose replies are not taken takes memory as those do.
        if at.stream.is_full_with(ev, kept) {
            conn.set(conn_flag::STALLED);
        }
    } else {
        conn.unsent += 1;
    }
    exchange.reset();
    // The next request, which may be there already, finds it at hand.
    state.give_exchange(exchange);
    drop(state);
    // Only what is to be told is kept until then; the rest goes now, with nothing borrowed.
    drop(hooks);
    if handler_timed {
        at.stream.set_timer(ev, None);
    }
    if was_deaf && at.stream.input_len(ev) < service.options.read_ahead {
        listen(ev, service, at, true);
    } else if was_slow && !was_deaf {
        // The time between requests begins now.
        at.stream.enable_read(ev);
    }
    if told && at.stream.output_len(ev) == 0 {
        // It has left already: nothing will be drained.
        at.stream.trigger_drained(ev, true);
    }
    Step::Answered { more: at.stream.input_len(ev) > 0 }
}
