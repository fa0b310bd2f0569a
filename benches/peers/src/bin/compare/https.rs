//! What is measured of HTTPS servers, and what ours must reach.

use crate::connections::{Job, Subject};
use crate::figures::Bound::Times;
use crate::figures::{Difference, Figure, Meter, words};
use crate::http::{given, job};

pub const SUBJECTS: &[Subject] = &[
    Subject { name: "tls", jobs: keep_alive },
    Subject { name: "tls-instructions", jobs: instructions },
    Subject { name: "tls-syscalls", jobs: system_calls },
];

const TLS: &str = "tls";
const CONNECTIONS: u64 = 64;

fn keep_alive(quick: bool) -> Vec<Job> {
    let requests = if quick { 100_000 } else { 300_000 };
    let label = format!("HTTPS GET, {CONNECTIONS} connections");
    let figures = vec![
        Figure::new(&format!("{label}: µs CPU of the server per request"), "cpu_us", 2)
            .must(Times(1.0, "hyper")),
        Figure::new(&format!("{label}: requests per second"), "per_s", 0),
    ];
    vec![given(format!("{CONNECTIONS} {requests}"), job("HTTPS", TLS, TLS, figures))]
}

/// Counts per request, as the difference of two runs.
fn counted(title: &str, meter: fn(Difference) -> Meter, figures: Vec<Figure>) -> Job {
    Job {
        numbers: Box::new(|requests| words(format!("{CONNECTIONS} {requests}"))),
        meter: meter(Difference { few: 1024, many: 7168, units_per_round: 1 }),
        ..job(title, TLS, TLS, figures)
    }
}

fn instructions(_quick: bool) -> Vec<Job> {
    let label = format!("user instructions per HTTPS request, {CONNECTIONS} connections");
    vec![counted(&label, Meter::Instructions, vec![Figure::new(&label, "", 0)])]
}

fn system_calls(_quick: bool) -> Vec<Job> {
    let label = |what| format!("system calls per HTTPS request, {CONNECTIONS} connections: {what}");
    let figures = vec![
        Figure::new(&label("all"), "all", 3).must(Times(1.01, "floor")),
        Figure::new(&label("to receive"), "receive", 3),
        Figure::new(&label("to send"), "send", 3),
        Figure::new(&label("to wait"), "wait", 3),
        Figure::new(&label("others"), "others", 3),
    ];
    vec![counted("system calls of HTTPS", Meter::SystemCalls, figures)]
}
