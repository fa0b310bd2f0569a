//! Those who take a body, or make one, and those who want to know what becomes of the client are told.

use std::rc::Rc;

use super::calling::{guarded, guarded_for};
use super::completion::Disconnected;
use super::connection::{self, At};
use super::driving::Step;
use super::exchange::flag;
use super::incoming::{BodyError, BodyEvent, RequestBody};
use super::outgoing::{Pull, ReplyStream};
use super::service::Service;
use super::times;
use crate::{ErrorKind, EvLoop};

/// Offers what has come of a body. Says whether its taker is still there.
pub(super) fn body_data(ev: &mut EvLoop, service: &Rc<Service>, at: At, serial: u32) -> bool {
    let (mut receiver, mut data) = {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.exchange(at, serial) else { return false };
        let Some(hooks) = &mut exchange.hooks else { return false };
        let Some(incoming) = &mut hooks.incoming else { return false };
        let Some(receiver) = incoming.receiver.take() else {
            // It was lost: nobody takes the rest.
            hooks.incoming = None;
            return false;
        };
        (receiver, std::mem::take(&mut exchange.unread))
    };
    let body = RequestBody { server: service.key, at, serial };
    let called = guarded_for(ev, service, at, |ev| receiver(ev, body, BodyEvent::Data(&mut data)));
    let mut rest = Some(receiver);
    let kept = {
        let mut state = service.state.borrow_mut();
        match state.exchange(at, serial) {
            Some(exchange) => {
                if exchange.unread.is_empty() {
                    // The rest may be long in coming.
                    data.lessen();
                    exchange.unread = data;
                }
                match exchange.hooks.as_mut().and_then(|hooks| hooks.incoming.as_mut()) {
                    Some(incoming) if called.is_some() => {
                        incoming.receiver = rest.take();
                        true
                    }
                    _ => false,
                }
            }
            None => false,
        }
    };
    drop(rest);
    if called.is_none() {
        // It has panicked, and takes nothing any more.
        connection::cut_or_fail(ev, service, at, serial);
    }
    kept
}

/// Tells that a body was complete.
pub(super) fn body_end(ev: &mut EvLoop, service: &Rc<Service>, at: At, serial: u32) {
    let (receiver, trailers) = {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.exchange(at, serial) else { return };
        exchange.set(flag::BODY_TOLD);
        let trailers = exchange.decoder.take_trailers();
        let hooks = exchange.hooks.as_mut();
        (hooks.and_then(|hooks| hooks.incoming.take()), trailers)
    };
    end(ev, service, at, serial, receiver, BodyEvent::End(&trailers));
}

/// Tells that a body will not be complete, once.
pub(super) fn body_failed(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    serial: u32,
    error: BodyError,
) {
    let receiver = {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.exchange(at, serial) else { return };
        if exchange.has(flag::BODY_TOLD) {
            return;
        }
        exchange.set(flag::BODY_TOLD);
        exchange.hooks.as_mut().and_then(|hooks| hooks.incoming.take())
    };
    end(ev, service, at, serial, receiver, BodyEvent::Failed(error));
}

/// Tells whoever takes a body, if there is somebody, that the rest of it will not come, since the request is over.
pub(super) fn body_left(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let (serial, why) = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        let Some(exchange) = conn.exchange.as_deref() else { return };
        if exchange.hooks.as_ref().is_none_or(|hooks| hooks.incoming.is_none()) {
            return;
        }
        let why = conn.more.as_ref().and_then(|more| more.reason);
        (exchange.serial, why.unwrap_or(exchange.outcome()))
    };
    body_failed(ev, service, at, serial, BodyError::Over(why));
}

pub(super) fn end(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    serial: u32,
    incoming: Option<super::incoming::Incoming>,
    event: BodyEvent<'_>,
) {
    let Some(mut receiver) = incoming.and_then(|incoming| incoming.receiver) else { return };
    let body = RequestBody { server: service.key, at, serial };
    if guarded_for(ev, service, at, |ev| receiver(ev, body, event)).is_none() {
        connection::cut_or_fail(ev, service, at, serial);
    }
}

