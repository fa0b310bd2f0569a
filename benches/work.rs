//! The work pool: a job from `work` until its result is on the loop, many at a time, and jobs that are
//! cancelled. The *floor* is what one writes by hand: one thread, a channel to it, one back, and an eventfd that an
//! io watcher reads.

use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evloop::net::{set_work_queue, set_work_threads};
use evloop::{Break, EvLoop, Interest};
use rustix::event::{EventfdFlags, eventfd};

/// How many jobs there are at a time; the second is more than wait by default.
const JOBS: [usize; 2] = [1, 10_000];

/// How many threads the pool has.
const THREADS: [usize; 2] = [1, 4];

type Job = Box<dyn FnOnce() -> usize + Send>;

/// The hand-written one.
struct Floor {
    jobs: Option<Sender<Job>>,
    thread: Option<JoinHandle<()>>,
}

impl Floor {
    fn new() -> (Self, Receiver<usize>, Arc<OwnedFd>) {
        let fd = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).expect("an eventfd");
        let fd = Arc::new(fd);
        let (jobs, to_do) = mpsc::channel::<Job>();
        let (results, done) = mpsc::channel();
        let bell = Arc::clone(&fd);
        let thread = std::thread::spawn(move || {
            for job in to_do {
                if results.send(job()).is_err() {
                    return;
                }
                rustix::io::write(&bell, &1_u64.to_ne_bytes()).expect("room in an eventfd");
            }
        });
        (Self { jobs: Some(jobs), thread: Some(thread) }, done, fd)
    }

    fn submit(&self, job: impl FnOnce() -> usize + Send + 'static) {
        let jobs = self.jobs.as_ref().expect("not dropped");
        jobs.send(Box::new(job)).expect("a thread");
    }
}

impl Drop for Floor {
    fn drop(&mut self) {
        self.jobs = None;
        self.thread.take().expect("not dropped").join().expect("no panic over there");
    }
}

/// Says that one more is done, and ends the run with the last.
fn one_less(ev: &mut EvLoop, left: &Cell<usize>) {
    left.set(left.get() - 1);
    if left.get() == 0 {
        ev.break_loop(Break::One);
    }
}

fn round_trips(c: &mut Criterion) {
    set_work_queue(2 * JOBS[1]);
    let mut group = c.benchmark_group("work, submitted until done on the loop");
    for jobs in JOBS {
        group.throughput(Throughput::Elements(jobs as u64));
        let what = format!("{jobs} tiny");
        group.bench_function(BenchmarkId::new("floor, 1 thread", &what), |b| {
            let mut ev = EvLoop::new().expect("a loop");
            let (floor, results, bell) = Floor::new();
            let left = Rc::new(Cell::new(0));
            let count = Rc::clone(&left);
            let watcher = ev.io(bell, Interest::READ, move |ev, event| {
                let mut rings = [0; 8];
                rustix::io::read(event.source, &mut rings).expect("somebody rang");
                for result in results.try_iter() {
                    std::hint::black_box(result);
                    one_less(ev, &count);
                }
            });
            watcher.start(&mut ev).expect("a started watcher");
            b.iter(|| {
                left.set(jobs);
                (0..jobs).for_each(|n| floor.submit(move || n));
                ev.run().expect("a run");
            });
        });
        for threads in THREADS {
            let pool = if threads == 1 { "1 thread" } else { "4 threads" };
            group.bench_function(BenchmarkId::new(pool, &what), |b| {
                set_work_threads(threads);
                let mut ev = EvLoop::new().expect("a loop");
                let left = Rc::new(Cell::new(0));
                b.iter(|| {
                    left.set(jobs);
                    for n in 0..jobs {
                        let left = Rc::clone(&left);
                        let done = move |ev: &mut EvLoop, result: evloop::Result<usize>| {
                            std::hint::black_box(result.expect("no panic"));
                            one_less(ev, &left);
                        };
                        ev.work(move || n, done).expect("room in the queue");
                    }
                    ev.run().expect("a run");
                });
            });
        }
    }
    group.finish();
}

/// Jobs that no thread has begun, for the one thread is busy with another.
fn cancelled(c: &mut Criterion) {
    set_work_queue(2 * JOBS[1]);
    let mut group = c.benchmark_group("work, submitted and cancelled");
    for others in [0, 1000] {
        let beside = format!("beside {others} that wait");
        group.bench_function(BenchmarkId::new("one", &beside), |b| {
            set_work_threads(1);
            let mut ev = EvLoop::new().expect("a loop");
            let (let_go, held) = mpsc::channel::<()>();
            let held_up = move || _ = held.recv();
            ev.work(held_up, |_, _| {}).expect("room in the queue");
            for _ in 0..others {
                ev.work(|| {}, |_, _| {}).expect("room in the queue");
            }
            b.iter(|| {
                let work = ev.work(|| {}, |_, _| {}).expect("room in the queue");
                assert!(work.cancel(&mut ev), "it was not done yet");
            });
            drop(let_go);
            ev.run().expect("a run");
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = round_trips, cancelled
}
criterion_main!(benches);
