//! Watchers by key: a slab and, beside it, the generations that make a stale key an error.
//!
//! A slab forgets a vacated slot, so the generations stand in a vector of their own and are bumped
//! when a slot is vacated. They begin at an offset that differs from loop to loop, so that a key
//! shown to another loop is almost surely refused.

use std::panic::Location;

use slab::Slab;

/// A place in a slab, and which of its tenants is meant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Key {
    pub(crate) index: u32,
    pub(crate) generation: u32,
}

impl Key {
    /// Both numbers in one, for those who know nothing of keys.
    pub(crate) fn bits(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The inverse of [`bits`](Self::bits).
    #[cfg(feature = "stat")]
    pub(crate) fn of_bits(bits: u64) -> Self {
        Self { index: bits as u32, generation: (bits >> 32) as u32 }
    }
}

pub(crate) struct Slots<T> {
    slab: Slab<T>,
    /// As long as the slab ever was; the generation of the present tenant, or of the next one.
    generations: Vec<u32>,
    first_generation: u32,
    /// Where each tenant was created, for `Debug` and the stall watch. Not in the slot: release builds
    /// go without, unless somebody asks for them.
    sites: Vec<Option<&'static Location<'static>>>,
    keeps_sites: bool,
}

impl<T> Slots<T> {
    pub(crate) fn new(first_generation: u32) -> Self {
        Self {
            slab: Slab::new(),
            generations: Vec::new(),
            first_generation,
            sites: Vec::new(),
            keeps_sites: cfg!(debug_assertions),
        }
    }

    #[track_caller]
    pub(crate) fn insert(&mut self, slot: T) -> Key {
        let index = self.slab.insert(slot);
        if index == self.generations.len() {
            self.generations.push(self.first_generation);
        }
        if self.keeps_sites {
            if self.sites.len() <= index {
                self.sites.resize(index + 1, None);
            }
            self.sites[index] = Some(Location::caller());
        }
        // 2³² live watchers of one kind are 400 GB of slots: memory ends first.
        Key { index: index as u32, generation: self.generations[index] }
    }

    #[inline]
    fn names(&self, key: Key) -> bool {
        self.generations.get(key.index as usize) == Some(&key.generation)
    }

    #[inline]
    pub(crate) fn get(&self, key: Key) -> Option<&T> {
        if self.names(key) { self.slab.get(key.index as usize) } else { None }
    }

    #[inline]
    pub(crate) fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        if self.names(key) { self.slab.get_mut(key.index as usize) } else { None }
    }

    pub(crate) fn remove(&mut self, key: Key) -> Option<T> {
        if !self.names(key) {
            return None;
        }
        let slot = self.slab.try_remove(key.index as usize)?;
        let generation = &mut self.generations[key.index as usize];
        *generation = generation.wrapping_add(1);
        Some(slot)
    }

    /// The present tenant of a place.
    #[inline]
    pub(crate) fn at(&self, index: u32) -> Option<&T> {
        self.slab.get(index as usize)
    }

    #[inline]
    pub(crate) fn at_mut(&mut self, index: u32) -> Option<&mut T> {
        self.slab.get_mut(index as usize)
    }

    #[inline]
    pub(crate) fn at_mut_with_key(&mut self, index: u32) -> Option<(Key, &mut T)> {
        let slot = self.slab.get_mut(index as usize)?;
        let generation = *self.generations.get(index as usize)?;
        Some((Key { index, generation }, slot))
    }

    /// The key of the present tenant of a place (or of the next, where there is none).
    #[inline]
    pub(crate) fn key_at(&self, index: u32) -> Key {
        let generation = self.generations.get(index as usize).copied();
        Key { index, generation: generation.unwrap_or(self.first_generation) }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slab.iter().map(|(index, slot)| (self.key_at(index as u32), slot))
    }

    /// Whether the places where watchers are created are kept from now on. Debug builds always do.
    pub(crate) fn keep_sites(&mut self, keep: bool) {
        if !cfg!(debug_assertions) && keep != self.keeps_sites {
            self.keeps_sites = keep;
            // Those of an earlier time may be of tenants that are gone.
            self.sites = Vec::new();
        }
    }

    /// Where a watcher was created, if that was kept.
    pub(crate) fn site(&self, index: u32) -> Option<&'static Location<'static>> {
        self.sites.get(index as usize).copied().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_slot_has_another_key() {
        let mut slots = Slots::new(7);
        let first = slots.insert("first");
        assert_eq!(slots.remove(first), Some("first"));
        let second = slots.insert("second");
        assert_eq!(first.index, second.index);
        assert_eq!(slots.get(first), None);
        assert_eq!(slots.get(second), Some(&"second"));
        assert_eq!(slots.remove(first), None);
    }

    #[test]
    fn generations_wrap() {
        let mut slots = Slots::new(u32::MAX);
        let first = slots.insert(1);
        slots.remove(first);
        let second = slots.insert(2);
        assert_eq!(second.generation, 0);
        assert_eq!(slots.get(second), Some(&2));
    }

    #[test]
    fn the_key_of_one_loop_is_refused_by_another() {
        let (mut here, mut there) = (Slots::new(1), Slots::new(0x9e37_79b9));
        let key = here.insert(());
        there.insert(());
        assert!(there.get(key).is_none());
    }
}
