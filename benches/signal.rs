//! Signals: one to oneself with the pass that delivers it, one that finds another pending, and
//! stopping and starting a watcher, alone and beside others of the same signal.
//!
//! A signal to oneself is handled before `kill` returns, so none of this waits for anything.

use std::cell::Cell;
use std::rc::Rc;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evloop::{EvLoop, Run, Signal};

const SIGNAL: i32 = libc::SIGUSR1;

/// How many watchers there are of the signal.
const WATCHERS: [u64; 3] = [1, 10, 1_000];

/// How many others there are of it while one is stopped and started. Without any, the disposition
/// of the signal changes each time.
const OTHERS: [u64; 3] = [0, 10, 1_000];

fn send() {
    // SAFETY: no memory is involved, and a watcher has installed a handler.
    let done = unsafe { libc::kill(libc::getpid(), SIGNAL) };
    assert_eq!(done, 0, "{}", std::io::Error::last_os_error());
}

fn watch(ev: &mut EvLoop, heard: &Rc<Cell<u64>>) -> Signal {
    let heard = Rc::clone(heard);
    ev.signal(SIGNAL, move |_, _| heard.set(heard.get() + 1)).start(ev).expect("a start")
}

fn deliver(c: &mut Criterion) {
    let mut group = c.benchmark_group("signal deliver");
    group.throughput(Throughput::Elements(1));
    for watchers in WATCHERS {
        group.bench_function(BenchmarkId::from_parameter(format!("{watchers} watching")), |b| {
            let (mut ev, heard) = (EvLoop::new().expect("a loop"), Rc::default());
            for _ in 0..watchers {
                watch(&mut ev, &heard);
            }
            let mut sent = 0;
            b.iter(|| {
                send();
                sent += 1;
                ev.run_mode(Run::NoWait).expect("a pass")
            });
            assert_eq!(heard.get(), sent * watchers, "each of them was told each time");
        });
    }
    group.finish();
}

fn coalesce(c: &mut Criterion) {
    let mut group = c.benchmark_group("signal coalesce");
    group.throughput(Throughput::Elements(1));
    for watchers in WATCHERS {
        group.bench_function(BenchmarkId::from_parameter(format!("{watchers} watching")), |b| {
            let (mut ev, heard) = (EvLoop::new().expect("a loop"), Rc::default());
            for _ in 0..watchers {
                watch(&mut ev, &heard);
            }
            send();
            b.iter(send);
        });
    }
    group.finish();
}

fn stop_and_start(c: &mut Criterion) {
    let mut group = c.benchmark_group("signal stop and start");
    group.throughput(Throughput::Elements(1));
    for others in OTHERS {
        group.bench_function(BenchmarkId::from_parameter(format!("{others} others")), |b| {
            let (mut ev, heard) = (EvLoop::new().expect("a loop"), Rc::default());
            for _ in 0..others {
                watch(&mut ev, &heard);
            }
            let watcher = watch(&mut ev, &heard);
            b.iter(|| {
                watcher.stop(&mut ev);
                watcher.start(&mut ev).expect("a start")
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(std::time::Duration::from_secs(1))
        .measurement_time(std::time::Duration::from_secs(3));
    targets = deliver, coalesce, stop_and_start
}
criterion_main!(benches);
