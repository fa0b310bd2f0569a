//! Accepting: a connection from `connect` until its server has closed it, and the same with `accept4` and `close`
//! and nothing else.
//!
//! Connections come in batches, as in a storm; what the client does is the same for all and included. With TCP
//! servers reset the connection: one that ends in good order keeps its port for a minute.

#[path = "descriptors/mod.rs"]
mod descriptors;

use std::cell::Cell;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use evloop::net::{Accepted, Reason, StreamEvent};
use evloop::{EvLoop, Run};
use rustix::net::{SocketFlags, accept_with, sockopt};

/// How many connect before anybody is accepted.
const BATCHES: [usize; 2] = [1, 64];

fn pass(ev: &mut EvLoop) {
    ev.run_mode(Run::NoWait).expect("a pass");
}

/// Where a listener is, and how to get there.
enum Place {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Place {
    fn connect(&self) -> OwnedFd {
        match self {
            Self::Tcp(address) => TcpStream::connect(address).expect("a connection").into(),
            Self::Unix(path) => UnixStream::connect(path).expect("a connection").into(),
        }
    }

    /// A new one of the kind of the name.
    fn listener(kind: &str) -> (Self, OwnedFd) {
        if kind == "TCP" {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
            listener.set_nonblocking(true).expect("a socket that does not block");
            (Self::Tcp(listener.local_addr().expect("a port")), listener.into())
        } else {
            let name = format!("evloop-listener-{:016x}", RandomState::new().hash_one(kind));
            let path = std::env::temp_dir().join(name);
            let listener = UnixListener::bind(&path).expect("a listener");
            listener.set_nonblocking(true).expect("a socket that does not block");
            (Self::Unix(path), listener.into())
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Self::Unix(path) = self {
            let _ = std::fs::remove_file(path);
        }
    }
}

fn bare(listener: &OwnedFd, is_tcp: bool) {
    const FLAGS: SocketFlags = SocketFlags::NONBLOCK.union(SocketFlags::CLOEXEC);
    let socket = accept_with(listener, FLAGS).expect("a connection");
    if is_tcp {
        sockopt::set_tcp_nodelay(&socket, true).expect("an option");
        sockopt::set_socket_linger(&socket, Some(Duration::ZERO)).expect("an option");
    }
}

fn storms(c: &mut Criterion) {
    descriptors::raise_limit();
    for kind in ["TCP", "Unix"] {
        let mut group = c.benchmark_group(format!("listener, {kind}"));
        for batch in BATCHES {
            group.throughput(Throughput::Elements(batch as u64));
            let at_a_time = format!("{batch} at a time");
            group.bench_function(BenchmarkId::new("floor: accept4, close", &at_a_time), |b| {
                let (place, listener) = Place::listener(kind);
                b.iter(|| {
                    let clients: Vec<OwnedFd> = (0..batch).map(|_| place.connect()).collect();
                    clients.iter().for_each(|_| bare(&listener, kind == "TCP"));
                });
            });
            let refuse = |_: &mut EvLoop, accepted: Accepted| {
                let socket = accepted.into_fd();
                // As the floor; dropped without, it would keep the port.
                let _ = sockopt::set_socket_linger(&socket, Some(Duration::ZERO));
            };
            group.bench_function(BenchmarkId::new("accept, close", &at_a_time), |b| {
                run(b, kind, batch, move |ev, accepted, done| {
                    refuse(ev, accepted);
                    done.set(done.get() + 1);
                });
            });
            group.bench_function(BenchmarkId::new("accept, serve, close", &at_a_time), |b| {
                run(b, kind, batch, |ev, accepted, done| {
                    let done = Rc::clone(done);
                    accepted.serve(ev, move |ev, stream, event| match event {
                        StreamEvent::Accepted => stream.reset(ev),
                        StreamEvent::Closed(reason) => {
                            assert_eq!(reason, Reason::Local);
                            done.set(done.get() + 1);
                        }
                        _ => {}
                    });
                });
            });
        }
        group.finish();
    }
}

fn run(
    b: &mut criterion::Bencher<'_>,
    kind: &str,
    batch: usize,
    mut serve: impl FnMut(&mut EvLoop, Accepted, &Rc<Cell<usize>>) + 'static,
) {
    let (place, socket) = Place::listener(kind);
    let mut ev = EvLoop::new().expect("a loop");
    let done = Rc::new(Cell::new(0));
    let count = Rc::clone(&done);
    let listener = evloop::net::ListenOptions::new()
        .adopt(&mut ev, socket, move |ev, accepted| serve(ev, accepted, &count))
        .expect("a listener");
    b.iter(|| {
        done.set(0);
        let clients: Vec<OwnedFd> = (0..batch).map(|_| place.connect()).collect();
        while done.get() < batch {
            pass(&mut ev);
        }
        clients
    });
    listener.close(&mut ev);
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_secs(1))
        .measurement_time(Duration::from_secs(3));
    targets = storms
}
criterion_main!(benches);
