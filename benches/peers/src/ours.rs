//! evloop itself.

use std::cell::Cell;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::mpsc;
use std::time::Duration;

use evloop::{Break, EvLoop, Interest, Io, Notifier, Run, Timer};

use crate::workload::{self, Contender, KnownWatchers, Pipes, Ring, TimerPlan};

pub struct Ours;

fn new_loop() -> EvLoop {
    EvLoop::new().expect("a loop")
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
