//! Stat: a callback when what the file system says about a path changes.
//!
//! The watcher compares `lstat` with what it was, to the nanosecond. That is the whole of its meaning;
//! how it comes to look is another matter: at an interval, or, where the system can tell of changes, at
//! once and otherwise not at all.

use std::any::Any;
use std::cell::{Cell as Slot, RefCell};
use std::io;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use super::file_attr::{FileAttr, check_path, look};
use super::hints::{Coverage, Inbox, Subscription, subscribe};
use super::verbs;
use crate::engine::{Band, Callback, Key, Look, StatCallback, StatSlot, nanos};
use crate::event::Events;
use crate::{Error, ErrorKind, EvLoop, Kind, Result};

const KIND: Kind = Kind::Stat;

/// Where nobody hints. The odd fractions are libev's: wake-ups do not fall in with what happens on the
/// second.
const DEFAULT_INTERVAL: u64 = 5_007_489_100;
/// Where hints come, but cannot be relied on.
const HINTED_INTERVAL: u64 = 30_107_489_100;
const SHORTEST_INTERVAL: u64 = 100_000_000;

/// The key of a stat watcher (`ev_stat`). Feature `stat`.
///
/// ```
/// use evloop::EvLoop;
/// use std::time::Duration;
///
/// # let dir = std::env::temp_dir().join(format!("evloop-doc-{}", std::process::id()));
/// # std::fs::create_dir_all(&dir)?;
/// let config = dir.join("app.conf");
/// let mut ev = EvLoop::new()?;
/// let watcher = ev.stat(&config, Duration::ZERO, |ev, e| {
///     // It was not there, and now it is.
///     assert!(e.attr.exists() && !e.prev.exists());
///     e.watcher.stop(ev);
/// });
/// watcher.start(&mut ev)?;
/// std::fs::write(&config, "colour = blue")?;
/// ev.run()?;
/// # std::fs::remove_dir_all(&dir)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # What is a change
///
/// Any difference in what `lstat` says: size, times, owner, mode, number of links, or another file in its
/// place. A path that does not exist, or cannot be looked at, is a state like any other
/// ([`FileAttr::exists`]), and coming and going are changes. A file replaced by renaming another over it
/// is one change, and the watch goes on with the new one. Symbolic links are looked at, not followed; only
/// those in the directories before the last component are.
///
/// # When it looks
///
/// On known local file systems the system hints when to look, so a change is told at once, nothing is
/// polled, and any number of watchers in one directory cost one watch of the system
/// ([`is_hinted`](Stat::is_hinted)). Elsewhere (network file systems, a limit of the system reached, hints
/// turned off with [`Builder::stat_hints`](crate::Builder::stat_hints)) it looks at its interval. It does both
/// while the path, or directories on the way to it, are missing, and for relative paths.
///
/// The hints come through one thread, `notify-rs inotify loop`, which is started with the first stat watcher
/// of the process, serves all loops, and ends with the last one.
///
/// # Sharp edges
///
/// * **Looking blocks the loop** for as long as the file system takes. A network file system whose server
///   is gone may take minutes.
/// * **Changes between two looks are one**, and what was changed and changed back is none.
/// * **Coarse clocks**: where the file system counts time in seconds, or in ticks of some milliseconds, a
///   second change of the same size within one of them cannot be seen. Where that matters, start a timer of
///   a bit more than a second in the callback and act when it is due.
/// * **Not hinted**, on hinted file systems: that the file was read (its `accessed` time), writes through a
///   memory map, a hard link made to it in another directory and writes through that, renaming a directory
///   above the parent or losing the right to search it. If you need those, turn hints off.
/// * **A relative path** is resolved at every look, so changing the working directory changes what it means.
/// * To swallow a change of one's own, call [`refresh`](Stat::refresh) after it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Stat(Key);

/// What the callback of a stat watcher is told.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct StatEvent<'a> {
    /// The watcher it happened to.
    pub watcher: Stat,
    /// The path.
    pub path: &'a Path,
    /// What is there now.
    pub attr: FileAttr,
    /// What was there before; not the same, unless the event was fed.
    pub prev: FileAttr,
    /// What happened.
    pub ready: Events,
}

/// What a watcher knows of its file.
struct File {
    path: PathBuf,
    /// As asked for.
    interval: Slot<u64>,
    attr: Slot<FileAttr>,
    prev: Slot<FileAttr>,
    /// While it is started and hints are wanted.
    hints: RefCell<Option<(Arc<Inbox>, Subscription)>>,
}

