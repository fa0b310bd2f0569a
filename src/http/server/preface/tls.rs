//! A handshake, or the first byte of somebody who speaks in the clear.

// A client that speaks HTTP where TLS is spoken is told so in HTTP, since it would understand nothing else. So the
// stream becomes one with TLS when the first byte has come, and what has come by then goes through the filter.

use std::rc::Rc;
use std::time::Duration;

use super::{Stage, enter, ready};
use crate::EvLoop;
use crate::http::server::connection::{At, conn_flag};
use crate::http::server::driving::{self, Step};
use crate::http::server::options::PlainHttp;
use crate::http::server::response::Response;
use crate::http::server::service::Service;
use crate::http::server::{CompletionReason, ending, hosts, times};
use crate::net::{Chunk, TlsInfo};
use crate::wire::Status;

/// Which language the client speaks.
pub(in crate::http::server) fn first_byte(ev: &mut EvLoop, service: &Rc<Service>, at: At) -> Step {
    let first = match at.stream.input(ev).chunks().next() {
        Some(Chunk::Bytes(bytes)) => bytes.first().copied(),
        _ => None,
    };
    let (Some(first), Some(tls)) = (first, &service.options.tls) else { return Step::Wait };
    // Methods are in capitals. No record of TLS begins like that, nor a hello of SSL 2.
    if first.is_ascii_uppercase() || first == b'\r' {
        if let Some(conn) = service.state.borrow_mut().conn(at) {
            conn.set(conn_flag::PLAIN);
        }
        ready(ev, service, at);
        return Step::On;
    }
    // What is left of the time goes to the filter.
    let end = at.stream.set_timer(ev, None);
    enter(ev, service, at, Stage::Handshake, None);
    let left = end.map_or(Duration::ZERO, |end| {
        end.saturating_duration_since(ev.now()).max(Duration::from_millis(1))
    });
    if at.stream.push_filter_within(ev, tls.filter_for_http(), left).is_err() {
        // Nothing is to be said in the clear.
        at.stream.close_now(ev);
    }
    Step::Wait
}

/// Both sides have agreed.
pub(in crate::http::server) fn shaken(ev: &mut EvLoop, service: &Rc<Service>, at: At) {
    ready(ev, service, at);
    // From here on, and not from when something can be read: a record may come byte by byte.
    times::time_first_head(ev, service, at);
    driving::advance(ev, service, at);
}

/// Answers a request that came in the clear.
pub(in crate::http::server) fn refuse_plain(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
) -> Step {
    let place = {
        let mut state = service.state.borrow_mut();
        let exchange = state.conn(at).and_then(|conn| conn.exchange.as_deref());
        let head = exchange.and_then(|exchange| exchange.request.as_ref()).map(|parts| &parts.head);
        head.and_then(|head| {
            let authority = head.authority().filter(|authority| !authority.is_empty())?;
            let query = head.query().map(|query| format!("?{query}")).unwrap_or_default();
            Some(format!("https://{authority}{}{query}", head.raw_path()))
        })
    };
    let page = match (service.options.plain_http, place) {
        (PlainHttp::Redirect, Some(place)) => Response::text("This is spoken with TLS only.\n")
            .status(Status::PERMANENT_REDIRECT)
            .header("Location", place),
        _ => {
            Response::text("Here HTTP is spoken with TLS: use https.\n").status(Status::BAD_REQUEST)
        }
    };
    if let Some(conn) = service.state.borrow_mut().conn(at) {
        conn.more().reason.get_or_insert(CompletionReason::ProtocolError);
    }
    let page = if page.check().is_ok() { Some(page) } else { None };
    let status = page.as_ref().map_or(Status::BAD_REQUEST, Response::status_of);
    ending::refuse_with(ev, service, at, status, None, page);
    Step::Wait
}

/// Whether a request for this host came on a connection that was opened for another.
pub(in crate::http::server) fn is_misdirected(
    ev: &EvLoop,
    service: &Service,
    at: At,
    authority: &str,
) -> bool {
    let Some(info) = at.stream.filter_info::<TlsInfo>(ev) else { return false };
    let known = &service.routes.hosts;
    let Some(name) = info.server_name.as_deref() else {
        // Addresses are never named there. Whoever names no host gets what the others get, and none of those that
        // have a name: or what is asked of their clients in the handshake would be for the client to choose.
        let is_named = known.is_empty() || known.find(authority) != 0;
        return is_named && !hosts::is_address(authority);
    };
    if known.is_empty() {
        hosts::canonical(hosts::without_port(authority)) != hosts::canonical(name)
    } else {
        known.find(authority) != known.find(name)
    }
}
