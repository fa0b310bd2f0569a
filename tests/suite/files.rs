//! Words for cases about files: directories of their own, environments with hints and without, and
//! waiting for what a stat watcher tells.

// Every test binary includes the whole file and uses a part of it.
#![allow(dead_code)]

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use evloop::{EvLoop, FileAttr, Stat, StatEvent};

use crate::suite::{Count, Log, ZERO, secs, unused};

/// How long a hint may take on a busy machine before a case fails; on a mock clock it takes no time.
/// Less than the 30 s at which a hinted loop looks by itself, so only a hint can be in time.
pub const PATIENCE: Duration = secs(20);

/// What a stat watcher was told, in order: what was there before, and what is there now.
pub type Told = Log<(FileAttr, FileAttr)>;

/// A directory that is removed at the end.
pub struct Scratch(pub PathBuf);

impl Scratch {
    pub fn new() -> Self {
        Self::below(&std::env::temp_dir())
    }

    /// In another place than that for temporary files.
    pub fn below(parent: &Path) -> Self {
        // Below a symbolic link everything is polled.
        let parent = fs::canonicalize(parent).expect("a directory for temporary files");
        let dir = unused(&parent, "stat");
        fs::create_dir(&dir).expect("a directory of our own");
        Self(dir)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// A file with this text.
    pub fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).expect("a file in our own directory");
        path
    }

    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.path(name);
        fs::create_dir_all(&path).expect("a directory in our own directory");
        path
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A callback that writes down what it was told.
pub fn tells(told: &Told) -> impl FnMut(&mut EvLoop, StatEvent<'_>) + use<> + 'static {
    let told = told.clone();
    move |_, e| told.push((e.prev, e.attr))
}

/// A callback that only counts.
pub fn counts(count: &Count) -> impl FnMut(&mut EvLoop, StatEvent<'_>) + use<> + 'static {
    let count = count.clone();
    move |_, _| {
        count.up();
    }
}

/// A callback that writes down a name.
pub fn names(
    log: &Log,
    name: &'static str,
) -> impl FnMut(&mut EvLoop, StatEvent<'_>) + use<> + 'static {
    let log = log.clone();
    move |_, _| log.push(name)
}

/// A callback that does nothing.
pub fn ignores(_: &mut EvLoop, _: StatEvent<'_>) {}

/// A started watcher with the default interval, and what it is told.
pub fn watch(ev: &mut EvLoop, path: impl AsRef<Path>) -> (Stat, Told) {
    let told = Told::new();
    let watcher = ev.stat(path, ZERO, tells(&told)).start(ev).expect("a path that can be watched");
    assert!(watcher.is_active(ev));
    (watcher, told)
}

/// Runs the loop until `over`, and fails if that takes too long.
#[track_caller]
pub fn run_until(ev: &mut EvLoop, over: impl Fn(&EvLoop) -> bool) {
    ev.update_now();
    let end = ev.now() + PATIENCE;
    while !over(ev) {
        let left = end.saturating_duration_since(ev.now());
        assert!(!left.is_zero(), "it did not come in {PATIENCE:?}");
        ev.turn(Some(left)).expect("a turn");
        ev.update_now();
        ev.verify();
    }
}

/// The one event that comes next, which is a change.
#[track_caller]
pub fn next(ev: &mut EvLoop, told: &Told) -> (FileAttr, FileAttr) {
    run_until(ev, |_| told.len() > 0);
    let mut events = told.take();
    assert_eq!(events.len(), 1, "one change, one event: {events:?}");
    let (prev, attr) = events.remove(0);
    assert_ne!(prev, attr, "what was before is never what is now");
    (prev, attr)
}

/// Looks at everything that has happened until now, and asserts that the watcher was told nothing.
///
/// Everything that is hinted comes through one queue, so what is hinted after it comes after it;
/// on a mock clock the mark is found by a look of the same round.
#[track_caller]
pub fn nothing_more(ev: &mut EvLoop, told: &Told) {
    settle(ev);
    assert_eq!(told.take(), [], "nothing has changed");
}

/// Has the loop look at everything that has happened until now.
#[track_caller]
pub fn settle(ev: &mut EvLoop) {
    let scratch = Scratch::new();
    let (mark, marked) = watch(ev, scratch.path("mark"));
    scratch.file("mark", "");
    run_until(ev, |_| marked.len() > 0);
    mark.free(ev);
    // What was in line behind the mark.
    ev.run_mode(evloop::Run::NoWait).expect("a turn");
}

/// Returns when everything that has happened until now is hinted, to this loop and all others. Without
/// it the hints of one change may come to a loop one after the other, and not in the same iteration.
#[track_caller]
pub fn await_hints() {
    settle(&mut EvLoop::builder().env(false).build().expect("a loop to ask with"));
}

/// Adds to the end of a file: its size changes, so it is a change however coarse the clocks are.
pub fn append(path: &Path, text: &str) {
    use std::io::Write;
    let mut file = File::options().append(true).open(path).expect("a file to append to");
    file.write_all(text.as_bytes()).expect("room");
}

/// Sets the time of the last change of the content.
pub fn touch(path: &Path, time: SystemTime) {
    let file = File::options().write(true).open(path).expect("a file to touch");
    file.set_modified(time).expect("a time that can be set");
}

/// The inode's number.
pub fn inode(path: &Path) -> u64 {
    fs::symlink_metadata(path).expect("a file").ino()
}

/// One environment: a backend, with hints or without. With them the clock is the real one, since
/// hints come from another thread; without them it is ours, and looking takes no time.
macro_rules! stat_environment {
    ($env:ident, $backend:expr, hinted) => {
        pub mod $env {
            #[allow(unused_imports)]
            pub use evloop::*;

            /// Whether the system tells when to look.
            pub const HINTED: bool = true;

            pub fn builder() -> Builder {
                EvLoop::builder().backend($backend).env(false)
            }

            pub fn ev() -> EvLoop {
                builder().build().expect("a loop on the real clock")
            }
        }
    };
    ($env:ident, $backend:expr, polled) => {
        pub mod $env {
            #[allow(unused_imports)]
            pub use evloop::*;

            pub const HINTED: bool = false;

            pub fn builder() -> Builder {
                EvLoop::builder().backend($backend).env(false).stat_hints(false)
            }

            pub fn ev() -> EvLoop {
                ev_with_clock().0
            }

            pub fn ev_with_clock() -> (EvLoop, testing::MockClock) {
                let clock = testing::MockClock::new();
                let ev = builder().mock_clock(&clock).build().expect("a loop on a mock clock");
                (ev, clock)
            }
        }
    };
}

stat_environment!(epoll_hinted, Backend::Epoll, hinted);
stat_environment!(poll_hinted, Backend::Poll, hinted);
stat_environment!(epoll_polled, Backend::Epoll, polled);
stat_environment!(poll_polled, Backend::Poll, polled);

/// Instantiates case files about files in one environment.
#[allow(unused_macros)]
macro_rules! on_files {
    ($env:ident: $($case:ident),+ $(,)?) => {
        mod $env {
            $(mod $case {
                #[allow(unused_imports)]
                use crate::{suite::*, files::*, files::$env::*};
                include!(concat!("cases/", stringify!($case), ".rs"));
            })+
        }
    };
}
#[allow(unused_imports)]
pub(crate) use on_files;
