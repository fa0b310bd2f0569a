//! Hints: word from the kernel that a path may have changed, so that a stat watcher looks at once.
//!
//! A hint says *look*, never *what*. It may come for nothing, and several may come as one; the meaning of a
//! stat watcher stays that of polling, only sooner. What must not happen is that one stays away where
//! polling was given up for it, so [`Coverage::Full`] is given only where that is known, and everything
//! in doubt, from a network file system to a hard link, is [`Coverage::Partial`]: hinted and polled.
//!
//! One watcher of `notify`, with its one thread, serves all loops of the process. It watches directories,
//! never files, since a file that is replaced by renaming another over it takes its watch with it. What
//! happens in a directory is matched by name on `notify`'s thread, before any loop is woken: ten
//! thousand paths in one directory are one watch and one look into a hash table per event.
//!
//! # How to use it
//!
//! On a hint: [`renew`](Subscription::renew), *then* look. After [`subscribe`] likewise: what happens
//! between a look and the subscription is hinted to nobody, what happens after it is. Renewing finds out
//! whether the path now leads elsewhere (a directory appeared, or was replaced), and is two looks at the
//! file system if it does not. As long as the coverage is not full, renew with every poll as well: what the
//! system refused it may grant later. A key may still be in the [`Inbox`] after its subscription has gone.
//!
//! # Sharp edges
//!
//! Not hinted, and therefore found by polling only, or never where [`Coverage::Full`] was given:
//!
//! * Writing to the file through **another hard link** in another directory. A file that has several links
//!   when it is looked at is polled; a link made later elsewhere goes unnoticed until the next hint.
//! * **Writing through `mmap`**, until the descriptor is closed.
//! * **Renaming or unmounting a directory above the parent**, and mounting something over the path.
//!   Unmounting the parent itself too: the kernel tells, `notify` does not pass it on. Symbolic links in
//!   the parent part make a path polled for that reason: those do get swapped.
//! * **Reading**: that `accessed` has changed is no hint, else every reader in the directory would wake
//!   loops. (`notify` asks the kernel for `IN_OPEN` and gives no choice, so its own thread does wake.)
//! * **Network, FUSE and pseudo file systems** (`/proc`, `/sys`), where others make the changes. Polled.
//! * **A file with something mounted on it**, as in containers: its events go to the directory it comes
//!   from. Polled.

// # Invariants
//
// Two locks. `Hub::control` is held by whoever subscribes, renews or unsubscribes, for the whole of it,
// calls of notify included. `Hub::table` is held for short, by them and by the event handler on notify's
// thread. An inbox's lock is innermost. Order: control, table, inbox.
//
// No deadlock: notify's `watch` and `unwatch` wait for a reply of its thread, and its `drop` is followed by
// our waiting for the end of that thread. All that thread ever takes is `table` and an inbox. Nobody
// holds either while it calls notify, and nobody who holds
// them waits for anything else: `Ring::ring` must not block. The file system is asked with `control` held or
// without a lock: one that does not answer holds up those who subscribe, never those who take hints.
//
// Directories are known by device and inode, because inotify knows them so: if notify watches the same
// one by two paths, the kernel gives it one descriptor for both and removing either silences both. The
// path a directory is watched by is its *label*. For notify it is a key and nothing more: it stays what it
// was when the directory is moved, two directories must not have the same one, and notify forgets a watch
// when it is told that something of that name (or, of the directories below, of the name of one
// above) was deleted or moved away, even if the name is another directory's by now. Hence:
//
// * a directory is `lost` from the moment at which an event made notify, or the kernel, forget it, or may
//   have; all its subscribers are hinted in the same breath, and the first to renew has it watched anew;
// * `lost` is cleared before notify is asked to watch. Notify forgets, at the end of a batch of events, on the
//   same thread on which it then takes up our request, so what was marked before is forgotten before;
//   and a mark that is set meanwhile stays, and costs a needless renewal at worst;
// * a subscriber is in the table before it checks that nothing is lost and that the path still leads where
//   it did: every event after that check finds it.
//
// An inode number may be used again at once, for a directory that we then believe to be watched. The
// event that the old one was deleted precedes that, so it is marked as lost by then, or will be, and its
// subscribers, old and new, hinted.
//
// Fork: a child must neither lock nor drop what the parent had (its locks may be held by a thread that was
// not forked, its descriptors are the parent's too). The hub is leaked and tagged with the generation of the
// process; whoever finds a foreign one puts its own in its place, and what belongs to a foreign one does
// nothing.
//
// The end: whoever removes the last directory drops notify's watcher and waits for the end of its event
// loop, which drops our handler after its descriptors. All under `control`, so nobody can subscribe in
// between, and afterwards the process has no descriptor of ours. The price is a thread started anew by
// a program that has one stat watcher and restarts it all the time: some 100 µs.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::convert::Infallible;
use std::ffi::{OsStr, OsString};
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{env, fs, io, mem, thread};

use notify::event::{AccessKind, AccessMode, ModifyKind};
use notify::{Config, EventHandler, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, statfs, statx};
use slab::Slab;

use crate::sys::fork;
use crate::sys::leaked::Leaked;
use crate::sys::signal::Ring;

/// After the system refused a watcher, or another watch, it is not asked again for so long.
const RETRY: Duration = Duration::from_secs(60);

/// How often one renewal follows a path that changes while it is looked at.
const ATTEMPTS: usize = 8;

/// How long to wait for the end of `notify`'s thread, which takes microseconds.
const FAREWELL: Duration = Duration::from_secs(1);

