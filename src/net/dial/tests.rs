//! Dialling, over real sockets of this machine. Where attempts are to hang, a listener whose queue is full
//! takes them in and never answers; the clock is a mock one then, and moves when nothing else does.

use std::cell::{Cell, RefCell};
use std::collections::hash_map::RandomState;
use std::error::Error as StdError;
use std::hash::BuildHasher;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use rustix::net::{AddressFamily, SocketType, getsockname};

use super::attempt::{LONGEST_PAUSE, look};
use super::call::Calls;
use super::options::{ATTEMPTS, DELAY, LIMIT, LONGEST_DELAY, MOST_ATTEMPTS, SHORTEST_DELAY};
use super::race::Wait;
use super::*;
use crate::net::resolve::tests::{Gate, at, cases, clocked};
use crate::net::resolve::{refuse, set_oracle};
use crate::net::{Phase, Reason};
use crate::{Backend, Run};

cases! {
    an_address_of_either_family_is_reached,
    this_machine_is_its_loopback_addresses,
    a_name_is_resolved_told_and_reached,
    a_hint_goes_before_the_resolver,
    a_unix_socket_is_reached_by_path_and_by_abstract_name,
    what_connects_at_once_is_reported_from_the_loop,
    sockets_are_non_blocking_and_closed_on_exec,
    a_refused_address_is_tried_once_and_named_in_the_error,
    an_unreachable_address_and_one_without_a_zone_are_named_in_the_error,
    what_cannot_be_dialled_is_refused_at_once,
    a_path_where_nobody_listens_is_an_error,
    all_attempts_are_in_the_error_in_order_and_the_last_one_is_named,
    no_more_addresses_are_tried_than_may_be,
    the_next_address_is_tried_beside_one_that_hangs_and_the_loser_is_closed,
    the_next_address_is_tried_at_once_when_one_has_failed,
    the_first_address_may_still_win,
    the_delay_between_attempts_can_be_set,
    the_whole_has_a_limit_and_says_what_hung,
    resolving_has_a_limit_of_its_own,
    the_limit_of_the_whole_counts_while_a_name_is_resolved,
    a_limit_of_zero_ends_in_an_error,
    a_connection_that_is_there_is_not_late_when_the_loop_was_held_up,
    time_counts_from_the_call_and_not_from_the_loops_time,
    a_name_without_addresses_is_an_error,
    a_family_that_may_not_be_used_is_left_out,
    a_pool_that_is_full_is_reported_from_the_loop,
    a_unix_socket_whose_queue_is_full_is_waited_for,
    a_unix_socket_whose_queue_stays_full_is_given_up,
    a_connection_to_itself_is_refused,
    the_local_address_can_be_chosen,
    a_local_address_that_is_not_ours_is_the_attempts_error,
    an_event_that_was_only_fed_changes_nothing,
    cancelled_while_a_name_is_resolved_nothing_is_told,
    cancelled_when_told_of_the_addresses_nothing_is_tried,
    cancelled_while_attempts_are_under_way_their_sockets_are_closed,
    cancelled_when_the_outcome_is_there_it_is_closed,
    a_panic_when_told_of_the_addresses_does_not_stop_it,
    a_panic_of_done_leaves_the_loop_usable,
    done_may_dial_and_run_the_loop,
    who_is_told_of_the_addresses_may_run_the_loop_to_the_end,
    dropping_the_loop_closes_what_is_under_way,
    an_adopted_socket_is_waited_for,
    an_adopted_socket_that_is_connected_is_reported_from_the_loop,
    an_adopted_socket_that_is_refused_tells_the_systems_error,
    an_adopted_socket_that_is_not_connecting_is_an_error,
    what_cannot_be_adopted_is_refused_at_once,
}

// --- words -------------------------------------------------------------------------------------

type Told = Rc<RefCell<Vec<Result<Dialed>>>>;

fn notes(told: &Told) -> impl FnOnce(&mut EvLoop, Result<Dialed>) + use<> + 'static {
    let told = Rc::clone(told);
    move |_, outcome| told.borrow_mut().push(outcome)
}

fn quiet(_: &mut EvLoop) {}

/// Dials and runs until it is told how it ended.
fn dialled(ev: &mut EvLoop, to: &str, options: &ConnectOptions) -> Result<Dialed> {
    let told = Told::default();
    let key = dial(ev, &to.parse().unwrap(), options, quiet, notes(&told)).unwrap();
    assert!(told.borrow().is_empty(), "told from inside the call");
    assert!(key.is_active(ev));
    assert!(!ev.run().unwrap());
    assert!(!key.is_active(ev));
    assert!(!key.cancel(ev));
    let mut told = told.take();
    assert_eq!(told.len(), 1);
    told.remove(0)
}

fn plain() -> ConnectOptions {
    ConnectOptions::new()
}

