//! Loop threads: a loop on a thread of its own, started and joined from here.

// What ends the thread is that `run` returns, and what makes it return is a break. A stop is one that
// nobody takes back: it is repeated at the end of each batch until it has worked.
//
// The set-up is over when the loop's first iteration begins, not when its closure returns: so what it
// reported with `fail` is an error of the set-up too. The thread's own return value is the only way of
// errors; the channel says merely how far it has come, by its messages and by its end.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::{fmt, mem};

use super::work::panicked;
use crate::sys::fork;
use crate::{Break, Error, ErrorKind, EvLoop, Remote, Result};

const STARTING: &str = "starting a loop thread";
const RUNNING: &str = "running a loop thread";
const JOINING: &str = "joining a loop thread";

static IDS: AtomicU64 = AtomicU64::new(1);

thread_local! {
    /// Which loop thread this is; 0: none. Has no destructor, so it can be asked until the very end.
    static SELF: Cell<u64> = const { Cell::new(0) };
}

/// A thread with a loop of its own, joined when this is dropped.
///
/// For servers with a loop per core, and for whatever should not wait for the rest of the program. The
/// thread runs its loop until it is told to stop, also while nothing is active in it. All that goes
/// there is what is [posted](Self::post): the loop and its watchers never leave their thread.
///
/// A descriptor handed to another loop:
///
/// ```
/// use std::io::Write;
/// use std::net::{TcpListener, TcpStream};
/// use evloop::Interest;
/// use evloop::net::LoopThread;
///
/// let worker = LoopThread::spawn("worker", |_| Ok(()))?;
///
/// let listener = TcpListener::bind("127.0.0.1:0")?;
/// let mut peer = TcpStream::connect(listener.local_addr()?)?;
/// let (accepted, _) = listener.accept()?;
///
/// let (tell, told) = std::sync::mpsc::channel();
/// worker.post(move |ev| {
///     // From here on the connection is that loop's.
///     let readable = ev.io(accepted, Interest::READ, move |ev, e| {
///         e.watcher.free(ev);
///         tell.send(std::thread::current().name().map(String::from)).ok();
///     });
///     if let Err(error) = readable.start_or_free(ev) {
///         ev.fail(error);
///     }
/// });
/// peer.write_all(b"hello")?;
/// assert_eq!(told.recv()?.as_deref(), Some("worker"));
///
/// worker.stop();
/// worker.join()?; // says how it ended; merely dropping it stops and joins it too
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Sharp edges
///
/// * **Dropping it waits** until the loop comes to the end of its batch, and for everything that is
///   dropped with the loop: a callback that blocks is waited for. Two threads that drop each other's handles wait
///   for ever.
/// * **Dropped on its own thread**, by a callback or with its own loop, it only stops: a thread cannot
///   wait for itself.
/// * **An error is lost when nobody asks.** A callback that fails or panics ends the thread;
///   [`post`](Self::post) returns `false` from then on, and [`join`](Self::join) says why.
/// * **[`break_loop`](EvLoop::break_loop) in its callbacks** ends the thread as it ends any run.
/// * **Only the first 15 bytes of its name** are shown by Linux (`comm`, `ps -L`, `top -H`).
/// * **In a forked child** the thread does not exist: there the handle does nothing.
#[must_use = "dropping it stops the thread and waits for its end"]
pub struct LoopThread {
    name: String,
    id: u64,
    remote: Remote,
    /// None once it was joined.
    thread: Option<JoinHandle<Result<()>>>,
    /// The process it runs in.
    generation: u32,
}

impl LoopThread {
    /// Starts a thread of that name that makes a loop, has `set_up` called with it, and runs it.
    ///
    /// Returns when the set-up is done. What it started is active then, and if it failed, nothing of it is
    /// left.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if there is a NUL byte in the name, [`ErrorKind::Thread`] if the thread cannot
    /// be started, [`ErrorKind::Create`] if the loop cannot be made; the error that `set_up` returns;
    /// [`ErrorKind::Callback`] after [`fail`](EvLoop::fail) in it, for errors that are not this crate's;
    /// [`ErrorKind::Panicked`] if it panics, with the message as the source.
    ///
    /// # Sharp edges
    ///
    /// It waits for `set_up`: what that waits for must not be the caller's to do.
    pub fn spawn(
        name: impl Into<String>,
        set_up: impl FnOnce(&mut EvLoop) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        Self::spawn_with(name, EvLoop::new, set_up)
    }

    /// [`spawn`](Self::spawn) with a loop of your making: `make` is called on the new thread.
    ///
    /// ```
    /// use evloop::{Backend, EvLoop};
    /// use evloop::net::LoopThread;
    ///
    /// let make = || EvLoop::builder().backend(Backend::Poll).build();
    /// let worker = LoopThread::spawn_with("worker", make, |ev| {
    ///     assert_eq!(ev.backend(), Some(Backend::Poll));
    ///     Ok(())
    /// })?;
    /// # drop(worker);
    /// # Ok::<(), evloop::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// As for [`spawn`](Self::spawn), and whatever `make` returns.
    pub fn spawn_with(
        name: impl Into<String>,
        make: impl FnOnce() -> Result<EvLoop> + Send + 'static,
        set_up: impl FnOnce(&mut EvLoop) -> Result<()> + Send + 'static,
    ) -> Result<Self> {
        let name = name.into();
        // The standard library panics on these.
        if name.contains('\0') {
            let cause = "a NUL byte in the name";
            return Err(Error::caused(ErrorKind::InvalidInput, STARTING, cause.into()));
        }
        let id = IDS.fetch_add(1, Ordering::Relaxed);
        let (tell, told) = mpsc::channel();
        let life = move || {
            SELF.set(id);
            live(make, set_up, tell)
        };
        let thread = thread::Builder::new()
            .name(name.clone())
            .spawn(life)
            .map_err(|error| Error::os(ErrorKind::Thread, STARTING, error))?;
        let made = told.recv();
        // Not the same as before if the set-up has put another loop in the place of that one.
        let begun = told.recv();
        let thread = if begun.is_ok() {
            Some(thread)
        } else {
            // It has ended before its first iteration, for an error or, by a break, for none.
            ended(STARTING, thread)?;
            None
        };
        let remote = begun.or(made).map_err(|_| Error::new(ErrorKind::Thread, STARTING))?;
        // After the loop was made: making the first one has the forks counted.
        Ok(Self { name, id, remote, thread, generation: fork::generation() })
    }

