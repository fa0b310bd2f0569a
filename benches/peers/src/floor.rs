//! The floor: an epoll loop with a table of boxed callbacks, a 4-ary heap of deadlines, and nothing else. No stop in a
//! callback, no priorities, no safety against stale events. What a library costs is what it adds to this.

use std::cell::Cell;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::sync::OnceLock;
use std::time::{Duration, Instant};
use std::{io, ptr};

use crate::workload::{self, Children, Contender, KnownWatchers, Pipes, Ring, Signals, TimerPlan};

pub struct Floor;

type Callback = Box<dyn FnMut(&mut Timers)>;

struct Loop {
    epoll: OwnedFd,
    callbacks: Vec<Callback>,
    timers: Timers,
    events: Vec<libc::epoll_event>,
}

impl Loop {
    fn new() -> Self {
        Self {
            // SAFETY: no preconditions; the number that comes back belongs to nobody else.
            epoll: unsafe {
                OwnedFd::from_raw_fd(checked(libc::epoll_create1(libc::EPOLL_CLOEXEC)))
            },
            callbacks: Vec::new(),
            timers: Timers::default(),
            events: vec![libc::epoll_event { events: 0, u64: 0 }; 1024],
        }
    }

    fn watch(&mut self, fd: BorrowedFd<'_>, interest: i32, callback: Callback) {
        self.control(libc::EPOLL_CTL_ADD, fd.as_raw_fd(), interest, self.callbacks.len());
        self.callbacks.push(callback);
    }

    fn control(&self, operation: i32, fd: RawFd, interest: i32, index: usize) {
        let mut event = libc::epoll_event { events: interest as u32, u64: index as u64 };
        // SAFETY: `event` outlives the call; a bad number is an error, which is checked.
        checked(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, fd, &mut event) });
    }

    /// One turn: wait for at most `limit` (for ever without one) or until the first deadline, call what is ready.
    fn turn(&mut self, limit: Option<Duration>) {
        let limit_ns = limit.map(|limit| limit.as_nanos() as u64);
        let wait_ns = match self.timers.next_look() {
            Some(due) => {
                Some(limit_ns.unwrap_or(u64::MAX).min(due.saturating_sub(self.timers.read_clock())))
            }
            None => limit_ns,
        };
        let ready = self.wait(wait_ns);
        for position in 0..ready {
            let index = self.events[position].u64 as usize;
            self.callbacks[index](&mut self.timers);
        }
        if !self.timers.heap.is_empty() {
            self.timers.read_clock();
            self.timers.fire_due();
        }
    }

    fn wait(&mut self, wait_ns: Option<u64>) -> usize {
        let timeout = match wait_ns {
            None => -1,
            Some(0) => 0,
            Some(ns) if ns % 1_000_000 != 0 => return self.wait_precisely(ns),
            Some(ns) => (ns / 1_000_000) as i32,
        };
        let (events, room) = (self.events.as_mut_ptr(), self.events.len() as i32);
        // SAFETY: `events` has `room` places.
        let ready = unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), events, room, timeout) };
        if ready < 0 && io::Error::last_os_error().kind() == io::ErrorKind::Interrupted {
            return 0;
        }
        checked(ready) as usize
    }

    fn wait_precisely(&mut self, ns: u64) -> usize {
        let limit = libc::timespec {
            tv_sec: (ns / 1_000_000_000) as i64,
            tv_nsec: (ns % 1_000_000_000) as i64,
        };
        let (events, room) = (self.events.as_mut_ptr(), self.events.len());
        let no_mask = ptr::null::<libc::sigset_t>();
        // SAFETY: `events` has `room` places, `limit` outlives the call, a null mask leaves the mask alone.
        let ready = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.as_raw_fd(),
                events,
                room,
                &limit,
                no_mask,
                0usize,
            )
        };
        if ready < 0 && io::Error::last_os_error().raw_os_error() == Some(libc::ENOSYS) {
            // Under valgrind, which does not know the call.
            return self.wait(Some(ns.div_ceil(1_000_000) * 1_000_000));
        }
        checked(ready as i32) as usize
    }
}

fn checked(result: i32) -> i32 {
    assert!(result >= 0, "{}", io::Error::last_os_error());
    result
}

