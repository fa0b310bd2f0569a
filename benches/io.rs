//! The classic pipe benchmark: tokens walk round a ring of socket pairs. An event is one byte read
//! from a pair and one written to the next, those two system calls included.
//!
//! *Pairs* are watched, *active* is the number of tokens. With the time-out, every event also
//! re-arms its pair's idle timer with `again`, as a server does for each connection.

#[path = "descriptors/mod.rs"]
mod descriptors;

use std::cell::Cell;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evloop::{Backend, Break, EvLoop, Interest, Run};

/// Never reached, always re-armed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The writing ends, and how the walk goes on.
struct Ring {
    writers: Vec<UnixStream>,
    /// Whether a token that is read goes on to the next pair.
    passing: Cell<bool>,
    /// Events until the loop is broken.
    left: Cell<u64>,
    events: Cell<u64>,
}

impl Ring {
    fn put(&self, index: usize) {
        (&self.writers[index]).write_all(b"t").expect("room for a token");
    }

    /// The callback of pair `index`: takes one token and passes it on.
    fn pass_on(&self, index: usize, mut reader: &UnixStream, ev: &mut EvLoop) {
        let mut token = [0];
        let got = reader.read(&mut token).expect("a token");
        assert_eq!(got, 1, "the other end is open");
        if self.passing.get() {
            let next = index + 1;
            self.put(if next == self.writers.len() { 0 } else { next });
        }
        self.events.set(self.events.get() + 1);
        let left = self.left.get().saturating_sub(1);
        self.left.set(left);
        if left == 0 {
            ev.break_loop(Break::One);
        }
    }
}

/// A loop with a ring in it, and `active` tokens evenly spaced in that.
fn ring(backend: Backend, pairs: usize, active: usize, time_out: bool) -> (EvLoop, Rc<Ring>) {
    let mut ev = EvLoop::builder().backend(backend).env(false).build().expect("a loop");
    let (readers, writers): (Vec<_>, _) = (0..pairs).map(|_| descriptors::pair()).unzip();
    let ring = Rc::new(Ring {
        writers,
        passing: Cell::new(false),
        left: Cell::new(0),
        events: Cell::new(0),
    });
    for (index, reader) in readers.into_iter().enumerate() {
        let ring = Rc::clone(&ring);
        let watcher = if time_out {
            let idle = ev.timer(IDLE_TIMEOUT, IDLE_TIMEOUT, |_, _| {}).start(&mut ev);
            ev.io(reader, Interest::READ, move |ev, e| {
                idle.again(ev);
                ring.pass_on(index, e.source, ev);
            })
        } else {
            ev.io(reader, Interest::READ, move |ev, e| ring.pass_on(index, e.source, ev))
        };
        watcher.start(&mut ev).expect("a started watcher");
    }

    // Every pair speaks once, so that the report has grown to its full size. With a short one some
    // tokens would wait while others walk, catch up with them, and be fewer events at a time.
    (0..pairs).for_each(|index| ring.put(index));
    while ring.events.get() < pairs as u64 {
        ev.run_mode(Run::NoWait).expect("a pass");
    }
    ring.passing.set(true);
    (0..active).for_each(|token| ring.put(token * pairs / active));
    (ev, ring)
}

fn events(c: &mut Criterion) {
    descriptors::raise_limit();
    let mut group = c.benchmark_group("io event");
    group.throughput(Throughput::Elements(1));
    for &backend in Backend::available() {
        for (pairs, active) in [(100, 1), (100, 100), (1000, 1), (1000, 100)] {
            for time_out in [false, true] {
                let suffix = if time_out { ", time-out re-armed" } else { "" };
                let what = format!("{pairs} pairs, {active} active{suffix}");
                group.bench_function(BenchmarkId::new(backend.name(), what), |b| {
                    let (mut ev, ring) = ring(backend, pairs, active, time_out);
                    b.iter_custom(|events| {
                        ring.left.set(events);
                        let (before, begin) = (ring.events.get(), Instant::now());
                        ev.run().expect("a run");
                        let (took, done) = (begin.elapsed(), ring.events.get() - before);
                        // A break completes the batch, so there may have been a few more.
                        took.mul_f64(events as f64 / done as f64)
                    });
                });
            }
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = events
}
criterion_main!(benches);
