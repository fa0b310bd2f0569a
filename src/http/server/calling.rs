//! Handlers and hooks are called.

// Nothing is borrowed while one runs but its own cell, which is how one that is called again from a run nested in it
// is found: the request waits until it has returned. A panic ends with the request, unless it is to go on.

use std::any::Any;
use std::cell::{RefCell, RefMut};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;

use super::connection::{At, Phase};
use super::driving::Step;
use super::exchange::{Answer, Target, flag};
use super::hosts::HostNumber;
use super::options::PanicPolicy;
use super::reply::{Pending, Reply};
use super::request::Request;
use super::response::{Outline, Response};
use super::service::{Service, State};
use super::{
    Connection, ConnectionEvent, Failure, FailureCause, bodies, composing, connection, driving,
    sending, times,
};
use crate::EvLoop;
use crate::net::Stream;
use crate::wire::{Fault, Method, Status};

/// Calls something of a user's; a panic is reported, and goes on only if it is to, and only when whatever it has
/// interrupted is in order again: see [`Service::raise`].
pub(super) fn guarded<R>(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    f: impl FnOnce(&mut EvLoop) -> R,
) -> Option<R> {
    guard(ev, service, None, f)
}

/// The same on behalf of a connection.
pub(super) fn guarded_for<R>(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    f: impl FnOnce(&mut EvLoop) -> R,
) -> Option<R> {
    guard(ev, service, Some(at), f)
}

fn guard<R>(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: Option<At>,
    f: impl FnOnce(&mut EvLoop) -> R,
) -> Option<R> {
    match catch_unwind(AssertUnwindSafe(|| f(ev))) {
        Ok(value) => Some(value),
        Err(panic) => {
            panicked(ev, service, at, panic);
            None
        }
    }
}

fn panicked(ev: &mut EvLoop, service: &Rc<Service>, at: Option<At>, panic: Box<dyn Any + Send>) {
    let told = if service.options.panics == PanicPolicy::Propagate {
        let copy = copy_of(&*panic);
        service.keep_panic(panic);
        copy
    } else {
        panic
    };
    report(ev, service, at, FailureCause::Panic(told));
}

/// What can be said of a panic that goes on.
fn copy_of(panic: &(dyn Any + Send)) -> Box<dyn Any + Send> {
    match (panic.downcast_ref::<&'static str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => Box::new(*text),
        (_, Some(text)) => Box::new(text.clone()),
        _ => Box::new("with a value"),
    }
}

fn report(ev: &mut EvLoop, service: &Rc<Service>, at: Option<At>, cause: FailureCause) {
    let Some(hook) = &service.routes.failure else { return };
    let Ok(mut hook) = hook.try_borrow_mut() else { return };
    let connection = at.map(|at| Connection { stream: at.stream });
    let failure = Failure { connection, cause };
    let told = catch_unwind(AssertUnwindSafe(|| hook(ev, failure)));
    if let (Err(panic), PanicPolicy::Propagate) = (told, service.options.panics) {
        service.keep_panic(panic);
    }
}

/// Calls the handler of a request, whose body is there if it is to be.
pub(super) fn handler(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    handler_in(ev, service, at, service.state.borrow_mut())
}

/// The same, where the state is in use already.
pub(super) fn handler_in(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    mut state: RefMut<'_, State>,
) -> Step {
    let (request, reply, mut called, serial) = {
        let Some(conn) = state.conn(at) else { return Step::Wait };
        conn.phase = Phase::Handling;
        let Some(exchange) = conn.exchange.as_deref_mut() else { return Step::Wait };
        let serial = exchange.serial;
        let entry = match &mut exchange.target {
            Target::Entry(entry) => *entry as usize,
            other => {
                let other = std::mem::take(other);
                exchange.set(flag::HANDLED);
                drop(state);
                return by_itself(service, at, serial, &other);
            }
        };
        let Ok(called) = service.routes.entries[entry].handler.try_borrow_mut() else {
            return try_again(ev, service, at, state);
        };
        exchange.set(flag::HANDLED);
        let Some(parts) = exchange.request.take() else { return Step::Wait };
        exchange.remember(&parts);
        let held = exchange.hooks.as_mut().and_then(|hooks| hooks.held.take());
        drop(state);
        let request = Request::new(parts, Rc::clone(service), at, serial);
        let reply = Reply::new(Rc::clone(service), at, serial, held);
        (request, reply, called, serial)
    };
    let result = catch_unwind(AssertUnwindSafe(|| called(ev, request, reply)));
    drop(called);
    match result {
        Ok(Ok(())) => {
            if driving::release_plainly(ev, service, at) {
                return Step::Answered { more: true };
            }
            wake_waiting(ev, service);
        }
        Ok(Err(error)) => {
            wake_waiting(ev, service);
            report(ev, service, Some(at), FailureCause::Error(error));
            fail(ev, service, at, serial);
        }
        Err(panic) => {
            wake_waiting(ev, service);
            panicked(ev, service, Some(at), panic);
            fail(ev, service, at, serial);
        }
    }
    times::time_handler(ev, service, at);
    Step::On
}

