//! The program that `tests/faults/run.sh` runs under strace, one scenario per run:
//! `faults_probe epoll|poll SCENARIO`. It prints what happened on one line and exits 0; a broken
//! promise is a panic. Without a scenario (as `cargo test` runs it) it goes through all of them
//! with nothing injected.
//!
//! Scenarios that count system calls put a call of `getppid` before and after what is counted. Those
//! that set the wall clock need `tests/faults/clock_shim.c` preloaded, and say so if it is not.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "suite/names.rs"]
mod names;

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::rc::Rc;
use std::sync::atomic::{AtomicI32, AtomicI64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant, SystemTime};

use evloop::{Backend, Error, ErrorKind, EvLoop, Events, Interest, Run, Schedule};

type Scenario = fn(Backend) -> String;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("build", build),
    ("timer", timer),
    ("whole", whole),
    ("once", once),
    ("io", io),
    ("register", register),
    ("always-ready", always_ready),
    ("modify", modify),
    ("wait", wait),
    ("restart", restart),
    ("busy-sends", busy_sends),
    ("turns", turns),
    ("events", events),
    ("everything", everything),
    ("torture", torture),
    ("clock-forward", clock_forward),
    ("clock-back", clock_back),
    ("clock-told", clock_told),
    ("clock-untold", clock_untold),
    ("child", child),
    ("kill-child", kill_child),
    ("child-calls", child_calls),
    ("rival", rival),
    ("told-again", told_again),
    ("signal", signal),
    ("signal-errno", signal_errno),
    ("signals", signals),
    ("busy-signals", busy_signals),
    ("restart-signal", restart_signal),
    ("idle", idle),
    #[cfg(feature = "net")]
    ("work", work),
    #[cfg(feature = "stat")]
    ("stat", files::stat),
    #[cfg(feature = "stat")]
    ("stat-look", files::look),
    #[cfg(feature = "stat")]
    ("stat-poll", files::poll),
];

fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let backend = |name: &str| match name {
        "epoll" => Some(Backend::Epoll),
        "poll" => Some(Backend::Poll),
        _ => None,
    };
    if let [name, scenario] = &args[..] {
        if let Some(backend) = backend(name) {
            let (_, run) = SCENARIOS.iter().find(|(s, _)| s == scenario).expect("a scenario");
            println!("{}", run(backend));
            return;
        }
    }
    for backend in [Backend::Epoll, Backend::Poll] {
        for (name, run) in SCENARIOS {
            println!("{backend} {name}: {}", run(backend));
        }
    }
}

fn try_ev(backend: Backend) -> Result<EvLoop, Error> {
    EvLoop::builder().env(false).backend(backend).build()
}

fn ev(backend: Backend) -> EvLoop {
    try_ev(backend).unwrap()
}

fn mark() {
    // SAFETY: takes nothing, changes nothing, cannot fail.
    unsafe { libc::getppid() };
}

fn pair() -> (Rc<UnixStream>, UnixStream) {
    let (near, far) = UnixStream::pair().unwrap();
    near.set_nonblocking(true).unwrap();
    (Rc::new(near), far)
}

fn refused(error: &Error) -> String {
    let errno = error.raw_os_error().unwrap_or(0);
    format!("refused {:?} {errno}", error.kind())
}

/// Whether the loop can be made, and how it says that it cannot.
fn build(backend: Backend) -> String {
    match try_ev(backend) {
        Ok(_) => "built".to_owned(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Create);
            refused(&error)
        }
    }
}

/// A loop with one timer: never early, and not late by more than a busy machine explains.
fn time(backend: Backend, after: Duration) {
    let mut ev = ev(backend);
    let fired = Rc::new(Cell::new(false));
    let flag = Rc::clone(&fired);
    let start = Instant::now();
    ev.after(after, move |_| flag.set(true));
    assert!(!ev.run().unwrap());
    let took = start.elapsed();
    assert!(fired.get());
    assert!(took >= after, "{took:?} instead of {after:?}");
    assert!(took < after + Duration::from_secs(2), "{took:?} instead of {after:?}");
}

