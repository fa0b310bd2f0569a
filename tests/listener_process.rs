//! Listeners where the whole process takes part: its descriptors, its environment, its umask, its children.
//! net-and-http-server.md 2.5; reliability.md R3, R9, section 3a and the accept rows of section 4.

#![allow(clippy::unwrap_used)]

#[path = "suite/listening.rs"]
mod listening;
#[path = "suite/processes.rs"]
mod processes;
mod suite;

use std::fs::File;
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use evloop::net::{
    AcceptError, ListenOptions, Listener, ListenerPause, ListenerStats, listen_fds_from_environment,
};
use evloop::{Backend, ErrorKind, EvLoop, Events};
use listening::*;
use processes::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use suite::{Cell, Count, Log, MockClock, Rc, RefCell, ms, nothing, secs};

fn main() {
    let setting = |name, backend| Setting { name, backend, descriptors: true };
    let settings = [setting("epoll", Backend::Epoll), setting("poll", Backend::Poll)];
    processes::main(
        &settings,
        cases![
            without_descriptors_who_waits_is_sent_away_and_the_listener_rests,
            without_a_spare_descriptor_who_waits_goes_on_waiting,
            rests_grow_from_a_tenth_to_a_whole_second_and_are_told_once_per_second,
            a_full_table_costs_next_to_nothing,
            a_descriptor_that_the_loop_closes_ends_the_rest,
            open_connections_are_served_while_the_listener_rests,
            a_starving_listener_may_be_closed_and_dropped,
            the_error_callback_may_close_the_starving_listener,
            connections_are_fewer_than_descriptors,
            every_descriptor_is_given_back,
            errors_of_single_connections_are_passed_over,
            errors_that_do_not_end_are_not_asked_for_again_and_again,
            whatever_there_is_none_of_the_listener_rests,
            a_socket_that_cannot_be_watched_is_tried_again_later,
            a_socket_closed_under_the_loop_is_given_up_and_its_number_left_alone,
            descriptors_come_with_the_process_once,
            descriptors_for_another_process_are_not_taken,
            descriptors_with_names_keep_them,
            an_environment_that_is_wrong_is_refused,
            a_mode_is_kept_against_the_umask,
            a_forked_child_leaves_the_file_alone,
            a_child_that_took_over_accepts,
        ],
    );
}

// --- words -------------------------------------------------------------------------------------

/// A loop whose clock is ours.
fn clocked() -> (EvLoop, MockClock) {
    let clock = MockClock::new();
    (builder().mock_clock(&clock).build().unwrap(), clock)
}

