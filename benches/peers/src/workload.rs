//! What every contender does, and the parts of it that must be the same for all: the ring of socket pairs, the
//! random deadlines, the clocks and the way figures are printed. `c/harness.h` is this file for the C programs.

use std::cell::Cell;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::Ordering::{Relaxed, SeqCst};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::{Duration, Instant};

pub const USAGE: &str = "pipes PAIRS ACTIVE WRITES ROUNDS [--timeout] | addremove WATCHERS ROUNDS | toggle WATCHERS ROUNDS \
     | timers COUNT AGAINS | pingpong ROUND_TRIPS | coalesced SENDS | busy TURNS | memory TIMERS WATCHERS | timer100us COUNT \
     | periodics LIVE ROUNDS | signals ROUND_TRIPS | storm KILLS | children EXITS \
     | stat FILES WRITES";

/// The time-out that `pipes --timeout` re-arms for every event: never due, always there.
pub const IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// How many `again` share one reading of the clock; a loop re-reads it once per iteration, not once per event.
pub const AGAINS_PER_CLOCK_READ: u64 = 1000;

/// The delay that every `again` asks for, later than any deadline that a `timers` run starts with.
pub const AGAIN_DELAY: Duration = Duration::from_secs(60);

pub enum Workload {
    /// The classic: `active` tokens walk through a ring of socket pairs, `writes` steps per round.
    Pipes(Pipes),
    /// Stop known io watchers, start them again.
    AddRemove { watchers: usize, rounds: u64 },
    /// Stop and start known io watchers between two waits.
    Toggle { watchers: usize, rounds: u64 },
    /// Start, fire, cancel and re-arm very many timers.
    Timers { count: usize, agains: u64 },
    /// Two loops in two threads wake each other.
    PingPong { round_trips: u64 },
    /// Wake a loop that is inside a callback, again and again.
    Coalesced { sends: u64 },
    /// Turns of a loop that never has to wait.
    Busy { turns: u64 },
    /// Resident memory per started timer and io watcher.
    Memory { timers: usize, watchers: usize },
    /// How long a 100 µs timer really takes.
    Timer100us { count: u64 },
    /// Start, fire and stop periodics, and timers beside them.
    Periodics { live: usize, rounds: u64 },
    /// Signals, each sent when the one before it has been heard.
    Signals { round_trips: u64 },
    /// Signals as fast as another process can send them.
    Storm { kills: u64 },
    /// Exits of children, beside few and many others.
    Children { exits: u64 },
    /// Watchers of as many files of one directory: at rest, and when one is written to.
    Stat { files: usize, writes: u64 },
}

#[derive(Clone, Copy)]
pub struct Pipes {
    pub pairs: usize,
    pub active: usize,
    pub writes: u64,
    pub rounds: u64,
    pub timeout: bool,
}

impl Workload {
    pub fn parse(args: &[String]) -> Result<Workload, String> {
        let (timeout, args): (Vec<_>, Vec<_>) = args.iter().partition(|arg| *arg == "--timeout");
        let timeout = !timeout.is_empty();
        let (name, numbers) = args.split_first().ok_or("which workload?")?;
        let numbers = numbers
            .iter()
            .map(|text| text.parse::<u64>().map_err(|_| format!("{text:?} is not a number")))
            .collect::<Result<Vec<_>, _>>()?;
        if timeout && *name != "pipes" {
            return Err("--timeout belongs to pipes".into());
        }
        match (name.as_str(), numbers.as_slice()) {
            ("pipes", &[pairs, active, writes, rounds]) if 0 < active && active <= pairs => {
                Ok(Workload::Pipes(Pipes {
                    pairs: pairs as usize,
                    active: active as usize,
                    writes,
                    rounds,
                    timeout,
                }))
            }
            ("addremove", &[watchers, rounds]) => {
                Ok(Workload::AddRemove { watchers: watchers as usize, rounds })
            }
            ("toggle", &[watchers, rounds]) => {
                Ok(Workload::Toggle { watchers: watchers as usize, rounds })
            }
            ("timers", &[count, agains]) => Ok(Workload::Timers { count: count as usize, agains }),
            ("pingpong", &[round_trips]) => Ok(Workload::PingPong { round_trips }),
            ("coalesced", &[sends]) => Ok(Workload::Coalesced { sends }),
            ("busy", &[turns]) => Ok(Workload::Busy { turns }),
            ("memory", &[timers, watchers]) => {
                Ok(Workload::Memory { timers: timers as usize, watchers: watchers as usize })
            }
            ("timer100us", &[count]) => Ok(Workload::Timer100us { count }),
            ("periodics", &[live, rounds]) if live > 0 && rounds > 0 => {
                Ok(Workload::Periodics { live: live as usize, rounds })
            }
            ("signals", &[round_trips]) => Ok(Workload::Signals { round_trips }),
            ("storm", &[kills]) if kills > 2 => Ok(Workload::Storm { kills }),
            ("children", &[exits]) if exits > 0 => Ok(Workload::Children { exits }),
            ("stat", &[files, writes]) if files > 0 && writes > 0 => {
                Ok(Workload::Stat { files: files as usize, writes })
            }
            _ => Err(format!("bad workload or wrong numbers: {name}")),
        }
    }
}

