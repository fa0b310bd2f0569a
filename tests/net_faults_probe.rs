//! The program that `tests/faults/net.sh` runs under strace, and with short reads and writes: conversations
//! of streams, listeners and datagrams, one scenario per run: `net_faults_probe epoll|poll SCENARIO`. It
//! prints what happened on one line and exits 0; a broken promise is a panic. Without a scenario (as
//! `cargo test` runs it) it goes through all of them with nothing injected.
//!
//! Whoever is at the other end uses `read` and `write`, on a thread of its own, so that what is injected into
//! the calls of sockets is injected into the loop's. A call of `getppid` stands before the first call that
//! is the loop's, where it is not the first of its kind. Scenarios that are named `both-…` have both ends
//! in one loop.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "suite/names.rs"]
mod names;

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io::{ErrorKind as IoErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use evloop::net::{
    Accepted, Address, ConnectOptions, Datagram, DatagramEvent, DatagramOptions, Place, Stream,
    StreamEvent,
};
use evloop::{Backend, Break, Error, EvLoop, Result};
use names::temporary;

type Scenario = fn(Backend) -> String;

const SCENARIOS: &[(&str, Scenario)] = &[
    ("echo", echo),
    ("gather", gather),
    ("file", file),
    ("pipes", pipes),
    ("descriptors", descriptors),
    ("accept", accept),
    ("listen", listen),
    ("listen-unix", listen_unix),
    ("adopt", adopt),
    ("dial", dial),
    ("dial-unix", dial_unix),
    ("dial-name", dial_name),
    ("datagrams", datagrams),
    ("datagram-bind", datagram_bind),
    ("idle", idle),
    ("both-tcp", both_tcp),
    ("both-unix", both_unix),
    #[cfg(feature = "tls")]
    ("both-tls", both_tls),
    ("torture", torture),
];

/// What a conversation takes, with room for a machine that is slow and for interruptions. A loop that spins
/// has thousands of times as many.
fn most_iterations() -> u64 {
    if in_pieces() { 200_000 } else { 2000 }
}

/// A conversation's length in bytes: several reads, and more than the system takes at once.
fn length() -> usize {
    if in_pieces() { 30_000 } else { 300_000 }
}

/// Whether `tests/faults/io_shim.c` cuts what is read and written.
fn in_pieces() -> bool {
    std::env::var_os("SHIM_MAX").is_some()
}

/// After which nobody waits for anything any more. Nothing that goes well depends on it.
const PATIENCE: Duration = Duration::from_secs(8);

/// The same where calls fail that nobody makes up for, and there is nothing to come.
const LITTLE_PATIENCE: Duration = Duration::from_secs(2);

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

// --- words -------------------------------------------------------------------------------------

fn ev(backend: Backend) -> EvLoop {
    EvLoop::builder().env(false).backend(backend).build().unwrap()
}

fn mark() {
    // SAFETY: takes nothing, changes nothing, cannot fail.
    unsafe { libc::getppid() };
}

/// Runs until nothing is left, and asserts that the loop did not go round for nothing.
fn run(ev: &mut EvLoop) {
    let before = ev.iteration();
    ev.run().unwrap();
    ev.verify();
    let iterations = ev.iteration() - before;
    assert!(iterations <= most_iterations(), "it spins: {iterations} iterations");
}

/// The same bytes each time, and others at each place.
fn payload(length: usize) -> Vec<u8> {
    (0..length).map(|i| (i % 251) as u8 ^ (i / 65_536) as u8).collect()
}

fn refused(error: &Error) -> String {
    let errno = error.raw_os_error().or_else(|| {
        let attempts = evloop::net::ConnectError::of(error)?.attempts();
        attempts.last()?.error.raw_os_error()
    });
    format!("{:?} {}", error.kind(), errno.unwrap_or(0))
}

/// What streams were told of their ends, in the order of their ends.
#[derive(Clone, Default)]
struct Ends(Rc<RefCell<Vec<String>>>);

impl Ends {
    /// A handler that notes the end, and passes everything else on.
    fn noted(
        &self,
        mut handler: impl FnMut(&mut EvLoop, Stream, &StreamEvent) + 'static,
    ) -> impl FnMut(&mut EvLoop, Stream, StreamEvent) + 'static {
        let ends = self.clone();
        let error = Cell::new(None);
        let closed = Cell::new(false);
        move |ev, stream, event| {
            assert!(!closed.get(), "{event:?} after the end");
            match &event {
                StreamEvent::Error { error: e, direction } => {
                    let way = direction.map_or(String::new(), |way| format!(" {way:?}"));
                    let before = error.replace(Some(format!("{}{way}, ", refused(e))));
                    assert!(before.is_none(), "two errors: {before:?} and {e}");
                }
                StreamEvent::Closed(reason) => {
                    closed.set(true);
                    let error = error.take().unwrap_or_default();
                    ends.0.borrow_mut().push(format!("{error}{reason:?}"));
                }
                _ => {}
            }
            handler(ev, stream, &event);
        }
    }

    fn len(&self) -> usize {
        self.0.borrow().len()
    }

    fn take(&self) -> String {
        self.0.take().join("; ")
    }
}

