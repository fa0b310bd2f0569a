// A loop inside foreign ones: a plain poll(2), and tokio. Inside another loop of ours it is in `hosting`.
// loop.md 3.9. The host knows three things of it: a descriptor, a deadline, and `turn`.

use crate::sockets::*;
use std::process::Command;
use std::sync::mpsc;
use std::thread;
use std::time::SystemTime;

/// Whether the guest has had enough.
type Done<'a> = &'a mut dyn FnMut(&mut EvLoop) -> bool;
/// Turns the guest until it has; returns how often the host slept.
type Host = fn(&mut EvLoop, Done<'_>) -> usize;

const HOSTS: [(&str, Host); 2] = [("poll", poll_until), ("tokio", tokio_until)];

/// A loop that can be hosted, on the real clock.
fn guest() -> EvLoop {
    EvLoop::builder().backend(Backend::Epoll).env(false).build().unwrap()
}

/// How long a host may sleep: until the guest's next deadline.
fn patience(guest: &EvLoop) -> Option<Duration> {
    guest.next_deadline().map(|at| at.saturating_duration_since(Instant::now()))
}

/// Sleeps at most so long; returns whether the guest's descriptor is readable.
fn poll_guest(guest: &EvLoop, limit: Option<Duration>) -> bool {
    let limit = limit.map(|left| rustix::event::Timespec {
        tv_sec: left.as_secs() as i64,
        tv_nsec: i64::from(left.subsec_nanos()),
    });
    let fd = guest.backend_fd().unwrap();
    let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
    // A signal for a loop interrupts it.
    rustix::event::poll(&mut fds, limit.as_ref()).unwrap_or(0) > 0
}

fn poll_until(guest: &mut EvLoop, done: Done<'_>) -> usize {
    let mut sleeps = 0;
    while !done(guest) {
        sleeps += 1;
        poll_guest(guest, patience(guest));
        guest.turn(Some(ZERO)).unwrap();
    }
    sleeps
}

fn tokio_until(guest: &mut EvLoop, done: Done<'_>) -> usize {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let fd = guest.backend_fd().unwrap().try_clone_to_owned().unwrap();
        let interest = tokio::io::Interest::READABLE;
        // SAFETY: the duplicate is owned by the `AsyncFd`, and open and the same as long as that lives.
        let fd = unsafe { tokio::io::unix::AsyncFd::register_with_interest(fd, interest) }.unwrap();
        let mut sleeps = 0;
        while !done(guest) {
            sleeps += 1;
            let ready = match patience(guest) {
                Some(left) => tokio::time::timeout(left, fd.readable()).await.ok(),
                None => Some(fd.readable().await),
            };
            guest.turn(Some(ZERO)).unwrap();
            if let Some(ready) = ready {
                // Tokio hears of edges, the guest's descriptor has a level.
                let mut ready = ready.unwrap();
                if poll_guest(guest, Some(ZERO)) {
                    ready.retain_ready();
                } else {
                    ready.clear_ready();
                }
            }
        }
        sleeps
    })
}

/// Runs a case in each host.
fn hosted(case: impl Fn(Host)) {
    let _dog = Watchdog::new(secs(120));
    for (_, host) in HOSTS {
        case(host);
    }
}

#[test]
fn descriptors_are_heard_in_every_host() {
    hosted(|host| {
        let (mut guest, told) = (guest(), Told::new());
        let (near, far) = shared_pair();
        let log = told.clone();
        let (answer, answered) = mpsc::channel();
        // One byte of what there is at a time: the rest must be heard of as well.
        let io = guest.io(near, Interest::READ, move |_, e| {
            let mut byte = [0];
            std::io::Read::read_exact(&mut &**e.source, &mut byte).unwrap();
            log.push(("io", e.ready));
            answer.send(()).unwrap();
        });
        io.start(&mut guest).unwrap();
        let writer = thread::spawn(move || {
            for _ in 0..50 {
                put(&far);
                put(&far);
                for _ in 0..2 {
                    answered.recv().unwrap();
                }
            }
            far
        });
        let seen = told.clone();
        host(&mut guest, &mut |_| seen.len() == 100);
        assert_eq!(told.take(), [("io", READ); 100]);
        assert_eq!(guest.next_deadline(), None);
        writer.join().unwrap();
    });
}

#[test]
fn timers_are_heard_in_every_host_never_early_and_without_needless_turns() {
    hosted(|host| {
        let (mut guest, count) = (guest(), Count::new());
        let start = Instant::now();
        for n in [30, 10, 20] {
            let count = count.clone();
            guest.after(ms(n), move |_| {
                assert!(start.elapsed() >= ms(n), "early");
                count.up();
            });
        }
        let sleeps = host(&mut guest, &mut |guest| !guest.has_refs());
        assert_eq!(count.get(), 3);
        assert!(sleeps <= 3 * 2, "{sleeps} sleeps for three timers");
    });
}

