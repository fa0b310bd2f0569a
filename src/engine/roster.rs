//! The started watchers of one kind, in start order.
//!
//! Starting appends and stopping leaves a blank, so both are O(1) and the order stays; blanks are
//! swept when they outnumber the rest. Each watcher's slot knows its place; sweeping tells the new
//! ones.

#[derive(Default)]
pub(crate) struct Roster {
    places: Vec<u32>,
    blanks: usize,
}

const BLANK: u32 = u32::MAX;

impl Roster {
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.places.len() == self.blanks
    }

    /// Appends a watcher and returns its place.
    pub(crate) fn push(&mut self, index: u32) -> u32 {
        self.places.push(index);
        (self.places.len() - 1) as u32
    }

    /// Removes the watcher at a place; `moved(index, place)` is told of every other that moves.
    pub(crate) fn remove(&mut self, place: u32, mut moved: impl FnMut(u32, u32)) {
        let Some(entry) = self.places.get_mut(place as usize) else { return };
        if std::mem::replace(entry, BLANK) == BLANK {
            return;
        }
        self.blanks += 1;
        if self.blanks > 16 && self.blanks * 2 > self.places.len() {
            self.places.retain(|&index| index != BLANK);
            self.blanks = 0;
            for (place, &index) in self.places.iter().enumerate() {
                moved(index, place as u32);
            }
        }
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.places.iter().copied().filter(|&index| index != BLANK)
    }

    /// How many places there are, blanks included: the bound for [`at`](Self::at).
    pub(crate) fn end(&self) -> usize {
        self.places.len()
    }

    /// The watcher at a place, if it still is there.
    pub(crate) fn at(&self, place: usize) -> Option<u32> {
        self.places.get(place).copied().filter(|&index| index != BLANK)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    #[test]
    fn order_and_places_survive_removals() {
        let mut roster = Roster::default();
        let mut places: HashMap<u32, u32> = (0..100).map(|i| (i, roster.push(i))).collect();
        for i in (0..100).filter(|i| i % 5 != 0) {
            let place = places.remove(&i).unwrap();
            roster.remove(place, |index, place| {
                places.insert(index, place);
            });
        }
        let order: Vec<_> = roster.iter().collect();
        assert_eq!(order, (0..100).step_by(5).collect::<Vec<_>>());
        for (index, place) in places {
            assert_eq!(roster.at(place as usize), Some(index));
        }
        assert!(!roster.is_empty());
    }
}
