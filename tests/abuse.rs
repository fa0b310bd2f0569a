//! Peers that misbehave, and tables that are full: what a connection may cost at most, that others do not
//! notice, and that nothing is left afterwards. reliability.md R2, R3, R5, R9, R14 and section 4, on the
//! real clock and with real sockets.

#![allow(clippy::unwrap_used)]

#[path = "suite/processes.rs"]
mod processes;
mod suite;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use evloop::net::{Address, Listener, Phase, Place, Reason, Stream, StreamEvent};
use evloop::testing::MockClock;
use evloop::{Backend, ErrorKind, EvLoop};
use processes::*;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

fn main() {
    let setting = |name, backend| Setting { name, backend, descriptors: true };
    let settings = [setting("epoll", Backend::Epoll), setting("poll", Backend::Poll)];
    processes::main(
        &settings,
        cases![
            a_peer_that_never_reads_costs_the_caps_and_others_are_served,
            a_peer_that_sends_and_is_not_read_costs_the_high_mark,
            a_byte_now_and_then_does_not_move_the_deadline,
            five_thousand_connections_come_and_go_and_nothing_is_left,
            a_full_table_costs_next_to_nothing_and_a_descriptor_that_is_closed_ends_it,
            a_storm_of_refused_connections_ends_once_each,
            a_reset_in_mid_transfer_ends_one_stream_and_no_other,
            half_closed_and_hung_up_streams_do_not_spin,
            a_descriptor_closed_under_the_loop_ends_its_stream_and_nothing_spins,
            with_the_default_action_for_sigpipe_nothing_ends_the_process,
            a_child_that_did_not_take_over_drops_the_loop_and_the_parents_connections_live,
            a_child_that_took_over_serves_its_connections,
        ],
    );
}

// --- words -------------------------------------------------------------------------------------

/// What streams ended with, in order.
type Ends = Rc<RefCell<Vec<Reason>>>;

type Handler = Box<dyn FnMut(&mut EvLoop, Stream, StreamEvent)>;

/// Echoes, and notes the end. That an error comes once, and the end after everything, is checked.
fn echoes(ends: &Ends) -> Handler {
    noted(ends, |ev, stream, event| match event {
        StreamEvent::Received(_) => {
            let bytes = stream.take_all(ev);
            let _ = stream.write_owned(ev, bytes);
        }
        StreamEvent::Eof { .. } => stream.close_after_flush(ev),
        _ => {}
    })
}

fn noted(
    ends: &Ends,
    mut handler: impl FnMut(&mut EvLoop, Stream, &StreamEvent) + 'static,
) -> Handler {
    let ends = Rc::clone(ends);
    let (failed, closed) = (Cell::new(false), Cell::new(false));
    Box::new(move |ev, stream, event| {
        assert!(!closed.get(), "{event:?} after the end");
        match &event {
            StreamEvent::Error { .. } => assert!(!failed.replace(true), "two errors: {event:?}"),
            StreamEvent::Closed(reason) => {
                closed.set(true);
                ends.borrow_mut().push(*reason);
            }
            _ => {}
        }
        handler(ev, stream, &event);
    })
}

/// An echo on a port of its own.
fn server(ev: &mut EvLoop, ends: &Ends) -> (Listener, SocketAddr) {
    let ends = Rc::clone(ends);
    let listener = ev.listen("127.0.0.1:0", move |ev, accepted| {
        accepted.serve(ev, echoes(&ends));
    });
    let listener = listener.unwrap();
    (listener, host(&listener.addresses(ev)[0]))
}

fn host(address: &Address) -> SocketAddr {
    match address.place() {
        Place::Socket(socket) => *socket,
        other => panic!("{other:?}"),
    }
}

/// Turns until it is so; fails after ten seconds.
#[track_caller]
fn until(ev: &mut EvLoop, mut is_so: impl FnMut(&mut EvLoop) -> bool) {
    let start = Instant::now();
    while !is_so(ev) {
        assert!(start.elapsed() < secs(10), "still waiting");
        ev.turn(Some(ms(20))).unwrap();
    }
}