/// One event loop library. What it cannot do it leaves out, and the table gets a dash.
pub trait Contender {
    fn pipes(args: &Pipes);
    fn known_watchers(count: usize) -> impl KnownWatchers;
    fn timers(_count: usize, _agains: u64) {
        unsupported();
    }
    fn ping_pong(_round_trips: u64) {
        unsupported();
    }
    fn coalesced(_sends: u64) {
        unsupported();
    }
    fn busy(_turns: u64) {
        unsupported();
    }
    fn memory(_timers: usize, _watchers: usize) {
        unsupported();
    }
    fn timer_100us(_count: u64) {
        unsupported();
    }
    fn periodics(_live: usize, _rounds: u64) {
        unsupported();
    }
    /// Watches `SIGUSR1`, calls [`Signals::heard`] for it, and hands [`Signals::measure`] what runs the loop until
    /// that was true.
    fn signals(_signals: &'static Signals) {
        unsupported();
    }
    fn children(_exits: u64) {
        unsupported();
    }
    fn stat(_files: usize, _writes: u64) {
        unsupported();
    }

    fn run(workload: &Workload) {
        match *workload {
            Workload::Pipes(ref args) => Self::pipes(args),
            Workload::AddRemove { watchers, rounds } => {
                measure_add_remove(watchers, rounds, &mut Self::known_watchers(watchers));
            }
            Workload::Toggle { watchers, rounds } => {
                measure_toggle(watchers, rounds, &mut Self::known_watchers(watchers));
            }
            Workload::Timers { count, agains } => Self::timers(count, agains),
            Workload::PingPong { round_trips } => Self::ping_pong(round_trips),
            Workload::Coalesced { sends } => Self::coalesced(sends),
            Workload::Busy { turns } => Self::busy(turns),
            Workload::Memory { timers, watchers } => Self::memory(timers, watchers),
            Workload::Timer100us { count } => Self::timer_100us(count),
            Workload::Periodics { live, rounds } => Self::periodics(live, rounds),
            Workload::Signals { round_trips } => Self::signals(Signals::trips(round_trips)),
            Workload::Children { exits } => Self::children(exits),
            Workload::Stat { files, writes } => Self::stat(files, writes),
            Workload::Storm { kills } => Self::signals(Signals::storm(kills)),
        }
    }
}

/// Prints one figure.
pub fn report(key: &str, value: f64) {
    println!("{key}={value:.3}");
}

/// Says that this contender has nothing of the kind.
pub fn unsupported() {
    println!("unsupported=1");
}

// ---- clocks --------------------------------------------------------------------------------------------------

/// Processor time of the whole process, user and system: what a noisy machine disturbs least.
pub struct CpuClock(u64);

impl CpuClock {
    pub fn start() -> Self {
        Self(cpu_ns(libc::CLOCK_PROCESS_CPUTIME_ID))
    }

    pub fn ns(&self) -> f64 {
        (cpu_ns(libc::CLOCK_PROCESS_CPUTIME_ID) - self.0) as f64
    }
}

/// Processor time of the calling thread.
pub struct ThreadClock(u64);

impl ThreadClock {
    pub fn start() -> Self {
        Self(cpu_ns(libc::CLOCK_THREAD_CPUTIME_ID))
    }

    pub fn ns(&self) -> f64 {
        (cpu_ns(libc::CLOCK_THREAD_CPUTIME_ID) - self.0) as f64
    }
}

