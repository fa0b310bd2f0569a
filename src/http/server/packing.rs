//! Bodies of replies are packed on their way out.

// A whole body is packed where it is answered, if it is small. Otherwise the reply becomes one that is pulled, and a
// `Packer` stands between whoever writes and the framing, as it does for replies that are streamed anyway.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use super::capacity::Held;
use super::connection::{At, conn_flag};
use super::exchange::{Answer, Exchange, Framing, flag};
use super::outgoing::{BodyLength, Puller, ReplyStream};
use super::pieces::{self, Piece, TAKEN_WHOLE};
use super::response::{Body, Outline, Response};
use super::sending;
use super::service::{Service, State};
use super::{Pull, connection};
use crate::http::compression::{self, Compression};
use crate::net::{Chunk, Written};
use crate::wire::coding::{Coding, Encoder};
use crate::wire::{Fields, Status};
use crate::{Error, ErrorKind, EvLoop, Result};

const REPLYING: &str = "replying to a request";

/// So much is packed at once, in bytes: a millisecond or two.
const AT_ONCE: usize = 64 * 1024;

/// So much of files is read to be packed in one piece, in bytes. They are in memory then.
const MOST_OF_FILES: usize = 16 * 1024 * 1024;

/// What a server keeps for this.
#[derive(Default)]
pub(super) struct Packing {
    /// Making one takes longer than packing a small page.
    spare: RefCell<Option<Encoder>>,
    /// How many packers there are.
    active: Rc<Cell<usize>>,
}

/// What one that packs takes of memory, in bytes.
const PACKER: usize = 300 * 1024;

/// Packs one body, piece by piece.
pub(super) struct Packer {
    encoder: Encoder,
    /// Dropped with it.
    _held: Held,
    /// What is still to come, if that is known.
    left: Option<u64>,
    /// What it has taken since others had their turn.
    taken: usize,
    active: Rc<Cell<usize>>,
}

impl Drop for Packer {
    fn drop(&mut self) {
        self.active.set(self.active.get().saturating_sub(1));
    }
}

// --- what is packed ----------------------------------------------------------------------------

/// What a client can read, to be remembered with its request.
pub(super) fn flags_of(service: &Service, fields: &Fields) -> u32 {
    if service.routes.coding.compression.is_none() {
        return 0;
    }
    match compression::wanted(fields) {
        Some(Coding::Gzip) => flag::TAKES_GZIP,
        Some(Coding::Deflate) => flag::TAKES_DEFLATE,
        None => 0,
    }
}

fn coding_for(exchange: &Exchange) -> Option<Coding> {
    if exchange.has(flag::TAKES_GZIP) {
        Some(Coding::Gzip)
    } else if exchange.has(flag::TAKES_DEFLATE) {
        Some(Coding::Deflate)
    } else {
        None
    }
}

/// Whether a reply would be packed for somebody.
fn suits(compression: &Compression, outline: &Outline, len: Option<u64>) -> bool {
    let status = outline.status;
    !status.forbids_body()
        && status.code() != 206
        && len.is_none_or(|len| len >= compression.threshold)
        && outline.value("content-type").is_some_and(|of| compression.covers(of))
        && is_free(outline)
}

/// Whether its bytes may be others.
fn is_free(outline: &Outline) -> bool {
    // The bytes are those that they are about.
    const WITHOUT: [&str; 6] = [
        "content-encoding",
        "content-range",
        "content-md5",
        "content-digest",
        "digest",
        // Of what is packed on its way there are no parts: a file that is sent whole stays the one of which there are.
        "accept-ranges",
    ];
    let is_fixed = || {
        outline
            .values("cache-control")
            .flat_map(|value| value.split(|&byte| byte == b','))
            .any(|word| word.trim_ascii().eq_ignore_ascii_case(b"no-transform"))
    };
    !WITHOUT.iter().any(|name| outline.value(name).is_some()) && !is_fixed()
}