/// Waits of a fraction of a millisecond.
fn timer(backend: Backend) -> String {
    for _ in 0..5 {
        time(backend, Duration::from_micros(1500));
    }
    "in time".to_owned()
}

/// Longer waits, of which an interruption leaves a rest.
fn whole(backend: Backend) -> String {
    for _ in 0..3 {
        time(backend, Duration::from_millis(30));
    }
    "in time".to_owned()
}

/// `Run::Once` never returns because of an interruption.
fn once(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (near, far) = pair();
    ev.io(near, Interest::READ, |_, _| panic!("nobody wrote")).start(&mut ev).unwrap();
    for _ in 0..3 {
        let fired = Rc::new(Cell::new(false));
        let flag = Rc::clone(&fired);
        ev.after(Duration::from_millis(5), move |_| flag.set(true));
        ev.run_mode(Run::Once).unwrap();
        assert!(fired.get(), "returned without an event");
    }
    drop(far);
    "one event each".to_owned()
}

/// A message through a socket, sent by a timer.
fn io(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (near, far) = pair();
    let text = Rc::new(RefCell::new(String::new()));
    let sink = Rc::clone(&text);
    let reader = ev.io(near, Interest::READ, move |ev, e| {
        let mut buffer = [0; 16];
        let n = (&**e.source).read(&mut buffer).unwrap();
        sink.borrow_mut().push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        e.watcher.free(ev);
    });
    reader.start(&mut ev).unwrap();
    ev.after(Duration::from_millis(5), move |_| (&far).write_all(b"hello").unwrap());
    assert!(!ev.run().unwrap());
    text.take()
}

/// The first registration of a descriptor: refused, it belongs to `start`, and the loop lives.
fn register(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (near, far) = pair();
    let reader = ev.io(near, Interest::READ, |_, _| {});
    let outcome = match reader.start(&mut ev) {
        Ok(_) => "started".to_owned(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Register);
            assert!(!reader.is_active(&ev) && reader.exists(&ev));
            refused(&error)
        }
    };
    assert!(reader.into_source::<Rc<UnixStream>>(&mut ev).is_some(), "it keeps its source");
    ev.verify();
    ev.after(Duration::from_millis(1), |_| {});
    assert!(!ev.run().unwrap(), "and the loop lives");
    drop(far);
    outcome
}

/// What epoll will not watch (EPERM) is always ready.
fn always_ready(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (near, far) = pair();
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    let reader = ev.io(near, Interest::READ, move |_, e| {
        assert_eq!(e.ready, Events::READ);
        count.set(count.get() + 1);
    });
    reader.start(&mut ev).unwrap();
    for _ in 0..3 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    reader.free(&mut ev);
    drop(far);
    format!("told {} times", told.get())
}

/// A later change of a registration: refused, the descriptor's watchers are stopped and told.
fn modify(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (near, far) = pair();
    let told = Rc::new(RefCell::new(Vec::new()));
    let make = |ev: &mut EvLoop| {
        let log = Rc::clone(&told);
        let io =
            ev.io(Rc::clone(&near), Interest::READ, move |_, e| log.borrow_mut().push(e.ready));
        io.start(ev).unwrap()
    };
    let both = [make(&mut ev), make(&mut ev)];
    ev.run_mode(Run::NoWait).unwrap();
    both[1].set_interest(&mut ev, Interest::READ | Interest::PRIORITY).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    ev.verify();
    let active = both.iter().filter(|io| io.is_active(&ev)).count();
    drop(far);
    format!("active {active}, told {:?}", told.borrow())
}

/// A wait that fails is an error of `run`, and the loop can be run again.
fn wait(backend: Backend) -> String {
    let mut ev = ev(backend);
    ev.after(Duration::from_millis(2), |_| {});
    match ev.run() {
        Ok(left) => format!("ran, left {left}"),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Wait);
            ev.verify();
            assert!(!ev.run().unwrap(), "the second run");
            refused(&error)
        }
    }
}

/// Starting and stopping a descriptor that the loop knows: no system call at all.
fn restart(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (near, far) = pair();
    let reader = ev.io(near, Interest::READ, |_, _| {});
    reader.start(&mut ev).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    mark();
    for _ in 0..1000 {
        reader.stop(&mut ev);
        reader.start(&mut ev).unwrap();
    }
    mark();
    ev.run_mode(Run::NoWait).unwrap();
    drop(far);
    "restarted".to_owned()
}

