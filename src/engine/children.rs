//! Children: who has ended, stopped or gone on, and whom to tell.
//!
//! Two things say that it is worth asking: a **process descriptor** (pidfd), one internal io watcher per
//! child, which becomes readable when that child has ended; and **`SIGCHLD`**, for what no descriptor
//! tells (stops, continuations, children nobody named) and for kernels without one.
//!
//! Asking means `waitid` for one process, and for all only if somebody reaps any. A status that was
//! waited for is gone from the kernel, so it is given to everybody in this loop whom it concerns, and
//! kept in their slots until they are called: one call per change, also when many come at once. What is
//! not delivered because the watcher was stopped is delivered after its next start.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::rc::Rc;

use super::dispatch::Called;
use super::tenants::{ChildSlot, IoCallback, Kind};
use super::{Callback, EvLoop, Head, Key, Roster, Slots};
use crate::event::Events;
use crate::sys::process::{self, Changes, Who};
use crate::{Error, ErrorKind, Result};

pub(crate) struct Children {
    pub(crate) slots: Slots<ChildSlot>,
    /// The started watchers of each process; 0 for those of any.
    of: BTreeMap<u32, Vec<Key>>,
    /// Those that are asked about when `SIGCHLD` comes.
    by_signal: Roster,
    /// Whether process descriptors are to be had. Cleared for good when the kernel has none.
    pub(super) descriptors: bool,
}

/// What a child watcher's closure is called with, beside the loop.
pub(crate) struct Change {
    pub(crate) pid: u32,
    /// `None`: somebody else has waited for it, or nothing is known.
    pub(crate) status: Option<ExitStatus>,
}

/// The cell of a child watcher.
pub(crate) trait ChildCallback {
    fn call(self: Rc<Self>, ev: &mut EvLoop, key: Key, change: Change, events: Events);

    /// Waits for the process through the handle that the watcher owns, so that the handle knows;
    /// `None` if that is not at hand.
    fn wait(&self) -> Option<io::Result<Option<ExitStatus>>>;

    /// What the watcher keeps of its process, for who knows its type.
    fn handle(&self) -> Rc<dyn Any>;
}

impl Children {
    pub(super) fn new(first_generation: u32) -> Self {
        Self {
            slots: Slots::new(first_generation),
            of: BTreeMap::new(),
            by_signal: Roster::default(),
            descriptors: true,
        }
    }

    /// The started watchers of one process.
    fn of(&self, pid: u32) -> impl Iterator<Item = (Key, &ChildSlot)> {
        let keys = self.of.get(&pid).map_or(&[][..], Vec::as_slice);
        keys.iter().filter_map(|key| Some((*key, self.slots.get(*key)?)))
    }

    /// Which changes somebody wants to hear of.
    fn wanted(&self, pid: u32) -> Changes {
        let traced = |(_, slot): (Key, &ChildSlot)| slot.head.has(ChildSlot::TRACE);
        if self.of(pid).any(traced) || pid != 0 && self.of(0).any(traced) {
            Changes::All
        } else {
            Changes::End
        }
    }

    pub(super) fn verify(&self) {
        let active = self.slots.iter().filter(|(_, slot)| slot.head.is_active()).count();
        let listed: usize = self.of.values().map(Vec::len).sum();
        assert_eq!(active, listed, "the lists of started child watchers are off");
        for (key, slot) in self.slots.iter() {
            assert!(
                !slot.listens || self.by_signal.at(slot.place as usize) == Some(key.index),
                "child watcher {} does not know its place in the list",
                key.index
            );
            assert!(
                slot.head.is_active() || slot.io.is_none() && !slot.listens,
                "child watcher {} is stopped and still listens",
                key.index
            );
        }
    }
}