/// How much a subscription's hints are worth.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Coverage {
    /// Every change is hinted (but see the module's sharp edges): the path exists, its directory is
    /// watched, and both lie on a local file system.
    Full,
    /// Hints come, but some changes may come without.
    Partial,
    /// No hints: the system refused.
    None,
}

/// Which process this is, as long as no forked child has the same.
fn generation() -> u32 {
    #[cfg(test)]
    let forks = tests::FORKS.load(std::sync::atomic::Ordering::Relaxed);
    #[cfg(not(test))]
    let forks = 0;
    fork::generation() + forks
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics with one of these locks held, save for want of memory.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where a loop's hints are collected. One per loop, and a new one after a fork.
pub(crate) struct Inbox {
    /// In a forked child the lock may be held for ever.
    generation: u32,
    ring: Arc<dyn Ring>,
    hinted: Mutex<Hinted>,
}

#[derive(Default)]
struct Hinted {
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
    fn hint(&self, key: u64) {
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

/// Device and inode.
type Id = (u64, u64);

/// A directory to be watched.
struct Place {
    label: PathBuf,
    id: Id,
}

impl Place {
    fn of(label: &Path) -> Option<Self> {
        // Follows links, as the kernel does when it is asked to watch.
        let dir = fs::metadata(label).ok().filter(fs::Metadata::is_dir)?;
        Some(Self { label: label.to_owned(), id: (dir.dev(), dir.ino()) })
    }
}

/// What a path led to: if this is the same again, nothing has to be done.
#[derive(PartialEq, Eq, Default)]
struct Seen {
    /// The directory to watch, and the name to watch for in it: the path's parent and last name or, if
    /// the parent is missing, the nearest there is. None for the root directory.
    base: Option<(Id, OsString)>,
    object: Option<Object>,
}

/// What is at the path.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Object {
    id: Id,
    is_dir: bool,
    has_other_names: bool,
}

/// Where a path leads.
struct Route {
    seen: Seen,
    base: Option<Place>,
    /// The path itself, if it is a directory: that its entries change is told by no other watch.
    own: Option<Place>,
    /// Made absolute.
    path: PathBuf,
    /// Whether the path leads there by no symbolic link, as far as is known without asking further.
    is_straight: bool,
}

impl Route {
    /// Fails only if there is no current directory to start from.
    fn find(path: &Path) -> io::Result<Self> {
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
    fn is_certain(&self) -> bool {
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

/// Whether the path is a mount point. What happens to a mounted file happens, for inotify, in the
/// directory that it comes from.
fn is_mounted_on(path: &Path, object: Id, base: Id) -> bool {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match statx(CWD, path, flags, StatxFlags::empty()) {
        Ok(told) if told.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) => {
            told.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)
        }
        // Before Linux 5.8. Mounts of the same device are not noticed.
        _ => object.0 != base.0,
    }
}

/// Whether all changes in a directory are made by this kernel, and so told to inotify.
fn is_local(directory: &Path) -> bool {
    #[rustfmt::skip]
    const LOCAL: [u32; 26] = [
        0x0000_ef53, // ext2, ext3, ext4
        0x5846_5342, // xfs
        0x9123_683e, // btrfs
        0x0102_1994, // tmpfs, devtmpfs
        0x8584_58f6, // ramfs
        0x794c_7630, // overlayfs
        0xf2f5_2010, // f2fs
        0x2fc1_2fc1, // zfs
        0xca45_1a4e, // bcachefs
        0x5265_4973, // reiserfs
        0x3153_464a, // jfs
        0x0000_3434, // nilfs
        0x0000_72b6, // jffs2
        0x2405_1905, // ubifs
        0x0000_4d44, // fat
        0x2011_bab0, // exfat
        0x5346_544e, // ntfs
        0x7366_746e, // ntfs3
        0x0000_482b, // hfs+
        0x0000_4244, // hfs
        0x0000_9660, // iso9660
        0x1501_3346, // udf
        0x7371_7368, // squashfs
        0xe0f5_e1e2, // erofs
        0x28cd_3d45, // cramfs
        0x0000_f15f, // ecryptfs
    ];
    // The numbers are of 32 bits, whatever the width and the sign of the field.
    statfs(directory).is_ok_and(|told| LOCAL.contains(&(told.f_type as u32)))
}

/// The hub of the process, or of the one it was forked from.
static HUB: Leaked<Hub> = Leaked::new();

struct Hub {
    generation: u32,
    control: Mutex<Control>,
    table: Mutex<Table>,
}

fn hub() -> &'static Hub {
    let generation = generation();
    let found = HUB.get();
    match found {
        Some(hub) if hub.generation == generation => hub,
        // Of two threads that come here one makes it.
        _ => HUB.replace(found, Hub::new(generation)),
    }
}

/// `notify`'s watcher, and when the system had enough of us.
#[derive(Default)]
struct Control {
    notifier: Option<Notifier>,
    /// When there could not be a watcher.
    refused: Option<Instant>,
    /// When there could be no further watch.
    full: Option<Instant>,
}

/// Asks `notify` for something. It panics if its thread is gone or its descriptors were closed behind its
/// back; then there are no hints any more, but the program goes on.
fn ask<T>(question: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(question)).ok()
}

struct Notifier {
    watcher: RecommendedWatcher,
    /// Cut off when `notify`'s thread drops our handler, at its end.
    running: Receiver<Infallible>,
}

impl Notifier {
    fn start(hub: &'static Hub) -> Option<Self> {
        // Notify does not tell when its thread cannot be started, and panics later, even on drop.
        thread::Builder::new().name("evloop probe".to_owned()).spawn(|| ()).ok()?.join().ok()?;
        let (end, running) = mpsc::channel();
        let handler = Handler { hub, _end: end };
        let watcher = ask(|| RecommendedWatcher::new(handler, Config::default()))?.ok()?;
        let notifier = Self { watcher, running };
        if notifier.is_running() {
            Some(notifier)
        } else {
            notifier.stop();
            None
        }
    }

    fn is_running(&self) -> bool {
        !matches!(self.running.try_recv(), Err(TryRecvError::Disconnected))
    }

    /// Returns when its descriptors are closed.
    fn stop(self) {
        let Self { watcher, running } = self;
        if matches!(running.try_recv(), Err(TryRecvError::Disconnected)) {
            // Its thread has died. The destructor would panic; one descriptor is lost.
            mem::forget(watcher);
        } else if ask(|| drop(watcher)).is_some() {
            // Nothing is ever sent, so this is the end or the time-out.
            let _ = running.recv_timeout(FAREWELL);
        }
    }
}

fn is_recent(moment: Option<Instant>) -> bool {
    moment.is_some_and(|moment| moment.elapsed() < RETRY)
}

impl Control {
    /// Whether there is a watcher to ask; starts one if need be.
    fn is_ready(&mut self, hub: &'static Hub) -> bool {
        if let Some(notifier) = self.notifier.take() {
            if notifier.is_running() {
                self.notifier = Some(notifier);
                return true;
            }
            notifier.stop();
            self.refused = Some(Instant::now());
        }
        if is_recent(self.refused) {
            return false;
        }
        self.notifier = Notifier::start(hub);
        self.refused = if self.notifier.is_some() { None } else { Some(Instant::now()) };
        self.notifier.is_some()
    }

    fn watch(&mut self, hub: &Hub, label: &Path) -> bool {
        let Some(notifier) = &mut self.notifier else { return false };
        match ask(|| notifier.watcher.watch(label, RecursiveMode::NonRecursive)) {
            Some(Ok(())) => true,
            Some(Err(error)) => {
                if matches!(error.kind, notify::ErrorKind::MaxFilesWatch) {
                    self.full = Some(Instant::now());
                }
                false
            }
            None => {
                self.fail(hub);
                false
            }
        }
    }

    /// That it was not watched is fine.
    fn unwatch(&mut self, hub: &Hub, label: &Path) {
        let Some(notifier) = &mut self.notifier else { return };
        if ask(|| notifier.watcher.unwatch(label)).is_none() {
            self.fail(hub);
        }
        self.full = None;
    }

    /// `notify` is in no state to be asked again, not even to end.
    fn fail(&mut self, hub: &Hub) {
        mem::forget(self.notifier.take());
        self.refused = Some(Instant::now());
        lock(&hub.table).lose_all();
    }
}

/// Who is to be hinted of what. All that `notify`'s thread needs.
#[derive(Default)]
struct Table {
    dirs: Slab<Dir>,
    ids: HashMap<Id, usize>,
    /// In order, so that those below a directory can be found.
    labels: BTreeMap<PathBuf, usize>,
}

struct Dir {
    id: Id,
    /// Also in [`Table::labels`]; none if another directory took it over.
    label: Option<PathBuf>,
    /// Whether `notify` or the kernel may have stopped watching it.
    lost: bool,
    /// Those who wait for something to happen to a name in it. No slab is empty.
    names: HashMap<OsString, Slab<Subscriber>>,
    /// Those whose path this is.
    own: Slab<Subscriber>,
}

struct Subscriber {
    inbox: Arc<Inbox>,
    key: u64,
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
    fn prepare(&mut self, place: &Place) -> (usize, Vec<PathBuf>) {
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
    fn discard(&mut self, index: usize) -> Option<PathBuf> {
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
    fn lose_all(&mut self) {
        for (_, dir) in &mut self.dirs {
            dir.lose();
        }
    }

    fn happened(&mut self, path: &Path, kind: EventKind) {
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
    fn was_linked(&self, path: &Path) {
        let index = path.parent().and_then(|parent| self.labels.get(parent));
        let Some(&index) = index else { return };
        for (_, subscriber) in self.dirs[index].names.values().flatten() {
            subscriber.hint();
        }
    }
}

/// Our part of `notify`'s thread.
struct Handler {
    hub: &'static Hub,
    /// Tells, by its end, that the thread ends.
    _end: Sender<Infallible>,
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

/// A subscriber's place in the table. The name in it is in [`Seen`].
struct Link {
    dir: usize,
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
    fn link(
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

    fn unlink(&self, control: &mut Control, link: &Link, name: Option<&OsStr>) {
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
    fn rest(&self, control: &mut Control) {
        if !lock(&self.table).dirs.is_empty() {
            return;
        }
        if let Some(notifier) = control.notifier.take() {
            notifier.stop();
        }
    }
}

/// A wish to be hinted of one path; ends when it is dropped.
pub(crate) struct Subscription {
    hub: &'static Hub,
    key: u64,
    seen: Seen,
    base: Option<Link>,
    own: Option<Link>,
    coverage: Coverage,
    /// Whether all directories could be watched that should be.
    is_complete: bool,
}

/// Has the inbox hinted with `key` of changes of what is at `path`, not followed if it is a link.
///
/// A relative path starts at the current directory of this moment. Never fails; see
/// [`coverage`](Subscription::coverage).
pub(crate) fn subscribe(inbox: &Arc<Inbox>, key: u64, path: &Path) -> Subscription {
    let mut subscription = Subscription::nowhere(key);
    subscription.renew(inbox, path);
    subscription
}

impl Subscription {
    fn nowhere(key: u64) -> Self {
        let (seen, coverage) = (Seen::default(), Coverage::None);
        Self { hub: hub(), key, seen, base: None, own: None, coverage, is_complete: false }
    }

    pub(crate) fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// Follows the path to where it leads now; to be done after each hint, before looking.
    ///
    /// Two looks at the file system and no more if nothing has changed. The inbox is the one of
    /// [`subscribe`], except in a forked child, which has to make a new one.
    pub(crate) fn renew(&mut self, inbox: &Arc<Inbox>, path: &Path) {
        if self.hub.generation != generation() {
            *self = Self::nowhere(self.key);
        }
        let mut is_tried = false;
        for _ in 0..ATTEMPTS {
            let Ok(route) = Route::find(path) else {
                self.leave();
                return;
            };
            if route.seen == self.seen && !self.is_lost() && (is_tried || self.is_complete) {
                return;
            }
            self.take(inbox, route);
            is_tried = true;
        }
        // It changes faster than it can be followed: it is polled, and the next look tries again.
        if self.coverage == Coverage::Full {
            self.coverage = Coverage::Partial;
        }
        self.is_complete = false;
    }

    fn is_lost(&self) -> bool {
        let table = lock(&self.hub.table);
        [&self.base, &self.own].into_iter().flatten().any(|link| table.dirs[link.dir].lost)
    }

    fn take(&mut self, inbox: &Arc<Inbox>, route: Route) {
        let is_certain = route.is_certain();
        let hub = self.hub;
        let subscriber = || Subscriber { inbox: Arc::clone(inbox), key: self.key };
        let mut control = lock(&hub.control);
        // The new before the old, so that a directory they share stays watched.
        let base = route
            .base
            .as_ref()
            .and_then(|place| hub.link(&mut control, place, route.seen.name(), subscriber()));
        let own =
            route.own.as_ref().and_then(|place| hub.link(&mut control, place, None, subscriber()));
        self.is_complete =
            base.is_some() == route.base.is_some() && own.is_some() == route.own.is_some();
        self.coverage = match (&base, &own) {
            (None, None) => Coverage::None,
            _ if self.is_complete && is_certain => Coverage::Full,
            _ => Coverage::Partial,
        };
        let old = (mem::replace(&mut self.base, base), mem::replace(&mut self.own, own));
        let seen = mem::replace(&mut self.seen, route.seen);
        Self::unlink(hub, &mut control, &seen, old);
    }

    fn unlink(hub: &Hub, control: &mut Control, seen: &Seen, links: (Option<Link>, Option<Link>)) {
        if let Some(link) = links.0 {
            hub.unlink(control, &link, seen.name());
        }
        if let Some(link) = links.1 {
            hub.unlink(control, &link, None);
        }
        hub.rest(control);
    }

    fn leave(&mut self) {
        let (seen, links) = (mem::take(&mut self.seen), (self.base.take(), self.own.take()));
        self.coverage = Coverage::None;
        self.is_complete = false;
        if links.0.is_some() || links.1.is_some() {
            Self::unlink(self.hub, &mut lock(&self.hub.control), &seen, links);
        }
    }
}

impl Seen {
    fn name(&self) -> Option<&OsStr> {
        self.base.as_ref().map(|(_, name)| name.as_os_str())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // The parent's watches stay the parent's.
        if self.hub.generation == generation() {
            self.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::hash_map::RandomState;
    use std::fs::File;
    use std::hash::BuildHasher;
    use std::io::Read;
    use std::os::fd::AsRawFd;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;
    use std::sync::Condvar;
    use std::sync::atomic::{AtomicU32, Ordering};

    use notify::event::Flag;

    use super::*;

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

    /// Runs the test again in a process of its own, by way of `wrapper`; `true` in that process.
    ///
    /// For tests that count what the process has, or have everybody hinted: they share the hub.
    fn is_alone(test: &str, wrapper: &[&str]) -> bool {
        if env::var_os("EVLOOP_ALONE").is_some() {
            return true;
        }
        let test = format!("watch::hints::tests::{test}");
        let exe = env::current_exe().unwrap();
        let mut words = wrapper.iter().map(OsStr::new).chain([exe.as_os_str()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(["--exact", &test, "--test-threads", "1"]);
        let output = command.env("EVLOOP_ALONE", "1").output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && said.contains("1 passed"), "{output:?}");
        false
    }

    #[test]
    fn an_inbox_rings_once_and_holds_each_key_once() {
        #[derive(Default)]
        struct Count(AtomicU32);
        impl Ring for Count {
            fn ring(&self) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let count = Arc::new(Count::default());
        let inbox = Inbox::new(Arc::clone(&count) as Arc<dyn Ring>);
        for key in [7, 3, 7, 3, 9] {
            inbox.hint(key);
        }
        assert_eq!((inbox.take(), count.0.load(Ordering::Relaxed)), (vec![7, 3, 9], 1));
        assert_eq!(inbox.take(), []);
        inbox.hint(3);
        assert_eq!((inbox.take(), count.0.load(Ordering::Relaxed)), (vec![3], 2));
    }

    #[test]
    fn every_kind_of_change_is_hinted() {
        let scratch = Scratch::new("kinds");
        let path = scratch.file("file");
        let mut it = scratch.subscribe(1, &path);
        assert_eq!(it.coverage(), Coverage::Full);

        fs::write(&path, "more").unwrap();
        scratch.wait(1);
        scratch.settle();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        scratch.wait(1);
        scratch.settle();
        File::options().write(true).open(&path).unwrap().set_len(0).unwrap();
        scratch.wait(1);
        scratch.settle();
        fs::remove_file(&path).unwrap();
        scratch.wait(1);
        it.renew(&scratch.inbox, &path);
        assert_eq!(it.coverage(), Coverage::Partial, "what is missing is polled");
        scratch.settle();
        scratch.file("file");
        scratch.wait(1);
        it.renew(&scratch.inbox, &path);
        assert_eq!(it.coverage(), Coverage::Full);
        scratch.settle();
        fs::rename(scratch.file("other"), &path).unwrap();
        scratch.wait(1);
        scratch.settle();
        // The one that came by renaming is watched as well.
        fs::write(&path, "again").unwrap();
        scratch.wait(1);
        scratch.settle();
        fs::rename(&path, scratch.path("away")).unwrap();
        scratch.wait(1);
        scratch.settle();
        fs::hard_link(scratch.path("away"), &path).unwrap();
        scratch.wait(1);
    }

    #[test]
    fn names_of_others_are_not_hinted() {
        let scratch = Scratch::new("others");
        let path = scratch.file("file");
        let _it = scratch.subscribe(1, &path);
        scratch.file("file2");
        fs::write(scratch.path("fil"), "x").unwrap();
        fs::create_dir(scratch.path("below")).unwrap();
        scratch.file("below/file");
        fs::rename(scratch.path("fil"), scratch.path("FILE")).unwrap();
        fs::remove_file(scratch.path("FILE")).unwrap();
        assert_eq!(scratch.settle(), []);
        fs::write(&path, "x").unwrap();
        assert_eq!(scratch.wait(1), [1]);
    }

    #[test]
    fn reading_is_not_hinted() {
        let scratch = Scratch::new("reading");
        let path = scratch.file("file");
        fs::write(&path, "text").unwrap();
        let _file = scratch.subscribe(1, &path);
        let _dir = scratch.subscribe(2, &scratch.dir);
        scratch.settle();
        let mut text = String::new();
        File::open(&path).unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(fs::read_dir(&scratch.dir).unwrap().count(), 2);
        // The mark is there already, so that the directory does not change.
        assert_eq!(scratch.settle(), []);
    }

    #[test]
    fn a_directory_is_hinted_of_its_entries_but_not_of_what_is_written_into_them() {
        let scratch = Scratch::new("directory");
        let dir = scratch.path("dir");
        fs::create_dir(&dir).unwrap();
        let mut it = scratch.subscribe(1, &dir);
        assert_eq!(it.coverage(), Coverage::Full);
        assert_eq!((watches_of(&dir), watches_of(&scratch.dir)), (1, 1));
        let path = scratch.file("dir/entry");
        scratch.wait(1);
        scratch.settle();
        fs::write(&path, "text").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        assert_eq!(scratch.settle(), []);
        fs::rename(&path, scratch.path("dir/renamed")).unwrap();
        scratch.wait(1);
        scratch.settle();
        fs::remove_file(scratch.path("dir/renamed")).unwrap();
        scratch.wait(1);
        scratch.settle();
        fs::set_permissions(&dir, fs::Permissions::from_mode(0o700)).unwrap();
        scratch.wait(1);
        scratch.settle();
        fs::remove_dir(&dir).unwrap();
        scratch.wait(1);
        it.renew(&scratch.inbox, &dir);
        assert_eq!(it.coverage(), Coverage::Partial);
        // A file now, and no more a directory.
        scratch.file("dir");
        scratch.wait(1);
        it.renew(&scratch.inbox, &dir);
        assert_eq!((it.coverage(), watches_of(&dir)), (Coverage::Full, 0));
    }

    #[test]
    fn missing_parents_are_waited_for_one_by_one() {
        let scratch = Scratch::new("parents");
        let path = scratch.path("a/b/c/file");
        let mut it = scratch.subscribe(1, &path);
        for dir in ["a", "a/b", "a/b/c"] {
            assert_eq!(it.coverage(), Coverage::Partial);
            fs::create_dir(scratch.path(dir)).unwrap();
            scratch.wait(1);
            it.renew(&scratch.inbox, &path);
        }
        assert_eq!(it.coverage(), Coverage::Partial);
        assert_eq!((watches_of(&scratch.dir), watches_of(&scratch.path("a/b/c"))), (0, 1));
        fs::write(&path, "").unwrap();
        scratch.wait(1);
        it.renew(&scratch.inbox, &path);
        assert_eq!(it.coverage(), Coverage::Full);
        // And back again.
        fs::remove_dir_all(scratch.path("a")).unwrap();
        scratch.wait(1);
        it.renew(&scratch.inbox, &path);
        assert_eq!((it.coverage(), watches_of(&scratch.dir)), (Coverage::Partial, 1));
    }

    #[test]
    fn parents_that_come_all_at_once_are_found_by_one_renewal() {
        let scratch = Scratch::new("at-once");
        let path = scratch.path("a/b/c/file");
        let mut it = scratch.subscribe(1, &path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, "").unwrap();
        scratch.wait(1);
        it.renew(&scratch.inbox, &path);
        assert_eq!(it.coverage(), Coverage::Full);
        scratch.settle();
        fs::write(&path, "text").unwrap();
        scratch.wait(1);
    }

    #[test]
    fn a_directory_deleted_and_made_again_is_watched_again() {
        let scratch = Scratch::new("again");
        let path = scratch.path("dir/file");
        let other = scratch.path("dir/other");
        fs::create_dir(scratch.path("dir")).unwrap();
        scratch.file("dir/file");
        let mut it = scratch.subscribe(1, &path);
        for _ in 0..100 {
            fs::remove_dir_all(scratch.path("dir")).unwrap();
            fs::create_dir(scratch.path("dir")).unwrap();
            // Comes before, while, or after the deletion is told to notify.
            let mut late = scratch.subscribe(2, &other);
            scratch.file("dir/file");
            scratch.wait(1);
            // What else is hinted of the past may come until it leads to the new one.
            loop {
                it.renew(&scratch.inbox, &path);
                late.renew(&scratch.inbox, &other);
                if it.coverage() == Coverage::Full && scratch.settle().is_empty() {
                    break;
                }
            }
            assert_eq!(watches_of(&scratch.path("dir")), 1);
            fs::write(&path, "text").unwrap();
            scratch.wait(1);
            fs::write(&other, "text").unwrap();
            scratch.wait(2);
        }
    }

    #[test]
    fn a_directory_exchanged_for_another_is_followed_by_its_name() {
        let scratch = Scratch::new("exchange");
        let path = scratch.path("dir/file");
        for dir in ["dir", "new"] {
            fs::create_dir(scratch.path(dir)).unwrap();
            scratch.file(&format!("{dir}/file"));
        }
        let mut it = scratch.subscribe(1, &path);
        let mut was = scratch.subscribe(2, scratch.path("new/file"));
        fs::rename(scratch.path("dir"), scratch.path("old")).unwrap();
        fs::rename(scratch.path("new"), scratch.path("dir")).unwrap();
        let all = scratch.wait(1);
        if !all.contains(&2) {
            scratch.wait(2);
        }
        it.renew(&scratch.inbox, &path);
        was.renew(&scratch.inbox, &scratch.path("new/file"));
        assert_eq!((it.coverage(), was.coverage()), (Coverage::Full, Coverage::Partial));
        assert_eq!(watches_of(&scratch.path("old")), 0);
        assert_eq!(watches_of(&scratch.path("dir")), 1);
        scratch.settle();
        fs::write(&path, "text").unwrap();
        scratch.wait(1);
        scratch.settle();
        fs::create_dir(scratch.path("new")).unwrap();
        scratch.wait(2);
    }

    #[test]
    fn ten_thousand_names_in_one_directory_are_one_watch() {
        let scratch = Scratch::new("many");
        let path = |n: u64| scratch.path(&format!("file {n}"));
        let before = watches_of(&scratch.dir);
        let many: Vec<_> = (0..10_000).map(|n| scratch.subscribe(n, path(n))).collect();
        assert_eq!((before, watches_of(&scratch.dir)), (0, 1));
        fs::write(path(7000), "").unwrap();
        assert_eq!(scratch.wait(7000), [7000]);
        drop(many);
        assert_eq!(watches_of(&scratch.dir), 0);
    }

    #[test]
    fn subscriptions_of_one_path_are_independent() {
        let scratch = Scratch::new("same");
        let path = scratch.file("file");
        let mut all: Vec<_> = (0..1000).map(|key| Some(scratch.subscribe(key, &path))).collect();
        fs::write(&path, "text").unwrap();
        assert!(scratch.settle().into_iter().eq(0..1000));
        for it in all.iter_mut().step_by(2) {
            *it = None;
        }
        fs::write(&path, "more").unwrap();
        assert!(scratch.settle().into_iter().eq((1..1000).step_by(2)));
        drop(all);
        fs::write(&path, "still more").unwrap();
        assert_eq!(scratch.settle(), []);
        assert_eq!(watches_of(&scratch.dir), 0);
    }

    #[test]
    fn loops_have_hints_of_their_own() {
        let (one, two) = (Scratch::new("loop-one"), Scratch::new("loop-two"));
        let path = one.file("file");
        let (first, _second) = (one.subscribe(1, &path), two.subscribe(1, &path));
        assert_eq!(watches_of(&one.dir), 1);
        fs::write(&path, "text").unwrap();
        one.wait(1);
        two.wait(1);
        // A write is two events; what is hinted before the drop may still be taken after it.
        one.settle();
        drop(first);
        fs::write(&path, "more").unwrap();
        two.wait(1);
        assert_eq!(one.settle(), []);
    }

    #[test]
    fn a_directory_reached_by_two_paths_is_one_watch() {
        let scratch = Scratch::new("two-paths");
        let dir = scratch.path("dir");
        fs::create_dir(&dir).unwrap();
        symlink("dir", scratch.path("link")).unwrap();
        scratch.file("dir/file");
        let (straight, crooked) = (scratch.path("dir/file"), scratch.path("link/file"));
        let one = scratch.subscribe(1, &straight);
        let two = scratch.subscribe(2, &crooked);
        // That the link is exchanged would not be hinted.
        assert_eq!((one.coverage(), two.coverage()), (Coverage::Full, Coverage::Partial));
        assert_eq!(watches_of(&dir), 1);
        fs::write(&straight, "text").unwrap();
        scratch.wait(2);
        drop(one);
        scratch.settle();
        fs::write(&straight, "more").unwrap();
        scratch.wait(2);
        drop(two);
        assert_eq!(watches_of(&dir), 0);
    }

    #[test]
    fn a_link_is_watched_itself() {
        let scratch = Scratch::new("link");
        let target = scratch.file("target");
        let link = scratch.path("link");
        symlink("target", &link).unwrap();
        let it = scratch.subscribe(1, &link);
        assert_eq!(it.coverage(), Coverage::Full);
        fs::write(&target, "text").unwrap();
        assert_eq!(scratch.settle(), []);
        fs::remove_file(&link).unwrap();
        symlink("nowhere", &link).unwrap();
        scratch.wait(1);
    }

    #[test]
    fn odd_ends_of_paths_lead_where_lstat_goes() {
        let scratch = Scratch::new("odd");
        let dir = scratch.path("dir");
        fs::create_dir(&dir).unwrap();
        symlink("dir", scratch.path("link")).unwrap();
        let cases = [
            ("dir/", Coverage::Full),
            ("dir/.", Coverage::Full),
            ("dir//./", Coverage::Full),
            ("./dir", Coverage::Full),
            ("link", Coverage::Full),
            ("link/", Coverage::Partial),
            ("link/.", Coverage::Partial),
            ("missing/..", Coverage::Partial),
            ("missing/", Coverage::Partial),
        ];
        for (name, coverage) in cases {
            // `join` would tidy up.
            let path = PathBuf::from(format!("{}/{name}", scratch.dir.display()));
            let it = scratch.subscribe(1, &path);
            assert_eq!(it.coverage(), coverage, "{name}");
            let is_dir = fs::symlink_metadata(&path).is_ok_and(|file| file.is_dir());
            assert_eq!(watches_of(&dir), usize::from(is_dir), "{name}");
            if is_dir {
                scratch.file("dir/entry");
                scratch.wait(1);
                fs::remove_file(scratch.path("dir/entry")).unwrap();
            }
            drop(it);
            scratch.settle();
        }
        let up = scratch.subscribe(1, scratch.path("dir/.."));
        assert_eq!(up.coverage(), Coverage::Partial);
        scratch.file("entry");
        scratch.wait(1);

        assert_eq!(scratch.subscribe(2, "/").coverage(), Coverage::Full);
        for path in [".", "..", "Cargo.toml", "src/../Cargo.toml", "nothing/of/the/kind"] {
            assert_ne!(scratch.subscribe(2, path).coverage(), Coverage::None, "{path}");
        }
    }

    #[test]
    fn what_others_may_change_unseen_is_polled() {
        let scratch = Scratch::new("unseen");
        let path = scratch.file("file");
        fs::hard_link(&path, scratch.path("second")).unwrap();
        assert_eq!(scratch.subscribe(1, &path).coverage(), Coverage::Partial);
        let proc = scratch.subscribe(2, "/proc/self/stat");
        assert_eq!(proc.coverage(), Coverage::Partial);
        assert!(is_local(&scratch.dir) && !is_local(Path::new("/proc")));
        let id = |path: &str| Scratch::id(Path::new(path));
        assert!(is_mounted_on(Path::new("/proc"), id("/proc"), id("/")));
        assert!(!is_mounted_on(&scratch.dir, id("/"), id("/")));
    }

    impl Scratch {
        fn id(path: &Path) -> Id {
            Place::of(path).unwrap().id
        }
    }

    #[test]
    fn renewing_what_has_not_changed_asks_notify_nothing() {
        let scratch = Scratch::new("renew");
        let path = scratch.file("file");
        let mut it = scratch.subscribe(1, &path);
        let hub = it.hub;
        // It would wait for this lock.
        let _control = lock(&hub.control);
        it.renew(&scratch.inbox, &path);
        assert_eq!(it.coverage(), Coverage::Full);
        fs::write(&path, "text").unwrap();
        scratch.wait(1);
        it.renew(&scratch.inbox, &path);
        assert_eq!(it.coverage(), Coverage::Full);
    }

    #[test]
    fn when_events_were_missed_everybody_is_hinted_and_watched_anew() {
        if !is_alone("when_events_were_missed_everybody_is_hinted_and_watched_anew", &[]) {
            return;
        }
        let scratch = Scratch::new("missed");
        let path = scratch.file("file");
        let mut one = scratch.subscribe(1, &path);
        let _two = scratch.subscribe(2, scratch.path("missing/file"));
        let (end, _running) = mpsc::channel();
        let mut handler = Handler { hub: one.hub, _end: end };
        handler.handle_event(Ok(notify::Event::new(EventKind::Other).set_flag(Flag::Rescan)));
        let mut keys = scratch.wait(2);
        keys.extend(scratch.settle());
        assert!(keys.contains(&1), "{keys:?}");
        one.renew(&scratch.inbox, &path);
        assert_eq!((one.coverage(), watches_of(&scratch.dir)), (Coverage::Full, 1));
        scratch.settle();
        handler.handle_event(Err(notify::Error::generic("test")));
        scratch.wait(1);
        one.renew(&scratch.inbox, &path);
        scratch.settle();
        fs::write(&path, "text").unwrap();
        scratch.wait(1);
    }

    #[test]
    fn threads_may_subscribe_and_go_at_the_same_time() {
        if !is_alone("threads_may_subscribe_and_go_at_the_same_time", &[]) {
            return;
        }
        let scratch = Scratch::new("threads");
        thread::scope(|scope| {
            for n in 0..4 {
                let scratch = &scratch;
                scope.spawn(move || {
                    let dir = scratch.path(&format!("dir {}", n % 2));
                    let path = dir.join("file");
                    for key in 0..200 {
                        let _ = fs::create_dir(&dir);
                        let mut it = scratch.subscribe(key, &path);
                        let _ = fs::write(&path, "");
                        it.renew(&scratch.inbox, &path);
                        let _ = fs::remove_dir_all(&dir);
                        it.renew(&scratch.inbox, &path);
                    }
                });
            }
        });
        scratch.settle();
        assert_eq!(watches_of(&scratch.dir), 0);
    }

    fn descriptors() -> usize {
        fs::read_dir("/proc/self/fd").unwrap().count()
    }

    #[test]
    fn with_the_last_subscription_all_descriptors_go() {
        if !is_alone("with_the_last_subscription_all_descriptors_go", &[]) {
            return;
        }
        let scratch = Scratch::new("last");
        let path = scratch.file("file");
        let before = descriptors();
        for _ in 0..200 {
            let one = scratch.subscribe(1, &path);
            let two = scratch.subscribe(2, &scratch.dir);
            assert!(descriptors() > before);
            drop(one);
            assert!(descriptors() > before);
            fs::write(&path, "text").unwrap();
            drop(two);
            assert_eq!(descriptors(), before);
        }
        let _it = scratch.subscribe(1, &path);
        scratch.settle();
        fs::write(&path, "text").unwrap();
        scratch.wait(1);
    }

    #[test]
    fn a_forked_child_starts_anew_and_leaves_the_parents_watches_alone() {
        if !is_alone("a_forked_child_starts_anew_and_leaves_the_parents_watches_alone", &[]) {
            return;
        }
        let mut scratch = Scratch::new("fork");
        let path = scratch.file("file");
        let mut kept = scratch.subscribe(1, &path);
        let dropped = scratch.subscribe(2, &path);
        let parents = kept.hub;
        // A thread of the parent held everything when it forked.
        let control = lock(&parents.control);
        let table = lock(&parents.table);
        let hinted = scratch.inbox.clone();
        let hinted = lock(&hinted.hinted);
        FORKS.fetch_add(1, Ordering::Relaxed);
        drop(dropped);
        assert_eq!(scratch.inbox.take(), []);
        scratch.inbox = Arc::new(Inbox::new(Arc::clone(&scratch.ear) as Arc<dyn Ring>));
        kept.renew(&scratch.inbox, &path);
        assert_eq!(kept.coverage(), Coverage::Full);
        assert_eq!(watches_of(&scratch.dir), 2, "the parent's, and the child's");
        fs::write(&path, "text").unwrap();
        scratch.wait(1);
        scratch.settle();
        drop(kept);
        assert_eq!(watches_of(&scratch.dir), 1);
        drop((control, table, hinted));
    }

    #[test]
    fn without_descriptors_there_are_no_hints_and_no_error() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        if !is_alone("without_descriptors_there_are_no_hints_and_no_error", &[]) {
            return;
        }
        let scratch = Scratch::new("descriptors");
        let path = scratch.file("file");
        let limit = getrlimit(Resource::Nofile);
        // Fills the gaps: the limit is one of numbers.
        let files: Vec<_> = (0..50).map(|_| File::open("/dev/null").unwrap()).collect();
        let first_free = files[49].as_raw_fd() as u64 + 1;
        // From nothing to just not enough, whatever fails first.
        for spare in 0..3 {
            let before = descriptors();
            let current = Some(first_free + spare);
            setrlimit(Resource::Nofile, Rlimit { current, ..limit }).unwrap();
            let mut it = scratch.subscribe(1, &path);
            assert_eq!(it.coverage(), Coverage::None, "{spare}");
            setrlimit(Resource::Nofile, limit).unwrap();
            assert_eq!(descriptors(), before);
            it.renew(&scratch.inbox, &path);
            assert_eq!(it.coverage(), Coverage::None, "not asked again so soon");
            lock(&hub().control).refused = None;
            it.renew(&scratch.inbox, &path);
            assert_eq!(it.coverage(), Coverage::Full);
        }
    }

    #[test]
    fn without_threads_there_are_no_hints_and_no_error() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        if !is_alone("without_threads_there_are_no_hints_and_no_error", &[]) {
            return;
        }
        let scratch = Scratch::new("no-threads");
        let path = scratch.file("file");
        let limit = getrlimit(Resource::Nproc);
        setrlimit(Resource::Nproc, Rlimit { current: Some(0), ..limit }).unwrap();
        if thread::Builder::new().spawn(|| ()).is_ok() {
            // Root may have as many as it likes.
            return;
        }
        let before = descriptors();
        let mut it = scratch.subscribe(1, &path);
        assert_eq!((it.coverage(), descriptors()), (Coverage::None, before));
        setrlimit(Resource::Nproc, limit).unwrap();
        lock(&hub().control).refused = None;
        it.renew(&scratch.inbox, &path);
        assert_eq!(it.coverage(), Coverage::Full);
    }

    #[test]
    fn beyond_the_limit_of_watches_there_are_no_hints_until_one_is_free() {
        // Limits of a user namespace are the safe way to have few.
        let limit = "echo 2 >/proc/sys/user/max_inotify_watches && exec \"$0\" \"$@\"";
        let wrapper = ["unshare", "-U", "-r", "sh", "-c", limit];
        let alone = env::var_os("EVLOOP_ALONE").is_some();
        let try_out = ["-U", "-r", "test", "-w", "/proc/sys/user/max_inotify_watches"];
        if !alone && !Command::new("unshare").args(try_out).status().is_ok_and(|s| s.success()) {
            return;
        }
        let name = "beyond_the_limit_of_watches_there_are_no_hints_until_one_is_free";
        if !is_alone(name, &wrapper) {
            return;
        }
        let scratch = Scratch::new("limit");
        let path = |n: u64| scratch.path(&format!("{n}/file"));
        for n in 0..4 {
            fs::create_dir(scratch.path(&n.to_string())).unwrap();
            fs::write(path(n), "").unwrap();
        }
        let mut all: Vec<_> = (0..4).map(|n| scratch.subscribe(n, path(n))).collect();
        let coverages: Vec<_> = all.iter().map(Subscription::coverage).collect();
        let (full, none) = (Coverage::Full, Coverage::None);
        assert_eq!(coverages, [full, full, none, none]);
        drop(all.remove(0));
        all[1].renew(&scratch.inbox, &path(2));
        all[2].renew(&scratch.inbox, &path(3));
        assert_eq!((all[1].coverage(), all[2].coverage()), (full, none));
        fs::write(path(2), "text").unwrap();
        scratch.wait(2);
        // A directory that is watched may be exchanged all the same.
        fs::remove_dir_all(scratch.path("2")).unwrap();
        scratch.wait(2);
    }
}
