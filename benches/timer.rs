//! Timers, beside a number of others that are live: start, again, restart, cancel, fire.
//!
//! All but `fire` happens inside a callback, where programs do it: there the loop reads no clock.
//! Operations go over [`SET`] timers in turn, so that the clock of the bench is read once per set;
//! what has to be undone is undone between sets, unmeasured.

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evloop::{EvLoop, Run, Timer};

/// How many others are live meanwhile.
const LIVE: [usize; 3] = [0, 1_000, 100_000];

/// How many timers are operated on at a time.
const SET: u64 = 100;

/// Deadlines of all timers but those that are to fire: after the bench, and all different.
fn far(random: &mut Random) -> Duration {
    Duration::from_secs(3600) + Duration::from_nanos(random.below(60_000_000_000))
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

/// A loop with `live` timers far away, and a set of stopped ones to operate on, as far away and
/// repeating as far.
fn populated(live: usize) -> (EvLoop, Rc<[Timer]>) {
    let (mut ev, mut random) = (EvLoop::new().expect("a loop"), Random::new());
    for _ in 0..live {
        ev.timer(far(&mut random), Duration::ZERO, |_, _| {}).start(&mut ev);
    }
    let set = (0..SET).map(|_| ev.timer(far(&mut random), far(&mut random), |_, _| {})).collect();
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

/// How long `operate` takes, called `count` times, a set at a time. `prepare` brings the set into
/// the state that it expects.
fn measured(
    count: u64,
    ev: &mut EvLoop,
    set: &[Timer],
    prepare: impl Fn(&mut EvLoop, Timer),
    mut operate: impl FnMut(&mut EvLoop, Timer),
) -> Duration {
    let mut took = Duration::ZERO;
    let mut left = count;
    while left > 0 {
        let part = left.min(SET);
        set.iter().for_each(|timer| prepare(ev, *timer));
        ev.update_now();
        let begin = Instant::now();
        set.iter().take(part as usize).for_each(|timer| operate(ev, *timer));
        took += begin.elapsed();
        left -= part;
    }
    took
}

/// What brings a timer into the state that is expected, and what is measured then.
type Prepare = fn(&mut EvLoop, Timer);
type Operate = fn(&mut EvLoop, Timer, &mut Random);

fn stopped(ev: &mut EvLoop, timer: Timer) {
    timer.stop(ev);
}

fn started(ev: &mut EvLoop, timer: Timer) {
    timer.start(ev);
}

fn operations(c: &mut Criterion) {
    // `again` and `restart` move what is live: again to where it nearly is, which is lazy, restart
    // anywhere.
    let table: [(&str, Prepare, Operate); 4] = [
        ("start", stopped, |ev, timer, _| {
            timer.start(ev);
        }),
        ("again", started, |ev, timer, _| {
            timer.again(ev);
        }),
        ("restart", started, |ev, timer, random| {
            timer.restart(ev, far(random));
        }),
        ("cancel", started, |ev, timer, _| {
            timer.stop(ev);
        }),
    ];
    for (name, prepare, operate) in table {
        let mut group = c.benchmark_group(format!("timer {name}"));
        group.throughput(Throughput::Elements(1));
        for live in LIVE {
            group.bench_function(BenchmarkId::from_parameter(format!("{live} live")), |b| {
                let (mut ev, set) = populated(live);
                b.iter_custom(|count| {
                    let set = Rc::clone(&set);
                    inside(&mut ev, move |ev| {
                        let mut random = Random::new();
                        measured(count, ev, &set, prepare, |ev, timer| {
                            operate(ev, timer, &mut random);
                        })
                    })
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

    let mut group = c.benchmark_group("timer fire");
    group.throughput(Throughput::Elements(1));
    for live in LIVE {
        group.bench_function(BenchmarkId::from_parameter(format!("{live} live")), |b| {
            let (mut ev, mut random) = (populated(live).0, Random::new());
            let fired = Rc::new(Cell::new(0));
            let set: Vec<Timer> = (0..SET)
                .map(|_| {
                    let fired = Rc::clone(&fired);
                    let count = move |_: &mut EvLoop, _| fired.set(fired.get() + 1);
                    ev.timer(Duration::ZERO, Duration::ZERO, count)
                })
                .collect();
            b.iter_custom(|count| {
                let mut took = Duration::ZERO;
                let mut left = count;
                while left > 0 {
                    let part = left.min(SET);
                    for timer in set.iter().take(part as usize) {
                        let after = Duration::from_nanos(random.below(WITHIN.as_nanos() as u64));
                        timer.set(&mut ev, after, Duration::ZERO).start(&mut ev);
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
