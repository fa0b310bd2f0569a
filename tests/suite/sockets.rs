//! Words for io cases: pairs of sockets, callbacks that only write down what they were told, and
//! descriptors at numbers of their own.

// Every test binary includes the whole file and uses a part of it.
#![allow(dead_code)]

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::atomic::{AtomicI32, Ordering};

use evloop::{EvLoop, Events, Interest, Io, IoEvent, Run};

use crate::suite::{Count, Log};

/// What io callbacks were told, in order: the watcher's name and its bits.
pub type Told = Log<(&'static str, Events)>;

pub const READ: Events = Events::READ;
pub const WRITE: Events = Events::WRITE;

/// Two connected stream sockets that never block: what is written into the second makes the first
/// readable, at once.
pub fn pair() -> (UnixStream, UnixStream) {
    let (near, far) = UnixStream::pair().expect("a pair of sockets");
    near.set_nonblocking(true).expect("a socket that does not block");
    far.set_nonblocking(true).expect("a socket that does not block");
    (near, far)
}

/// The same with a near end for several watchers.
pub fn shared_pair() -> (Rc<UnixStream>, UnixStream) {
    let (near, far) = pair();
    (Rc::new(near), far)
}

/// A pair whose near end is readable already.
pub fn ready_pair() -> (Rc<UnixStream>, UnixStream) {
    let (near, far) = shared_pair();
    put(&far);
    (near, far)
}

/// Makes the other end readable.
pub fn put(mut far: &UnixStream) {
    far.write_all(b"x").expect("room for one byte");
}

/// Reads until there is nothing more; returns how many bytes there were.
pub fn drain(mut near: &UnixStream) -> usize {
    let (mut buffer, mut sum) = ([0; 4096], 0);
    loop {
        match near.read(&mut buffer) {
            Ok(n) if n > 0 => sum += n,
            _ => return sum,
        }
    }
}

/// Writes until the socket takes no more.
pub fn fill(mut near: &UnixStream) {
    let block = [0; 4096];
    while near.write(&block).is_ok() {}
}

/// An io callback that writes its name and what it was told.
pub fn tells<F: 'static>(
    log: &Told,
    name: &'static str,
) -> impl FnMut(&mut EvLoop, IoEvent<'_, F>) + use<F> + 'static {
    let log = log.clone();
    move |_, e| log.push((name, e.ready))
}

/// An io callback that writes its name and empties the socket.
pub fn empties(
    log: &Log,
    name: &'static str,
) -> impl FnMut(&mut EvLoop, IoEvent<'_, Rc<UnixStream>>) + use<> + 'static {
    let log = log.clone();
    move |_, e| {
        log.push(name);
        drain(e.source);
    }
}

/// An io callback that only counts.
pub fn counts<F: 'static>(
    count: &Count,
) -> impl FnMut(&mut EvLoop, IoEvent<'_, F>) + use<F> + 'static {
    let count = count.clone();
    move |_, _| {
        count.up();
    }
}

/// An io callback that does nothing.
pub fn quiet<F>(_: &mut EvLoop, _: IoEvent<'_, F>) {}

/// A started watcher for reading that writes its name and empties its socket, and the far end.
pub fn reader(ev: &mut EvLoop, log: &Log, name: &'static str) -> (Io, Rc<UnixStream>, UnixStream) {
    let (near, far) = shared_pair();
    let io = ev.io(Rc::clone(&near), Interest::READ, empties(log, name));
    io.start(ev).expect("a started watcher");
    (io, near, far)
}

/// One pass without waiting.
pub fn pass(ev: &mut EvLoop) -> bool {
    ev.verify();
    let left = ev.run_mode(Run::NoWait).expect("a pass");
    ev.verify();
    left
}

/// A started watcher of priority +1 that never has anything to say. While all io watchers share
/// one priority the loop may walk the kernel's report itself; beside this one it cannot.
pub fn bystander(ev: &mut EvLoop) {
    let (near, far) = pair();
    let io = ev.io(near, Interest::READ, move |_, _| panic!("{far:?} has said nothing"));
    io.set_priority(ev, 1).start(ev).expect("a bystander");
}

/// Runs the case in a loop where all io watchers share a priority, and in one where they do not:
/// nobody may be able to tell the difference.
pub fn both_ways(make: impl Fn() -> EvLoop, case: impl Fn(&mut EvLoop)) {
    let mut alone = make();
    case(&mut alone);
    alone.verify();
    let mut mixed = make();
    bystander(&mut mixed);
    case(&mut mixed);
    mixed.verify();
}

/// Counts the kernel waits of a loop.
pub fn waits(ev: &mut EvLoop) -> Count {
    let count = Count::new();
    let one = count.clone();
    ev.on_wait(
        move || {
            one.up();
        },
        || {},
    );
    count
}

/// A descriptor number that no other test of this process uses.
pub fn number() -> RawFd {
    static NEXT: AtomicI32 = AtomicI32::new(300);
    NEXT.fetch_add(1, Ordering::Relaxed)
}

/// Puts a duplicate of `fd` at `number`, over whatever stands there (`dup3`).
pub fn place(fd: impl AsFd, number: RawFd) {
    // SAFETY: the number is one of `number()`, known to its test alone.
    let got = unsafe { libc::dup3(fd.as_fd().as_raw_fd(), number, libc::O_CLOEXEC) };
    assert_eq!(got, number, "{}", std::io::Error::last_os_error());
}

/// Moves `fd` to `number`, which is free.
pub fn moved(fd: impl AsFd + Into<OwnedFd>, number: RawFd) -> OwnedFd {
    place(&fd, number);
    drop(fd.into());
    // SAFETY: `place` has just opened it, and nobody else owns it.
    unsafe { OwnedFd::from_raw_fd(number) }
}

/// Whether this is the child process in which a case with rough manners runs. In the parent it
/// runs that child, on the test of this name, and asserts that all went well.
pub fn in_child(module: &str, test: &str) -> bool {
    if std::env::var_os("EVLOOP_TEST_CHILD").is_some() {
        return true;
    }
    let name = match module.split_once("::") {
        Some((_, inner)) => format!("{inner}::{test}"),
        None => test.to_owned(),
    };
    let out = std::process::Command::new(std::env::current_exe().expect("our own path"))
        .args(["--exact", &name, "--nocapture", "--test-threads=1"])
        .env("EVLOOP_TEST_CHILD", "1")
        .output()
        .expect("a child process");
    let said = String::from_utf8_lossy(&out.stdout).into_owned();
    let cried = String::from_utf8_lossy(&out.stderr).into_owned();
    assert!(out.status.success(), "{name} in a child: {}\n{said}{cried}", out.status);
    assert!(said.contains("1 passed"), "no test called {name}:\n{said}");
    false
}
