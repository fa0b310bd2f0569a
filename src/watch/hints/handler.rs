//! Our part of `notify`'s thread: from its events to hints.
//!
//! It takes the table, and inboxes, and waits for nobody. What is asked of the file system is asked
//! before.

use std::convert::Infallible;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::Sender;

use notify::event::{AccessKind, AccessMode};
use notify::{EventHandler, EventKind};

use super::hub::Hub;
use super::lock;

/// Our part of `notify`'s thread.
pub(super) struct Handler {
    pub(super) hub: &'static Hub,
    /// Tells, by its end, that the thread ends.
    pub(super) _end: Sender<Infallible>,
}

impl EventHandler for Handler {
    fn handle_event(&mut self, event: notify::Result<notify::Event>) {
        let event = match event {
            // A queue that ran over arrives as an event without a path.
            Ok(event) if !event.need_rescan() && !event.paths.is_empty() => event,
            _ => return lock(&self.hub.table).lose_all(),
        };
        // Who reads is of no interest. Closing after writing is: it is the one event of a mapped file.
        let after_writing = EventKind::Access(AccessKind::Close(AccessMode::Write));
        if event.kind.is_access() && event.kind != after_writing {
            return;
        }
        // Not with the lock: it asks the file system.
        let linked: Vec<_> = match event.kind {
            EventKind::Create(_) => event.paths.iter().filter(|path| is_linked(path)).collect(),
            _ => Vec::new(),
        };
        let mut table = lock(&self.hub.table);
        for path in &event.paths {
            table.happened(path, event.kind);
        }
        for path in linked {
            table.was_linked(path);
        }
    }
}

/// Whether a path is one of several names of a file.
fn is_linked(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| !file.is_dir() && file.nlink() > 1)
}

impl Drop for Handler {
    fn drop(&mut self) {
        // If this was not asked for, everybody has to go back to polling; else nobody is there.
        lock(&self.hub.table).lose_all();
    }
}
