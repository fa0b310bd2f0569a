//! Soak: the demo server under mixed load for a long time, with faults (reliability.md §8).
//!
//! Ignored unless asked for: `tests/soak/run.sh SECONDS`. Plain requests 55 %, echoes 18 %, streams 9 %,
//! suspended ones 4 %, files 4 %, WebSockets 5 %, clients that leave 5 %, on 500 connections that are renewed all the time. In the
//! middle the process is stopped for two seconds, and has no descriptors left for two; in the last third
//! strace interrupts one system call in a hundred.
//!
//! What holds: no wrong byte, memory after the warm-up grows by less than 1 MiB, descriptors and threads
//! are as many as before, answers are never slow for long after a fault, exit 0 at SIGTERM, no panic.

#![allow(clippy::unwrap_used, clippy::print_stdout)]
// Words of `chaos` that are not needed here.
#![allow(dead_code)]

#[path = "chaos/client.rs"]
mod client;
#[path = "chaos/folder.rs"]
mod folder;
#[path = "soak/load.rs"]
mod load;
#[path = "suite/names.rs"]
mod names;
#[path = "chaos/process.rs"]
mod process;
#[path = "chaos/random.rs"]
mod random;
#[path = "chaos/response.rs"]
mod response;
#[path = "chaos/server.rs"]
mod server;
#[path = "chaos/words.rs"]
mod words;
#[path = "chaos/ws.rs"]
mod ws;

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use load::Load;
use names::temporary;
use server::Server;
use words::{ms, secs, until_within};

/// By how much memory may have grown, in KiB.
const MOST_GROWN: u64 = 1024;

/// What is compared: with nobody connected, before and after.
#[derive(Debug)]
struct Rest {
    resident: u64,
    descriptors: usize,
    threads: u64,
}

#[test]
#[ignore = "takes minutes: tests/soak/run.sh SECONDS"]
fn mixed_load_with_faults_leaves_no_trace() {
    let seconds = std::env::var("SOAK_SECONDS").ok().and_then(|text| text.parse().ok());
    let whole = secs(seconds.unwrap_or(60).max(20));
    let folder = folder::Folder::new();
    let root = folder.folder("root");
    let mut command =
        server::command(&["--listen", "127.0.0.1:0", "--drain-timeout", "5", "--root", &root]);
    // What the server keeps is looked at, and not what the allocator keeps: by itself, that learns from the largest block
    // that was ever given back how much of its own to keep, for each thread.
    command.env("MALLOC_MMAP_THRESHOLD_", "131072").env("MALLOC_TRIM_THRESHOLD_", "131072");
    command.env("MALLOC_TOP_PAD_", "0").env("MALLOC_ARENA_MAX", "1");
    let server = Server::start_command(command, 1);
    let load = Load::start(server.address(), root.as_ref());
    let start = Instant::now();
    let at = |share: f64| {
        let moment = start + whole.mul_f64(share);
        // In slices, so that what has gone wrong is told at once.
        while Instant::now() < moment {
            load.check();
            std::thread::sleep(ms(100).min(moment - Instant::now()));
        }
    };

    at((120.0 / whole.as_secs_f64()).min(0.25));
    let before = rest(&server, &load);

    at(0.40);
    let stopped = start.elapsed();
    server.process.signal(Signal::STOP);
    std::thread::sleep(secs(2));
    server.process.signal(Signal::CONT);
    let stopped = stopped..start.elapsed();

    at(0.52);
    let starved = start.elapsed();
    load.refusals_are_fine(true);
    server.process.limit_descriptors(server.process.descriptors() as u64);
    std::thread::sleep(secs(2));
    server.process.limit_descriptors(15_000);
    // Who was refused last has noticed it by then.
    std::thread::sleep(secs(2));
    load.refusals_are_fine(false);
    let starved = starved..start.elapsed();

    at(0.66);
    let attached = start.elapsed();
    let mut interrupted = Interrupted::attach(server.process.0);
    at(0.97);
    if let Some(strace) = &mut interrupted {
        until_within(secs(60), "so many system calls were interrupted", || {
            load.check();
            strace.count() > 100
        });
        let count = strace.detach();
        println!("{count} system calls were interrupted");
        assert!(count > 100, "only {count} injections");
    }

    // How much of a heap is free at its end is chance: one block that is kept holds all before it. What is lost stays lost,
    // however often it is looked at.
    let mut after = rest(&server, &load);
    for _ in 0..5 {
        println!("before {before:?}, after {after:?}");
        if after.resident < before.resident + MOST_GROWN {
            break;
        }
        let until = Instant::now() + secs(2);
        while Instant::now() < until {
            load.check();
            std::thread::sleep(ms(100));
        }
        after = rest(&server, &load);
    }
    let times = load.stop();
    println!("{}", times.summary());
    // Traced, everything takes longer; the two are judged apart.
    times.never_slow_for_long(secs(1)..attached, &[stopped, starved]);
    times.never_slow_for_long(attached..start.elapsed(), &[]);
    times.all_kinds_were_asked();
    let grown = after.resident.saturating_sub(before.resident);
    assert!(grown < MOST_GROWN, "{grown} KiB more than after the warm-up");
    assert_eq!((after.descriptors, after.threads), (before.descriptors, before.threads));
    // Some end with the connections that they came on. Of those who have ended only their sending side, and are gone, the
    // server hears when it answers: seconds later.
    server.await_descriptors_released();
    let stats = server.stats();
    let completed = stats.failed() + stats.count("completions", "ok");
    let requests = stats.count("", "requests");
    // All but the one that asks.
    assert_eq!(requests, completed + 1, "{completed} of {requests} requests were completed");
    server.finish();
}

