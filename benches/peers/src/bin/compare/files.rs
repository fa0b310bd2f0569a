//! What is measured of HTTP servers that serve files, and what ours must reach.

use crate::connections::{Job, Subject};
use crate::figures::Bound::{self, Times};
use crate::figures::{Difference, Figure, Meter, words};
use crate::http::{given, job, on_one_processor};

pub const SUBJECTS: &[Subject] = &[
    Subject { name: "files", jobs: files },
    Subject { name: "files-instructions", jobs: instructions },
    Subject { name: "files-syscalls", jobs: system_calls },
];

const FILES: &str = "files";
const CONNECTIONS: u64 = 64;
const SMALL_KIB: u64 = 4;

fn files(quick: bool) -> Vec<Job> {
    let requests = if quick { 100_000 } else { 300_000 };
    let numbers = format!("{CONNECTIONS} {SMALL_KIB} {requests}");
    let label = format!("file of {SMALL_KIB} KiB, {CONNECTIONS} connections");
    let small = |label: &str, must: Option<Bound>| {
        let cpu = Figure::new(&format!("{label}: µs CPU of the server per request"), "cpu_us", 2);
        let cpu = must.into_iter().fold(cpu, Figure::must);
        let rate = Figure::new(&format!("{label}: requests per second"), "per_s", 0);
        given(numbers.clone(), job(label, FILES, "file", vec![cpu, rate]))
    };
    let alone = small(&label, None);
    let shared =
        on_one_processor(small(&format!("{label}, one processor"), Some(Times(1.0, "nginx"))));
    let times = if quick { 1 } else { 3 };
    let large = |mib: u64, connections: u64, requests: u64| {
        let label = format!("file of {mib} MiB, {connections} connections");
        let figures = vec![
            Figure::new(&format!("{label}: ms CPU of the server per GiB"), "cpu_ms", 0)
                .must(Times(1.0, "nginx")),
            Figure::new(&format!("{label}: MiB/s"), "mib_per_s", 0),
        ];
        let numbers = format!("{connections} {} {}", mib * 1024, requests * times);
        given(numbers, job(&format!("files of {mib} MiB"), FILES, "bulk", figures))
    };
    vec![shared, alone, large(1, 16, 4096), large(100, 4, 48)]
}

/// Counts per request for the small one, as the difference of two runs.
fn counted(title: &str, meter: fn(Difference) -> Meter, figures: Vec<Figure>) -> Job {
    Job {
        numbers: Box::new(|requests| words(format!("{CONNECTIONS} {SMALL_KIB} {requests}"))),
        meter: meter(Difference { few: 1024, many: 7168, units_per_round: 1 }),
        ..job(title, FILES, "file", figures)
    }
}

fn instructions(_quick: bool) -> Vec<Job> {
    let label = format!("user instructions per file of {SMALL_KIB} KiB, {CONNECTIONS} connections");
    vec![counted(&label, Meter::Instructions, vec![Figure::new(&label, "", 0)])]
}

fn system_calls(_quick: bool) -> Vec<Job> {
    let label = |what| {
        format!("system calls per file of {SMALL_KIB} KiB, {CONNECTIONS} connections: {what}")
    };
    let figures = vec![
        Figure::new(&label("all"), "all", 3).must(Times(1.01, "floor")),
        Figure::new(&label("to receive"), "receive", 3),
        Figure::new(&label("to send"), "send", 3),
        Figure::new(&label("to wait"), "wait", 3),
        Figure::new(&label("others"), "others", 3),
    ];
    vec![counted("system calls of small files", Meter::SystemCalls, figures)]
}
