//! Work: what blocks, done on a thread, its result brought back to the loop.

// What is to be called with a result is not `Send`, so it stays here, at the loop's desk, under an id, and
// the id is all that crosses: it comes back in a closure posted by the thread, and finds the entry or,
// if the work was cancelled, nothing. The result itself lies in a box that both halves share, so its
// type is known to both and to nobody between them.
//
// The one watcher a desk has is a fork watcher, started as long as something is outstanding: it keeps the
// loop running, and in a forked child it ends what nobody is working on there.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::mem;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::crew::Member;
use crate::sys::fork;
use crate::{Error, ErrorKind, EvLoop, Fork, Result};

const STARTING: &str = "starting work";
const DOING: &str = "doing work";

/// The key of a job that [`EvLoop::work`] has started (`uv_work_t`).
///
/// As with watchers it is a number: what is done or was cancelled is no longer found by it, nor is it
/// found in another loop.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Work(u64);

impl EvLoop {
    /// Has `job` called on another thread, and `done` with its result on this one, in an iteration to
    /// come (`uv_queue_work`).
    ///
    /// For what blocks: reading files, resolving names, a computation that would hold up everything
    /// else. Jobs are begun in the order they were started and end in any. The threads, named `evloop
    /// work`, are [at most 4](crate::net::set_work_threads) for all loops of the process together; they are
    /// started when there is work for them and joined when the last loop that had any is dropped.
    ///
    /// The loop is kept running until `done` was called; [`Work::set_ref`] changes that.
    ///
    /// ```
    /// use evloop::EvLoop;
    ///
    /// let mut ev = EvLoop::new()?;
    /// ev.work(
    ///     || std::fs::read_to_string("/proc/self/comm"),
    ///     |_, name| {
    ///         let name = name.expect("no panic").expect("a name");
    ///         assert!(!name.is_empty());
    ///     },
    /// )?;
    /// ev.run()?; // ends when the work is done
    /// # Ok::<(), evloop::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`] when [as many jobs wait](crate::net::set_work_queue) as may,
    /// [`ErrorKind::Thread`] when there is no thread and none can be started, [`ErrorKind::Forked`] in a
    /// forked child that has not taken over. Both closures are dropped then. If only further threads
    /// cannot be started, those that are there do the work.
    ///
    /// `done` itself is called with an error if the job came to no result: [`ErrorKind::Panicked`] if it
    /// panicked, with the message as the source; the thread goes on. [`ErrorKind::Forked`] in a
    /// forked child that has taken over: the job is the parent's.
    ///
    /// # Sharp edges
    ///
    /// * **Dropping the loop** drops the `done`s, then those jobs that no thread has begun; the results of
    ///   those that run are dropped when they come. The last loop waits for the running ones: a job
    ///   that never ends keeps it waiting, unless it is told to end by what its `done` holds.
    /// * **A job that waits for another job** may wait for ever: with all threads waiting nobody is left
    ///   to do what they wait for.
    /// * **A loop that is dropped inside a job** does not wait for the threads, of which its own is one.
    /// * **A panic of `done`** reaches whoever runs the loop, like that of a callback; other results are
    ///   delivered by the next run.
    pub fn work<T: Send + 'static>(
        &mut self,
        job: impl FnOnce() -> T + Send + 'static,
        done: impl FnOnce(&mut EvLoop, Result<T>) + 'static,
    ) -> Result<Work> {
        static IDS: AtomicU64 = AtomicU64::new(1);
        self.be_unforked(STARTING)?;
        let desk = self.local::<Desk>();
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let result = Arc::new(Mutex::new(None));
        let remote = self.remote();
        let run = {
            let result = Arc::clone(&result);
            move || {
                // Also what is dropped in here may panic: what the job owned, and a result that nobody
                // waits for.
                let outcome = catch_unwind(AssertUnwindSafe(move || {
                    let value = job();
                    *result.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
                }));
                let outcome = outcome.map_err(|payload| panicked(DOING, payload));
                remote.post(move |ev| settle(ev, id, outcome));
            }
        };
        desk.submit(id, Box::new(run))?;
        let done = move |ev: &mut EvLoop, outcome: Result<()>| {
            // In a forked child the lock may be held for ever: it is taken only for what has come.
            let value = outcome.map(|()| {
                let value = result.lock().unwrap_or_else(PoisonError::into_inner).take();
                value.expect("a job that ended well has left its result")
            });
            done(ev, value);
        };
        desk.put(id, Box::new(done));
        desk.attend(self);
        Ok(Work(id))
    }
}

impl Work {
    /// Sees to it that `done` is not called (`uv_cancel`), and drops it. A job that waits for a thread is
    /// dropped too; one that runs is left to end, and its result is dropped.
    ///
    /// Returns whether it was outstanding: not cancelled, and `done` not called yet.
    pub fn cancel(self, ev: &mut EvLoop) -> bool {
        let desk = ev.local::<Desk>();
        let Some(_entry) = desk.take(self.0) else { return false };
        desk.attend(ev);
        let _unrun = desk.withdraw(self.0);
        true
    }

