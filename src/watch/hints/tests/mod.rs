//! Hints of the real kernel, about directories of their own. What is not hinted is known by a mark
//! that is hinted behind it.

mod alone;
mod changes;
mod paths;

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use std::{env, fs};

use super::*;
use crate::sys::signal::Ring;

/// Forks that are only pretended, in tests that have a process of their own.
pub(super) static FORKS: AtomicU32 = AtomicU32::new(0);

const PATIENCE: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Ear {
    rung: Mutex<bool>,
    heard: Condvar,
}

impl Ring for Ear {
    fn ring(&self) {
        *lock(&self.rung) = true;
        self.heard.notify_all();
    }
}

/// A directory, and an inbox for what happens in it.
struct Scratch {
    dir: PathBuf,
    ear: Arc<Ear>,
    inbox: Arc<Inbox>,
}

impl Scratch {
    fn new(name: &str) -> Self {
        let name = format!("evloop-hints-{name}-{:016x}", RandomState::new().hash_one(0));
        // Where the temporary directory is reached by a link, everything would be polled.
        let dir = fs::canonicalize(env::temp_dir()).unwrap().join(name);
        fs::create_dir(&dir).unwrap();
        let ear = Arc::new(Ear::default());
        let inbox = Arc::new(Inbox::new(Arc::clone(&ear) as Arc<dyn Ring>));
        Self { dir, ear, inbox }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    fn file(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, "").unwrap();
        path
    }

    fn subscribe(&self, key: u64, path: impl AsRef<Path>) -> Subscription {
        subscribe(&self.inbox, key, path.as_ref())
    }

    /// Waits until the key is hinted; returns all that were until then.
    #[track_caller]
    fn wait(&self, key: u64) -> Vec<u64> {
        let end = Instant::now() + PATIENCE;
        let mut all = Vec::new();
        loop {
            // A hint that comes after the taking rings again.
            *lock(&self.ear.rung) = false;
            all.extend(self.inbox.take());
            if all.contains(&key) {
                return all;
            }
            let left = end.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{key} is not hinted, only {all:?}");
            let rung = lock(&self.ear.rung);
            drop(self.ear.heard.wait_timeout_while(rung, left, |rung| !*rung).unwrap());
        }
    }

    /// Waits until everything up to now is hinted; returns it, in ascending order.
    #[track_caller]
    fn settle(&self) -> Vec<u64> {
        const MARK: u64 = u64::MAX;
        let path = self.path("mark");
        let mark = self.subscribe(MARK, &path);
        fs::write(&path, "").unwrap();
        let mut all = self.wait(MARK);
        drop(mark);
        // Its other events are dropped with it or hinted before this is.
        all.extend(self.inbox.take());
        all.retain(|&key| key != MARK);
        // Several events of one change may be taken one by one.
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// How many inotify watches this process has, by inode.
fn watches() -> HashMap<u64, usize> {
    let mut watches = HashMap::new();
    for entry in fs::read_dir("/proc/self/fdinfo").unwrap().flatten() {
        for line in fs::read_to_string(entry.path()).unwrap_or_default().lines() {
            let Some(line) = line.strip_prefix("inotify wd:") else { continue };
            let ino = line.split(' ').find_map(|word| word.strip_prefix("ino:")).unwrap();
            *watches.entry(u64::from_str_radix(ino, 16).unwrap()).or_default() += 1;
        }
    }
    watches
}

fn watches_of(path: &Path) -> usize {
    watches().get(&fs::metadata(path).unwrap().ino()).copied().unwrap_or(0)
}