fn cpu_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place for one timespec.
    let done = unsafe { libc::clock_gettime(clock, &mut time) };
    assert_eq!(done, 0, "clock_gettime: {}", io::Error::last_os_error());
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

// ---- memory --------------------------------------------------------------------------------------------------

pub fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").expect("/proc is mounted");
    let pages: f64 = statm
        .split(' ')
        .nth(1)
        .and_then(|field| field.parse().ok())
        .expect("statm has a second field");
    // SAFETY: sysconf has no preconditions.
    pages * unsafe { libc::sysconf(libc::_SC_PAGESIZE) } as f64
}

/// Reports what `build` left resident, per piece. What it built must stay alive until this returns, so it is leaked.
pub fn report_memory<T>(key: &str, pieces: usize, build: impl FnOnce() -> T) {
    let before = resident_bytes();
    std::mem::forget(build());
    report(key, (resident_bytes() - before) / pieces as f64);
}

// ---- randomness ----------------------------------------------------------------------------------------------

/// The same numbers for every contender and every run (xorshift64*).
pub struct Random(u64);

impl Random {
    pub fn new() -> Self {
        Self(0x9E37_79B9_7F4A_7C15)
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    pub fn below(&mut self, limit: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(limit)) >> 64) as u64
    }
}

/// What a `timers` run does to its timers, drawn before any clock runs.
///
/// 1. start all with deadlines within one second, sleep that second, fire all in one go (waiting between them would
///    charge a precise loop for more waits than a coarse one);
/// 2. start all with far deadlines, stop them in random order;
/// 3. start all with far deadlines, `again` random ones to a minute from now, which is behind all others.
pub struct TimerPlan {
    pub soon: Vec<Duration>,
    pub far: Vec<Duration>,
    pub cancel_order: Vec<u32>,
    pub random: Random,
}

impl TimerPlan {
    pub fn new(count: usize) -> Self {
        let mut random = Random::new();
        let soon = (0..count).map(|_| Duration::from_nanos(random.below(1_000_000_000))).collect();
        let far = (0..count)
            .map(|_| Duration::from_nanos(10_000_000_000 + random.below(50_000_000_000)))
            .collect();
        let mut cancel_order: Vec<u32> = (0..count as u32).collect();
        for last in (1..count).rev() {
            cancel_order.swap(last, random.below(last as u64 + 1) as usize);
        }
        Self { soon, far, cancel_order, random }
    }

    /// Waits, outside any loop, until every `soon` timer is due.
    pub fn sleep_until_due() {
        std::thread::sleep(Duration::from_millis(1100));
    }
}

// ---- the ring of socket pairs --------------------------------------------------------------------------------

/// The socket pairs of `pipes`. A token is a byte; reading one at pair *i* writes one to pair *i + 1*, while writes
/// remain. One ring per process, leaked, so that callbacks capture a plain reference.
///
/// The counters are atomics only so that a runtime that asks for `Send` accepts the callbacks; loads and stores are
/// relaxed and never read-modify-write, so they cost what plain fields cost.
pub struct Ring {
    writers: Vec<OwnedFd>,
    active: usize,
    writes_per_round: u64,
    writes_left: AtomicU64,
    events: AtomicU64,
    events_due: AtomicU64,
}

impl Ring {
    /// The ring and its reading ends, in order.
    pub fn new(args: &Pipes) -> (&'static Ring, Vec<OwnedFd>) {
        let (readers, writers) = (0..args.pairs).map(|_| socket_pair()).unzip();
        let ring = Ring {
            writers,
            active: args.active,
            writes_per_round: args.writes,
            writes_left: AtomicU64::new(0),
            events: AtomicU64::new(0),
            events_due: AtomicU64::new(0),
        };
        (Box::leak(Box::new(ring)), readers)
    }

    /// Puts the tokens in, evenly spaced.
    fn begin_round(&self) {
        self.writes_left.store(self.writes_per_round, Relaxed);
        self.events_due
            .store(self.events.load(Relaxed) + self.writes_per_round + self.active as u64, Relaxed);
        for token in 0..self.active {
            self.write_to(token * self.writers.len() / self.active);
        }
    }

    /// Whether every token of this round has been read.
    pub fn is_done(&self) -> bool {
        self.events.load(Relaxed) == self.events_due.load(Relaxed)
    }