fn limit(most: u64) {
    let limit = Rlimit { current: Some(most), maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// All descriptors there still are. The limit is low, so they are few.
fn take_all() -> Vec<File> {
    let null = File::open("/dev/null").unwrap();
    let mut all = Vec::new();
    while let Ok(one) = null.try_clone() {
        all.push(one);
    }
    all.push(null);
    all
}

/// A client that is not connected yet: later that takes no descriptor.
fn socket() -> OwnedFd {
    let (family, kind) = (rustix::net::AddressFamily::UNIX, rustix::net::SocketType::STREAM);
    rustix::net::socket(family, kind, None).unwrap()
}

fn call_with(socket: OwnedFd, name: &str) -> UnixStream {
    let address = rustix::net::SocketAddrUnix::new_abstract_name(&name.as_bytes()[6..]).unwrap();
    rustix::net::connect(&socket, &address).unwrap();
    socket.into()
}

fn stats(listener: Listener, ev: &mut EvLoop) -> ListenerStats {
    listener.stats(ev).unwrap()
}

fn paused(listener: Listener, ev: &mut EvLoop) -> Option<ListenerPause> {
    stats(listener, ev).paused
}

const STARVED: Option<ListenerPause> = Some(ListenerPause::Starved);

/// What the error callback is told: the error's number, and whether that was the end.
fn told(listener: Listener, ev: &mut EvLoop) -> Log<(Option<i32>, bool)> {
    let told = Log::new();
    let log = told.clone();
    listener.on_error(ev, move |_, e: AcceptError| {
        assert_eq!((e.listener, e.error.kind()), (listener, ErrorKind::Listen));
        log.push((e.error.raw_os_error(), e.stopped));
    });
    told
}

/// Has every further call of this number fail.
fn forbid(call: libc::c_long, errno: i32) {
    let step = |code: u32, jt, jf, k| libc::sock_filter { code: code as u16, jt, jf, k };
    let filter = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog { len: 4, filter: filter.as_ptr().cast_mut() };
    // SAFETY: the program and its four steps are locals, which the calls read and do not keep.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let set = libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program);
        if set != 0 {
            skip("no system calls can be forbidden here");
        }
    }
}

fn set_env(name: &str, value: &str) {
    // SAFETY: the case has one thread.
    unsafe { std::env::set_var(name, value) };
}

/// Puts a duplicate of this at a number, over whatever is there.
fn place(fd: impl AsFd, number: RawFd) {
    // SAFETY: what the number was is not used again: it was the runner's, or the case says so.
    let got = unsafe { libc::dup2(fd.as_fd().as_raw_fd(), number) };
    assert_eq!(got, number);
}

fn cpu_time() -> std::time::Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    std::time::Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

// --- without descriptors -----------------------------------------------------------------------

fn without_descriptors_who_waits_is_sent_away_and_the_listener_rests() {
    limit(200);
    let (mut ev, clock) = clocked();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new());
    let told = told(listener, &mut ev);
    let (early, late) = ([socket(), socket(), socket()], socket());
    let mut all = take_all();
    let early = early.map(|socket| call_with(socket, &name));
    pass(&mut ev);
    for client in &early {
        assert!(is_ended(client));
    }
    let is = stats(listener, &mut ev);
    assert_eq!((is.shed, is.accepted, is.errors, is.paused), (3, 0, 1, STARVED));
    assert_eq!(told.take(), [(Some(libc::EMFILE), false)]);
    assert!(ev.has_refs(), "it will go on");
    all.truncate(all.len() - 5);
    let late = call_with(late, &name);
    clock.advance(ms(99));
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!(paused(listener, &mut ev), STARVED);
    clock.advance(ms(1));
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!((paused(listener, &mut ev), kept.borrow().len()), (None, 1));
    assert!(is_open(&late));
}

fn without_a_spare_descriptor_who_waits_goes_on_waiting() {
    limit(200);
    let (mut ev, clock) = clocked();
    let options = ListenOptions::new().spare_descriptor(false);
    let (listener, name, kept) = keeper(&mut ev, &options);
    let client = socket();
    let mut all = take_all();
    let client = call_with(client, &name);
    pass(&mut ev);
    assert_eq!(paused(listener, &mut ev), STARVED);
    assert!(is_open(&client));
    all.pop();
    clock.advance(ms(100));
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!((stats(listener, &mut ev).shed, kept.borrow().len()), (0, 1));
}

fn rests_grow_from_a_tenth_to_a_whole_second_and_are_told_once_per_second() {
    limit(200);
    let (mut ev, clock) = clocked();
    let options = ListenOptions::new().spare_descriptor(false);
    let (listener, name, kept) = keeper(&mut ev, &options);
    let told = told(listener, &mut ev);
    let client = socket();
    let mut all = take_all();
    let _client = call_with(client, &name);
    pass(&mut ev);
    let mut reports = Vec::new();
    for rest in [100, 200, 400, 800, 1000, 1000] {
        reports.push(told.take().len());
        clock.advance(ms(rest - 1));
        pass(&mut ev);
        assert_eq!(paused(listener, &mut ev), STARVED, "{rest}");
        let before = stats(listener, &mut ev).errors;
        clock.advance(ms(1));
        // The end of the rest, and the next try.
        pass(&mut ev);
        pass(&mut ev);
        assert_eq!(stats(listener, &mut ev).errors, before + 1, "{rest}");
    }
    // At 0, 1500, 2500 ms, and not at 100, 300, 700.
    assert_eq!(reports, [1, 0, 0, 0, 1, 1]);
    // After a success it begins small again.
    all.pop();
    clock.advance(secs(1));
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 1);
    let next = socket_from(&mut all);
    all.extend(take_all_more());
    let _next = call_with(next, &name);
    pass(&mut ev);
    assert_eq!(paused(listener, &mut ev), STARVED);
    clock.advance(ms(100));
    pass(&mut ev);
    assert_eq!(paused(listener, &mut ev), None);
}

/// A socket in the place of a descriptor that was taken.
fn socket_from(all: &mut Vec<File>) -> OwnedFd {
    all.pop();
    socket()
}

