//! Periodics, beside a number of others that are live: start, again, stop, fire.
//!
//! As in the bench of timers, all but `fire` happens inside a callback, over [`SET`] periodics in
//! turn; what has to be undone is undone between sets, unmeasured. They repeat, at offsets that are
//! all different, so each start computes a next occurrence.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant, UNIX_EPOCH};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evloop::{EvLoop, Periodic, Run, Schedule};

/// How many others are live meanwhile.
const LIVE: [usize; 3] = [0, 1_000, 100_000];

/// How many periodics are operated on at a time.
const SET: u64 = 100;

/// Of all but those that are to fire.
const INTERVAL: Duration = Duration::from_secs(7200);

/// Occurrences of all but those that are to fire: after the bench, and all different.
fn far(ev: &EvLoop, random: &mut Random) -> Schedule {
    let after = INTERVAL / 2 + Duration::from_nanos(random.below(60_000_000_000));
    let due = (ev.wall_now() + after).duration_since(UNIX_EPOCH).expect("it is past 1970");
    let offset = Duration::from_nanos((due.as_nanos() % INTERVAL.as_nanos()) as u64);
    Schedule::every(INTERVAL).offset(offset)
}

/// The same numbers in every run (xorshift64*).
struct Random(u64);

impl Random {
    fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = u128::from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)) * u128::from(limit);
        (high >> 64) as u64
    }
}

/// A loop with `live` periodics far away, and a set of stopped ones to operate on, as far away.
fn populated(live: usize) -> (EvLoop, Rc<[Periodic]>) {
    let (mut ev, mut random) = (EvLoop::new().expect("a loop"), Random::new());
    for _ in 0..live {
        let schedule = far(&ev, &mut random);
        ev.periodic(schedule, |_, _| {}).start(&mut ev);
    }
    let set = (0..SET)
        .map(|_| {
            let schedule = far(&ev, &mut random);
            ev.periodic(schedule, |_, _| {})
        })
        .collect();
    (ev, set)
}

/// What `job` returns when it is called from inside a callback.
fn inside<R: 'static>(ev: &mut EvLoop, job: impl FnOnce(&mut EvLoop) -> R + 'static) -> R {
    let result = Rc::new(Cell::new(None));
    let into = Rc::clone(&result);
    ev.after(Duration::ZERO, move |ev| into.set(Some(job(ev))));
    ev.run_mode(Run::Once).expect("a pass");
    result.take().expect("the timer was due at once")
}

/// What brings a periodic into the state that is expected, and what is measured then.
type Operation = fn(&mut EvLoop, Periodic);

/// How long `operate` takes, called `count` times, a set at a time. `prepare` brings the set into
/// the state that it expects.
fn measured(
    count: u64,
    ev: &mut EvLoop,
    set: &[Periodic],
    prepare: Operation,
    operate: Operation,
) -> Duration {
    let mut took = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let part = left.min(SET);
        set.iter().for_each(|periodic| prepare(ev, *periodic));
        ev.update_now();
        let begin = Instant::now();
        set.iter().take(part as usize).for_each(|periodic| operate(ev, *periodic));
        took += begin.elapsed();
        left -= part;
    }
    took
}

fn start(ev: &mut EvLoop, periodic: Periodic) {
    periodic.start(ev);
}

fn again(ev: &mut EvLoop, periodic: Periodic) {
    periodic.again(ev);
}

fn stop(ev: &mut EvLoop, periodic: Periodic) {
    periodic.stop(ev);
}

fn operations(c: &mut Criterion) {
    let table: [(&str, Operation, Operation); 3] =
        [("start", stop, start), ("again", start, again), ("stop", start, stop)];
    for (name, prepare, operate) in table {
        let mut group = c.benchmark_group(format!("periodic {name}"));
        group.throughput(Throughput::Elements(1));
        for live in LIVE {
            group.bench_function(BenchmarkId::from_parameter(format!("{live} live")), |b| {
                let (mut ev, set) = populated(live);
                b.iter_custom(|count| {
                    let set = Rc::clone(&set);
                    inside(&mut ev, move |ev| measured(count, ev, &set, prepare, operate))
                });
            });
        }
        group.finish();
    }
}

/// A whole set is due at once, in random order, and is fired by one pass: its share of that pass,
/// with the one system call in it, is part of the figure.
fn fire(c: &mut Criterion) {
    const WITHIN: Duration = Duration::from_micros(50);

    let mut group = c.benchmark_group("periodic fire");
    group.throughput(Throughput::Elements(1));
    for live in LIVE {
        group.bench_function(BenchmarkId::from_parameter(format!("{live} live")), |b| {
            let (mut ev, mut random) = (populated(live).0, Random::new());
            let fired = Rc::new(Cell::new(0));
            let set: Vec<Periodic> = (0..SET)
                .map(|_| {
                    let fired = Rc::clone(&fired);
                    let count = move |_: &mut EvLoop, _| fired.set(fired.get() + 1);
                    ev.periodic(Schedule::at(UNIX_EPOCH), count)
                })
                .collect();
            b.iter_custom(|count| {
                let mut took = Duration::ZERO;
                let mut left = count;
                while left > 0 {
                    let part = left.min(SET);
                    ev.update_now();
                    for periodic in set.iter().take(part as usize) {
                        let after = Duration::from_nanos(random.below(WITHIN.as_nanos() as u64));
                        let due = ev.wall_now() + after;
                        periodic.set(&mut ev, Schedule::at(due)).start(&mut ev);
                    }
                    let started = Instant::now();
                    while started.elapsed() <= WITHIN {
                        std::hint::spin_loop();
                    }
                    fired.set(0);
                    let begin = Instant::now();
                    ev.run_mode(Run::NoWait).expect("a pass");
                    took += begin.elapsed();
                    assert_eq!(fired.get(), part, "all of them were due");
                    left -= part;
                }
                took
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = operations, fire
}
criterion_main!(benches);
