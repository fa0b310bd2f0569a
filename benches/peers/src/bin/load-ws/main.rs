//! `load-ws`: the other side of `serve-ws`, in a process of its own. Figures on stdout as `key=value` lines, checked bytes only.
//!
//! It measures the server, too, as `load` does: its processor time, its sleeps and its memory, by the process number.

mod broadcast;
#[path = "../load/echo.rs"]
mod echo;
#[path = "../../epoll.rs"]
mod epoll;
#[path = "../load/idle.rs"]
mod idle;
#[path = "../../loading.rs"]
mod loading;
mod peer;
// Some of it only `load` asks for.
#[allow(dead_code)]
#[path = "../load/server.rs"]
mod server;

use std::io;
use std::process::ExitCode;

use loading::{report, wrong};
use server::Server;

/// Messages before the measured ones: buffers, caches and the scheduler settle. As many however many are measured, so
/// that the difference of two runs is that of the measured ones.
const BEFORE: u64 = 4096;

const USAGE: &str = "usage: load-ws echo PORT PID CONNECTIONS MESSAGES | broadcast PORT PID CLIENTS ROUNDS \
    | idle PORT PID CONNECTIONS";

fn main() -> ExitCode {
    loading::run("load-ws", USAGE, measure)
}

fn measure(subject: &str, numbers: &[u64], server: &Server) -> Option<io::Result<()>> {
    match (subject, numbers) {
        ("echo", &[connections, messages]) => {
            Some(echo::measure(server, connections as usize, BEFORE, messages))
        }
        ("broadcast", &[clients, rounds]) => {
            Some(broadcast::measure(server, clients as usize, rounds))
        }
        ("idle", &[connections]) => Some(idle::measure(server, connections as usize)),
        _ => None,
    }
}