/// The system accepts for it, as often as the queue has room.
fn listen(ip: &str) -> (TcpListener, u16) {
    let listener = TcpListener::bind(at(ip, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    (listener, port)
}

/// A listener on each of the addresses, all on one port.
fn listen_on_all(ips: &[&str]) -> (Vec<TcpListener>, u16) {
    for _ in 0..100 {
        let (first, port) = listen(ips[0]);
        let rest = ips[1..].iter().map(|ip| TcpListener::bind(at(ip, port)));
        if let Ok(rest) = rest.collect::<io::Result<Vec<_>>>() {
            return ([first].into_iter().chain(rest).collect(), port);
        }
    }
    panic!("no port is free on all of {ips:?}");
}

/// A port of the address that refuses: it is bound, so nobody else gets it, and nobody listens.
fn refusing(ip: &str, port: u16) -> (OwnedFd, u16) {
    let target = Target::Ip(at(ip, port));
    let socket = target.socket(SocketType::STREAM).unwrap();
    target.bind(&socket).unwrap();
    let bound = SocketAddr::try_from(getsockname(&socket).unwrap()).unwrap();
    (socket, bound.port())
}

/// Fills the queue of a listener: who comes now hangs.
fn black_hole(listener: &TcpListener) -> TcpStream {
    rustix::net::listen(listener, 0).unwrap();
    TcpStream::connect(listener.local_addr().unwrap()).unwrap()
}

fn hinted(ips: &[&str]) -> ConnectOptions {
    plain().hint("host.example", ips.iter().map(|ip| ip.parse().unwrap()))
}

fn host(port: u16) -> String {
    format!("host.example:{port}")
}

fn attempts(error: &Error) -> Vec<(String, io::ErrorKind)> {
    let attempts = ConnectError::of(error).expect("a list of attempts").attempts().iter();
    attempts.map(|attempt| (attempt.address.to_string(), attempt.error.kind())).collect()
}

fn source(error: &Error) -> String {
    StdError::source(error).unwrap().to_string()
}

/// What an open descriptor is: a number that no other ever is.
fn identity(fd: RawFd) -> PathBuf {
    std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap()
}

fn is_open(identity: &PathBuf) -> bool {
    std::fs::read_dir("/proc/self/fd")
        .unwrap()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .any(|open| open == *identity)
}

/// The sockets of the attempts that are under way.
fn under_way(ev: &mut EvLoop, key: Dial) -> Vec<(RawFd, PathBuf)> {
    let calls = ev.local::<Calls>();
    let calls = calls.0.borrow();
    let fds: Vec<RawFd> = match &calls.get(&key.0).unwrap().stage {
        Stage::Naming(_) => Vec::new(),
        Stage::Racing(race) => {
            let fd = |open: &Open| match &open.wait {
                Wait::System(io) => io.fd(ev).unwrap(),
                Wait::Room { socket, .. } => socket.as_raw_fd(),
            };
            race.open.iter().map(fd).collect()
        }
        Stage::Over(outcome) => outcome.iter().map(|winner| winner.socket.as_raw_fd()).collect(),
    };
    fds.into_iter().map(|fd| (fd, identity(fd))).collect()
}

/// Once, over both ends.
fn talk(one: OwnedFd, mut other: impl Read) {
    TcpStream::from(one).write_all(b"hello").unwrap();
    let mut text = String::new();
    other.read_to_string(&mut text).unwrap();
    assert_eq!(text, "hello");
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        let name = format!("evloop-dial-{:016x}", RandomState::new().hash_one(0));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn socket(&self) -> PathBuf {
        self.0.join("it.sock")
    }

    /// A listener with one place in its queue, and what to dial.
    fn listen(&self) -> (UnixListener, Address) {
        let listener = UnixListener::bind(self.socket()).unwrap();
        rustix::net::listen(&listener, 0).unwrap();
        (listener, Address::unix(self.socket()).unwrap())
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn shared<T>(value: T) -> (Rc<T>, Rc<T>) {
    let value = Rc::new(value);
    (Rc::clone(&value), value)
}

// --- connections -------------------------------------------------------------------------------

fn an_address_of_either_family_is_reached(backend: Backend) {
    for ip in ["127.0.0.1", "::1"] {
        let (mut ev, _clock) = clocked(backend);
        let (listener, port) = listen(ip);
        let to = at(ip, port).to_string();
        let dialed = dialled(&mut ev, &to, &plain()).unwrap();
        assert_eq!(dialed.address.to_string(), to);
        assert!(dialed.failed.is_empty());
        talk(dialed.socket, listener.accept().unwrap().0);
    }
}

fn this_machine_is_its_loopback_addresses(backend: Backend) {
    let (listeners, port) = listen_on_all(&["::1", "127.0.0.1"]);
    let wanted =
        [(Family::Any, 0), (Family::PreferV4, 1), (Family::OnlyV6, 0), (Family::OnlyV4, 1)];
    for (family, reached) in wanted {
        let (mut ev, _clock) = clocked(backend);
        let dialed = dialled(&mut ev, &format!(":{port}"), &plain().family(family)).unwrap();
        let local = listeners[reached].local_addr().unwrap();
        assert_eq!(dialed.address, Address::from(local), "{family:?}");
        talk(dialed.socket, listeners[reached].accept().unwrap().0);
    }
}

fn a_name_is_resolved_told_and_reached(backend: Backend) {
    let mut ev = EvLoop::builder().backend(backend).env(false).build().unwrap();
    let (_listener, port) = listen("127.0.0.1");
    let log = Rc::new(RefCell::new(Vec::new()));
    let (resolved, connected) = (Rc::clone(&log), Rc::clone(&log));
    let to = format!("tcp://LocalHost:{port}").parse().unwrap();
    let on_resolved = move |_: &mut EvLoop| resolved.borrow_mut().push("resolved".to_owned());
    dial(&mut ev, &to, &plain().family(Family::PreferV4), on_resolved, move |_, outcome| {
        connected.borrow_mut().push(outcome.unwrap().address.to_string());
    })
    .unwrap();
    assert!(log.borrow().is_empty());
    ev.run().unwrap();
    assert_eq!(*log.borrow(), ["resolved".to_owned(), format!("127.0.0.1:{port}")]);
}

fn a_hint_goes_before_the_resolver(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    set_oracle(&mut ev, |_| unreachable!("nobody is asked"));
    let (_listener, port) = listen("127.0.0.1");
    let options = plain().hint("HOST.example.", ["127.0.0.1".parse().unwrap()]);
    for name in ["host.example", "Host.Example."] {
        let told = Told::default();
        let (resolved, says) = shared(Cell::new(false));
        let to = format!("{name}:{port}").parse().unwrap();
        dial(&mut ev, &to, &options, move |_| says.set(true), notes(&told)).unwrap();
        assert!(!resolved.get());
        ev.run().unwrap();
        assert!(resolved.get());
        let dialed = told.take().remove(0).unwrap();
        assert_eq!(dialed.address.to_string(), format!("127.0.0.1:{port}"));
    }
}

fn a_unix_socket_is_reached_by_path_and_by_abstract_name(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let folder = Folder::new();
    let (listener, address) = folder.listen();
    let dialed = dialled(&mut ev, &address.to_string(), &plain()).unwrap();
    assert_eq!(dialed.address, address);
    talk(dialed.socket, listener.accept().unwrap().0);

    let name = folder.socket().display().to_string();
    let bound = std::os::unix::net::SocketAddr::from_abstract_name(&name).unwrap();
    let listener = UnixListener::bind_addr(&bound).unwrap();
    let dialed = dialled(&mut ev, &format!("unix:@{name}"), &plain()).unwrap();
    assert_eq!(dialed.address.to_string(), format!("unix:@{name}"));
    talk(dialed.socket, listener.accept().unwrap().0);
}

fn what_connects_at_once_is_reported_from_the_loop(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let folder = Folder::new();
    let (_listener, address) = folder.listen();
    let (inside, says) = shared(Cell::new(true));
    ev.defer(move |ev| {
        let looks = Rc::clone(&inside);
        dial(ev, &address, &plain(), quiet, move |_, outcome| {
            outcome.unwrap();
            assert!(!looks.get(), "told from inside the call");
        })
        .unwrap();
        inside.set(false);
    });
    ev.run().unwrap();
    assert_eq!(Rc::strong_count(&says), 1);
    assert!(!says.get());
}

fn sockets_are_non_blocking_and_closed_on_exec(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let (_listener, port) = listen("127.0.0.1");
    let dialed = dialled(&mut ev, &format!("127.0.0.1:{port}"), &plain()).unwrap();
    check_flags(&dialed.socket);
}

fn check_flags(socket: &OwnedFd) {
    assert!(fcntl_getfd(socket).unwrap().contains(FdFlags::CLOEXEC));
    let flags = rustix::fs::fcntl_getfl(socket).unwrap();
    assert!(flags.contains(rustix::fs::OFlags::NONBLOCK));
}

// --- errors ------------------------------------------------------------------------------------

fn a_refused_address_is_tried_once_and_named_in_the_error(backend: Backend) {
    for ip in ["127.0.0.1", "::1"] {
        let (mut ev, _clock) = clocked(backend);
        let (_bound, port) = refusing(ip, 0);
        let to = at(ip, port).to_string();
        let error = dialled(&mut ev, &to, &plain()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert_eq!(error.to_string(), "connecting: no connection came about");
        assert_eq!(attempts(&error), [(to.clone(), io::ErrorKind::ConnectionRefused)]);
        assert!(source(&error).starts_with(&format!("{to}: Connection refused")));
        assert_eq!(reason_of(&error), Reason::Refused);
    }
}

fn an_unreachable_address_and_one_without_a_zone_are_named_in_the_error(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    // TCP does not go to everybody.
    for to in ["255.255.255.255:9", "[fe80::1%nosuch]:9"] {
        let error = dialled(&mut ev, to, &plain()).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Connect);
        assert_eq!(attempts(&error).len(), 1);
        assert_eq!(attempts(&error)[0].0, to);
        assert_eq!(reason_of(&error), Reason::Failed);
    }
}

fn what_cannot_be_dialled_is_refused_at_once(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let v6 = plain().family(Family::OnlyV6);
    let bound = plain().bind(at("127.0.0.1", 0));
    for (to, options) in [
        ("127.0.0.1:0", &plain()),
        (":0", &plain()),
        ("host.example:0", &plain()),
        ("[fe80::1%nosuch]:0", &plain()),
        ("udp://127.0.0.1:53", &plain()),
        ("127.0.0.1:1", &v6),
        ("[::1]:1", &bound),
        (":1", &v6.clone().bind(at("127.0.0.1", 0))),
    ] {
        let to = to.parse().unwrap();
        let refused = dial(&mut ev, &to, options, quiet, |_, _| unreachable!()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{to}");
        assert_eq!(reason_of(&refused), Reason::Failed);
    }
    assert!(!ev.has_refs());
}

fn a_path_where_nobody_listens_is_an_error(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let folder = Folder::new();
    let to = format!("unix:{}", folder.socket().display());
    let error = dialled(&mut ev, &to, &plain()).unwrap_err();
    assert_eq!(attempts(&error), [(to.clone(), io::ErrorKind::NotFound)]);
    drop(UnixListener::bind(folder.socket()).unwrap());
    let error = dialled(&mut ev, &to, &plain()).unwrap_err();
    assert_eq!(attempts(&error), [(to, io::ErrorKind::ConnectionRefused)]);
    assert_eq!(reason_of(&error), Reason::Refused);
}

fn all_attempts_are_in_the_error_in_order_and_the_last_one_is_named(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let (_first, port) = refusing("127.0.0.1", 0);
    // Port by port the same number; nobody listens on the others either.
    let options = hinted(&["255.255.255.255", "127.0.0.1", "ff02::1"]);
    let error = dialled(&mut ev, &host(port), &options).unwrap_err();
    let tried: Vec<String> = attempts(&error).into_iter().map(|(address, _)| address).collect();
    let wanted = ["255.255.255.255", "ff02::1", "127.0.0.1"].map(|ip| at(ip, port).to_string());
    assert_eq!(tried, wanted, "the families in turns");
    assert!(source(&error).ends_with(", the last of 3 attempts"), "{}", source(&error));
    assert!(source(&error).starts_with(&wanted[2]));
    assert_eq!(reason_of(&error), Reason::Refused);
    assert_eq!(clock.elapsed(), Duration::ZERO, "nothing was waited for");
}

fn no_more_addresses_are_tried_than_may_be(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let ips: Vec<String> = (0..100).map(|n| format!("224.0.0.{n}")).collect();
    let ips: Vec<&str> = ips.iter().map(String::as_str).collect();
    for (options, tried) in [
        (hinted(&ips), ATTEMPTS),
        (hinted(&ips).max_attempts(0), 1),
        (hinted(&ips).max_attempts(5), 5),
        (hinted(&ips).max_attempts(usize::MAX), MOST_ATTEMPTS),
    ] {
        let error = dialled(&mut ev, &host(9), &options).unwrap_err();
        assert_eq!(attempts(&error).len(), tried);
    }
}

// --- the race ----------------------------------------------------------------------------------

fn the_next_address_is_tried_beside_one_that_hangs_and_the_loser_is_closed(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let (listeners, port) = listen_on_all(&["::1", "127.0.0.1"]);
    let _full = black_hole(&listeners[0]);
    let told = Told::default();
    let to = host(port).parse().unwrap();
    let options = hinted(&["::1", "127.0.0.1"]);
    let key = dial(&mut ev, &to, &options, quiet, notes(&told)).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    ev.run_mode(Run::NoWait).unwrap();
    let loser = under_way(&mut ev, key);
    assert_eq!(loser.len(), 1);
    assert!(is_open(&loser[0].1));
    ev.run().unwrap();
    let dialed = told.take().remove(0).unwrap();
    assert_eq!(dialed.address, Address::from(at("127.0.0.1", port)));
    assert_eq!(clock.elapsed(), DELAY);
    assert!(!is_open(&loser[0].1));
    assert!(is_open(&identity(dialed.socket.as_raw_fd())));
}

fn the_next_address_is_tried_at_once_when_one_has_failed(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let (listener, port) = listen("127.0.0.1");
    let _refusing = refusing("::1", port);
    let options = hinted(&["::1", "127.0.0.1"]);
    let dialed = dialled(&mut ev, &host(port), &options).unwrap();
    assert_eq!(clock.elapsed(), Duration::ZERO);
    assert_eq!(dialed.address, Address::from(at("127.0.0.1", port)));
    assert_eq!(dialed.failed.len(), 1);
    assert_eq!(dialed.failed[0].address, Address::from(at("::1", port)));
    talk(dialed.socket, listener.accept().unwrap().0);
}

fn the_first_address_may_still_win(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let (listeners, port) = listen_on_all(&["127.0.0.1", "127.0.0.2"]);
    let _full = listeners.iter().map(black_hole).collect::<Vec<_>>();
    let told = Told::default();
    let options = hinted(&["127.0.0.1", "127.0.0.2"]);
    let key = dial(&mut ev, &host(port).parse().unwrap(), &options, quiet, notes(&told)).unwrap();
    while clock.elapsed() < DELAY {
        ev.run_mode(Run::Once).unwrap();
    }
    let sockets = under_way(&mut ev, key);
    assert_eq!(sockets.len(), 2);
    // What the kernel does when its own time has come: as if the first one were connected now.
    let calls = ev.local::<Calls>();
    let first = match &calls.0.borrow().get(&key.0).unwrap().stage {
        Stage::Racing(race) => race.open[0].number,
        _ => unreachable!(),
    };
    let (other_listener, other_port) = listen("127.0.0.3");
    let connected = OwnedFd::from(TcpStream::connect(at("127.0.0.3", other_port)).unwrap());
    look(&mut ev, key.0, first, connected);
    let dialed = told.take().remove(0).unwrap();
    assert_eq!(dialed.address, Address::from(at("127.0.0.1", port)));
    assert!(!is_open(&sockets[1].1));
    assert!(!key.is_active(&ev));
    drop(other_listener);
}

fn the_delay_between_attempts_can_be_set(backend: Backend) {
    let given =
        [(Duration::ZERO, SHORTEST_DELAY), (ms(40), ms(40)), (Duration::MAX, LONGEST_DELAY)];
    for (asked, waited) in given {
        let (mut ev, clock) = clocked(backend);
        let (listeners, port) = listen_on_all(&["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
        let _full = listeners[..2].iter().map(black_hole).collect::<Vec<_>>();
        let options = hinted(&["127.0.0.1", "127.0.0.2", "127.0.0.3"]).attempt_delay(asked);
        let dialed = dialled(&mut ev, &host(port), &options).unwrap();
        assert_eq!(dialed.address, Address::from(at("127.0.0.3", port)));
        assert_eq!(clock.elapsed(), waited * 2);
    }
}

#[test]
fn the_families_take_turns_beginning_with_the_one_that_is_preferred() {
    let addresses = ["::1", "::2", "::3", "1.1.1.1", "1.1.1.2"].map(|ip| at(ip, 1));
    let tried = |options: ConnectOptions, addresses: &[SocketAddr]| {
        let order = options.plan().order(addresses.iter().copied());
        let ip = |target: &Target| match target {
            Target::Ip(address) => address.ip().to_string(),
            Target::Unix(_) => unreachable!(),
        };
        order.iter().map(ip).collect::<Vec<_>>().join(" ")
    };
    let of = |family| tried(plain().family(family), &addresses);
    assert_eq!(of(Family::Any), "::1 1.1.1.1 ::2 1.1.1.2 ::3");
    assert_eq!(of(Family::PreferV6), "::1 1.1.1.1 ::2 1.1.1.2 ::3");
    assert_eq!(of(Family::PreferV4), "1.1.1.1 ::1 1.1.1.2 ::2 ::3");
    assert_eq!(of(Family::OnlyV4), "1.1.1.1 1.1.1.2");
    assert_eq!(of(Family::OnlyV6), "::1 ::2 ::3");
    assert_eq!(tried(plain(), &addresses[2..]), "::3 1.1.1.1 1.1.1.2");
    assert_eq!(tried(plain(), &[addresses[3], addresses[0]]), "1.1.1.1 ::1");
    assert_eq!(tried(plain().family(Family::PreferV6), &addresses[3..]), "1.1.1.1 1.1.1.2");
    assert_eq!(tried(plain().max_attempts(2), &addresses), "::1 1.1.1.1");
    assert_eq!(tried(plain(), &[]), "");
    let v4 = plain().bind(at("127.0.0.1", 0));
    assert_eq!(tried(v4.clone(), &addresses), "1.1.1.1 1.1.1.2");
    assert_eq!(tried(v4.clone().family(Family::OnlyV6), &addresses), "");
    assert_eq!(tried(v4.bind(at("::1", 0)), &addresses), "::1 1.1.1.1 ::2 1.1.1.2 ::3");
}

// --- time --------------------------------------------------------------------------------------

fn the_whole_has_a_limit_and_says_what_hung(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let (listeners, port) = listen_on_all(&["127.0.0.1", "127.0.0.2"]);
    let _full = listeners.iter().map(black_hole).collect::<Vec<_>>();
    let options = hinted(&["127.0.0.1", "255.255.255.255", "127.0.0.2"]);
    let error = dialled(&mut ev, &host(port), &options).unwrap_err();
    assert_eq!(clock.elapsed(), LIMIT);
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    let tried = attempts(&error);
    assert_eq!(tried[0], (at("127.0.0.1", port).to_string(), io::ErrorKind::TimedOut));
    assert_eq!(tried[1].0, at("255.255.255.255", port).to_string());
    assert_eq!(tried[2], (at("127.0.0.2", port).to_string(), io::ErrorKind::TimedOut));
    assert_eq!(tried.len(), 3);
    assert_eq!(reason_of(&error), Reason::Timeout(Phase::Connect));

    let error = dialled(&mut ev, &host(port), &options.timeout(seconds(3))).unwrap_err();
    assert_eq!(clock.elapsed(), LIMIT + seconds(3));
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

fn resolving_has_a_limit_of_its_own(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let gate = Gate::set(&mut ev);
    let options = plain().resolve_timeout(seconds(2));
    let error = dialled(&mut ev, &host(1), &options).unwrap_err();
    assert_eq!(clock.elapsed(), seconds(2));
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(source(&error), "no answer about host.example within 2s");
    assert_eq!(reason_of(&error), Reason::Timeout(Phase::Resolve));
    drop(gate);
}

fn the_limit_of_the_whole_counts_while_a_name_is_resolved(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let gate = Gate::set(&mut ev);
    for options in
        [plain().timeout(seconds(3)), plain().timeout(seconds(3)).resolve_timeout(seconds(3))]
    {
        let begun = clock.elapsed();
        let error = dialled(&mut ev, &host(1), &options).unwrap_err();
        assert_eq!(clock.elapsed() - begun, seconds(3));
        assert_eq!(source(&error), "no answer about host.example within 3s");
        assert_eq!(reason_of(&error), Reason::Timeout(Phase::Resolve));
    }
    drop(gate);
}

fn a_limit_of_zero_ends_in_an_error(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let (listener, port) = listen("127.0.0.1");
    let _full = black_hole(&listener);
    let to = format!("127.0.0.1:{port}");
    let error = dialled(&mut ev, &to, &plain().timeout(Duration::ZERO)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(clock.elapsed(), Duration::ZERO);
    // Between the name and the first attempt.
    let options = hinted(&["127.0.0.1"]).timeout(Duration::ZERO);
    let error = dialled(&mut ev, &host(port), &options).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(reason_of(&error), Reason::Timeout(Phase::Connect));
}

fn a_connection_that_is_there_is_not_late_when_the_loop_was_held_up(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let (_listener, port) = listen("127.0.0.1");
    let told = Told::default();
    let to = format!("127.0.0.1:{port}").parse().unwrap();
    dial(&mut ev, &to, &plain(), quiet, notes(&told)).unwrap();
    clock.advance(LIMIT * 2);
    ev.run().unwrap();
    assert!(told.take().remove(0).is_ok());
}

fn time_counts_from_the_call_and_not_from_the_loops_time(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let (listener, port) = listen("127.0.0.1");
    let _full = black_hole(&listener);
    let to: Address = format!("127.0.0.1:{port}").parse().unwrap();
    let told = Told::default();
    let (told_here, clock_here) = (Rc::clone(&told), clock.clone());
    ev.after(Duration::ZERO, move |ev| {
        clock_here.advance(LIMIT);
        dial(ev, &to, &plain(), quiet, notes(&told_here)).unwrap();
    });
    ev.run().unwrap();
    assert_eq!(clock.elapsed(), LIMIT * 2);
    assert_eq!(told.take().remove(0).unwrap_err().kind(), ErrorKind::TimedOut);
}

// --- names -------------------------------------------------------------------------------------

fn a_name_without_addresses_is_an_error(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let told = Told::default();
    let to = "nowhere.invalid:80".parse().unwrap();
    let options = plain().timeout(Duration::MAX).resolve_timeout(Duration::MAX);
    dial(&mut ev, &to, &options, |_| unreachable!(), notes(&told)).unwrap();
    ev.run().unwrap();
    let error = told.take().remove(0).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resolve);
    assert_eq!(source(&error), "no address for nowhere.invalid");
    assert_eq!(reason_of(&error), Reason::Failed);
    // The same said beforehand.
    let error = dialled(&mut ev, &host(1), &hinted(&[])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resolve);
    assert_eq!(source(&error), "no address for host.example");
}

fn a_family_that_may_not_be_used_is_left_out(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let (_listener, port) = listen("127.0.0.1");
    let options = hinted(&["::1", "127.0.0.1"]).family(Family::OnlyV4);
    let dialed = dialled(&mut ev, &host(port), &options).unwrap();
    assert!(dialed.failed.is_empty());
    let error =
        dialled(&mut ev, &host(port), &hinted(&["::1"]).family(Family::OnlyV4)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Resolve);
    assert_eq!(source(&error), "no address of a family that may be used for host.example");
}

fn a_pool_that_is_full_is_reported_from_the_loop(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    refuse(&mut ev);
    let error = dialled(&mut ev, &host(1), &plain()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert_eq!(reason_of(&error), Reason::Failed);
}

// --- particular sockets ------------------------------------------------------------------------

fn a_unix_socket_whose_queue_is_full_is_waited_for(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let folder = Folder::new();
    let (listener, address) = folder.listen();
    let first = UnixStream::connect(folder.socket()).unwrap();
    let told = Told::default();
    dial(&mut ev, &address, &plain(), quiet, notes(&told)).unwrap();
    let accepts = listener.try_clone().unwrap();
    ev.after(ms(20), move |_| drop(accepts.accept().unwrap()));
    ev.run().unwrap();
    assert!(told.take().remove(0).is_ok());
    assert!(clock.elapsed() >= ms(20) && clock.elapsed() <= ms(20) + LONGEST_PAUSE);
    drop(first);
}

fn a_unix_socket_whose_queue_stays_full_is_given_up(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let folder = Folder::new();
    let (_listener, address) = folder.listen();
    let _first = UnixStream::connect(folder.socket()).unwrap();
    let error = dialled(&mut ev, &address.to_string(), &plain()).unwrap_err();
    assert_eq!(clock.elapsed(), LIMIT);
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(attempts(&error), [(address.to_string(), io::ErrorKind::TimedOut)]);
    // Cancelled while it is waited for.
    let key = dial(&mut ev, &address, &plain(), quiet, |_, _| unreachable!()).unwrap();
    let socket = under_way(&mut ev, key);
    assert!(key.cancel(&mut ev));
    assert!(!is_open(&socket[0].1));
    assert!(!ev.run().unwrap());
    assert_eq!(clock.elapsed(), LIMIT);
}

fn a_connection_to_itself_is_refused(backend: Backend) {
    for ip in ["127.0.0.1", "::1"] {
        let (mut ev, _clock) = clocked(backend);
        let (bound, port) = refusing(ip, 0);
        drop(bound);
        let itself = at(ip, port);
        let error = dialled(&mut ev, &itself.to_string(), &plain().bind(itself)).unwrap_err();
        let refused = (itself.to_string(), io::ErrorKind::ConnectionRefused);
        assert_eq!(attempts(&error), [refused]);
        // Nothing is left that keeps the port.
        TcpListener::bind(itself).unwrap();
    }
}

fn the_local_address_can_be_chosen(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let (listener, port) = listen("127.0.0.1");
    let options = plain().bind(at("127.0.0.9", 0));
    let _dialed = dialled(&mut ev, &format!("127.0.0.1:{port}"), &options).unwrap();
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(peer.ip(), at("127.0.0.9", 0).ip());
}

fn a_local_address_that_is_not_ours_is_the_attempts_error(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let options = plain().bind(at("198.51.100.1", 0));
    let error = dialled(&mut ev, "127.0.0.1:1", &options).unwrap_err();
    let tried = ("127.0.0.1:1".to_owned(), io::ErrorKind::AddrNotAvailable);
    assert_eq!(attempts(&error), [tried]);
}

fn an_event_that_was_only_fed_changes_nothing(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let (listener, port) = listen("127.0.0.1");
    let _full = black_hole(&listener);
    let told = Told::default();
    let to = format!("127.0.0.1:{port}").parse().unwrap();
    let key = dial(&mut ev, &to, &plain(), quiet, notes(&told)).unwrap();
    for _ in 0..3 {
        let socket = under_way(&mut ev, key);
        ev.feed_fd(socket[0].0, crate::Events::WRITE);
        ev.run_mode(Run::NoWait).unwrap();
        assert_eq!(under_way(&mut ev, key), socket);
    }
    ev.run().unwrap();
    assert_eq!(told.take().remove(0).unwrap_err().kind(), ErrorKind::TimedOut);
    assert_eq!(clock.elapsed(), LIMIT);
}

// --- the end before the end --------------------------------------------------------------------

fn cancelled_while_a_name_is_resolved_nothing_is_told(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let gate = Gate::set(&mut ev);
    let told = Told::default();
    let to = host(1).parse().unwrap();
    let key = dial(&mut ev, &to, &plain(), |_| unreachable!(), notes(&told)).unwrap();
    let twin = dial(&mut ev, &to, &plain(), |_| unreachable!(), notes(&told)).unwrap();
    assert_eq!(Rc::strong_count(&told), 3);
    assert!(key.cancel(&mut ev));
    assert!(!key.cancel(&mut ev));
    assert!(twin.cancel(&mut ev));
    assert_eq!(Rc::strong_count(&told), 1);
    assert!(!ev.has_refs());
    assert!(!ev.run().unwrap());
    gate.open(&["127.0.0.1"]);
    // Also where the answer is known and about to be delivered.
    let key = dial(&mut ev, &to, &hinted(&["127.0.0.1"]), |_| unreachable!(), notes(&told));
    assert!(key.unwrap().cancel(&mut ev));
    assert!(!ev.run().unwrap());
    assert!(told.take().is_empty());
}

fn cancelled_when_told_of_the_addresses_nothing_is_tried(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let told = Told::default();
    let (key, key_here) = shared(Cell::new(None::<Dial>));
    let on_resolved = move |ev: &mut EvLoop| {
        let key = key_here.get().unwrap();
        assert!(under_way(ev, key).is_empty());
        assert!(key.cancel(ev));
    };
    let (listener, port) = listen("127.0.0.1");
    let to = host(port).parse().unwrap();
    let options = hinted(&["127.0.0.1"]);
    key.set(Some(dial(&mut ev, &to, &options, on_resolved, notes(&told)).unwrap()));
    assert!(!ev.run().unwrap());
    assert!(told.take().is_empty());
    assert_eq!(Rc::strong_count(&told), 1);
    listener.set_nonblocking(true).unwrap();
    assert_eq!(listener.accept().unwrap_err().kind(), io::ErrorKind::WouldBlock);
}

fn cancelled_while_attempts_are_under_way_their_sockets_are_closed(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let (listeners, port) = listen_on_all(&["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    let _full = listeners.iter().map(black_hole).collect::<Vec<_>>();
    let told = Told::default();
    let options = hinted(&["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    let key = dial(&mut ev, &host(port).parse().unwrap(), &options, quiet, notes(&told)).unwrap();
    while clock.elapsed() < DELAY {
        ev.run_mode(Run::Once).unwrap();
    }
    let sockets = under_way(&mut ev, key);
    assert_eq!(sockets.len(), 2);
    assert!(key.cancel(&mut ev));
    assert!(sockets.iter().all(|(_, socket)| !is_open(socket)));
    assert!(!ev.run().unwrap(), "nothing is left");
    assert_eq!(clock.elapsed(), DELAY);
    assert_eq!(Rc::strong_count(&told), 1);
}

fn cancelled_when_the_outcome_is_there_it_is_closed(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let folder = Folder::new();
    let (_listener, address) = folder.listen();
    let key = dial(&mut ev, &address, &plain(), quiet, |_, _| unreachable!()).unwrap();
    let socket = under_way(&mut ev, key);
    assert_eq!(socket.len(), 1);
    assert!(key.cancel(&mut ev));
    assert!(!is_open(&socket[0].1));
    assert!(!ev.run().unwrap());
}

fn a_panic_when_told_of_the_addresses_does_not_stop_it(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let (_listener, port) = listen("127.0.0.1");
    let told = Told::default();
    let to = host(port).parse().unwrap();
    let panics = |_: &mut EvLoop| std::panic::resume_unwind(Box::new(()));
    dial(&mut ev, &to, &hinted(&["127.0.0.1"]), panics, notes(&told)).unwrap();
    assert!(catch_unwind(AssertUnwindSafe(|| ev.run())).is_err());
    ev.run().unwrap();
    assert!(told.take().remove(0).is_ok());
}

fn a_panic_of_done_leaves_the_loop_usable(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let (listeners, port) = listen_on_all(&["127.0.0.1", "127.0.0.2"]);
    let _full = black_hole(&listeners[0]);
    let (_refusing, refused) = refusing("127.0.0.1", 0);
    let options = hinted(&["127.0.0.1", "127.0.0.2"]);
    let (hole, closed) = (at("127.0.0.1", port), at("127.0.0.1", refused));
    // From a descriptor, from a deferred closure, from a time-out.
    for to in [host(port), "255.255.255.255:9".to_owned(), closed.to_string(), hole.to_string()] {
        let to = to.parse().unwrap();
        let panics = |_: &mut EvLoop, _: Result<Dialed>| std::panic::resume_unwind(Box::new(()));
        dial(&mut ev, &to, &options, quiet, panics).unwrap();
        assert!(catch_unwind(AssertUnwindSafe(|| ev.run())).is_err());
        assert!(!ev.run().unwrap(), "nothing is left of {to}");
        assert!(dialled(&mut ev, &host(port), &options).is_ok());
    }
    assert!(clock.elapsed() >= LIMIT);
}

fn done_may_dial_and_run_the_loop(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let (_listener, port) = listen("127.0.0.1");
    let to: Address = format!("127.0.0.1:{port}").parse().unwrap();
    let told = Told::default();
    let (outer, inner) = (notes(&told), notes(&told));
    let again = to.clone();
    dial(&mut ev, &to, &plain(), quiet, move |ev, outcome| {
        dial(ev, &again, &plain(), quiet, inner).unwrap();
        ev.run().unwrap();
        outer(ev, outcome);
    })
    .unwrap();
    ev.run().unwrap();
    assert_eq!(told.take().into_iter().filter(Result::is_ok).count(), 2);
}

fn who_is_told_of_the_addresses_may_run_the_loop_to_the_end(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let (_listener, port) = listen("127.0.0.1");
    let told = Told::default();
    let looks = Rc::clone(&told);
    let on_resolved = move |ev: &mut EvLoop| {
        ev.run().unwrap();
        assert_eq!(looks.borrow().len(), 1);
    };
    let to = host(port).parse().unwrap();
    dial(&mut ev, &to, &hinted(&["127.0.0.1"]), on_resolved, notes(&told)).unwrap();
    ev.run().unwrap();
    assert!(told.take().remove(0).is_ok());
}

fn dropping_the_loop_closes_what_is_under_way(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let (listener, port) = listen("127.0.0.1");
    let _full = black_hole(&listener);
    let folder = Folder::new();
    let (_unix, address) = folder.listen();
    let told = Told::default();
    let to = format!("127.0.0.1:{port}").parse().unwrap();
    let gate = Gate::set(&mut ev);
    let keys = [to, address.clone(), address, host(1).parse().unwrap()]
        .map(|to| dial(&mut ev, &to, &plain(), quiet, notes(&told)).unwrap());
    let sockets: Vec<_> = keys.iter().flat_map(|key| under_way(&mut ev, *key)).collect();
    assert_eq!(sockets.len(), 3, "one hangs, one is connected, one waits for room");
    assert_eq!(Rc::strong_count(&told), 5);
    drop(gate);
    drop(ev);
    assert!(sockets.iter().all(|(_, socket)| !is_open(socket)));
    assert!(told.take().is_empty());
    assert_eq!(Rc::strong_count(&told), 1);
}

// --- adopted -----------------------------------------------------------------------------------

/// A socket that is connecting, blocking and inherited, as somebody else would leave it.
fn connecting(to: SocketAddr) -> OwnedFd {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let socket = rustix::net::socket(family, SocketType::STREAM, None).unwrap();
    ioctl_fionbio(&socket, true).unwrap();
    assert_eq!(rustix::net::connect(&socket, &to), Err(Errno::INPROGRESS));
    ioctl_fionbio(&socket, false).unwrap();
    socket
}

type Adopted = Rc<RefCell<Vec<Result<OwnedFd>>>>;

fn adopted(ev: &mut EvLoop, socket: OwnedFd) -> Result<OwnedFd> {
    let told = Adopted::default();
    let tells = Rc::clone(&told);
    let done = move |_: &mut EvLoop, outcome| tells.borrow_mut().push(outcome);
    dial_adopted(ev, socket, &plain(), done).unwrap();
    assert!(told.borrow().is_empty());
    assert!(!ev.run().unwrap());
    let mut told = told.take();
    assert_eq!(told.len(), 1);
    told.remove(0)
}

fn an_adopted_socket_is_waited_for(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let (listener, port) = listen("127.0.0.1");
    let socket = connecting(at("127.0.0.1", port));
    let socket = adopted(&mut ev, socket).unwrap();
    check_flags(&socket);
    talk(socket, listener.accept().unwrap().0);
    let (listener, port) = listen("127.0.0.1");
    let _full = black_hole(&listener);
    let error = adopted(&mut ev, connecting(at("127.0.0.1", port))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::TimedOut);
    assert_eq!(reason_of(&error), Reason::Timeout(Phase::Connect));
    assert_eq!(clock.elapsed(), LIMIT);
}

fn an_adopted_socket_that_is_connected_is_reported_from_the_loop(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let (one, other) = UnixStream::pair().unwrap();
    let socket = adopted(&mut ev, one.into()).unwrap();
    talk(socket, other);
}

fn an_adopted_socket_that_is_refused_tells_the_systems_error(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let (_bound, port) = refusing("127.0.0.1", 0);
    let error = adopted(&mut ev, connecting(at("127.0.0.1", port))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect);
    assert_eq!(error.raw_os_error(), Some(Errno::CONNREFUSED.raw_os_error()));
    assert!(ConnectError::of(&error).is_none());
    assert_eq!(reason_of(&error), Reason::Refused);
}

fn an_adopted_socket_that_is_not_connecting_is_an_error(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let socket = Target::Ip(at("127.0.0.1", 0)).socket(SocketType::STREAM).unwrap();
    let error = adopted(&mut ev, socket).unwrap_err();
    assert_eq!(error.raw_os_error(), Some(Errno::NOTCONN.raw_os_error()));
    assert_eq!(clock.elapsed(), Duration::ZERO);
}

fn what_cannot_be_adopted_is_refused_at_once(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let (listener, _) = listen("127.0.0.1");
    let file = std::fs::File::open("/dev/null").unwrap();
    for unfit in [OwnedFd::from(listener), file.into()] {
        let refused = dial_adopted(&mut ev, unfit, &plain(), |_, _| unreachable!()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput);
    }
    assert!(!ev.has_refs());
}

#[test]
fn an_error_without_attempts_has_a_text() {
    assert_eq!(ConnectError { attempts: Vec::new() }.to_string(), "no address was tried");
}