fn echoes(ev: &mut EvLoop, stream: Stream, event: &StreamEvent) {
    match event {
        StreamEvent::Received(_) => {
            let bytes = stream.take_all(ev);
            // Whoever refuses has ended it, and that was told.
            let _ = stream.write_owned(ev, bytes);
        }
        StreamEvent::Eof { .. } => stream.close_after_flush(ev),
        _ => {}
    }
}

/// Where something listens, for those who use `std`.
#[derive(Clone)]
enum At {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl At {
    fn of(address: &Address) -> Self {
        match address.place() {
            Place::Socket(socket) => Self::Tcp(*socket),
            Place::Path(path) => Self::Unix(path.clone()),
            other => panic!("{other:?}"),
        }
    }

    /// A connection that is only read and written, and not for ever.
    fn connect(&self) -> File {
        let fd: OwnedFd = match self {
            Self::Tcp(socket) => {
                let stream = TcpStream::connect(socket).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                stream.into()
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                stream.into()
            }
        };
        File::from(fd)
    }
}

/// Says how what came compares with what was to come.
fn hear(mut peer: File, expected: &[u8]) -> &'static str {
    let mut came = Vec::new();
    match peer.read_to_end(&mut came) {
        Ok(_) if came == expected => "same bytes",
        Ok(_) if expected.starts_with(&came) => "cut short",
        Ok(_) => "other bytes",
        Err(error) if error.kind() == IoErrorKind::WouldBlock => "silence",
        Err(_) if expected.starts_with(&came) => "cut short",
        Err(_) => "other bytes",
    }
}

/// Says something, and hears it again.
fn converse(peer: File, bytes: &[u8]) -> &'static str {
    // A server that has failed hears nothing, and that is what will be heard.
    let _ = (&peer).write_all(bytes);
    // SAFETY: a descriptor of ours, which stays open; what fails is that of which nothing is heard.
    let _ = unsafe { libc::shutdown(peer.as_raw_fd(), libc::SHUT_WR) };
    hear(peer, bytes)
}

/// A server, and what is said to it on a thread. The listener is closed when as many streams have ended.
fn serve(
    backend: Backend,
    count: usize,
    handler: impl FnMut(&mut EvLoop, Stream, &StreamEvent) + Clone + 'static,
    clients: impl FnOnce(At) -> String + Send + 'static,
) -> String {
    let mut ev = ev(backend);
    let ends = Ends::default();
    let listener = {
        let ends = ends.clone();
        ev.listen("127.0.0.1:0", move |ev, accepted: Accepted| {
            let listener = accepted.listener();
            let mut handler = handler.clone();
            let all = ends.clone();
            let handler = ends.noted(move |ev, stream, event| {
                handler(ev, stream, event);
                if matches!(event, StreamEvent::Closed(_)) && all.len() == count {
                    listener.close(ev);
                }
            });
            accepted.serve(ev, handler);
        })
        .unwrap()
    };
    let at = At::of(&listener.addresses(&ev)[0]);
    mark();
    let clients = thread::spawn(move || clients(at));
    run(&mut ev);
    format!("{} | {}", clients.join().unwrap(), ends.take())
}

// --- streams -----------------------------------------------------------------------------------

/// Two connections: the second to be made is the first to speak, the other waits.
fn echo(backend: Backend) -> String {
    serve(backend, 2, echoes, |at| {
        let bytes = payload(length());
        let (later, first) = (at.connect(), at.connect());
        let first = converse(first, &bytes);
        let later = converse(later, &bytes);
        format!("{first}, {later}")
    })
}

