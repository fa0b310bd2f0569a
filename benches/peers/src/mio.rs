//! mio: readiness only, edge-triggered; no timers, no callbacks (a table of boxed closures stands in, as a user of it
//! would write), no stop short of deregistering.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token, Waker};

use crate::workload::{self, Contender, KnownWatchers, Pipes, Ring};

pub struct Mio;

struct Loop {
    poll: Poll,
    events: Events,
    callbacks: Vec<Box<dyn FnMut()>>,
}

impl Loop {
    fn new() -> Self {
        Self {
            poll: Poll::new().expect("a poll"),
            events: Events::with_capacity(1024),
            callbacks: Vec::new(),
        }
    }

    fn watch(&mut self, fd: &impl AsRawFd, callback: Box<dyn FnMut()>) {
        register(&self.poll, fd, self.callbacks.len());
        self.callbacks.push(callback);
    }

    fn turn(&mut self, limit: Option<Duration>) {
        self.poll.poll(&mut self.events, limit).expect("poll");
        for event in &self.events {
            self.callbacks[event.token().0]();
        }
    }
}

fn register(poll: &Poll, fd: &impl AsRawFd, index: usize) {
    let fd = fd.as_raw_fd();
    poll.registry()
        .register(&mut SourceFd(&fd), Token(index), Interest::READABLE)
        .expect("register");
}

struct Descriptors {
    ev: Loop,
    fds: Vec<OwnedFd>,
}

impl KnownWatchers for Descriptors {
    fn stop(&mut self, index: usize) {
        let fd = self.fds[index].as_raw_fd();
        self.ev.poll.registry().deregister(&mut SourceFd(&fd)).expect("deregister");
    }

    fn start(&mut self, index: usize) {
        register(&self.ev.poll, &self.fds[index], index);
    }

    fn pass(&mut self) {
        self.ev.turn(Some(Duration::ZERO));
    }
}

impl Contender for Mio {
    fn pipes(args: &Pipes) {
        if args.timeout {
            return workload::unsupported();
        }
        let (ring, readers) = Ring::new(args);
        let mut ev = Loop::new();
        for (index, reader) in readers.into_iter().enumerate() {
            let reader = &*Box::leak(Box::new(reader));
            ev.watch(reader, Box::new(move || ring.pass_all_on(index, reader.as_fd())));
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
        let mut polls = [Poll::new().expect("a poll"), Poll::new().expect("a poll")];
        let wakers =
            [0, 1].map(|side| Waker::new(polls[side].registry(), Token(0)).expect("a waker"));
        let wakers: &'static [Waker; 2] = Box::leak(Box::new(wakers));
        let side = move |me: usize, poll: &mut Poll| {
            let mut events = Events::with_capacity(1024);
            for heard in 1..=round_trips {
                poll.poll(&mut events, None).expect("poll");
                // The side that began hears the last word.
                if me == 1 || heard < round_trips {
                    wakers[1 - me].wake().expect("wake");
                }
            }
        };
        let [first, second] = &mut polls;
        let begin = || {
            wakers[1].wake().expect("wake");
            side(0, first);
        };
        workload::measure_ping_pong(round_trips, begin, || side(1, second));
    }

    fn coalesced(sends: u64) {
        let poll = Poll::new().expect("a poll");
        let waker = Waker::new(poll.registry(), Token(0)).expect("a waker");
        workload::measure_coalesced(sends, move || waker.wake().expect("wake"));
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
