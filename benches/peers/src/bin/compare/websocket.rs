//! What is measured of WebSocket servers, and what ours must reach.

use crate::connections::{Job, Subject};
use crate::figures::Bound::{AtMost, Times};
use crate::figures::{Difference, Figure, Meter, words};
use crate::http::{given, job, on_one_processor};

pub const SUBJECTS: &[Subject] = &[
    Subject { name: "ws", jobs: echo },
    Subject { name: "ws-instructions", jobs: instructions },
    Subject { name: "ws-syscalls", jobs: system_calls },
    Subject { name: "ws-broadcast", jobs: broadcast },
    Subject { name: "ws-idle", jobs: idle },
];

const ECHO: &str = "echo";
const CONNECTIONS: u64 = 64;

fn echo(quick: bool) -> Vec<Job> {
    let messages = if quick { 200_000 } else { 1_000_000 };
    let label = |what| format!("WebSocket echo of 64 bytes, {CONNECTIONS} connections: {what}");
    let figures = vec![
        Figure::new(&label("ns CPU of the server per message"), "cpu_ns", 0)
            .must(Times(1.3, "floor"))
            .must(Times(1.0, "tungstenite-4k")),
        Figure::new(&label("ns wall per message"), "wall_ns", 0),
        Figure::new(&label("sleeps of the server per message"), "sleeps", 3),
    ];
    vec![given(format!("{CONNECTIONS} {messages}"), job("WebSocket echo", ECHO, ECHO, figures))]
}

/// Counts per message, as the difference of two runs.
fn counted(title: &str, meter: fn(Difference) -> Meter, figures: Vec<Figure>) -> Job {
    Job {
        numbers: Box::new(|messages| words(format!("{CONNECTIONS} {messages}"))),
        meter: meter(Difference { few: 1024, many: 7168, units_per_round: 1 }),
        ..job(title, ECHO, ECHO, figures)
    }
}

fn instructions(_quick: bool) -> Vec<Job> {
    let label = format!("user instructions per WebSocket message, {CONNECTIONS} connections");
    let figure = Figure::new(&label, "", 0).must(Times(1.0, "tungstenite-4k"));
    vec![counted(&label, Meter::Instructions, vec![figure])]
}

fn system_calls(_quick: bool) -> Vec<Job> {
    let label =
        |what| format!("system calls per WebSocket message, {CONNECTIONS} connections: {what}");
    let figures = vec![
        Figure::new(&label("all"), "all", 3).must(Times(1.01, "floor")),
        Figure::new(&label("to receive"), "receive", 3),
        Figure::new(&label("to send"), "send", 3),
        Figure::new(&label("to wait"), "wait", 3),
        Figure::new(&label("others"), "others", 3),
    ];
    vec![counted("system calls of a WebSocket echo", Meter::SystemCalls, figures)]
}

fn broadcast(quick: bool) -> Vec<Job> {
    let (clients, rounds) = (5000, if quick { 40 } else { 200 });
    let label =
        |what| format!("one message of 1 KiB to {clients} WebSockets, one processor: {what}");
    let figures = vec![
        Figure::new(&label("ns CPU of the server per client"), "cpu_ns", 0)
            .must(Times(1.1, "floor")),
        Figure::new(&label("ns wall per client"), "wall_ns", 0),
    ];
    let job = job("broadcast", "broadcast", "broadcast", figures);
    vec![on_one_processor(given(format!("{clients} {rounds}"), job))]
}

fn idle(_quick: bool) -> Vec<Job> {
    let connections = 8000;
    let figure = |what, measure, key| {
        let label = format!("bytes per WebSocket of {connections} idle ones, {what}, {measure}");
        Figure::new(&label, key, 0).must(AtMost(700.0))
    };
    let figures = vec![
        figure("never used", "RSS", "unused_rss"),
        figure("never used", "PSS", "unused_pss"),
        figure("one message echoed", "RSS", "used_rss"),
        figure("one message echoed", "PSS", "used_pss"),
    ];
    vec![given(connections.to_string(), job("idle WebSockets", ECHO, "idle", figures))]
}