/// A handler has failed: if it has not answered, 500 does, and what it has begun is cut.
fn fail(ev: &mut EvLoop, service: &Rc<Service>, at: At, serial: u32) {
    let answer = {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.exchange(at, serial) else { return };
        exchange.answer
    };
    if let Answer::Streaming(_) = answer {
        connection::cut(ev, service, at, serial);
    }
    // An unanswered reply was dropped with the handler's frame, or somebody has it.
}

/// What the server answers by itself.
fn by_itself(service: &Rc<Service>, at: At, serial: u32, target: &Target) -> Step {
    let list = |methods: &[Method]| {
        let names: Vec<&str> = methods.iter().map(Method::as_str).collect();
        names.join(", ")
    };
    let pending = match target {
        Target::Others(methods) => {
            let mut outline = Outline::default();
            outline.add("Allow", list(methods).as_bytes());
            Pending::Error(Status::METHOD_NOT_ALLOWED, outline)
        }
        Target::Options(methods) => {
            let mut response = Response::new().status(Status::NO_CONTENT);
            if !methods.is_empty() {
                response = response.header("Allow", list(methods));
            }
            Pending::Response(response)
        }
        Target::Nobody | Target::Entry(_) => Pending::Error(Status::NOT_FOUND, Outline::default()),
    };
    let mut state = service.state.borrow_mut();
    let Some(exchange) = state.exchange(at, serial) else { return Step::Wait };
    let held = exchange.hooks.as_mut().and_then(|hooks| hooks.held.take());
    let request = exchange.request.take();
    exchange.hooks().pending = Some(match held {
        Some(held) => held.onto(pending),
        None => pending,
    });
    drop(state);
    // It goes back to the others.
    drop(request.map(|parts| Request::new(parts, Rc::clone(service), at, serial)));
    Step::On
}

/// The handler is on the stack of a run in which this one is nested: when it has returned, this request is next.
pub(super) fn try_again(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    mut state: RefMut<'_, State>,
) -> Step {
    let Some(conn) = state.conn(at) else { return Step::Wait };
    let Some(exchange) = conn.exchange.as_deref() else { return Step::Wait };
    let busy = match exchange.target {
        Target::Entry(entry) => {
            service.routes.entries[entry as usize].handler.try_borrow_mut().is_err()
        }
        _ => false,
    };
    if busy {
        if !state.waiting.contains(&at) {
            state.waiting.push(at);
        }
        drop(state);
        bodies::hold_back(ev, service, at);
        return Step::Wait;
    }
    handler_in(ev, service, at, state)
}

fn wake_waiting(ev: &mut EvLoop, service: &Rc<Service>) {
    if service.state.borrow().waiting.is_empty() {
        return;
    }
    let waiting = std::mem::take(&mut service.state.borrow_mut().waiting);
    for at in waiting {
        at.stream.trigger_received(ev, true);
    }
}

/// Calls those that come before handlers. Says whether things go on as they would have.
pub(super) fn before(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> bool {
    let (parts, serial, host) = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return false };
        let Some(exchange) = conn.exchange.as_deref_mut() else { return false };
        let serial = exchange.serial;
        let Some(parts) = exchange.request.take() else { return false };
        // Whoever answers here is the handler.
        exchange.set(flag::HANDLED);
        (parts, serial, exchange.host)
    };
    let mut request = Request::new(parts, Rc::clone(service), at, serial);
    let mut reply = Reply::new(Rc::clone(service), at, serial, None);
    for (scope, hook) in &service.routes.before {
        if !scope.covers(host, request.path()) {
            continue;
        }
        let Ok(mut called) = hook.try_borrow_mut() else { return false };
        let result = catch_unwind(AssertUnwindSafe(|| called(ev, &mut request, reply)));
        drop(called);
        match result {
            Ok(Some(back)) if back.is_of(at, serial) => reply = back,
            // It was answered, will be, or is one of another request: the own one was dropped then.
            Ok(_) => return false,
            Err(panic) => {
                panicked(ev, service, Some(at), panic);
                return false;
            }
        }
    }
    let held = reply.into_held();
    let parts = request.into_parts();
    let mut state = service.state.borrow_mut();
    let Some(exchange) = state.exchange(at, serial) else { return false };
    exchange.clear(flag::HANDLED);
    exchange.request = parts;
    if !held.is_plain() {
        exchange.hooks().held = Some(held);
    }
    true
}

