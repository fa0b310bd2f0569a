//! What `notify` is asked for: a watcher, a watch, the end.
//!
//! All of it with the hub's `control` held, and without its table: `watch` and `unwatch` wait for
//! `notify`'s thread, which takes the table. `notify` may refuse, and it may panic; either is the end of the hints
//! for a while, and never of the program.

use std::convert::Infallible;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;
use std::time::{Duration, Instant};

use notify::{Config, RecommendedWatcher, RecursiveMode, Watcher as _};

use super::handler::Handler;
use super::hub::Hub;
use super::lock;

/// After the system refused a watcher, or another watch, it is not asked again for so long.
const RETRY: Duration = Duration::from_secs(60);

/// How long to wait for the end of `notify`'s thread, which takes microseconds.
const FAREWELL: Duration = Duration::from_secs(1);

/// `notify`'s watcher, and when the system had enough of us.
#[derive(Default)]
pub(super) struct Control {
    pub(super) notifier: Option<Notifier>,
    /// When there could not be a watcher.
    pub(super) refused: Option<Instant>,
    /// When there could be no further watch.
    pub(super) full: Option<Instant>,
}

/// Asks `notify` for something. It panics if its thread is gone or its descriptors were closed behind its
/// back; then there are no hints any more, but the program goes on.
fn ask<T>(question: impl FnOnce() -> T) -> Option<T> {
    catch_unwind(AssertUnwindSafe(question)).ok()
}

pub(super) struct Notifier {
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
    pub(super) fn stop(self) {
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

pub(super) fn is_recent(moment: Option<Instant>) -> bool {
    moment.is_some_and(|moment| moment.elapsed() < RETRY)
}

impl Control {
    /// Whether there is a watcher to ask; starts one if need be.
    pub(super) fn is_ready(&mut self, hub: &'static Hub) -> bool {
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

    pub(super) fn watch(&mut self, hub: &Hub, label: &Path) -> bool {
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
    pub(super) fn unwatch(&mut self, hub: &Hub, label: &Path) {
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
