//! A loop inside a foreign one: first a plain poll(2), then another loop. The guest has a timer, a
//! periodic and a socket; the host knows of it a descriptor and a deadline, and calls `turn`.

use std::cell::{Cell, RefCell};
use std::error::Error;
use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use evloop::{Backend, Break, EvLoop, Interest, Schedule};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

/// What the guest has done so far.
#[derive(Clone, Default)]
struct Seen {
    ticks: Rc<Cell<u32>>,
    periodics: Rc<Cell<u32>>,
    text: Rc<RefCell<String>>,
}

/// The loop to be hosted. It ends by itself: nothing is active any more.
fn guest() -> Result<(EvLoop, Seen), Box<dyn Error>> {
    let ms = Duration::from_millis;
    let mut ev = EvLoop::builder().backend(Backend::Epoll).build()?;
    let seen = Seen::default();

    let (ticks, (near, far)) = (Rc::clone(&seen.ticks), UnixStream::pair()?);
    near.set_nonblocking(true)?;
    let ticker = ev.timer(ms(10), ms(10), move |ev, e| {
        ticks.set(ticks.get() + 1);
        if let Err(error) = write!(&far, "{} ", ticks.get()) {
            ev.fail(error);
        }
        if ticks.get() == 5 {
            // Freeing it drops the closure, and with that the far end.
            e.watcher.free(ev);
        }
    });
    ticker.start(&mut ev);

    let periodics = Rc::clone(&seen.periodics);
    let on_the_tenth = Schedule::every(ms(100));
    let periodic = ev.periodic(on_the_tenth, move |ev, e| {
        periodics.set(periodics.get() + 1);
        if periodics.get() == 2 {
            e.watcher.stop(ev);
        }
    });
    periodic.start(&mut ev);

    let text = Rc::clone(&seen.text);
    let reader = ev.io(near, Interest::READ, move |ev, e| {
        let mut bytes = [0; 64];
        let mut socket = e.source;
        match socket.read(&mut bytes) {
            Ok(0) => {
                e.watcher.stop(ev);
            }
            Ok(n) => text.borrow_mut().push_str(&String::from_utf8_lossy(&bytes[..n])),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => ev.fail(error),
        }
    });
    reader.start(&mut ev)?;
    Ok((ev, seen))
}

fn report(out: &mut impl Write, host: &str, seen: &Seen) -> io::Result<()> {
    let text = seen.text.borrow();
    writeln!(
        out,
        "in {host}: {} ticks, {} periodics, read {}",
        seen.ticks.get(),
        seen.periodics.get(),
        text.trim_end()
    )
}

/// Any loop that can wait for a descriptor and for a moment will do.
fn in_poll(guest: &mut EvLoop) -> Result<(), Box<dyn Error>> {
    while guest.has_refs() {
        let fd = guest.backend_fd().ok_or("a backend that can be hosted")?;
        let limit = guest.next_deadline().map(|at| {
            let left = at.saturating_duration_since(Instant::now());
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: i64::from(left.subsec_nanos()) }
        });
        match poll(&mut [PollFd::new(&fd, PollFlags::IN)], limit.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        guest.turn(Some(Duration::ZERO))?;
    }
    Ok(())
}

/// Another loop: an io watcher on the guest's descriptor, and a timer for its deadline.
fn in_a_loop(guest: EvLoop) -> Result<(), Box<dyn Error>> {
    let mut host = EvLoop::new()?;
    let fd = guest.backend_fd().ok_or("a backend that can be hosted")?.try_clone_to_owned()?;
    let guest = Rc::new(RefCell::new(guest));
    let alarm = host.timer(Duration::ZERO, Duration::ZERO, |_, _| {});
    let turn = move |host: &mut EvLoop| {
        let mut guest = guest.borrow_mut();
        match guest.turn(Some(Duration::ZERO)) {
            Err(error) => host.fail(error),
            Ok(false) => host.break_loop(Break::One),
            Ok(true) => {
                alarm.stop(host);
                if let Some(at) = guest.next_deadline() {
                    alarm.restart(host, at.saturating_duration_since(host.now()));
                }
            }
        }
    };
    let also = turn.clone();
    alarm.set_callback(&mut host, move |host, _| also(host));
    host.io(fd, Interest::READ, move |host, _| turn(host)).start(&mut host)?;
    // The first turn finds the first deadline.
    alarm.start(&mut host);
    host.run()?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut out = io::stdout();
    let (mut ev, seen) = guest()?;
    in_poll(&mut ev)?;
    report(&mut out, "poll", &seen)?;
    let (ev, seen) = guest()?;
    in_a_loop(ev)?;
    report(&mut out, "another loop", &seen)?;
    Ok(())
}