/// One after the other is sent the same.
fn sends(backend: Backend, send: fn(&mut EvLoop, Stream), expected: Vec<u8>) -> String {
    let handler = move |ev: &mut EvLoop, stream: Stream, event: &StreamEvent| {
        if matches!(event, StreamEvent::Opened) {
            send(ev, stream);
            stream.close_after_flush(ev);
        }
    };
    serve(backend, 2, handler, move |at| {
        let first = hear(at.connect(), &expected);
        let second = hear(at.connect(), &expected);
        format!("{first}, {second}")
    })
}

/// Many pieces, with one call.
fn gather(backend: Backend) -> String {
    let send = |ev: &mut EvLoop, stream: Stream| {
        for piece in payload(length()).chunks(length() / 10) {
            stream.write_owned(ev, piece).unwrap();
        }
    };
    sends(backend, send, payload(length()))
}

fn file(backend: Backend) -> String {
    let send = |ev: &mut EvLoop, stream: Stream| {
        let path = temporary("net-faults");
        std::fs::write(&path, payload(length())).unwrap();
        let file = Arc::new(File::open(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        stream.write(ev, b"head").unwrap();
        stream.write_file(ev, file, 10, length() as u64 - 10).unwrap();
        stream.write(ev, b"tail").unwrap();
    };
    sends(backend, send, [b"head", &payload(length())[10..], b"tail"].concat())
}

fn pipe() -> (OwnedFd, OwnedFd) {
    let mut fds = [0; 2];
    // SAFETY: the pointer is to room for two descriptors.
    assert_eq!(unsafe { libc::pipe2(fds.as_mut_ptr(), libc::O_CLOEXEC) }, 0);
    // SAFETY: both were just made, and are nobody else's.
    fds.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }).into()
}

/// Two pipes instead of a socket, which are read and written by `read` and `write`: both ends are the loop's.
fn pipes(backend: Backend) -> String {
    let mut ev = ev(backend);
    let ends = Ends::default();
    let (theirs_in, ours_out) = pipe();
    let (ours_in, theirs_out) = pipe();
    mark();
    let server = ev.stream_of_two(theirs_in, theirs_out, ends.noted(echoes)).unwrap();
    let heard = Rc::new(RefCell::new(Vec::new()));
    let hears = Rc::clone(&heard);
    let client = ends.noted(move |ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            hears.borrow_mut().extend(stream.take_all(ev));
        }
    });
    let client = ev.stream_of_two(ours_in, ours_out, client).unwrap();
    client.write_owned(&mut ev, payload(length())).unwrap();
    client.shutdown_write(&mut ev);
    run(&mut ev);
    assert!(!client.exists(&ev) && !server.exists(&ev));
    let heard = if *heard.borrow() == payload(length()) { "same bytes" } else { "cut short" };
    format!("{heard} | {}", ends.take())
}

/// Bytes with descriptors among them, from one stream to another.
fn descriptors(backend: Backend) -> String {
    let mut ev = ev(backend);
    let ends = Ends::default();
    let (near, far) = UnixStream::pair().unwrap();
    mark();
    let sender = ev.stream(near, ends.noted(|_, _, _| {})).unwrap();
    let came = Rc::new(RefCell::new((Vec::new(), 0)));
    let hears = Rc::clone(&came);
    let receiver = ends.noted(move |ev, stream, event| match event {
        StreamEvent::Received(_) => {
            let bytes = stream.take_all(ev);
            let fds = stream.take_fds(ev);
            let mut came = hears.borrow_mut();
            came.0.extend(bytes);
            came.1 += fds.len();
        }
        StreamEvent::Eof { .. } => stream.close_now(ev),
        _ => {}
    });
    let receiver = ev.stream(far, receiver).unwrap();
    receiver.set_accept_fds(&mut ev, true);
    let null = File::open("/dev/null").unwrap();
    for piece in payload(9_000).chunks(3_000) {
        let fds = vec![null.as_fd().try_clone_to_owned().unwrap()];
        sender.send_fds(&mut ev, fds).unwrap();
        sender.write(&mut ev, piece).unwrap();
    }
    sender.close_after_flush(&mut ev);
    run(&mut ev);
    let (bytes, fds) = came.take();
    let heard = if bytes == payload(9_000) { "same bytes" } else { "cut short" };
    format!("{heard}, {fds} descriptors | {}", ends.take())
}