    /// The callback of a level-triggered watcher: reads one byte of pair `index` and passes it on.
    #[inline]
    pub fn pass_on(&self, index: usize, reader: BorrowedFd<'_>) {
        let mut byte = 0u8;
        // SAFETY: `byte` is a valid place for the one byte asked for.
        let got = unsafe { libc::recv(reader.as_raw_fd(), (&raw mut byte).cast(), 1, 0) };
        assert!(got == 1, "recv gave {got}");
        self.passed(index);
    }

    /// The same for an edge-triggered one: a pair that several tokens have reached reports itself only once, so take
    /// what is there. Every byte counts as an event.
    #[inline]
    pub fn pass_all_on(&self, index: usize, reader: BorrowedFd<'_>) {
        let mut bytes = [0u8; 16];
        loop {
            // SAFETY: `bytes` is a valid place for as many bytes as are asked for.
            let got = unsafe {
                libc::recv(reader.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), 0)
            };
            assert!(got > 0, "recv gave {got}");
            for _ in 0..got {
                self.passed(index);
            }
            // A short read has emptied the socket; only a full buffer leaves doubt.
            if (got as usize) < bytes.len() || !is_readable(reader) {
                break;
            }
        }
    }

    /// A byte of pair `index` has been read: count it and write the next.
    #[inline]
    pub fn passed(&self, index: usize) {
        self.events.store(self.events.load(Relaxed) + 1, Relaxed);
        let left = self.writes_left.load(Relaxed);
        if left > 0 {
            self.writes_left.store(left - 1, Relaxed);
            let next = index + 1;
            self.write_to(if next == self.writers.len() { 0 } else { next });
        }
    }

    #[inline]
    fn write_to(&self, index: usize) {
        // SAFETY: the one byte is a constant.
        let sent =
            unsafe { libc::send(self.writers[index].as_raw_fd(), b"e".as_ptr().cast(), 1, 0) };
        assert!(sent == 1, "send gave {sent}");
    }

    /// Runs the rounds and reports; `run_loop` runs the loop until [`Ring::is_done`].
    pub fn measure(&self, args: &Pipes, mut run_loop: impl FnMut()) {
        let mut round = || {
            self.begin_round();
            run_loop();
            assert!(self.is_done(), "the loop came back before the round was over");
        };
        // The first round faults memory in and registers what was coalesced.
        round();
        let events_before = self.events.load(Relaxed);
        let (wall, cpu) = (Instant::now(), CpuClock::start());
        for _ in 0..args.rounds {
            round();
        }
        let (wall, cpu) = (wall.elapsed().as_nanos() as f64, cpu.ns());
        let events = (self.events.load(Relaxed) - events_before) as f64;
        report("events", events);
        report("wall_ns", wall / events);
        report("cpu_ns", cpu / events);
    }
}

fn is_readable(fd: BorrowedFd<'_>) -> bool {
    let mut waiting: libc::c_int = 0;
    // SAFETY: FIONREAD writes one int, to `waiting`.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), libc::FIONREAD, &mut waiting) };
    assert_eq!(done, 0, "ioctl: {}", io::Error::last_os_error());
    waiting > 0
}

/// A connected pair, both ends non-blocking.
pub fn socket_pair() -> (OwnedFd, OwnedFd) {
    let (left, right) = UnixStream::pair().expect("socketpair");
    for end in [&left, &right] {
        end.set_nonblocking(true).expect("non-blocking");
    }
    (left.into(), right.into())
}

/// `count` descriptors that never become ready. (Their peers stay open but unwatched.)
pub fn quiet_descriptors(count: usize) -> Vec<OwnedFd> {
    let mut ends = Vec::with_capacity(count + 1);
    while ends.len() < count {
        let (left, right) = socket_pair();
        ends.extend([left, right]);
    }
    if ends.len() > count {
        std::mem::forget(ends.pop());
    }
    ends
}

// ---- adding and removing -------------------------------------------------------------------------------------

/// Started io watchers, to be stopped and started: what `addremove` and `toggle` need of a contender.
pub trait KnownWatchers {
    fn stop(&mut self, index: usize);
    fn start(&mut self, index: usize);
    /// One pass of the loop that does not wait: whatever was put off is done here, and is part of the bill.
    fn pass(&mut self);
}

