//! The threads behind `work`: one crew per process, for all loops of it.
//!
//! A crew is hired by the first loop that has work and dismissed, and waited for, by the last one to
//! go. It starts a thread when there are more jobs than threads without one, up to the limit, and keeps
//! it until the end.

// # Invariants
//
// Two locks: the office's, which says who the crew is and how many loops it has, and the crew's own.
// Nobody holds both, and no job and nobody's destructor runs under either: they may start work, or drop
// a loop, and with it come back here.
//
// Members are the only ones to submit, and take their jobs with them when they leave. So the queue of a
// crew that is dismissed is empty, and stays so.
//
// No thread ends but by dismissal: jobs do not unwind (`work` sees to it). So `threads` is what runs.
//
// Fork: the child has neither the threads nor, perhaps, the locks (whoever held one was not forked). As
// with the stat hints the office is leaked and tagged with the generation of the process; a member of a
// foreign one touches nothing and leaks its share.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::{io, mem};

use crate::sys::fork;
use crate::sys::leaked::Leaked;
use crate::{Error, ErrorKind, Result};

/// How many threads there are if nobody says otherwise.
const THREADS: usize = 4;

/// How many jobs may wait if nobody says otherwise.
const QUEUE: usize = 4096;

/// More threads than this are a mistake.
const MOST_THREADS: usize = 1024;

static THREAD_LIMIT: AtomicUsize = AtomicUsize::new(THREADS);
static QUEUE_LIMIT: AtomicUsize = AtomicUsize::new(QUEUE);

/// Sets how many threads [`work`](crate::EvLoop::work) may have, for all loops of the process together
/// (`UV_THREADPOOL_SIZE`): 4 if this is never called, at least 1 and at most 1024.
///
/// Threads are started when there is work for them, so a high limit costs nothing by itself. Those that
/// are running already stay when it is lowered.
pub fn set_work_threads(threads: usize) {
    THREAD_LIMIT.store(threads.clamp(1, MOST_THREADS), Ordering::Relaxed);
}