/// Sends of every kind to a loop that is busy with a callback, from its own thread and another:
/// nobody writes to the wake-up channel.
fn busy_sends(backend: Backend) -> String {
    let mut ev = ev(backend);
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    let (inbox, notifier) = ev.notifier(move |_, _| count.set(count.get() + 1));
    inbox.start(&mut ev);
    let (letters, sender) = ev.channel(10_000, |_, _: u32| {});
    letters.start(&mut ev);
    let remote = ev.remote();
    let (go, ready) = mpsc::channel::<()>();
    let (finish, finished) = mpsc::channel::<()>();
    let (their_remote, their_notifier) = (remote.clone(), notifier.clone());
    let thread = std::thread::spawn(move || {
        ready.recv().unwrap();
        for _ in 0..100 {
            assert!(their_notifier.notify());
            assert!(their_remote.post(|_| {}));
        }
        finish.send(()).unwrap();
    });
    ev.after(Duration::ZERO, move |_| {
        mark();
        for n in 0..100 {
            assert!(notifier.notify());
            assert!(remote.wake());
            assert!(remote.post(|_| {}));
            sender.send(n).unwrap();
        }
        go.send(()).unwrap();
        finished.recv().unwrap();
        mark();
    });
    ev.run_mode(Run::Once).unwrap();
    thread.join().unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    format!("told {} time", told.get())
}

/// A turn of a loop with nothing to do: one call, the wait.
fn turns(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (near, far) = pair();
    ev.io(near, Interest::READ, |_, _| {}).start(&mut ev).unwrap();
    ev.timer(Duration::from_secs(60), Duration::ZERO, |_, _| {}).start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    mark();
    for _ in 0..1000 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    mark();
    drop(far);
    "turned".to_owned()
}

/// One active pair: a wait, and what the callback itself does (a read and a write).
fn events(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (near, far) = pair();
    (&far).write_all(b"x").unwrap();
    let reader = ev.io(near, Interest::READ, move |_, e| {
        let mut byte = [0];
        assert_eq!((&**e.source).read(&mut byte).unwrap(), 1);
        (&far).write_all(&byte).unwrap();
    });
    reader.start(&mut ev).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    mark();
    for _ in 0..1000 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    mark();
    "passed on".to_owned()
}

/// Makes every descriptor and every kind of call that the loop ever makes.
fn everything(backend: Backend) -> String {
    live(backend).unwrap();
    "made".to_owned()
}

/// The same with whatever fails reported: no panic, no hang, no matter which call it was.
fn torture(backend: Backend) -> String {
    match live(backend) {
        Ok(()) => "survived".to_owned(),
        Err(error) => refused(&error),
    }
}

fn live(backend: Backend) -> Result<(), Error> {
    let mut ev = try_ev(backend)?;
    let input = ev.io(evloop::stdin().unwrap(), Interest::NONE, |_, _| {});
    input.start(&mut ev)?;
    let (inbox, notifier) = ev.notifier(|ev, e| {
        e.watcher.stop(ev);
    });
    inbox.start(&mut ev);
    let (near, far) = pair();
    let writer = ev.io(Rc::clone(&near), Interest::WRITE, |ev, e| {
        e.watcher.free(ev);
    });
    writer.start(&mut ev)?;
    let reader = ev.io(near, Interest::READ, |ev, e| {
        e.watcher.free(ev);
    });
    reader.start(&mut ev)?;
    let thread = std::thread::spawn(move || {
        // The near end is gone if its watchers were told of an error.
        let _ = (&far).write_all(b"x");
        notifier.notify();
        far
    });
    ev.after(Duration::from_micros(300), |_| {});
    ev.after(Duration::from_millis(3), move |ev| {
        input.free(ev);
    });
    // A wait of no time, one of a whole number of milliseconds or not, and one for ever.
    let mut left = ev.run_mode(Run::NoWait);
    for _ in 0..4 {
        ev.verify();
        if !matches!(left, Ok(false)) {
            left = ev.run();
        }
    }
    thread.join().unwrap();
    left.map(|left| assert!(!left))
}

