//! Several parts of a file in one reply (`multipart/byteranges`, RFC 9110 §14.6).

use std::collections::hash_map::RandomState;
use std::fs::File;
use std::hash::BuildHasher;

use super::marks::Attributes;
use super::{Files, Spare};
use crate::http::{Parts, Reply, Response};
use crate::wire::Status;
use crate::wire::range::{self, Ranges};
use crate::{EvLoop, Result};

pub(super) fn send(
    files: &Files,
    ev: &mut EvLoop,
    reply: Reply,
    file: File,
    attributes: &Attributes,
    ranges: &Ranges,
    spare: &mut Spare,
) -> Result<()> {
    let kind = files.kinds.of(&spare.path);
    let boundary = boundary();
    let mut parts = Vec::with_capacity(ranges.len());
    for range in ranges.iter() {
        let mut head = Vec::with_capacity(128 + kind.len());
        head.extend_from_slice(b"\r\n--");
        head.extend_from_slice(boundary.as_bytes());
        head.extend_from_slice(b"\r\nContent-Type: ");
        head.extend_from_slice(kind.as_bytes());
        head.extend_from_slice(b"\r\nContent-Range: ");
        range::content_range(&mut head, *range, attributes.len);
        head.extend_from_slice(b"\r\n\r\n");
        parts.push((head, range.offset, range.len));
    }
    let parts = Parts::new(file, parts, format!("\r\n--{boundary}--\r\n").into_bytes());
    let mut outline = std::mem::take(&mut spare.outline);
    outline.set_status(Status::PARTIAL_CONTENT);
    outline.add("Content-Type", format!("multipart/byteranges; boundary={boundary}").as_bytes());
    reply.send(ev, Response::prepared_parts(outline, parts))
}

/// One that nobody can have put into a file: of 128 bits, from the system's random numbers by way of the keys of maps.
fn boundary() -> String {
    let half = || RandomState::new().hash_one(0_u8);
    format!("{:016x}{:016x}", half(), half())
}