/// Everybody leaves; what is there then?
fn rest(server: &Server, load: &Load) -> Rest {
    load.pause();
    server.await_descriptors_released();
    let process = server.process;
    let rest = || Rest {
        resident: process.resident(),
        descriptors: process.descriptors(),
        threads: process.threads(),
    };
    // Lingering ones are gone, jobs of threads done.
    until_within(secs(5), "the server rests", || {
        process.used_during(|| std::thread::sleep(ms(200))).time < ms(5)
    });
    let rest = rest();
    load.go_on();
    rest
}

/// strace at a process, interrupting one call in a hundred.
struct Interrupted {
    strace: Child,
    log: std::path::PathBuf,
}

impl Interrupted {
    /// Nothing if there is no strace.
    fn attach(pid: u32) -> Option<Self> {
        let calls = "epoll_pwait,epoll_pwait2,ppoll,recvfrom,recvmsg,sendto,sendmsg,accept4";
        let log = temporary("soak");
        let mut command = Command::new("strace");
        command.args(["-f", "-q", "-p", &pid.to_string(), "-e", "signal=none"]);
        command.args(["-e", &format!("trace={calls}")]);
        command.args(["-e", &format!("inject={calls}:error=EINTR:when=7+100")]);
        command.arg("-o").arg(format!("|grep --line-buffered INJECTED >{}", log.display()));
        command.stdin(Stdio::null()).stderr(Stdio::null());
        match command.spawn() {
            Ok(strace) => Some(Self { strace, log }),
            Err(error) => {
                println!("no calls are interrupted: strace: {error}");
                None
            }
        }
    }

    /// How many calls were interrupted so far.
    fn count(&self) -> usize {
        std::fs::read_to_string(&self.log).unwrap_or_default().lines().count()
    }

    /// Lets the process go; returns how many calls were interrupted.
    fn detach(&mut self) -> usize {
        let pid = Pid::from_raw(i32::try_from(self.strace.id()).unwrap()).unwrap();
        let _ = kill_process(pid, Signal::TERM);
        let _ = self.strace.wait();
        let count = self.count();
        let _ = std::fs::remove_file(&self.log);
        count
    }
}

impl Drop for Interrupted {
    fn drop(&mut self) {
        if let Ok(None) = self.strace.try_wait() {
            self.detach();
        }
    }
}

/// A stretch of the run, from its start.
type Stretch = std::ops::Range<Duration>;
