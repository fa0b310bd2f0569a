//! The table of descriptors: which watchers stand behind a number, and what the kernel was told.
//!
//! A number's watchers form a list, in start order, threaded through their slots. Members are all
//! that were ever started on the number and not freed since, stopped ones included: their sources
//! are what system calls borrow the descriptor from, so one is needed as long as the kernel knows
//! the number.
//!
//! Changes are put down (`changed`) and told to the kernel before the next wait, once per number
//! and only if the union differs. Two things are not put off. A watcher's **first** start on a
//! number is told at once, so that a refusal belongs to the line that asked, and because the number
//! may stand for another file than the kernel believes. A **free** takes the number out while its
//! source is still open. And one thing is never told: that nobody is interested any more. The
//! descriptor is most likely about to be started again or freed; if the kernel reports it before
//! that, the report is for nobody and [`EvLoop::mend`] takes it out then.

use std::collections::HashSet;
use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::rc::Rc;

use super::tenants::{IoSlot, Kind};
use super::{Band, EvLoop, Head, Key};
use crate::backend::lengthen;
use crate::event::{Events, Interest};
use crate::{Error, ErrorKind, Result};

pub(crate) struct Fds {
    table: Vec<Entry>,
    /// Numbers whose union may differ from what the kernel was told.
    changed: Vec<u32>,
    /// Numbers whose interest was cut down because a callback runs a nested loop.
    muted: Vec<u32>,
    /// The kernel has reported a registration that no number leads to.
    pub(super) haunted: bool,
    /// A registration was ended or replaced since the last wait, so outstanding reports may be of one
    /// that is no more.
    pub(super) renewed: bool,
    /// How many io watchers there are of each priority.
    per_band: [usize; Band::COUNT],
    /// The priority that all io watchers have, if they do: follows from `per_band`.
    common_band: Option<Band>,
}

#[derive(Clone, Copy)]
pub(crate) struct Entry {
    /// First member, by index; [`IoSlot::NO_NEXT`] for none.
    pub(super) head: u32,
    /// Travels with the registration; another for every registration of the number.
    pub(super) generation: u32,
    /// What the kernel was told; empty: not registered.
    told: Interest,
    is_changed: bool,
    /// An edge may have been thrown away: telling the kernel again brings it back.
    rearm: bool,
}

impl Entry {
    const VACANT: Self = Self {
        head: IoSlot::NO_NEXT,
        generation: 0,
        told: Interest::NONE,
        is_changed: false,
        rearm: false,
    };
}

/// What a caller is told when the system does not want to watch something.
fn refused(doing: &'static str, e: io::Error) -> Error {
    let kind = match e.kind() {
        io::ErrorKind::Unsupported => ErrorKind::Unsupported,
        _ => ErrorKind::Register,
    };
    Error::os(kind, doing, e)
}

impl Fds {
    pub(super) fn new() -> Self {
        Self {
            table: Vec::new(),
            changed: Vec::new(),
            muted: Vec::new(),
            haunted: false,
            renewed: false,
            per_band: [0; Band::COUNT],
            common_band: Some(Band::DEFAULT),
        }
    }

    #[inline]
    pub(super) fn get(&self, fd: u32) -> Option<Entry> {
        self.table.get(fd as usize).copied()
    }

    #[inline]
    pub(super) fn entry(&self, fd: u32) -> Option<&Entry> {
        self.table.get(fd as usize)
    }

    fn entry_mut(&mut self, fd: u32) -> Option<&mut Entry> {
        self.table.get_mut(fd as usize)
    }

    #[inline]
    fn put_down(&mut self, fd: u32) {
        if let Some(entry) = self.table.get_mut(fd as usize) {
            if !entry.is_changed {
                entry.is_changed = true;
                self.changed.push(fd);
            }
        }
    }

    pub(super) fn has_changes(&self) -> bool {
        !self.changed.is_empty() || self.haunted || !self.muted.is_empty()
    }

    /// The priority that all io watchers have, if they do.
    #[inline]
    pub(super) fn common_band(&self) -> Option<Band> {
        self.common_band
    }