const HOUR: Duration = Duration::from_secs(3600);

/// The shim's variable: by how many seconds this process's wall clock is ahead. `None` without shim.
fn shift() -> Option<&'static AtomicI64> {
    // SAFETY: the name is a C string; looking it up has no effect.
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"evloop_wall_clock_shift".as_ptr()) };
    // SAFETY: the shim's `volatile long`, aligned, there as long as the program, and used as an atomic
    // here and with plain loads there, by this one thread.
    (!found.is_null()).then(|| unsafe { AtomicI64::from_ptr(found.cast()) })
}

/// The loop's timer descriptor, with which the kernel tells that the clock was set.
fn timer_descriptor() -> Option<RawFd> {
    let mut numbers = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| {
        let entry = entry.unwrap();
        let target = std::fs::read_link(entry.path()).ok()?;
        let is_one = target.as_os_str() == "anon_inode:[timerfd]";
        is_one.then(|| entry.file_name().to_str().unwrap().parse().unwrap())
    });
    let first = numbers.next();
    assert!(numbers.next().is_none(), "one per loop");
    first
}

/// Has the timer descriptor become readable at once: in the kernel's place, whose clock is not set.
fn tell(fd: RawFd) {
    let at_once = libc::itimerspec {
        it_interval: libc::timespec { tv_sec: 0, tv_nsec: 0 },
        it_value: libc::timespec { tv_sec: 0, tv_nsec: 1 },
    };
    // SAFETY: the pointer is to a local that outlives the call; the number is the loop's timer.
    let done = unsafe { libc::timerfd_settime(fd, 0, &raw const at_once, std::ptr::null_mut()) };
    assert_eq!(done, 0);
}

/// The wall clock jumps by `seconds`, and the kernel tells.
fn clock_jumps(backend: Backend, seconds: i64) -> String {
    let Some(shift) = shift() else { return "no shim".to_owned() };
    let mut ev = ev(backend);
    let log = Rc::new(RefCell::new(Vec::new()));
    let note = |what: &'static str| {
        let log = Rc::clone(&log);
        move || log.borrow_mut().push(what)
    };
    let asked = note("asked");
    let rule = Schedule::by(move |now| {
        asked();
        now.checked_add(HOUR * 10)
    });
    ev.periodic(rule, |_, _| {}).start(&mut ev);
    let called = note("hourly");
    let hourly = ev.periodic(Schedule::every(HOUR), move |_, _| called()).start(&mut ev);
    let called = note("at");
    let half_an_hour = SystemTime::now() + HOUR / 2;
    ev.periodic(Schedule::at(half_an_hour), move |_, _| called()).start(&mut ev);
    let (called, after, start) = (note("timer"), Duration::from_millis(100), Instant::now());
    ev.after(after, move |ev| {
        let took = start.elapsed();
        assert!(took >= after && took < after + Duration::from_secs(2), "{took:?}");
        called();
        ev.break_loop(evloop::Break::One);
    });
    ev.run_mode(Run::NoWait).unwrap();
    let before = hourly.due(&ev).unwrap();
    shift.store(seconds, Ordering::Relaxed);
    tell(timer_descriptor().expect("the loop's timer"));
    ev.run().unwrap();
    // On the hour, the next one from the new time.
    let due = hourly.due(&ev).unwrap();
    assert!(due > ev.wall_now() && due <= ev.wall_now() + HOUR);
    let moved = match due.duration_since(before) {
        Ok(later) => later.as_secs() as i64,
        Err(earlier) => -(earlier.duration().as_secs() as i64),
    };
    assert_eq!(moved, seconds);
    shift.store(0, Ordering::Relaxed);
    log.borrow().join(" ")
}

fn clock_forward(backend: Backend) -> String {
    clock_jumps(backend, 3600)
}

fn clock_back(backend: Backend) -> String {
    clock_jumps(backend, -3600)
}

