//! Heads of replies are put together.

use super::connection::{At, conn_flag};
use super::exchange::{Exchange, Framing, flag};
use super::reply::gone;
use super::response::{HAS_DATE, HAS_SERVER, HAS_TYPE, HAS_UPGRADE, Outline, Response};
use super::service::{Service, State};
use crate::net::Stream;
use crate::wire::{self, Version};
use crate::{Error, ErrorKind, EvLoop, Result};

const REPLYING: &str = "replying to a request";

/// Whether this can be the reply to a request.
pub(super) fn check(service: &Service, at: At, serial: u32, response: &Response) -> Result<()> {
    check_outline(service, at, serial, &response.outline, response.body.len())
}

pub(super) fn check_outline(
    service: &Service,
    at: At,
    serial: u32,
    outline: &Outline,
    len: u64,
) -> Result<()> {
    outline.check()?;
    if outline.length.is_none_or(|claimed| claimed == len) {
        return Ok(());
    }
    // Only a reply that has no body at all may say how long it would be without having it.
    let is_head = |exchange: &mut Exchange| exchange.has(flag::IS_HEAD);
    let bodiless = outline.status.forbids_body()
        || service.state.borrow_mut().exchange(at, serial).is_some_and(is_head);
    if bodiless && len == 0 { Ok(()) } else { Err(contradiction()) }
}

pub(super) fn check_type(content_type: &str) -> Result<()> {
    if wire::is_field_value(content_type.as_bytes()) {
        return Ok(());
    }
    let fault = Box::new(wire::Fault::BadFieldValue);
    Err(Error::caused(ErrorKind::InvalidInput, REPLYING, fault))
}

#[cold]
pub(super) fn contradiction() -> Error {
    let cause = "the `Content-Length` is not that of the body";
    Error::caused(ErrorKind::InvalidInput, REPLYING, cause.into())
}

/// Puts the head together in the scratch buffer. Says whether the body stays away.
#[expect(clippy::too_many_arguments, reason = "the parts of a head")]
pub(super) fn begin(
    ev: &EvLoop,
    service: &Service,
    state: &mut State,
    at: At,
    serial: u32,
    outline: &Outline,
    content_type: Option<&str>,
    mut framing: Framing,
    now: u64,
) -> Result<bool> {
    let State { conns, scratch, date, stopping, .. } = state;
    let Some(conn) = conns.get_mut(at.index as usize).filter(|conn| conn.is_at(at)) else {
        return Err(gone());
    };
    let is_ending = conn.has(conn_flag::ENDING);
    let Some(exchange) = conn.exchange.as_deref_mut().filter(|exchange| exchange.serial == serial)
    else {
        return Err(gone());
    };
    if !exchange.is_unanswered() || is_ending {
        return Err(gone());
    }
    let status = outline.status;
    let bodiless = status.forbids_body();
    let absent = bodiless || exchange.has(flag::IS_HEAD);
    if let (Some(length), true) = (outline.length, exchange.has(flag::IS_HEAD)) {
        framing = Framing::Length(length);
    }
    let closes = outline.closes
        || framing == Framing::UntilClose && !absent
        || !exchange.has(flag::KEEPS_ALIVE)
        || stopping.is_ending()
        || will_not_be_drained(service, exchange)
        || service.options.max_requests != 0 && serial >= service.options.max_requests
        || is_too_old(ev, service, at.stream);
    exchange.put(flag::CLOSES, closes);
    exchange.status = Some(status);

    scratch.clear();
    let dates = service.options.date && outline.has & HAS_DATE == 0;
    wire::status_line(scratch, status);
    if dates {
        scratch.extend_from_slice(date.line(now, || ev.wall_now()));
    }
    if let Some(name) = &service.options.server_name {
        if outline.has & HAS_SERVER == 0 {
            scratch.extend_from_slice(b"Server: ");
            scratch.extend_from_slice(name.as_bytes());
            scratch.extend_from_slice(b"\r\n");
        }
    }
    if let Some(content_type) = content_type {
        if outline.has & HAS_TYPE == 0 && !bodiless {
            scratch.extend_from_slice(b"Content-Type: ");
            scratch.extend_from_slice(content_type.as_bytes());
            scratch.extend_from_slice(b"\r\n");
        }
    }
    scratch.extend_from_slice(&outline.lines);
    match framing {
        _ if status.code() == 204 || status.is_informational() => {}
        // A 304 has the length of what was not modified, or none.
        Framing::Length(_) if bodiless => {
            if let Some(length) = outline.length {
                wire::number_field(scratch, "Content-Length", length)?;
            }
        }
        Framing::Length(length) => wire::number_field(scratch, "Content-Length", length)?,
        Framing::Chunked if !bodiless => {
            scratch.extend_from_slice(b"Transfer-Encoding: chunked\r\n");
        }
        _ => {}
    }
    if outline.has & HAS_UPGRADE != 0 {
        scratch.extend_from_slice(match (closes, exchange.has(flag::HTTP_10)) {
            (true, _) => b"Connection: close, Upgrade\r\n",
            (false, true) => b"Connection: keep-alive, Upgrade\r\n",
            (false, false) => b"Connection: Upgrade\r\n".as_slice(),
        });
    } else if closes {
        scratch.extend_from_slice(b"Connection: close\r\n");
    } else if exchange.has(flag::HTTP_10) {
        scratch.extend_from_slice(b"Connection: keep-alive\r\n");
    }
    scratch.extend_from_slice(b"\r\n");
    exchange.bytes_out += scratch.len() as u64;
    exchange.head_out = scratch.len();
    Ok(absent)
}

/// Whether more of the request's body is left than would be read for nobody.
pub(super) fn will_not_be_drained(service: &Service, exchange: &Exchange) -> bool {
    if exchange.has(flag::BODY_DONE) {
        return false;
    }
    // Whoever takes the body goes on with that.
    let is_taken = exchange.hooks.as_ref().is_some_and(|hooks| hooks.incoming.is_some());
    if is_taken {
        return false;
    }
    // A client that was not told to go on may send its body, or the next request: nobody can know.
    let unknown = exchange.has(flag::EXPECTS) && !exchange.has(flag::BODY_SEEN);
    let left = exchange.decoder.remaining();
    unknown || left.is_some_and(|left| left > service.options.max_drain)
}

pub(super) fn is_too_old(ev: &EvLoop, service: &Service, stream: Stream) -> bool {
    let Some(lifetime) = service.options.lifetime else { return false };
    let opened = stream.info(ev).and_then(|info| info.opened);
    opened.is_some_and(|opened| ev.now().saturating_duration_since(opened) >= lifetime)
}

/// What the version of a request says about its replies.
pub(super) fn version_flags(version: Version) -> u32 {
    if version == Version::Http10 { flag::HTTP_10 } else { 0 }
}
