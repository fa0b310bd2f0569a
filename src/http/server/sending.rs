//! Heads of replies are put together and go out, with bodies behind them.

// A reply is written where its verb is called, since that calls nobody; the bytes leave when the handlers that
// are being called have returned. Where a hook has to be asked first, what is to be answered is kept, and the
// loop comes back to it.

use std::rc::Rc;

use super::connection::{At, Phase, conn_flag};
use super::exchange::{Answer, Framing, flag};
use super::outgoing::BodyLength;
use super::reply::{Pending, gone, length_of};
use super::response::{Body, Outline, Response};
use super::service::{Service, State};
use super::{Connection, RequestDetails, Summary, clients, composing, connection};
use crate::net::{Buffer, Shared, Written};
use crate::wire::{self, Fields, Status, Version};
use crate::{Error, ErrorKind, EvLoop, Result};

/// Bodies up to this many bytes are copied behind their head; longer ones are handed over.
pub(super) const SMALL: usize = 16 * 1024;

/// Fewer bytes than this are copied also where others hold them: a place of their own, and the memory that is begun
/// behind it, would take as much.
pub(super) const SHARED: usize = 1024;

/// Answers with bytes that are copied.
pub(super) fn answer_bytes(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    serial: u32,
    outline: &Outline,
    content_type: &str,
    body: &[u8],
) -> Result<()> {
    if outline.is_plain() && body.len() <= SMALL {
        let mut state = service.state.borrow_mut();
        if let Some(result) =
            answer_plainly(ev, service, &mut state, at, serial, content_type, body)
        {
            return result;
        }
    }
    let checked = composing::check_outline(service, at, serial, outline, body.len() as u64)
        .and_then(|()| composing::check_type(content_type));
    if let Err(error) = checked {
        refuse_reply(ev, service, at, serial);
        return Err(error);
    }
    let mut state = service.state.borrow_mut();
    let state = &mut *state;
    let now = ev.now_nanos();
    let framing = Framing::Length(body.len() as u64);
    let absent = composing::begin(
        ev,
        service,
        state,
        at,
        serial,
        outline,
        Some(content_type),
        framing,
        now,
    )?;
    let result = if absent || body.is_empty() {
        at.stream.write_anyway(ev, &state.scratch)
    } else if body.len() <= SMALL {
        state.scratch.extend_from_slice(body);
        at.stream.write_anyway(ev, &state.scratch)
    } else {
        at.stream.append_anyway(ev, |output| {
            output.append(&state.scratch);
            output.append_owned(body);
        })
    };
    finish(ev, state, at, serial, if absent { 0 } else { body.len() as u64 }, result)
}

/// The reply that most are: 200, with a body that is there, to a client of 1.1 that stays, and with nothing to be
/// said but the type. Its head is kept from the one before it. `None` if it is another.
fn answer_plainly(
    ev: &mut EvLoop,
    service: &Service,
    state: &mut State,
    at: At,
    serial: u32,
    content_type: &str,
    body: &[u8],
) -> Option<Result<()>> {
    const RIGHT: u32 = flag::KEEPS_ALIVE | flag::BODY_DONE;
    const WRONG: u32 = flag::IS_HEAD | flag::HTTP_10;
    let options = &service.options;
    if state.stopping.is_ending() || options.max_requests != 0 || options.lifetime.is_some() {
        return None;
    }
    let State { conns, head, .. } = state;
    let conn = conns.get_mut(at.index as usize).filter(|conn| conn.is_at(at))?;
    let (is_ending, driven) = (conn.has(conn_flag::ENDING), conn.has(conn_flag::DRIVEN));
    let exchange = conn.exchange.as_deref_mut().filter(|exchange| exchange.serial == serial)?;
    let is_plain = exchange.flags & (RIGHT | WRONG) == RIGHT;
    if is_ending || !is_plain || !exchange.is_unanswered() {
        return None;
    }
    let head = head.of(ev, options, content_type, body.len() as u64)?;
    exchange.status = Some(Status::OK);
    exchange.answer = Answer::Done;
    exchange.bytes_out += (head.len() + body.len()) as u64;
    exchange.head_out = head.len();
    let result = at.stream.write_parts(ev, [head, body]);
    if !driven {
        at.stream.trigger_received(ev, true);
    }
    match result {
        Ok(Written::Room) => Some(Ok(())),
        Ok(Written::Full) => {
            note_written(ev, state, at, &result);
            Some(Ok(()))
        }
        Err(error) => {
            give_up(ev, state, at, serial);
            Some(Err(error))
        }
    }
}