/// Deadlines in a 4-ary heap, the key beside the index so that comparing touches nothing else. Moving a timer to later
/// only writes it down; the heap finds out when the old deadline has passed.
struct Timers {
    start: Instant,
    now: u64,
    heap: Vec<Deadline>,
    slots: Vec<Slot>,
    /// One function for all, told which timer it is.
    fired: fn(u32),
}

#[derive(Clone, Copy)]
struct Deadline {
    due: u64,
    timer: u32,
}

/// What is known of one timer.
#[derive(Clone, Copy)]
struct Slot {
    /// When it is due; the heap may still hold an earlier time.
    due: u64,
    /// Its place in the heap.
    place: u32,
}

const ARITY: usize = 4;

impl Default for Timers {
    fn default() -> Self {
        Self { start: Instant::now(), now: 0, heap: Vec::new(), slots: Vec::new(), fired: |_| {} }
    }
}

impl Timers {
    fn read_clock(&mut self) -> u64 {
        self.now = self.start.elapsed().as_nanos() as u64;
        self.now
    }

    /// When to look at the heap again: at the first deadline, or earlier where that has been moved to later.
    fn next_look(&self) -> Option<u64> {
        self.heap.first().map(|first| first.due)
    }

    /// Starts timer number `timer`, which must not be running.
    fn add(&mut self, timer: u32, after: u64) {
        let due = self.now + after;
        if self.slots.len() <= timer as usize {
            self.slots.resize(timer as usize + 1, Slot { due, place: 0 });
        }
        self.slots[timer as usize].due = due;
        let deadline = Deadline { due, timer };
        self.heap.push(deadline);
        self.sift_up(self.heap.len() - 1, deadline);
    }

    fn remove(&mut self, timer: u32) {
        let place = self.slots[timer as usize].place as usize;
        let last = self.heap.pop().expect("the timer is running");
        if place < self.heap.len() {
            self.settle(place, last);
        }
    }

    /// Moves a running timer to `after` from now, which must not be earlier than it was due.
    fn again(&mut self, timer: u32, after: u64) {
        self.slots[timer as usize].due = self.now + after;
    }

    fn fire_due(&mut self) {
        while let Some(&Deadline { due, timer }) = self.heap.first() {
            if due > self.now {
                break;
            }
            let moved = self.slots[timer as usize].due;
            if moved > due {
                self.sift_down(0, Deadline { due: moved, timer });
            } else {
                self.remove(timer);
                (self.fired)(timer);
            }
        }
    }

    fn settle(&mut self, place: usize, deadline: Deadline) {
        if place > 0 && self.heap[(place - 1) / ARITY].due > deadline.due {
            self.sift_up(place, deadline);
        } else {
            self.sift_down(place, deadline);
        }
    }

    fn sift_up(&mut self, mut place: usize, deadline: Deadline) {
        while place > 0 {
            let parent = (place - 1) / ARITY;
            if self.heap[parent].due <= deadline.due {
                break;
            }
            self.put(place, self.heap[parent]);
            place = parent;
        }
        self.put(place, deadline);
    }

    fn sift_down(&mut self, mut place: usize, deadline: Deadline) {
        loop {
            let first_child = place * ARITY + 1;
            let children = first_child..(first_child + ARITY).min(self.heap.len());
            let Some(least) = children.min_by_key(|&child| self.heap[child].due) else {
                break;
            };
            if deadline.due <= self.heap[least].due {
                break;
            }
            self.put(place, self.heap[least]);
            place = least;
        }
        self.put(place, deadline);
    }

    fn put(&mut self, place: usize, deadline: Deadline) {
        self.heap[place] = deadline;
        self.slots[deadline.timer as usize].place = place as u32;
    }
}

struct Descriptors {
    ev: Loop,
    fds: Vec<OwnedFd>,
}

impl KnownWatchers for Descriptors {
    fn stop(&mut self, index: usize) {
        self.ev.control(libc::EPOLL_CTL_DEL, self.fds[index].as_raw_fd(), 0, index);
    }

    fn start(&mut self, index: usize) {
        self.ev.control(libc::EPOLL_CTL_ADD, self.fds[index].as_raw_fd(), libc::EPOLLIN, index);
    }

    fn pass(&mut self) {
        self.ev.turn(Some(Duration::ZERO));
    }
}

