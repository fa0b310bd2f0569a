//! A server stops: at once, or when what it has begun is done.

use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::time::Duration;

use super::connection::{At, Phase};
use super::guests::Farewell;
use super::service::{Service, Services};
use super::{CompletionReason, Server, ending, guests};
use crate::{EvLoop, Timer};

type OnStopped = Box<dyn FnOnce(&mut EvLoop)>;

/// How far the end has come.
#[derive(Default)]
pub(super) struct Stopping {
    is_ending: bool,
    /// The last moment.
    timer: Option<Timer>,
    hooks: Vec<OnStopped>,
}

impl Stopping {
    pub(super) fn is_ending(&self) -> bool {
        self.is_ending
    }
}

/// Takes the listening sockets out.
pub(super) fn quiesce(ev: &mut EvLoop, service: &Rc<Service>) -> Vec<OwnedFd> {
    let listener = service.state.borrow_mut().listener.take();
    listener.map(|listener| listener.into_fds(ev)).unwrap_or_default()
}

pub(super) fn shutdown(ev: &mut EvLoop, service: &Rc<Service>, limit: Option<Duration>) {
    let (listener, streams) = {
        let mut state = service.state.borrow_mut();
        state.stopping.is_ending = true;
        (state.listener.take(), all(&state))
    };
    if let Some(listener) = listener {
        listener.close(ev);
    }
    for at in streams {
        let idle = {
            let mut state = service.state.borrow_mut();
            let Some(conn) = state.conn(at) else { continue };
            matches!(conn.phase, Phase::Idle | Phase::Preface)
        };
        // What has come and was not looked at yet is a request that was made before.
        if idle && at.stream.input_len(ev) == 0 {
            ending::hang_up(ev, service, at);
        }
    }
    // The last call counts.
    let old = service.state.borrow_mut().stopping.timer.take();
    if let Some(old) = old {
        old.free(ev);
    }
    if let Some(limit) = limit {
        let key = service.key;
        let timer = ev.after(limit, move |ev| {
            if let Some(service) = Service::find(ev, key) {
                stop_now(ev, &service);
            }
        });
        service.state.borrow_mut().stopping.timer = Some(timer);
    }
    guests::see_off(ev, service, Farewell::InOrder);
    look(ev, service);
}

pub(super) fn stop_now(ev: &mut EvLoop, service: &Rc<Service>) {
    let (listener, streams) = {
        let mut state = service.state.borrow_mut();
        state.stopping.is_ending = true;
        (state.listener.take(), all(&state))
    };
    if let Some(listener) = listener {
        listener.close(ev);
    }
    for at in streams {
        ending::abort(ev, service, at, CompletionReason::ServerShutdown);
    }
    guests::see_off(ev, service, Farewell::Now);
    look(ev, service);
}

/// Has `hook` called when the server has stopped.
pub(super) fn on_stopped(service: &Rc<Service>, hook: Box<dyn FnOnce(&mut EvLoop)>) {
    service.state.borrow_mut().stopping.hooks.push(hook);
}

fn all(state: &super::service::State) -> Vec<At> {
    let at = |(index, stream)| At { index: u32::try_from(index).unwrap_or(u32::MAX), stream };
    state.conns.iter().map(|(index, conn)| at((index, conn.stream))).collect()
}

/// A connection is gone, or has become something else, and somebody is being told so: the server has not stopped before
/// that is over, be it by a panic in what a user drops.
pub(super) struct Leaving(Rc<Service>);

impl Leaving {
    pub(super) fn begin(service: &Rc<Service>) -> Self {
        service.state.borrow_mut().leaving += 1;
        Self(Rc::clone(service))
    }

    /// Everybody has been told.
    pub(super) fn end(self, ev: &mut EvLoop) {
        let service = Rc::clone(&self.0);
        drop(self);
        look(ev, &service);
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // It may be a panic of ours that ends it.
        if let Ok(mut state) = self.0.state.try_borrow_mut() {
            state.leaving -= 1;
        }
    }
}

/// Whether that was the last connection of a server that stops.
pub(super) fn look(ev: &mut EvLoop, service: &Rc<Service>) {
    let timers = {
        let mut state = service.state.borrow_mut();
        let is_empty = state.conns.is_empty() && state.guests.is_empty() && state.leaving == 0;
        if !state.stopping.is_ending || !is_empty {
            return;
        }
        [state.stopping.timer.take(), state.next_turn_timer.take(), state.pace_timer.take()]
    };
    for timer in timers.into_iter().flatten() {
        timer.free(ev);
    }
    let key = service.key;
    // It is told by the loop, as everything is.
    ev.defer(move |ev| finish(ev, key));
}

fn finish(ev: &mut EvLoop, key: Server) {
    // Looked at twice, where the last two go at the same time.
    let Some(service) = ev.local::<Services>().forget(key) else { return };
    let hooks = std::mem::take(&mut service.state.borrow_mut().stopping.hooks);
    for hook in hooks {
        super::calling::guarded(ev, &service, |ev| hook(ev));
    }
    let_go(&service);
    service.raise();
}

/// Drops what users have handed over, since nobody is called any more. A handler that keeps replies has them keep the
/// server, and so the handler: whoever does not empty his list would keep all of it for ever.
pub(super) fn let_go(service: &Service) {
    let (hooks, guests) = {
        let mut state = service.state.borrow_mut();
        (std::mem::take(&mut state.stopping.hooks), std::mem::take(&mut state.guests))
    };
    service.routes.let_go();
    drop((hooks, guests));
}
