//! tokio, current-thread runtime: futures in place of callbacks. A task per socket pair, a boxed `Sleep` per timer.

use std::future::poll_fn;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, Interest, ReadBuf};
use tokio::net::UnixStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::time::{Instant, Sleep};

use crate::workload::{self, Contender, KnownWatchers, Pipes, Ring, TimerPlan};

pub struct Tokio;

fn new_runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn register(fd: &OwnedFd) -> AsyncFd<BorrowedFd<'_>> {
    // SAFETY: a borrowed descriptor is open, and the same one, for as long as the borrow lasts.
    unsafe { AsyncFd::register_with_interest(fd.as_fd(), Interest::READABLE) }.expect("register")
}

/// Reads what is there. Through `poll_read` rather than `try_read`: a short read clears readiness, which saves the
/// `recv` that would only say "nothing more".
async fn read(stream: &mut UnixStream, mut timeout: Option<Pin<&mut Sleep>>) -> usize {
    let mut bytes = [0u8; 16];
    poll_fn(|context| {
        let mut buffer = ReadBuf::new(&mut bytes);
        if let Poll::Ready(result) = Pin::new(&mut *stream).poll_read(context, &mut buffer) {
            result.expect("read");
            return Poll::Ready(buffer.filled().len());
        }
        if let Some(timeout) = &mut timeout {
            assert!(timeout.as_mut().poll(context).is_pending(), "the time-out is never due");
        }
        Poll::Pending
    })
    .await
}

struct Registrations {
    runtime: Runtime,
    fds: &'static [OwnedFd],
    registered: Vec<Option<AsyncFd<BorrowedFd<'static>>>>,
}

impl KnownWatchers for Registrations {
    fn stop(&mut self, index: usize) {
        self.registered[index] = None;
    }

    fn start(&mut self, index: usize) {
        let _context = self.runtime.enter();
        self.registered[index] = Some(register(&self.fds[index]));
    }

    fn pass(&mut self) {
        self.runtime.block_on(tokio::task::yield_now());
    }
}

/// A waker that counts: the least a timer can do when it fires.
struct Counter(AtomicU64);

impl Wake for Counter {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.store(self.0.load(Relaxed) + 1, Relaxed);
    }
}

type BoxedSleep = Pin<Box<Sleep>>;

/// Starts a timer; a `Sleep` starts when it is first polled.
fn start_sleep(due: Instant, context: &mut Context<'_>) -> BoxedSleep {
    let mut sleep = Box::pin(tokio::time::sleep_until(due));
    assert!(sleep.as_mut().poll(context).is_pending(), "not due yet");
    sleep
}

impl Contender for Tokio {
    fn pipes(args: &Pipes) {
        let (ring, readers) = Ring::new(args);
        let runtime = new_runtime();
        let round_over: &'static Notify = Box::leak(Box::new(Notify::new()));
        let timeout = args.timeout;
        for (index, reader) in readers.into_iter().enumerate() {
            runtime.spawn(async move {
                let mut stream =
                    UnixStream::from_std(StdUnixStream::from(reader)).expect("register");
                let mut idle = pin!(tokio::time::sleep(workload::IDLE_TIMEOUT));
                loop {
                    let bytes = read(&mut stream, timeout.then_some(idle.as_mut())).await;
                    for _ in 0..bytes {
                        ring.passed(index);
                    }
                    if timeout {
                        idle.as_mut().reset(Instant::now() + workload::IDLE_TIMEOUT);
                    }
                    if ring.is_done() {
                        round_over.notify_one();
                    }
                }
            });
        }
        ring.measure(args, || runtime.block_on(round_over.notified()));
    }

    fn known_watchers(count: usize) -> impl KnownWatchers {
        let runtime = new_runtime();
        let fds: &'static [OwnedFd] = workload::quiet_descriptors(count).leak();
        let registered = {
            let _context = runtime.enter();
            fds.iter().map(|fd| Some(register(fd))).collect()
        };
        Registrations { runtime, fds, registered }
    }