/// Tells that a connection has come, or is gone.
pub(super) fn connection(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    stream: Stream,
    event: ConnectionEvent,
) {
    let Some(hook) = &service.routes.connection else { return };
    let mut next = Some((stream, event));
    let Ok(mut hook) = hook.try_borrow_mut() else {
        // It is on the stack, and has another connection come or a run nested in it: it is told when it returns.
        service.untold_connections.borrow_mut().extend(next);
        return;
    };
    while let Some((stream, event)) = next {
        guarded(ev, service, |ev| hook(ev, Connection { stream }, event));
        next = service.untold_connections.borrow_mut().pop_front();
    }
}

type RequestLineHook = RefCell<Box<dyn FnMut(&mut EvLoop, Connection, &Method, &str)>>;

pub(super) fn request_line(ev: &mut EvLoop, service: &Rc<Service>, at: At, hook: &RequestLineHook) {
    let line = {
        let mut state = service.state.borrow_mut();
        let exchange = state.conn(at).and_then(|conn| conn.exchange.as_deref_mut());
        let Some(exchange) = exchange.filter(|exchange| !exchange.has(flag::LINE_TOLD)) else {
            return;
        };
        exchange.set(flag::LINE_TOLD);
        let head = match &exchange.request {
            Some(parts) => &parts.head,
            None => exchange.parser.head(),
        };
        (head.method().clone(), head.target().to_owned())
    };
    if let Ok(mut hook) = hook.try_borrow_mut() {
        guarded(ev, service, |ev| hook(ev, Connection { stream: at.stream }, &line.0, &line.1));
    }
}

/// Answers what was to wait for the hooks.
pub(super) fn pending(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    let (pending, summary, serial, host) = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return Step::Wait };
        let Some(exchange) = conn.exchange.as_deref_mut() else { return Step::Wait };
        let (serial, host) = (exchange.serial, exchange.host);
        let Some(hooks) = &mut exchange.hooks else { return Step::Wait };
        let Some(pending) = hooks.pending.take() else { return Step::Wait };
        (pending, hooks.summary.clone(), serial, host)
    };
    let mut response = match pending {
        Pending::Response(response) => response,
        Pending::Error(status, outline) => {
            let page = error_page(ev, service, host, status, None);
            let outline = Outline { status, ..outline };
            super::reply::merged(outline, page)
        }
    };
    let mut failed = false;
    if let Some(summary) = summary {
        for (of, hook) in &service.routes.after {
            if *of != 0 && *of != host {
                continue;
            }
            // One that is on the stack, of a run in which this one is nested, cannot be asked: nothing leaves past it.
            failed |= hook.try_borrow_mut().map_or(true, |mut hook| {
                guarded(ev, service, |ev| hook(ev, &summary, &mut response)).is_none()
            });
        }
    }
    if failed || composing::check(service, at, serial, &response).is_err() {
        response = default_page(Status::INTERNAL_SERVER_ERROR);
        if let Some(exchange) = service.state.borrow_mut().exchange(at, serial) {
            exchange.set(flag::FAILED);
        }
    }
    // It was checked: what is left is a client that is gone.
    match sending::answer(ev, service, at, serial, response) {
        Ok(()) => Step::On,
        Err(_) => Step::Wait,
    }
}

/// The page for a status, by whoever makes those.
pub(super) fn error_page(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    host: HostNumber,
    status: Status,
    fault: Option<Fault>,
) -> Response {
    let mut pages = service.routes.error_page.iter().filter(|(of, _)| *of == 0 || *of == host);
    let made = pages.find_map(|(_, page)| {
        let mut page = page.try_borrow_mut().ok()?;
        guarded(ev, service, |ev| page(ev, status, fault)).flatten()
    });
    match made {
        Some(mut page) if page.check().is_ok() => {
            page.outline.status = status;
            page
        }
        _ => default_page(status),
    }
}

fn default_page(status: Status) -> Response {
    let response = Response::text(format!("{status}\n")).status(status);
    if status == Status::SERVICE_UNAVAILABLE {
        response.header("Retry-After", "1")
    } else {
        response
    }
}

// --- bodies ------------------------------------------------------------------------------------