/// What is left when there may be nothing to open a file with.
fn take_all_more() -> Vec<File> {
    File::open("/dev/null").map_or_else(
        |_| Vec::new(),
        |file| {
            let mut all = vec![file];
            while let Ok(one) = all[0].try_clone() {
                all.push(one);
            }
            all
        },
    )
}

fn a_full_table_costs_next_to_nothing() {
    limit(200);
    let mut ev = ev();
    for spare in [false, true] {
        let options = ListenOptions::new().spare_descriptor(spare);
        let (listener, name, kept) = keeper(&mut ev, &options);
        let sockets: Vec<_> = (0..5).map(|_| socket()).collect();
        let all = take_all();
        let _clients: Vec<_> = sockets.into_iter().map(|fd| call_with(fd, &name)).collect();
        let waits = count_waits(&mut ev);
        let before = cpu_time();
        ev.after(secs(2), |ev| ev.break_loop(evloop::Break::All));
        ev.run().unwrap();
        let spent = cpu_time() - before;
        assert!(spent < ms(100), "{spent:?} in 2 s");
        assert!(waits.get() < 20, "{} waits", waits.get());
        assert!(kept.borrow().is_empty());
        drop(all);
        listener.close(&mut ev);
    }
}

fn a_descriptor_that_the_loop_closes_ends_the_rest() {
    limit(200);
    let (mut ev, _clock) = clocked();
    let options = ListenOptions::new().spare_descriptor(false);
    let (listener, name, kept) = keeper(&mut ev, &options);
    let other = ev.listen("127.0.0.1:0", nothing).unwrap();
    let client = socket();
    let _all = take_all();
    let _client = call_with(client, &name);
    pass(&mut ev);
    assert_eq!(paused(listener, &mut ev), STARVED);
    assert!(kept.borrow().is_empty());
    other.close(&mut ev);
    pass(&mut ev);
    assert_eq!((paused(listener, &mut ev), kept.borrow().len()), (None, 1));
}

fn open_connections_are_served_while_the_listener_rests() {
    limit(200);
    let (mut ev, _clock) = clocked();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new());
    let client = call(&name);
    pass(&mut ev);
    let served = UnixStream::from(kept.borrow_mut().remove(0).into_fd());
    let log = Log::new();
    let says = log.clone();
    let io = ev.io(served, evloop::Interest::READ, move |ev, e| {
        says.push("served");
        e.watcher.stop(ev);
    });
    io.start(&mut ev).unwrap();
    let next = socket();
    let _all = take_all();
    let _next = call_with(next, &name);
    pass(&mut ev);
    assert_eq!(paused(listener, &mut ev), STARVED);
    std::io::Write::write_all(&mut &client, b"x").unwrap();
    pass(&mut ev);
    assert_eq!(log.take(), ["served"]);
}

fn a_starving_listener_may_be_closed_and_dropped() {
    limit(200);
    for close in [true, false] {
        let (mut ev, _clock) = clocked();
        let (listener, name, _kept) = keeper(&mut ev, &ListenOptions::new());
        let client = socket();
        let all = take_all();
        let _client = call_with(client, &name);
        pass(&mut ev);
        assert_eq!(paused(listener, &mut ev), STARVED);
        if close {
            listener.close(&mut ev);
            assert!(!ev.run().unwrap());
        }
        drop(ev);
        drop(all);
    }
    // Nobody is thought to starve any more: a loop with other listeners does as it did.
    let mut ev = ev();
    let (_listener, name, kept) = keeper(&mut ev, &ListenOptions::new());
    let _client = call(&name);
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 1);
}

fn the_error_callback_may_close_the_starving_listener() {
    limit(200);
    let mut ev = ev();
    let (listener, name, _kept) = keeper(&mut ev, &ListenOptions::new());
    let closed = Rc::new(Cell::new(false));
    let done = Rc::clone(&closed);
    listener.on_error(&mut ev, move |ev, e| done.set(e.listener.close(ev)));
    let client = socket();
    let _all = take_all();
    let client = call_with(client, &name);
    assert!(!ev.run().unwrap());
    assert!(closed.get() && is_ended(&client));
}

