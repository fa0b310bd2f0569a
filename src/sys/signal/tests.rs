//! Every test has signals of its own: handlers and notes are the process's, and tests are threads of
//! one. Signals are sent to threads and not to the process, for the same reason.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use std::{io, mem, thread};

use super::action::INSTALLED;
use super::mask::change_mask;
use super::nodes::nodes;
use super::*;

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
