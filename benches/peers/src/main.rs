//! `peers CONTENDER WORKLOAD ARGS...`: one event loop doing one job, figures on stdout as `key=value` lines.
//!
//! The driver that runs all of them against each other is the other binary, `compare`. The C contenders are
//! programs of their own in `c/`, with the same workloads and arguments.

mod calloop;
// Only ours has these watchers.
#[cfg(feature = "ours")]
mod files;
mod floor;
mod mio;
#[cfg(feature = "ours")]
mod ours;
mod polling;
#[cfg(feature = "ours")]
mod queues;
mod tokio;
mod workload;

use std::process::ExitCode;

use workload::{Contender, Workload};

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some((contender, rest)) = args.split_first() else {
        eprintln!("usage: peers CONTENDER {}", workload::USAGE);
        return ExitCode::from(2);
    };
    let workload = match Workload::parse(rest) {
        Ok(workload) => workload,
        Err(reason) => {
            eprintln!("peers: {reason}\nusage: peers CONTENDER {}", workload::USAGE);
            return ExitCode::from(2);
        }
    };
    workload::raise_fd_limit();
    match contender.as_str() {
        "floor" => floor::Floor::run(&workload),
        #[cfg(feature = "ours")]
        "ours" => ours::Ours::run(&workload),
        "mio" => mio::Mio::run(&workload),
        "polling" => polling::Polling::run(&workload),
        "calloop" => calloop::Calloop::run(&workload),
        "tokio" => tokio::Tokio::run(&workload),
        _ => {
            eprintln!("peers: no contender is called {contender:?} in this build");
            return ExitCode::from(2);
        }
    }
    // Tearing a million timers down is nobody's figure.
    std::process::exit(0)
}