impl File {
    fn coverage(&self) -> Coverage {
        match self.hints.borrow().as_ref().map(|(_, hints)| hints.coverage()) {
            None => Coverage::None,
            // A look may have failed where the one before it found a way to hint; and a change of the
            // working directory, which gives a relative path another meaning, is hinted by nobody.
            Some(Coverage::Full) if !self.attr.get().exists() || self.path.is_relative() => {
                Coverage::Partial
            }
            Some(coverage) => coverage,
        }
    }

    /// Looks, and remembers what was before if that is something else.
    fn compare(&self) -> Look {
        if let Some((inbox, hints)) = &mut *self.hints.borrow_mut() {
            // Before the look: what changes from now on is hinted.
            hints.renew(inbox, &self.path);
        }
        let (old, new) = (self.attr.get(), look(&self.path));
        if old != new {
            self.prev.set(old);
            self.attr.set(new);
        }
        Look { changed: old != new, again_in: self.again_in() }
    }

    fn again_in(&self) -> Option<u64> {
        let default = match self.coverage() {
            Coverage::Full => return None,
            Coverage::Partial => HINTED_INTERVAL,
            Coverage::None => DEFAULT_INTERVAL,
        };
        Some(match self.interval.get() {
            0 => default,
            interval => interval.max(SHORTEST_INTERVAL),
        })
    }
}

struct Cell<C> {
    file: Rc<File>,
    /// Never borrowed twice, since a running watcher is not entered again.
    callback: RefCell<C>,
}

impl<C: FnMut(&mut EvLoop, StatEvent<'_>)> Callback for Cell<C> {
    fn call(self: Rc<Self>, ev: &mut EvLoop, key: Key, ready: Events) {
        if let Ok(mut callback) = self.callback.try_borrow_mut() {
            let (attr, prev) = (self.file.attr.get(), self.file.prev.get());
            let path = &self.file.path;
            callback(ev, StatEvent { watcher: Stat(key), path, attr, prev, ready });
        }
    }
}

impl<C: FnMut(&mut EvLoop, StatEvent<'_>)> StatCallback for Cell<C> {
    fn start(&self, key: Key, inbox: Option<&Arc<Inbox>>) -> Result<Look> {
        let refused =
            |e: io::Error| Error::os(ErrorKind::InvalidInput, "starting a stat watcher", e);
        let file = &*self.file;
        check_path(&file.path).map_err(refused)?;
        *file.hints.borrow_mut() =
            inbox.map(|inbox| (Arc::clone(inbox), subscribe(inbox, key.bits(), &file.path)));
        // What has changed before the start is no news.
        let attr = look(&file.path);
        file.attr.set(attr);
        file.prev.set(attr);
        Ok(Look { changed: false, again_in: file.again_in() })
    }

    fn look(&self) -> Look {
        self.file.compare()
    }

    fn renew(&self, inbox: Option<&Arc<Inbox>>) -> Look {
        if let (Some(inbox), Some((present, _))) = (inbox, &mut *self.file.hints.borrow_mut()) {
            *present = Arc::clone(inbox);
        }
        self.file.compare()
    }

    fn stop(&self) {
        let hints = self.file.hints.borrow_mut().take();
        drop(hints);
    }

    fn handle(&self) -> Rc<dyn Any> {
        Rc::clone(&self.file) as Rc<dyn Any>
    }
}

