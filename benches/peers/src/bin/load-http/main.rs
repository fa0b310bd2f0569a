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
#[path = "../../loading.rs"]
mod loading;
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
use loading::{report, wrong};
use server::Server;

const USAGE: &str = "usage: load-http get PORT PID CONNECTIONS DEPTH REQUESTS | post PORT PID CONNECTIONS REQUESTS \
    | wrk PORT PID CONNECTIONS DEPTH SECONDS | connect PORT PID AT_ONCE REQUESTS | idle PORT PID CONNECTIONS \
    | crowd PORT PID ACTIVE IDLE REQUESTS | file PORT PID CONNECTIONS KIB REQUESTS \
    | bulk PORT PID CONNECTIONS KIB REQUESTS | tls PORT PID CONNECTIONS REQUESTS";

fn main() -> ExitCode {
    loading::run("load-http", USAGE, measure)
}

fn measure(subject: &str, numbers: &[u64], server: &Server) -> Option<io::Result<()>> {
    let is = |name| subject == name;
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
        _ => return None,
    })
}