/// One long wait for a periodic, which a signal ends; the clock has jumped meanwhile.
fn long_wait(backend: Backend, watch: bool) -> String {
    let builder = EvLoop::builder().env(false).backend(backend).watch_clock_jumps(watch);
    let mut ev = builder.build().unwrap();
    let called = Rc::new(Cell::new(0));
    let count = Rc::clone(&called);
    let half_an_hour = SystemTime::now() + HOUR / 2;
    ev.periodic(Schedule::at(half_an_hour), move |_, _| count.set(count.get() + 1)).start(&mut ev);
    assert_eq!(timer_descriptor().is_some(), watch);
    ev.signal(libc::SIGALRM, |_, _| {}).start(&mut ev).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    let jumped = shift().map(|shift| shift.store(3600, Ordering::Relaxed)).is_some();
    // Longer than the loop relies on its last look at the clock.
    let soon = libc::itimerval {
        it_interval: libc::timeval { tv_sec: 0, tv_usec: 0 },
        it_value: libc::timeval { tv_sec: 0, tv_usec: 600_000 },
    };
    // SAFETY: the pointer is to a local that outlives the call; the signal is watched.
    let done = unsafe { libc::setitimer(libc::ITIMER_REAL, &raw const soon, std::ptr::null_mut()) };
    assert_eq!(done, 0);
    mark();
    ev.run_mode(Run::Once).unwrap();
    mark();
    assert_eq!(called.get(), i32::from(jumped), "noticed when the wait ends");
    if let Some(shift) = shift() {
        shift.store(0, Ordering::Relaxed);
    }
    "waited".to_owned()
}

fn clock_told(backend: Backend) -> String {
    long_wait(backend, true)
}

fn clock_untold(backend: Backend) -> String {
    long_wait(backend, false)
}

/// A child that ends with 3 when its standard input is closed.
fn program() -> (std::process::Child, std::process::ChildStdin) {
    let mut child = Command::new("/bin/sh")
        .args(["-c", "read line; exit 3"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let input = child.stdin.take().unwrap();
    (child, input)
}

/// Waits until a process has ended, and leaves its status where it is.
fn until_ended(pid: u32) {
    // SAFETY: writes to a local, which zeros have made valid.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        let options = libc::WEXITED | libc::WNOWAIT;
        while libc::waitid(libc::P_PID, pid, &raw mut info, options) != 0 {}
    }
}

/// The end of a child, whichever way the loop hears of it.
fn child(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (process, input) = program();
    let told = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&told);
    let watcher = ev.child(process, move |_, e| {
        let code = e.status.and_then(|status| status.code());
        log.borrow_mut().push(format!("{code:?} {:?}", e.ready));
    });
    let outcome = match watcher.start(&mut ev) {
        Ok(_) => {
            drop(input);
            // One that nobody tells of would keep the loop for ever; the script has a limit.
            assert!(!ev.run().unwrap());
            format!("told {}", told.borrow().join(", "))
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Register);
            assert!(!watcher.is_active(&ev) && watcher.exists(&ev) && !ev.has_refs());
            // It keeps its process, and the loop lives.
            drop(input);
            let mut process = watcher.into_process(&mut ev).unwrap();
            assert_eq!(process.wait().unwrap().code(), Some(3));
            ev.after(Duration::from_millis(1), |_| {});
            assert!(!ev.run().unwrap());
            refused(&error)
        }
    };
    ev.verify();
    outcome
}

/// A signal for a child.
fn kill_child(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (process, input) = program();
    let watcher = ev.child(process, |_, _| {}).start(&mut ev).unwrap();
    let outcome = match watcher.signal(&mut ev, libc::SIGTERM) {
        Ok(()) => "sent".to_owned(),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Kill);
            refused(&error)
        }
    };
    assert!(watcher.is_active(&ev));
    drop(input);
    assert!(!ev.run().unwrap());
    outcome
}