impl EvLoop {
    /// Makes a stat watcher (`ev_stat_init`): `callback` is called when what the file system says about
    /// `path` has changed. It is not started yet. Feature `stat`.
    ///
    /// `interval` says how often to look where the system cannot hint; zero is for about 5 s (30 s where
    /// hints come but cannot be relied on), and less than 0.1 s counts as that.
    #[track_caller]
    pub fn stat(
        &mut self,
        path: impl AsRef<Path>,
        interval: Duration,
        callback: impl FnMut(&mut EvLoop, StatEvent<'_>) + 'static,
    ) -> Stat {
        let file = Rc::new(File {
            path: path.as_ref().to_path_buf(),
            interval: Slot::new(nanos(interval)),
            attr: Slot::new(FileAttr::default()),
            prev: Slot::new(FileAttr::default()),
            hints: RefCell::new(None),
        });
        let cell = Rc::new(Cell { file, callback: RefCell::new(callback) });
        Stat(self.stats.slots.insert(StatSlot::new(cell)))
    }
}

verbs!(Stat, "watcher");

fn stop_it(ev: &mut EvLoop, key: Key) -> bool {
    ev.stop_stat(key)
}

fn remove(ev: &mut EvLoop, key: Key) -> bool {
    ev.stop_stat(key);
    ev.stats.slots.remove(key).is_some()
}

fn change_band(ev: &mut EvLoop, key: Key, band: Band) {
    ev.set_band(KIND, key, band);
}

fn file_of(ev: &EvLoop, key: Key) -> Option<Rc<File>> {
    ev.stats.slots.get(key)?.cell.handle().downcast::<File>().ok()
}

impl Stat {
    /// Starts the watcher: looks at the file, so that changes from now on are told. No effect if it is
    /// started already.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] for what can never be a path (empty, too long, with a NUL in it);
    /// [`ErrorKind::Forked`]; [`ErrorKind::Stale`]. That there is no such file is not an error, nor is
    /// that the system does not hint.
    pub fn start(self, ev: &mut EvLoop) -> Result<Self> {
        ev.start_stat(self.0).map(|()| self)
    }

    /// Starts the watcher, and frees it if that fails.
    ///
    /// # Errors
    ///
    /// As for [`start`](Self::start).
    pub fn start_or_free(self, ev: &mut EvLoop) -> Result<Self> {
        self.start(ev).inspect_err(|_| {
            self.free(ev);
        })
    }

    /// Looks right now (`ev_stat_stat`) and returns what is there; a change found, now or before and not
    /// delivered yet, is **not** told. To swallow a change one has made oneself.
    pub fn refresh(self, ev: &mut EvLoop) -> FileAttr {
        let Some(file) = file_of(ev, self.0) else { return FileAttr::default() };
        let attr = look(&file.path);
        file.attr.set(attr);
        // One found before is swallowed too; what was fed is not.
        let fed = ev.clear_pending(KIND, self.0) - Events::STAT;
        if !fed.is_empty() {
            ev.feed(KIND, self.0, fed);
        }
        attr
    }

    /// What the last look has found; "missing" before the first start, and for a stale key.
    #[must_use]
    pub fn attr(self, ev: &EvLoop) -> FileAttr {
        file_of(ev, self.0).map_or_else(FileAttr::default, |file| file.attr.get())
    }

    /// What was there before the last change.
    #[must_use]
    pub fn prev(self, ev: &EvLoop) -> FileAttr {
        file_of(ev, self.0).map_or_else(FileAttr::default, |file| file.prev.get())
    }

    /// The path; `None` for a stale key.
    #[must_use]
    pub fn path(self, ev: &EvLoop) -> Option<PathBuf> {
        file_of(ev, self.0).map(|file| file.path.clone())
    }

    /// Whether the system tells when to look, so that nothing is polled. Not while it is stopped.
    ///
    /// `false` for a started watcher means that it looks at its interval: hints are turned off, a limit of
    /// the system is reached (`max_user_watches`, `max_user_instances`), the file system is not known to be
    /// a local one, or the path is missing.
    #[must_use]
    pub fn is_hinted(self, ev: &EvLoop) -> bool {
        file_of(ev, self.0).is_some_and(|file| file.coverage() == Coverage::Full)
    }

    /// The interval asked for; zero for the default.
    #[must_use]
    pub fn interval(self, ev: &EvLoop) -> Duration {
        file_of(ev, self.0).map_or(Duration::ZERO, |file| Duration::from_nanos(file.interval.get()))
    }

    /// Gives the watcher another interval, in any state; it counts from now.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn set_interval(self, ev: &mut EvLoop, interval: Duration) -> Self {
        if let Some(file) = file_of(ev, self.0) {
            file.interval.set(nanos(interval));
            ev.plan_look(self.0, file.again_in());
        }
        self
    }

    /// Replaces the callback, in any state; a running one is replaced when it returns. Returns
    /// whether the watcher exists.
    pub fn set_callback(
        self,
        ev: &mut EvLoop,
        callback: impl FnMut(&mut EvLoop, StatEvent<'_>) + 'static,
    ) -> bool {
        let Some(file) = file_of(ev, self.0) else { return false };
        let Some(slot) = ev.stats.slots.get_mut(self.0) else { return false };
        slot.cell = Rc::new(Cell { file, callback: RefCell::new(callback) });
        true
    }
}