/// Runs for so long, and says in how many iterations.
fn rest(ev: &mut EvLoop, length: Duration) -> u64 {
    let before = ev.iteration();
    let end = Instant::now() + length;
    while let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
    {
        ev.turn(Some(left)).unwrap();
    }
    ev.iteration() - before
}

/// Says something to an echo, and hears it while the loop turns.
#[track_caller]
fn is_served(ev: &mut EvLoop, peer: &mut TcpStream) {
    peer.set_nonblocking(true).unwrap();
    peer.write_all(b"are you there?").unwrap();
    let mut heard: Vec<u8> = Vec::new();
    until(ev, |_| {
        let mut bytes = [0; 64];
        match peer.read(&mut bytes) {
            Ok(n) => heard.extend(&bytes[..n]),
            Err(error) => assert_eq!(error.kind(), IoErrorKind::WouldBlock),
        }
        heard.len() == 14
    });
    assert_eq!(heard, b"are you there?");
}

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

/// Memory of this process that is in use, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}

/// The time that this process has computed.
fn computed() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a local, of which all zeroes is a value.
    let usage = unsafe {
        assert_eq!(libc::getrusage(libc::RUSAGE_SELF, usage.as_mut_ptr()), 0);
        usage.assume_init()
    };
    let time = |time: libc::timeval| {
        Duration::from_secs(time.tv_sec as u64) + Duration::from_micros(time.tv_usec as u64)
    };
    time(usage.ru_utime) + time(usage.ru_stime)
}

/// Closing it resets the connection.
fn lingers_for_no_time(peer: &impl AsRawFd) {
    let linger = libc::linger { l_onoff: 1, l_linger: 0 };
    let size = size_of_val(&linger) as libc::socklen_t;
    // SAFETY: the pointer is to a local of the size that is told.
    let result = unsafe {
        let value = (&raw const linger).cast();
        libc::setsockopt(peer.as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER, value, size)
    };
    assert_eq!(result, 0);
}

