//! `load-ws`: the other side of `serve-ws`, in a process of its own. Figures on stdout as `key=value` lines, checked bytes only.
//!
//! It measures the server, too, as `load` does: its processor time, its sleeps and its memory, by the process number.

mod broadcast;
mod echo;
#[path = "../../epoll.rs"]
mod epoll;
mod idle;
mod peer;
// Some of it only `load` asks for.
#[allow(dead_code)]
#[path = "../load/server.rs"]
mod server;

use std::io;
use std::process::ExitCode;

use server::Server;

const USAGE: &str = "usage: load-ws echo PORT PID CONNECTIONS MESSAGES | broadcast PORT PID CLIENTS ROUNDS \
    | idle PORT PID CONNECTIONS";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(measured) = measure(&args) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load-ws {}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn measure(args: &[String]) -> Option<io::Result<()>> {
    let (subject, numbers) = args.split_first()?;
    let numbers: Vec<u64> =
        numbers.iter().map(|text| text.parse()).collect::<Result<_, _>>().ok()?;
    if numbers.contains(&0) {
        return None;
    }
    let (&[port, pid], numbers) = numbers.split_first_chunk::<2>()?;
    let server = Server { port: port.try_into().ok()?, pid: pid.try_into().ok()? };
    let begin = || epoll::end_with_parent().and_then(|()| epoll::raise_fd_limit());
    Some(match (subject.as_str(), numbers) {
        ("echo", &[connections, messages]) => {
            begin().and_then(|()| echo::measure(&server, connections as usize, messages))
        }
        ("broadcast", &[clients, rounds]) => {
            begin().and_then(|()| broadcast::measure(&server, clients as usize, rounds))
        }
        ("idle", &[connections]) => {
            begin().and_then(|()| idle::measure(&server, connections as usize))
        }
        _ => return None,
    })
}

fn report(key: &str, value: f64) {
    println!("{key}={value:.3}");
}

/// The server did something that no such server may.
fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