fn connections_are_fewer_than_descriptors() {
    limit(100);
    let mut ev = ev();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new());
    let sockets: Vec<_> = (0..50).map(|_| socket()).collect();
    let _clients: Vec<_> = sockets.into_iter().map(|fd| call_with(fd, &name)).collect();
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 100 - 64);
    assert_eq!(paused(listener, &mut ev), Some(ListenerPause::Connections));
    // A limit that is raised is noticed.
    limit(400);
    listener.resume(&mut ev);
    pass(&mut ev);
    assert_eq!(kept.borrow().len(), 50);
    listener.close(&mut ev);
    kept.borrow_mut().clear();
    // Without a number there is that limit alone, and one connection is always allowed.
    limit(40);
    let options = ListenOptions::new().max_connections(0);
    let (listener, name, kept) = keeper(&mut ev, &options);
    drop(_clients);
    let _clients = [call(&name), call(&name)];
    pass(&mut ev);
    pass(&mut ev);
    assert_eq!((kept.borrow().len(), stats(listener, &mut ev).connections), (1, 1));
}

fn every_descriptor_is_given_back() {
    limit(200);
    let mut ev = ev();
    let before = descriptors();
    let room = Room::new();
    for _ in 0..3 {
        let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new().max_connections(3));
        listener.add(&mut ev, ["127.0.0.1:0", &*room.address("socket")]).unwrap();
        listener.add(&mut ev, "example.org:1").unwrap_err();
        listener.add(&mut ev, ["127.0.0.1:0", &*room.address("socket")]).unwrap_err();
        let clients: Vec<_> = (0..5).map(|_| call(&name)).collect();
        pass(&mut ev);
        let next = socket();
        let all = take_all();
        kept.borrow_mut().clear();
        let next = call_with(next, &name);
        pass(&mut ev);
        pass(&mut ev);
        listener.close(&mut ev);
        drop((clients, next, all));
        kept.borrow_mut().clear();
        assert_eq!(descriptors(), before);
    }
}

// --- errors ------------------------------------------------------------------------------------

fn errors_of_single_connections_are_passed_over() {
    let mut ev = ev();
    let options = ListenOptions::new().accepts_per_wakeup(5);
    let (listener, name, _kept) = keeper(&mut ev, &options);
    let told = told(listener, &mut ev);
    let _client = call(&name);
    forbid(libc::SYS_accept4, libc::ECONNABORTED);
    // Up to some number in a row, and no more per turn than would be accepted.
    for n in 1..=12 {
        pass(&mut ev);
        assert_eq!(stats(listener, &mut ev).errors, 5 * n);
        assert_eq!(paused(listener, &mut ev), None);
    }
    assert_eq!(told.len(), 0);
}

fn errors_that_do_not_end_are_not_asked_for_again_and_again() {
    for errno in [libc::EPERM, libc::ECONNABORTED, libc::EPROTO, libc::EINTR, libc::EHOSTUNREACH] {
        let child = fork(|| {
            let (mut ev, clock) = clocked();
            let (listener, name, _kept) = keeper(&mut ev, &ListenOptions::new());
            let told = told(listener, &mut ev);
            let _client = call(&name);
            forbid(libc::SYS_accept4, errno);
            pass(&mut ev);
            assert_eq!(stats(listener, &mut ev).errors, 64);
            assert_eq!(paused(listener, &mut ev), Some(ListenerPause::Failing));
            assert_eq!(told.take(), [(Some(errno), false)]);
            // A descriptor that is closed is no help.
            ev.listen(&*listening::name(), nothing).unwrap().close(&mut ev);
            pass(&mut ev);
            assert_eq!(paused(listener, &mut ev), Some(ListenerPause::Failing));
            clock.advance(ms(100));
            pass(&mut ev);
            pass(&mut ev);
            assert_eq!(stats(listener, &mut ev).errors, 128);
            leave(0);
        });
        assert!(child.wait().success(), "{errno}");
    }
}

fn whatever_there_is_none_of_the_listener_rests() {
    for errno in [libc::EMFILE, libc::ENFILE, libc::ENOBUFS, libc::ENOMEM] {
        let child = fork(|| {
            let (mut ev, clock) = clocked();
            let (listener, name, _kept) = keeper(&mut ev, &ListenOptions::new());
            let told = told(listener, &mut ev);
            let client = call(&name);
            forbid(libc::SYS_accept4, errno);
            for n in 1..=3 {
                pass(&mut ev);
                let is = stats(listener, &mut ev);
                assert_eq!((is.errors, is.shed, is.paused), (n, 0, STARVED));
                clock.advance(secs(1));
                pass(&mut ev);
            }
            assert_eq!(told.take(), [(Some(errno), false); 3]);
            assert!(is_open(&client));
            leave(0);
        });
        assert!(child.wait().success(), "{errno}");
    }
}