impl EvLoop {
    /// Starts a child watcher.
    pub(crate) fn start_child(&mut self, key: Key) -> Result<()> {
        const DOING: &str = "starting a child watcher";
        let Some(slot) = self.children.slots.get(key) else { return Err(Error::stale(DOING)) };
        if slot.head.is_active() {
            return Ok(());
        }
        let (pid, traced, ended) = (slot.pid, slot.head.has(ChildSlot::TRACE), slot.has_end());
        let is_any = slot.head.has(ChildSlot::ANY);
        if !is_any && (pid == 0 || i32::try_from(pid).is_err()) {
            return Err(Error::new(ErrorKind::InvalidInput, DOING));
        }
        self.be_unforked(DOING)?;
        let ended = ended || !is_any && self.take_known_end(key, pid);
        if !ended {
            let has_descriptor = !is_any && self.open_process(key, pid, DOING)?;
            if traced || !has_descriptor {
                if let Err(e) = self.start_listening(key) {
                    self.close_process(key);
                    return Err(Error::os(ErrorKind::Register, DOING, e));
                }
            }
        }
        self.children.of.entry(pid).or_default().push(key);
        self.activate(Kind::Child, key);
        // It may have ended before, and then nothing will say so again: unless its handle has just said that
        // it has not, and a descriptor will tell.
        let told = |slot: &ChildSlot| slot.head.has(ChildSlot::OWNER) && slot.io.is_some();
        if is_any {
            self.ask_about_any();
        } else if !ended && (traced || !self.children.slots.get(key).is_some_and(told)) {
            self.ask_about(pid);
        }
        if self.children.slots.get(key).is_some_and(|slot| !slot.changes.is_empty()) {
            self.gather_child(key);
        }
        self.gathered_outside();
        Ok(())
    }

    /// Whether somebody knows the end of a process already, who then is not asked for it again: the number
    /// may be another process's by now.
    fn take_known_end(&mut self, key: Key, pid: u32) -> bool {
        let siblings = self.children.of(pid).flat_map(|(_, slot)| slot.changes.iter());
        let mut known =
            siblings.map(|change| change.status).find(|status| status.is_none_or(is_end));
        let handle = self.children.slots.get(key).map(|slot| Rc::clone(&slot.cell));
        if let Some(None) = known {
            known = Some(handle.and_then(|handle| remembered(&*handle, pid)));
        } else if let (None, Some(handle)) = (known, handle) {
            let of = &self.children.of;
            let others = of.contains_key(&pid) || of.contains_key(&0);
            let is_there = || others && has_ended(pid);
            let was_there = is_there();
            let status = handle.wait().and_then(Result::ok).flatten();
            if status.is_some() && was_there && !is_there() {
                // The handle did not remember it, but has taken it from the kernel just now.
                self.tell_change(pid, status);
            }
            known = status.map(Some);
        }
        let Some(status) = known else { return false };
        if let Some(slot) = self.children.slots.get_mut(key) {
            slot.changes.push_back(Change { pid, status });
        }
        true
    }

    /// Opens a process descriptor and watches it; `false` if the kernel has none, or has no such
    /// process, which [`ask_about`](Self::ask_about) will find out.
    fn open_process(&mut self, key: Key, pid: u32, doing: &'static str) -> Result<bool> {
        if !self.children.descriptors {
            return Ok(false);
        }
        let fd = match process::open(pid) {
            Ok(fd) => fd,
            Err(e) => {
                return match e.raw_os_error() {
                    Some(libc::ENOSYS | libc::EPERM) => {
                        self.children.descriptors = false;
                        Ok(false)
                    }
                    // No such process, or a thread.
                    Some(libc::ESRCH | libc::EINVAL | libc::ENOENT) => Ok(true),
                    _ => Err(Error::os(ErrorKind::Register, doing, e)),
                };
            }
        };
        let io = self.insert_internal(Rc::new(Process { fd, pid }));
        if let Err(e) = self.start_io(io) {
            self.remove_io(io);
            return Err(e);
        }
        if let Some(slot) = self.children.slots.get_mut(key) {
            slot.io = Some(io);
        }
        Ok(true)
    }

    fn close_process(&mut self, key: Key) {
        let io = self.children.slots.get_mut(key).and_then(|slot| slot.io.take());
        if let Some(io) = io {
            self.remove_io(io);
        }
    }

    /// `SIGCHLD` is asked for by this watcher.
    fn start_listening(&mut self, key: Key) -> io::Result<()> {
        if self.children.slots.get(key).is_some_and(|slot| slot.listens) {
            return Ok(());
        }
        self.listen_for_children()?;
        let Children { slots, by_signal, .. } = &mut self.children;
        if let Some(slot) = slots.get_mut(key) {
            slot.place = by_signal.push(key.index);
            slot.listens = true;
        }
        Ok(())
    }

    fn stop_listening(&mut self, key: Key) {
        let Children { slots, by_signal, .. } = &mut self.children;
        let Some(slot) = slots.get_mut(key).filter(|slot| slot.listens) else { return };
        slot.listens = false;
        let place = slot.place;
        by_signal.remove(place, |index, place| {
            if let Some(slot) = slots.at_mut(index) {
                slot.place = place;
            }
        });
        self.unlisten_for_children();
    }