/// Answers with a response.
pub(super) fn answer(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    serial: u32,
    response: Response,
) -> Result<()> {
    if let Err(error) = composing::check(service, at, serial, &response) {
        refuse_reply(ev, service, at, serial);
        return Err(error);
    }
    #[cfg(feature = "compress")]
    let response = match super::packing::whole(ev, service, at, serial, response) {
        Ok(response) => response,
        Err(answered) => return answered,
    };
    let Response { outline, mut body, trailers } = response;
    let mut state = service.state.borrow_mut();
    let state = &mut *state;
    let now = ev.now_nanos();
    let wants_trailers = trailers.is_some()
        && state.exchange(at, serial).is_some_and(|exchange| {
            exchange.has(flag::TAKES_TRAILERS) && !exchange.has(flag::HTTP_10)
        });
    let len = body.len();
    let framing =
        if wants_trailers { Framing::Chunked } else { Framing::Length(length_of(&body, &outline)) };
    let absent = composing::begin(ev, service, state, at, serial, &outline, None, framing, now)?;
    let stream = at.stream;
    if absent {
        let result = stream.write_anyway(ev, &state.scratch);
        return finish(ev, state, at, serial, 0, result);
    }
    if wants_trailers && len > 0 {
        wire::chunk_head(usize::try_from(len).unwrap_or(usize::MAX), &mut state.scratch);
    }
    let scratch = &mut state.scratch;
    let small = match &body {
        Body::Static(bytes) if bytes.len() <= SMALL => Some(*bytes),
        Body::Owned(bytes) if bytes.len() <= SMALL => Some(bytes.as_slice()),
        Body::Shared(bytes) if bytes.len() < SHARED => Some(&**bytes),
        _ => None,
    };
    scratch.extend_from_slice(small.unwrap_or_default());
    let is_copied = small.is_some();
    let mut end = Vec::new();
    if let Some(trailers) = trailers.filter(|_| wants_trailers) {
        if len > 0 {
            end.extend_from_slice(wire::CHUNK_END);
        }
        wire::last_chunk(&trailers, &mut end);
    }
    let mut put = Ok(());
    let result = stream.append_anyway(ev, |output| {
        output.append(&scratch);
        // Where it is not asked for, it goes when nothing is borrowed any more.
        if !is_copied {
            put = append_body(output, std::mem::take(&mut body));
        }
        output.append(&end);
    });
    let result = put.and(result);
    finish(ev, state, at, serial, len, result)
}

/// A body goes behind its head. There is one at a time, so it is taken whatever its length: none is begun while much
/// of those before it waits.
fn append_body(output: &mut Buffer, body: Body) -> Result<()> {
    match body {
        Body::Empty => {}
        Body::Static(bytes) => output.append_shared(Shared::from_static(bytes)),
        Body::Owned(bytes) => output.append_owned(bytes),
        Body::Shared(bytes) => output.append_shared(bytes),
        Body::File(file, offset, len) if len > SMALL as u64 => {
            output.append_file(file, offset, len)?;
        }
        Body::Parts(parts) if parts.len() > SMALL as u64 => parts.append_to(output)?,
        Body::File(file, offset, len) => {
            let mut body = Buffer::new();
            body.append_file(file, offset, len)?;
            append_read(output, &mut body);
        }
        Body::Parts(parts) => {
            let mut body = Buffer::new();
            parts.append_to(&mut body)?;
            append_read(output, &mut body);
        }
    }
    Ok(())
}

/// What is short is read out of its file now. Else a client that takes nothing would have a descriptor for every few
/// bytes that wait for it.
fn append_read(output: &mut Buffer, body: &mut Buffer) {
    let len = body.len();
    match body.load(len).ok().and_then(|_| body.pullup(len)) {
        Some(bytes) => output.append(bytes),
        // What is wrong with the file shows when it is sent, as for a long one.
        None => output.append_buffer(body),
    }
}