fn measure_add_remove(count: usize, rounds: u64, watchers: &mut impl KnownWatchers) {
    watchers.pass();
    let (mut remove, mut add) = (0.0, 0.0);
    for _ in 0..rounds {
        let clock = CpuClock::start();
        for index in 0..count {
            watchers.stop(index);
        }
        watchers.pass();
        remove += clock.ns();

        let clock = CpuClock::start();
        for index in 0..count {
            watchers.start(index);
        }
        watchers.pass();
        add += clock.ns();
    }
    let operations = count as f64 * rounds as f64;
    report("remove_ns", remove / operations);
    report("add_ns", add / operations);
}

fn measure_toggle(count: usize, rounds: u64, watchers: &mut impl KnownWatchers) {
    watchers.pass();
    report_mean_cpu("toggle_ns", count as u64 * rounds, || {
        for _ in 0..rounds {
            for index in 0..count {
                watchers.stop(index);
                watchers.start(index);
            }
            watchers.pass();
        }
    });
}

// ---- other processes -----------------------------------------------------------------------------------------

/// Runs `job` in a child of this process, which must have no other thread. It makes no loop and does not outlive its
/// parent.
pub fn fork_helper(job: impl FnOnce()) -> libc::pid_t {
    // SAFETY: with one thread there is nothing that a fork could tear, and these calls have no other preconditions.
    unsafe {
        let parent = libc::getpid();
        let child = libc::fork();
        assert!(child >= 0, "fork: {}", io::Error::last_os_error());
        if child == 0 {
            if libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) == 0 && libc::getppid() == parent
            {
                job();
            }
            libc::_exit(1);
        }
        child
    }
}

/// A child that waits to be killed. It holds no descriptors of the loop, as little as a program would.
fn fork_idle() -> libc::pid_t {
    // SAFETY: no preconditions; nothing in the child uses a descriptor.
    fork_helper(|| unsafe {
        libc::syscall(libc::SYS_close_range, 3, libc::c_uint::MAX, 0);
        loop {
            libc::pause();
        }
    })
}

// ---- children ------------------------------------------------------------------------------------------------

/// Watched children, each in a slot of its own: what `children` needs of a contender.
pub trait Children {
    fn watch(&mut self, slot: usize, pid: u32);
    /// Runs the loop until a child's end is told, forgets its watcher, and returns its slot.
    fn next_end(&mut self) -> usize;
}

/// How many children are live where an exit is measured.
const LIVE_CHILDREN: [usize; 3] = [10, 100, 1000];

/// As many watched children at every exit that counts. They are replaced two at a time: after a fork every page that
/// is written to is copied first, and the exit of the first of two pays for that unmeasured.
pub fn measure_children(exits: u64, children: &mut impl Children) {
    let mut random = Random::new();
    let mut pids: Vec<Option<libc::pid_t>> = Vec::new();
    let spent = LIVE_CHILDREN.map(|live| {
        pids.resize(live + 1, None);
        let mut sum = 0.0;
        for _ in 0..exits {
            for (slot, vacant) in pids.iter_mut().enumerate().filter(|(_, pid)| pid.is_none()) {
                let pid = fork_idle();
                children.watch(slot, pid as u32);
                *vacant = Some(pid);
            }
            let first = random.below(live as u64 + 1) as usize;
            let second = (first + 1 + random.below(live as u64) as usize) % (live + 1);
            kill_and_hear(children, first, &mut pids[first]);
            sum += kill_and_hear(children, second, &mut pids[second]);
        }
        let spent = sum / exits as f64 / 1000.0;
        report(&format!("exit_{live}_us"), spent);
        spent
    });
    report("growth", spent[LIVE_CHILDREN.len() - 1] / spent[0]);
}

/// Kills a child and waits until the loop has told it; the CPU time of this.
fn kill_and_hear(children: &mut impl Children, slot: usize, pid: &mut Option<libc::pid_t>) -> f64 {
    let pid = pid.take().expect("a live child");
    let clock = CpuClock::start();
    // SAFETY: kill has no memory preconditions; the child is ours and not yet reaped.
    unsafe { libc::kill(pid, libc::SIGKILL) };
    let ended = children.next_end();
    let spent = clock.ns();
    assert_eq!(ended, slot, "the child that was killed is the one that is told");
    spent
}

// ---- signals -------------------------------------------------------------------------------------------------

