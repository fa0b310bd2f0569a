//! What a loop has gathered, until the end of the batch.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::{Rc, Weak};
use std::time::{Duration, Instant};

use super::AccessLog;
use super::lines::{self, Clock, Entry};
use crate::EvLoop;

/// From how many bytes on they do not wait for the end of the batch.
const MANY: usize = 64 * 1024;

/// How long to wait before a log is written again that could not be: one that was slow, one that has failed.
const SLOW: Duration = Duration::from_millis(50);
const FAILED: Duration = Duration::from_secs(1);

pub(super) struct Gathering {
    log: AccessLog,
    /// Whole lines.
    lines: RefCell<Vec<u8>>,
    clock: RefCell<Clock>,
    /// Somebody will write them.
    is_awaited: Cell<bool>,
    /// They could not be written, and it is too early to try again.
    is_stuck: Cell<bool>,
    /// Lines were lost, and nobody was told since.
    has_lost: Cell<bool>,
}

impl Gathering {
    pub(super) fn new(log: AccessLog) -> Self {
        Self {
            log,
            lines: RefCell::default(),
            clock: RefCell::default(),
            is_awaited: Cell::new(false),
            is_stuck: Cell::new(false),
            has_lost: Cell::new(false),
        }
    }

    /// A request is over, or was none.
    pub(super) fn note(self: &Rc<Self>, ev: &mut EvLoop, entry: &Entry<'_>) {
        let config = self.log.config;
        let len = {
            let mut lines = self.lines.borrow_mut();
            let clock = &mut *self.clock.borrow_mut();
            let before = lines.len();
            lines::write(config.format, config.timings, entry, ev.wall_now(), clock, &mut lines);
            if lines.len() > config.buffer {
                lines.truncate(before);
                self.log.drop_line();
                self.has_lost.set(true);
            }
            lines.len()
        };
        if len >= MANY.min(config.buffer) && !self.is_stuck.get() {
            self.write(ev);
        }
        if !self.is_awaited.replace(true) {
            let this = Rc::clone(self);
            ev.defer(move |ev| {
                this.is_awaited.set(false);
                this.write(ev);
            });
        }
    }

    /// Writes what there is; what is left is tried again later.
    fn write(self: &Rc<Self>, ev: &mut EvLoop) {
        if self.is_stuck.get() {
            return;
        }
        let Some(error) = self.flush() else {
            if self.has_lost.get() && self.log.recovered(ev.now()) {
                self.has_lost.set(false);
            }
            return;
        };
        self.is_stuck.set(true);
        // Before anybody is told: a closure may panic.
        let wait = if error.kind() == io::ErrorKind::WouldBlock { SLOW } else { FAILED };
        let this: Weak<Self> = Rc::downgrade(self);
        let timer = ev.after(wait, move |ev| {
            if let Some(this) = this.upgrade() {
                this.is_stuck.set(false);
                this.write(ev);
            }
        });
        timer.set_ref(ev, false);
        self.log.failed(&error, ev.now());
    }

    /// Writes what there is, and says why some of it is left.
    fn flush(&self) -> Option<io::Error> {
        // Taken out: a closure that is given them may come back to here.
        let mut lines = self.lines.take();
        if lines.is_empty() {
            *self.lines.borrow_mut() = lines;
            return None;
        }
        let (bytes, error) = self.log.write(&lines);
        let mut came = self.lines.borrow_mut();
        lines.drain(..bytes.min(lines.len()));
        if lines.is_empty() && lines.capacity() > MANY {
            lines = Vec::new();
        }
        lines.append(&mut came);
        *came = lines;
        error
    }
}

/// The server has stopped: what is left is written now, or lost.
impl Drop for Gathering {
    fn drop(&mut self) {
        let Some(error) = self.flush() else { return };
        for _ in self.lines.get_mut().iter().filter(|byte| **byte == b'\n') {
            self.log.drop_line();
        }
        self.log.tell(&error, Instant::now(), true);
    }
}
