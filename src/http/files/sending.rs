//! A file goes out: whole, in part, or not at all since the client has it.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};

use rustix::io::{Errno, pread};

use super::marks::{Attributes, Mark};
use super::parts;
use super::root::retry;
use super::serving::Opened;
use super::{Files, Spare};
use crate::http::{Outline, Reply, Request, Response};
use crate::wire::Status;
use crate::wire::conditional::{Current, Verdict, evaluate};
use crate::wire::range::{self, ByteRange, Requested};
use crate::{EvLoop, Result};

/// Up to so many bytes are read, and leave with the head in one piece.
const SMALL: u64 = 16 * 1024;

/// How often a file is looked at again that has become shorter between being looked at and being read.
const TRIES: usize = 4;

pub(super) fn send(
    files: &Files,
    ev: &mut EvLoop,
    request: &Request,
    reply: Reply,
    file: Opened,
    spare: &mut Spare,
) -> Result<()> {
    let Opened { fd, mut attributes, coding } = file;
    let is_plain = reply.status_of() == Status::OK;
    for _ in 0..TRIES {
        let mark = Mark::new(&attributes, coding, files.tags);
        let now = ev.wall_now();
        let current = Current {
            tag: mark.tag(),
            modified: Some(attributes.modified()),
            now: Some(now),
            ..Current::default()
        };
        let verdict = if is_plain {
            evaluate(request.method(), request.fields(), &current)
        } else {
            Verdict::Whole
        };
        let requested = match verdict {
            Verdict::PreconditionFailed => return reply.error(ev, Status::PRECONDITION_FAILED),
            Verdict::Ranges => range::requested(request.fields(), attributes.len),
            _ => Requested::Ignored,
        };
        describe(files, spare, &current, coding);
        let part = match &requested {
            _ if verdict == Verdict::NotModified => {
                spare.outline.set_status(Status::NOT_MODIFIED);
                return reply.send(ev, Response::prepared(std::mem::take(&mut spare.outline)));
            }
            Requested::Unsatisfiable => {
                let mut value = Vec::new();
                range::unsatisfied(&mut value, attributes.len);
                let reply = reply.header("Content-Range", value).header("Accept-Ranges", "bytes");
                return reply.error(ev, Status::RANGE_NOT_SATISFIABLE);
            }
            Requested::Ranges(ranges) => match ranges.first() {
                Some(range) if ranges.len() == 1 => Some(*range),
                _ => {
                    return parts::send(
                        files,
                        ev,
                        reply,
                        File::from(fd),
                        &attributes,
                        ranges,
                        spare,
                    );
                }
            },
            Requested::Ignored => None,
        };
        let whole = ByteRange { offset: 0, len: attributes.len };
        let ByteRange { offset, len } = part.unwrap_or(whole);
        if let Some(part) = part {
            spare.outline.set_status(Status::PARTIAL_CONTENT);
            let lines = &mut spare.outline.lines;
            lines.extend_from_slice(b"Content-Range: ");
            range::content_range(lines, part, attributes.len);
            lines.extend_from_slice(b"\r\n");
        }
        let kind = files.kinds.of(&spare.path);
        if len > SMALL {
            return send_large(ev, reply, &mut spare.outline, &kind, fd, offset, len);
        }
        match read(&fd, offset, len, &mut spare.body) {
            Ok(true) => return reply.prepared_bytes(ev, &mut spare.outline, &kind, &spare.body),
            // It is another file now: nothing was said of it yet.
            Ok(false) => match Attributes::of(&fd) {
                Ok(new) => attributes = new,
                Err(_) => return reply.error(ev, Status::INTERNAL_SERVER_ERROR),
            },
            Err(_) => return reply.error(ev, Status::INTERNAL_SERVER_ERROR),
        }
    }
    reply.error(ev, Status::SERVICE_UNAVAILABLE)
}

fn send_large(
    ev: &mut EvLoop,
    reply: Reply,
    outline: &mut Outline,
    kind: &str,
    fd: OwnedFd,
    offset: u64,
    len: u64,
) -> Result<()> {
    let mut outline = std::mem::take(outline);
    outline.add("Content-Type", kind.as_bytes());
    reply.send(ev, Response::prepared_file(outline, File::from(fd), offset, len))
}

/// Puts the fields together that a file has whatever is sent of it.
pub(super) fn describe(files: &Files, spare: &mut Spare, current: &Current<'_>, coding: &str) {
    let Spare { outline, dates, .. } = spare;
    outline.copy_from(&files.outline);
    let lines = &mut outline.lines;
    if let (Some(modified), Some(now)) = (current.modified, current.now) {
        // What is later than now no cache can use (RFC 9110 §8.8.2.1).
        lines.extend_from_slice(b"Last-Modified: ");
        lines.extend_from_slice(dates.at(modified.min(now)));
        lines.extend_from_slice(b"\r\n");
    }
    if let Some(tag) = &current.tag {
        lines.extend_from_slice(b"ETag: ");
        tag.write(lines);
        lines.extend_from_slice(b"\r\n");
    }
    lines.extend_from_slice(b"Accept-Ranges: bytes\r\n");
    if !coding.is_empty() {
        lines.extend_from_slice(b"Content-Encoding: ");
        lines.extend_from_slice(coding.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    if files.precompressed {
        lines.extend_from_slice(b"Vary: Accept-Encoding\r\n");
    }
}

/// Reads exactly that part. Says whether it is all there.
fn read(
    fd: impl AsFd,
    offset: u64,
    len: u64,
    into: &mut Vec<u8>,
) -> std::result::Result<bool, Errno> {
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    // What was there before is written over.
    into.resize(len, 0);
    let mut at = 0;
    while let Some(left) = into.get_mut(at..).filter(|left| !left.is_empty()) {
        match retry(|| pread(&fd, &mut *left, offset.saturating_add(at as u64)))? {
            0 => return Ok(false),
            n => at += n,
        }
    }
    Ok(true)
}
