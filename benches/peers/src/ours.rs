//! evloop itself.

use std::cell::{Cell, RefCell};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, UNIX_EPOCH};

use evloop::{Break, EvLoop, Interest, Io, Notifier, Periodic, Run, Schedule, Timer};

use crate::files::{self, Files};
use crate::queues::{self, Queue, QueuePlan};
use crate::workload::{
    self, Children, Contender, CpuClock, KnownWatchers, Pipes, Ring, Signals, TimerPlan,
};

pub struct Ours;

fn new_loop() -> EvLoop {
    // To see what the counters cost: they are off by default.
    let metrics = std::env::var_os("PEERS_METRICS").is_some();
    EvLoop::builder().metrics(metrics).build().expect("a loop")
}

fn watch_quiet(ev: &mut EvLoop, fd: OwnedFd) -> Io {
    ev.io(fd, Interest::READ, |_, _| {}).start(ev).expect("start")
}

struct Watchers {
    ev: EvLoop,
    watchers: Vec<Io>,
}

impl KnownWatchers for Watchers {
    fn stop(&mut self, index: usize) {
        self.watchers[index].stop(&mut self.ev);
    }

    fn start(&mut self, index: usize) {
        self.watchers[index].start(&mut self.ev).expect("start");
    }

    fn pass(&mut self) {
        self.ev.run_mode(Run::NoWait).expect("run");
    }
}

/// Timers and periodics, of which `periodics` asks the same.
trait Queued: Copy + 'static {
    fn new(ev: &mut EvLoop, fired: Rc<Cell<usize>>) -> Self;
    /// Due after `after`, and then every [`queues::INTERVAL`] if it repeats.
    fn set(self, ev: &mut EvLoop, after: Duration, repeats: bool);
    fn start(self, ev: &mut EvLoop);
    fn stop(self, ev: &mut EvLoop);
}

impl Queued for Timer {
    fn new(ev: &mut EvLoop, fired: Rc<Cell<usize>>) -> Self {
        ev.timer(Duration::ZERO, Duration::ZERO, move |_, _| fired.set(fired.get() + 1))
    }

    fn set(self, ev: &mut EvLoop, after: Duration, repeats: bool) {
        let repeat = if repeats { queues::INTERVAL } else { Duration::ZERO };
        Timer::set(self, ev, after, repeat);
    }

    #[inline]
    fn start(self, ev: &mut EvLoop) {
        Timer::start(self, ev);
    }

    #[inline]
    fn stop(self, ev: &mut EvLoop) {
        Timer::stop(self, ev);
    }
}

impl Queued for Periodic {
    fn new(ev: &mut EvLoop, fired: Rc<Cell<usize>>) -> Self {
        ev.periodic(Schedule::at(UNIX_EPOCH), move |_, _| fired.set(fired.get() + 1))
    }

    fn set(self, ev: &mut EvLoop, after: Duration, repeats: bool) {
        let due = ev.wall_now() + after;
        let schedule = if repeats {
            let since_epoch = due.duration_since(UNIX_EPOCH).expect("it is past 1970");
            let into_interval = since_epoch.as_nanos() % queues::INTERVAL.as_nanos();
            let offset = Duration::from_nanos(into_interval as u64);
            Schedule::every(queues::INTERVAL).offset(offset)
        } else {
            Schedule::at(due)
        };
        Periodic::set(self, ev, schedule);
    }

    #[inline]
    fn start(self, ev: &mut EvLoop) {
        Periodic::start(self, ev);
    }

    #[inline]
    fn stop(self, ev: &mut EvLoop) {
        Periodic::stop(self, ev);
    }
}

struct QueueOf<W: 'static> {
    ev: EvLoop,
    watchers: &'static [W],
    fired: Rc<Cell<usize>>,
}

