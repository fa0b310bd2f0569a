//! The load: threads with connections of their own, who ask, compare every byte, and leave.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::Stretch;
use crate::client::{Client, get, post, shown};
use crate::random::Random;
use crate::words::{PATIENCE, ms, until};
use crate::ws::{self, Ws};

const THREADS: usize = 10;
const CONNECTIONS: usize = 50;
/// How many requests a connection lives for, at most.
const REQUESTS: usize = 40;

/// The lengths of the files, whose names are numbers; the last is the longest.
const FILES: [usize; 5] = [0, 100, 16 * 1024 + 1, 300_000, 3_000_000];

const KINDS: [&str; 7] = ["plain", "echo", "stream", "suspended", "file", "ws", "abort"];

#[derive(Default)]
struct Shared {
    stop: AtomicBool,
    pause: AtomicBool,
    parked: AtomicUsize,
    /// A new connection may be closed instead of being served.
    refused: AtomicBool,
    asked: [AtomicU64; KINDS.len()],
    connected: AtomicU64,
    failures: Mutex<Vec<String>>,
    /// Microseconds of plain requests, by the second in which they were asked.
    times: Mutex<Vec<Vec<u32>>>,
    /// What a stream of so many lines said the first time.
    streams: Mutex<HashMap<usize, Vec<u8>>>,
}

pub struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

/// What plain requests took.
pub struct Times {
    seconds: Vec<Vec<u32>>,
    asked: [u64; KINDS.len()],
    connected: u64,
}

impl Load {
    /// Against a server whose root this is.
    pub fn start(address: SocketAddr, root: &Path) -> Self {
        let shared = Arc::new(Shared::default());
        let mut seeds = Random::seeded("soak");
        let content = Arc::new(Random::fixed(1).bytes(FILES[FILES.len() - 1]));
        for (name, length) in FILES.iter().enumerate() {
            std::fs::write(root.join(name.to_string()), &content[..*length]).unwrap();
        }
        let start = Instant::now();
        let threads = (0..THREADS).map(|_| {
            let (shared, seed) = (Arc::clone(&shared), seeds.number());
            let content = Arc::clone(&content);
            std::thread::spawn(move || {
                let clients = (0..CONNECTIONS).map(|_| None).collect();
                Worker { address, shared, random: Random::fixed(seed), clients, content, start }
                    .run();
            })
        });
        let threads = threads.collect();
        Self { shared, threads }
    }

    /// Fails with the first thing that went wrong.
    #[track_caller]
    pub fn check(&self) {
        let failures = self.shared.failures.lock().unwrap();
        assert!(failures.is_empty(), "{} failures:\n{}", failures.len(), failures.join("\n"));
        drop(failures);
        assert!(!self.threads.iter().any(JoinHandle::is_finished), "a client ended");
    }

    pub fn refusals_are_fine(&self, fine: bool) {
        self.shared.refused.store(fine, Relaxed);
    }

    /// Everybody disconnects and waits.
    #[track_caller]
    pub fn pause(&self) {
        self.shared.pause.store(true, Relaxed);
        until("everybody has left", || {
            self.check();
            self.shared.parked.load(Relaxed) == THREADS
        });
    }

    pub fn go_on(&self) {
        self.shared.pause.store(false, Relaxed);
    }

    #[track_caller]
    pub fn stop(mut self) -> Times {
        self.check();
        self.shared.stop.store(true, Relaxed);
        for thread in std::mem::take(&mut self.threads) {
            thread.join().expect("a client");
        }
        let asked = std::array::from_fn(|kind| self.shared.asked[kind].load(Relaxed));
        let seconds = std::mem::take(&mut *self.shared.times.lock().unwrap());
        Times { seconds, asked, connected: self.shared.connected.load(Relaxed) }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Relaxed);
    }
}

struct Worker {
    address: SocketAddr,
    shared: Arc<Shared>,
    random: Random,
    /// Each with the number of requests it is still good for.
    clients: Vec<Option<(Client, usize)>>,
    /// Of the longest file; the others begin like it.
    content: Arc<Vec<u8>>,
    start: Instant,
}