/// The first watcher of a signal: refused, it belongs to `start`, and the loop lives.
fn signal(backend: Backend) -> String {
    let mut ev = ev(backend);
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    let watcher = ev.signal(libc::SIGUSR1, move |_, _| count.set(count.get() + 1));
    let mut outcome = String::new();
    if let Err(error) = watcher.start(&mut ev) {
        assert_eq!(error.kind(), ErrorKind::Register);
        assert!(!watcher.is_active(&ev) && watcher.exists(&ev) && !ev.has_refs());
        ev.verify();
        outcome = format!("{}, then ", refused(&error));
        watcher.start(&mut ev).unwrap();
    }
    for _ in 0..3 {
        raise(libc::SIGUSR1);
        ev.run_mode(Run::Once).unwrap();
    }
    ev.verify();
    format!("{outcome}told {} times", told.get())
}

fn raise(signum: i32) {
    // SAFETY: takes an integer; whoever raises has a handler in place.
    assert_eq!(unsafe { libc::raise(signum) }, 0);
}

/// What the handler's own calls do to `errno` is not seen by whom it interrupts, even if they fail.
fn signal_errno(backend: Backend) -> String {
    fn errno() -> *mut i32 {
        // SAFETY: returns the address of this thread's own.
        unsafe { libc::__errno_location() }
    }
    let mut ev = ev(backend);
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    let watcher = ev.signal(libc::SIGUSR1, move |_, _| count.set(count.get() + 1));
    watcher.start(&mut ev).unwrap();
    // From here on the loop's descriptor is somebody's to wait for, so the handler rings.
    ev.run_mode(Run::NoWait).unwrap();
    // SAFETY: this thread's own.
    unsafe { *errno() = libc::ERANGE };
    raise(libc::SIGUSR1);
    // SAFETY: as above.
    let after = unsafe { *errno() };
    ev.run_mode(Run::NoWait).unwrap();
    format!("errno {after}, told {} time", told.get())
}

/// Signals that come one by one, each looked at: what they cost.
fn signals(backend: Backend) -> String {
    let mut ev = ev(backend);
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    let watcher = ev.signal(libc::SIGUSR1, move |_, _| count.set(count.get() + 1));
    watcher.start(&mut ev).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    mark();
    for _ in 0..100 {
        raise(libc::SIGUSR1);
        ev.run_mode(Run::Once).unwrap();
    }
    mark();
    assert_eq!(told.get(), 100);
    "told".to_owned()
}

/// Signals that come while a callback runs: nobody writes.
fn busy_signals(backend: Backend) -> String {
    let mut ev = ev(backend);
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    let watcher = ev.signal(libc::SIGUSR1, move |_, _| count.set(count.get() + 1));
    watcher.start(&mut ev).unwrap();
    ev.after(Duration::ZERO, |_| {
        mark();
        for _ in 0..100 {
            raise(libc::SIGUSR1);
        }
        mark();
    });
    ev.run_mode(Run::Once).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    format!("told {} time", told.get())
}

/// Starting and stopping a watcher of a signal whose handler is there.
fn restart_signal(backend: Backend) -> String {
    let mut ev = ev(backend);
    let watcher = ev.signal(libc::SIGUSR1, |_, _| {}).start(&mut ev).unwrap();
    mark();
    for _ in 0..100 {
        watcher.stop(&mut ev);
        watcher.start(&mut ev).unwrap();
    }
    mark();
    "restarted".to_owned()
}

/// Watching a child from its start to its end: what the loop itself asks of the system.
fn child_calls(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (process, input) = program();
    let pid = process.id();
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    let watcher = ev.child(process, move |_, _| count.set(count.get() + 1));
    ev.run_mode(Run::NoWait).unwrap();
    mark();
    watcher.start(&mut ev).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    mark();
    drop(input);
    until_ended(pid);
    mark();
    ev.run_mode(Run::Once).unwrap();
    mark();
    format!("told {} time", told.get())
}

/// The child that is taken when a signal comes, and whether it was there.
static TO_TAKE: AtomicI32 = AtomicI32::new(0);
static TAKEN: AtomicI32 = AtomicI32::new(0);

extern "C" fn takes(_: libc::c_int) {
    // SAFETY: both calls are async-signal-safe; a null pointer means that the status is not asked for. The place of `errno`
    // is this thread's own, and has its value again at the end.
    unsafe {
        let (place, pid) = (libc::__errno_location(), TO_TAKE.load(Ordering::Relaxed));
        let before = *place;
        let taken = libc::waitpid(pid, std::ptr::null_mut(), libc::WNOHANG) == pid;
        TAKEN.fetch_add(i32::from(taken), Ordering::Relaxed);
        *place = before;
    }
}