impl<W: Queued> QueueOf<W> {
    fn new(count: usize) -> Self {
        let (mut ev, fired) = (new_loop(), Rc::<Cell<usize>>::default());
        let watchers: Vec<W> = (0..count).map(|_| W::new(&mut ev, Rc::clone(&fired))).collect();
        Self { ev, watchers: watchers.leak(), fired }
    }
}

impl<W: Queued> Queue for QueueOf<W> {
    fn start_and_stop(&mut self, plan: &'static QueuePlan) -> [f64; 2] {
        let (watchers, spent) = (self.watchers, Rc::<Cell<[f64; 2]>>::default());
        let told = Rc::clone(&spent);
        inside_callback(&mut self.ev, move |ev| {
            for (watcher, &after) in watchers.iter().zip(&plan.far) {
                watcher.set(ev, after, true);
            }
            let clock = CpuClock::start();
            for watcher in watchers {
                watcher.start(ev);
            }
            let start = clock.ns();
            let clock = CpuClock::start();
            for &index in &plan.stop_order {
                watchers[index as usize].stop(ev);
            }
            told.set([start, clock.ns()]);
        });
        spent.get()
    }

    fn start_soon(&mut self, plan: &'static QueuePlan, repeats: bool) {
        let watchers = self.watchers;
        inside_callback(&mut self.ev, move |ev| {
            for (watcher, &after) in watchers.iter().zip(&plan.soon) {
                watcher.set(ev, after, repeats);
                watcher.start(ev);
            }
        });
        self.fired.set(0);
    }

    fn fire(&mut self) {
        while self.fired.get() < self.watchers.len() {
            self.ev.run_mode(Run::Once).expect("run");
        }
        assert_eq!(self.fired.get(), self.watchers.len(), "all that is due fires once");
    }

    fn stop_all(&mut self) {
        for watcher in self.watchers {
            watcher.stop(&mut self.ev);
        }
    }
}

/// Children or files: watchers that say which of them has something to tell.
struct Telling {
    ev: EvLoop,
    told: Rc<RefCell<Vec<usize>>>,
}

impl Telling {
    fn new() -> Self {
        Self { ev: new_loop(), told: Rc::default() }
    }

    /// Several may have been told of in one iteration.
    fn next(&mut self) -> usize {
        loop {
            let told = self.told.borrow_mut().pop();
            match told {
                Some(which) => return which,
                None => _ = self.ev.run().expect("run"),
            }
        }
    }
}

impl Children for Telling {
    fn watch(&mut self, slot: usize, pid: u32) {
        let told = Rc::clone(&self.told);
        let watcher = self.ev.child_pid(pid, move |ev, event| {
            told.borrow_mut().push(slot);
            event.watcher.free(ev);
            ev.break_loop(Break::One);
        });
        watcher.start(&mut self.ev).expect("start");
    }

    fn next_end(&mut self) -> usize {
        self.next()
    }
}

impl Files for Telling {
    fn watch(&mut self, index: usize, path: &Path) {
        let told = Rc::clone(&self.told);
        let watcher = self.ev.stat(path, Duration::ZERO, move |ev, _| {
            told.borrow_mut().push(index);
            ev.break_loop(Break::One);
        });
        watcher.start(&mut self.ev).expect("start");
    }

    fn rest(&mut self, time: Duration) {
        let is_over = Rc::new(Cell::new(false));
        let over = Rc::clone(&is_over);
        self.ev.update_now();
        self.ev.after(time, move |ev| {
            over.set(true);
            ev.break_loop(Break::One);
        });
        while !is_over.get() {
            self.ev.run().expect("run");
        }
        self.told.borrow_mut().clear();
    }

    fn next_seen(&mut self) -> usize {
        self.next()
    }
}

/// Runs `job` inside a callback, where starting a timer reads no clock.
fn inside_callback(ev: &mut EvLoop, job: impl FnOnce(&mut EvLoop) + 'static) {
    ev.after(Duration::ZERO, |ev| {
        job(ev);
        ev.break_loop(Break::One);
    });
    ev.run().expect("run");
}