/// Asks for more of a body.
pub(super) fn pull(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    let (mut source, serial) = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return Step::Wait };
        let Some(exchange) = conn.exchange.as_deref_mut() else { return Step::Wait };
        let serial = exchange.serial;
        let puller = exchange.hooks.as_mut().and_then(|hooks| hooks.puller.as_mut());
        let Some(puller) = puller else { return Step::Wait };
        // To be woken while it is being asked counts.
        puller.sleeps = false;
        let Some(source) = puller.source.take() else { return Step::Wait };
        (source, serial)
    };
    let pulled = guarded_for(ev, service, at, |ev| source(ev)).unwrap_or(Pull::Failed);
    let is_empty = matches!(&pulled, Pull::Data(bytes) if bytes.is_empty());
    // Whether it is asked again by itself.
    #[cfg_attr(not(feature = "compress"), expect(unused_mut, reason = "packing takes breaks"))]
    let mut is_asked = is_empty;
    let stream = ReplyStream::new(Rc::clone(service), at, serial);
    let mut source = Some(source);
    let step = match pulled {
        Pull::Data(bytes) => match stream.write_pulled(ev, bytes) {
            // Who has nothing, and does not say so, is asked again when others have had their turn.
            Ok(_) if is_empty => {
                #[cfg(feature = "compress")]
                super::packing::flush(ev, service, at, serial);
                times::later(ev, service, at);
                Step::Wait
            }
            #[cfg(feature = "compress")]
            Ok(_) if super::packing::is_tired(service, at, serial) => {
                times::later(ev, service, at);
                is_asked = true;
                Step::Wait
            }
            Ok(_) => Step::On,
            Err(error) if error.kind() == ErrorKind::Closed => {
                // The client is gone, which its connection tells.
                stream.forget();
                return Step::Wait;
            }
            Err(_) => {
                stream.abort(ev);
                return Step::Wait;
            }
        },
        Pull::Later => {
            #[cfg(feature = "compress")]
            super::packing::flush(ev, service, at, serial);
            Step::Wait
        }
        Pull::End => {
            // What is missing cuts the connection, which says it all.
            let _ = stream.end(ev);
            return Step::On;
        }
        Pull::Failed => {
            stream.abort(ev);
            return Step::Wait;
        }
    };
    stream.forget();
    let mut again = false;
    {
        let mut state = service.state.borrow_mut();
        if let Some(exchange) = state.exchange(at, serial) {
            if let Some(puller) = exchange.hooks.as_mut().and_then(|hooks| hooks.puller.as_mut()) {
                puller.source = source.take();
                if matches!(step, Step::Wait) && !is_asked {
                    puller.sleeps = !std::mem::take(&mut puller.woken);
                    again = !puller.sleeps;
                }
            }
        }
    }
    drop(source);
    if again { Step::On } else { step }
}

/// What was written has left: whoever waits for that is told.
pub(super) fn drained(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let (hook, serial) = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        let Some(exchange) = conn.exchange.as_deref_mut() else { return };
        let serial = exchange.serial;
        (exchange.hooks.as_mut().and_then(|hooks| hooks.on_drained.take()), serial)
    };
    let Some(mut hook) = hook else { return };
    if guarded_for(ev, service, at, |ev| hook(ev)).is_none() {
        connection::cut(ev, service, at, serial);
        return;
    }
    let mut state = service.state.borrow_mut();
    let Some(exchange) = state.exchange(at, serial) else {
        drop(state);
        return;
    };
    let place = &mut exchange.hooks().on_drained;
    if place.is_none() {
        *place = Some(hook);
    }
}

/// The client has left, in a way.
pub(super) fn disconnected(ev: &mut EvLoop, service: &Rc<Service>, at: At, how: Disconnected) {
    let (hook, serial) = {
        let mut state = service.state.borrow_mut();
        let exchange = state.conn(at).and_then(|conn| conn.exchange.as_deref_mut());
        let Some(exchange) = exchange.filter(|exchange| !exchange.has(flag::TOLD_DISCONNECT))
        else {
            return;
        };
        exchange.set(flag::TOLD_DISCONNECT);
        let hook = exchange.hooks.as_mut().and_then(|hooks| hooks.on_disconnect.take());
        (hook, exchange.serial)
    };
    let Some(mut hook) = hook else { return };
    guarded(ev, service, |ev| hook(ev, how));
    // The client that has only ended its side may still leave.
    let mut hook = Some(hook);
    {
        let mut state = service.state.borrow_mut();
        let exchange = state.conn(at).and_then(|conn| conn.exchange.as_deref_mut());
        if let Some(exchange) = exchange.filter(|exchange| exchange.serial == serial) {
            let place = &mut exchange.hooks().on_disconnect;
            if place.is_none() {
                *place = hook.take();
            }
        }
    }
    drop(hook);
}