/// A thousand streams that have nothing to say, for two seconds.
fn idle(backend: Backend) -> String {
    let mut ev = ev(backend);
    let listener = ev.listen("127.0.0.1:0", |ev, accepted| {
        accepted.serve(ev, echoes_of);
    });
    let listener = listener.unwrap();
    let at = At::of(&listener.addresses(&ev)[0]);
    let mut connections = Vec::new();
    for _ in 0..1000 {
        connections.push(at.connect());
        ev.turn(Some(Duration::ZERO)).unwrap();
    }
    while ev.stream_count() < connections.len() {
        ev.turn(Some(Duration::from_millis(10))).unwrap();
    }
    // Kinds of rest: paused or not, with a time-out, half-closed by the peer; and told so, or not looked at.
    for (n, stream) in ev.streams().into_iter().enumerate() {
        if n % 4 == 1 {
            stream.disable_read(&mut ev);
        }
        stream.set_read_timeout(&mut ev, Some(Duration::from_secs(600)));
    }
    for connection in connections.iter().take(10) {
        // SAFETY: a descriptor of ours, which stays open.
        unsafe { libc::shutdown(connection.as_raw_fd(), libc::SHUT_WR) };
    }
    ev.after(Duration::from_millis(100), |ev| ev.break_loop(Break::All));
    ev.run().unwrap();
    ev.after(Duration::from_secs(2), |ev| ev.break_loop(Break::All));
    ev.run_mode(evloop::Run::NoWait).unwrap();
    mark();
    ev.run().unwrap();
    mark();
    format!("{} streams rested", ev.stream_count())
}

/// Does not close at the end of the input: that is what must not spin.
fn echoes_of(ev: &mut EvLoop, stream: Stream, event: StreamEvent) {
    if let StreamEvent::Received(_) = event {
        let bytes = stream.take_all(ev);
        let _ = stream.write_owned(ev, bytes);
    }
}

// --- listeners ---------------------------------------------------------------------------------

/// Three who connect one after the other.
fn accept(backend: Backend) -> String {
    let mut ev = ev(backend);
    let ends = Ends::default();
    let told: Rc<RefCell<Vec<String>>> = Rc::default();
    let noted = ends.clone();
    let listener = ev.listen("127.0.0.1:0", move |ev, accepted: Accepted| {
        accepted.serve(ev, noted.noted(echoes));
    });
    let listener = listener.unwrap();
    let tells = Rc::clone(&told);
    let (rests, rested) = std::sync::mpsc::channel();
    listener.on_error(&mut ev, move |ev, error| {
        let _ = rests.send(());
        let stops = if error.stopped { ", stopped" } else { "" };
        tells.borrow_mut().push(format!("{}{stops}", refused(&error.error)));
        if error.stopped {
            ev.break_loop(Break::All);
        }
    });
    let at = At::of(&listener.addresses(&ev)[0]);
    let (over, done) = std::sync::mpsc::channel();
    let remote = ev.remote();
    let clients = thread::spawn(move || {
        let mut heard = Vec::new();
        for _ in 0..3 {
            heard.push(converse(at.connect(), &payload(5_000)));
            if heard.last().is_some_and(|said| *said == "cut short") {
                // Whoever comes while those who wait are sent away goes with them. It is told when that is over.
                let _ = rested.recv_timeout(PATIENCE);
            }
        }
        over.send(heard).unwrap();
        remote.post(move |ev| {
            listener.close(ev);
        });
    });
    run(&mut ev);
    let errors = listener.stats(&ev).map_or(0, |stats| stats.errors);
    let heard = match done.recv_timeout(Duration::from_millis(if errors > 0 { 0 } else { 5_000 })) {
        Ok(heard) => {
            clients.join().unwrap();
            heard.join(", ")
        }
        // Nobody would answer them.
        Err(_) => "nobody accepts".to_owned(),
    };
    format!("{heard} | told [{}] | {}", told.take().join("; "), ends.take())
}

fn listen(backend: Backend) -> String {
    let mut ev = ev(backend);
    mark();
    match ev.listen("127.0.0.1:0", |_, _| {}) {
        Ok(listener) => {
            assert!(listener.close(&mut ev));
            "listens".to_owned()
        }
        Err(error) => format!("refused {}", refused(&error)),
    }
}

