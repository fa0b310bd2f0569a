//! One line.

use std::borrow::Cow;
use std::io::Write;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::LogFormat;
use super::escape::{json, text};
use crate::http::addresses::ip_of_place;
use crate::http::{Completed, CompletionReason, Refused, RequestDetails, Summary, Version};
use crate::wire::{self, DateCache, Status};

/// The longest line there can be, with its line feed: what a pipe takes whole.
pub(super) const LONGEST: usize = 4096;

/// How long each may be that a client has a say in: together they, and the rest, which is less than 500, are less than that.
const METHOD: usize = 32;
const TARGET: usize = 1400;
const HOST: usize = 260;
const USER: usize = 200;
const ID: usize = 200;
const REFERER: usize = 700;
const AGENT: usize = 600;

/// The time of day in words, which changes once a second.
#[derive(Default)]
pub(super) struct Clock {
    date: DateCache,
}

/// What a line says.
pub(super) struct Entry<'a> {
    /// What was asked for, if that is known.
    request: Option<&'a Summary>,
    details: Cow<'a, RequestDetails>,
    reason: CompletionReason,
    status: Option<Status>,
    bytes_in: u64,
    bytes_out: u64,
    body_out: u64,
    duration: Duration,
}

impl<'a> Entry<'a> {
    /// For a request that is over.
    pub(super) fn of(completed: &'a Completed) -> Self {
        let details = completed.request.details.as_deref();
        Self {
            request: Some(&completed.request),
            details: details.map_or_else(Cow::default, Cow::Borrowed),
            reason: completed.reason,
            status: completed.status,
            bytes_in: completed.bytes_in,
            bytes_out: completed.bytes_out,
            body_out: completed.body_out,
            duration: completed.duration,
        }
    }

    /// For what was none.
    pub(super) fn of_refused(refused: &'a Refused) -> Self {
        // What proxies say of their client stands in fields that have not come.
        let client = refused.peer.as_ref().and_then(|peer| ip_of_place(peer.place()));
        let peer = refused.peer.clone();
        Self {
            request: refused.request.as_ref(),
            details: Cow::Owned(RequestDetails { peer, client, ..RequestDetails::default() }),
            reason: refused.reason,
            status: refused.status,
            bytes_in: refused.bytes_in,
            bytes_out: refused.bytes_out,
            body_out: refused.body_out,
            duration: Duration::ZERO,
        }
    }
}

/// Writes a line.
pub(super) fn write(
    format: LogFormat,
    timings: bool,
    entry: &Entry<'_>,
    now: SystemTime,
    clock: &mut Clock,
    out: &mut Vec<u8>,
) {
    match format {
        LogFormat::Json => object(entry, now, clock, out),
        _ => words(format, timings, entry, now, clock, out),
    }
    out.push(b'\n');
}

fn words(
    format: LogFormat,
    timings: bool,
    entry: &Entry<'_>,
    now: SystemTime,
    clock: &mut Clock,
    out: &mut Vec<u8>,
) {
    let Entry { request, details, .. } = entry;
    match details.client {
        Some(client) => address(client, out),
        None => out.push(b'-'),
    }
    out.extend_from_slice(b" - ");
    let user = request.and_then(|request| request.user.as_deref());
    text(user.unwrap_or_default().as_bytes(), USER, false, out);
    let date = clock.date.at(now);
    out.extend_from_slice(b" [");
    for (part, divider) in [(5..7, b'/'), (8..11, b'/'), (12..16, b':'), (17..25, b' ')] {
        out.extend_from_slice(date.get(part).unwrap_or_default());
        out.push(divider);
    }
    out.extend_from_slice(b"+0000] \"");
    match request {
        Some(request) => {
            text(request.method.as_str().as_bytes(), METHOD, false, out);
            out.push(b' ');
            text(request.target.as_bytes(), TARGET, false, out);
            out.push(b' ');
            out.extend_from_slice(version(request.version));
        }
        None => out.push(b'-'),
    }
    out.extend_from_slice(b"\" ");
    wire::number(out, entry.status.map_or(0, |status| status.code().into()));
    out.push(b' ');
    wire::number(out, entry.body_out);
    if format == LogFormat::Combined {
        for (value, most) in [(&details.referer, REFERER), (&details.user_agent, AGENT)] {
            out.extend_from_slice(b" \"");
            text(value.as_deref().unwrap_or_default(), most, true, out);
            out.push(b'"');
        }
    }
    if timings {
        let took = entry.duration;
        let seconds = (took.as_secs(), took.subsec_micros());
        // To memory, which does not fail.
        write!(out, " {} {}.{:06} ", entry.reason, seconds.0, seconds.1).ok();
        wire::number(out, entry.bytes_in);
        out.push(b' ');
        let id = request.and_then(|request| request.id.as_deref());
        text(id.unwrap_or_default().as_bytes(), ID, false, out);
    }
}

