//! The demo server as a child process, and what must hold of it after whatever was done to it.

use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::client::{Client, get};
use crate::process::Process;
use crate::response::Response;
use crate::words::{PATIENCE, ms, secs, until};

/// More than any scenario may leave behind in memory, in KiB.
const MEMORY_LEFT: u64 = 32 * 1024;

pub struct Server {
    child: Child,
    pub process: Process,
    /// Where it listens, as it says: `http://…`.
    pub listening: Vec<String>,
    output: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
    /// Sockets before anybody has connected.
    sockets: usize,
    /// Descriptors and resident memory at the start, after one request of each kind.
    descriptors: usize,
    resident: u64,
}

/// The program: beside the folder of this test's executable.
pub fn program() -> PathBuf {
    if let Some(path) = std::env::var_os("EVLOOP_HTTP_SERVER") {
        return path.into();
    }
    let own = std::env::current_exe().unwrap();
    let path = own.parent().unwrap().parent().unwrap().join("examples/http_server");
    assert!(path.exists(), "no {}: cargo build --example http_server", path.display());
    path
}

pub fn command(options: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(options).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    // What changes how loops are built is not to come from outside.
    command.env_remove("EVLOOP_FLAGS").env_remove("LISTEN_FDS").env_remove("LISTEN_PID");
    command
}

impl Server {
    /// With one listener on a free port.
    #[track_caller]
    pub fn start(options: &[&str]) -> Self {
        Self::start_command(command(&[&["--listen", "127.0.0.1:0"], options].concat()), 1)
    }

    #[track_caller]
    pub fn on(backend: &str, options: &[&str]) -> Self {
        Self::start(&[&["--backend", backend], options].concat())
    }

    /// Waits until it says that it listens, once per listener.
    #[track_caller]
    pub fn start_command(mut command: Command, listeners: usize) -> Self {
        let mut child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        let process = Process(child.id());
        let output = Arc::new(Mutex::new(String::new()));
        let mut readers = Vec::new();
        let (lines, said) = lines_of(child.stdout.take().unwrap());
        readers.push(lines);
        readers.push(collect(child.stderr.take().unwrap(), &output));
        let mut server = Self {
            child,
            process,
            listening: Vec::new(),
            output,
            readers,
            sockets: 0,
            descriptors: 0,
            resident: 0,
        };
        for _ in 0..listeners {
            // On failure the drop ends the child and shows what it said.
            let line = said.recv_timeout(PATIENCE).expect("a line on standard output");
            let address = line.strip_prefix("listening on ").expect("'listening on' first");
            server.listening.push(address.to_owned());
        }
        server.sockets = process.sockets();
        if server.listening[0].starts_with("http://127.") {
            server.warm_up();
        }
        server
    }

    /// Each kind of reply once, so that what is made on first use is there.
    #[track_caller]
    fn warm_up(&mut self) {
        let mut client = self.client();
        for target in ["/plaintext", "/slow?ms=1", "/worker?ms=1", "/stream?n=1&ms=0", "/stats"] {
            assert_eq!(client.ask(get(target)).status, 200, "{target}");
        }
        drop(client);
        self.settle();
    }

    /// What there is now is what there is at the start.
    #[track_caller]
    pub fn settle(&mut self) {
        until("those who have asked are gone", || self.process.sockets() == self.sockets);
        // The listing of a moment, until it stays the same for a while.
        let (mut since, mut last) = (Instant::now(), 0);
        until("the descriptors do not change", || {
            let now = self.process.descriptors();
            if now != last {
                (since, last) = (Instant::now(), now);
            }
            since.elapsed() > ms(30)
        });
        self.descriptors = last;
        self.resident = self.process.resident();
    }

