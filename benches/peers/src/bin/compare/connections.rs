//! What is measured of connections, where `serve` and `load` are two processes, and what ours must reach.

use crate::figures::Bound::Times;
use crate::figures::{Difference, Figure, Meter, words};

/// A named group of rows that can be asked for alone.
pub struct Subject {
    pub name: &'static str,
    pub jobs: fn(quick: bool) -> Vec<Job>,
}

/// One load that is put on every server, and the rows that come out of it.
pub struct Job {
    pub title: String,
    /// What the server is asked to be.
    pub mode: &'static str,
    /// The load's subject.
    pub subject: &'static str,
    /// Its arguments behind the server's address, given how many messages where the meter varies them.
    pub numbers: Box<dyn Fn(u64) -> Vec<String>>,
    /// `Own`: the figures of the load.
    pub meter: Meter,
    /// The load has no processor of its own. What one of them sends then never wakes a processor for the other one, which
    /// costs more than small requests do, and hits whoever answers faster than the load asks.
    pub on_one_processor: bool,
    /// A program of others that the load starts, if any.
    pub load_tool: Option<&'static str>,
    pub figures: Vec<Figure>,
}

pub const SUBJECTS: &[Subject] = &[
    Subject { name: "echo", jobs: echo },
    Subject { name: "echo-instructions", jobs: echo_instructions },
    Subject { name: "echo-syscalls", jobs: echo_system_calls },
    Subject { name: "stream", jobs: stream },
    Subject { name: "idle", jobs: idle },
];

const CONNECTIONS: [u64; 2] = [64, 1000];

fn echo(quick: bool) -> Vec<Job> {
    let messages = if quick { 200_000 } else { 1_000_000 };
    let job = |connections: u64| {
        let label = |what| format!("echo of 64 bytes, {connections} connections: {what}");
        Job {
            title: format!("echo over {connections} connections"),
            mode: "echo",
            subject: "echo",
            numbers: Box::new(move |_| words(format!("{connections} {messages}"))),
            meter: Meter::Own,
            load_tool: None,
            on_one_processor: false,
            figures: vec![
                Figure::new(&label("ns CPU of the server per message"), "cpu_ns", 0)
                    .must(Times(1.0, "libevent")),
                Figure::new(&label("ns wall per message"), "wall_ns", 0),
                Figure::new(&label("sleeps of the server per message"), "sleeps", 3),
            ],
        }
    };
    CONNECTIONS.map(job).into()
}

/// Counts per message, as the difference of two runs.
fn counted(
    connections: u64,
    title: String,
    meter: fn(Difference) -> Meter,
    figures: Vec<Figure>,
) -> Job {
    Job {
        title,
        mode: "echo",
        subject: "echo",
        numbers: Box::new(move |messages| words(format!("{connections} {messages}"))),
        meter: meter(Difference { few: 2000, many: 22_000, units_per_round: 1 }),
        load_tool: None,
        on_one_processor: false,
        figures,
    }
}

fn echo_instructions(_quick: bool) -> Vec<Job> {
    let job = |connections: u64| {
        let label = format!("user instructions per echoed message, {connections} connections");
        let figure = Figure::new(&label, "", 0).must(Times(1.0, "libevent"));
        counted(connections, label, Meter::Instructions, vec![figure])
    };
    CONNECTIONS.map(job).into()
}

fn echo_system_calls(_quick: bool) -> Vec<Job> {
    let job = |connections: u64| {
        let label =
            |what| format!("system calls per echoed message, {connections} connections: {what}");
        let figures = vec![
            // How many reports one wait takes is a matter of taste.
            Figure::new(&label("all"), "all", 3).must(Times(1.01, "floor")),
            Figure::new(&label("to receive"), "receive", 3).must(Times(1.002, "floor")),
            Figure::new(&label("to send"), "send", 3).must(Times(1.002, "floor")),
            Figure::new(&label("to wait"), "wait", 3),
            Figure::new(&label("others"), "others", 3),
        ];
        let title = format!("system calls of an echo over {connections} connections");
        counted(connections, title, Meter::SystemCalls, figures)
    };
    CONNECTIONS.map(job).into()
}

fn stream(_quick: bool) -> Vec<Job> {
    let label = |what| format!("1 GiB echoed over one connection: {what}");
    vec![Job {
        title: "a stream of 1 GiB".into(),
        mode: "stream",
        subject: "stream",
        numbers: Box::new(|_| words("1024".into())),
        meter: Meter::Own,
        load_tool: None,
        on_one_processor: false,
        figures: vec![
            Figure::new(&label("ms CPU of the server"), "cpu_ms", 0).must(Times(1.0, "libevent")),
            Figure::new(&label("ms wall"), "wall_ms", 0).must(Times(1.0, "libevent")),
            Figure::new(&label("MiB/s"), "mib_per_s", 0),
            Figure::new(&label("peak RSS of the server, MiB"), "peak_mib", 1),
        ],
    }]
}

fn idle(_quick: bool) -> Vec<Job> {
    let connections = 8000;
    let job = |mode, with: &str| {
        let label = |what, measure| {
            format!("bytes per connection of {connections}{with}, {what}, {measure}")
        };
        let figure = |what, measure, key| {
            Figure::new(&label(what, measure), key, 0).must(Times(1.0, "libevent"))
        };
        Job {
            title: format!("{connections} idle connections{with}"),
            mode,
            subject: "idle",
            numbers: Box::new(move |_| words(connections.to_string())),
            meter: Meter::Own,
            load_tool: None,
            on_one_processor: false,
            figures: vec![
                figure("never used", "RSS", "unused_rss"),
                figure("never used", "PSS", "unused_pss"),
                figure("one message echoed", "RSS", "used_rss"),
                figure("one message echoed", "PSS", "used_pss"),
            ],
        }
    };
    vec![job("idle", ""), job("idle-timeout", " with read time-outs")]
}
