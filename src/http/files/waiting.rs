//! Parts of files that wait for the rest of them: how many there may be, and for how long.

// Only what was left here is known, and only that is ever removed: nothing is looked for on the disk, so that a file of
// somebody else, whatever its name, is safe. What is known of a part is where it is and what it was like when it was left;
// if it is another one by now, or somebody goes on with it, then it is left alone.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use rustix::fs::{AtFlags, FlockOperation, Mode, flock, openat, unlinkat};

use super::marks::Attributes;
use super::root::{NAME_IN, Root, Symlinks, retry};
use super::storing::{WRITE, part_of};

/// How many are removed when an upload begins: each may take the file system a while, and the loop waits for it. As each
/// upload leaves no more than one, they become fewer all the same.
const AT_ONCE: usize = 8;

/// The parts below a directory that wait for the rest of their files.
pub(super) struct Waiting {
    root: Arc<Root>,
    parts: Mutex<Parts>,
}

#[derive(Default)]
struct Parts {
    by_path: HashMap<Arc<str>, Part>,
    /// The one that nobody has added to for the longest time is the first.
    by_time: BTreeMap<Place, Arc<str>>,
    /// How many there were: of equal times the earlier goes first.
    count: u64,
}

/// When something of a part came last, and the how many-th it is.
type Place = (Instant, u64);

/// What a part was like when it was left.
struct Part {
    place: Place,
    attributes: Attributes,
}

impl Waiting {
    pub(super) fn new(root: Arc<Root>) -> Self {
        Self { root, parts: Mutex::default() }
    }

    /// A part is left. If there are more than so many now, the one that has waited for the longest time is removed. Says
    /// whether that is another one: who leaves it has it locked, and nobody else removes it.
    pub(super) fn leave(
        &self,
        path: &str,
        attributes: Attributes,
        touched: Instant,
        most: usize,
        links: Symlinks,
    ) -> bool {
        self.take(path);
        let too_many = {
            let mut parts = self.parts();
            parts.count += 1;
            let place = (touched, parts.count);
            let name: Arc<str> = path.into();
            parts.by_time.insert(place, Arc::clone(&name));
            parts.by_path.insert(name, Part { place, attributes });
            if parts.by_path.len() > most { parts.first(None) } else { None }
        };
        match too_many {
            Some((oldest, _)) if *oldest == *path => return false,
            Some((oldest, part)) => self.remove(&oldest, &part.attributes, links),
            None => {}
        }
        true
    }

    /// Somebody goes on with it.
    pub(super) fn take(&self, path: &str) {
        let mut parts = self.parts();
        if let Some(part) = parts.by_path.remove(path) {
            parts.by_time.remove(&part.place);
        }
    }

    /// Removes some of those to which nobody has added since then.
    pub(super) fn expire(&self, until: Instant, links: Symlinks) {
        for _ in 0..AT_ONCE {
            let first = self.parts().first(Some(until));
            let Some((path, part)) = first else { return };
            self.remove(&path, &part.attributes, links);
        }
    }

    fn parts(&self) -> MutexGuard<'_, Parts> {
        // Nothing panics while it is held; and were it so, it would still be in order.
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Should it stay, it has a name that nobody is served.
    fn remove(&self, path: &str, left: &Attributes, links: Symlinks) {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let Ok(directory) = self.root.find(parent, links, NAME_IN) else { return };
        let temporary = part_of(name);
        let Ok(fd) = retry(|| openat(&directory, &temporary, WRITE, Mode::empty())) else { return };
        // Another loop, or another process, may be going on with it.
        if flock(&fd, FlockOperation::NonBlockingLockExclusive).is_err() {
            return;
        }
        if Attributes::of(&fd).is_ok_and(|found| found == *left) {
            let _ = unlinkat(&directory, &temporary, AtFlags::empty());
        }
    }
}

impl Parts {
    /// Takes out the one that has waited for the longest time, if that is since then.
    fn first(&mut self, until: Option<Instant>) -> Option<(Arc<str>, Part)> {
        let first = self.by_time.first_entry()?;
        if until.is_some_and(|until| first.key().0 > until) {
            return None;
        }
        let path = first.remove();
        let part = self.by_path.remove(&path)?;
        Some((path, part))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::RandomState;
    use std::hash::BuildHasher;
    use std::time::Duration;

    use super::super::storing::{Place, Storing};
    use super::super::{Upload, UploadError};
    use super::*;
    use crate::net::Buffer;

    const LEN: u64 = 1000;

    /// What every file is.
    fn bytes(from: u64, to: u64) -> Vec<u8> {
        (from..to).map(|at| (at % 251) as u8).collect()
    }

    /// Several loops go on with the same files, break them off, and remove what others may be going on with.
    #[test]
    fn whoever_removes_parts_takes_none_from_those_who_go_on_with_them() {
        let random = || RandomState::new().hash_one(0);
        let directory = std::env::temp_dir().join(format!("evloop-waiting-{:x}", random()));
        std::fs::create_dir(&directory).unwrap();
        let store = || {
            let upload = Upload::new(&directory).unwrap().resumable(true).max_parts(1);
            let keeping = upload.keeping().unwrap();
            let root = Root::open(&directory).unwrap();
            let mut done = 0;
            while done < 100 {
                let name = if random() % 2 == 0 { "a" } else { "b" };
                let within = root.find("", Symlinks::Off, NAME_IN).unwrap();
                let there = std::fs::metadata(directory.join(part_of(name)));
                let offset = there.map_or(0, |there| there.len());
                let place = Place { offset, len: None, total: Some(LEN), is_whole: false };
                let now = Instant::now();
                match Storing::begin(&upload, within, name, name, place, true, now) {
                    Ok(mut storing) => {
                        let end = LEN.min(offset + random() % 500);
                        storing.write(&mut Buffer::from(bytes(offset, end))).unwrap();
                        match random() % 4 {
                            0 => drop(storing),
                            _ if storing.finish().unwrap().complete => {
                                let found = std::fs::read(directory.join(name)).unwrap();
                                assert!(found == bytes(0, LEN));
                                done += 1;
                            }
                            _ => {}
                        }
                    }
                    Err(UploadError::Busy | UploadError::Gap { .. }) => std::thread::yield_now(),
                    Err(error) => panic!("{error:?}"),
                }
                if random() % 8 == 0 {
                    keeping.waiting.expire(now + Duration::from_secs(1), Symlinks::Off);
                }
                let waiting = keeping.waiting.parts();
                assert!(waiting.by_path.len() <= 1);
                assert_eq!(waiting.by_path.len(), waiting.by_time.len());
            }
        };
        std::thread::scope(|scope| {
            let others: Vec<_> = (0..3).map(|_| scope.spawn(store)).collect();
            others.into_iter().for_each(|other| other.join().unwrap());
        });
        std::fs::remove_dir_all(&directory).unwrap();
    }
}
