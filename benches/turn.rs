//! One turn of a busy loop: an idle watcher is active, so the loop looks for events without
//! waiting. A clock is read only if a timer needs it.

#[path = "descriptors/mod.rs"]
mod descriptors;

use std::cell::Cell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use evloop::{Backend, Break, EvLoop, Interest};

const FAR: Duration = Duration::from_secs(3600);

/// What is there besides the idle watcher, none of which ever has anything to say.
struct Besides {
    sockets: usize,
    timers: usize,
}

fn turns(c: &mut Criterion) {
    descriptors::raise_limit();
    let mut group = c.benchmark_group("busy turn");
    for &backend in Backend::available() {
        for Besides { sockets, timers } in [
            Besides { sockets: 0, timers: 0 },
            Besides { sockets: 2, timers: 0 },
            Besides { sockets: 1000, timers: 0 },
            Besides { sockets: 2, timers: 1000 },
        ] {
            let what = format!("idle, {sockets} quiet sockets, {timers} timers");
            group.bench_function(BenchmarkId::new(backend.name(), what), |b| {
                let mut ev = EvLoop::builder().backend(backend).env(false).build().expect("a loop");
                for socket in descriptors::quiet(sockets) {
                    let io = ev.io(socket, Interest::READ, |_, _| {});
                    io.start(&mut ev).expect("a started watcher");
                }
                for _ in 0..timers {
                    ev.timer(FAR, Duration::ZERO, |_, _| {}).start(&mut ev);
                }
                let left = Rc::new(Cell::new(0_u64));
                let count = Rc::clone(&left);
                let idle = ev.idle(move |ev, _| {
                    count.set(count.get() - 1);
                    if count.get() == 0 {
                        ev.break_loop(Break::One);
                    }
                });
                idle.start(&mut ev);
                b.iter_custom(|turns| {
                    left.set(turns);
                    let begin = Instant::now();
                    ev.run().expect("a run");
                    begin.elapsed()
                });
            });
        }
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = turns
}
criterion_main!(benches);
