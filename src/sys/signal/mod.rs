//! Signals, from the handler to the loops.
//!
//! Every loop has a [`Seat`]. A seat says which signals its loop listens for, and the handler, in
//! whatever thread it runs, walks all seats, notes the signal in those that want it, and rings their
//! loops. Any number of loops can listen for the same signal.
//!
//! The handlers are `signal-hook-registry`'s, so that they get along with other crates' (one
//! registration per signal, made when the first loop listens and kept for the life of the process:
//! the registry cannot give a disposition back). When nobody listens any more, our action behaves
//! as the [disposition found](Fallback) when it was installed.
//!
//! # The protocol
//!
//! Seats stand on nodes of a list that only grows; nodes are never freed, only taken again, so their
//! number is that of the most loops there ever were at once. A handler can walk the list at any time.
//! What does come and go is the [`Ring`] that a node points to:
//!
//! * a handler: looks at `interest`; adds itself to `users`; looks at `interest` again; sets the bit in
//!   `pending`; loads the pointer and rings; takes itself off `users`;
//! * the owner who leaves: sets `interest` to nothing; takes the pointer out; waits until `users` is 0;
//!   frees the ring.
//!
//! `users += 1` before the load of the pointer, and the pointer's removal before the look at `users`,
//! all four [`SeqCst`](Ordering::SeqCst): in their one order either the handler's addition comes
//! before the owner's look, and the owner waits, or the handler's load comes after the removal, and the
//! handler finds null. Acquire and Release would not do: each side stores to one word and then loads
//! the other's. The wait is bounded, under a storm of signals too: handlers that come later see no
//! interest and stay out, and those inside make at most one write that cannot block. A handler that
//! interrupts the waiting owner has come and gone before the owner looks again.
//!
//! The second look at `interest` makes that what a handler notes is for the owner whose pointer it
//! finds: a node does not change hands while `users` counts the handler.
//!
//! # Invariants
//!
//! * `interest` has a bit only while the node is taken, its pointer is set, and `generation` is its
//!   owner's; only the owner changes it.
//! * A signal for which there is an `interest` bit is never met with the default action: the bit is set
//!   before the handler is installed, and a handler that found nobody walks again if somebody began to
//!   listen meanwhile ([`LISTENS`]); so a loop may take a signal over from another.
//! * The handler takes no lock, allocates nothing, frees nothing, and leaves `errno` alone (the
//!   registry restores it).
//!
//! # Sharp edges
//!
//! * `exec` passes ignored signals on, but resets handled ones to the default: a signal that was ignored
//!   when a loop first listened for it is not ignored in programs executed later.
//! * What the kernel does by looking at the disposition cannot be imitated. With SIGCHLD found ignored,
//!   children become zombies from the first `listen` on; with SIGTTIN or SIGTTOU found ignored, a
//!   background process's terminal access is tried again and again instead of failing.
//! * SIGBUS, SIGTRAP and SIGSYS also come from the instruction at hand, which is tried again when the
//!   handler returns: whoever listens for one of them may turn a crash into an endless loop. For SIGBUS,
//!   Rust's runtime prevents that in its own way: it has a handler for stack overflows, the registry
//!   calls that first, and it puts the default in place: the second SIGBUS kills the process.
//! * Other users of the registry are not seen: when the last loop has stopped listening for a signal whose
//!   default is to kill, it kills, although another crate has registered for it since.
//! * A forked child that has not [adopted](Seat::adopt) a listening seat and does not drop it has the
//!   signal noted and nothing else done.
//! * What was pending at a fork is pending on both sides, like all of a loop's state.
//! * The first `listen` for a signal takes locks, ours and the registry's, and the registry waits until
//!   all handlers in flight have returned. In a child that was forked while another thread was in there,
//!   or in a handler, that lasts for ever. Signals listened for before the fork are not concerned.
//! * The registry asks for no alternate stack: handlers run on the stack of the thread that is interrupted.

use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::{io, iter, mem, ptr, thread};

use super::fork;

/// A loop that can be woken.
pub(crate) trait Ring: Send + Sync {
    /// Tells the loop to look at [`Seat::take_pending`].
    ///
    /// Called in signal handlers: must not lock, allocate, block, or panic, and makes only
    /// async-signal-safe calls. What was written before is to be seen by the loop when it looks.
    fn ring(&self);
}

