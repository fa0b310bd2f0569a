//! polling: readiness only, level-triggered here (its default, one-shot, would pay for a re-arm per event); no timers;
//! a table of boxed closures stands in for callbacks.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use polling::{Event, Events, PollMode, Poller};

use crate::workload::{self, Contender, KnownWatchers, Pipes, Ring};

pub struct Polling;

struct Loop {
    poller: Poller,
    events: Events,
    callbacks: Vec<Box<dyn FnMut()>>,
}

impl Loop {
    fn new() -> Self {
        Self {
            poller: Poller::new().expect("a poller"),
            events: Events::new(),
            callbacks: Vec::new(),
        }
    }

    fn watch(&mut self, fd: &OwnedFd, callback: Box<dyn FnMut()>) {
        add(&self.poller, fd, self.callbacks.len());
        self.callbacks.push(callback);
    }

    fn turn(&mut self, limit: Option<Duration>) {
        self.events.clear();
        self.poller.wait(&mut self.events, limit).expect("wait");
        for event in self.events.iter() {
            self.callbacks[event.key]();
        }
    }
}

fn add(poller: &Poller, fd: &OwnedFd, index: usize) {
    // SAFETY: every descriptor here outlives its poller's last use of it (deleted first or leaked).
    unsafe { poller.add_with_mode(fd, Event::readable(index), PollMode::Level).expect("add") };
}

struct Descriptors {
    ev: Loop,
    fds: Vec<OwnedFd>,
}

impl KnownWatchers for Descriptors {
    fn stop(&mut self, index: usize) {
        self.ev.poller.delete(&self.fds[index]).expect("delete");
    }

    fn start(&mut self, index: usize) {
        add(&self.ev.poller, &self.fds[index], index);
    }

    fn pass(&mut self) {
        self.ev.turn(Some(Duration::ZERO));
    }
}

impl Contender for Polling {
    fn pipes(args: &Pipes) {
        if args.timeout {
            return workload::unsupported();
        }
        let (ring, readers) = Ring::new(args);
        let mut ev = Loop::new();
        for (index, reader) in readers.into_iter().enumerate() {
            let reader = &*Box::leak(Box::new(reader));
            ev.watch(reader, Box::new(move || ring.pass_on(index, reader.as_fd())));
        }
        ring.measure(args, || {
            while !ring.is_done() {
                ev.turn(None);
            }
        });
    }

    fn known_watchers(count: usize) -> impl KnownWatchers {
        let mut ev = Loop::new();
        let fds = workload::quiet_descriptors(count);
        for fd in &fds {
            ev.watch(fd, Box::new(|| {}));
        }
        Descriptors { ev, fds }
    }

    fn ping_pong(round_trips: u64) {
        let pollers = [0, 1].map(|_| Poller::new().expect("a poller"));
        let side = |me: usize| {
            let mut events = Events::new();
            for heard in 1..=round_trips {
                events.clear();
                pollers[me].wait(&mut events, None).expect("wait");
                // The side that began hears the last word.
                if me == 1 || heard < round_trips {
                    pollers[1 - me].notify().expect("notify");
                }
            }
        };
        let begin = || {
            pollers[1].notify().expect("notify");
            side(0);
        };
        workload::measure_ping_pong(round_trips, begin, || side(1));
    }

    fn coalesced(sends: u64) {
        let poller = Poller::new().expect("a poller");
        workload::measure_coalesced(sends, move || poller.notify().expect("notify"));
    }

    fn busy(turns: u64) {
        let mut ev = Loop::new();
        let quiet = workload::quiet_descriptors(1);
        ev.watch(&quiet[0], Box::new(|| {}));
        workload::report_mean_cpu("turn_ns", turns, || {
            for _ in 0..turns {
                ev.turn(Some(Duration::ZERO));
            }
        });
    }

    fn memory(_timers: usize, watchers: usize) {
        let fds = workload::quiet_descriptors(watchers);
        let mut ev = Loop::new();
        workload::report_memory("io_bytes", watchers, || {
            for fd in &fds {
                ev.watch(fd, Box::new(|| {}));
            }
            ev.turn(Some(Duration::ZERO));
            ev
        });
    }

    fn timer_100us(count: u64) {
        let mut ev = Loop::new();
        workload::report_mean_wall("fire_us", Duration::from_micros(1), count, || {
            for _ in 0..count {
                ev.turn(Some(Duration::from_micros(100)));
            }
        });
    }
}