fn a_socket_that_cannot_be_watched_is_tried_again_later() {
    if setting().backend == Backend::Poll {
        skip("poll has nothing to refuse");
    }
    let (mut ev, clock) = clocked();
    let (listener, name, _kept) = keeper(&mut ev, &ListenOptions::new());
    let told = told(listener, &mut ev);
    pass(&mut ev);
    listener.pause(&mut ev);
    pass(&mut ev);
    let client = call(&name);
    forbid(libc::SYS_epoll_ctl, libc::ENOSPC);
    listener.resume(&mut ev);
    for _ in 0..3 {
        pass(&mut ev);
    }
    assert_eq!(told.take(), [(Some(libc::ENOSPC), false)]);
    assert_eq!(paused(listener, &mut ev), Some(ListenerPause::Failing));
    assert!(ev.has_refs(), "it will go on");
    let before = stats(listener, &mut ev).errors;
    clock.advance(ms(100));
    for _ in 0..3 {
        pass(&mut ev);
    }
    assert_eq!(stats(listener, &mut ev).errors, before + 1);
    assert!(is_open(&client));
    let error = ev.listen(&*listening::name(), nothing).unwrap_err();
    assert_eq!((error.kind(), error.raw_os_error()), (ErrorKind::Register, Some(libc::ENOSPC)));
    assert_eq!(evloop::net::listeners(&ev), [listener]);
}

fn a_socket_closed_under_the_loop_is_given_up_and_its_number_left_alone() {
    for replaced in [true, false] {
        let mut ev = ev();
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let number = socket.as_raw_fd();
        let listener = ListenOptions::new().adopt(&mut ev, socket, nothing).unwrap();
        let told = told(listener, &mut ev);
        if replaced {
            place(File::open("/dev/null").unwrap(), number);
        } else {
            // SAFETY: none: this is what the library must survive.
            unsafe { libc::close(number) };
        }
        // epoll is silent about it, until somebody looks.
        ev.feed_fd(number, Events::READ);
        pass(&mut ev);
        pass(&mut ev);
        let errno = if replaced { libc::ENOTSOCK } else { libc::EBADF };
        assert_eq!(told.take(), [(Some(errno), true)]);
        assert!(listener.addresses(&ev).is_empty());
        // SAFETY: asks for a flag of whatever is there.
        let is_open = unsafe { libc::fcntl(number, libc::F_GETFD) } >= 0;
        assert_eq!(is_open, replaced);
        listener.close(&mut ev);
        let (_other, name, kept) = keeper(&mut ev, &ListenOptions::new());
        let _client = call(&name);
        pass(&mut ev);
        assert_eq!(kept.borrow().len(), 1, "the loop lives");
    }
}

// --- descriptors that come with the process ------------------------------------------------------

fn announce(count: &str) {
    set_env("LISTEN_PID", &std::process::id().to_string());
    set_env("LISTEN_FDS", count);
}

/// The listening sockets that are passed; at 3 and on.
fn passed() -> [std::net::SocketAddr; 2] {
    // Higher than where they are to be.
    let sockets = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let high =
        sockets.each_ref().map(|socket| rustix::io::fcntl_dupfd_cloexec(socket, 50).unwrap());
    let addresses = sockets.each_ref().map(|socket| socket.local_addr().unwrap());
    std::mem::forget(sockets);
    place(&high[0], 3);
    place(&high[1], 4);
    addresses
}

fn descriptors_come_with_the_process_once() {
    let addresses = passed();
    announce("2");
    let mut ev = ev();
    let mut inherited = listen_fds_from_environment().unwrap();
    assert_eq!(inherited.len(), 2);
    assert!(inherited.iter().all(|one| one.name == "unknown"));
    let numbers: Vec<_> = inherited.iter().map(|one| one.fd.as_raw_fd()).collect();
    assert_eq!(numbers, [3, 4]);
    let flags = rustix::io::fcntl_getfd(&inherited[0].fd).unwrap();
    assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
    assert!(listen_fds_from_environment().unwrap().is_empty(), "they have an owner");
    assert_eq!(std::env::var("LISTEN_FDS").unwrap(), "2");
    let kept = Kept::default();
    let second = inherited.remove(1).fd;
    let first = inherited.remove(0).fd;
    let listener = ListenOptions::new().adopt(&mut ev, first, keeps(&kept)).unwrap();
    listener.add_fd(&mut ev, second).unwrap();
    assert_eq!(listener.addresses(&ev), addresses.map(Into::into));
    let _clients = addresses.map(connect);
    until(&mut ev, |_| kept.borrow().len() == 2);
}