/// One loop's place among those that signals are delivered to.
pub(crate) struct Seat {
    node: &'static Node,
}

impl Seat {
    /// Takes a seat, which listens for nothing yet.
    ///
    /// The seat belongs to the process it was taken in, if [`fork::watch`] was called before.
    pub(crate) fn take(ring: Arc<dyn Ring>) -> Self {
        let ring = Box::into_raw(Box::new(ring));
        // Acquire, with the Release in `drop`: what the last owner did to the node is over.
        let free = nodes().find(|node| !node.taken.swap(true, Ordering::Acquire));
        let node = free.unwrap_or_else(Node::append);
        // Relaxed: handlers look at these only behind an `interest` bit, and setting that publishes
        // them. Of `users`, nothing may be assumed: a late handler of an earlier time can be inside,
        // between its two looks at `interest`.
        node.generation.store(fork::generation(), Ordering::Relaxed);
        node.ring.store(ring, Ordering::Relaxed);
        Self { node }
    }

    /// From here on the signal is noted in this seat; with `unblock` the calling thread no longer
    /// blocks it. Listening for it already, only the unblocking is done.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](io::ErrorKind::InvalidInput) for what is no signal, for those that cannot be
    /// caught or are raised by faults (SIGKILL SIGSTOP SIGILL SIGFPE SIGSEGV), and for those that the
    /// C library keeps to itself. Nothing has changed then.
    pub(crate) fn listen(&self, signum: i32, unblock: bool) -> io::Result<()> {
        let Some(bit) = bit(signum) else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        fork::watch()?;
        let node = self.node;
        if node.interest.load(Ordering::Relaxed) & bit == 0 {
            // What came before is not for this listener: notes of the time before the last `unlisten`,
            // or of the seat's last owner. A handler in another thread may be past its looks and make
            // such a note only after this. It cannot be told from a signal that was sent earlier and
            // is delivered now, so there is no use in waiting for it.
            node.pending.fetch_and(!bit, Ordering::Relaxed);
            // Before the handler is there, so that no signal meets the handler alone. SeqCst, as
            // all of `interest` and LISTENS: see `deliver`.
            node.interest.fetch_or(bit, Ordering::SeqCst);
            LISTENS.fetch_add(1, Ordering::SeqCst);
        }
        let done = install(signum, bit).and_then(|()| match unblock {
            true => change_mask(libc::SIG_UNBLOCK, signum),
            false => Ok(()),
        });
        if done.is_err() {
            self.unlisten(signum);
        }
        done
    }

    /// The signal is no longer noted here; a note not yet taken is forgotten.
    pub(crate) fn unlisten(&self, signum: i32) {
        let Some(bit) = bit(signum) else { return };
        self.node.interest.fetch_and(!bit, Ordering::SeqCst);
        // The note may stay: it is not reported without interest, and `listen` removes it.
    }

    /// The signals that came since the last call, in ascending order.
    pub(crate) fn take_pending(&self) -> Signals {
        // Acquire, with the Release in `deliver`: what the handler's thread did before the signal.
        let pending = self.node.pending.swap(0, Ordering::Acquire);
        Signals(pending & self.node.interest.load(Ordering::Relaxed))
    }