    /// An io watcher of this priority has come.
    pub(crate) fn count(&mut self, band: Band) {
        self.per_band[band.index()] += 1;
        self.find_common_band();
    }

    /// An io watcher of this priority has gone.
    pub(crate) fn uncount(&mut self, band: Band) {
        self.per_band[band.index()] -= 1;
        self.find_common_band();
    }

    fn find_common_band(&mut self) {
        let mut bands = Band::ALL_DOWN.into_iter().filter(|band| self.per_band[band.index()] > 0);
        self.common_band = match (bands.next(), bands.next()) {
            (band, None) => Some(band.unwrap_or(Band::DEFAULT)),
            _ => None,
        };
    }
}

impl EvLoop {
    /// What the active members of a number ask for, together. A member whose callback is on the
    /// stack does not ask: the loop that is being run inside it must not report it for ever.
    fn union(&self, fd: u32, with_running: bool) -> Interest {
        let mut union = Interest::NONE;
        let mut next = self.fds.get(fd).map_or(IoSlot::NO_NEXT, |entry| entry.head);
        while let Some(slot) = self.ios.at(next) {
            let asks = with_running
                || !slot.head.pend.is_running()
                || slot.data.interest.contains(Interest::EDGE);
            // The mode alone is no interest; it would register the number for hang-ups.
            if slot.head.is_active() && asks && slot.data.interest.intersects(Interest::MASK) {
                union |= slot.data.interest;
            }
            next = slot.data.next;
        }
        union
    }

    /// Whether a number has started watchers, and all of them ask for nothing.
    fn is_asked_for_nothing(&self, fd: u32) -> bool {
        let mut next = self.fds.get(fd).map_or(IoSlot::NO_NEXT, |entry| entry.head);
        let mut active = false;
        while let Some(slot) = self.ios.at(next) {
            active |= slot.head.is_active();
            next = slot.data.next;
        }
        active && self.union(fd, true).is_empty()
    }

    /// Starts an io watcher.
    pub(crate) fn start_io(&mut self, key: Key) -> Result<()> {
        const DOING: &str = "starting an io watcher";
        let Some(slot) = self.ios.get(key) else { return Err(Error::stale(DOING)) };
        if slot.head.is_active() {
            return Ok(());
        }
        self.be_unforked(DOING)?;
        let Some(slot) = self.ios.get(key) else { return Err(Error::stale(DOING)) };
        let fd = slot.cell.fd().as_raw_fd() as u32;
        let edge = slot.data.interest.contains(Interest::EDGE);
        let known = slot.data.fd == fd
            && self
                .fds
                .table
                .get(fd as usize)
                .is_some_and(|e| e.generation == slot.data.generation);
        if known && !edge {
            // The usual restart: nothing to ask the kernel now, perhaps not even later.
            let alone =
                slot.data.next == IoSlot::NO_NEXT && self.fds.table[fd as usize].head == key.index;
            self.activate(Kind::Io, key);
            if !alone {
                self.check_mode(key, fd, DOING).inspect_err(|_| {
                    self.deactivate(Kind::Io, key);
                })?;
                self.unlink(key);
                self.link(key, fd);
            }
            self.fds.put_down(fd);
            self.blindfold(key);
            return Ok(());
        }
        self.check_mode(key, fd, DOING)?;
        self.register(key, fd).map_err(|e| refused(DOING, e))?;
        self.blindfold(key);
        Ok(())
    }

    /// The watchers of one number are edge-triggered all or none: the kernel has one mode for it.
    fn check_mode(&self, key: Key, fd: u32, doing: &'static str) -> Result<()> {
        let Some(slot) = self.ios.get(key) else { return Err(Error::stale(doing)) };
        let mode = slot.data.interest & Interest::EDGE;
        let mut next = self.fds.get(fd).map_or(IoSlot::NO_NEXT, |entry| entry.head);
        while let Some(other) = self.ios.at(next) {
            let clashes = other.data.interest & Interest::EDGE != mode
                && other.head.is_active()
                && next != key.index;
            if clashes {
                return Err(Error::new(ErrorKind::InvalidInput, doing));
            }
            next = other.data.next;
        }
        Ok(())
    }

