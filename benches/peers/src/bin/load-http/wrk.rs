//! wrk as the load, on this side's processor. It looks at nothing of an answer but its status, so one is read with care
//! before and compared behind it.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::answer::{Answer, Request};
use crate::client::{self, Room};
use crate::server::Server;
use crate::{epoll, report, wrong};

pub fn measure(server: &Server, connections: u64, depth: u64, seconds: u64) -> io::Result<()> {
    let request = Request::get(depth as usize);
    let answer = Answer::learn(server, &request)?;
    let mut client = client::open(server)?;
    client.exchange(&request, &answer, &mut Room::new())?;

    let mut wrk = Command::new("wrk");
    wrk.args(["--threads=1", "--timeout=30s"]);
    wrk.arg(format!("--connections={connections}")).arg(format!("--duration={seconds}s"));
    if depth > 1 {
        wrk.arg(concat!("--script=", env!("CARGO_MANIFEST_DIR"), "/lua/pipeline.lua"));
    }
    wrk.arg(format!("http://127.0.0.1:{}/plaintext", server.port));
    if depth > 1 {
        wrk.args(["--", &depth.to_string()]);
    }
    wrk.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    // SAFETY: it only makes a system call, which is allowed between fork and exec.
    unsafe { wrk.pre_exec(epoll::end_with_parent) };

    let begin = server.read()?;
    let mut child = wrk.spawn()?;
    let mut said = String::new();
    if let Some(mut output) = child.stdout.take() {
        output.read_to_string(&mut said)?;
    }
    let status = child.wait()?;
    let spent = begin.until(&server.read()?);
    if !status.success() || said.contains("Socket errors") || said.contains("Non-2xx") {
        return Err(wrong(&format!("wrk: {status}\n{said}")));
    }
    let (requests, per_s) = figures(&said).ok_or_else(|| wrong(&format!("wrk says\n{said}")))?;
    client.exchange(&request, &answer, &mut Room::new())?;
    report("cpu_us", spent.cpu_ns / 1e3 / requests);
    report("per_s", per_s);
    Ok(())
}

/// `  12345 requests in 1.00s, 1.46MB read` and `Requests/sec:  12345.67`.
fn figures(said: &str) -> Option<(f64, f64)> {
    let count = said.lines().find_map(|line| line.split_once(" requests in "))?.0;
    let rate = said.lines().find_map(|line| line.strip_prefix("Requests/sec:"))?;
    let requests = count.trim().parse().ok().filter(|&requests: &f64| requests > 0.0)?;
    Some((requests, rate.trim().parse().ok()?))
}