fn object(entry: &Entry<'_>, now: SystemTime, clock: &mut Clock, out: &mut Vec<u8>) {
    let Entry { request, details, .. } = entry;
    out.extend_from_slice(b"{\"time\":\"");
    time(now, clock, out);
    out.extend_from_slice(b"\",\"client\":");
    match details.client {
        Some(client) => {
            out.push(b'"');
            address(client, out);
            out.push(b'"');
        }
        None => out.extend_from_slice(b"null"),
    }
    let peer = details.peer.as_ref().map(ToString::to_string);
    let host = details.host.as_deref().map(str::as_bytes);
    let of = |part: for<'b> fn(&'b Summary) -> Option<&'b str>| {
        request.and_then(part).map(str::as_bytes)
    };
    for (name, value, most) in [
        ("peer", peer.as_deref().map(str::as_bytes), HOST),
        ("user", of(|request| request.user.as_deref()), USER),
        ("id", of(|request| request.id.as_deref()), ID),
        ("method", of(|request| Some(request.method.as_str())), METHOD),
        ("target", of(|request| Some(&request.target)), TARGET),
        ("version", request.map(|request| version(request.version)), METHOD),
        ("host", host, HOST),
        ("referer", details.referer.as_deref(), REFERER),
        ("user_agent", details.user_agent.as_deref(), AGENT),
        ("reason", Some(entry.reason.as_str().as_bytes()), METHOD),
    ] {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match value {
            Some(value) => json(value, most, out),
            None => out.extend_from_slice(b"null"),
        }
    }
    let took = u64::try_from(entry.duration.as_micros()).unwrap_or(u64::MAX);
    let status = entry.status.map(|status| u64::from(status.code()));
    for (name, value) in [
        ("status", status),
        ("duration_us", Some(took)),
        ("bytes_in", Some(entry.bytes_in)),
        ("bytes_out", Some(entry.bytes_out)),
    ] {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match value {
            Some(value) => wire::number(out, value),
            None => out.extend_from_slice(b"null"),
        }
    }
    out.push(b'}');
}

/// `1994-11-06T08:49:37.123Z` (RFC 3339).
fn time(now: SystemTime, clock: &mut Clock, out: &mut Vec<u8>) {
    const MONTHS: &[u8] = b"JanFebMarAprMayJunJulAugSepOctNovDec";
    let date = clock.date.at(now);
    let part = |range| date.get(range).unwrap_or_default();
    let month = MONTHS.chunks(3).position(|month| month == part(8..11)).map_or(1, |at| at + 1);
    let millis = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_millis());
    out.extend_from_slice(part(12..16));
    // To memory, which does not fail.
    write!(out, "-{month:02}-").ok();
    out.extend_from_slice(part(5..7));
    out.push(b'T');
    out.extend_from_slice(part(17..25));
    write!(out, ".{millis:03}Z").ok();
}

fn address(ip: IpAddr, out: &mut Vec<u8>) {
    write!(out, "{ip}").ok();
}

fn version(version: Version) -> &'static [u8] {
    match version {
        Version::Http10 => b"HTTP/1.0",
        _ => b"HTTP/1.1",
    }
}