/// The work of `signals` and `storm`, and the process that sends.
pub struct Signals {
    work: Cell<SignalWork>,
    /// Whom to send to: this process.
    receiver: libc::pid_t,
    trips: u64,
    trips_left: Cell<u64>,
    kills: u64,
    callbacks: Cell<u64>,
    last_awaited: Cell<bool>,
    /// An eventfd: a number of signals that the sender is asked for.
    request: OwnedFd,
    sender: &'static Sender,
}

#[derive(Clone, Copy)]
enum SignalWork {
    ToItself,
    FromAnother,
    Storm,
}

/// What the two processes share.
struct Sender {
    /// Kills that have been made, or are just being made.
    begun: AtomicU64,
    /// The receiver is inside the callback that awaits the last one.
    is_inside: AtomicBool,
    /// The last one has been made.
    is_over: AtomicBool,
}

impl Signals {
    fn trips(trips: u64) -> &'static Self {
        Self::new(SignalWork::ToItself, trips, 0)
    }

    fn storm(kills: u64) -> &'static Self {
        Self::new(SignalWork::Storm, 0, kills)
    }

    fn new(work: SignalWork, trips: u64, kills: u64) -> &'static Self {
        // SAFETY: neither call has preconditions; the descriptor belongs to nobody else, and zeros are a valid `Sender`
        // at the start of a page that stays mapped.
        let (request, sender) = unsafe {
            let request = libc::eventfd(0, libc::EFD_CLOEXEC);
            assert!(request >= 0, "eventfd: {}", io::Error::last_os_error());
            let (access, kind) =
                (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
            let page = libc::mmap(std::ptr::null_mut(), size_of::<Sender>(), access, kind, -1, 0);
            assert!(page != libc::MAP_FAILED, "mmap: {}", io::Error::last_os_error());
            (OwnedFd::from_raw_fd(request), &*page.cast::<Sender>())
        };
        let signals: &'static Self = Box::leak(Box::new(Self {
            work: Cell::new(work),
            receiver: std::process::id() as libc::pid_t,
            trips,
            trips_left: Cell::new(0),
            kills,
            callbacks: Cell::new(0),
            last_awaited: Cell::new(false),
            request,
            sender,
        }));
        fork_helper(|| signals.run_sender());
        stay_on_processor(0);
        // A signal that is lost must not hang the comparison.
        // SAFETY: no preconditions.
        unsafe { libc::alarm(60) };
        signals
    }

    /// The other process: one kill where one is asked for, a storm where more are. The last kill of a storm waits
    /// until the receiver is inside a callback, where a notice is lost most easily.
    fn run_sender(&self) {
        stay_on_processor(1);
        loop {
            let mut signals = 0u64;
            // SAFETY: `signals` is a valid place for the eight bytes asked for.
            let got = unsafe { libc::read(self.request.as_raw_fd(), (&raw mut signals).cast(), 8) };
            assert_eq!(got, 8, "read: {}", io::Error::last_os_error());
            if signals == 1 {
                self.send();
                continue;
            }
            for sent in 1..signals {
                self.sender.begun.store(sent, SeqCst);
                self.send();
            }
            while !self.sender.is_inside.load(SeqCst) {
                std::thread::yield_now();
            }
            self.send();
            self.sender.is_over.store(true, SeqCst);
        }
    }

    fn send(&self) {
        // SAFETY: kill has no memory preconditions; the receiver has installed a handler.
        let done = unsafe { libc::kill(self.receiver, libc::SIGUSR1) };
        assert_eq!(done, 0, "kill: {}", io::Error::last_os_error());
    }

    fn ask(&self, signals: u64) {
        // SAFETY: the eight bytes of `signals` outlive the call.
        let done = unsafe { libc::write(self.request.as_raw_fd(), (&raw const signals).cast(), 8) };
        assert_eq!(done, 8, "write: {}", io::Error::last_os_error());
    }

    fn send_or_ask(&self) {
        match self.work.get() {
            SignalWork::ToItself => self.send(),
            SignalWork::FromAnother => self.ask(1),
            SignalWork::Storm => self.ask(self.kills),
        }
    }

    /// The callback. Whether the loop is to stop.
    #[inline]
    pub fn heard(&self) -> bool {
        if let SignalWork::Storm = self.work.get() {
            return self.storm_heard();
        }
        let left = self.trips_left.get() - 1;
        self.trips_left.set(left);
        if left > 0 {
            self.send_or_ask();
        }
        left == 0
    }

    fn storm_heard(&self) -> bool {
        self.callbacks.set(self.callbacks.get() + 1);
        if self.last_awaited.get() {
            return true;
        }
        if self.sender.begun.load(SeqCst) == self.kills - 1 {
            self.sender.is_inside.store(true, SeqCst);
            while !self.sender.is_over.load(SeqCst) {
                std::thread::yield_now();
            }
            self.last_awaited.set(true);
        }
        false
    }

    /// `run` runs the loop until [`Signals::heard`] was true.
    pub fn measure(&self, mut run: impl FnMut()) {
        if let SignalWork::Storm = self.work.get() {
            report_mean_cpu("kill_ns", self.kills, || {
                self.send_or_ask();
                // Comes back only if the last kill has been told.
                run();
            });
            report("callbacks", self.callbacks.get() as f64);
            return;
        }
        let mut trips = |work, trips| {
            self.work.set(work);
            self.trips_left.set(trips + 1);
            let begin = Instant::now();
            self.send_or_ask();
            run();
            begin.elapsed().as_nanos() as f64 / (trips + 1) as f64
        };
        trips(SignalWork::ToItself, self.trips / 10);
        report("itself_ns", trips(SignalWork::ToItself, self.trips));
        trips(SignalWork::FromAnother, self.trips / 100);
        report("another_us", trips(SignalWork::FromAnother, self.trips / 10) / 1000.0);
    }
}