/// A server that closed the connection instead of answering.
struct Refused(String);

impl Worker {
    fn run(mut self) {
        while !self.shared.stop.load(Relaxed) {
            if self.shared.pause.load(Relaxed) {
                self.clients.iter_mut().for_each(|client| *client = None);
                self.shared.parked.fetch_add(1, Relaxed);
                while self.shared.pause.load(Relaxed) && !self.shared.stop.load(Relaxed) {
                    std::thread::sleep(ms(5));
                }
                self.shared.parked.fetch_sub(1, Relaxed);
                continue;
            }
            let refusals = self.shared.refused.load(Relaxed);
            if let Err(Refused(what)) = self.step() {
                if !refusals && !self.shared.refused.load(Relaxed) {
                    self.shared.failures.lock().unwrap().push(what);
                    return;
                }
            }
            std::thread::sleep(Duration::from_micros(self.random.below(2000) as u64));
        }
    }

    /// One request on one of the connections.
    fn step(&mut self) -> Result<(), Refused> {
        let slot = self.random.below(CONNECTIONS);
        let (mut client, left) = match self.clients[slot].take() {
            Some(both) => both,
            None => {
                self.shared.connected.fetch_add(1, Relaxed);
                let client = Client::connect(self.address);
                (client.map_err(|e| Refused(format!("connect: {e}")))?, self.random.below(REQUESTS))
            }
        };
        let kind = match self.random.below(100) {
            0..55 => 0,
            55..73 => 1,
            73..82 => 2,
            82..86 => 3,
            86..90 => 4,
            90..95 => 5,
            _ => 6,
        };
        self.shared.asked[kind].fetch_add(1, Relaxed);
        match kind {
            0 => self.plain(&mut client)?,
            1 => self.echo(&mut client)?,
            2 => self.stream(&mut client)?,
            3 => self.suspended(&mut client)?,
            4 => self.file(&mut client)?,
            5 => {
                // It is no connection for requests any more.
                self.websocket(client)?;
                return Ok(());
            }
            _ => {
                self.abort(client);
                return Ok(());
            }
        }
        if left > 0 {
            self.clients[slot] = Some((client, left - 1));
        }
        Ok(())
    }

    fn ask(&mut self, client: &mut Client, request: &[u8]) -> Result<Vec<u8>, Refused> {
        self.ask_for(client, request, 200)
    }

    /// Sends and takes the answer, reading while it writes.
    fn ask_for(
        &mut self,
        client: &mut Client,
        request: &[u8],
        status: u16,
    ) -> Result<Vec<u8>, Refused> {
        let line = || request[..request.len().min(60)].escape_ascii();
        for piece in request.chunks(65_536) {
            client.offer(piece).map_err(|error| Refused(format!("{}: {error}", line())))?;
            client.pump();
        }
        let response = client.try_response();
        let response =
            response.map_err(|ending| Refused(format!("{}: {}", line(), shown(&ending))))?;
        if response.status == 503 {
            // What a file is told that cannot be opened, as there are no descriptors.
            return Err(Refused(format!("{}: 503", line())));
        }
        assert_eq!(response.status, status, "{}", line());
        Ok(response.body)
    }

    fn plain(&mut self, client: &mut Client) -> Result<(), Refused> {
        let start = Instant::now();
        let body = self.ask(client, &get("/plaintext"))?;
        assert_eq!(body, b"Hello, World!");
        let took = u32::try_from(start.elapsed().as_micros()).unwrap_or(u32::MAX);
        let second = (start - self.start).as_secs() as usize;
        let mut times = self.shared.times.lock().unwrap();
        if times.len() <= second {
            times.resize_with(second + 1, Vec::new);
        }
        times[second].push(took);
        Ok(())
    }