    fn timers(count: usize, agains: u64) {
        let mut plan = TimerPlan::new(count);
        let counter = Arc::new(Counter(AtomicU64::new(0)));
        let waker = Waker::from(Arc::clone(&counter));
        let runtime = new_runtime();
        runtime.block_on(async {
            let mut context = Context::from_waker(&waker);
            let mut sleeps: Vec<BoxedSleep> = Vec::with_capacity(count);

            let now = Instant::now() + Duration::from_millis(200); // so that none is due while still starting
            workload::report_mean_cpu("start_ns", count as u64, || {
                sleeps
                    .extend(plan.soon.iter().map(|&after| start_sleep(now + after, &mut context)));
            });
            TimerPlan::sleep_until_due();
            std::thread::sleep(Duration::from_millis(200));
            let cpu = workload::CpuClock::start();
            while counter.0.load(Relaxed) < count as u64 {
                tokio::task::yield_now().await;
            }
            workload::report("fire_ns", cpu.ns() / count as f64);

            let start_far = |context: &mut Context<'_>| -> Vec<Option<BoxedSleep>> {
                let now = Instant::now();
                plan.far.iter().map(|&after| Some(start_sleep(now + after, context))).collect()
            };
            let mut sleeps = start_far(&mut context);
            workload::report_mean_cpu("cancel_ns", count as u64, || {
                for &timer in &plan.cancel_order {
                    sleeps[timer as usize] = None;
                }
            });

            let mut sleeps = start_far(&mut context);
            workload::report_mean_cpu("again_ns", agains, || {
                for _ in 0..agains / workload::AGAINS_PER_CLOCK_READ {
                    let due = Instant::now() + workload::AGAIN_DELAY;
                    for _ in 0..workload::AGAINS_PER_CLOCK_READ {
                        let timer = plan.random.below(count as u64) as usize;
                        sleeps[timer].as_mut().expect("started above").as_mut().reset(due);
                    }
                }
            });
            // Dropping a million of them is not part of any figure.
            std::mem::forget(sleeps);
        });
    }

    fn ping_pong(round_trips: u64) {
        let bells: &'static [Notify; 2] = Box::leak(Box::new([Notify::new(), Notify::new()]));
        let side = move |me: usize| {
            new_runtime().block_on(async {
                for heard in 1..=round_trips {
                    bells[me].notified().await;
                    // The side that began hears the last word.
                    if me == 1 || heard < round_trips {
                        bells[1 - me].notify_one();
                    }
                }
            });
        };
        let begin = || {
            bells[1].notify_one();
            side(0);
        };
        workload::measure_ping_pong(round_trips, begin, || side(1));
    }

    fn coalesced(sends: u64) {
        let bell: &'static Notify = Box::leak(Box::new(Notify::new()));
        new_runtime().block_on(async {
            workload::measure_coalesced(sends, move || bell.notify_one());
            bell.notified().await;
        });
    }

    fn busy(turns: u64) {
        let runtime = new_runtime();
        let fds = workload::quiet_descriptors(1);
        let _context = runtime.enter();
        let _registered = register(&fds[0]);
        workload::report_mean_cpu("turn_ns", turns, || {
            // A future that yields sends the runtime round its driver once: one wait that does not wait.
            runtime.block_on(async {
                for _ in 0..turns {
                    tokio::task::yield_now().await;
                }
            });
        });
    }

    fn memory(timers: usize, watchers: usize) {
        let runtime = new_runtime();
        let _context = runtime.enter();
        workload::report_memory("timer_bytes", timers, || {
            let waker = Waker::noop();
            let mut context = Context::from_waker(waker);
            let due = Instant::now() + workload::IDLE_TIMEOUT;
            (0..timers).map(|_| start_sleep(due, &mut context)).collect::<Vec<_>>()
        });
        let fds = workload::quiet_descriptors(watchers).leak();
        workload::report_memory("io_bytes", watchers, || {
            fds.iter().map(register).collect::<Vec<_>>()
        });
    }

    fn timer_100us(count: u64) {
        let runtime = new_runtime();
        workload::report_mean_wall("fire_us", Duration::from_micros(1), count, || {
            runtime.block_on(async {
                for _ in 0..count {
                    tokio::time::sleep(Duration::from_micros(100)).await;
                }
            });
        });
    }
}