    /// In a forked child: the seat belongs to this process now, and signals ring again.
    ///
    /// Rings if something is pending, so the ring must not reach the parent any more.
    pub(crate) fn adopt(&self) {
        let node = self.node;
        // SeqCst here and in `deliver`: a handler notes and then looks at the generation, this sets
        // the generation and then looks for notes; one of the two sees the other's.
        node.generation.store(fork::generation(), Ordering::SeqCst);
        if node.pending.load(Ordering::SeqCst) != 0 {
            let ring = node.ring.load(Ordering::Relaxed);
            // SAFETY: the pointer was made from a box in `take`, and only `drop` frees it, which
            // needs the seat that is borrowed here.
            unsafe { (*ring).ring() };
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let node = self.node;
        // The order of the module's protocol.
        node.interest.store(0, Ordering::SeqCst);
        let ring = node.ring.swap(ptr::null_mut(), Ordering::SeqCst);
        // Also an Acquire, with the Release of the handlers' subtraction: their use of the ring is
        // over before it is freed.
        while node.users.load(Ordering::SeqCst) != 0 {
            thread::yield_now();
        }
        // Release, with the Acquire in `take`.
        node.taken.store(false, Ordering::Release);
        // SAFETY: made by `Box::into_raw` in `take`, and taken out of the node by this swap alone. No
        // handler has it: those that loaded it before the swap had added themselves to `users`
        // before, and that was seen at 0 since; those that loaded later got null, or the pointer of
        // the node's next owner.
        drop(unsafe { Box::from_raw(ring) });
    }
}

/// A set of signals; iterates in ascending order.
#[derive(Debug)]
pub(crate) struct Signals(u64);

impl Iterator for Signals {
    type Item = i32;

    fn next(&mut self) -> Option<i32> {
        if self.0 == 0 {
            return None;
        }
        let lowest = self.0.trailing_zeros();
        self.0 &= self.0 - 1;
        Some(lowest as i32 + 1)
    }
}

/// What a seat stands on. Signals are bits: number n is bit n - 1.
struct Node {
    /// Written before the node is in the list, and never again.
    next: Option<&'static Node>,
    taken: AtomicBool,
    /// What the owner listens for.
    interest: AtomicU64,
    /// What came and was not taken yet. Means nothing where there is no interest.
    pending: AtomicU64,
    /// From a box that the owner's seat answers for; null while nobody owns the node.
    ring: AtomicPtr<Arc<dyn Ring>>,
    /// How many handlers may be using `ring`.
    users: AtomicU32,
    /// The [`fork::generation`] of the process whose loop this is.
    generation: AtomicU32,
}

impl Node {
    /// Appends a node, taken already.
    fn append() -> &'static Self {
        let node = Box::leak(Box::new(Self {
            next: None,
            taken: AtomicBool::new(true),
            interest: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            ring: AtomicPtr::new(ptr::null_mut()),
            users: AtomicU32::new(0),
            generation: AtomicU32::new(0),
        }));
        let mut head = NODES.load(Ordering::Relaxed);
        loop {
            // SAFETY: null, or a node that was leaked: valid for ever, and never borrowed mutably
            // once it was in the list.
            node.next = unsafe { head.as_ref() };
            // Release, with the Acquire in `nodes`: the node is complete when it is found. The ones
            // behind it are too: all changes of this word are read-modify-writes.
            match NODES.compare_exchange(head, node, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return node,
                Err(now) => head = now,
            }
        }
    }
}

/// The newest node.
static NODES: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());

fn nodes() -> impl Iterator<Item = &'static Node> {
    // SAFETY: as in `append`.
    let newest = unsafe { NODES.load(Ordering::Acquire).as_ref() };
    iter::successors(newest, |node| node.next)
}

/// How often a seat began to listen for a signal.
static LISTENS: AtomicU32 = AtomicU32::new(0);

/// The signals whose action is installed.
static INSTALLED: AtomicU64 = AtomicU64::new(0);

/// What to do with a signal that nobody listens for, by the disposition found at install.
#[derive(Clone, Copy)]
enum Fallback {
    /// It was ignored, or left to a default that is to ignore it (for SIGCONT: the kernel has
    /// continued the process before any handler runs); or there was a handler: the registry calls
    /// that before our action, whether somebody listens or not.
    Nothing,
    /// The default action, which ends or stops the process.
    Default,
}

/// The bit of a signal that can be listened for, as far as that can be said without asking.
fn bit(signum: i32) -> Option<u64> {
    // The last five make the registry panic.
    let refused = [libc::SIGKILL, libc::SIGSTOP, libc::SIGILL, libc::SIGFPE, libc::SIGSEGV];
    ((1..=64).contains(&signum) && !refused.contains(&signum)).then(|| 1 << (signum - 1))
}

