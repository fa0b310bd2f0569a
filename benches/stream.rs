//! Streams: what an echoed message costs, what the streams beside it add to that, and time-outs, filters and TLS;
//! one message for many; a connection from its beginning to its end.
//!
//! The peer is in the same thread, its system calls are included: a message of 64 bytes is `send`, `recv`, `send`
//! and `recv`. *Floor* is the same on two sockets with a buffer, without any loop.

#[path = "descriptors/mod.rs"]
mod descriptors;

use std::cell::Cell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evloop::net::{Buffer, Filter, FilterError, Pass, Shared, Stream, StreamEvent, Verdict};
use evloop::{EvLoop, Run};

const MESSAGE: [u8; 64] = [b'm'; 64];

/// Never reached, always put off.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

fn pass(ev: &mut EvLoop) {
    ev.run_mode(Run::NoWait).expect("a pass");
}

/// A socket that is used from this side of the wire.
trait Peer: Read + Write + Into<OwnedFd> {
    fn connected() -> (Self, Self)
    where
        Self: Sized;
}

impl Peer for UnixStream {
    fn connected() -> (Self, Self) {
        descriptors::pair()
    }
}

impl Peer for TcpStream {
    fn connected() -> (Self, Self) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let near = Self::connect(listener.local_addr().expect("a port")).expect("a connection");
        let (far, _) = listener.accept().expect("its other end");
        for socket in [&near, &far] {
            socket.set_nodelay(true).expect("an option");
            socket.set_nonblocking(true).expect("a socket that does not block");
        }
        (near, far)
    }
}

