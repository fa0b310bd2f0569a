//! What may come before the first request: a PROXY header, and a TLS handshake.

// One stage after the other, each with an end in time: by the stream's timer or, in the handshake, by the filter's.
// Nothing of a request is looked at before, and nobody is told of any.

mod proxy;
#[cfg(feature = "tls")]
mod tls;

use std::rc::Rc;
use std::time::Duration;

use super::connection::{At, Phase, conn_flag};
use super::driving::Step;
use super::ending;
use super::options::ServerOptions;
use super::service::Service;
use crate::EvLoop;
use crate::wire::proxy_protocol::ProxyParser;

#[cfg(feature = "tls")]
pub(super) use tls::{is_misdirected, refuse_plain, shaken};

/// What is waited for.
pub(super) enum Stage {
    /// The header in which a proxy tells whom it speaks for.
    Proxy(Box<ProxyParser>),
    /// The first byte of a handshake, or of a request.
    #[cfg(feature = "tls")]
    FirstByte,
    /// The end of the handshake.
    #[cfg(feature = "tls")]
    Handshake,
}

/// Whether anything is.
pub(super) fn is_wanted(options: &ServerOptions) -> bool {
    options.proxies.is_some() || has_tls(options)
}

fn has_tls(options: &ServerOptions) -> bool {
    #[cfg(feature = "tls")]
    return options.tls.is_some();
    #[cfg(not(feature = "tls"))]
    {
        let _ = options;
        false
    }
}

/// A connection was opened.
pub(super) fn begin(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    if service.options.proxies.is_some() {
        proxy::begin(ev, service, at);
    } else {
        await_request(ev, service, at);
    }
}

/// The next is a handshake or, where there is none, a request.
fn await_request(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    #[cfg(feature = "tls")]
    if let Some(tls) = &service.options.tls {
        let limit = tls.handshake_timeout();
        let limit = if limit.is_zero() { None } else { Some(limit) };
        return enter(ev, service, at, Stage::FirstByte, limit);
    }
    ready(ev, service, at);
}

fn enter(ev: &mut EvLoop, service: &Service, at: At, stage: Stage, limit: Option<Duration>) {
    {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        conn.phase = Phase::Preface;
        conn.more().stage = Some(stage);
    }
    let end = limit.and_then(|limit| ev.now().checked_add(limit));
    at.stream.set_timer(ev, end);
}

/// The first request may come.
fn ready(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    let now = ev.running_nanos();
    {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return };
        conn.phase = Phase::Idle;
        let more = conn.more();
        more.stage = None;
        more.ready = Some(now);
    }
    at.stream.set_timer(ev, None);
}

/// Something has come, or the client has ended its side.
pub(super) fn go_on(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    let is_over = {
        let mut state = service.state.borrow_mut();
        let Some(conn) = state.conn(at) else { return Step::Wait };
        conn.has(conn_flag::ENDED) && at.stream.input_len(ev) == 0
    };
    if is_over {
        // It has asked for nothing.
        ending::hang_up(ev, service, at);
        return Step::Wait;
    }
    let mut state = service.state.borrow_mut();
    let Some(conn) = state.conn(at) else { return Step::Wait };
    match conn.more().stage {
        Some(Stage::Proxy(_)) => {
            drop(state);
            proxy::go_on(ev, service, at)
        }
        #[cfg(feature = "tls")]
        Some(Stage::FirstByte) => {
            drop(state);
            tls::first_byte(ev, service, at)
        }
        #[cfg(feature = "tls")]
        Some(Stage::Handshake) => Step::Wait,
        None => Step::Wait,
    }
}
