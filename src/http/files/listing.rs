//! What is in a directory, as a page.

use std::cmp::Ordering;
use std::os::fd::OwnedFd;
use std::time::SystemTime;

use rustix::fs::{AtFlags, Dir, FileType, OFlags, statat};
use rustix::io::Errno;

use super::marks::Attributes;
use super::root::Symlinks;
use super::{FilePath, Files, Spare};
use crate::http::{Reply, Request, Response};
use crate::wire::html::escape;
use crate::wire::urlencoded::percent_encode_component;
use crate::wire::{Status, http_date};
use crate::{EvLoop, Result};

/// For each entry that is listed so many are looked at, at most: there may be many that are not to be seen.
const LOOKED_AT: usize = 8;

struct Entry {
    name: String,
    is_directory: bool,
    len: u64,
    modified: SystemTime,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Key {
    Name,
    Size,
    Time,
}

pub(super) fn send(
    files: &Files,
    ev: &mut EvLoop,
    request: &Request,
    path: &str,
    reply: Reply,
    directory: OwnedFd,
    spare: &mut Spare,
) -> Result<()> {
    let (mut entries, is_cut) = match entries(files, path, directory) {
        Ok(entries) => entries,
        Err(_) => return reply.error(ev, Status::INTERNAL_SERVER_ERROR),
    };
    let key = match request.query_value("sort").as_deref() {
        Some("size") => Key::Size,
        Some("time") => Key::Time,
        _ => Key::Name,
    };
    let descends = request.query_value("order").as_deref() == Some("desc");
    entries.sort_unstable_by(|one, other| order(one, other, key, descends));
    let page = page(request.path(), path.is_empty(), &entries, is_cut, key, descends);
    spare.outline.copy_from(&files.outline);
    let mut outline = std::mem::take(&mut spare.outline);
    outline.add("Content-Type", b"text/html; charset=utf-8");
    // Names are escaped. Should one slip through, it can do nothing.
    outline.add("Content-Security-Policy", b"default-src 'none'; style-src 'unsafe-inline'");
    reply.send(ev, Response::prepared_text(outline, page))
}

/// Directories first, and by name what is equal otherwise.
fn order(one: &Entry, other: &Entry, key: Key, descends: bool) -> Ordering {
    let by_key = match key {
        Key::Name => Ordering::Equal,
        Key::Size => one.len.cmp(&other.len),
        Key::Time => one.modified.cmp(&other.modified),
    };
    let order = by_key.then_with(|| one.name.cmp(&other.name));
    let order = if descends { order.reverse() } else { order };
    other.is_directory.cmp(&one.is_directory).then(order)
}

/// The entries that can be asked for, and whether there are more.
fn entries(
    files: &Files,
    path: &str,
    directory: OwnedFd,
) -> std::result::Result<(Vec<Entry>, bool), Errno> {
    let mut found = Vec::new();
    let mut looked_at = 0;
    let mut all = Dir::new(directory)?;
    while let Some(entry) = all.read() {
        let entry = entry?;
        if found.len() >= files.listing || looked_at >= files.listing.saturating_mul(LOOKED_AT) {
            return Ok((found, true));
        }
        looked_at += 1;
        let Ok(name) = entry.file_name().to_str() else { continue };
        if FilePath::parse(name, files.hidden).is_err() {
            continue;
        }
        let Some(attributes) = look(files, path, name, &all) else { continue };
        let is_directory = attributes.kind == FileType::Directory;
        if is_directory || attributes.kind == FileType::RegularFile {
            let (len, modified) = (attributes.len, attributes.modified());
            found.push(Entry { name: name.to_owned(), is_directory, len, modified });
        }
    }
    Ok((found, false))
}

/// What an entry is, if it could be asked for.
fn look(files: &Files, path: &str, name: &str, directory: &Dir) -> Option<Attributes> {
    let stat = statat(directory.fd().ok()?, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
    let attributes = Attributes::from_stat(&stat);
    if attributes.kind != FileType::Symlink {
        return Some(attributes);
    }
    if files.links == Symlinks::Off {
        return None;
    }
    // Only where it leads to something that is served.
    let whole = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
    let flags = OFlags::PATH.union(OFlags::CLOEXEC);
    let target = files.root.find(&whole, files.links, flags).ok()?;
    Attributes::of(target).ok()
}

fn page(
    path: &str,
    is_root: bool,
    entries: &[Entry],
    is_cut: bool,
    key: Key,
    descends: bool,
) -> String {
    let title = escape(path);
    let mut page = String::with_capacity(1024 + entries.len() * 160);
    page.push_str("<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n");
    page.push_str("<style>:root{color-scheme:light dark}body{font-family:sans-serif;margin:1em}");
    page.push_str(
        "td,th{text-align:left;padding:.1em 1em .1em 0}td+td{white-space:nowrap}</style>\n",
    );
    page.push_str(&format!("<title>{title}</title></head>\n<body><h1>{title}</h1>\n<table>\n<tr>"));
    for (each, name, text) in
        [(Key::Name, "name", "Name"), (Key::Size, "size", "Size"), (Key::Time, "time", "Changed")]
    {
        let order = if each == key && !descends { "desc" } else { "asc" };
        page.push_str(&format!("<th><a href=\"?sort={name}&amp;order={order}\">{text}</a></th>"));
    }
    page.push_str("</tr>\n");
    if !is_root {
        page.push_str("<tr><td><a href=\"../\">../</a></td><td></td><td></td></tr>\n");
    }
    for entry in entries {
        let slash = if entry.is_directory { "/" } else { "" };
        let size = if entry.is_directory { String::new() } else { entry.len.to_string() };
        let date = http_date(entry.modified);
        page.push_str(&format!(
            // With the dot no name is taken for a scheme.
            "<tr><td><a href=\"./{}{slash}\">{}{slash}</a></td><td>{size}</td><td>{}</td></tr>\n",
            percent_encode_component(&entry.name),
            escape(&entry.name),
            String::from_utf8_lossy(&date),
        ));
    }
    page.push_str("</table>\n");
    if is_cut {
        page.push_str("<p>There are more.</p>\n");
    }
    page.push_str("</body></html>\n");
    page
}
