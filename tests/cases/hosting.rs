// A loop inside another one: `backend_fd`, `next_deadline` and `turn` (loop.md 1.4; loop-api.md).

use crate::sockets::*;
use std::thread;

#[test]
fn there_is_a_descriptor_to_host_by_exactly_where_the_backend_is_embeddable() {
    let ev = live_ev();
    let embeddable = Backend::embeddable().contains(&ev.backend().unwrap());
    assert_eq!((ev.backend_fd().is_some(), NAME == "epoll"), (embeddable, embeddable));
}

/// A loop that can be hosted, whatever the host is.
fn guest() -> EvLoop {
    EvLoop::builder().backend(Backend::Epoll).env(false).build().unwrap()
}

struct Hosted {
    guest: RefCell<EvLoop>,
    /// The host's timer for the guest's next deadline.
    alarm: Timer,
    done: Box<dyn Fn() -> bool>,
}

impl Hosted {
    fn turn(&self, host: &mut EvLoop) {
        let mut guest = self.guest.borrow_mut();
        guest.turn(Some(ZERO)).unwrap();
        guest.verify();
        self.alarm.stop(host);
        if (self.done)() {
            return host.break_loop(Break::All);
        }
        if let Some(deadline) = guest.next_deadline() {
            let left = deadline.saturating_duration_since(host.now());
            self.alarm.set(host, left, ZERO).start(host);
        }
    }
}

/// Runs `host` with `guest` inside, until `done` says so after a turn of the guest: a watcher on a
/// duplicate of its descriptor, and a timer for its next deadline. The guest itself never waits.
fn host_until(host: &mut EvLoop, guest: EvLoop, done: impl Fn() -> bool + 'static) -> EvLoop {
    let fd = guest.backend_fd().unwrap().try_clone_to_owned().unwrap();
    let alarm = host.timer(ZERO, ZERO, nothing);
    let hosted = Rc::new(Hosted { guest: RefCell::new(guest), alarm, done: Box::new(done) });
    let turn = Rc::clone(&hosted);
    alarm.set_callback(host, move |host, _| turn.turn(host));
    let turn = Rc::clone(&hosted);
    let io = host.io(fd, Interest::READ, move |host, _| turn.turn(host)).start(host).unwrap();
    alarm.start(host);
    host.run().unwrap();
    io.free(host);
    alarm.free(host);
    Rc::into_inner(hosted).expect("the callbacks have let go of it").guest.into_inner()
}

#[test]
fn the_descriptors_of_a_hosted_loop_are_heard() {
    let _dog = Watchdog::new(secs(120));
    let (mut host, mut guest, told) = (live_ev(), guest(), Told::new());
    let (near, far) = shared_pair();
    let log = told.clone();
    let io = guest.io(near, Interest::READ, move |_, e| {
        drain(e.source);
        log.push(("guest", e.ready));
    });
    io.start(&mut guest).unwrap();
    // Nothing but the host's own timer tells it that something is there to be read.
    host.timer(ms(1), ms(1), move |_, _| put(&far)).start(&mut host);
    let log = told.clone();
    let guest = host_until(&mut host, guest, move || log.len() == 3);
    assert_eq!(told.take(), [("guest", READ); 3]);
    assert_eq!(guest.next_deadline(), None);
}

#[test]
fn the_timers_of_a_hosted_loop_are_heard_at_their_deadlines() {
    let _dog = Watchdog::new(secs(120));
    let (mut host, mut guest, log) = (live_ev(), guest(), Log::new());
    guest.timer(ms(1), ms(2), log.says("repeater")).start(&mut guest);
    let (says, start) = (log.clone(), Instant::now());
    guest.after(ms(6), move |_| {
        assert!(start.elapsed() >= ms(6), "never early");
        says.push("last");
    });
    let done = Rc::new(Cell::new(false));
    let seen = Rc::clone(&done);
    guest.after(ms(7), move |_| seen.set(true));
    host_until(&mut host, guest, move || done.get());
    let log = log.take();
    assert!(log.contains(&"repeater") && log.contains(&"last"), "{log:?}");
}

#[test]
fn the_notifiers_and_posts_of_a_hosted_loop_are_heard_from_other_threads() {
    const ROUNDS: usize = 200;
    let _dog = Watchdog::new(secs(120));
    let (mut host, mut guest) = (live_ev(), guest());
    let (heard, hear) = std::sync::mpsc::channel();
    let calls = Count::new();
    let (up, answer) = (calls.clone(), heard.clone());
    let (watcher, notifier) = guest.notifier(move |_, _| {
        up.up();
        let _ = answer.send(());
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
        assert!(remote.post(|ev| trace(ev, "over")));
    });
    let up = calls.clone();
    let over = Rc::new(Cell::new(false));
    let seen = Rc::clone(&over);
    guest
        .check(move |ev, _| {
            // Posted closures are called ahead of the check watchers of this priority.
            seen.set(seen.get() || !traced(ev).is_empty());
        })
        .start(&mut guest);
    host_until(&mut host, guest, move || over.get());
    caller.join().unwrap();
    assert_eq!(up.get(), ROUNDS);
}

