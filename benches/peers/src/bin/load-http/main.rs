//! `load-http`: the other side of `serve-http`, in a process of its own. Figures on stdout as `key=value` lines, only of
//! answers that were compared with the first one, which was read with care.
//!
//! It measures the server, too, as `load` does: its processor time, its sleeps and its memory, by the process number.

mod answer;
mod bulk;
mod client;
mod connect;
mod crowd;
#[path = "../../epoll.rs"]
mod epoll;
mod exchange;
mod idle;
// Some of it only `load` asks for.
#[allow(dead_code)]
#[path = "../../served.rs"]
mod served;
#[allow(dead_code)]
#[path = "../load/server.rs"]
mod server;
mod tls;
mod wrk;

use std::io;
use std::process::ExitCode;

use answer::Request;
use server::Server;

const USAGE: &str = "usage: load-http get PORT PID CONNECTIONS DEPTH REQUESTS | post PORT PID CONNECTIONS REQUESTS \
    | wrk PORT PID CONNECTIONS DEPTH SECONDS | connect PORT PID AT_ONCE REQUESTS | idle PORT PID CONNECTIONS \
    | crowd PORT PID ACTIVE IDLE REQUESTS | file PORT PID CONNECTIONS KIB REQUESTS \
    | bulk PORT PID CONNECTIONS KIB REQUESTS | tls PORT PID CONNECTIONS REQUESTS";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(measured) = measure(&args) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("load-http {}: {error}", args.join(" "));
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
    let server = &Server { port: port.try_into().ok()?, pid: pid.try_into().ok()? };
    let begun = epoll::end_with_parent().and_then(|()| epoll::raise_fd_limit());
    let is = |name| begun.is_ok() && subject == name;
    Some(match *numbers {
        [connections, depth, requests] if is("get") => {
            exchange::measure(server, &Request::get(depth as usize), connections as usize, requests)
        }
        [connections, requests] if is("post") => {
            exchange::measure(server, &Request::post(), connections as usize, requests)
        }
        [connections, depth, seconds] if is("wrk") => {
            wrk::measure(server, connections, depth, seconds)
        }
        [at_once, requests] if is("connect") => {
            connect::measure(server, at_once as usize, requests)
        }
        [connections, kib, requests] if is("file") => {
            exchange::measure(server, &Request::file(kib), connections as usize, requests)
        }
        [connections, kib, requests] if is("bulk") => {
            bulk::measure(server, connections as usize, kib, requests)
        }
        [connections, requests] if is("tls") => {
            tls::measure(server, connections as usize, requests)
        }
        [connections] if is("idle") => idle::measure(server, connections as usize),
        [active, idle, requests] if is("crowd") => {
            crowd::measure(server, active as usize, idle as usize, requests)
        }
        _ => begun.err().map(Err)?,
    })
}

fn report(key: &str, value: f64) {
    println!("{key}={value:.3}");
}

/// The server did something that no such server may.
fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