/// Sends the head of a reply whose body comes piece by piece. Says whether the body is sent at all.
pub(super) fn begin_stream(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    serial: u32,
    outline: Outline,
    length: BodyLength,
) -> Result<bool> {
    let claimed = match length {
        BodyLength::Known(length) => Some(length),
        BodyLength::Unknown => None,
    };
    let wrong = outline.check().err().or_else(|| {
        let contradicts = outline.length.is_some() && outline.length != claimed;
        contradicts.then(composing::contradiction)
    });
    if let Some(error) = wrong {
        refuse_reply(ev, service, at, serial);
        return Err(error);
    }
    #[cfg(feature = "compress")]
    let (outline, claimed, packer) = super::packing::begin(service, at, serial, outline, claimed);
    let mut state = service.state.borrow_mut();
    let state = &mut *state;
    let now = ev.now_nanos();
    let is_old = state.exchange(at, serial).is_some_and(|exchange| exchange.has(flag::HTTP_10));
    let framing = match claimed {
        Some(length) => Framing::Length(length),
        None if is_old => Framing::UntilClose,
        None => Framing::Chunked,
    };
    let absent = composing::begin(ev, service, state, at, serial, &outline, None, framing, now)?;
    let result = at.stream.write_anyway(ev, &state.scratch);
    note_written(ev, state, at, &result);
    if let Err(error) = result {
        // Nobody else has the right to answer any more.
        at.stream.reset(ev);
        return Err(error);
    }
    if absent {
        // There is nothing to wait for, however long whoever makes the body takes over it.
        if let Some(exchange) = state.exchange(at, serial) {
            exchange.answer = Answer::Done;
        }
        connection::touch_in(ev, state, at);
        return Ok(false);
    }
    if let Some(conn) = state.conn(at) {
        connection::make_loud(ev, conn);
    }
    if let Some(exchange) = state.exchange(at, serial) {
        exchange.answer = Answer::Streaming(framing);
        #[cfg(feature = "compress")]
        super::packing::attach(exchange, packer);
    }
    Ok(true)
}

/// Sends an interim response.
pub(super) fn interim(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    serial: u32,
    status: Status,
    fields: &Fields,
) -> Result<()> {
    if !(102..200).contains(&status.code()) {
        return Err(Error::new(ErrorKind::InvalidInput, "sending an interim response"));
    }
    let mut state = service.state.borrow_mut();
    let state = &mut *state;
    let Some(exchange) =
        state.open_exchange(at, serial).filter(|exchange| exchange.is_unanswered())
    else {
        return Err(gone());
    };
    if exchange.has(flag::HTTP_10) {
        return Ok(());
    }
    let out = &mut state.scratch;
    out.clear();
    wire::status_line(out, status);
    for (name, value) in fields.iter() {
        let frames = ["content-length", "transfer-encoding"];
        if frames.iter().any(|of| name.eq_ignore_ascii_case(of)) {
            return Err(composing::contradiction());
        }
        wire::field(out, name, value)?;
    }
    out.extend_from_slice(b"\r\n");
    let result = at.stream.write(ev, &state.scratch);
    note_written(ev, state, at, &result);
    result.map(|_| ())
}

/// Keeps what is to be answered until the loop comes by.
pub(super) fn postpone(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    serial: u32,
    pending: Pending,
) -> Result<()> {
    {
        let mut state = service.state.borrow_mut();
        let exchange = state.open_exchange(at, serial).filter(|exchange| exchange.is_unanswered());
        let Some(exchange) = exchange else { return Err(gone()) };
        exchange.hooks().pending = Some(pending);
    }
    connection::touch(ev, service, at);
    Ok(())
}

/// The reply that was asked for cannot be: it is one of 500.
pub(super) fn refuse_reply(ev: &mut EvLoop, service: &Rc<Service>, at: At, serial: u32) {
    if let Some(exchange) = service.state.borrow_mut().exchange(at, serial) {
        if exchange.is_unanswered() {
            exchange.set(flag::FAILED);
        }
    }
    let pending = Pending::Error(Status::INTERNAL_SERVER_ERROR, Outline::default());
    // If the client is gone, nothing is owed.
    let _ = postpone(ev, service, at, serial, pending);
}

