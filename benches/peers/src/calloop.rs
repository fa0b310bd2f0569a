//! calloop: sources and callbacks. Its timers are left out of `timers` and `memory`: cancelling one searches the whole
//! queue, so that a million of them would not come to an end.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use calloop::generic::{Generic, NoIoDrop};
use calloop::timer::{TimeoutAction, Timer};
use calloop::{Dispatcher, EventLoop, Interest, LoopHandle, Mode, PostAction, RegistrationToken};

use crate::workload::{self, Contender, KnownWatchers, Pipes, Ring};

pub struct Calloop;

type Loop = EventLoop<'static, ()>;

fn new_loop() -> Loop {
    EventLoop::try_new().expect("a loop")
}

fn watch_quiet(handle: &LoopHandle<'static, ()>, fd: OwnedFd) -> RegistrationToken {
    let source = Generic::new(fd, Interest::READ, Mode::Level);
    handle.insert_source(source, |_, _, _| Ok(PostAction::Continue)).expect("insert")
}

struct Sources {
    ev: Loop,
    tokens: Vec<RegistrationToken>,
}

impl KnownWatchers for Sources {
    fn stop(&mut self, index: usize) {
        self.ev.handle().disable(&self.tokens[index]).expect("disable");
    }

    fn start(&mut self, index: usize) {
        self.ev.handle().enable(&self.tokens[index]).expect("enable");
    }

    fn pass(&mut self) {
        self.ev.dispatch(Duration::ZERO, &mut ()).expect("dispatch");
    }
}

impl Contender for Calloop {
    fn pipes(args: &Pipes) {
        let (ring, readers) = Ring::new(args);
        let mut ev = new_loop();
        let handle = ev.handle();
        for (index, reader) in readers.into_iter().enumerate() {
            let source = Generic::new(reader, Interest::READ, Mode::Level);
            if args.timeout {
                let timer = Timer::from_duration(workload::IDLE_TIMEOUT);
                let timer = Dispatcher::new(timer, |_, _, _: &mut ()| TimeoutAction::Drop);
                let token = handle.register_dispatcher(timer.clone()).expect("insert");
                let of_callback = handle.clone();
                let callback = move |_, reader: &mut NoIoDrop<OwnedFd>, _: &mut ()| {
                    ring.pass_on(index, reader.as_fd());
                    timer.as_source_mut().set_duration(workload::IDLE_TIMEOUT);
                    of_callback.update(&token).expect("update");
                    Ok(PostAction::Continue)
                };
                handle.insert_source(source, callback).expect("insert");
            } else {
                let callback = move |_, reader: &mut NoIoDrop<OwnedFd>, _: &mut ()| {
                    ring.pass_on(index, reader.as_fd());
                    Ok(PostAction::Continue)
                };
                handle.insert_source(source, callback).expect("insert");
            }
        }
        ring.measure(args, || {
            while !ring.is_done() {
                ev.dispatch(None, &mut ()).expect("dispatch");
            }
        });
    }

    fn known_watchers(count: usize) -> impl KnownWatchers {
        let ev = new_loop();
        let fds = workload::quiet_descriptors(count);
        let tokens = fds.into_iter().map(|fd| watch_quiet(&ev.handle(), fd)).collect();
        Sources { ev, tokens }
    }

    fn ping_pong(round_trips: u64) {
        let (wake_first, first_woken) = calloop::ping::make_ping().expect("a ping");
        let (wake_second, second_woken) = calloop::ping::make_ping().expect("a ping");
        let side =
            move |answers: u64, woken: calloop::ping::PingSource, peer: calloop::ping::Ping| {
                let mut ev: EventLoop<'_, u64> = EventLoop::try_new().expect("a loop");
                let callback = move |(), _: &mut (), heard: &mut u64| {
                    *heard += 1;
                    // The side that began hears the last word.
                    if *heard <= answers {
                        peer.ping();
                    }
                };
                ev.handle().insert_source(woken, callback).expect("insert");
                let mut heard = 0;
                while heard < round_trips {
                    ev.dispatch(None, &mut heard).expect("dispatch");
                }
            };
        let begin_with = wake_second.clone();
        let begin = move || {
            begin_with.ping();
            side(round_trips - 1, first_woken, wake_second);
        };
        workload::measure_ping_pong(round_trips, begin, move || {
            side(round_trips, second_woken, wake_first);
        });
    }

    fn coalesced(sends: u64) {
        let mut ev: EventLoop<'static, bool> = EventLoop::try_new().expect("a loop");
        let (ping, woken) = calloop::ping::make_ping().expect("a ping");
        ev.handle()
            .insert_source(woken, |(), &mut (), heard: &mut bool| *heard = true)
            .expect("insert");
        ev.handle().insert_idle(move |_| workload::measure_coalesced(sends, move || ping.ping()));
        let mut heard = false;
        while !heard {
            // Idle callbacks come after the wait, so it must not wait for ever.
            ev.dispatch(Duration::ZERO, &mut heard).expect("dispatch");
        }
    }

    fn busy(turns: u64) {
        let mut ev = new_loop();
        for fd in workload::quiet_descriptors(1) {
            watch_quiet(&ev.handle(), fd);
        }
        workload::report_mean_cpu("turn_ns", turns, || {
            for _ in 0..turns {
                ev.dispatch(Duration::ZERO, &mut ()).expect("dispatch");
            }
        });
    }

    fn memory(_timers: usize, watchers: usize) {
        let fds = workload::quiet_descriptors(watchers);
        let mut ev = new_loop();
        workload::report_memory("io_bytes", watchers, || {
            for fd in fds {
                watch_quiet(&ev.handle(), fd);
            }
            ev.dispatch(Duration::ZERO, &mut ()).expect("dispatch");
            ev
        });
    }

    fn timer_100us(count: u64) {
        const DELAY: Duration = Duration::from_micros(100);
        let mut ev: EventLoop<'static, u64> = EventLoop::try_new().expect("a loop");
        let callback = |_: Instant, _: &mut (), fired: &mut u64| {
            *fired += 1;
            TimeoutAction::ToDuration(DELAY)
        };
        ev.handle().insert_source(Timer::from_duration(DELAY), callback).expect("insert");
        let mut fired = 0;
        workload::report_mean_wall("fire_us", Duration::from_micros(1), count, || {
            while fired < count {
                ev.dispatch(None, &mut fired).expect("dispatch");
            }
        });
    }
}