#[test]
fn the_signals_of_a_hosted_loop_are_heard() {
    let _dog = Watchdog::new(secs(120));
    let (mut host, mut guest, count) = (live_ev(), guest(), Count::new());
    guest.signal(libc::SIGUSR2, count.ups()).start(&mut guest).unwrap();
    host.timer(ms(1), ZERO, |_, _| {
        // SAFETY: the signal is watched. It goes to the process, whose threads all have the handler.
        unsafe { libc::kill(std::process::id() as i32, libc::SIGUSR2) };
    })
    .start(&mut host);
    let seen = count.clone();
    host_until(&mut host, guest, move || seen.get() > 0);
}

#[test]
fn the_children_of_a_hosted_loop_are_heard() {
    let _dog = Watchdog::new(secs(120));
    for without in [false, true] {
        let builder = EvLoop::builder().backend(Backend::Epoll).env(false);
        let builder = if without { builder.without_process_descriptors() } else { builder };
        let (mut host, mut guest) = (live_ev(), builder.build().unwrap());
        let log = Log::<(Events, bool)>::new();
        let seen = log.clone();
        let process = std::process::Command::new("true").spawn().unwrap();
        let child = guest.child(process, move |_, e| {
            seen.push((e.ready, e.status.is_some_and(|status| status.success())));
        });
        child.start(&mut guest).unwrap();
        let seen = log.clone();
        host_until(&mut host, guest, move || seen.len() == 1);
        assert_eq!(log.take(), [(Events::CHILD, true)], "without process descriptors: {without}");
    }
}

#[test]
fn the_periodics_of_a_hosted_loop_are_heard_at_their_times() {
    let _dog = Watchdog::new(secs(120));
    let (mut host, mut guest, count) = (live_ev(), guest(), Count::new());
    let up = count.clone();
    let due = Rc::new(Cell::new(std::time::SystemTime::UNIX_EPOCH));
    let first = Rc::clone(&due);
    let key = guest.periodic(Schedule::every(ms(5)), move |ev, e| {
        assert!(ev.wall_now() >= first.get(), "early");
        first.set(e.watcher.due(ev).unwrap());
        up.up();
    });
    due.set(key.start(&mut guest).due(&guest).unwrap());
    let seen = count.clone();
    host_until(&mut host, guest, move || seen.get() == 4);
}

#[test]
fn an_idle_watcher_of_a_hosted_loop_runs_although_its_descriptor_is_silent() {
    let _dog = Watchdog::new(secs(120));
    let (mut host, mut guest, count) = (live_ev(), guest(), Count::new());
    guest.idle(count.ups()).start(&mut guest);
    let seen = count.clone();
    host_until(&mut host, guest, move || seen.get() == 5);
    assert_eq!(count.get(), 5);
}

#[test]
fn the_next_deadline_is_now_when_something_was_posted() {
    let (mut ev, clock) = ev_with_clock();
    anchor(&mut ev);
    clock.advance(secs(1));
    ev.update_now();
    assert!(ev.next_deadline().unwrap() > ev.now());
    assert!(ev.remote().post(|ev| trace(ev, "posted")));
    assert_eq!(ev.next_deadline(), Some(ev.now()));
    ev.turn(Some(ZERO)).unwrap();
    assert_eq!(traced(&mut ev), ["posted"]);
    assert!(ev.next_deadline().unwrap() > ev.now(), "that was all");
}

#[test]
fn the_next_deadline_is_now_when_a_notifier_has_called() {
    let mut ev = ev();
    let count = Count::new();
    let (watcher, notifier) = ev.notifier(count.ups());
    watcher.start(&mut ev);
    assert_eq!(ev.next_deadline(), None);
    assert!(notifier.notify());
    assert_eq!(ev.next_deadline(), Some(ev.now()));
    ev.turn(Some(ZERO)).unwrap();
    assert_eq!((count.get(), ev.next_deadline()), (1, None));
}

#[test]
fn what_is_found_out_between_turns_is_heard_and_keeps_no_later_word_from_being_heard() {
    let _dog = Watchdog::new(secs(120));
    let mut guest = guest();
    anchor(&mut guest);
    guest.turn(Some(ZERO)).unwrap();
    let is_heard = |guest: &EvLoop| {
        let fd = guest.backend_fd().unwrap();
        let mut fds = [rustix::event::PollFd::new(&fd, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 })).unwrap() > 0
    };
    let log = Log::<Events>::new();
    let told = log.clone();
    // No child of this process, and it is known at once.
    let child = guest.child_pid(std::process::id(), move |_, e| told.push(e.ready));
    child.start(&mut guest).unwrap();
    assert!(is_heard(&guest));
    guest.turn(Some(ZERO)).unwrap();
    assert_eq!(log.take(), [Events::CHILD | Events::ERROR]);
    assert!(!is_heard(&guest));
    // Taken back, it is no event; and whoever sends something is heard all the same.
    child.start(&mut guest).unwrap().stop(&mut guest);
    guest.turn(Some(ZERO)).unwrap();
    assert!(log.len() == 0 && !is_heard(&guest));
    guest.remote().wake();
    assert!(is_heard(&guest));
}
