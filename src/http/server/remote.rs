//! Answering from another thread.

use std::fmt;
use std::rc::Rc;

use super::connection::At;
use super::response::{Outline, Response};
use super::service::Service;
use super::{Server, connection, reply, sending};
use crate::Remote;

/// A [`Reply`](super::Reply) for another thread.
///
/// ```
/// use evloop::EvLoop;
/// use evloop::http::{Reply, Response, Routes};
///
/// let routes = Routes::new().get("/worker", |_: &mut EvLoop, _, reply: Reply| {
///     let Some(reply) = reply.into_remote() else { return };
///     std::thread::spawn(move || {
///         let answer = 6 * 7;
///         reply.send(Response::text(answer.to_string()));
///     });
/// });
/// ```
///
/// Dropped unanswered it answers 500, as a [`Reply`](super::Reply) does.
#[must_use = "dropped, a reply is one of status 500"]
pub struct RemoteReply {
    remote: Remote,
    server: Server,
    at: At,
    serial: u32,
    /// `None` once it was answered.
    outline: Option<Outline>,
}

impl RemoteReply {
    pub(super) fn new(service: &Rc<Service>, at: At, serial: u32, outline: Outline) -> Self {
        let remote = service.remote.clone();
        Self { remote, server: service.key, at, serial, outline: Some(outline) }
    }

    /// Answers: the response is sent by the loop, in its next iteration. `false` if that is gone; whether the
    /// client still is there nobody knows here.
    pub fn send(mut self, response: Response) -> bool {
        let outline = self.outline.take().unwrap_or_default();
        let (server, at, serial) = (self.server, self.at, self.serial);
        self.remote.post(move |ev| {
            let Some(service) = Service::find(ev, server) else { return };
            let response = reply::merged(outline, response);
            // A client that is gone wants nothing; a response that cannot be sent has become one of 500.
            if service.has_after() {
                let pending = reply::Pending::Response(response);
                let _ = sending::postpone(ev, &service, at, serial, pending);
            } else {
                let _ = sending::answer(ev, &service, at, serial, response);
            }
        })
    }
}

impl Drop for RemoteReply {
    fn drop(&mut self) {
        if self.outline.take().is_none() {
            return;
        }
        let (server, at, serial) = (self.server, self.at, self.serial);
        self.remote.post(move |ev| {
            if let Some(service) = Service::find(ev, server) {
                connection::unanswered(ev, &service, at, serial);
            }
        });
    }
}

impl fmt::Debug for RemoteReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RemoteReply")
            .field("connection", &self.at.stream.id())
            .finish_non_exhaustive()
    }
}
