//! Where a loop's hints are collected, until it takes them.
//!
//! Filled by `notify`'s thread and emptied by the loop's: its lock is the innermost of all, and the loop is
//! rung after it was given up.

use std::collections::HashSet;
use std::mem;
use std::sync::{Arc, Mutex};

use super::{generation, lock};
use crate::sys::signal::Ring;

/// Where a loop's hints are collected. One per loop, and a new one after a fork.
pub(crate) struct Inbox {
    /// In a forked child the lock may be held for ever.
    generation: u32,
    ring: Arc<dyn Ring>,
    pub(super) hinted: Mutex<Hinted>,
}

#[derive(Default)]
pub(super) struct Hinted {
    /// In the order of their first hints.
    keys: Vec<u64>,
    known: HashSet<u64>,
}

impl Inbox {
    pub(crate) fn new(ring: Arc<dyn Ring>) -> Self {
        Self { generation: generation(), ring, hinted: Mutex::default() }
    }

    /// The keys hinted since the last time, each once, in the order of their first hints.
    ///
    /// Nothing in a forked child, which must make an inbox of its own.
    pub(crate) fn take(&self) -> Vec<u64> {
        if self.generation != generation() {
            return Vec::new();
        }
        let mut hinted = lock(&self.hinted);
        hinted.known.clear();
        mem::take(&mut hinted.keys)
    }

    /// Rings only for the first since they were taken.
    pub(super) fn hint(&self, key: u64) {
        let first = {
            let mut hinted = lock(&self.hinted);
            if !hinted.known.insert(key) {
                return;
            }
            hinted.keys.push(key);
            hinted.keys.len() == 1
        };
        if first {
            self.ring.ring();
        }
    }
}