/// Installs the action for a signal, once in the life of the process.
fn install(signum: i32, bit: u64) -> io::Result<()> {
    static INSTALLING: Mutex<()> = Mutex::new(());
    // Acquire, with the Release below: the handler is in place.
    if INSTALLED.load(Ordering::Acquire) & bit != 0 {
        return Ok(());
    }
    // Nothing is protected but the sequence of steps; poison means nothing.
    let _one_at_a_time = INSTALLING.lock().unwrap_or_else(PoisonError::into_inner);
    if INSTALLED.load(Ordering::Relaxed) & bit != 0 {
        return Ok(());
    }
    let mut found = MaybeUninit::uninit();
    // SAFETY: a null new action changes nothing; the pointer is to a local that outlives the call.
    // This also is what refuses numbers that the C library keeps to itself, with EINVAL.
    if unsafe { libc::sigaction(signum, ptr::null(), found.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, and so has filled it.
    let found: libc::sigaction = unsafe { found.assume_init() };
    let fallback = match (found.sa_sigaction, signum) {
        (libc::SIG_DFL, libc::SIGCHLD | libc::SIGURG | libc::SIGWINCH | libc::SIGCONT) => {
            Fallback::Nothing
        }
        (libc::SIG_DFL, _) => Fallback::Default,
        _ => Fallback::Nothing,
    };
    // SAFETY: the action runs in signal handlers. It walks leaked nodes by atomics, calls `ring`,
    // whose contract is to be async-signal-safe, and `sigaction`, `raise` and `pthread_sigmask`,
    // which are; it does not lock, allocate or panic.
    unsafe { signal_hook_registry::register(signum, move || act(signum, bit, fallback))? };
    INSTALLED.fetch_or(bit, Ordering::Release);
    Ok(())
}

/// The action, in the signal handler.
fn act(signum: i32, bit: u64, fallback: Fallback) {
    loop {
        let listens = LISTENS.load(Ordering::SeqCst);
        if deliver(bit) {
            return;
        }
        // While one loop took the signal over from another, the walk may have passed the first before
        // and the second after. Then the first had counted its `listen` in between: walk again.
        if LISTENS.load(Ordering::SeqCst) == listens {
            break;
        }
    }
    match fallback {
        Fallback::Nothing => {}
        Fallback::Default => perform_default(signum),
    }
}

/// Notes the signal in all seats that listen for it and rings them; whether there was one.
fn deliver(bit: u64) -> bool {
    let mut heard = false;
    for node in nodes() {
        if node.interest.load(Ordering::SeqCst) & bit == 0 {
            continue;
        }
        let entered = fork::generation();
        node.users.fetch_add(1, Ordering::SeqCst);
        if node.interest.load(Ordering::SeqCst) & bit != 0 {
            heard = true;
            // At least Release, with the Acquire in `take_pending`. Before the ring: the loop that is
            // woken must find it.
            node.pending.fetch_or(bit, Ordering::SeqCst);
            // In a forked child the ring may still lead to the parent; see `adopt`, also for SeqCst.
            if node.generation.load(Ordering::SeqCst) == fork::generation() {
                let ring = node.ring.load(Ordering::SeqCst);
                // SAFETY: null, or from a box that its seat frees only when it has seen `users` at 0
                // after it took the pointer out of the node. This handler has added itself before
                // this load, and the pointer was there after that, so the seat waits for it.
                if let Some(ring) = unsafe { ring.as_ref() } {
                    ring.ring();
                }
            }
        }
        // If a handler that interrupted this one has forked, the child's count does not contain it.
        if entered == fork::generation() {
            // Release: the use of the ring is over.
            node.users.fetch_sub(1, Ordering::Release);
        }
    }
    heard
}

/// A default action being performed: who does it, and what to put back.
struct Performing {
    state: AtomicU8,
    /// Belongs to whoever has brought `state` from idle to busy.
    replaced: UnsafeCell<MaybeUninit<libc::sigaction>>,
}

const IDLE: u8 = 0;
/// Somebody is at it.
const BUSY: u8 = 1;
/// Somebody is at it, and what to put back is known.
const REPLACING: u8 = 2;

// SAFETY: `replaced` is touched only by the one thread that won `state` from IDLE to BUSY, until it
// sets IDLE with Release; and by the only thread of a forked child, in which that thread is no more.
unsafe impl Sync for Performing {}

static PERFORMING: [Performing; 64] = [const {
    Performing { state: AtomicU8::new(IDLE), replaced: UnsafeCell::new(MaybeUninit::uninit()) }
}; 64];

/// Has the kernel do what it would have done without a handler, so that the parent sees the true
/// signal, core flag included. In the handler.
///
/// Returns after a stop, when the process is continued, and where the default does not apply: a stop
/// in an orphaned process group, any signal to the first process of a namespace. The handler is back
/// in place then.
fn perform_default(signum: i32) {
    let Some(performing) = PERFORMING.get(signum as usize - 1) else { return };
    // A second thread would find the default in place and put that back in the end. Nor has it
    // anything to add: its signal came while this one was being performed on the whole process.
    let state = &performing.state;
    if state.compare_exchange(IDLE, BUSY, Ordering::Acquire, Ordering::Relaxed).is_err() {
        return;
    }
    let replaced = performing.replaced.get().cast::<libc::sigaction>();
    // SAFETY: the memory is this thread's by the exchange above, lives for ever, and is written by
    // this call; a null new action changes nothing.
    if unsafe { libc::sigaction(signum, ptr::null(), replaced) } == 0 {
        // Known before it is replaced, so that a fork at any moment finds either nothing to put
        // back or what to; see `in_child`.
        state.store(REPLACING, Ordering::Release);
        // SAFETY: all zeros are a valid value of this plain C structure: SIG_DFL, no flags, an empty
        // mask, no restorer.
        let default: libc::sigaction = unsafe { mem::zeroed() };
        let signal = only(signum);
        let mut before = MaybeUninit::uninit();
        // SAFETY: the pointers are to locals, and to `replaced`, filled above; they outlive the calls,
        // which are all async-signal-safe. The mask is put back only if it was read. What is put back
        // in the end is what this process had in place.
        unsafe {
            libc::sigaction(signum, &raw const default, ptr::null_mut());
            // For this thread, pending as long as it blocks the signal, as handlers do.
            libc::raise(signum);
            let unblock = libc::SIG_UNBLOCK;
            if libc::pthread_sigmask(unblock, &raw const signal, before.as_mut_ptr()) == 0 {
                // Here the process ends or stops. Blocked again before the handler returns to its
                // place: it must not interrupt itself.
                libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut());
            }
            libc::sigaction(signum, replaced, ptr::null_mut());
        }
    }
    state.store(IDLE, Ordering::Release);
}

/// In a forked child, called by [`fork`]: what other threads had begun will not be finished here.
pub(super) fn in_child() {
    // Relaxed throughout: there is one thread. A handler that interrupts it has finished before it
    // goes on, so it has left nothing to be counted.
    for node in nodes() {
        node.users.store(0, Ordering::Relaxed);
    }
    for (signum, performing) in (1..).zip(&PERFORMING) {
        match performing.state.load(Ordering::Relaxed) {
            IDLE => continue,
            // SAFETY: filled before the state was set, by a thread that does not exist here. The call
            // is async-signal-safe and reads it.
            REPLACING => unsafe {
                libc::sigaction(signum, performing.replaced.get().cast(), ptr::null_mut());
            },
            _ => {}
        }
        performing.state.store(IDLE, Ordering::Relaxed);
    }
}

/// Changes the calling thread's signal mask by one signal.
fn change_mask(how: i32, signum: i32) -> io::Result<()> {
    let signal = only(signum);
    // SAFETY: the pointer is to a local that outlives the call; null means that the old mask is not
    // asked for.
    match unsafe { libc::pthread_sigmask(how, &raw const signal, ptr::null_mut()) } {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

/// The C library's set with one signal in it. Async-signal-safe.
fn only(signum: i32) -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: the pointer is to a local; `sigemptyset` initialises it and cannot fail, and
    // `sigaddset` leaves it as it is if the number is no signal.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), signum);
        set.assume_init()
    }
}

// Every test has signals of its own: handlers and notes are the process's, and tests are threads of
// one. Signals are sent to threads and not to the process, for the same reason.
#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicUsize;
    use std::time::{Duration, Instant};

    #[derive(Default)]
    struct Counter {
        rung: AtomicUsize,
        closed: AtomicBool,
        rung_closed: AtomicBool,
    }

    impl Counter {
        fn rung(&self) -> usize {
            self.rung.load(Ordering::SeqCst)
        }
    }

    impl Ring for Counter {
        fn ring(&self) {
            self.rung.fetch_add(1, Ordering::SeqCst);
            if self.closed.load(Ordering::SeqCst) {
                self.rung_closed.store(true, Ordering::SeqCst);
            }
        }
    }

    fn take() -> (Arc<Counter>, Seat) {
        let counter = Arc::new(Counter::default());
        let seat = Seat::take(Arc::clone(&counter) as Arc<dyn Ring>);
        (counter, seat)
    }

    fn pending(seat: &Seat) -> Vec<i32> {
        seat.take_pending().collect()
    }

    /// To the calling thread; its handler has run when this returns, unless the signal is blocked.
    fn raise(signum: i32) {
        // SAFETY: the tests raise only what they listen for, or what is ignored by default.
        assert_eq!(unsafe { libc::raise(signum) }, 0);
    }

    fn real_time(n: i32) -> i32 {
        libc::SIGRTMIN() + n
    }

    #[test]
    fn signals_are_taken_once_and_in_ascending_order() {
        let (low, high) = (real_time(0), real_time(1));
        let (counter, seat) = take();
        seat.listen(high, true).unwrap();
        seat.listen(low, true).unwrap();
        for signum in [high, low, high] {
            raise(signum);
        }
        assert_eq!(pending(&seat), [low, high]);
        assert_eq!(pending(&seat), []);
        assert_eq!(counter.rung(), 3);
    }

    #[test]
    fn the_highest_signal_fits() {
        let (_counter, seat) = take();
        seat.listen(64, true).unwrap();
        raise(64);
        assert_eq!(pending(&seat), [64]);
    }

    #[test]
    fn every_seat_that_listens_is_told_and_no_other() {
        let seats = [take(), take(), take()];
        seats[0].1.listen(libc::SIGUSR1, true).unwrap();
        seats[2].1.listen(libc::SIGUSR1, true).unwrap();
        raise(libc::SIGUSR1);
        assert_eq!(seats.each_ref().map(|(counter, _)| counter.rung()), [1, 0, 1]);
        let [a, b, c] = seats.each_ref().map(|(_, seat)| pending(seat));
        assert_eq!([a, b, c], [vec![libc::SIGUSR1], vec![], vec![libc::SIGUSR1]]);
    }

    #[test]
    fn what_came_before_unlisten_is_not_reported_after_a_later_listen() {
        let (counter, seat) = take();
        seat.listen(libc::SIGURG, true).unwrap();
        raise(libc::SIGURG);
        seat.unlisten(libc::SIGURG);
        raise(libc::SIGURG);
        seat.listen(libc::SIGURG, true).unwrap();
        assert_eq!(pending(&seat), []);
        raise(libc::SIGURG);
        seat.listen(libc::SIGURG, true).unwrap();
        assert_eq!(pending(&seat), [libc::SIGURG], "listening twice forgets nothing");
        assert_eq!(counter.rung(), 2);
    }

    #[test]
    fn numbers_that_cannot_be_caught_are_invalid_input() {
        let (_counter, seat) = take();
        let refused = [libc::SIGKILL, libc::SIGSTOP, libc::SIGILL, libc::SIGFPE, libc::SIGSEGV];
        // 32 is the C library's, in glibc and in musl.
        for signum in [i32::MIN, -1, 0, 32, 65, i32::MAX].into_iter().chain(refused) {
            let error = seat.listen(signum, true).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{signum}");
            seat.unlisten(signum);
        }
        assert_eq!(seat.node.interest.load(Ordering::Relaxed), 0);
        assert_eq!(INSTALLED.load(Ordering::Relaxed) & (1 << 31), 0);
    }

    #[test]
    fn a_blocked_signal_comes_when_listening_unblocks_it() {
        let (_counter, seat) = take();
        change_mask(libc::SIG_BLOCK, libc::SIGUSR2).unwrap();
        raise(libc::SIGUSR2);
        seat.listen(libc::SIGUSR2, false).unwrap();
        assert_eq!(pending(&seat), [], "the mask is left alone");
        seat.listen(libc::SIGUSR2, true).unwrap();
        assert_eq!(pending(&seat), [libc::SIGUSR2]);
    }

    #[test]
    fn errno_survives_the_handler() {
        struct Careless;
        impl Ring for Careless {
            fn ring(&self) {
                // SAFETY: this thread's errno.
                unsafe { *libc::__errno_location() = 5 };
            }
        }
        let seat = Seat::take(Arc::new(Careless));
        seat.listen(real_time(2), true).unwrap();
        // SAFETY: this thread's errno.
        unsafe { *libc::__errno_location() = 77 };
        raise(real_time(2));
        assert_eq!(io::Error::last_os_error().raw_os_error(), Some(77));
        assert_eq!(pending(&seat), [real_time(2)]);
    }

    #[test]
    fn a_handler_found_is_called_whether_somebody_listens_or_not() {
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        extern "C" fn found(_: i32) {
            CALLS.fetch_add(1, Ordering::SeqCst);
        }
        let signum = real_time(3);
        // SAFETY: the handler adds to an atomic; the signal is this test's own.
        unsafe { libc::signal(signum, found as extern "C" fn(i32) as libc::sighandler_t) };
        let (_counter, seat) = take();
        seat.listen(signum, true).unwrap();
        raise(signum);
        assert_eq!((CALLS.load(Ordering::SeqCst), pending(&seat)), (1, vec![signum]));
        drop(seat);
        raise(signum);
        assert_eq!(CALLS.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn a_dropped_seat_leaves_nothing_to_the_next() {
        let signum = libc::SIGWINCH;
        for _ in 0..100 {
            let (counter, seat) = take();
            seat.listen(signum, true).unwrap();
            raise(signum);
            drop(seat);
            raise(signum);
            assert_eq!(counter.rung(), 1);
            assert!(Arc::into_inner(counter).is_some(), "the ring was let go");
            let (counter, seat) = take();
            assert_eq!(pending(&seat), []);
            seat.listen(libc::SIGIO, true).unwrap();
            raise(signum);
            assert_eq!((counter.rung(), pending(&seat)), (0, vec![]));
        }
    }

    #[test]
    fn a_ring_is_not_freed_while_a_handler_uses_it() {
        #[derive(Default)]
        struct Progress {
            inside: AtomicBool,
            leaving: AtomicBool,
            freed: AtomicBool,
            freed_too_early: AtomicBool,
        }
        struct Slow(Arc<Progress>);
        impl Ring for Slow {
            fn ring(&self) {
                // Its own, so that this stays sound where the test fails.
                let progress = mem::ManuallyDrop::new(Arc::clone(&self.0));
                progress.inside.store(true, Ordering::SeqCst);
                while !progress.leaving.load(Ordering::SeqCst) {
                    thread::yield_now();
                }
                // An owner who does not wait needs less than this.
                for _ in 0..1000 {
                    thread::yield_now();
                }
                let freed = progress.freed.load(Ordering::SeqCst);
                progress.freed_too_early.store(freed, Ordering::SeqCst);
            }
        }
        impl Drop for Slow {
            fn drop(&mut self) {
                self.0.freed.store(true, Ordering::SeqCst);
            }
        }
        let signum = real_time(6);
        let progress = Arc::new(Progress::default());
        let seat = Seat::take(Arc::new(Slow(Arc::clone(&progress))));
        seat.listen(signum, true).unwrap();
        let handler = thread::spawn(move || raise(signum));
        while !progress.inside.load(Ordering::SeqCst) {
            thread::yield_now();
        }
        progress.leaving.store(true, Ordering::SeqCst);
        drop(seat);
        assert!(progress.freed.load(Ordering::SeqCst));
        handler.join().unwrap();
        assert!(!progress.freed_too_early.load(Ordering::SeqCst));
    }

    /// Runs `senders` threads that raise a signal until the returned guard is dropped.
    fn storm(signum: i32, senders: usize) -> impl Drop {
        struct Storm(Arc<AtomicBool>, Vec<thread::JoinHandle<()>>);
        impl Drop for Storm {
            fn drop(&mut self) {
                self.0.store(true, Ordering::SeqCst);
                for sender in self.1.drain(..) {
                    sender.join().unwrap();
                }
            }
        }
        let over = Arc::new(AtomicBool::new(false));
        let send = |_| {
            let over = Arc::clone(&over);
            thread::spawn(move || {
                while !over.load(Ordering::SeqCst) {
                    raise(signum);
                }
            })
        };
        let senders = (0..senders).map(send).collect();
        Storm(over, senders)
    }

    #[test]
    fn seats_come_and_go_in_a_storm_of_signals() {
        let signum = libc::SIGPWR;
        // Its default would end the process.
        let (_counter, seat) = take();
        seat.listen(signum, true).unwrap();
        let storm = storm(signum, 3);
        let end = Instant::now() + Duration::from_millis(300);
        let come_and_go = move || {
            let (mut turns, mut rung) = (0, 0);
            while Instant::now() < end {
                let (counter, seat) = take();
                let (other, idle) = take();
                seat.listen(signum, true).unwrap();
                if turns % 2 == 0 {
                    raise(signum);
                    assert_eq!(pending(&seat), [signum]);
                    assert!(counter.rung() > 0);
                }
                drop(seat);
                counter.closed.store(true, Ordering::SeqCst);
                drop(idle);
                assert_eq!(other.rung(), 0);
                assert!(!counter.rung_closed.load(Ordering::SeqCst));
                turns += 1;
                rung += Arc::into_inner(counter).unwrap().rung();
            }
            (turns, rung)
        };
        let threads: Vec<_> = (0..4).map(|_| thread::spawn(come_and_go)).collect();
        for thread in threads {
            let (turns, rung) = thread.join().unwrap();
            assert!(turns > 0 && rung > 0);
        }
        drop(storm);
        assert!(nodes().count() < 100, "nodes are taken again");
    }

    #[test]
    fn a_signal_handed_from_seat_to_seat_never_meets_its_default() {
        let signum = libc::SIGVTALRM;
        let mut seat = take().1;
        seat.listen(signum, true).unwrap();
        // Ends before the last seat is dropped.
        let _storm = storm(signum, 2);
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end {
            let next = take().1;
            next.listen(signum, true).unwrap();
            seat.unlisten(signum);
            seat.listen(signum, true).unwrap();
            next.unlisten(signum);
            next.listen(signum, true).unwrap();
            seat = next;
        }
    }

    /// Runs `f` in a forked child, which must make do with what is async-signal-safe (and may
    /// free memory: the C libraries see to that), and returns what `f` returned.
    fn in_fork(f: impl FnOnce() -> bool) -> bool {
        // SAFETY: see above; `alarm` and `_exit` are async-signal-safe.
        let child = unsafe { libc::fork() };
        if child == 0 {
            // SAFETY: as above. The alarm is for a child that would wait for ever.
            unsafe {
                libc::alarm(10);
                libc::_exit(i32::from(!f()));
            }
        }
        let mut status = -1;
        // SAFETY: the pointer is to a local that outlives the call; the child is this test's own.
        assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
        status == 0
    }

    #[test]
    fn a_forked_child_rings_only_what_it_has_adopted() {
        let signum = real_time(4);
        let (counter, seat) = take();
        seat.listen(signum, true).unwrap();
        assert!(in_fork(|| {
            raise(signum);
            let silent = counter.rung() == 0;
            seat.adopt();
            let told = counter.rung() == 1 && seat.take_pending().eq([signum]);
            raise(signum);
            silent && told && counter.rung() == 2
        }));
        raise(signum);
        assert_eq!(counter.rung(), 1, "the parent's seat is as it was");
    }

    #[test]
    fn a_forked_child_does_not_wait_for_threads_it_does_not_have() {
        let (counter, seat) = take();
        seat.listen(real_time(5), true).unwrap();
        // As if a handler in another thread were in the middle of it.
        seat.node.users.fetch_add(1, Ordering::SeqCst);
        let mut seat = Some(seat);
        let dropped = in_fork(|| {
            drop(seat.take());
            Arc::strong_count(&counter) == 1
        });
        seat.as_ref().unwrap().node.users.fetch_sub(1, Ordering::SeqCst);
        assert!(dropped);
    }
}
