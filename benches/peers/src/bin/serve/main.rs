//! `serve CONTENDER MODE`: an echo server for `load`, on a port of the system's choice, until SIGTERM.
//!
//! It says `pid=N` and `port=N` on stdout once it listens, or `unsupported=WHY` where the contender has nothing of the kind.
//! libevent's is a program of its own, `c/serve-libevent.c`. `compare` starts them.

#[path = "../../epoll.rs"]
mod epoll;
mod floor;
mod ours;
#[path = "../../serving.rs"]
mod serving;
// Not each floor needs all of it.
#[allow(dead_code)]
#[path = "../../sockets.rs"]
mod sockets;

use std::process::ExitCode;

use serving::prepare;

/// What the server is measured at. All are the same echo server, which keeps the memory of a peer that does not read bounded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Echo,
    Stream,
    Idle,
    /// Connections that say nothing for a minute are closed.
    IdleTimeout,
}

impl Mode {
    fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "echo" => Self::Echo,
            "stream" => Self::Stream,
            "idle" => Self::Idle,
            "idle-timeout" => Self::IdleTimeout,
            _ => return None,
        })
    }
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let parsed = match args.as_slice() {
        [contender, mode] => Mode::parse(mode).map(|mode| (contender.as_str(), mode)),
        _ => None,
    };
    let served = match parsed {
        Some(("floor", mode)) => prepare().and_then(|()| floor::serve(mode)),
        Some(("ours", mode)) => prepare().and_then(|()| ours::serve(mode)),
        _ => {
            eprintln!("usage: serve floor|ours echo|stream|idle|idle-timeout");
            return ExitCode::from(2);
        }
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("serve {}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}
