//! What is measured of HTTP servers, and what ours must reach.

use crate::connections::{Job, Subject};
use crate::figures::Bound::{AtMost, Times};
use crate::figures::{Difference, Figure, Meter, words};

pub const SUBJECTS: &[Subject] = &[
    Subject { name: "http-instructions", jobs: instructions },
    Subject { name: "http-syscalls", jobs: system_calls },
    Subject { name: "http", jobs: keep_alive },
    Subject { name: "http-pipelined", jobs: pipelined },
    Subject { name: "http-post", jobs: post },
    Subject { name: "http-connect", jobs: connect },
    Subject { name: "http-idle", jobs: idle },
    Subject { name: "http-crowd", jobs: crowd },
];

const CONNECTIONS: u64 = 64;

/// Requests that are sent with one write.
const DEPTH: u64 = 16;

/// Where `serve-http` is asked for one of its two routes.
const PLAINTEXT: &str = "plaintext";
const ECHO: &str = "echo";

pub fn job(title: &str, mode: &'static str, subject: &'static str, figures: Vec<Figure>) -> Job {
    Job {
        title: title.to_owned(),
        mode,
        subject,
        numbers: Box::new(|_| Vec::new()),
        meter: Meter::Own,
        load_tool: None,
        on_one_processor: false,
        figures,
    }
}

pub fn given(numbers: String, job: Job) -> Job {
    Job { numbers: Box::new(move |_| words(numbers.clone())), ..job }
}

pub fn on_one_processor(job: Job) -> Job {
    Job { on_one_processor: true, ..job }
}

/// Counts per request, as the difference of two runs.
fn counted(depth: u64, title: &str, meter: fn(Difference) -> Meter, figures: Vec<Figure>) -> Job {
    Job {
        numbers: Box::new(move |requests| words(format!("{CONNECTIONS} {depth} {requests}"))),
        meter: meter(Difference { few: 1024, many: 7168, units_per_round: 1 }),
        ..job(title, PLAINTEXT, "get", figures)
    }
}

fn instructions(_quick: bool) -> Vec<Job> {
    let job = |depth, how: &str, most: f64| {
        let label = format!("user instructions per request, {CONNECTIONS} connections, {how}");
        let figure = Figure::new(&label, "", 0).must(AtMost(most));
        counted(depth, &label, Meter::Instructions, vec![figure])
    };
    vec![job(1, "kept alive", 3000.0), job(DEPTH, "16 pipelined", 2200.0)]
}

fn system_calls(_quick: bool) -> Vec<Job> {
    let job = |depth, how: &str| {
        let label =
            |what| format!("system calls per request, {CONNECTIONS} connections, {how}: {what}");
        let figures = vec![
            // How many reports one wait takes is a matter of taste.
            Figure::new(&label("all"), "all", 3).must(Times(1.01, "floor")),
            Figure::new(&label("to receive"), "receive", 3).must(Times(1.002, "floor")),
            Figure::new(&label("to send"), "send", 3).must(Times(1.002, "floor")),
            Figure::new(&label("to wait"), "wait", 3),
            Figure::new(&label("others"), "others", 3),
        ];
        counted(depth, &format!("system calls, {how}"), Meter::SystemCalls, figures)
    };
    vec![job(1, "kept alive"), job(DEPTH, "16 pipelined")]
}

/// CPU time of the server, and how many requests that makes where a processor is its own.
fn times(label: &str, most: f64) -> Vec<Figure> {
    vec![
        Figure::new(&format!("{label}: µs CPU of the server per request"), "cpu_us", 2)
            .must(Times(most, "floor")),
        Figure::new(&format!("{label}: requests per second"), "per_s", 0),
    ]
}

fn by_wrk(quick: bool, connections: u64, depth: u64, figures: Vec<Figure>) -> Job {
    let seconds = if quick { 1 } else { 3 };
    let title = format!("wrk, {connections} connections, {depth} at once on each");
    let job = job(&title, PLAINTEXT, "wrk", figures);
    Job { load_tool: Some("wrk"), ..given(format!("{connections} {depth} {seconds}"), job) }
}

fn keep_alive(quick: bool) -> Vec<Job> {
    let job = |connections| {
        by_wrk(quick, connections, 1, times(&format!("GET, {connections} connections"), 1.12))
    };
    [1, CONNECTIONS, 512].map(job).into()
}

fn pipelined(quick: bool) -> Vec<Job> {
    let label = format!("GET, {CONNECTIONS} connections, {DEPTH} pipelined");
    vec![by_wrk(quick, CONNECTIONS, DEPTH, times(&label, 1.5))]
}

fn post(quick: bool) -> Vec<Job> {
    let requests = if quick { 100_000 } else { 300_000 };
    let figures = times(&format!("POST of 1 KiB sent back, {CONNECTIONS} connections"), 1.15);
    let job = job("POST of 1 KiB", ECHO, "post", figures);
    vec![given(format!("{CONNECTIONS} {requests}"), job)]
}

fn connect(quick: bool) -> Vec<Job> {
    // All from other ports, of which there are 28 000.
    let requests = if quick { 10_000 } else { 20_000 };
    let figures = times(&format!("a connection per GET, {CONNECTIONS} at once"), 1.15);
    let job = job("a connection per request", PLAINTEXT, "connect", figures);
    vec![given(format!("{CONNECTIONS} {requests}"), job)]
}

fn idle(_quick: bool) -> Vec<Job> {
    let connections = 5000;
    let label =
        |measure| format!("bytes per connection of {connections}, idle after one GET, {measure}");
    let figure = |measure, key| Figure::new(&label(measure), key, 0).must(AtMost(500.0));
    let figures = vec![figure("RSS", "rss"), figure("PSS", "pss")];
    vec![given(connections.to_string(), job("idle connections", PLAINTEXT, "idle", figures))]
}

fn crowd(quick: bool) -> Vec<Job> {
    let (idle, requests) = (8000, if quick { 50_000 } else { 200_000 });
    let label = |what| format!("GET, {CONNECTIONS} connections {what}");
    let figures = vec![
        Figure::new(&label("alone: µs CPU per request"), "alone_us", 2),
        Figure::new(&label("beside 8000 idle ones: µs CPU per request"), "beside_us", 2),
        Figure::new(&label("beside 8000 idle ones ÷ alone"), "ratio", 2),
    ];
    let job = job("a crowd of idle connections", PLAINTEXT, "crowd", figures);
    vec![given(format!("{CONNECTIONS} {idle} {requests}"), job)]
}