    /// A watcher's first start on a number: asks the kernel at once.
    fn register(&mut self, key: Key, fd: u32) -> io::Result<()> {
        let Some(slot) = self.ios.get(key) else { return Ok(()) };
        let (interest, cell) = (slot.data.interest, Rc::clone(&slot.cell));
        let entry = self.fds.get(fd).unwrap_or(Entry::VACANT);
        let mut union = self.union(fd, true);
        if interest.intersects(Interest::MASK) {
            union |= interest;
        }
        let mut generation = entry.generation;
        if union.is_empty() {
            // Nothing to tell, but a number that is not open should not be taken.
            rustix::io::fcntl_getfd(cell.fd())?;
            generation = generation.wrapping_add(1);
            if !entry.told.is_empty() {
                // What another watcher has left there. If it is gone already, all the better.
                let _ = self.modify(cell.fd(), entry.told, union, generation);
            }
        } else if entry.told.is_empty() {
            generation = generation.wrapping_add(1);
            self.modify(cell.fd(), Interest::NONE, union, generation)?;
        } else {
            match self.modify(cell.fd(), entry.told, union, generation) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    // The kernel has forgotten the number: it stands for another file now.
                    generation = generation.wrapping_add(1);
                    self.modify(cell.fd(), Interest::NONE, union, generation)?;
                }
                other => other?,
            }
        }
        // The kernel knows the number, so it is below the process's limit and may size the table.
        if self.fds.table.len() <= fd as usize {
            lengthen(&mut self.fds.table, fd as usize + 1, Entry::VACANT);
        }
        let entry = &mut self.fds.table[fd as usize];
        self.fds.renewed |= entry.generation != generation;
        entry.generation = generation;
        entry.told = union;
        self.unlink(key);
        self.link(key, fd);
        if let Some(slot) = self.ios.get_mut(key) {
            slot.data.generation = generation;
        }
        self.activate(Kind::Io, key);
        self.poller.introduce(key.bits(), fd as RawFd);
        Ok(())
    }

    /// Appends a watcher to a number's list.
    fn link(&mut self, key: Key, fd: u32) {
        let Some(entry) = self.fds.entry_mut(fd) else { return };
        if entry.head == IoSlot::NO_NEXT {
            entry.head = key.index;
        } else {
            let mut last = entry.head;
            while let Some(slot) = self.ios.at_mut(last) {
                if slot.data.next == IoSlot::NO_NEXT {
                    slot.data.next = key.index;
                    break;
                }
                last = slot.data.next;
            }
        }
        if let Some(slot) = self.ios.get_mut(key) {
            slot.data.fd = fd;
            slot.data.next = IoSlot::NO_NEXT;
        }
    }

    /// Takes a watcher out of its number's list, if it is in one.
    fn unlink(&mut self, key: Key) {
        let Some(slot) = self.ios.get(key) else { return };
        let (fd, next) = (slot.data.fd, slot.data.next);
        let Some(entry) = self.fds.entry_mut(fd) else { return };
        if entry.head == key.index {
            entry.head = next;
        } else {
            let mut at = entry.head;
            while let Some(slot) = self.ios.at_mut(at) {
                if slot.data.next == key.index {
                    slot.data.next = next;
                    break;
                }
                at = slot.data.next;
            }
        }
        if let Some(slot) = self.ios.get_mut(key) {
            slot.data.fd = IoSlot::NO_FD;
            slot.data.next = IoSlot::NO_NEXT;
        }
    }

    /// Stops an io watcher. No system call.
    #[inline]
    pub(crate) fn stop_io(&mut self, key: Key) -> bool {
        let Some(slot) = self.ios.get_mut(key) else { return false };
        let (fd, queued) = (slot.data.fd, !slot.head.pend.is_none() || slot.head.has(Head::LATER));
        if slot.head.is_active() {
            slot.head.flags &= !Head::ACTIVE;
            self.refs -= usize::from(!slot.head.has(Head::EXEMPT));
            self.fds.put_down(fd);
        }
        if queued {
            self.unqueue(Kind::Io, key);
        }
        true
    }

    /// Takes an io watcher out of the loop, and its descriptor out of the kernel if nobody else
    /// asks for it. The slot is returned, so that its source is dropped last.
    pub(crate) fn remove_io(&mut self, key: Key) -> Option<IoSlot> {
        if !self.stop_io(key) {
            return None;
        }
        let fd = self.ios.get(key)?.data.fd;
        self.unlink(key);
        let slot = self.ios.remove(key)?;
        if slot.head.has(IoSlot::INTERNAL) {
            self.forget_internal();
        } else {
            self.fds.uncount(slot.head.band);
        }
        if let Some(entry) = self.fds.get(fd) {
            if entry.head == IoSlot::NO_NEXT && !entry.told.is_empty() {
                // Should this fail, the kernel has lost the number already; whatever it reports
                // under this generation from now on is known for a ghost.
                let _ = self.modify(slot.cell.fd(), entry.told, Interest::NONE, entry.generation);
                if let Some(entry) = self.fds.entry_mut(fd) {
                    entry.told = Interest::NONE;
                    entry.generation = entry.generation.wrapping_add(1);
                }
                self.fds.renewed = true;
            } else if entry.head != IoSlot::NO_NEXT {
                self.fds.put_down(fd);
            }
        }
        Some(slot)
    }

    /// Changes what an io watcher asks for, in any state.
    pub(crate) fn set_io_interest(&mut self, key: Key, interest: Interest) -> Result<()> {
        const DOING: &str = "changing the interest of an io watcher";
        let Some(slot) = self.ios.get(key) else { return Err(Error::stale(DOING)) };
        let added = interest - slot.data.interest;
        let told = self.fds.get(slot.data.fd).map_or(Interest::NONE, |entry| entry.told);
        if self.batch.is_open() && told.intersects(added) {
            // Another watcher of the number has asked for that already, and the answer, if it is among
            // the outstanding reports, is older than this one's question.
            self.put_up_reports();
        }
        let Some(slot) = self.ios.get_mut(key) else { return Err(Error::stale(DOING)) };
        let old = std::mem::replace(&mut slot.data.interest, interest);
        let (fd, active, pend, band) =
            (slot.data.fd, slot.head.is_active(), slot.head.pend, slot.head.queued_in);
        if active && (old ^ interest).contains(Interest::EDGE) {
            let checked = self
                .be_unforked(DOING)
                .and_then(|()| self.check_mode(key, fd, DOING))
                .and_then(|()| self.retell(fd).map_err(|e| refused(DOING, e)));
            if checked.is_err() {
                if let Some(slot) = self.ios.get_mut(key) {
                    slot.data.interest = old;
                }
                return checked;
            }
        } else if active {
            self.fds.put_down(fd);
            let is_edge = old != interest && interest.contains(Interest::EDGE);
            if let Some(entry) = self.fds.entry_mut(fd).filter(|_| is_edge) {
                // An edge that is thrown away now, because it is not asked for, would not come again.
                entry.rearm = true;
            }
        }
        // What is no longer asked for is not told, also if it had been queued already.
        let lost = (old - interest).told();
        if lost.is_empty() || pend.is_none() {
            return Ok(());
        }
        if pend.is_running() {
            let waiting = self.waiting.iter().rfind(|w| (w.kind, w.key) == (Kind::Io, key));
            if let Some((band, pend)) = waiting.map(|w| (w.band, w.pend)) {
                if self.board.holds(band, pend, Kind::Io, key.index) {
                    self.board.narrow(band, pend, lost);
                }
            }
        } else if self.board.narrow(band, pend, lost) {
            if let Some(slot) = self.ios.get_mut(key) {
                slot.head.pend = super::Pend::NONE;
            }
        }
        Ok(())
    }

    /// Tells the kernel a number's union at once.
    fn retell(&mut self, fd: u32) -> io::Result<()> {
        let union = self.union(fd, true);
        self.tell(fd, union)
    }

    fn tell(&mut self, fd: u32, union: Interest) -> io::Result<()> {
        let Some(entry) = self.fds.get(fd) else { return Ok(()) };
        let Some(slot) = self.ios.at(entry.head) else { return Ok(()) };
        let cell = Rc::clone(&slot.cell);
        let mut generation = entry.generation;
        if entry.told.is_empty() && !union.is_empty() {
            generation = self.next_generation(fd);
        }
        match self.modify(cell.fd(), entry.told, union, generation) {
            Err(e) if e.kind() == io::ErrorKind::NotFound && !union.is_empty() => {
                generation = self.next_generation(fd);
                self.modify(cell.fd(), Interest::NONE, union, generation)?;
            }
            other => other?,
        }
        if let Some(entry) = self.fds.entry_mut(fd) {
            entry.told = union;
            entry.rearm = false;
        }
        Ok(())
    }

    /// A new registration of a number whose members stay the same.
    fn next_generation(&mut self, fd: u32) -> u32 {
        self.fds.renewed = true;
        let Some(entry) = self.fds.entry_mut(fd) else { return 0 };
        let old = entry.generation;
        entry.generation = old.wrapping_add(1);
        let (generation, mut next) = (entry.generation, entry.head);
        while let Some(slot) = self.ios.at_mut(next) {
            if slot.data.generation == old {
                slot.data.generation = generation;
            }
            next = slot.data.next;
        }
        generation
    }

    /// Tells the kernel what has changed since the last wait.
    #[inline]
    pub(crate) fn tell_changes(&mut self) {
        if self.fds.haunted || !self.fds.changed.is_empty() {
            self.tell_each_change();
        }
    }

    #[inline(never)]
    fn tell_each_change(&mut self) {
        if self.is_forked() {
            // They wait until the loop is this process's.
            return;
        }
        if self.fds.haunted {
            self.exorcise();
        }
        while let Some(fd) = self.fds.changed.pop() {
            let Some(entry) = self.fds.entry_mut(fd) else { continue };
            entry.is_changed = false;
            let (told, rearm) = (entry.told, entry.rearm);
            let union = self.union(fd, false);
            if union != self.union(fd, true) {
                // To be told again when the callback that runs a nested loop has returned.
                self.fds.muted.push(fd);
            }
            // Nobody is started: the lazy stop. Somebody is and asks for nothing: that is told, since
            // the kernel reports hang-ups of what is registered whether asked or not.
            if union == told && !rearm || union.is_empty() && !self.is_asked_for_nothing(fd) {
                continue;
            }
            if self.tell(fd, union).is_err() {
                self.fail_fd(fd);
            }
        }
    }

    /// A number was reported and nobody wants it: takes it out of the kernel's set.
    pub(super) fn mend(&mut self, fd: u32) {
        let union = self.union(fd, false);
        if !union.is_empty() {
            // A narrower interest is on its way to the kernel.
            self.fds.put_down(fd);
            return;
        }
        if !self.union(fd, true).is_empty() {
            self.fds.muted.push(fd);
        }
        let is_orphan = self.fds.get(fd).is_some_and(|entry| entry.head == IoSlot::NO_NEXT);
        if is_orphan || self.tell(fd, Interest::NONE).is_err() {
            // The number does not lead to what the kernel reports.
            if let Some(entry) = self.fds.entry_mut(fd) {
                entry.told = Interest::NONE;
            }
            self.fds.haunted = true;
        }
    }

    /// A nested run is over: the watchers it ran inside of ask again.
    pub(super) fn unmute(&mut self) {
        while let Some(fd) = self.fds.muted.pop() {
            self.fds.put_down(fd);
        }
    }

    /// The kernel cannot watch a number any more: its watchers stop and hear of it.
    pub(super) fn fail_fd(&mut self, fd: u32) {
        let mut failed = Vec::new();
        let mut next = self.fds.get(fd).map_or(IoSlot::NO_NEXT, |entry| entry.head);
        while let Some(slot) = self.ios.at(next) {
            if slot.head.is_active() {
                failed.push(self.ios.key_at(next));
            }
            next = slot.data.next;
        }
        // Failing here as well means that nothing is left to take out.
        let _ = self.tell(fd, Interest::NONE);
        // The next start must ask the kernel anew.
        if let Some(entry) = self.fds.entry_mut(fd) {
            entry.told = Interest::NONE;
            entry.generation = entry.generation.wrapping_add(1);
        }
        self.fds.renewed = true;
        for key in failed {
            self.stop_io(key);
            if let Some(slot) = self.ios.get(key).filter(|slot| slot.head.has(IoSlot::INTERNAL)) {
                // It finds another way.
                Rc::clone(&slot.cell).call(self, key, Events::ERROR);
                self.gathered_outside();
                continue;
            }
            self.enqueue(Kind::Io, key, Events::ERROR | Events::READ | Events::WRITE);
        }
    }

    /// Gets rid of registrations that no number leads to, by making the set anew.
    #[cold]
    fn exorcise(&mut self) {
        // Without a new set the ghost stays and the next report of it brings us here again.
        if self.poller.reset().is_err() {
            return;
        }
        self.tell_all_again();
    }

    /// The backend has forgotten everything: it is told anew before the next wait.
    pub(super) fn tell_all_again(&mut self) {
        self.fds.haunted = false;
        for fd in 0..self.fds.table.len() as u32 {
            let Some(entry) = self.fds.entry_mut(fd) else { continue };
            if entry.told.is_empty() {
                continue;
            }
            entry.told = Interest::NONE;
            self.fds.put_down(fd);
        }
    }

    /// Makes every io watcher of a descriptor pending for what it asks of `events`
    /// (`ev_feed_fd_event`). A number without watchers, or no descriptor at all, has no effect.
    pub fn feed_fd(&mut self, fd: RawFd, events: Events) {
        if self.batch.is_open() {
            self.put_up_reports();
        }
        let mut next = self.fds.get(fd as u32).map_or(IoSlot::NO_NEXT, |entry| entry.head);
        while let Some(slot) = self.ios.at(next) {
            let index = std::mem::replace(&mut next, slot.data.next);
            let got = events & slot.data.interest.told();
            let hears = slot.head.is_active() && !slot.head.has(IoSlot::INTERNAL);
            if hears && !got.is_empty() {
                self.queue(Kind::Io, index, got);
            }
        }
    }

    pub(super) fn verify_fds(&self) {
        let mut linked = 0;
        let members = self.ios.iter().filter(|(_, slot)| slot.data.fd != IoSlot::NO_FD).count();
        let changed: HashSet<u32> = self.fds.changed.iter().copied().collect();
        let muted: HashSet<u32> = self.fds.muted.iter().copied().collect();
        for (fd, entry) in self.fds.table.iter().enumerate() {
            let mut next = entry.head;
            let mut steps = 0;
            while let Some(slot) = self.ios.at(next) {
                assert_eq!(slot.data.fd as usize, fd, "io watcher {next} is in the wrong list");
                steps += 1;
                assert!(steps <= members, "the list of descriptor {fd} is cyclic");
                next = slot.data.next;
            }
            assert_eq!(next, IoSlot::NO_NEXT, "the list of descriptor {fd} names a freed watcher");
            linked += steps;
            assert!(
                !entry.is_changed || changed.contains(&(fd as u32)),
                "descriptor {fd} is marked as changed but not put down"
            );
            let union = self.union(fd as u32, true);
            assert!(
                entry.told.is_empty()
                    || self
                        .ios
                        .at(entry.head)
                        .is_none_or(|s| rustix::io::fcntl_getfd(s.cell.fd()).is_ok()),
                "descriptor {fd} was closed while it was being watched"
            );
            let telling = entry.is_changed
                || muted.contains(&(fd as u32))
                || self.fds.haunted
                || union.is_empty();
            assert!(
                telling || entry.told == union,
                "the kernel was told {:?} about descriptor {fd}, its watchers ask for {union:?}",
                entry.told
            );
        }
        assert_eq!(linked, members, "an io watcher is in no list");
        let mut per_band = [0; Band::COUNT];
        for (key, slot) in self.ios.iter() {
            per_band[slot.head.band.index()] += usize::from(!slot.head.has(IoSlot::INTERNAL));
            assert!(
                !slot.head.is_active() || slot.data.fd != IoSlot::NO_FD,
                "io watcher {} is active on no descriptor",
                key.index
            );
        }
        assert_eq!(per_band, self.fds.per_band, "the count of io watchers by priority is off");
    }
}