    fn echo(&mut self, client: &mut Client) -> Result<(), Refused> {
        let length = *self.random.of(&[0, 10, 1000, 20_000, 300_000]);
        let length = self.random.below(length + 1);
        let body = self.random.bytes(length);
        let request = match self.random.one_in(2) {
            true => post("/echo", &body),
            false => {
                let mut request =
                    b"POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                        .to_vec();
                for piece in body.chunks(10_007) {
                    request.extend_from_slice(format!("{:x}\r\n", piece.len()).as_bytes());
                    request.extend_from_slice(piece);
                    request.extend_from_slice(b"\r\n");
                }
                request.extend_from_slice(b"0\r\n\r\n");
                request
            }
        };
        let back = self.ask(client, &request)?;
        assert!(back == body, "an echo of {length} bytes came back changed");
        Ok(())
    }

    fn stream(&mut self, client: &mut Client) -> Result<(), Refused> {
        let lines = *self.random.of(&[1, 10, 100, 3000]);
        let pause = if lines < 100 { self.random.below(3) } else { 0 };
        let body = self.ask(client, &get(&format!("/stream?n={lines}&ms={pause}")))?;
        assert_eq!(body.iter().filter(|b| **b == b'\n').count(), lines);
        let mut streams = self.shared.streams.lock().unwrap();
        let first = streams.entry(lines).or_insert_with(|| body.clone());
        assert!(*first == body, "a stream of {lines} lines, another than before");
        Ok(())
    }

    fn suspended(&mut self, client: &mut Client) -> Result<(), Refused> {
        let route = if self.random.one_in(2) { "slow" } else { "worker" };
        let pause = self.random.below(30);
        // Two behind it, which wait their turn.
        let both = [get(&format!("/{route}?ms={pause}")), get("/plaintext"), get("/json")].concat();
        self.ask(client, &both)?;
        for expected in [&b"Hello, World!"[..], br#"{"message":"Hello, World!"}"#] {
            let response = client.try_response();
            let response =
                response.map_err(|ending| Refused(format!("behind: {}", shown(&ending))))?;
            assert_eq!(response.body, expected);
        }
        Ok(())
    }

    /// A file, or a part of it.
    fn file(&mut self, client: &mut Client) -> Result<(), Refused> {
        let content = Arc::clone(&self.content);
        let name = self.random.below(FILES.len());
        let content = &content[..FILES[name]];
        let target = format!("/files/{name}");
        if content.is_empty() || self.random.one_in(2) {
            let body = self.ask(client, &get(&target))?;
            assert!(body == content, "another file {name}");
            return Ok(());
        }
        let first = self.random.below(content.len());
        let last = first + self.random.below(content.len() - first);
        let range = format!("Range: bytes={first}-{last}\r\n");
        let request = format!("GET {target} HTTP/1.1\r\nHost: a\r\n{range}\r\n");
        let body = self.ask_for(client, request.as_bytes(), 206)?;
        assert!(body == content[first..=last], "another part of file {name}");
        Ok(())
    }

