//! Who is to be hinted of what, by directory and name.
//!
//! Nothing here asks the file system or `notify`, nor waits: it is used with the table's lock held, on
//! `notify`'s thread too.

use std::collections::{BTreeMap, HashMap};
use std::ffi::OsString;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use notify::EventKind;
use notify::event::ModifyKind;
use slab::Slab;

use super::inbox::Inbox;
use super::route::{Id, Place};

/// Who is to be hinted of what. All that `notify`'s thread needs.
#[derive(Default)]
pub(super) struct Table {
    pub(super) dirs: Slab<Dir>,
    pub(super) ids: HashMap<Id, usize>,
    /// In order, so that those below a directory can be found.
    pub(super) labels: BTreeMap<PathBuf, usize>,
}

pub(super) struct Dir {
    id: Id,
    /// Also in [`Table::labels`]; none if another directory took it over.
    pub(super) label: Option<PathBuf>,
    /// Whether `notify` or the kernel may have stopped watching it.
    pub(super) lost: bool,
    /// Those who wait for something to happen to a name in it. No slab is empty.
    pub(super) names: HashMap<OsString, Slab<Subscriber>>,
    /// Those whose path this is.
    pub(super) own: Slab<Subscriber>,
}

pub(super) struct Subscriber {
    pub(super) inbox: Arc<Inbox>,
    pub(super) key: u64,
}

impl Subscriber {
    fn hint(&self) {
        self.inbox.hint(self.key);
    }
}

impl Dir {
    fn is_empty(&self) -> bool {
        self.names.is_empty() && self.own.is_empty()
    }

    fn hint_all(&self) {
        for (_, subscriber) in self.names.values().flatten().chain(&self.own) {
            subscriber.hint();
        }
    }

    fn lose(&mut self) {
        self.lost = true;
        self.hint_all();
    }
}

impl Table {
    /// Makes an entry for a directory that is about to be watched by this label. Returns the labels
    /// that have to be unwatched first.
    pub(super) fn prepare(&mut self, place: &Place) -> (usize, Vec<PathBuf>) {
        let mut stale = Vec::new();
        let index = *self.ids.entry(place.id).or_insert_with(|| {
            let (names, own) = (HashMap::new(), Slab::new());
            self.dirs.insert(Dir { id: place.id, label: None, lost: true, names, own })
        });
        if let Some(label) = self.dirs[index].label.take() {
            self.labels.remove(&label);
            stale.push(label);
        }
        if let Some(other) = self.labels.insert(place.label.clone(), index) {
            // It was called so once, and has been moved or deleted.
            let other = &mut self.dirs[other];
            other.label = None;
            other.lose();
            stale.push(place.label.clone());
        }
        let dir = &mut self.dirs[index];
        dir.label = Some(place.label.clone());
        dir.lost = false;
        (index, stale)
    }

    /// Forgets a directory if nobody subscribes to it. Returns the label to be unwatched.
    pub(super) fn discard(&mut self, index: usize) -> Option<PathBuf> {
        if !self.dirs[index].is_empty() {
            return None;
        }
        let dir = self.dirs.remove(index);
        self.ids.remove(&dir.id);
        let label = dir.label?;
        self.labels.remove(&label);
        Some(label)
    }

    /// Events may have been missed, those that made `notify` forget directories among them.
    pub(super) fn lose_all(&mut self) {
        for (_, dir) in &mut self.dirs {
            dir.lose();
        }
    }

    pub(super) fn happened(&mut self, path: &Path, kind: EventKind) {
        let is_name = matches!(kind, EventKind::Modify(ModifyKind::Name(_)));
        if let Some(&index) = self.labels.get(path) {
            // To a directory itself, or to something that is now where it was.
            if is_name || kind.is_remove() {
                // Of those below too notify forgets the watches.
                let from_here = (Bound::Included(path), Bound::Unbounded);
                let below = self.labels.range::<Path, _>(from_here);
                for (_, &index) in below.take_while(|(label, _)| label.starts_with(path)) {
                    self.dirs[index].lose();
                }
            } else {
                self.dirs[index].hint_all();
            }
        }
        let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return };
        let Some(&index) = self.labels.get(parent) else { return };
        let dir = &self.dirs[index];
        for (_, subscriber) in dir.names.get(name).into_iter().flatten() {
            subscriber.hint();
        }
        // A directory is not changed by what is written into the files in it.
        if is_name || !matches!(kind, EventKind::Modify(_) | EventKind::Access(_)) {
            for (_, subscriber) in &dir.own {
                subscriber.hint();
            }
        }
    }

    /// A new name was given to a file that has others, which changes the number of its links, and the event
    /// says nothing of the others. One of them may stand beside it.
    pub(super) fn was_linked(&self, path: &Path) {
        let index = path.parent().and_then(|parent| self.labels.get(parent));
        let Some(&index) = index else { return };
        for (_, subscriber) in self.dirs[index].names.values().flatten() {
            subscriber.hint();
        }
    }
}
