//! The hub of the process: its directories, entered and left.
//!
//! The one place where the table and `notify` are brought to agree. The order of the two, and when
//! a directory is `lost`, is told with the module's invariants.

use std::ffi::OsStr;
use std::sync::Mutex;

use super::control::{Control, is_recent};
use super::route::Place;
use super::table::{Subscriber, Table};
use super::{generation, lock};
use crate::sys::leaked::Leaked;

/// The hub of the process, or of the one it was forked from.
static HUB: Leaked<Hub> = Leaked::new();

pub(super) struct Hub {
    pub(super) generation: u32,
    pub(super) control: Mutex<Control>,
    pub(super) table: Mutex<Table>,
}

pub(super) fn hub() -> &'static Hub {
    let generation = generation();
    let found = HUB.get();
    match found {
        Some(hub) if hub.generation == generation => hub,
        // Of two threads that come here one makes it.
        _ => HUB.replace(found, Hub::new(generation)),
    }
}

/// A subscriber's place in the table. The name in it is in [`Seen`].
pub(super) struct Link {
    pub(super) dir: usize,
    at: usize,
}

impl Hub {
    fn new(generation: u32) -> Self {
        Self { generation, control: Mutex::default(), table: Mutex::default() }
    }

    /// Has a directory watched, if it is not.
    fn enter(&'static self, control: &mut Control, place: &Place) -> Option<usize> {
        let known = {
            let table = lock(&self.table);
            table.ids.get(&place.id).map(|&index| (index, table.dirs[index].lost))
        };
        match known {
            Some((index, false)) => return Some(index),
            // It had a watch, so there will be room for it.
            Some((_, true)) => {}
            None if is_recent(control.full) => return None,
            None => {}
        }
        if !control.is_ready(self) {
            return None;
        }
        let (index, stale) = lock(&self.table).prepare(place);
        for label in stale {
            control.unwatch(self, &label);
        }
        let is_watched = control.watch(self, &place.label);
        if is_watched && Place::of(&place.label).is_some_and(|now| now.id == place.id) {
            return Some(index);
        }
        if is_watched {
            // Another directory was put there meanwhile. If that is one we watch by another label
            // already, notify now takes the two for one.
            control.unwatch(self, &place.label);
        }
        let mut table = lock(&self.table);
        if is_watched {
            table.lose_all();
        }
        table.labels.remove(&place.label);
        table.dirs[index].label = None;
        table.dirs[index].lost = true;
        table.discard(index);
        None
    }

    /// Subscribes to a name in a directory or, without a name, to the directory itself.
    pub(super) fn link(
        &'static self,
        control: &mut Control,
        place: &Place,
        name: Option<&OsStr>,
        subscriber: Subscriber,
    ) -> Option<Link> {
        let dir = self.enter(control, place)?;
        let mut table = lock(&self.table);
        let at = match name {
            Some(name) => {
                table.dirs[dir].names.entry(name.to_owned()).or_default().insert(subscriber)
            }
            None => table.dirs[dir].own.insert(subscriber),
        };
        Some(Link { dir, at })
    }

    pub(super) fn unlink(&self, control: &mut Control, link: &Link, name: Option<&OsStr>) {
        let label = {
            let mut table = lock(&self.table);
            let dir = &mut table.dirs[link.dir];
            match name {
                Some(name) => {
                    if let Some(subscribers) = dir.names.get_mut(name) {
                        subscribers.try_remove(link.at);
                        if subscribers.is_empty() {
                            dir.names.remove(name);
                        }
                    }
                }
                None => drop(dir.own.try_remove(link.at)),
            }
            table.discard(link.dir)
        };
        if let Some(label) = label {
            control.unwatch(self, &label);
        }
    }

    /// Ends `notify` if nothing is watched.
    pub(super) fn rest(&self, control: &mut Control) {
        if !lock(&self.table).dirs.is_empty() {
            return;
        }
        if let Some(notifier) = control.notifier.take() {
            notifier.stop();
        }
    }
}