    /// A few messages that come back, and an end in one of several ways.
    fn websocket(&mut self, mut client: Client) -> Result<(), Refused> {
        client.offer(ws::handshake("")).map_err(|error| Refused(format!("WebSocket: {error}")))?;
        let response = client.try_response();
        let response =
            response.map_err(|ending| Refused(format!("WebSocket: {}", shown(&ending))))?;
        assert_eq!(response.status, 101);
        let mut socket = Ws::on(client);
        for _ in 0..self.random.below(8) {
            let most = *self.random.of(&[10, 1000, 200_000]);
            let length = self.random.below(most);
            let message = self.random.bytes(length);
            // In pieces now and then, with a ping between them.
            let (one, other) = message.split_at(self.random.below(length + 1));
            let bytes = match self.random.one_in(3) {
                true => {
                    let ping = ws::frame(ws::FIN | ws::PING, b"soak");
                    [ws::frame(ws::BINARY, one), ping, ws::frame(ws::FIN, other)].concat()
                }
                false => ws::frame(ws::FIN | ws::BINARY, &message),
            };
            let refused = |what: String| Refused(format!("WebSocket: {what}"));
            socket.client.offer(bytes).map_err(|error| refused(error.to_string()))?;
            loop {
                let frame = socket.try_frame(PATIENCE);
                let frame = frame.map_err(|ending| refused(shown(&ending)))?;
                if frame.first == ws::FIN | ws::PONG {
                    assert_eq!(frame.payload, b"soak");
                    continue;
                }
                assert_eq!(frame.first, ws::FIN | ws::BINARY);
                assert!(frame.payload == message, "a message of {length} bytes came back changed");
                break;
            }
        }
        match self.random.below(3) {
            0 => socket.client.reset(),
            1 => drop(socket),
            _ => {
                let _ = socket.client.offer(ws::frame(ws::FIN | ws::CLOSE, &[3, 232]));
                match socket.try_frame(PATIENCE) {
                    Ok(frame) => assert_eq!(frame.first, ws::FIN | ws::CLOSE),
                    Err(ending) => return Err(Refused(format!("goodbye: {}", shown(&ending)))),
                }
            }
        }
        Ok(())
    }

    /// Leaves somewhere in the middle.
    fn abort(&mut self, mut client: Client) {
        let requests = [
            get("/slow?ms=5000"),
            get("/worker?ms=20"),
            get("/stream?n=1000000&ms=0"),
            get("/stream?n=1000&ms=5"),
            post("/echo", &[b'x'; 50_000]),
            b"GET / HTTP/9.9\r\n\r\n".to_vec(),
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc".to_vec(),
        ];
        let request = self.random.of(&requests).clone();
        let length = match self.random.one_in(3) {
            true => self.random.below(request.len()),
            false => request.len(),
        };
        let _ = client.offer(&request[..length]);
        if self.random.one_in(2) {
            client.is_told(ms(self.random.below(20) as u64));
        }
        match self.random.below(3) {
            0 => client.reset(),
            1 => client.half_close(),
            _ => {}
        }
    }
}

impl Times {
    pub fn summary(&self) -> String {
        let all: Vec<String> =
            KINDS.iter().zip(&self.asked).map(|(kind, count)| format!("{kind} {count}")).collect();
        let median = quantile(self.seconds.iter().flatten().copied().collect(), 0.5);
        let most = self.seconds.iter().flatten().max().copied().unwrap_or(0);
        let connected = self.connected;
        format!(
            "{}; {connected} connections; plain: median {median} µs, at most {most} µs",
            all.join(", ")
        )
    }

    #[track_caller]
    pub fn all_kinds_were_asked(&self) {
        assert!(self.asked.iter().all(|count| *count > 0), "{:?}", self.asked);
    }

    /// The slowest in a hundred take no more than a hundred times what is usual, but for a few
    /// seconds after a fault.
    #[track_caller]
    pub fn never_slow_for_long(&self, stretch: Stretch, faults: &[Stretch]) {
        let seconds = stretch.start.as_secs() as usize..stretch.end.as_secs() as usize;
        let within = self.seconds.get(seconds.start..seconds.end.min(self.seconds.len()));
        let within = within.unwrap_or_default();
        let usual = quantile(within.iter().flatten().copied().collect(), 0.5).max(500);
        let mut bad = 0;
        for (n, times) in within.iter().enumerate() {
            let second = Duration::from_secs((seconds.start + n) as u64);
            let faulty = faults.iter().any(|f| second + ms(1000) >= f.start && second <= f.end);
            let slow = quantile(times.clone(), 0.99) > 100 * usual;
            bad = if slow && !faulty { bad + 1 } else { 0 };
            assert!(bad <= 5, "slow for {bad} seconds at {second:?}, usually it takes {usual} µs");
        }
    }
}

fn quantile(mut times: Vec<u32>, share: f64) -> u32 {
    times.sort_unstable();
    let at = (times.len() as f64 * share) as usize;
    times.get(at.min(times.len().saturating_sub(1))).copied().unwrap_or(0)
}