/// An eventfd that is never read: edge-triggered, every write wakes.
fn wake_channel() -> OwnedFd {
    // SAFETY: no preconditions; the number that comes back belongs to nobody else.
    unsafe {
        OwnedFd::from_raw_fd(checked(libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK)))
    }
}

fn wake(channel: &OwnedFd) {
    let one = 1u64;
    // SAFETY: the eight bytes of `one` outlive the call.
    let written = unsafe { libc::write(channel.as_raw_fd(), (&raw const one).cast(), 8) };
    assert_eq!(written, 8, "{}", io::Error::last_os_error());
}

/// A descriptor per child, readable when it has ended.
struct ChildDescriptors {
    epoll: OwnedFd,
    children: Vec<Option<OwnedFd>>,
}

impl Children for ChildDescriptors {
    fn watch(&mut self, slot: usize, pid: u32) {
        // SAFETY: no preconditions; the descriptor that comes back belongs to nobody else.
        let child = unsafe {
            OwnedFd::from_raw_fd(checked(libc::syscall(libc::SYS_pidfd_open, pid, 0) as i32))
        };
        let mut event = libc::epoll_event { events: libc::EPOLLIN as u32, u64: slot as u64 };
        let (epoll, fd) = (self.epoll.as_raw_fd(), child.as_raw_fd());
        // SAFETY: `event` outlives the call.
        checked(unsafe { libc::epoll_ctl(epoll, libc::EPOLL_CTL_ADD, fd, &mut event) });
        if self.children.len() <= slot {
            self.children.resize_with(slot + 1, || None);
        }
        self.children[slot] = Some(child);
    }

    fn next_end(&mut self) -> usize {
        let mut event = libc::epoll_event { events: 0, u64: 0 };
        // SAFETY: `event` has room for the one event asked for.
        checked(unsafe { libc::epoll_wait(self.epoll.as_raw_fd(), &mut event, 1, -1) });
        let slot = event.u64 as usize;
        let child = self.children[slot].take().expect("a watched child");
        // SAFETY: zeros are a valid siginfo_t, which the call fills.
        unsafe {
            let mut told: libc::siginfo_t = std::mem::zeroed();
            let fd = child.as_raw_fd() as libc::id_t;
            checked(libc::waitid(libc::P_PIDFD, fd, &mut told, libc::WEXITED));
        }
        // Closing would not remove it from the set: children forked since then hold copies of it.
        let fd = child.as_raw_fd();
        // SAFETY: `event` outlives the call, which ignores it.
        checked(unsafe {
            libc::epoll_ctl(self.epoll.as_raw_fd(), libc::EPOLL_CTL_DEL, fd, &mut event)
        });
        slot
    }
}

/// What the handler of signals writes to.
static SIGNALLED: OnceLock<OwnedFd> = OnceLock::new();

extern "C" fn note_signal(_: libc::c_int) {
    if let Some(channel) = SIGNALLED.get() {
        wake(channel);
    }
}

impl Contender for Floor {
    fn pipes(args: &Pipes) {
        let (ring, readers) = Ring::new(args);
        let mut ev = Loop::new();
        for (index, reader) in readers.into_iter().enumerate() {
            let reader: &'static OwnedFd = Box::leak(Box::new(reader));
            let reader = reader.as_fd();
            if args.timeout {
                let idle = workload::IDLE_TIMEOUT.as_nanos() as u64;
                ev.timers.add(index as u32, idle);
                let callback = move |timers: &mut Timers| {
                    ring.pass_on(index, reader);
                    timers.again(index as u32, idle);
                };
                ev.watch(reader, libc::EPOLLIN, Box::new(callback));
            } else {
                ev.watch(reader, libc::EPOLLIN, Box::new(move |_| ring.pass_on(index, reader)));
            }
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
            ev.watch(fd.as_fd(), libc::EPOLLIN, Box::new(|_| {}));
        }
        Descriptors { ev, fds }
    }

