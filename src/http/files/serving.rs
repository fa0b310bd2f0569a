//! What is answered to a request for a file.

use std::os::fd::OwnedFd;

use rustix::fs::FileType;
use rustix::io::Errno;

use super::marks::Attributes;
use super::root::{READ, READ_DIRECTORY};
use super::{FilePath, Files, Spare, listing, sending};
use crate::http::{Reply, Request};
use crate::wire::accept::{self, IDENTITY};
use crate::wire::{Method, Status};
use crate::{EvLoop, Result};

/// What there is at a path.
enum Found {
    File(Opened),
    Directory,
    Listed(OwnedFd),
    Nothing,
    /// There is no telling.
    Failed(Status),
}

/// A regular file.
pub(super) struct Opened {
    pub(super) fd: OwnedFd,
    pub(super) attributes: Attributes,
    /// The coding in which it is, or nothing.
    pub(super) coding: &'static str,
}

/// Codings, and how the names of files end that are in them. Of equally welcome ones the first is sent.
const CODINGS: [(&str, &str); 3] = [("br", ".br"), ("zstd", ".zst"), ("gzip", ".gz")];

pub(super) fn serve(
    files: &Files,
    ev: &mut EvLoop,
    request: &Request,
    path: &str,
    reply: Reply,
    spare: &mut Spare,
) -> Result<()> {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return reply.header("Allow", "GET, HEAD").error(ev, Status::METHOD_NOT_ALLOWED);
    }
    let Ok(path) = FilePath::parse(path, files.hidden) else {
        return missing(files, ev, request, reply);
    };
    let has_slash = request.path().ends_with('/');
    let is_directory = path.is_directory() && (has_slash || !path.as_str().is_empty());
    let found = if is_directory {
        in_directory(files, request, path.as_str(), spare)
    } else if path.as_str().is_empty() {
        Found::Directory
    } else {
        spare.path.clear();
        spare.path.push_str(path.as_str());
        match at(files, request, spare) {
            // A handler may ask for a directory whatever the request's path is.
            Found::Directory if has_slash => in_directory(files, request, path.as_str(), spare),
            found => found,
        }
    };
    match found {
        Found::File(file) => sending::send(files, ev, request, reply, file, spare),
        Found::Directory => {
            let place = with_slash(request.raw_path(), request.query());
            reply.status(Status::MOVED_PERMANENTLY).header("Location", place).empty(ev)
        }
        Found::Listed(fd) => listing::send(files, ev, request, path.as_str(), reply, fd, spare),
        Found::Nothing => missing(files, ev, request, reply),
        Found::Failed(status) => reply.error(ev, status),
    }
}

fn missing(files: &Files, ev: &mut EvLoop, request: &Request, reply: Reply) -> Result<()> {
    match &files.missing {
        Some(hook) => hook(ev, request, reply.status(Status::NOT_FOUND)),
        None => reply.error(ev, Status::NOT_FOUND),
    }
}

/// What stands for a directory.
fn in_directory(files: &Files, request: &Request, path: &str, spare: &mut Spare) -> Found {
    for name in &files.index {
        spare.path.clear();
        spare.path.push_str(path);
        if !path.is_empty() {
            spare.path.push('/');
        }
        spare.path.push_str(name);
        match at(files, request, spare) {
            Found::Nothing | Found::Directory => {}
            found => return found,
        }
    }
    if files.listing == 0 {
        return Found::Nothing;
    }
    match files.root.find(path, files.links, READ_DIRECTORY) {
        Ok(fd) => Found::Listed(fd),
        Err(error) => refused(error),
    }
}

/// What is at the path in the spare memory.
fn at(files: &Files, request: &Request, spare: &mut Spare) -> Found {
    if files.precompressed {
        if let Some(file) = coded(files, request, spare) {
            return Found::File(file);
        }
    }
    match files.root.find(&spare.path, files.links, READ) {
        Ok(fd) => match Attributes::of(&fd) {
            Ok(attributes) => match attributes.kind {
                FileType::RegularFile => Found::File(Opened { fd, attributes, coding: "" }),
                FileType::Directory => Found::Directory,
                _ => Found::Nothing,
            },
            Err(error) => refused(error),
        },
        Err(error) => refused(error),
    }
}

/// The file beside it that is in the most welcome coding.
fn coded(files: &Files, request: &Request, spare: &mut Spare) -> Option<Opened> {
    let accepted = accept::encodings(request.fields());
    if !accepted.is_present() || CODINGS.iter().any(|(_, end)| spare.path.ends_with(end)) {
        return None;
    }
    let mut offered = CODINGS.map(|(name, end)| (accepted.weight(name), name, end));
    let as_it_is = accepted.weight(IDENTITY);
    // Stable: of equals the first stays so.
    offered.sort_by_key(|(weight, ..)| std::cmp::Reverse(*weight));
    for (weight, coding, end) in offered {
        if weight == 0 || weight < as_it_is {
            continue;
        }
        let len = spare.path.len();
        spare.path.push_str(end);
        let found = files.root.find(&spare.path, files.links, READ);
        spare.path.truncate(len);
        let Ok(fd) = found else { continue };
        match Attributes::of(&fd) {
            Ok(attributes) if attributes.kind == FileType::RegularFile => {
                return Some(Opened { fd, attributes, coding });
            }
            _ => {}
        }
    }
    None
}

/// What it means that something could not be opened.
fn refused(error: Errno) -> Found {
    match error {
        Errno::ACCESS | Errno::PERM => Found::Failed(Status::FORBIDDEN),
        // There will be room again; or it is being moved all the time, or somebody has a lease on it.
        Errno::MFILE | Errno::NFILE | Errno::NOMEM | Errno::AGAIN => {
            Found::Failed(Status::SERVICE_UNAVAILABLE)
        }
        Errno::IO => Found::Failed(Status::INTERNAL_SERVER_ERROR),
        // It is not there, not below the directory, behind too many links, a socket, a device without a driver …
        _ => Found::Nothing,
    }
}

/// The same place with a slash at its end, relative to what was asked for: so it is a place of the same host, however
/// the path begins, and whatever proxies have made of it.
fn with_slash(raw_path: &str, query: Option<&str>) -> String {
    let last = raw_path.rsplit('/').next().unwrap_or_default();
    // What has a colon in it would be another scheme without the dot.
    let mut place =
        String::with_capacity(last.len() + 3 + query.map_or(0, |query| query.len() + 1));
    place.push_str("./");
    for byte in last.bytes() {
        // Some browsers take a backslash for a slash.
        if byte.is_ascii_alphanumeric() || b"-._~%!$&'()*+,;=:@".contains(&byte) {
            place.push(char::from(byte));
        } else {
            place.push_str(&format!("%{byte:02X}"));
        }
    }
    place.push('/');
    if let Some(query) = query {
        place.push('?');
        place.push_str(query);
    }
    place
}
