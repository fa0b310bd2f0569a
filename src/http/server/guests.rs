//! What lives on connections of a server that HTTP has let go of, or that stays until the server ends: WebSockets,
//! streams of events. A server that stops says goodbye to them, and has not stopped before the last is gone.

use std::rc::Rc;

use super::service::Service;
use super::{Server, stopping};
use crate::EvLoop;

/// Somebody a server says goodbye to.
pub(crate) trait Guest {
    /// The server stops. Whoever is called comes to an end, and is [dismissed](dismiss) with that.
    fn farewell(self: Rc<Self>, ev: &mut EvLoop, how: Farewell);

    /// What its buffers take, where the server does not know them as those of a connection. Nobody is called.
    fn memory(&self, _: &EvLoop) -> usize {
        0
    }
}

/// How.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Farewell {
    /// In order: what was begun may be brought to its end.
    InOrder,
    /// Now.
    Now,
}

/// Where a guest stands in the book. Not `Copy`: who has it was admitted, and is dismissed with it.
#[derive(Debug)]
pub(crate) struct Admission {
    server: Server,
    index: u32,
}

/// Has a server say goodbye to somebody when it stops. `None` if it has stopped already, or stops just now:
/// then it is too late to begin.
pub(crate) fn admit(ev: &mut EvLoop, server: Server, guest: Rc<dyn Guest>) -> Option<Admission> {
    let service = Service::find(ev, server)?;
    let mut state = service.state.borrow_mut();
    if state.stopping.is_ending() {
        return None;
    }
    let index = u32::try_from(state.guests.vacant_key()).ok()?;
    state.guests.insert(guest);
    Some(Admission { server, index })
}

/// A guest has gone.
pub(crate) fn dismiss(ev: &mut EvLoop, admission: Admission) {
    let Some(service) = Service::find(ev, admission.server) else { return };
    let gone = service.state.borrow_mut().guests.try_remove(admission.index as usize);
    // Not with the state in use: it may own what a user has handed over.
    drop(gone);
    stopping::look(ev, &service);
}

/// Says goodbye to all.
pub(super) fn see_off(ev: &mut EvLoop, service: &Rc<Service>, how: Farewell) {
    let all: Vec<_> = {
        let state = service.state.borrow();
        state.guests.iter().map(|(_, guest)| Rc::clone(guest)).collect()
    };
    for guest in all {
        guest.farewell(ev, how);
    }
}