    fn timers(count: usize, agains: u64) {
        let mut plan = TimerPlan::new(count);
        let (soon, far): (Vec<u64>, Vec<u64>) = plan
            .soon
            .iter()
            .zip(&plan.far)
            .map(|(soon, far)| (soon.as_nanos() as u64, far.as_nanos() as u64))
            .unzip();
        let mut timers = Timers::default();

        timers.read_clock();
        workload::report_mean_cpu("start_ns", count as u64, || {
            for (timer, &after) in soon.iter().enumerate() {
                timers.add(timer as u32, after);
            }
        });
        TimerPlan::sleep_until_due();
        workload::report_mean_cpu("fire_ns", count as u64, || {
            timers.read_clock();
            timers.fire_due();
        });
        assert!(timers.heap.is_empty(), "every timer has fired");

        let start_far = |timers: &mut Timers| {
            for (timer, &after) in far.iter().enumerate() {
                timers.add(timer as u32, after);
            }
        };
        start_far(&mut timers);
        workload::report_mean_cpu("cancel_ns", count as u64, || {
            for &timer in &plan.cancel_order {
                timers.remove(timer);
            }
        });

        start_far(&mut timers);
        workload::report_mean_cpu("again_ns", agains, || {
            for _ in 0..agains / workload::AGAINS_PER_CLOCK_READ {
                timers.read_clock();
                for _ in 0..workload::AGAINS_PER_CLOCK_READ {
                    let timer = plan.random.below(count as u64) as u32;
                    timers.again(timer, workload::AGAIN_DELAY.as_nanos() as u64);
                }
            }
        });
    }

    fn ping_pong(round_trips: u64) {
        let channels: &'static [OwnedFd; 2] = Box::leak(Box::new([wake_channel(), wake_channel()]));
        // Each side answers what it hears; the first one starts and hears the last.
        let side = move |me: usize| {
            let mut ev = Loop::new();
            ev.watch(
                channels[me].as_fd(),
                libc::EPOLLIN | libc::EPOLLET,
                Box::new(move |_| wake(&channels[1 - me])),
            );
            for _ in 1..round_trips {
                ev.turn(None);
            }
            ev.callbacks[0] = Box::new(move |_| {
                if me == 1 {
                    wake(&channels[0])
                }
            });
            ev.turn(None);
        };
        let begin = move || {
            wake(&channels[1]);
            side(0);
        };
        workload::measure_ping_pong(round_trips, begin, move || side(1));
    }

    fn busy(turns: u64) {
        let mut ev = Loop::new();
        let quiet = workload::quiet_descriptors(1);
        ev.watch(quiet[0].as_fd(), libc::EPOLLIN, Box::new(|_| {}));
        workload::report_mean_cpu("turn_ns", turns, || {
            for _ in 0..turns {
                ev.turn(Some(Duration::ZERO));
            }
        });
    }

    fn memory(timers: usize, watchers: usize) {
        workload::report_memory("timer_bytes", timers, || {
            let mut heap = Timers::default();
            for timer in 0..timers {
                heap.add(timer as u32, workload::IDLE_TIMEOUT.as_nanos() as u64);
            }
            heap
        });
        let fds = workload::quiet_descriptors(watchers);
        let mut ev = Loop::new();
        workload::report_memory("io_bytes", watchers, || {
            for fd in &fds {
                ev.watch(fd.as_fd(), libc::EPOLLIN, Box::new(|_| {}));
            }
            ev.turn(Some(Duration::ZERO));
            ev
        });
    }

    fn signals(signals: &'static Signals) {
        let channel = SIGNALLED.get_or_init(wake_channel);
        // SAFETY: zeros are a valid action; the handler only writes to a descriptor that stays open.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = note_signal as extern "C" fn(libc::c_int) as usize;
            action.sa_flags = libc::SA_RESTART;
            checked(libc::sigaction(libc::SIGUSR1, &action, ptr::null_mut()));
        }
        let is_over: &'static Cell<bool> = Box::leak(Box::default());
        let mut ev = Loop::new();
        let callback = move |_: &mut Timers| is_over.set(signals.heard());
        ev.watch(channel.as_fd(), libc::EPOLLIN | libc::EPOLLET, Box::new(callback));
        signals.measure(|| {
            is_over.set(false);
            while !is_over.get() {
                ev.turn(None);
            }
        });
    }

    fn children(exits: u64) {
        let epoll = Loop::new().epoll;
        workload::measure_children(exits, &mut ChildDescriptors { epoll, children: Vec::new() });
    }

    fn timer_100us(count: u64) {
        let mut ev = Loop::new();
        workload::report_mean_wall("fire_us", Duration::from_micros(1), count, || {
            for _ in 0..count {
                ev.wait_precisely(100_000);
            }
        });
    }
}