fn limit(most: u64) {
    let limit = Rlimit { current: Some(most), maximum: getrlimit(Resource::Nofile).maximum };
    setrlimit(Resource::Nofile, limit).unwrap();
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

// --- memory ------------------------------------------------------------------------------------

const HARD: usize = 1024 * 1024;

fn a_peer_that_never_reads_costs_the_caps_and_others_are_served() {
    let mut ev = ev();
    let ends = Ends::default();
    let refused = Rc::new(Cell::new(0));
    let (noted_ends, counted) = (Rc::clone(&ends), Rc::clone(&refused));
    // Answers with all that it may.
    let generous = ev.listen("127.0.0.1:0", move |ev, accepted| {
        let counted = Rc::clone(&counted);
        let handler = noted(&noted_ends, move |ev, stream, event| {
            if matches!(event, StreamEvent::Opened | StreamEvent::Sent(_)) {
                loop {
                    match stream.write(ev, [7; 10_000]) {
                        Ok(_) => {}
                        Err(error) => {
                            assert_eq!(error.kind(), ErrorKind::Full);
                            counted.set(counted.get() + 1);
                            break;
                        }
                    }
                }
                assert!(stream.output_len(ev) <= HARD);
            }
        });
        accepted.serve(ev, handler);
    });
    let generous = generous.unwrap();
    let at = host(&generous.addresses(&ev)[0]);
    let (_, echo) = server(&mut ev, &ends);
    let before = resident();
    let deaf: Vec<TcpStream> = (0..10).map(|_| TcpStream::connect(at).unwrap()).collect();
    let mut other = TcpStream::connect(echo).unwrap();
    until(&mut ev, |ev| ev.stream_count() == 11);
    rest(&mut ev, ms(300));
    assert!(refused.get() >= 10);
    for stream in ev.streams() {
        assert!(stream.output_len(&ev) <= HARD);
    }
    let cost = resident().saturating_sub(before);
    // The rest is what allocators keep.
    assert!(cost <= 10 * HARD + 6 * HARD, "{cost} bytes for ten peers");
    is_served(&mut ev, &mut other);
    // Nobody goes round and round for their sake.
    let iterations = rest(&mut ev, ms(300));
    assert!(iterations <= 10, "{iterations} iterations");
    drop(deaf);
    until(&mut ev, |ev| ev.stream_count() <= 1 || ends.borrow().len() >= 10);
    assert!(ends.borrow().iter().all(|reason| *reason == Reason::Reset));
    is_served(&mut ev, &mut other);
}

fn a_peer_that_sends_and_is_not_read_costs_the_high_mark() {
    let mut ev = ev();
    let listener = ev.listen("127.0.0.1:0", |ev, accepted| {
        // Takes nothing.
        let stream = accepted.serve(ev, |_, _, _| {});
        stream.set_read_marks(ev, 0, Some(100_000));
    });
    let listener = listener.unwrap();
    let at = host(&listener.addresses(&ev)[0]);
    let mut peer = TcpStream::connect(at).unwrap();
    peer.set_nonblocking(true).unwrap();
    until(&mut ev, |ev| ev.stream_count() == 1);
    let stream = ev.streams()[0];
    for _ in 0..300 {
        let _ = peer.write(&[7; 100_000]);
        ev.turn(Some(Duration::ZERO)).unwrap();
    }
    assert_eq!(stream.input_len(&ev), 100_000);
    let iterations = rest(&mut ev, ms(300));
    assert!(iterations <= 5, "{iterations} iterations");
}

// --- time --------------------------------------------------------------------------------------

fn a_byte_now_and_then_does_not_move_the_deadline() {
    // On a clock that moves when nothing is to be done: on a real one a byte may come later than it was to come.
    let clock = MockClock::new();
    let mut ev = builder().mock_clock(&clock).build().unwrap();
    let ends = Ends::default();
    let noted_ends = Rc::clone(&ends);
    let listener = ev.listen("127.0.0.1:0", move |ev, accepted| {
        let stream = accepted.serve(ev, echoes(&noted_ends));
        stream.set_read_timeout(ev, Some(ms(300)));
        let now = ev.now();
        stream.set_deadline(ev, Some(now + ms(500)));
    });
    let listener = listener.unwrap();
    let at = host(&listener.addresses(&ev)[0]);
    let peer = TcpStream::connect(at).unwrap();
    peer.set_nonblocking(true).unwrap();
    until(&mut ev, |ev| ev.stream_count() == 1);
    let start = clock.elapsed();
    let mut dripping = peer.try_clone().unwrap();
    let drip = ev.timer(ms(50), ms(50), move |_, _| {
        let _ = dripping.write_all(b"x");
    });
    drip.start(&mut ev);
    until(&mut ev, |ev| ev.stream_count() == 0);
    let took = clock.elapsed() - start;
    assert_eq!(*ends.borrow(), [Reason::Timeout(Phase::Deadline)]);
    assert!(took > ms(400) && took < secs(3), "{took:?}");
}

// --- many --------------------------------------------------------------------------------------

fn five_thousand_connections_come_and_go_and_nothing_is_left() {
    const MANY: usize = 5_000;
    let most = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    if most < 2 * MANY as u64 + 200 {
        skip("so many descriptors are not to be had");
    }
    limit(2 * MANY as u64 + 200);
    let mut ev = ev();
    let ends = Ends::default();
    let (listener, at) = server(&mut ev, &ends);
    // Whatever the loop makes on first use is made.
    let mut first = TcpStream::connect(at).unwrap();
    is_served(&mut ev, &mut first);
    drop(first);
    until(&mut ev, |ev| ev.stream_count() == 0);
    let before = open_descriptors();

    let mut peers = Vec::new();
    while peers.len() < MANY {
        peers.extend((0..50).map(|_| TcpStream::connect(at).unwrap()));
        ev.turn(Some(Duration::ZERO)).unwrap();
    }
    until(&mut ev, |ev| ev.stream_count() == MANY);
    assert_eq!(open_descriptors(), before + 2 * MANY);
    for (n, peer) in peers.iter_mut().enumerate() {
        peer.write_all(&(n as u32).to_le_bytes()).unwrap();
    }
    // Each in turn: a read blocks, so the loop has to have answered before.
    until(&mut ev, |ev| {
        let streams = ev.streams();
        streams.iter().all(|stream| stream.info(ev).is_some_and(|info| info.bytes_out == 4))
    });
    for (n, peer) in peers.iter_mut().enumerate() {
        let mut bytes = [0; 4];
        peer.read_exact(&mut bytes).unwrap();
        assert_eq!(bytes, (n as u32).to_le_bytes());
    }
    drop(peers);
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(open_descriptors(), before);
    assert_eq!(ends.borrow().len(), MANY + 1);
    assert_eq!(listener.stats(&ev).unwrap().connections, 0);
}

fn a_full_table_costs_next_to_nothing_and_a_descriptor_that_is_closed_ends_it() {
    let mut ev = ev();
    let ends = Ends::default();
    let (listener, at) = server(&mut ev, &ends);
    let mut open = TcpStream::connect(at).unwrap();
    is_served(&mut ev, &mut open);
    // Sockets to connect with later, made before there are none.
    let mut waiting = Vec::new();
    limit(open_descriptors() as u64 + 20);
    let null = File::open("/dev/null").unwrap();
    let mut taken: Vec<File> = std::iter::from_fn(|| null.try_clone().ok()).collect();
    drop(taken.pop());
    let first = TcpStream::connect(at).unwrap();
    waiting.push(first);
    assert!(null.try_clone().is_err());
    // While it is full, one after the other knocks.
    let (before, start) = (computed(), Instant::now());
    rest(&mut ev, secs(2));
    let busy = (computed() - before).as_secs_f64() / start.elapsed().as_secs_f64();
    assert!(busy < 0.05, "{:.1} % of the time", busy * 100.0);
    assert!(listener.stats(&ev).unwrap().errors > 0);
    is_served(&mut ev, &mut open);
    drop(taken);
    let mut late = TcpStream::connect(at).unwrap();
    is_served(&mut ev, &mut late);
    is_served(&mut ev, &mut open);
}

fn a_storm_of_refused_connections_ends_once_each() {
    let mut ev = ev();
    let ends = Ends::default();
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let before = open_descriptors();
    for _ in 0..500 {
        ev.connect(nobody, noted(&ends, |_, _, _| {})).unwrap();
    }
    until(&mut ev, |ev| ev.stream_count() == 0);
    assert_eq!(ends.borrow().len(), 500);
    assert!(ends.borrow().iter().all(|reason| *reason == Reason::Refused));
    assert_eq!(open_descriptors(), before);
    // Whoever tries again from the handler does not keep the others from their turn.
    let tries = Rc::new(Cell::new(0));
    again(&mut ev, nobody, &tries);
    let (_, at) = server(&mut ev, &ends);
    let mut peer = TcpStream::connect(at).unwrap();
    is_served(&mut ev, &mut peer);
    assert!(tries.get() > 0);
}

fn again(ev: &mut EvLoop, to: SocketAddr, tries: &Rc<Cell<u32>>) {
    let tries = Rc::clone(tries);
    let handler = move |ev: &mut EvLoop, _: Stream, event: StreamEvent| {
        if let StreamEvent::Closed(_) = event {
            tries.set(tries.get() + 1);
            again(ev, to, &tries);
        }
    };
    ev.connect(to, handler).unwrap();
}

// --- ends --------------------------------------------------------------------------------------

fn a_reset_in_mid_transfer_ends_one_stream_and_no_other() {
    let mut ev = ev();
    let ends = Ends::default();
    let (_, at) = server(&mut ev, &ends);
    let mut other = TcpStream::connect(at).unwrap();
    is_served(&mut ev, &mut other);
    for _ in 0..20 {
        let mut peer = TcpStream::connect(at).unwrap();
        peer.set_nonblocking(true).unwrap();
        lingers_for_no_time(&peer);
        for _ in 0..20 {
            let _ = peer.write(&[7; 60_000]);
            ev.turn(Some(Duration::ZERO)).unwrap();
        }
        let count = ends.borrow().len();
        drop(peer);
        until(&mut ev, |_| ends.borrow().len() > count);
    }
    assert_eq!(ev.stream_count(), 1);
    assert!(ends.borrow().iter().all(|reason| *reason == Reason::Reset), "{ends:?}");
    is_served(&mut ev, &mut other);
}

fn half_closed_and_hung_up_streams_do_not_spin() {
    let mut ev = ev();
    let ends = Ends::default();
    let mut peers = Vec::new();
    for n in 0..8 {
        let (near, far) = UnixStream::pair().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let tcp_far = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (tcp_near, _) = listener.accept().unwrap();
        for near in [OwnedFd::from(near), tcp_near.into()] {
            // Takes what comes and closes nothing.
            let stream = ev.stream(near, noted(&ends, |_, _, _| {})).unwrap();
            if n % 2 == 1 {
                stream.disable_read(&mut ev);
            }
            if n % 4 >= 2 {
                // More than the system takes.
                stream.write_owned(&mut ev, vec![7; 4_000_000]).unwrap();
            }
        }
        if n < 4 {
            far.shutdown(std::net::Shutdown::Write).unwrap();
            tcp_far.shutdown(std::net::Shutdown::Write).unwrap();
            peers.push((far, tcp_far));
        } else {
            // Gone: whoever reads or writes learns of it, and the others do not look.
            rest(&mut ev, ms(10));
        }
    }
    rest(&mut ev, ms(200));
    let iterations = rest(&mut ev, ms(500));
    assert!(iterations <= 5, "{iterations} iterations");
    // A pipe whose reader has gone.
    let (read, write) = pipe();
    let (other_read, other_write) = pipe();
    let stream = ev.stream_of_two(other_read, write, noted(&ends, |_, _, _| {})).unwrap();
    drop(read);
    let iterations = rest(&mut ev, ms(300));
    assert!(iterations <= 5, "{iterations} iterations");
    drop((other_write, peers));
    stream.close_now(&mut ev);
    let iterations = rest(&mut ev, ms(300));
    assert!(iterations <= 40, "{iterations} iterations");
}

fn a_descriptor_closed_under_the_loop_ends_its_stream_and_nothing_spins() {
    let mut ev = ev();
    let ends = Ends::default();
    let (_, at) = server(&mut ev, &ends);
    let mut other = TcpStream::connect(at).unwrap();
    is_served(&mut ev, &mut other);
    let (near, _far) = UnixStream::pair().unwrap();
    let number = near.as_raw_fd();
    let null = File::open("/dev/null").unwrap();
    let handler = noted(&ends, move |_, _, event| {
        if let StreamEvent::Error { error, .. } = event {
            assert_eq!(error.raw_os_error(), Some(libc::EBADF), "{error:?}");
            // The stream will close the number, and the standard library minds if there is nothing.
            // SAFETY: the number is the stream's, and nothing is open there.
            unsafe { libc::dup2(null.as_raw_fd(), number) };
        }
    });
    let stream = ev.stream(near, handler).unwrap();
    rest(&mut ev, ms(10));
    // SAFETY: nobody uses the number but the stream, which is what is tested.
    unsafe { libc::close(number) };
    let iterations = rest(&mut ev, ms(300));
    assert!(iterations <= 20, "{iterations} iterations");
    // epoll says nothing about it; whoever uses it is told.
    if stream.exists(&ev) {
        stream.write(&mut ev, "x").unwrap();
        until(&mut ev, |ev| !stream.exists(ev));
    }
    assert_eq!(*ends.borrow(), [Reason::Failed]);
    is_served(&mut ev, &mut other);
}

fn with_the_default_action_for_sigpipe_nothing_ends_the_process() {
    // SAFETY: the default action is no function.
    unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    let mut ev = ev();
    let ends = Ends::default();
    let mut file = tempfile();
    file.write_all(&[7; 200_000]).unwrap();
    let file = Arc::new(file);
    for way in 0..4 {
        let (near, far) = UnixStream::pair().unwrap();
        let stream = ev.stream(near, noted(&ends, |_, _, _| {})).unwrap();
        // Reading would find out before writing does.
        stream.disable_read(&mut ev);
        rest(&mut ev, ms(5));
        drop(far);
        match way {
            0 => drop(stream.write(&mut ev, "to nobody").unwrap()),
            1 => {
                for _ in 0..20 {
                    stream.write_owned(&mut ev, vec![7; 1000]).unwrap();
                }
            }
            2 => drop(stream.write_file(&mut ev, Arc::clone(&file), 0, 200_000).unwrap()),
            _ => {
                stream.send_fds(&mut ev, vec![file.try_clone().unwrap().into()]).unwrap();
                stream.write(&mut ev, "x").unwrap();
            }
        }
        until(&mut ev, |ev| !stream.exists(ev));
    }
    for with_file in [false, true] {
        let (theirs, write) = pipe();
        let (read, _keep) = pipe();
        let stream = ev.stream_of_two(read, write, noted(&ends, |_, _, _| {})).unwrap();
        drop(theirs);
        if with_file {
            stream.write_file(&mut ev, Arc::clone(&file), 0, 200_000).unwrap();
        } else {
            stream.write(&mut ev, "to nobody").unwrap();
        }
        until(&mut ev, |ev| !stream.exists(ev));
    }
    assert_eq!(*ends.borrow(), [Reason::Reset; 6]);
    // Nor does it wait to be let through.
    // SAFETY: all zeroes is a set, which the call initialises.
    let waits = unsafe {
        let mut pending: libc::sigset_t = std::mem::zeroed();
        libc::sigpending(&mut pending);
        libc::sigismember(&pending, libc::SIGPIPE)
    };
    assert_eq!(waits, 0);
}

fn tempfile() -> File {
    let flags = rustix::fs::MemfdFlags::CLOEXEC;
    File::from(rustix::fs::memfd_create("abuse", flags).unwrap())
}

// --- forks -------------------------------------------------------------------------------------

fn a_child_that_did_not_take_over_drops_the_loop_and_the_parents_connections_live() {
    let mut ev = ev();
    let ends = Ends::default();
    let (_, at) = server(&mut ev, &ends);
    let mut peer = TcpStream::connect(at).unwrap();
    is_served(&mut ev, &mut peer);
    // Output that waits must leave once.
    ev.streams()[0].write(&mut ev, "!").unwrap();
    let mut dropped = Some(ev);
    let child = fork(|| {
        let mut ev = dropped.take().unwrap();
        assert_eq!(ev.run().unwrap_err().kind(), ErrorKind::Forked);
        let stream = ev.streams()[0];
        stream.close_now(&mut ev);
        drop(ev);
    });
    assert_eq!(child.wait().code(), Some(0));
    let mut ev = dropped.take().unwrap();
    let mut byte = [0];
    until(&mut ev, |_| peer.read(&mut byte).is_ok_and(|n| n == 1));
    assert_eq!(byte, *b"!");
    is_served(&mut ev, &mut peer);
    let mut new = TcpStream::connect(at).unwrap();
    is_served(&mut ev, &mut new);
    assert!(ends.borrow().is_empty());
}

fn a_child_that_took_over_serves_its_connections() {
    let mut ev = ev();
    let ends = Ends::default();
    let (listener, at) = server(&mut ev, &ends);
    let mut peer = TcpStream::connect(at).unwrap();
    is_served(&mut ev, &mut peer);
    let mut shared = Some(ev);
    let child = fork(|| {
        let mut ev = shared.take().unwrap();
        ev.after_fork().unwrap();
        is_served(&mut ev, &mut peer);
        let mut new = TcpStream::connect(at).unwrap();
        is_served(&mut ev, &mut new);
        drop(new);
        until(&mut ev, |ev| ev.stream_count() == 1);
        listener.close(&mut ev);
    });
    assert_eq!(child.wait().code(), Some(0));
    // What the child has closed is closed in the child.
    let mut ev = shared.take().unwrap();
    is_served(&mut ev, &mut peer);
    let mut new = TcpStream::connect(at).unwrap();
    is_served(&mut ev, &mut new);
}