/// The file is gone afterwards, whatever fails.
fn listen_unix(backend: Backend) -> String {
    let mut ev = ev(backend);
    let path = temporary("net-faults");
    mark();
    let said = match ev.listen(Address::unix(&path).unwrap(), |_, _| {}) {
        Ok(listener) => {
            assert!(listener.close(&mut ev));
            "listens".to_owned()
        }
        Err(error) => format!("refused {}", refused(&error)),
    };
    let left = path.exists();
    let _ = std::fs::remove_file(&path);
    if left { format!("{said}, and leaves the file") } else { said }
}

// --- beginnings --------------------------------------------------------------------------------

/// A socket that was made by somebody else.
fn adopt(backend: Backend) -> String {
    let mut ev = ev(backend);
    let (near, far) = UnixStream::pair().unwrap();
    let ends = Ends::default();
    mark();
    match ev.stream(near, ends.noted(echoes)) {
        Ok(_) => {
            let far = File::from(OwnedFd::from(far));
            let client = thread::spawn(move || converse(far, &payload(5_000)));
            run(&mut ev);
            format!("{} | {}", client.join().unwrap(), ends.take())
        }
        Err(error) => format!("refused {}", refused(&error)),
    }
}

/// Connects, says something and hears it again. Beside it a pair that is not to notice anything.
fn dials(backend: Backend, to: Address, answers: impl FnOnce() + Send + 'static) -> String {
    let mut ev = ev(backend);
    let ends = Ends::default();
    let (one, other) = UnixStream::pair().unwrap();
    let beside = ev.stream(one, ends.noted(echoes)).unwrap();
    thread::spawn(answers);
    let heard = Rc::new(RefCell::new(Vec::new()));
    let hears = Rc::clone(&heard);
    let client = ends.noted(move |ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            hears.borrow_mut().extend(stream.take_all(ev));
        }
    });
    mark();
    let stream = match ConnectOptions::new().timeout(PATIENCE).connect(&mut ev, to, client) {
        Ok(stream) => stream,
        Err(error) => return format!("refused {}", refused(&error)),
    };
    stream.write_owned(&mut ev, payload(5_000)).unwrap();
    stream.shutdown_write(&mut ev);
    while stream.exists(&ev) {
        ev.turn(Some(PATIENCE)).unwrap();
    }
    let dialled = ends.take();
    assert!(beside.exists(&ev));
    let other = File::from(OwnedFd::from(other));
    let other = thread::spawn(move || converse(other, &payload(5_000)));
    run(&mut ev);
    let heard = if *heard.borrow() == payload(5_000) { "same bytes" } else { "nothing" };
    format!("{heard} | {dialled} | {}, {}", other.join().unwrap(), ends.take())
}

/// Sends back what comes.
fn answer(mut peer: File) {
    let mut bytes = Vec::new();
    let _ = peer.read_to_end(&mut bytes);
    let _ = peer.write_all(&bytes);
}

fn dial_at(backend: Backend, host: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let to = format!("{host}:{}", listener.local_addr().unwrap().port());
    dials(backend, to.parse().unwrap(), move || {
        while let Ok((peer, _)) = listener.accept() {
            answer(File::from(OwnedFd::from(peer)));
        }
    })
}

fn dial(backend: Backend) -> String {
    dial_at(backend, "127.0.0.1")
}

/// The name is asked for on a thread.
fn dial_name(backend: Backend) -> String {
    dial_at(backend, "localhost")
}

fn dial_unix(backend: Backend) -> String {
    let path = temporary("net-faults");
    let listener = UnixListener::bind(&path).unwrap();
    let to = Address::unix(&path).unwrap();
    let said = dials(backend, to, move || {
        while let Ok((peer, _)) = listener.accept() {
            answer(File::from(OwnedFd::from(peer)));
        }
    });
    let _ = std::fs::remove_file(&path);
    said
}

// --- datagrams ---------------------------------------------------------------------------------