/// Sets how many jobs of [`work`](crate::EvLoop::work) may wait for a thread, for all loops of the
/// process together: 4096 if this is never called, at least 1.
///
/// Those that run do not count. What waits already stays when the limit is lowered.
pub fn set_work_queue(jobs: usize) {
    QUEUE_LIMIT.store(jobs.max(1), Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics with one of these locks held, save for want of memory.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a thread calls. It does not unwind.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The office of the process, or of the one it was forked from.
static OFFICE: Leaked<Office> = Leaked::new();

struct Office {
    generation: u32,
    hired: Mutex<Option<Hired>>,
}

struct Hired {
    crew: Arc<Crew>,
    /// Never 0.
    members: usize,
}

fn office() -> &'static Office {
    let generation = fork::generation();
    let found = OFFICE.get();
    match found {
        Some(office) if office.generation == generation => office,
        // Of two threads that come here one makes it.
        _ => OFFICE.replace(found, Office { generation, hired: Mutex::new(None) }),
    }
}

struct Crew {
    state: Mutex<State>,
    called: Condvar,
}

struct State {
    /// By id, and so in the order of arrival.
    queue: BTreeMap<u64, Waiting>,
    threads: Vec<JoinHandle<()>>,
    /// Threads that wait to be called.
    idle: usize,
    dismissed: bool,
}

struct Waiting {
    member: u64,
    job: Job,
}

thread_local! {
    /// Whether this is a thread of a crew. Has no destructor, so it can be asked until the very end.
    static SERVES: Cell<bool> = const { Cell::new(false) };
}

impl Crew {
    fn new() -> Self {
        let (queue, threads) = (BTreeMap::new(), Vec::new());
        let state = State { queue, threads, idle: 0, dismissed: false };
        Self { state: Mutex::new(state), called: Condvar::new() }
    }

    /// Starts a thread if there are more jobs than idle ones. Fails if it cannot and there is none.
    fn man(self: &Arc<Self>, state: &mut State) -> io::Result<()> {
        let count = state.threads.len();
        if state.queue.len() <= state.idle || count >= THREAD_LIMIT.load(Ordering::Relaxed) {
            return Ok(());
        }
        let crew = Arc::clone(self);
        // At most 15 bytes of it are shown.
        let thread = thread::Builder::new().name(format!("evloop work {}", count + 1));
        match thread.spawn(move || crew.serve()) {
            Ok(thread) => state.threads.push(thread),
            Err(error) if count == 0 => return Err(error),
            // Those there are will come to it.
            Err(_) => {}
        }
        Ok(())
    }

    fn serve(&self) {
        SERVES.set(true);
        let mut state = lock(&self.state);
        loop {
            if let Some((_, Waiting { job, .. })) = state.queue.pop_first() {
                drop(state);
                job();
                state = lock(&self.state);
            } else if state.dismissed {
                return;
            } else {
                state.idle += 1;
                state = self.called.wait(state).unwrap_or_else(PoisonError::into_inner);
                state.idle -= 1;
            }
        }
    }

    /// Nobody needs it any more: ends its threads and waits for that.
    fn dismiss(&self) {
        let threads = {
            let mut state = lock(&self.state);
            state.dismissed = true;
            mem::take(&mut state.threads)
        };
        self.called.notify_all();
        // The last loop was a job's own: a thread cannot wait for itself.
        if !SERVES.get() {
            for thread in threads {
                // Without a result that could tell anything.
                let _ = thread.join();
            }
        }
    }
}

/// A loop's share of the crew.
pub(super) struct Member {
    office: &'static Office,
    id: u64,
    /// None once it is dropped.
    crew: Option<Arc<Crew>>,
}

impl Member {
    pub(super) fn join() -> Self {
        static MEMBERS: AtomicU64 = AtomicU64::new(0);
        let office = office();
        let mut hired = lock(&office.hired);
        let hired = hired.get_or_insert_with(|| Hired { crew: Arc::new(Crew::new()), members: 0 });
        hired.members += 1;
        let crew = Some(Arc::clone(&hired.crew));
        Self { office, id: MEMBERS.fetch_add(1, Ordering::Relaxed), crew }
    }

    /// Whether the crew is this process's, and not that of one it was forked from.
    pub(super) fn is_ours(&self) -> bool {
        self.office.generation == fork::generation()
    }

    fn crew(&self) -> Option<&Arc<Crew>> {
        self.crew.as_ref().filter(|_| self.is_ours())
    }

    /// Has a thread call `job`, after what waits already. Ids grow.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Full`]; [`ErrorKind::Thread`] where there is no thread and none can be started.
    pub(super) fn submit(&self, id: u64, job: Job, doing: &'static str) -> Result<()> {
        let Some(crew) = self.crew() else { return Err(Error::new(ErrorKind::Forked, doing)) };
        let mut state = lock(&crew.state);
        if state.queue.len() >= QUEUE_LIMIT.load(Ordering::Relaxed) {
            drop(state);
            drop(job);
            return Err(Error::new(ErrorKind::Full, doing));
        }
        state.queue.insert(id, Waiting { member: self.id, job });
        if let Err(error) = crew.man(&mut state) {
            let unrun = state.queue.remove(&id);
            drop(state);
            drop(unrun);
            return Err(Error::os(ErrorKind::Thread, doing, error));
        }
        let is_awaited = state.idle > 0;
        drop(state);
        if is_awaited {
            crew.called.notify_one();
        }
        Ok(())
    }

    /// Takes a job back that no thread has begun.
    pub(super) fn withdraw(&self, id: u64) -> Option<Job> {
        let waiting = lock(&self.crew()?.state).queue.remove(&id)?;
        Some(waiting.job)
    }

    fn withdraw_all(&self) -> Vec<Job> {
        let Some(crew) = self.crew() else { return Vec::new() };
        let mut state = lock(&crew.state);
        let (own, others) =
            mem::take(&mut state.queue).into_iter().partition(|(_, job)| job.member == self.id);
        state.queue = others;
        let own: BTreeMap<u64, Waiting> = own;
        own.into_values().map(|waiting| waiting.job).collect()
    }
}

/// The loop is gone. If it was the last, this waits for what the threads are doing.
impl Drop for Member {
    fn drop(&mut self) {
        if !self.is_ours() {
            mem::forget(self.crew.take());
            return;
        }
        // A running job may wait for what one that is dropped here holds: first those. They are
        // anybody's, and may panic: the share is given back all the same.
        let unrun = self.withdraw_all();
        let _leaving = Leaving(self);
        drop(unrun);
    }
}

struct Leaving<'a>(&'a mut Member);

impl Drop for Leaving<'_> {
    fn drop(&mut self) {
        let Some(crew) = self.0.crew.take() else { return };
        {
            let mut office = lock(&self.0.office.hired);
            let Some(hired) = &mut *office else { return };
            hired.members -= 1;
            if hired.members > 0 {
                return;
            }
            // Whoever has work from here on hires anew.
            *office = None;
        }
        crew.dismiss();
    }
}