/// Reads a message whole, with `until_then` in between as long as there is none.
fn receive(mut from: impl Read, mut until_then: impl FnMut()) {
    let mut bytes = [0; 64];
    let mut got = 0;
    while got < bytes.len() {
        match from.read(&mut bytes[got..]) {
            Ok(n) => {
                assert!(n > 0, "the other end is open");
                got += n;
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => until_then(),
            Err(error) => panic!("{error}"),
        }
    }
    assert_eq!(bytes, MESSAGE);
}

fn echo(ev: &mut EvLoop, stream: Stream, event: StreamEvent) {
    match event {
        StreamEvent::Received(_) => _ = stream.forward(ev, stream, usize::MAX),
        StreamEvent::Eof { .. } => stream.close_now(ev),
        _ => {}
    }
}

/// A loop with so many echoing streams, and their peers.
fn echoing<P: Peer>(count: usize, prepare: impl Fn(&mut EvLoop, Stream)) -> (EvLoop, Vec<P>) {
    let mut ev = EvLoop::new().expect("a loop");
    let mut peers = Vec::new();
    for _ in 0..count {
        let (near, far) = P::connected();
        let stream = ev.stream(near, echo).expect("a stream");
        prepare(&mut ev, stream);
        peers.push(far);
    }
    // They tell their beginnings, and ask to be read.
    pass(&mut ev);
    pass(&mut ev);
    (ev, peers)
}

/// One of the peers, or all, say something and wait for the answer.
fn round<P: Peer>(ev: &mut EvLoop, peers: &mut [P]) {
    for peer in &mut *peers {
        peer.write_all(&MESSAGE).expect("room for a message");
    }
    pass(ev);
    for peer in peers {
        receive(peer, || pass(ev));
    }
}

fn nothing(_: &mut EvLoop, _: Stream) {}

fn echoes_over<P: Peer>(c: &mut Criterion, over: &str) {
    descriptors::raise_limit();
    let mut group = c.benchmark_group(format!("stream, echo over {over}"));
    group.throughput(Throughput::Elements(1));
    group.bench_function("floor", |b| {
        let (mut near, mut far) = P::connected();
        let mut buffer = [0; 4096];
        b.iter(|| {
            far.write_all(&MESSAGE).expect("room for a message");
            let n = loop {
                match near.read(&mut buffer) {
                    Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                    got => break got.expect("a message"),
                }
            };
            near.write_all(&buffer[..n]).expect("room for an answer");
            receive(&mut far, || {});
        });
    });
    for streams in [1, 64, 1000] {
        let what = format!("{streams} streams, 1 active");
        group.bench_function(BenchmarkId::new("ours", what), |b| {
            let (mut ev, mut peers) = echoing::<P>(streams, nothing);
            b.iter(|| round(&mut ev, &mut peers[..1]));
        });
    }
    for streams in [64, 1000] {
        group.throughput(Throughput::Elements(streams as u64));
        let what = format!("{streams} streams, all active");
        group.bench_function(BenchmarkId::new("ours", what), |b| {
            let (mut ev, mut peers) = echoing::<P>(streams, nothing);
            b.iter(|| round(&mut ev, &mut peers));
        });
    }
    group.finish();
}

fn echoes(c: &mut Criterion) {
    echoes_over::<UnixStream>(c, "a socket pair");
    echoes_over::<TcpStream>(c, "TCP");
}

/// Turns every byte around, both ways.
struct Xor(u8);

impl Xor {
    fn turn(&self, from: &mut Buffer, to: &mut Buffer, pass: &Pass) -> Verdict {
        let mut piece = [0; 512];
        let mut left = pass.limit;
        while left > 0 {
            let most = piece.len().min(left);
            let n = from.copy_out(0, &mut piece[..most]);
            if n == 0 {
                break;
            }
            from.drain(n);
            for byte in &mut piece[..n] {
                *byte ^= self.0;
            }
            to.append(&piece[..n]);
            left -= n;
        }
        Verdict::Ok
    }
}

impl Filter for Xor {
    fn receive(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        pass: &Pass,
    ) -> Result<Verdict, FilterError> {
        Ok(self.turn(from, to, pass))
    }

    fn send(
        &mut self,
        from: &mut Buffer,
        to: &mut Buffer,
        pass: &Pass,
    ) -> Result<Verdict, FilterError> {
        Ok(self.turn(from, to, pass))
    }
}

/// What an echo costs with this and that switched on.
fn additions(c: &mut Criterion) {
    type Prepare = fn(&mut EvLoop, Stream);
    let additions: [(&str, Prepare); 5] = [
        ("nothing", nothing),
        ("read time-out", |ev, stream| {
            stream.set_read_timeout(ev, Some(IDLE_TIMEOUT));
        }),
        ("read and write time-out", |ev, stream| {
            stream.set_read_timeout(ev, Some(IDLE_TIMEOUT));
            stream.set_write_timeout(ev, Some(IDLE_TIMEOUT));
        }),
        ("deadline", |ev, stream| {
            let then = ev.now() + IDLE_TIMEOUT * 60;
            stream.set_deadline(ev, Some(then));
        }),
        ("filter", |ev, stream| {
            stream.push_filter(ev, Box::new(Xor(0x55))).expect("a filter");
        }),
    ];
    let mut group = c.benchmark_group("stream, echo over a socket pair, 64 streams, all active");
    group.throughput(Throughput::Elements(64));
    for (name, prepare) in additions {
        group.bench_function(BenchmarkId::new("with", name), |b| {
            let (mut ev, mut peers) = echoing::<UnixStream>(64, prepare);
            b.iter(|| round(&mut ev, &mut peers));
        });
    }
    group.finish();
}

/// Two streams of one loop, the one's messages echoed by the other: a message is four events and more.
fn client_and_echo(
    ev: &mut EvLoop,
    connect: impl FnOnce(&mut EvLoop, Rc<Cell<usize>>) -> Stream,
) -> (Stream, Rc<Cell<usize>>) {
    let got = Rc::new(Cell::new(0));
    let client = connect(ev, Rc::clone(&got));
    (client, got)
}

/// Counts what comes.
fn counting(got: Rc<Cell<usize>>) -> impl FnMut(&mut EvLoop, Stream, StreamEvent) {
    move |ev, stream, event| {
        if let StreamEvent::Received(_) = event {
            let mut input = stream.input(ev);
            let n = input.len();
            got.set(got.get() + input.drain(n));
        }
    }
}

fn ask(ev: &mut EvLoop, client: Stream, got: &Cell<usize>) {
    got.set(0);
    client.write(ev, MESSAGE).expect("an open stream");
    // A handshake is some passes; an answer that does not come is a mistake of this bench.
    for _ in 0..1000 {
        pass(ev);
        if got.get() == MESSAGE.len() {
            return;
        }
    }
    panic!("no answer");
}

fn both_ends(c: &mut Criterion) {
    let mut group = c.benchmark_group("stream, echo between two of a loop");
    group.throughput(Throughput::Elements(1));
    group.bench_function("in-process pair", |b| {
        let mut ev = EvLoop::new().expect("a loop");
        let (client, got) = client_and_echo(&mut ev, |ev, got| {
            ev.stream_pair(counting(got), echo).expect("a pair").0
        });
        b.iter(|| ask(&mut ev, client, &got));
    });
    group.bench_function("socket pair", |b| {
        let mut ev = EvLoop::new().expect("a loop");
        let (client, got) = client_and_echo(&mut ev, |ev, got| {
            let (near, far) = descriptors::pair();
            ev.stream(near, echo).expect("a stream");
            ev.stream(far, counting(got)).expect("a stream")
        });
        b.iter(|| ask(&mut ev, client, &got));
    });
    #[cfg(feature = "tls")]
    group.bench_function("socket pair, TLS", |b| {
        let (server, client) = tls();
        let mut ev = EvLoop::new().expect("a loop");
        let (client, got) = client_and_echo(&mut ev, |ev, got| {
            let (near, far) = descriptors::pair();
            let near = ev.stream(near, echo).expect("a stream");
            near.start_tls_server(ev, &server).expect("TLS");
            let far = ev.stream(far, counting(got)).expect("a stream");
            far.start_tls_client(ev, &client, "localhost").expect("TLS");
            far
        });
        b.iter(|| ask(&mut ev, client, &got));
    });
    group.finish();
}

/// A server that calls itself localhost, and a client who believes it.
#[cfg(feature = "tls")]
fn tls() -> (evloop::net::TlsServer, evloop::net::TlsClient) {
    use evloop::net::{TlsClient, TlsServer};
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = made.cert.pem();
    let key = made.signing_key.serialize_pem();
    let server = TlsServer::new(&certificate, key).expect("a server");
    let client = TlsClient::builder().add_roots(certificate).build().expect("a client");
    (server, client)
}

/// One message for everyone: the same bytes, or a copy each. What the peers do is not measured.
fn broadcast(c: &mut Criterion) {
    descriptors::raise_limit();
    const EVERYONE: usize = 1000;
    let mut group = c.benchmark_group(format!("stream, one message for {EVERYONE}"));
    group.throughput(Throughput::Elements(EVERYONE as u64));
    for size in [64, 16 * 1024] {
        for shared in [true, false] {
            let how = if shared { "write_shared" } else { "write" };
            group.bench_function(BenchmarkId::new(how, format!("{size} bytes")), |b| {
                let mut ev = EvLoop::new().expect("a loop");
                let mut peers = Vec::new();
                let mut streams = Vec::new();
                for _ in 0..EVERYONE {
                    let (near, far) = descriptors::pair();
                    streams.push(ev.stream(near, |_, _, _| {}).expect("a stream"));
                    peers.push(far);
                }
                pass(&mut ev);
                let message = Shared::from(vec![b'm'; size]);
                let mut into = vec![0; size];
                b.iter_custom(|times| {
                    let mut took = Duration::ZERO;
                    for _ in 0..times {
                        let begin = Instant::now();
                        for stream in &streams {
                            let written = if shared {
                                stream.write_shared(&mut ev, message.clone())
                            } else {
                                stream.write(&mut ev, &message)
                            };
                            written.expect("an open stream");
                        }
                        pass(&mut ev);
                        took += begin.elapsed();
                        for peer in &mut peers {
                            peer.read_exact(&mut into).expect("all of it in one pass");
                        }
                    }
                    took
                });
            });
        }
    }
    group.finish();
}

/// A stream of a socket that is there, from its beginning to its end.
fn lives(c: &mut Criterion) {
    descriptors::raise_limit();
    let mut group = c.benchmark_group("stream, made and closed");
    for others in [0, 1000] {
        let beside = format!("beside {others} others");
        group.bench_function(BenchmarkId::new("socket pair", &beside), |b| {
            let (mut ev, _peers) = echoing::<UnixStream>(others, nothing);
            b.iter(|| {
                let (near, far) = descriptors::pair();
                let stream = ev.stream(near, echo).expect("a stream");
                pass(&mut ev);
                stream.close_now(&mut ev);
                drop(far);
            });
        });
        group.bench_function(BenchmarkId::new("in-process pair", &beside), |b| {
            let (mut ev, _peers) = echoing::<UnixStream>(others, nothing);
            b.iter(|| {
                let (one, other) = ev.stream_pair(echo, echo).expect("a pair");
                pass(&mut ev);
                one.close_now(&mut ev);
                other.close_now(&mut ev);
            });
        });
    }
    group.bench_function("floor: socket pair made and closed", |b| b.iter(descriptors::pair));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = echoes, additions, both_ends, broadcast, lives
}
criterion_main!(benches);
