//! The header in which a proxy tells whom it speaks for.

// It comes before everything else, TLS too. Who may not send one is not served at all: whether a header is there
// would otherwise be for the client to decide, and with it who it is.

use std::rc::Rc;

use super::{Stage, await_request, enter};
use crate::EvLoop;
use crate::http::server::connection::At;
use crate::http::server::driving::Step;
use crate::http::server::service::Service;
use crate::http::server::{clients, ending};
use crate::net::Chunk;
use crate::wire::Status;
use crate::wire::proxy_protocol::ProxyParser;

pub(super) fn begin(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let parser = Box::new(ProxyParser::new(service.options.proxy_limits));
    enter(ev, service, at, Stage::Proxy(parser), service.options.proxy_timeout);
    if !clients::is_proxy(ev, service, at) {
        ending::hang_up(ev, service, at);
    }
}

pub(super) fn go_on(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    let result = {
        let mut input = at.stream.input(ev);
        let mut state = service.state.borrow_mut();
        let stage = state.conn(at).and_then(|conn| conn.more().stage.as_mut());
        let Some(Stage::Proxy(parser)) = stage else { return Step::Wait };
        loop {
            let Some(Chunk::Bytes(bytes)) = input.chunks().next() else { break Ok(None) };
            match parser.feed(bytes) {
                Ok(progress) => {
                    input.drain(progress.used);
                    if progress.done {
                        break Ok(parser.header().cloned());
                    }
                }
                Err(fault) => break Err(fault),
            }
        }
    };
    match result {
        Ok(None) => Step::Wait,
        Ok(Some(header)) => {
            if !clients::is_from(ev, service, at, &header) {
                ending::hang_up(ev, service, at);
                return Step::Wait;
            }
            await_request(ev, service, at);
            Step::On
        }
        Err(_) if super::has_tls(&service.options) => {
            // It would not be understood.
            ending::hang_up(ev, service, at);
            Step::Wait
        }
        Err(_) => {
            ending::refuse_unasked(ev, service, at, Status::BAD_REQUEST);
            Step::Wait
        }
    }
}
