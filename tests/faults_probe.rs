//! The program that `tests/faults/run.sh` runs under strace, one scenario per run:
//! `faults_probe epoll|poll SCENARIO`. It prints what happened on one line and exits 0; a broken
//! promise is a panic. Without a scenario (as `cargo test` runs it) it goes through all of them
//! with nothing injected.
//!
//! Scenarios that count system calls put a call of `getppid` before and after what is counted.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::cell::{Cell, RefCell};
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use evloop::{Backend, Error, ErrorKind, EvLoop, Events, Interest, Run};

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
    ("idle", idle),
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