    /// Whether it is told of stops and continuations.
    pub(crate) fn trace_child(&mut self, key: Key, trace: bool) -> Result<()> {
        const DOING: &str = "tracing a child";
        let Some(slot) = self.children.slots.get_mut(key) else { return Err(Error::stale(DOING)) };
        let (was, is_any) = (slot.head.has(ChildSlot::TRACE), slot.head.has(ChildSlot::ANY));
        let (pid, has_descriptor) = (slot.pid, slot.io.is_some());
        slot.head.put(ChildSlot::TRACE, trace);
        if !slot.head.is_active() || was == trace {
            return Ok(());
        }
        if trace {
            self.be_unforked(DOING)
                .and_then(|()| {
                    let listening = self.start_listening(key);
                    listening.map_err(|e| Error::os(ErrorKind::Register, DOING, e))
                })
                .inspect_err(|_| {
                    if let Some(slot) = self.children.slots.get_mut(key) {
                        slot.head.put(ChildSlot::TRACE, false);
                    }
                })?;
            // It may be stopped already.
            if is_any {
                self.ask_about_any();
            } else {
                self.ask_about(pid);
            }
            self.gathered_outside();
        } else if has_descriptor && !is_any {
            self.stop_listening(key);
        }
        Ok(())
    }

    /// It is no longer started: nothing asks on its behalf any more.
    fn retire_child(&mut self, key: Key) {
        if !self.deactivate(Kind::Child, key) {
            return;
        }
        self.close_process(key);
        self.stop_listening(key);
        let pid = self.children.slots.get(key).map_or(0, |slot| slot.pid);
        if let Some(keys) = self.children.of.get_mut(&pid) {
            keys.retain(|other| *other != key);
            if keys.is_empty() {
                self.children.of.remove(&pid);
            }
        }
    }

    /// Stops a child watcher; returns whether it exists.
    pub(crate) fn stop_child(&mut self, key: Key) -> bool {
        self.unqueue(Kind::Child, key);
        self.retire_child(key);
        let Some(slot) = self.children.slots.get_mut(key) else { return false };
        if std::mem::replace(&mut slot.is_gathered, false) {
            self.forget_gathered(Kind::Child, key);
        }
        true
    }

    /// Changes that wait to be delivered are not wanted. A process's end is kept for the next start, since
    /// nobody else can tell it any more. Returns whether there was something.
    pub(super) fn forget_changes(&mut self, key: Key) -> bool {
        let Some(slot) = self.children.slots.get_mut(key) else { return false };
        let (is_any, ended, waited) =
            (slot.head.has(ChildSlot::ANY), slot.has_end(), slot.is_gathered);
        slot.changes.retain(|change| !is_any && change.status.is_none_or(is_end));
        slot.is_gathered = false;
        self.forget_gathered(Kind::Child, key);
        if ended {
            self.retire_child(key);
        }
        waited
    }

    /// `SIGCHLD` has come: asks about everybody who relies on it.
    pub(super) fn gather_children(&mut self) {
        if self.children.of.contains_key(&0) {
            self.ask_about_any();
        }
        for place in 0..self.children.by_signal.end() {
            let Some(index) = self.children.by_signal.at(place) else { continue };
            let Some(slot) = self.children.slots.at(index) else { continue };
            if !slot.head.has(ChildSlot::ANY) {
                let pid = slot.pid;
                self.ask_about(pid);
            }
        }
    }

    /// Asks what has happened to one process, and tells its watchers and those of any.
    fn ask_about(&mut self, pid: u32) {
        // Once its end is known the number may be another process's.
        if !self.children.of(pid).any(|(_, slot)| !slot.has_end()) {
            return;
        }
        let changes = self.children.wanted(pid);
        loop {
            match self.wait_for(pid, changes) {
                Ok(None) => return,
                Ok(Some(status)) => {
                    self.tell_change(pid, Some(status));
                    if is_end(status) {
                        return;
                    }
                }
                Err(e) => {
                    // Somebody else has waited for it, or it never was ours.
                    if e.raw_os_error() == Some(libc::ECHILD) {
                        self.tell_change(pid, None);
                    }
                    return;
                }
            }
        }
    }

