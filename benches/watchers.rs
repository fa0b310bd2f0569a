//! What it costs to stop, start, make and free io watchers, beside others that are quiet.
//!
//! Stopping tells the kernel nothing until the next wait, so a watcher that is stopped and started
//! between two waits costs no system call. `then a pass` includes that wait and what was put off.

#[path = "descriptors/mod.rs"]
mod descriptors;

use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evloop::{EvLoop, Interest, Io, Run};

/// How many quiet watchers are there beside the one that is played with.
const OTHERS: [usize; 2] = [0, 1000];

/// How many are stopped or started before a pass.
const BATCH: usize = 1000;

fn watch<F: std::os::fd::AsFd + 'static>(ev: &mut EvLoop, source: F) -> Io {
    ev.io(source, Interest::READ, |_, _| {}).start(ev).expect("a started watcher")
}

fn pass(ev: &mut EvLoop) {
    ev.run_mode(Run::NoWait).expect("a pass");
}

/// A loop with `others` quiet watchers, and a socket that nobody watches yet. The second one is its
/// other end.
fn populated(others: usize) -> (EvLoop, Rc<UnixStream>, UnixStream) {
    descriptors::raise_limit();
    let mut ev = EvLoop::new().expect("a loop");
    for socket in descriptors::quiet(others) {
        watch(&mut ev, socket);
    }
    let (near, far) = descriptors::pair();
    pass(&mut ev);
    (ev, Rc::new(near), far)
}

fn one(c: &mut Criterion) {
    let mut group = c.benchmark_group("io watcher");
    for others in OTHERS {
        let beside = format!("beside {others} others");
        group.bench_function(BenchmarkId::new("stop and start", &beside), |b| {
            let (mut ev, socket, _far) = populated(others);
            let watcher = watch(&mut ev, socket);
            b.iter(|| {
                watcher.stop(&mut ev);
                watcher.start(&mut ev)
            });
        });
        group.bench_function(BenchmarkId::new("stop and start, then a pass", &beside), |b| {
            let (mut ev, socket, _far) = populated(others);
            let watcher = watch(&mut ev, socket);
            b.iter(|| {
                watcher.stop(&mut ev);
                watcher.start(&mut ev).expect("a started watcher");
                pass(&mut ev);
            });
        });
        group.bench_function(BenchmarkId::new("change its interest, then a pass", &beside), |b| {
            let (mut ev, socket, _far) = populated(others);
            let watcher = watch(&mut ev, socket);
            // The peer never closes, so neither of them is ever told.
            let mut interests = [Interest::READ, Interest::PEER_CLOSE].into_iter().cycle();
            b.iter(|| {
                let interest = interests.next().expect("a cycle has no end");
                watcher.set_interest(&mut ev, interest).expect("another interest");
                pass(&mut ev);
            });
        });
        group.bench_function(BenchmarkId::new("make and free", &beside), |b| {
            let (mut ev, socket, _far) = populated(others);
            b.iter(|| {
                let watcher = ev.io(Rc::clone(&socket), Interest::READ, |_, _| {});
                watcher.free(&mut ev)
            });
        });
        group.bench_function(BenchmarkId::new("make, start and free", &beside), |b| {
            let (mut ev, socket, _far) = populated(others);
            b.iter(|| watch(&mut ev, Rc::clone(&socket)).free(&mut ev));
        });
    }
    group.finish();
}

fn many(c: &mut Criterion) {
    let mut group = c.benchmark_group("io watchers");
    group.throughput(Throughput::Elements(BATCH as u64));
    group.bench_function(format!("stop {BATCH}, pass, start {BATCH}, pass"), |b| {
        descriptors::raise_limit();
        let mut ev = EvLoop::new().expect("a loop");
        let watchers: Vec<Io> =
            descriptors::quiet(BATCH).into_iter().map(|socket| watch(&mut ev, socket)).collect();
        pass(&mut ev);
        b.iter(|| {
            for watcher in &watchers {
                watcher.stop(&mut ev);
            }
            pass(&mut ev);
            for watcher in &watchers {
                watcher.start(&mut ev).expect("a started watcher");
            }
            pass(&mut ev);
        });
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = one, many
}
criterion_main!(benches);