/// Three children have ended, and are asked about. The rival is a handler, for which the script sends a signal along with
/// the question that is to be overtaken: it runs between that one's answer and whatever is next.
fn rival(backend: Backend) -> String {
    let mut ev = ev(backend);
    let mut children: Vec<_> = (0..3).map(|_| program()).collect();
    let first = children[0].0.id() as i32;
    for (child, input) in children.drain(..) {
        drop(input);
        until_ended(child.id());
    }
    TO_TAKE.store(first, Ordering::Relaxed);
    TAKEN.store(0, Ordering::Relaxed);
    let handler: extern "C" fn(libc::c_int) = takes;
    // SAFETY: the handler calls nothing that a handler must not.
    let before = unsafe { libc::signal(libc::SIGUSR2, handler as libc::sighandler_t) };
    assert_ne!(before, libc::SIG_ERR);
    let told = Rc::new(Cell::new(0));
    let count = Rc::clone(&told);
    let any = ev.reap_any(move |_, _| count.set(count.get() + 1));
    mark();
    any.start(&mut ev).unwrap();
    mark();
    ev.run_mode(Run::NoWait).unwrap();
    // SAFETY: takes integers.
    unsafe { libc::signal(libc::SIGUSR2, before) };
    format!("told {}, taken {}", told.get(), TAKEN.load(Ordering::Relaxed))
}

/// The backend's set is made anew, because it knows a file that no number leads to any more, and what the
/// loop watches for itself is told again.
fn told_again(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (process, input) = program();
    let told = Rc::new(RefCell::new(Vec::new()));
    let log = Rc::clone(&told);
    let watcher = ev.child(process, move |_, e| {
        let code = e.status.and_then(|status| status.code());
        log.borrow_mut().push(format!("{code:?} {:?}", e.ready));
    });
    watcher.start(&mut ev).unwrap();
    let ticks = Rc::new(Cell::new(0));
    let count = Rc::clone(&ticks);
    let every = Schedule::every(Duration::from_millis(20));
    let periodic = ev.periodic(every, move |_, _| count.set(count.get() + 1)).start(&mut ev);
    let (near, mut far) = UnixStream::pair().unwrap();
    let number = near.as_raw_fd();
    let _keeps_the_file = near.try_clone().unwrap();
    // SAFETY: the number is closed below, while it is watched: that is what this is about.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let io = ev.io(borrowed, Interest::READ, |_, _| {}).start(&mut ev).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    drop(near);
    io.free(&mut ev);
    far.write_all(b"ghost").unwrap();
    for _ in 0..3 {
        ev.run_mode(Run::NoWait).unwrap();
    }
    drop(input);
    while told.borrow().is_empty() || ticks.get() < 2 {
        ev.run_mode(Run::Once).unwrap();
    }
    periodic.stop(&mut ev);
    assert!(!ev.run().unwrap());
    ev.verify();
    format!("told {}", told.borrow().join(", "))
}

/// Two seconds with nothing to do.
fn idle(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (near, far) = pair();
    ev.io(near, Interest::READ, |_, _| panic!("nobody wrote")).start(&mut ev).unwrap();
    // Half-closed by its peer and paused: must not spin either.
    let (paused, gone) = pair();
    drop(gone);
    ev.io(paused, Interest::NONE, |_, _| panic!("asked for nothing")).start(&mut ev).unwrap();
    let (inbox, _notifier) = ev.notifier(|_, _| panic!("nobody called"));
    inbox.start(&mut ev);
    ev.run_mode(Run::NoWait).unwrap();
    ev.after(Duration::from_secs(2), |ev| ev.break_loop(evloop::Break::One));
    mark();
    ev.run().unwrap();
    mark();
    drop(far);
    "rested".to_owned()
}