/// Five at a time come back, and again.
fn datagrams(backend: Backend) -> String {
    let mut ev = ev(backend);
    let told: Rc<RefCell<Vec<String>>> = Rc::default();
    let tells = Rc::clone(&told);
    let socket = ev.datagram("127.0.0.1:0", move |ev, socket: Datagram, event| match event {
        DatagramEvent::Received(packet) => {
            if let Err(error) = socket.send_to(ev, packet.bytes, packet.peer) {
                tells.borrow_mut().push(format!("unsent {}", refused(&error)));
            }
        }
        DatagramEvent::Error(error) => tells.borrow_mut().push(refused(&error)),
        DatagramEvent::Closed(reason) => tells.borrow_mut().push(format!("{reason:?}")),
        _ => {}
    });
    let socket = socket.unwrap();
    let Place::Socket(at) = *socket.local(&ev).unwrap().place() else { panic!() };
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(at).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    // Read and written, and neither received nor sent.
    let mut client = File::from(OwnedFd::from(client));
    mark();
    let mut came = Vec::new();
    for round in 0..2 {
        for n in 0..5 {
            client.write_all(&[round * 5 + n; 100]).unwrap();
        }
        let client = client.try_clone().unwrap();
        let remote = ev.remote();
        let hears = thread::spawn(move || {
            let mut came = Vec::new();
            let mut bytes = [0; 200];
            while came.len() < 5 {
                match (&client).read(&mut bytes) {
                    Ok(100) => came.push(bytes[0]),
                    other => {
                        came.extend(other.is_ok().then_some(99));
                        break;
                    }
                }
            }
            remote.post(|ev| ev.break_loop(Break::All));
            came
        });
        run_until_broken(&mut ev);
        came.push(hears.join().unwrap());
    }
    socket.close(&mut ev);
    run(&mut ev);
    let came: Vec<String> = came.iter().map(|round| format!("{round:?}")).collect();
    format!("{} | {}", came.join(" "), told.take().join("; "))
}

fn run_until_broken(ev: &mut EvLoop) {
    let before = ev.iteration();
    ev.run().unwrap();
    let iterations = ev.iteration() - before;
    assert!(iterations <= most_iterations(), "it spins: {iterations} iterations");
}

fn datagram_bind(backend: Backend) -> String {
    let mut ev = ev(backend);
    mark();
    match DatagramOptions::new().reuse_address(true).bind(&mut ev, "127.0.0.1:0", |_, _, _| {}) {
        Ok(socket) => {
            assert!(socket.close(&mut ev));
            run(&mut ev);
            "bound".to_owned()
        }
        Err(error) => format!("refused {}", refused(&error)),
    }
}

// --- both ends in one loop ---------------------------------------------------------------------

type Secures = Rc<dyn Fn(&mut EvLoop, Stream, bool)>;

/// Says something to itself. Errors of beginnings are returned, all else is in `ends`.
fn both(
    ev: &mut EvLoop,
    ends: &Ends,
    at: Address,
    secure: Secures,
    length: usize,
    patience: Duration,
) -> Result<bool> {
    let (server_ends, server_secure) = (ends.clone(), Rc::clone(&secure));
    let listener = ev.listen(at, move |ev, accepted: Accepted| {
        accepted.listener().close(ev);
        let stream = accepted.serve(ev, server_ends.noted(echoes));
        stream.set_deadline(ev, Some(Instant::now() + patience));
        server_secure(ev, stream, true);
    })?;
    listener.on_error(ev, |_, _| {});
    let heard = Rc::new(RefCell::new(Vec::new()));
    let hears = Rc::clone(&heard);
    let client = ends.noted(move |ev, stream, event| match event {
        StreamEvent::Received(_) => hears.borrow_mut().extend(stream.take_all(ev)),
        StreamEvent::Closed(_) => {
            listener.close(ev);
        }
        _ => {}
    });
    let to = listener.addresses(ev).remove(0);
    let stream = match ConnectOptions::new().timeout(patience).connect(ev, to, client) {
        Ok(stream) => stream,
        Err(error) => {
            listener.close(ev);
            return Err(error);
        }
    };
    secure(ev, stream, false);
    stream.set_deadline(ev, Some(Instant::now() + patience));
    let _ = stream.write_owned(ev, payload(length));
    stream.shutdown_write(ev);
    let mut left = ev.run();
    for _ in 0..3 {
        // A wait that fails is an error of `run`, and the next one works.
        if left.is_err() {
            left = ev.run();
        }
    }
    assert!(!left?, "something was left");
    ev.verify();
    assert_eq!(ev.stream_count(), 0);
    let same = *heard.borrow() == payload(length);
    assert!(same || payload(length).starts_with(&heard.borrow()), "other bytes");
    Ok(same)
}