    /// The name it was given.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A handle to its loop, to keep and to send on.
    #[must_use]
    pub fn remote(&self) -> Remote {
        self.remote.clone()
    }

    /// Has the thread call `f`: [`Remote::post`]. Returns `false`, and drops `f`, once its loop is gone.
    pub fn post(&self, f: impl FnOnce(&mut EvLoop) + Send + 'static) -> bool {
        self.is_ours() && self.remote.post(f)
    }

    /// Tells the thread to end, once it has worked off its batch, and does not wait for that. What is
    /// posted after it may be dropped unrun.
    ///
    /// It breaks all runs of the loop, and no callback can take that back. Returns `false` if the loop was gone
    /// already.
    pub fn stop(&self) -> bool {
        self.post(stop)
    }

    /// Whether the thread has ended, or is about to: [`join`](Self::join) does not block.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits until the thread has ended, and says how. It does not [stop](Self::stop) it.
    ///
    /// # Errors
    ///
    /// What [`run`](EvLoop::run) returned, [`ErrorKind::Callback`] after [`fail`](EvLoop::fail) for example;
    /// [`ErrorKind::Panicked`] if a callback has panicked, with the message as the source;
    /// [`ErrorKind::InvalidInput`] on its own thread, which is stopped instead; [`ErrorKind::Forked`] in a forked
    /// child.
    pub fn join(mut self) -> Result<()> {
        if !self.is_ours() {
            return Err(Error::new(ErrorKind::Forked, JOINING));
        }
        if self.is_own_thread() {
            let cause = "a thread cannot wait for itself";
            return Err(Error::caused(ErrorKind::InvalidInput, JOINING, cause.into()));
        }
        self.thread.take().map_or(Ok(()), |thread| ended(RUNNING, thread))
    }

    fn is_ours(&self) -> bool {
        self.generation == fork::generation()
    }

    fn is_own_thread(&self) -> bool {
        SELF.get() == self.id
    }
}

impl Drop for LoopThread {
    fn drop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        if !self.is_ours() {
            // There is no such thread in this process: it can be neither joined nor let go of.
            mem::forget(thread);
            return;
        }
        self.remote.post(stop);
        if !self.is_own_thread() {
            // Who wants to know how it ended calls `join`.
            let _ = ended(RUNNING, thread);
        }
    }
}

impl fmt::Debug for LoopThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopThread")
            .field("name", &self.name)
            .field("finished", &self.is_finished())
            .finish_non_exhaustive()
    }
}

/// Waits for the end of a thread. What unwound out of it came from the destructor of something that was
/// never called.
fn ended(doing: &'static str, thread: JoinHandle<Result<()>>) -> Result<()> {
    thread.join().unwrap_or_else(|payload| Err(panicked(doing, payload)))
}

/// Whether a loop was told to stop.
#[derive(Default)]
struct Told(Cell<bool>);

fn stop(ev: &mut EvLoop) {
    ev.local::<Told>().0.set(true);
    ev.break_loop(Break::All);
    // A callback of the same batch may cancel the break, or run the loop again, which forgets it: so it is
    // said again at the end of the batch, and of the next one if there is one.
    ev.defer(stop);
}

/// The thread's life.
fn live(
    make: impl FnOnce() -> Result<EvLoop>,
    set_up: impl FnOnce(&mut EvLoop) -> Result<()>,
    tell: Sender<Remote>,
) -> Result<()> {
    let mut ev = guarded(STARTING, make)?;
    // Nobody listens if the spawner has panicked, which is no matter of ours.
    let _ = tell.send(ev.remote());
    let outcome = guarded(STARTING, || set_up(&mut ev)).and_then(|()| {
        ev.remote().post(move |ev| _ = tell.send(ev.remote()));
        guarded(RUNNING, || serve(&mut ev))
    });
    // Apart from the run: what it drops is anybody's, and two panics at a time end the process.
    let dropped = guarded(RUNNING, || {
        drop(ev);
        Ok(())
    });
    outcome.and(dropped)
}

fn guarded<T>(doing: &'static str, f: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(f)).unwrap_or_else(|payload| Err(panicked(doing, payload)))
}

fn serve(ev: &mut EvLoop) -> Result<()> {
    loop {
        // Keeps the loop running. Who lists the loop's watchers may free or stop it: then this is not the
        // end.
        let keeper = ev.on_fork(|_, _| {}).start(ev);
        ev.run()?;
        if keeper.is_active(ev) || ev.local::<Told>().0.get() {
            return Ok(());
        }
        keeper.free(ev);
    }
}