    /// A process has ended and cannot be waited for yet: a debugger holds it. Its descriptor stays readable
    /// and would spin the loop; when it is let go, `SIGCHLD` comes.
    fn rely_on_signals(&mut self, pid: u32) {
        let waiting = |(key, slot): (Key, &ChildSlot)| (!slot.has_end()).then_some(key);
        let held: Vec<Key> = self.children.of(pid).filter_map(waiting).collect();
        if held.is_empty() {
            return;
        }
        for key in held {
            // Where that is refused, spinning is better than losing it, if the descriptor still works.
            if self.start_listening(key).is_ok() {
                self.close_process(key);
            }
        }
        // It may have been let go just before.
        self.ask_about(pid);
    }

    /// Asks what has happened to any process.
    fn ask_about_any(&mut self) {
        let changes = self.children.wanted(0);
        // What cannot be taken is found again and again.
        let mut last = None;
        while let Ok(Some(found)) = process::wait(Who::Any, changes, process::Take::Look) {
            if last.replace((found.pid, found.status)) == Some((found.pid, found.status)) {
                return;
            }
            // What is asked about one may be more than what was looked for, and never less.
            // Unless somebody else was faster.
            if let Ok(Some(status)) = self.wait_for(found.pid, changes) {
                self.tell_change(found.pid, Some(status));
            }
        }
    }

    /// Waits for one process without waiting: takes one change from the kernel, or from a handle that was
    /// waited for and remembers.
    fn wait_for(&self, pid: u32, changes: Changes) -> io::Result<Option<ExitStatus>> {
        self.take_change(pid, changes).or_else(|e| {
            let owner = self.children.of(pid).find(|(_, slot)| slot.head.has(ChildSlot::OWNER));
            match owner.and_then(|(_, slot)| remembered(&*slot.cell, pid)) {
                Some(status) => Ok(Some(status)),
                None => Err(e),
            }
        })
    }

    fn take_change(&self, pid: u32, changes: Changes) -> io::Result<Option<ExitStatus>> {
        // Those that know the end of their process say nothing about one that has its number now.
        let open = || self.children.of(pid).filter(|(_, slot)| !slot.has_end());
        let io = open().find_map(|(_, slot)| slot.io);
        let cell = io.and_then(|io| self.ios.get(io)).map(|slot| Rc::clone(&slot.cell));
        // By descriptor where there is one: a number may belong to another process by now.
        let who = match &cell {
            Some(cell) => Who::Descriptor(cell.fd(), pid),
            None => Who::Pid(pid),
        };
        let owner = open().find(|(_, slot)| slot.head.has(ChildSlot::OWNER));
        let Some((_, owner)) = owner else {
            return Ok(process::wait(who, changes, process::Take::Take)?.map(|found| found.status));
        };
        if changes == Changes::All {
            // Of a process that has ended this says that there is no such child.
            let found = process::wait(who.clone(), Changes::AllButEnd, process::Take::Take);
            if let Ok(Some(found)) = found {
                return Ok(Some(found.status));
            }
        }
        // The handle must learn of the end, or it would go on to signal a number that is not its
        // process's any more. It is asked only when there is an end: the number may be another's.
        if process::wait(who.clone(), Changes::End, process::Take::Look)?.is_none() {
            return Ok(None);
        }
        match owner.cell.wait() {
            Some(waited) => waited,
            // The handle is in the hands of its own callback, which runs a nested loop.
            None => Ok(process::wait(who, Changes::End, process::Take::Take)?.map(|f| f.status)),
        }
    }

    /// Puts a change down for everybody whom it concerns.
    fn tell_change(&mut self, pid: u32, status: Option<ExitStatus>) {
        let ends = status.is_none_or(is_end);
        let mut hearers: Vec<Key> = Vec::new();
        // Those of any process know nothing of one that was somebody else's.
        for of in [Some(pid), status.map(|_| 0)].into_iter().flatten() {
            let concerned = self.children.of(of);
            let concerned = concerned
                .filter(|(_, slot)| (ends || slot.head.has(ChildSlot::TRACE)) && !slot.has_end());
            hearers.extend(concerned.map(|(key, _)| key));
        }
        for key in hearers {
            if let Some(slot) = self.children.slots.get_mut(key) {
                slot.changes.push_back(Change { pid, status });
            }
            self.gather_child(key);
        }
    }

    fn gather_child(&mut self, key: Key) {
        let Some(slot) = self.children.slots.get_mut(key) else { return };
        if !std::mem::replace(&mut slot.is_gathered, true) {
            self.gather(Kind::Child, key, Events::CHILD);
        }
    }