impl Contender for Ours {
    fn pipes(args: &Pipes) {
        let (ring, readers) = Ring::new(args);
        let mut ev = new_loop();
        for (index, reader) in readers.into_iter().enumerate() {
            let watcher = if args.timeout {
                let idle = ev
                    .timer(workload::IDLE_TIMEOUT, workload::IDLE_TIMEOUT, |_, _| {})
                    .start(&mut ev);
                ev.io(reader, Interest::READ, move |ev, event| {
                    ring.pass_on(index, event.source.as_fd());
                    idle.again(ev);
                    if ring.is_done() {
                        ev.break_loop(Break::One);
                    }
                })
            } else {
                ev.io(reader, Interest::READ, move |ev, event| {
                    ring.pass_on(index, event.source.as_fd());
                    if ring.is_done() {
                        ev.break_loop(Break::One);
                    }
                })
            };
            watcher.start(&mut ev).expect("start");
        }
        ring.measure(args, || {
            ev.run().expect("run");
        });
    }

    fn known_watchers(count: usize) -> impl KnownWatchers {
        let mut ev = new_loop();
        let fds = workload::quiet_descriptors(count);
        let watchers = fds.into_iter().map(|fd| watch_quiet(&mut ev, fd)).collect();
        Watchers { ev, watchers }
    }

    fn timers(count: usize, agains: u64) {
        let plan: &'static mut TimerPlan = Box::leak(Box::new(TimerPlan::new(count)));
        let (soon, far, cancel_order) = (&plan.soon, &plan.far, &plan.cancel_order);
        let random = &mut plan.random;
        let mut ev = new_loop();
        let fired = Rc::new(Cell::new(0));
        let timers: &'static [Timer] = soon
            .iter()
            .map(|&after| {
                let fired = Rc::clone(&fired);
                ev.timer(after, Duration::ZERO, move |_, _| fired.set(fired.get() + 1))
            })
            .collect::<Vec<_>>()
            .leak();

        inside_callback(&mut ev, move |ev| {
            workload::report_mean_cpu("start_ns", count as u64, || {
                for timer in timers {
                    timer.start(ev);
                }
            });
        });
        TimerPlan::sleep_until_due();
        workload::report_mean_cpu("fire_ns", count as u64, || {
            while fired.get() < count {
                ev.run_mode(Run::Once).expect("run");
            }
        });

        inside_callback(&mut ev, move |ev| {
            start_far(ev, timers, far);
            workload::report_mean_cpu("cancel_ns", count as u64, || {
                for &timer in cancel_order {
                    timers[timer as usize].stop(ev);
                }
            });
        });

        inside_callback(&mut ev, move |ev| {
            start_far(ev, timers, far);
            workload::report_mean_cpu("again_ns", agains, || {
                for _ in 0..agains / workload::AGAINS_PER_CLOCK_READ {
                    ev.update_now();
                    for _ in 0..workload::AGAINS_PER_CLOCK_READ {
                        timers[random.below(count as u64) as usize].again(ev);
                    }
                }
            });
        });
    }

    fn ping_pong(round_trips: u64) {
        // Each loop is made in its own thread, since it cannot leave it; the notifiers cross over.
        let side = move |answers: u64,
                         mine: mpsc::Sender<Notifier>,
                         theirs: mpsc::Receiver<Notifier>,
                         begins: bool| {
            let mut ev = new_loop();
            let peer: Rc<Cell<Option<Notifier>>> = Rc::default();
            let mut heard = 0;
            let (watcher, notifier) = {
                let peer = Rc::clone(&peer);
                let mut known = None;
                ev.notifier(move |ev, _| {
                    let peer =
                        known.get_or_insert_with(|| peer.take().expect("set before the first run"));
                    heard += 1;
                    // The side that began hears the last word.
                    if heard <= answers {
                        peer.notify();
                    }
                    if heard == round_trips {
                        ev.break_loop(Break::One);
                    }
                })
            };
            watcher.start(&mut ev);
            mine.send(notifier).expect("the other side listens");
            let other = theirs.recv().expect("the other side speaks");
            if begins {
                assert!(other.notify(), "the other side has started");
            }
            peer.set(Some(other));
            ev.run().expect("run");
        };
        let (to_first, from_second) = mpsc::channel();
        let (to_second, from_first) = mpsc::channel();
        let begin = move || side(round_trips - 1, to_second, from_second, true);
        let answer = move || side(round_trips, to_first, from_first, false);
        workload::measure_ping_pong(round_trips, begin, answer);
    }