/// Whether what has not been modified is something that would be packed for somebody: a 304 varies as the reply does that it
/// stands for (RFC 9110 §15.4.5), as far as it says what that is.
fn stands_for_packed(compression: &Compression, outline: &Outline) -> bool {
    outline.status == Status::NOT_MODIFIED
        && outline.value("content-type").is_none_or(|of| compression.covers(of))
        && is_free(outline)
}

/// Says that it depends on what the client can read.
fn vary(outline: &mut Outline) {
    let is_said = outline
        .values("vary")
        .flat_map(|value| value.split(|&byte| byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|name| name == b"*" || name.eq_ignore_ascii_case(b"accept-encoding"));
    if !is_said {
        outline.add("Vary", b"Accept-Encoding");
    }
}

/// Makes the fields those of the packed body.
fn packed(outline: &mut Outline, coding: Coding) {
    outline.add("Content-Encoding", coding.as_str().as_bytes());
    outline.length = None;
    let tag = outline.value("etag").filter(|tag| !tag.starts_with(b"W/"));
    if let Some(tag) = tag {
        let weak = [b"W/", tag].concat();
        outline.remove("etag");
        outline.add("ETag", &weak);
    }
}

// --- whole replies -------------------------------------------------------------------------------

/// What is to be answered, unless that was done.
pub(super) fn whole(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    serial: u32,
    mut response: Response,
) -> std::result::Result<Response, Result<()>> {
    let Some(compression) = &service.routes.coding.compression else { return Ok(response) };
    if stands_for_packed(compression, &response.outline) {
        vary(&mut response.outline);
        return Ok(response);
    }
    let is_file = matches!(response.body, Body::File(..) | Body::Parts(_));
    let len = response.outline.length.unwrap_or_else(|| response.body.len());
    if is_file || response.trailers.is_some() || !suits(compression, &response.outline, Some(len)) {
        return Ok(response);
    }
    let (coding, is_old) = {
        let mut state = service.state.borrow_mut();
        let Some(exchange) = state.exchange(at, serial) else { return Ok(response) };
        (coding_for(exchange), exchange.has(flag::HTTP_10))
    };
    vary(&mut response.outline);
    let Some(coding) = coding else { return Ok(response) };
    if matches!(response.body, Body::Empty) {
        // To a `HEAD`, by somebody who has only said how long it would be.
        packed(&mut response.outline, coding);
        let begun =
            sending::begin_stream(ev, service, at, serial, response.outline, BodyLength::Unknown);
        return Err(begun.map(|_| ()));
    }
    let bytes = bytes_of(&response.body);
    if bytes.len() > AT_ONCE {
        if is_old || service.packing.active.get() >= compression.max_streams {
            return Ok(response);
        }
        return Err(in_turns(ev, service, at, serial, response));
    }
    let spare = service.packing.spare.take().filter(|spare| spare.coding() == coding);
    let mut encoder = spare.unwrap_or_else(|| Encoder::new(coding, compression.level));
    let mut out = Vec::with_capacity(bytes.len() / 2);
    encoder.update(bytes, &mut out);
    encoder.finish(&mut out);
    service.packing.spare.replace(Some(encoder));
    if out.len() < bytes.len() {
        packed(&mut response.outline, coding);
        response.body = Body::Owned(out);
    }
    Ok(response)
}

fn bytes_of(body: &Body) -> &[u8] {
    match body {
        Body::Static(bytes) => bytes,
        Body::Owned(bytes) => bytes,
        Body::Shared(bytes) => bytes,
        Body::Empty | Body::File(..) | Body::Parts(_) => &[],
    }
}

/// Sends a large body packed, some of it in each turn.
fn in_turns(
    ev: &mut EvLoop,
    service: &Rc<Service>,
    at: At,
    serial: u32,
    response: Response,
) -> Result<()> {
    let Response { outline, body, .. } = response;
    let length = BodyLength::Known(bytes_of(&body).len() as u64);
    if !sending::begin_stream(ev, service, at, serial, outline, length)? {
        return Ok(());
    }
    let mut from = 0;
    let source = move |_: &mut EvLoop| {
        let rest = bytes_of(&body).get(from..).unwrap_or_default();
        let piece = rest.get(..AT_ONCE).unwrap_or(rest);
        from += piece.len();
        if piece.is_empty() { Pull::End } else { Pull::Data(piece.to_vec()) }
    };
    ReplyStream::new(Rc::clone(service), at, serial).pull(ev, Puller::new(source));
    Ok(())
}

// --- replies in pieces ---------------------------------------------------------------------------

/// A reply whose body will come piece by piece, of this length if that is known: its fields, how long it
/// is said to be, and what packs it.
pub(super) fn begin(
    service: &Service,
    at: At,
    serial: u32,
    mut outline: Outline,
    length: Option<u64>,
) -> (Outline, Option<u64>, Option<Box<Packer>>) {
    let Some(compression) = &service.routes.coding.compression else {
        return (outline, length, None);
    };
    if !suits(compression, &outline, length) {
        return (outline, length, None);
    }
    vary(&mut outline);
    let mut state = service.state.borrow_mut();
    let exchange = state.exchange(at, serial).filter(|exchange| !exchange.has(flag::HTTP_10));
    let Some(exchange) = exchange else { return (outline, length, None) };
    let active = &service.packing.active;
    let coding = coding_for(exchange).filter(|_| active.get() < compression.max_streams);
    let Some(coding) = coding else { return (outline, length, None) };
    packed(&mut outline, coding);
    if exchange.has(flag::IS_HEAD) {
        return (outline, None, None);
    }
    active.set(active.get() + 1);
    let encoder = Encoder::new(coding, compression.level);
    let held = service.aside.hold(PACKER);
    let packer = Packer { encoder, _held: held, left: length, taken: 0, active: Rc::clone(active) };
    (outline, None, Some(Box::new(packer)))
}

/// From here on it is this that packs the body.
pub(super) fn attach(exchange: &mut Exchange, packer: Option<Box<Packer>>) {
    if packer.is_some() {
        exchange.set(flag::PACKS);
        exchange.hooks().packer = packer;
    }
}

/// Packs a piece and sends what comes out. Nothing of it was taken if it fails, unless the connection was cut.
pub(super) fn put(
    ev: &mut EvLoop,
    state: &mut State,
    at: At,
    serial: u32,
    framing: Framing,
    mut piece: Piece<'_>,
    flushes: bool,
) -> Result<Written> {
    const PACKING: &str = "packing the body of a reply";
    let len = piece.len();
    let is_asked_for = matches!(piece, Piece::Asked(_));
    if !is_asked_for && at.stream.output_len(ev) >= TAKEN_WHOLE {
        at.stream.takes(ev, len)?;
    }
    if let Piece::Buffer(buffer) = &mut piece {
        let has_files = buffer.chunks().any(|chunk| matches!(chunk, Chunk::File(_)));
        if has_files && len > MOST_OF_FILES {
            let cause = "so much of a file is not packed at once";
            return Err(Error::caused(ErrorKind::Full, PACKING, cause.into()));
        }
        let files = buffer.load(usize::MAX);
        files.map_err(|error| Error::caused(ErrorKind::Io, PACKING, Box::new(error)))?;
    }
    let mut out = std::mem::take(&mut state.packed);
    out.clear();
    {
        let Some(packer) = packer_of(state, at, serial) else { return Err(super::reply::gone()) };
        if let Some(left) = &mut packer.left {
            let Some(rest) = left.checked_sub(len as u64) else {
                let cause = "more than the length that was named";
                return Err(Error::caused(ErrorKind::InvalidInput, PACKING, cause.into()));
            };
            *left = rest;
        }
        packer.taken = packer.taken.saturating_add(len);
        let encoder = &mut packer.encoder;
        match piece {
            Piece::Bytes(bytes) => encoder.update(bytes, &mut out),
            Piece::Owned(bytes) => encoder.update(&bytes, &mut out),
            Piece::Asked(bytes) => encoder.update(bytes, &mut out),
            Piece::Buffer(buffer) => {
                for chunk in buffer.chunks() {
                    // Files were loaded.
                    if let Chunk::Bytes(bytes) = chunk {
                        encoder.update(bytes, &mut out);
                    }
                }
                buffer.clear();
            }
        }
        if flushes && len > 0 {
            encoder.flush(&mut out);
        }
    }
    send(ev, state, at, serial, framing, out)
}

/// Has everything that was packed leave.
pub(super) fn flush(ev: &mut EvLoop, service: &Rc<Service>, at: At, serial: u32) {
    let result = {
        let mut state = service.state.borrow_mut();
        let state = &mut *state;
        let Some((framing, packer)) = streaming(state, at, serial) else { return };
        let mut out = Vec::new();
        packer.encoder.flush(&mut out);
        send(ev, state, at, serial, framing, out)
    };
    // If the client is gone, its connection tells.
    if result.is_err_and(|error| error.kind() != ErrorKind::Closed) {
        connection::cut(ev, service, at, serial);
    }
}

/// That was all.
pub(super) fn end(
    ev: &mut EvLoop,
    state: &mut State,
    at: At,
    serial: u32,
    framing: Framing,
) -> Result<()> {
    let hooks = state.exchange(at, serial).and_then(|exchange| exchange.hooks.as_mut());
    let Some(mut packer) = hooks.and_then(|hooks| hooks.packer.take()) else { return Ok(()) };
    if packer.left.is_some_and(|left| left > 0) {
        let cause = "fewer bytes than the length that was named";
        return Err(Error::caused(ErrorKind::InvalidInput, REPLYING, cause.into()));
    }
    let mut out = Vec::new();
    packer.encoder.finish(&mut out);
    send(ev, state, at, serial, framing, out).map(|_| ())
}

/// Whether so much was taken in this turn that it is others' now.
pub(super) fn is_tired(service: &Service, at: At, serial: u32) -> bool {
    let mut state = service.state.borrow_mut();
    let Some(packer) = packer_of(&mut state, at, serial) else { return false };
    let is_tired = packer.taken >= AT_ONCE;
    if is_tired {
        packer.taken = 0;
    }
    is_tired
}

fn packer_of(state: &mut State, at: At, serial: u32) -> Option<&mut Packer> {
    state.exchange(at, serial)?.hooks.as_mut()?.packer.as_deref_mut()
}

fn streaming(state: &mut State, at: At, serial: u32) -> Option<(Framing, &mut Packer)> {
    let exchange = state.exchange(at, serial)?;
    let Answer::Streaming(framing) = exchange.answer else { return None };
    Some((framing, exchange.hooks.as_mut()?.packer.as_deref_mut()?))
}

/// Sends what has come out.
fn send(
    ev: &mut EvLoop,
    state: &mut State,
    at: At,
    serial: u32,
    framing: Framing,
    mut out: Vec<u8>,
) -> Result<Written> {
    if out.is_empty() {
        let is_full = state.conn(at).is_none_or(|conn| conn.has(conn_flag::STALLED));
        return Ok(if is_full { Written::Full } else { Written::Room });
    }
    let len = out.len();
    // It was counted before it was packed, and what has come out of a packer cannot be put back.
    let written = pieces::write_piece(ev, state, at, framing, Piece::Asked(&mut out));
    // Its memory is for the next one, unless it was for a large piece that came to little.
    if out.capacity() <= AT_ONCE {
        state.packed = out;
    }
    let written = written?;
    if let Some(exchange) = state.exchange(at, serial) {
        exchange.bytes_out += len as u64;
    }
    Ok(written)
}