    /// Step 14: those of one process are stopped before they hear of its end.
    pub(super) fn queue_children(&mut self) {
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.retain(|&(kind, key, _)| {
            let Some(slot) = self.children.slots.get_mut(key).filter(|_| kind == Kind::Child)
            else {
                return kind != Kind::Child;
            };
            slot.is_gathered = false;
            // Stopped since it was gathered: its next start gathers it again.
            let active = slot.head.is_active() && !slot.changes.is_empty();
            if active && slot.has_end() {
                self.retire_child(key);
            }
            active
        });
        self.gathered = gathered;
        self.queue_gathered(Kind::Child);
    }

    /// Calls a child watcher with the first of its changes.
    pub(super) fn call_child(&mut self, key: Key, events: Events) {
        let Some(slot) = self.children.slots.get_mut(key) else { return };
        let mut events = events;
        let mut change = Change { pid: slot.pid, status: None };
        if events.contains(Events::CHILD) {
            if let Some(next) = slot.changes.pop_front() {
                if next.status.is_none() {
                    events |= Events::ERROR;
                }
                change = next;
            }
        }
        let more = !slot.changes.is_empty();
        let cell = Rc::clone(&slot.cell);
        if more {
            // It is running: the event waits for its return.
            self.enqueue(Kind::Child, key, Events::CHILD);
        }
        let called = Called { ev: self, kind: Kind::Child, key };
        cell.call(called.ev, key, change, events);
    }

    /// Sends a signal to a watcher's process.
    pub(crate) fn signal_child(&mut self, key: Key, signum: i32) -> Result<()> {
        const DOING: &str = "sending a signal to a child";
        let Some(slot) = self.children.slots.get(key) else { return Err(Error::stale(DOING)) };
        if slot.head.has(ChildSlot::ANY) || !(0..=64).contains(&signum) {
            return Err(Error::new(ErrorKind::InvalidInput, DOING));
        }
        let gone = || io::Error::from_raw_os_error(libc::ESRCH);
        let sent = match slot.io.and_then(|io| self.ios.get(io)) {
            Some(io) => process::send(io.cell.fd(), signum),
            None if slot.has_end() => Err(gone()),
            // Not started, or no descriptors: the number is good as long as the process is an
            // unreaped child of ours.
            None => match process::wait(Who::Pid(slot.pid), Changes::End, process::Take::Look) {
                Ok(_) => process::kill(slot.pid, signum),
                Err(_) => Err(gone()),
            },
        };
        sent.map_err(|e| Error::os(ErrorKind::Kill, DOING, e))
    }
}

/// Whether there is a child of this number that has ended and was not waited for.
fn has_ended(pid: u32) -> bool {
    matches!(process::wait(Who::Pid(pid), Changes::End, process::Take::Look), Ok(Some(_)))
}

/// What a handle knows that was waited for. One that was not would wait for whoever has the number now, so
/// it is asked only if that is no child of ours.
fn remembered(handle: &dyn ChildCallback, pid: u32) -> Option<ExitStatus> {
    match process::wait(Who::Pid(pid), Changes::End, process::Take::Look) {
        Ok(_) => None,
        Err(_) => handle.wait()?.ok()?,
    }
}

/// Whether a status is a process's last.
fn is_end(status: ExitStatus) -> bool {
    status.stopped_signal().is_none() && !status.continued()
}

impl ChildSlot {
    /// Whether a change that waits to be delivered is the last one of its process.
    fn has_end(&self) -> bool {
        let ends = |change: &Change| change.status.is_none_or(is_end);
        !self.head.has(Self::ANY) && self.changes.iter().any(ends)
    }

    pub(crate) fn new(cell: Rc<dyn ChildCallback>, pid: u32, flags: u8) -> Self {
        let head = Head { flags, ..Head::new() };
        Self {
            cell,
            head,
            pid,
            io: None,
            listens: false,
            is_gathered: false,
            place: 0,
            changes: VecDeque::new(),
        }
    }
}

/// The cell of the internal watcher: a process descriptor.
struct Process {
    fd: OwnedFd,
    pid: u32,
}

impl Callback for Process {
    fn call(self: Rc<Self>, ev: &mut EvLoop, _: Key, _: Events) {
        ev.ask_about(self.pid);
        // Nothing, if it has ended. If the descriptor has failed, that is the other way.
        ev.rely_on_signals(self.pid);
    }
}

impl IoCallback for Process {
    fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    fn source(&self) -> Option<Rc<dyn Any>> {
        None
    }
}
