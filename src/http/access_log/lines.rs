//! One line.

use std::io::Write;
use std::net::IpAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::LogFormat;
use super::escape::{json, text};
use crate::http::{Completed, RequestDetails, Version};
use crate::wire::{self, DateCache};

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

/// Writes a line for a request that is over.
pub(super) fn write(
    format: LogFormat,
    timings: bool,
    completed: &Completed,
    now: SystemTime,
    clock: &mut Clock,
    out: &mut Vec<u8>,
) {
    match format {
        LogFormat::Json => object(completed, now, clock, out),
        _ => words(format, timings, completed, now, clock, out),
    }
    out.push(b'\n');
}

fn words(
    format: LogFormat,
    timings: bool,
    completed: &Completed,
    now: SystemTime,
    clock: &mut Clock,
    out: &mut Vec<u8>,
) {
    let request = &*completed.request;
    let none = RequestDetails::default();
    let details = request.details.as_deref().unwrap_or(&none);
    match details.client {
        Some(client) => address(client, out),
        None => out.push(b'-'),
    }
    out.extend_from_slice(b" - ");
    text(request.user.as_deref().unwrap_or_default().as_bytes(), USER, false, out);
    let date = clock.date.at(now);
    out.extend_from_slice(b" [");
    for (part, divider) in [(5..7, b'/'), (8..11, b'/'), (12..16, b':'), (17..25, b' ')] {
        out.extend_from_slice(date.get(part).unwrap_or_default());
        out.push(divider);
    }
    out.extend_from_slice(b"+0000] \"");
    text(request.method.as_str().as_bytes(), METHOD, false, out);
    out.push(b' ');
    text(request.target.as_bytes(), TARGET, false, out);
    out.push(b' ');
    out.extend_from_slice(version(request.version));
    out.extend_from_slice(b"\" ");
    wire::number(out, completed.status.map_or(0, |status| status.code().into()));
    out.push(b' ');
    wire::number(out, completed.body_out);
    if format == LogFormat::Combined {
        for (value, most) in [(&details.referer, REFERER), (&details.user_agent, AGENT)] {
            out.extend_from_slice(b" \"");
            text(value.as_deref().unwrap_or_default(), most, true, out);
            out.push(b'"');
        }
    }
    if timings {
        let took = completed.duration;
        let seconds = (took.as_secs(), took.subsec_micros());
        // To memory, which does not fail.
        write!(out, " {} {}.{:06} ", completed.reason, seconds.0, seconds.1).ok();
        wire::number(out, completed.bytes_in);
        out.push(b' ');
        text(request.id.as_deref().unwrap_or_default().as_bytes(), ID, false, out);
    }
}

fn object(completed: &Completed, now: SystemTime, clock: &mut Clock, out: &mut Vec<u8>) {
    let request = &*completed.request;
    let none = RequestDetails::default();
    let details = request.details.as_deref().unwrap_or(&none);
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
    let target = Some(request.target.as_bytes());
    for (name, value, most) in [
        ("peer", peer.as_deref().map(str::as_bytes), HOST),
        ("user", request.user.as_deref().map(str::as_bytes), USER),
        ("id", request.id.as_deref().map(str::as_bytes), ID),
        ("method", Some(request.method.as_str().as_bytes()), METHOD),
        ("target", target, TARGET),
        ("version", Some(version(request.version)), METHOD),
        ("host", host, HOST),
        ("referer", details.referer.as_deref(), REFERER),
        ("user_agent", details.user_agent.as_deref(), AGENT),
        ("reason", Some(completed.reason.as_str().as_bytes()), METHOD),
    ] {
        out.extend_from_slice(b",\"");
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b"\":");
        match value {
            Some(value) => json(value, most, out),
            None => out.extend_from_slice(b"null"),
        }
    }
    let took = u64::try_from(completed.duration.as_micros()).unwrap_or(u64::MAX);
    let status = completed.status.map(|status| u64::from(status.code()));
    for (name, value) in [
        ("status", status),
        ("duration_us", Some(took)),
        ("bytes_in", Some(completed.bytes_in)),
        ("bytes_out", Some(completed.bytes_out)),
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