// ---- small things --------------------------------------------------------------------------------------------

/// Reports a mean over `count`, from the wall clock.
pub fn report_mean_wall(key: &str, unit: Duration, count: u64, job: impl FnOnce()) {
    let begin = Instant::now();
    job();
    report(key, begin.elapsed().as_nanos() as f64 / unit.as_nanos() as f64 / count as f64);
}

/// Reports a mean over `count`, in nanoseconds of processor time.
pub fn report_mean_cpu(key: &str, count: u64, job: impl FnOnce()) {
    let clock = CpuClock::start();
    job();
    report(key, clock.ns() / count as f64);
}

/// Sends `sends` times from another thread while the caller, a loop in the middle of a callback, takes none of them.
pub fn measure_coalesced(sends: u64, send: impl Fn() + Send + 'static) {
    let sender = std::thread::spawn(move || {
        let clock = ThreadClock::start();
        for _ in 0..sends {
            send();
        }
        clock.ns() / sends as f64
    });
    report("send_ns", sender.join().expect("the sending thread"));
}

/// Keeps the calling thread on a processor of its own, for side 0 or 1 of a pair. Left alone, the scheduler now and then
/// puts both on one, where a wake-up is a mere switch and costs a quarter; that choice is not the contenders' doing.
fn stay_on_processor(side: usize) {
    // SAFETY: a set of all zeros is a valid, empty set; both calls get its true size, 0 is the calling thread.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        let done = libc::sched_getaffinity(0, size_of::<libc::cpu_set_t>(), &mut allowed);
        assert_eq!(done, 0, "sched_getaffinity: {}", io::Error::last_os_error());
        let mut processors =
            (0..libc::CPU_SETSIZE as usize).filter(|&number| libc::CPU_ISSET(number, &allowed));
        let Some(own) = processors.nth(side) else { return };
        let mut only: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(own, &mut only);
        let done = libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &only);
        assert_eq!(done, 0, "sched_setaffinity: {}", io::Error::last_os_error());
    }
}

/// Runs two sides, a thread and a processor each, and reports the time of a round trip.
pub fn measure_ping_pong(round_trips: u64, first: impl FnOnce(), second: impl FnOnce() + Send) {
    report_mean_wall("round_trip_us", Duration::from_micros(1), round_trips, || {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                stay_on_processor(1);
                second();
            });
            stay_on_processor(0);
            first();
        });
    });
}

pub fn raise_fd_limit() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid place for one rlimit, filled by the first call.
    let done = unsafe {
        libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit);
        limit.rlim_cur = limit.rlim_max;
        libc::setrlimit(libc::RLIMIT_NOFILE, &limit)
    };
    assert_eq!(done, 0, "setrlimit: {}", io::Error::last_os_error());
}