fn plain() -> Secures {
    Rc::new(|_, _, _| {})
}

fn both_at(backend: Backend, at: Address, secure: Secures) -> String {
    let mut ev = ev(backend);
    let ends = Ends::default();
    mark();
    let said = match both(&mut ev, &ends, at, secure, length() / 3, PATIENCE) {
        Ok(true) => "same bytes".to_owned(),
        Ok(false) => "cut short".to_owned(),
        Err(error) => format!("refused {}", refused(&error)),
    };
    format!("{said} | {}", ends.take())
}

fn both_tcp(backend: Backend) -> String {
    both_at(backend, "127.0.0.1:0".parse().unwrap(), plain())
}

fn both_unix(backend: Backend) -> String {
    both_at(backend, Address::unix(temporary("net-faults")).unwrap(), plain())
}

#[cfg(feature = "tls")]
fn both_tls(backend: Backend) -> String {
    both_at(backend, "127.0.0.1:0".parse().unwrap(), tls())
}

/// With a certificate that the script has made, or one that is made now.
#[cfg(feature = "tls")]
fn tls() -> Secures {
    use evloop::net::{TlsClient, TlsServer};
    let given = std::env::var_os("EVLOOP_PROBE_IDENTITY").map(PathBuf::from);
    let made = given.is_none().then(make_identity);
    let dir = given.or(made.clone()).unwrap();
    let read = |name: &str| std::fs::read(dir.join(name)).unwrap();
    let server = TlsServer::new(read("certificate.pem"), read("key.pem")).unwrap();
    let client = TlsClient::builder().roots_pem(read("certificate.pem"));
    let client = client.dangerously_without_verification().build().unwrap();
    if let Some(made) = made {
        let _ = std::fs::remove_dir_all(made);
    }
    Rc::new(move |ev, stream, is_server| {
        let begun = match is_server {
            true => stream.start_tls_server(ev, &server),
            false => stream.start_tls_client(ev, &client, "localhost"),
        };
        // What is over by now has told why.
        let _ = begun;
    })
}

#[cfg(feature = "tls")]
fn make_identity() -> PathBuf {
    let dir = temporary("net-faults").with_extension("identity");
    std::fs::create_dir(&dir).unwrap();
    let status = std::process::Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
        .args(["-days", "2", "-subj", "/CN=localhost", "-keyout", "key.pem", "-out"])
        .arg("certificate.pem")
        .current_dir(&dir)
        .stderr(std::process::Stdio::null())
        .status();
    assert!(status.expect("openssl").success());
    dir
}

// --- whatever fails ----------------------------------------------------------------------------

/// All that streams are made of, with whatever fails reported: no panic, no hang, no second end, no matter
/// which call it was.
fn torture(backend: Backend) -> String {
    match live(backend) {
        Ok(()) => "survived".to_owned(),
        Err(error) => format!("refused {}", refused(&error)),
    }
}

fn live(backend: Backend) -> Result<()> {
    let mut ev = EvLoop::builder().env(false).backend(backend).build()?;
    let ends = Ends::default();
    let converse =
        |ev: &mut EvLoop, at: Address, secure| both(ev, &ends, at, secure, 20_000, LITTLE_PATIENCE);
    converse(&mut ev, "127.0.0.1:0".parse()?, plain())?;
    converse(&mut ev, Address::unix(temporary("net-faults"))?, plain())?;
    #[cfg(feature = "tls")]
    converse(&mut ev, "127.0.0.1:0".parse()?, tls())?;
    // The listener's error may leave a client alone, and then there is one end and not two.
    let socket = ev.datagram("127.0.0.1:0", |ev, socket, event| match event {
        DatagramEvent::Received(_) | DatagramEvent::Error(_) => {
            socket.close(ev);
        }
        _ => {}
    })?;
    let to = match socket.local(&ev).map(|at| At::of(&at)) {
        Some(At::Tcp(to)) => to,
        _ => return Ok(()),
    };
    let _ = socket.send_to(&mut ev, b"to itself", to);
    // What was lost is lost.
    ev.after(Duration::from_millis(100), move |ev| {
        socket.close(ev);
    });
    let mut left = ev.run();
    if left.is_err() {
        left = ev.run();
    }
    left.map(drop)
}
