//! Notifications: one that finds another pending, one that finds the loop busy, and the time until
//! a loop in another thread has answered.
//!
//! The two loops of the ping-pong are kept where the id says. Left alone the scheduler now and then
//! puts both on one processor, where a wake-up is a mere switch and costs a fraction.

use std::cell::{Cell, OnceCell};
use std::rc::Rc;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use evloop::{Break, EvLoop, Notifier, Run};

fn sends(c: &mut Criterion) {
    let mut group = c.benchmark_group("notify");
    group.bench_function("coalesced with one that is pending", |b| {
        let mut ev = EvLoop::new().expect("a loop");
        let (watcher, notifier) = ev.notifier(|_, _| {});
        watcher.start(&mut ev);
        notifier.notify();
        b.iter(|| notifier.notify());
    });
    group.bench_function("a busy loop, with the pass that delivers it", |b| {
        let mut ev = EvLoop::new().expect("a loop");
        let (watcher, notifier) = ev.notifier(|_, _| {});
        watcher.start(&mut ev);
        b.iter(|| {
            notifier.notify();
            ev.run_mode(Run::NoWait)
        });
    });
    group.finish();
}

/// The processors that this process may use.
fn processors() -> libc::cpu_set_t {
    // SAFETY: a set of all zeros is a valid, empty set; the call gets its true size, 0 is the
    // calling thread.
    unsafe {
        let mut set: libc::cpu_set_t = std::mem::zeroed();
        let done = libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut set);
        assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
        set
    }
}

/// Keeps the calling thread on these processors.
fn stay_on(set: &libc::cpu_set_t) {
    // SAFETY: the set is valid and has its true size, 0 is the calling thread.
    let done = unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

/// The `nth` of these processors alone, if there are so many.
fn only(set: &libc::cpu_set_t, nth: usize) -> Option<libc::cpu_set_t> {
    // SAFETY: the numbers are below the size of a set, and all zeros is an empty one.
    unsafe {
        let one = (0..libc::CPU_SETSIZE as usize).filter(|n| libc::CPU_ISSET(*n, set)).nth(nth)?;
        let mut alone: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(one, &mut alone);
        Some(alone)
    }
}

/// A loop in a thread of its own that answers every notification. It ends with the bench.
struct Echo {
    notifier: Notifier,
    remote: evloop::Remote,
    thread: thread::JoinHandle<()>,
}

impl Echo {
    fn new(answer: Notifier, place: libc::cpu_set_t) -> Self {
        let (made, make) = mpsc::channel();
        let thread = thread::spawn(move || {
            stay_on(&place);
            let mut ev = EvLoop::new().expect("a loop");
            let (watcher, notifier) = ev.notifier(move |_, _| _ = answer.notify());
            watcher.start(&mut ev);
            made.send((notifier, ev.remote())).expect("somebody waits for them");
            ev.run().expect("a run");
        });
        let (notifier, remote) = make.recv().expect("a loop in its thread");
        Self { notifier, remote, thread }
    }

    fn end(self) {
        self.remote.break_loop(Break::All);
        self.thread.join().expect("no panic over there");
    }
}

/// A loop here and one in another thread, each waiting until the other notifies it.
fn ping_pong(b: &mut criterion::Bencher<'_>, here: &libc::cpu_set_t, there: libc::cpu_set_t) {
    let mut ev = EvLoop::new().expect("a loop");
    let left = Rc::new(Cell::new(0_u64));
    let peer = Rc::new(OnceCell::<Notifier>::new());
    let (count, to) = (Rc::clone(&left), Rc::clone(&peer));
    let (watcher, notifier) = ev.notifier(move |ev, _| {
        count.set(count.get() - 1);
        if count.get() == 0 {
            ev.break_loop(Break::One);
        } else if let Some(other) = to.get() {
            other.notify();
        }
    });
    watcher.start(&mut ev);
    let echo = Echo::new(notifier, there);
    peer.get_or_init(|| echo.notifier.clone());

    let anywhere = processors();
    stay_on(here);
    b.iter_custom(|trips| {
        left.set(trips);
        let begin = Instant::now();
        echo.notifier.notify();
        ev.run().expect("a run");
        begin.elapsed()
    });
    stay_on(&anywhere);
    echo.end();
}

fn round_trips(c: &mut Criterion) {
    let all = processors();
    let mut group = c.benchmark_group("ping-pong");
    let first = only(&all, 0).expect("the processor this runs on");
    group.bench_function("round trip of two loops on one processor", |b| {
        ping_pong(b, &first, first);
    });
    if let Some(second) = only(&all, 1) {
        group.bench_function("round trip of two loops on two processors", |b| {
            ping_pong(b, &first, second);
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = sends, round_trips
}
criterion_main!(benches);