/// Eight jobs, those refused left out.
#[cfg(feature = "net")]
fn work(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (done, refused) = (Rc::new(Cell::new(0)), Cell::new(0));
    for n in 0..8 {
        let count = Rc::clone(&done);
        let counts = move |_: &mut EvLoop, result: Result<i32, Error>| {
            assert_eq!(result.unwrap(), n);
            count.set(count.get() + 1);
        };
        if let Err(error) = ev.work(move || n, counts) {
            assert_eq!(
                (error.kind(), error.raw_os_error()),
                (ErrorKind::Thread, Some(libc::EAGAIN))
            );
            refused.set(refused.get() + 1);
        }
    }
    ev.run().unwrap();
    format!("done {}, refused {}", done.get(), refused.get())
}

#[cfg(feature = "stat")]
mod files {
    use evloop::Stat;
    use std::path::PathBuf;

    use super::*;
    use crate::names::temporary;

    /// A file of its own, removed at the end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Self {
            let path = temporary("faults");
            std::fs::write(&path, "").unwrap();
            // Below a symbolic link everything is polled.
            Self(std::fs::canonicalize(path).unwrap())
        }

        fn append(&self) {
            let mut file = std::fs::File::options().append(true).open(&self.0).unwrap();
            file.write_all(b"x").unwrap();
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    /// A started stat watcher, and whether the file was there whenever it was called.
    fn watched(ev: &mut EvLoop, file: &Scratch) -> (Stat, Rc<RefCell<Vec<bool>>>) {
        let told = Rc::new(RefCell::new(Vec::new()));
        let log = Rc::clone(&told);
        let watcher = ev.stat(&file.0, Duration::from_millis(100), move |ev, e| {
            assert_ne!(e.prev, e.attr);
            log.borrow_mut().push(e.attr.exists());
            ev.break_loop(evloop::Break::One);
        });
        (watcher.start(ev).unwrap(), told)
    }

    /// Runs until the watcher was told, or until it has looked several times in vain.
    fn run_until_told(ev: &mut EvLoop) {
        let enough = ev.after(Duration::from_secs(8), |ev| ev.break_loop(evloop::Break::One));
        assert!(ev.run().unwrap());
        ev.verify();
        enough.free(ev);
    }

    /// Two changes of a file: told, whatever became of the hints, which is what the answer begins with.
    pub(super) fn stat(backend: Backend) -> String {
        let mut ev = match try_ev(backend) {
            Ok(ev) => ev,
            Err(error) => return refused(&error),
        };
        let file = Scratch::new();
        let (watcher, told) = watched(&mut ev, &file);
        let how = if watcher.is_hinted(&ev) { "hinted" } else { "polled" };
        for n in 1..3 {
            file.append();
            while told.borrow().iter().filter(|there| **there).count() < n {
                let before = told.borrow().len();
                run_until_told(&mut ev);
                assert!(told.borrow().len() > before, "{how}, and not told of change {n}");
                // A look that failed was a change as well; so is the file that is there again.
                if watcher.attr(&ev).exists() {
                    break;
                }
            }
            assert_eq!(watcher.attr(&ev).size, n as u64);
        }
        watcher.free(&mut ev);
        format!("{how}, told")
    }

    /// One look, between the marks.
    pub(super) fn look(backend: Backend) -> String {
        let (mut ev, file) = (ev(backend), Scratch::new());
        let (watcher, _) = watched(&mut ev, &file);
        mark();
        let attr = watcher.refresh(&mut ev);
        mark();
        let missing = evloop::FileAttr::default();
        assert_eq!(attr.exists(), attr != missing, "missing, with fields that are not zero");
        if attr.exists() { "there".to_owned() } else { "missing".to_owned() }
    }

    /// A few looks at intervals at a file that does not change.
    pub(super) fn poll(backend: Backend) -> String {
        let builder = EvLoop::builder().env(false).backend(backend).stat_hints(false);
        let (mut ev, file) = (builder.build().unwrap(), Scratch::new());
        let (_, told) = watched(&mut ev, &file);
        let end = Rc::new(Cell::new(false));
        let flag = Rc::clone(&end);
        ev.after(Duration::from_millis(450), move |ev| {
            flag.set(true);
            ev.break_loop(evloop::Break::One);
        });
        mark();
        while !end.get() {
            ev.run().unwrap();
        }
        mark();
        format!("told {:?}", told.borrow())
    }
}
