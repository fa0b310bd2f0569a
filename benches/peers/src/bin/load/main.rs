//! `load`: the other side of `serve`, in a process of its own. Figures on stdout as `key=value` lines, checked bytes only.
//!
//! It measures the server, too: its processor time, its sleeps and its memory, by the process number.

mod echo;
#[path = "../../epoll.rs"]
mod epoll;
mod idle;
#[path = "../../loading.rs"]
mod loading;
mod peer;
mod server;
mod stream;

use std::io;
use std::process::ExitCode;

use loading::{report, wrong};
use server::Server;

/// Messages before the measured ones: buffers, caches and the scheduler settle. As many however many are measured, so
/// that the difference of two runs is that of the measured ones.
const BEFORE: u64 = 20_000;

const USAGE: &str = "usage: load echo PORT PID CONNECTIONS MESSAGES | stream PORT PID MIB | idle PORT PID CONNECTIONS";

fn main() -> ExitCode {
    loading::run("load", USAGE, measure)
}

fn measure(subject: &str, numbers: &[u64], server: &Server) -> Option<io::Result<()>> {
    match (subject, numbers) {
        ("echo", &[connections, messages]) => {
            Some(echo::measure(server, connections as usize, BEFORE, messages))
        }
        ("stream", &[mib]) => Some(stream::measure(server, mib)),
        ("idle", &[connections]) => Some(idle::measure(server, connections as usize)),
        _ => None,
    }
}