fn descriptors_for_another_process_are_not_taken() {
    passed();
    assert!(listen_fds_from_environment().unwrap().is_empty(), "there is no word of them");
    announce("2");
    let child = fork(|| {
        assert!(listen_fds_from_environment().unwrap().is_empty());
        leave(0);
    });
    assert!(child.wait().success());
    assert_eq!(listen_fds_from_environment().unwrap().len(), 2);
}

fn descriptors_with_names_keep_them() {
    passed();
    announce("2");
    set_env("LISTEN_FDNAMES", "http:");
    let names: Vec<_> =
        listen_fds_from_environment().unwrap().into_iter().map(|one| one.name).collect();
    assert_eq!(names, ["http", ""]);
}

fn an_environment_that_is_wrong_is_refused() {
    passed();
    let kind = || listen_fds_from_environment().map(|fds| fds.len()).map_err(|e| e.kind());
    for count in ["", "x", "-1", "+2", "2 ", "99999999999999999999999"] {
        announce(count);
        assert_eq!(kind(), Err(ErrorKind::InvalidInput), "{count:?}");
    }
    announce("0");
    assert_eq!(kind(), Ok(0));
    // As many as are not open.
    for count in ["1000", "18446744073709551615"] {
        announce(count);
        assert_eq!(kind(), Err(ErrorKind::Listen), "{count}");
    }
    announce("2");
    set_env("LISTEN_FDNAMES", "one");
    assert_eq!(kind(), Err(ErrorKind::InvalidInput));
    set_env("LISTEN_FDNAMES", "one:two");
    set_env("LISTEN_PID", "me");
    assert_eq!(kind(), Err(ErrorKind::InvalidInput));
    announce("2");
    assert_eq!(kind(), Ok(2), "nothing was taken meanwhile");
}

// --- umask and children --------------------------------------------------------------------------

fn a_mode_is_kept_against_the_umask() {
    let (mut ev, room) = (ev(), Room::new());
    let mode = |ev: &mut EvLoop, options: ListenOptions| {
        let listener = options.listen(ev, room.address("socket"), nothing).unwrap();
        let mode = room.0.join("socket").metadata().unwrap().permissions().mode();
        listener.close(ev);
        mode & 0o7777
    };
    for umask in [0o077, 0o777, 0o000, 0o022] {
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(umask));
        for asked in [0o600, 0o666, 0o660] {
            assert_eq!(mode(&mut ev, ListenOptions::new().mode(asked)), asked, "{umask:o}");
        }
        assert_eq!(mode(&mut ev, ListenOptions::new()), 0o777 & !umask);
    }
}

fn a_forked_child_leaves_the_file_alone() {
    let (mut ev, room) = (ev(), Room::new());
    let listener = ev.listen(room.address("socket"), nothing).unwrap();
    let path = room.0.join("socket");
    let ev = RefCell::new(Some(ev));
    for take_over in [false, true] {
        let child = fork(|| {
            let mut ev = ev.take().unwrap();
            if take_over {
                ev.after_fork().unwrap();
                listener.close(&mut ev);
            }
            drop(ev);
            leave(0);
        });
        assert!(child.wait().success());
        assert!(path.exists());
    }
    let mut ev = ev.take().unwrap();
    listener.close(&mut ev);
    assert!(!path.exists());
}

fn a_child_that_took_over_accepts() {
    let mut ev = ev();
    let (listener, name, kept) = keeper(&mut ev, &ListenOptions::new());
    let client = call(&name);
    let child = fork(|| {
        let refused = ev.listen(&*listening::name(), nothing).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Forked);
        ev.after_fork().unwrap();
        pass(&mut ev);
        assert_eq!(kept.borrow().len(), 1);
        assert!(listener.close(&mut ev));
        leave(0);
    });
    assert!(child.wait().success());
    assert!(is_ended(&client), "it was the child's");
    let count = Count::new();
    assert!(listener.set_callback(&mut ev, count.ups()));
    let _client = call(&name);
    pass(&mut ev);
    assert_eq!(count.get(), 1);
}