    fn coalesced(sends: u64) {
        let mut ev = new_loop();
        let (watcher, notifier) = ev.notifier(|ev, _| ev.break_loop(Break::One));
        watcher.start(&mut ev);
        ev.after(Duration::ZERO, move |_| {
            workload::measure_coalesced(sends, move || {
                assert!(notifier.notify(), "the loop is there")
            });
        });
        ev.run().expect("run");
    }

    fn busy(turns: u64) {
        let mut ev = new_loop();
        for fd in workload::quiet_descriptors(1) {
            watch_quiet(&mut ev, fd);
        }
        let mut turned = 0;
        let idle = ev.idle(move |ev, _| {
            turned += 1;
            if turned == turns {
                ev.break_loop(Break::One);
            }
        });
        idle.start(&mut ev);
        workload::report_mean_cpu("turn_ns", turns, || {
            ev.run().expect("run");
        });
    }

    fn memory(timers: usize, watchers: usize) {
        let mut ev = new_loop();
        workload::report_memory("timer_bytes", timers, || {
            for _ in 0..timers {
                ev.timer(workload::IDLE_TIMEOUT, Duration::ZERO, |_, _| {}).start(&mut ev);
            }
            ev
        });
        let fds = workload::quiet_descriptors(watchers);
        let mut ev = new_loop();
        workload::report_memory("io_bytes", watchers, || {
            for fd in fds {
                watch_quiet(&mut ev, fd);
            }
            ev.run_mode(Run::NoWait).expect("run");
            ev
        });
    }

    fn periodics(live: usize, rounds: u64) {
        let mut timers = QueueOf::<Timer>::new(live);
        let mut periodics = QueueOf::<Periodic>::new(live);
        queues::measure(rounds, QueuePlan::new(live), [&mut timers, &mut periodics]);
    }

    fn signals(signals: &'static Signals) {
        let mut ev = new_loop();
        let watcher = ev.signal(libc::SIGUSR1, move |ev, _| {
            if signals.heard() {
                ev.break_loop(Break::One);
            }
        });
        watcher.start(&mut ev).expect("start");
        signals.measure(|| {
            ev.run().expect("run");
        });
    }

    fn children(exits: u64) {
        workload::measure_children(exits, &mut Telling::new());
    }

    fn stat(files: usize, writes: u64) {
        files::measure(files, writes, &mut Telling::new());
    }

    fn timer_100us(count: u64) {
        const DELAY: Duration = Duration::from_micros(100);
        let mut ev = new_loop();
        let mut fired = 0;
        let timer = ev.timer(DELAY, Duration::ZERO, move |ev, event| {
            fired += 1;
            if fired < count {
                event.watcher.restart(ev, DELAY);
            }
        });
        timer.start(&mut ev);
        workload::report_mean_wall("fire_us", Duration::from_micros(1), count, || {
            ev.run().expect("run");
        });
    }
}

/// Starts all timers with far deadlines; `again` will ask for [`workload::AGAIN_DELAY`].
fn start_far(ev: &mut EvLoop, timers: &[Timer], far: &[Duration]) {
    for (timer, &after) in timers.iter().zip(far) {
        timer.set(ev, after, workload::AGAIN_DELAY).start(ev);
    }
}