    pub fn address(&self) -> SocketAddr {
        self.listening[0].split("://").nth(1).unwrap().parse().expect("address and port")
    }

    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.address()).expect("a connection")
    }

    /// With a small receive buffer.
    #[track_caller]
    pub fn narrow_client(&self) -> Client {
        Client::connect_narrow(self.address()).expect("a connection")
    }

    /// A request on a connection of its own.
    #[track_caller]
    pub fn ask(&self, request: impl AsRef<[u8]>) -> Response {
        self.client().ask(request)
    }

    #[track_caller]
    pub fn stats(&self) -> Stats {
        let response = self.ask(get("/stats"));
        assert_eq!(response.status, 200);
        Stats(response.text().split_whitespace().collect())
    }

    /// KiB of resident memory more than at the start.
    pub fn grown(&self) -> u64 {
        self.process.resident().saturating_sub(self.resident)
    }

    /// What it has said on standard error so far.
    pub fn said(&self) -> String {
        self.output.lock().unwrap().clone()
    }

    /// Another client, who asks again and again from now on.
    #[track_caller]
    pub fn bystander(&self) -> Bystander {
        let mut client = self.client();
        client.ask(get("/plaintext"));
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut served, mut longest) = (0, Duration::ZERO);
            // Once in any case, however short the scenario is.
            loop {
                let start = Instant::now();
                let response = client.ask(get("/plaintext"));
                assert_eq!(
                    (response.status, response.body.as_slice()),
                    (200, &b"Hello, World!"[..])
                );
                longest = longest.max(start.elapsed());
                served += 1;
                if told.load(Ordering::Relaxed) {
                    return (served, longest);
                }
                std::thread::sleep(ms(10));
            }
        });
        Bystander { stop, thread: Some(thread) }
    }

    /// All descriptors of clients are given back (scenario `descriptors_released`).
    #[track_caller]
    pub fn await_descriptors_released(&self) {
        let start = Instant::now();
        while self.process.descriptors() != self.descriptors {
            let (now, was) = (self.process.descriptors(), self.descriptors);
            let all = self.process.descriptor_list();
            assert!(start.elapsed() < PATIENCE, "{now} descriptors, {was} at the start: {all:#?}");
            std::thread::sleep(ms(5));
        }
    }

    /// What must hold after every scenario; ends the server.
    #[track_caller]
    pub fn finish(self) {
        self.await_descriptors_released();
        assert_eq!(self.ask(get("/plaintext")).body, b"Hello, World!", "a new client is served");
        self.end();
    }

    /// The end of that.
    #[track_caller]
    pub fn end(self) {
        let grown = self.grown();
        assert!(grown < MEMORY_LEFT, "{grown} KiB more than at the start");
        self.process.signal(Signal::TERM);
        let status = self.exit_within(PATIENCE);
        assert_eq!(status.code(), Some(0), "the end: {status:?}");
    }

    /// Waits for the end of the process, whoever caused it, and looks at what it said (`log/no_panic`).
    #[track_caller]
    pub fn exit_within(mut self, patience: Duration) -> ExitStatus {
        let start = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(start.elapsed() < patience, "still running after {patience:?}");
            std::thread::sleep(ms(2));
        };
        for reader in std::mem::take(&mut self.readers) {
            reader.join().unwrap();
        }
        assert_no_panic(&self.said());
        status
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            println!("the server said on standard error:\n{}", self.said());
        }
    }
}

#[track_caller]
pub fn assert_no_panic(said: &str) {
    let bad =
        ["panic", "RUST_BACKTRACE", "BorrowMut", "overflow", "unreachable", "AddressSanitizer"];
    for word in bad {
        assert!(!said.contains(word), "{word:?} on standard error:\n{said}");
    }
}

fn lines_of(source: impl Read + Send + 'static) -> (JoinHandle<()>, Receiver<String>) {
    let (sender, receiver) = mpsc::channel();
    let thread = std::thread::spawn(move || {
        for line in BufReader::new(source).lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    (thread, receiver)
}

fn collect(source: impl Read + Send + 'static, into: &Arc<Mutex<String>>) -> JoinHandle<()> {
    let into = Arc::clone(into);
    std::thread::spawn(move || {
        let mut source = BufReader::new(source);
        let mut line = Vec::new();
        while source.read_until(b'\n', &mut line).is_ok_and(|n| n > 0) {
            into.lock().unwrap().push_str(&String::from_utf8_lossy(&line));
            line.clear();
        }
    })
}

/// A client that is served all the time, or the scenario fails.
pub struct Bystander {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<(u64, Duration)>>,
}

impl Bystander {
    #[track_caller]
    pub fn was_served(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let (served, longest) = self.thread.take().unwrap().join().expect("others are served");
        assert!(served > 0 && longest < secs(3), "{served} times, the longest {longest:?}");
    }
}

impl Drop for Bystander {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// What `/stats` says, without white space.
pub struct Stats(String);

impl Stats {
    /// The number of a key inside an object, or of the outermost object if that is "".
    #[track_caller]
    pub fn number(&self, object: &str, key: &str) -> f64 {
        let within = match object {
            "" => self.0.as_str(),
            name => {
                let from = self.0.split(&format!("\"{name}\":{{")).nth(1);
                from.and_then(|rest| rest.split('}').next()).unwrap_or("")
            }
        };
        let value = within.split(&format!("\"{key}\":")).nth(1);
        let value = value.and_then(|rest| rest.split([',', '}']).next());
        let number = value.and_then(|text| text.parse().ok());
        number.unwrap_or_else(|| panic!("no number {object}.{key} in {}", self.0))
    }

    #[track_caller]
    pub fn count(&self, object: &str, key: &str) -> u64 {
        self.number(object, key) as u64
    }

    /// All completions but `ok`.
    #[track_caller]
    pub fn failed(&self) -> u64 {
        let reasons = ["client-aborted", "read-error", "write-error", "timeout", "protocol-error"];
        let more = ["server-shutdown", "handler-error", "upgraded"];
        reasons.iter().chain(&more).map(|key| self.count("completions", key)).sum()
    }
}