    /// Whether `done` is still to be called.
    #[must_use]
    pub fn is_active(self, ev: &EvLoop) -> bool {
        let desk = ev.local_if_made::<Desk>();
        desk.is_some_and(|desk| desk.outstanding.borrow().contains_key(&self.0))
    }

    /// Sets whether it keeps the loop running (`uv_unref`), which it does unless told otherwise.
    ///
    /// Of work that does not, the result is delivered if the loop runs when it comes, or the next time it
    /// runs.
    #[expect(clippy::return_self_not_must_use, reason = "chaining is optional")]
    pub fn set_ref(self, ev: &mut EvLoop, keeps_running: bool) -> Self {
        let desk = ev.local::<Desk>();
        desk.set_ref(self.0, keeps_running);
        desk.attend(ev);
        self
    }
}

/// What is outstanding, per loop.
#[derive(Default)]
struct Desk {
    // The order is that of dropping: a running job may wait for the end of what a `done` holds.
    outstanding: RefCell<BTreeMap<u64, Entry>>,
    member: RefCell<Option<Member>>,
    /// How many entries keep the loop running.
    keeping: Cell<usize>,
    watcher: Cell<Option<Fork>>,
}

struct Entry {
    done: Done,
    keeps_running: bool,
    /// The process whose thread has the job.
    generation: u32,
}

type Done = Box<dyn FnOnce(&mut EvLoop, Result<()>)>;

impl Desk {
    fn submit(&self, id: u64, job: super::crew::Job) -> Result<()> {
        let mut member = self.member.borrow_mut();
        if !member.as_ref().is_some_and(Member::is_ours) {
            *member = None;
        }
        member.get_or_insert_with(Member::join).submit(id, job, STARTING)
    }

    fn withdraw(&self, id: u64) -> Option<super::crew::Job> {
        self.member.borrow().as_ref()?.withdraw(id)
    }

    fn put(&self, id: u64, done: Done) {
        let entry = Entry { done, keeps_running: true, generation: fork::generation() };
        self.outstanding.borrow_mut().insert(id, entry);
        self.keeping.set(self.keeping.get() + 1);
    }

    fn take(&self, id: u64) -> Option<Entry> {
        let entry = self.outstanding.borrow_mut().remove(&id)?;
        self.keeping.set(self.keeping.get() - usize::from(entry.keeps_running));
        Some(entry)
    }

    fn set_ref(&self, id: u64, keeps_running: bool) {
        if let Some(entry) = self.outstanding.borrow_mut().get_mut(&id) {
            let before = mem::replace(&mut entry.keeps_running, keeps_running);
            let keeping = self.keeping.get() + usize::from(keeps_running);
            self.keeping.set(keeping - usize::from(before));
        }
    }

    /// Starts and stops the watcher as what is outstanding demands.
    fn attend(&self, ev: &mut EvLoop) {
        let watcher = match self.watcher.get() {
            // Who lists the loop's watchers may free them.
            Some(watcher) if watcher.exists(ev) => watcher,
            _ => ev.on_fork(|ev, _| end_the_parents(ev)),
        };
        self.watcher.set(Some(watcher));
        if self.outstanding.borrow().is_empty() {
            watcher.stop(ev);
        } else {
            let _ = watcher.set_ref(ev, self.keeping.get() > 0).start(ev);
        }
    }
}

/// A job has come to its end.
fn settle(ev: &mut EvLoop, id: u64, outcome: Result<()>) {
    let desk = ev.local::<Desk>();
    if let Some(entry) = desk.take(id) {
        desk.attend(ev);
        (entry.done)(ev, outcome);
    }
}

/// In a forked child: what was outstanding has no thread. What had come back before the fork is
/// delivered first.
fn end_the_parents(ev: &mut EvLoop) {
    let desk = ev.local::<Desk>();
    let generation = fork::generation();
    let is_lost = |(id, entry): (&u64, &Entry)| (entry.generation != generation).then_some(*id);
    let lost: Vec<u64> = desk.outstanding.borrow().iter().filter_map(is_lost).collect();
    for id in lost {
        ev.defer(move |ev| {
            let cause = "the thread that has it is the parent's";
            settle(ev, id, Err(Error::caused(ErrorKind::Forked, DOING, cause.into())));
        });
    }
}

/// What was panicked with, as an error.
#[cold]
pub(super) fn panicked(doing: &'static str, payload: Box<dyn Any + Send>) -> Error {
    let message = match (payload.downcast_ref::<&str>(), payload.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "with something that is no text".to_owned(),
    };
    // Its destructor is anybody's.
    if let Err(another) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        mem::forget(another);
    }
    Error::caused(ErrorKind::Panicked, doing, message.into())
}
