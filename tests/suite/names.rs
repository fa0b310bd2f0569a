//! Names for temporary files, that nothing has yet: process ids come again, and whoever was killed has left its files.

// Not every test binary uses all of it.
#![allow(dead_code)]

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::path::{Path, PathBuf};

/// A path in the directory for temporary files that nothing is at, with this in its name.
pub fn temporary(what: &str) -> PathBuf {
    unused(&std::env::temp_dir(), what)
}

/// The same in another directory.
pub fn unused(parent: &Path, what: &str) -> PathBuf {
    // Each state has keys of its own, the first of a thread's from the system. A process that was forked goes on with
    // those of its parent, as the other children do.
    let random = RandomState::new().hash_one((what, std::process::id()));
    parent.join(format!("evloop-{what}-{random:016x}"))
}