#[test]
fn periodics_are_heard_in_every_host_and_never_early() {
    hosted(|host| {
        let (mut guest, count) = (guest(), Count::new());
        let up = count.clone();
        let begin = SystemTime::now();
        let key = guest.periodic(Schedule::every(ms(5)), move |ev, _| {
            let passed = ev.wall_now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
            // The time that was due is behind it by less than an interval, or by a busy machine.
            assert!(passed >= Duration::from_millis((passed.as_millis() / 5 * 5) as u64));
            assert!(ev.wall_now() > begin);
            up.up();
        });
        let due = key.start(&mut guest).due(&guest).unwrap();
        assert!(guest.next_deadline().is_some());
        let mut first = None;
        host(&mut guest, &mut |_| {
            if count.get() > 0 && first.is_none() {
                first = Some(SystemTime::now());
            }
            count.get() == 3
        });
        assert!(first.unwrap() >= due, "the first one was early");
    });
}

#[test]
fn notifiers_and_posts_of_other_threads_are_heard_in_every_host() {
    const ROUNDS: usize = 100;
    hosted(|host| {
        let mut guest = guest();
        let calls = Count::new();
        let (heard, hear) = mpsc::channel();
        let (up, answer) = (calls.clone(), heard.clone());
        let (watcher, notifier) = guest.notifier(move |_, _| {
            up.up();
            answer.send(()).unwrap();
        });
        watcher.start(&mut guest);
        let remote = guest.remote();
        // The next call comes after the last was answered: one that is lost hangs.
        let caller = thread::spawn(move || {
            for _ in 0..ROUNDS {
                assert!(notifier.notify());
                hear.recv().unwrap();
                let answer = heard.clone();
                assert!(remote.post(move |_| answer.send(()).unwrap()));
                hear.recv().unwrap();
            }
            assert!(remote.post(move |ev| assert!(watcher.stop(ev))));
        });
        host(&mut guest, &mut |guest| !guest.has_refs());
        caller.join().unwrap();
        assert_eq!(calls.get(), ROUNDS);
    });
}

#[test]
fn signals_are_heard_in_every_host() {
    hosted(|host| {
        let (mut guest, count) = (guest(), Count::new());
        guest.signal(libc::SIGUSR2, count.ups()).start(&mut guest).unwrap();
        for _ in 0..3 {
            let before = count.get();
            // SAFETY: the signal is watched. It goes to the process, whose threads all have the handler.
            unsafe { libc::kill(std::process::id() as i32, libc::SIGUSR2) };
            host(&mut guest, &mut |_| count.get() > before);
        }
    });
}

#[test]
fn a_childs_end_is_heard_in_every_host() {
    hosted(|host| {
        for without in [false, true] {
            let builder = EvLoop::builder().backend(Backend::Epoll).env(false);
            let builder = if without { builder.without_process_descriptors() } else { builder };
            let mut guest = builder.build().unwrap();
            let log = Log::<Option<i32>>::new();
            for command in ["true", "false"] {
                let seen = log.clone();
                let process = Command::new(command).spawn().unwrap();
                let child = guest.child(process, move |_, e| {
                    seen.push(e.status.unwrap().code());
                });
                child.start(&mut guest).unwrap();
            }
            host(&mut guest, &mut |guest| !guest.has_refs());
            let mut told = log.take();
            told.sort_unstable();
            assert_eq!(told, [Some(0), Some(1)], "without process descriptors: {without}");
        }
    });
}

#[test]
fn idle_watchers_deferred_closures_and_fed_events_run_although_the_descriptor_is_silent() {
    hosted(|host| {
        let (mut guest, log) = (guest(), Log::new());
        let fed = guest.timer(ZERO, ZERO, log.says("fed"));
        let says = log.clone();
        guest.defer(move |ev| {
            says.push("deferred");
            fed.feed_later(ev, Events::CUSTOM);
        });
        let mut left = 3;
        let says = log.clone();
        let idle = guest.idle(move |ev, e| {
            says.push("idle");
            left -= 1;
            if left == 0 {
                e.watcher.stop(ev);
            }
        });
        idle.start(&mut guest);
        host(&mut guest, &mut |guest| !guest.has_refs());
        assert_eq!(log.take(), ["idle", "deferred", "fed", "idle", "idle"]);
    });
}

#[test]
fn a_callback_that_fails_ends_the_turn_with_an_error_and_the_host_goes_on() {
    let mut guest = guest();
    let count = Count::new();
    guest.after(ZERO, |ev| ev.fail("no"));
    guest.after(ms(1), move |_| ());
    guest.timer(ms(2), ZERO, count.ups()).start(&mut guest);
    assert_eq!(guest.turn(None).unwrap_err().kind(), ErrorKind::Callback);
    poll_until(&mut guest, &mut |guest| !guest.has_refs());
    assert_eq!(count.get(), 1);
}