pub(super) fn wake_puller(ev: &mut EvLoop, service: &Rc<Service>, at: At, serial: u32) -> bool {
    let waits = {
        let mut state = service.state.borrow_mut();
        let hooks = state.exchange(at, serial).and_then(|exchange| exchange.hooks.as_mut());
        match hooks.and_then(|hooks| hooks.puller.as_mut()) {
            Some(puller) => {
                puller.sleeps = false;
                puller.woken = puller.source.is_none();
                true
            }
            None => false,
        }
    };
    if waits {
        connection::touch(ev, service, at);
    }
    waits
}

/// What a request has asked for, where that is not known any more from the request itself.
pub(super) fn summarize(service: &Service, at: At) -> Option<Rc<Summary>> {
    let mut state = service.state.borrow_mut();
    let exchange = state.conn(at)?.exchange.as_mut()?;
    if let Some(hooks) = &exchange.hooks {
        if let Some(summary) = &hooks.summary {
            return Some(Rc::clone(summary));
        }
    }
    Some(Rc::new(match &exchange.request {
        Some(parts) => summary_of(at, parts),
        None => Summary {
            connection: Connection { stream: at.stream },
            method: exchange.method.clone(),
            target: String::from_utf8_lossy(&exchange.asked).into_owned(),
            version: if exchange.has(flag::HTTP_10) { Version::Http10 } else { Version::Http11 },
            user: None,
            id: None,
            details: None,
        },
    }))
}

pub(super) fn summary_of(at: At, parts: &super::request::Parts) -> Summary {
    Summary {
        user: parts.notes.as_ref().and_then(|notes| notes.user.clone()),
        id: parts.notes.as_ref().and_then(|notes| notes.id.clone()),
        ..summary_of_head(at, &parts.head)
    }
}

pub(super) fn summary_of_head(at: At, head: &wire::RequestHead) -> Summary {
    Summary {
        connection: Connection { stream: at.stream },
        method: head.method().clone(),
        target: head.target().to_owned(),
        version: head.version(),
        user: None,
        id: None,
        details: None,
    }
}

/// What is known besides, for those who have asked for it.
#[cold]
pub(super) fn details_of(
    ev: &EvLoop,
    service: &Service,
    at: At,
    parts: &super::request::Parts,
) -> RequestDetails {
    let head = &parts.head;
    let peer = clients::source_of(ev, at.stream);
    let client = clients::client_of_request(ev, service, at, peer.as_ref(), head.fields()).ip;
    RequestDetails {
        peer,
        client,
        host: head.authority().map(Into::into),
        referer: head.fields().get("referer").map(Into::into),
        user_agent: head.fields().get("user-agent").map(Into::into),
    }
}

/// A reply could not be written: what was cut can be followed by nothing, and was not answered.
#[cold]
fn give_up(ev: &mut EvLoop, state: &mut State, at: At, serial: u32) {
    if let Some(exchange) = state.exchange(at, serial) {
        exchange.answer = Answer::None;
    }
    if let Some(conn) = state.conn(at) {
        conn.set(conn_flag::ENDING);
        conn.phase = Phase::Closing;
    }
    at.stream.reset(ev);
}

/// The whole reply was written, or could not be.
fn finish(
    ev: &mut EvLoop,
    state: &mut State,
    at: At,
    serial: u32,
    body: u64,
    result: Result<Written>,
) -> Result<()> {
    note_written(ev, state, at, &result);
    let Some(conn) = state.conn(at) else { return Err(gone()) };
    let driven = conn.has(conn_flag::DRIVEN);
    let Some(exchange) = conn.exchange.as_deref_mut().filter(|exchange| exchange.serial == serial)
    else {
        return Err(gone());
    };
    exchange.answer = Answer::Done;
    exchange.bytes_out += body;
    if !driven {
        at.stream.trigger_received(ev, true);
    }
    match result {
        Ok(_) => Ok(()),
        Err(error) => {
            give_up(ev, state, at, serial);
            Err(error)
        }
    }
}

pub(super) fn note_written(ev: &mut EvLoop, state: &mut State, at: At, result: &Result<Written>) {
    if let Ok(Written::Full) = result {
        if let Some(conn) = state.conn(at) {
            conn.set(conn_flag::STALLED);
            connection::make_loud(ev, conn);
        }
    }
}
