//! Where a path leads: the directories to watch for it, and the name to watch for.
//!
//! It asks the file system and nobody else, so a renewal that finds the same as before is over with that.
//! Directories are known by device and inode, as the kernel knows them; what a path was is
//! compared by that, and not by its text.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

use super::locality::{is_local, is_mounted_on};

/// Device and inode.
pub(super) type Id = (u64, u64);

/// A directory to be watched.
pub(super) struct Place {
    pub(super) label: PathBuf,
    pub(super) id: Id,
}

impl Place {
    pub(super) fn of(label: &Path) -> Option<Self> {
        // Follows links, as the kernel does when it is asked to watch.
        let dir = fs::metadata(label).ok().filter(fs::Metadata::is_dir)?;
        Some(Self { label: label.to_owned(), id: (dir.dev(), dir.ino()) })
    }
}

/// What a path led to: if this is the same again, nothing has to be done.
#[derive(PartialEq, Eq, Default)]
pub(super) struct Seen {
    /// The directory to watch, and the name to watch for in it: the path's parent and last name or, if
    /// the parent is missing, the nearest there is. None for the root directory.
    base: Option<(Id, OsString)>,
    object: Option<Object>,
}

impl Seen {
    pub(super) fn name(&self) -> Option<&OsStr> {
        self.base.as_ref().map(|(_, name)| name.as_os_str())
    }
}

/// What is at the path.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Object {
    id: Id,
    is_dir: bool,
    has_other_names: bool,
}

/// Where a path leads.
pub(super) struct Route {
    pub(super) seen: Seen,
    pub(super) base: Option<Place>,
    /// The path itself, if it is a directory: that its entries change is told by no other watch.
    pub(super) own: Option<Place>,
    /// Made absolute.
    path: PathBuf,
    /// Whether the path leads there by no symbolic link, as far as is known without asking further.
    is_straight: bool,
}

impl Route {
    /// Fails only if there is no current directory to start from.
    pub(super) fn find(path: &Path) -> io::Result<Self> {
        let mut path =
            if path.is_absolute() { path.to_owned() } else { env::current_dir()?.join(path) };
        let mut is_straight = true;
        if !ends_in_a_name(&path) {
            // `lstat` follows a link at the end of these, so what counts is where that leads.
            if let Ok(real) = fs::canonicalize(&path) {
                is_straight = real == path;
                path = real;
            }
        }
        let mut base = None;
        let mut child = path.as_path();
        while let Some(parent) = child.parent() {
            if let Some(name) = child.file_name() {
                if let Some(place) = Place::of(parent) {
                    base = Some((place, name.to_owned()));
                    break;
                }
            }
            child = parent;
        }
        // With nothing between the base and the path.
        let is_near = child == path;
        let file = if is_near { fs::symlink_metadata(&path).ok() } else { None };
        let object = file.map(|file| Object {
            id: (file.dev(), file.ino()),
            is_dir: file.is_dir(),
            has_other_names: !file.is_dir() && file.nlink() > 1,
        });
        let own = object
            .filter(|object| object.is_dir)
            .map(|object| Place { label: path.clone(), id: object.id });
        let (base, name) = base.unzip();
        let seen = Seen { base: base.as_ref().map(|base| base.id).zip(name), object };
        Ok(Self { seen, base, own, path, is_straight })
    }

    /// Whether every change will be hinted, if both directories are watched.
    pub(super) fn is_certain(&self) -> bool {
        let Some(object) = self.seen.object else { return false };
        let (base, own) = (self.base.as_ref(), self.own.as_ref());
        self.is_straight
            && !object.has_other_names
            && base.is_none_or(|base| {
                fs::canonicalize(&base.label).is_ok_and(|real| real == base.label)
                    && !is_mounted_on(&self.path, object.id, base.id)
            })
            && base.into_iter().chain(own).all(|place| is_local(&place.label))
    }
}

/// Whether the last part of a path is a name and nothing else: no `..`, and neither a slash nor `/.`
/// behind it, which `Path` does not show.
fn ends_in_a_name(path: &Path) -> bool {
    let bytes = path.as_os_str().as_bytes();
    path.file_name().is_some() && !bytes.ends_with(b"/") && !bytes.ends_with(b"/.")
}
