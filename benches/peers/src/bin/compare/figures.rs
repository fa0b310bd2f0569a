//! What is measured, how much of it, and what ours must reach.

/// A named group of rows that can be asked for alone.
pub struct Table {
    pub name: &'static str,
    /// Printed as ns per event and ratios instead of one figure with a target.
    pub is_grid: bool,
    pub jobs: fn(quick: bool) -> Vec<Job>,
}

/// The workload and its arguments, given the contender's name and, where the meter varies them, the rounds.
pub type Args = Box<dyn Fn(&str, u64) -> Vec<String>>;

/// One workload that every contender runs, and the rows that come out of it.
pub struct Job {
    pub title: String,
    pub meter: Meter,
    pub args: Args,
    pub figures: Vec<Figure>,
}

pub enum Meter {
    /// The contender's own figures; repeated.
    Own,
    /// User instructions per unit by valgrind's callgrind.
    Instructions(Difference),
    /// System calls per unit by strace.
    SystemCalls(Difference),
}

impl Meter {
    /// The program that has to be installed.
    pub fn tool(&self) -> Option<&'static str> {
        match self {
            Self::Own => None,
            Self::Instructions(_) => Some("valgrind"),
            Self::SystemCalls(_) => Some("strace"),
        }
    }
}

/// Two runs that differ only in the number of rounds: the difference is free of start-up cost.
#[derive(Clone, Copy)]
pub struct Difference {
    pub few: u64,
    pub many: u64,
    pub units_per_round: u64,
}

#[derive(Clone)]
pub struct Figure {
    pub label: String,
    /// The contender's name for it (of no use to the other meters).
    pub key: &'static str,
    pub digits: usize,
    pub must: Vec<Bound>,
    pub goal: Option<Bound>,
}

#[derive(Clone, Copy)]
pub enum Bound {
    AtMost(f64),
    /// At most so many times what this contender needs in the same run.
    Times(f64, &'static str),
}

use Bound::{AtMost, Times};

pub const TABLES: &[Table] = &[
    Table { name: "instructions", is_grid: false, jobs: instructions },
    Table { name: "syscalls", is_grid: false, jobs: system_calls },
    Table { name: "timers", is_grid: false, jobs: timers },
    Table { name: "periodics", is_grid: false, jobs: periodics },
    Table { name: "watchers", is_grid: false, jobs: watchers },
    Table { name: "threads", is_grid: false, jobs: threads },
    Table { name: "busy", is_grid: false, jobs: busy },
    Table { name: "memory", is_grid: false, jobs: memory },
    Table { name: "signals", is_grid: false, jobs: signals },
    Table { name: "children", is_grid: false, jobs: children },
    Table { name: "stat", is_grid: false, jobs: stat },
    Table { name: "latency", is_grid: false, jobs: latency },
    Table { name: "pipes", is_grid: true, jobs: pipes },
];

impl Figure {
    pub fn new(label: &str, key: &'static str, digits: usize) -> Self {
        Self { label: label.to_owned(), key, digits, must: Vec::new(), goal: None }
    }

    pub fn must(mut self, bound: Bound) -> Self {
        self.must.push(bound);
        self
    }

    fn goal(mut self, bound: Bound) -> Self {
        self.goal = Some(bound);
        self
    }
}

pub fn words(text: String) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}

/// The classic pipe ring; a round is `writes` writes and as many events plus the tokens put in.
fn pipe_args(pairs: u64, active: u64, writes: u64, timeout: bool) -> Args {
    Box::new(move |contender, rounds| {
        // Re-arming a timer of calloop's searches all others: some ten microseconds an event.
        let slow = timeout && contender == "calloop" && pairs > 100;
        let writes = if slow { (writes / 20).max(active) } else { writes };
        let timeout = if timeout { " --timeout" } else { "" };
        words(format!("pipes {pairs} {active} {writes} {rounds}{timeout}"))
    })
}

fn instructions(quick: bool) -> Vec<Job> {
    let writes = if quick { 1000 } else { 5000 };
    let job = |label: &str, active: u64, timeout: bool, must: f64, goal: f64| {
        let difference = Difference { few: 1, many: 3, units_per_round: writes + active };
        Job {
            title: label.to_owned(),
            meter: Meter::Instructions(difference),
            // Not shortened for calloop: its units per round must be those of the others.
            args: Box::new(move |_, rounds| pipe_args(1000, active, writes, timeout)("", rounds)),
            figures: vec![Figure::new(label, "", 0).must(AtMost(must)).goal(AtMost(goal))],
        }
    };
    vec![
        job("user instructions per event, 1000 pairs, 100 active", 100, false, 178.0, 140.0),
        job("the same with a timeout re-armed per event", 100, true, 250.0, 180.0),
        job("user instructions per event, 1000 pairs, 1 active", 1, false, 448.0, 350.0),
    ]
}

fn system_calls(_quick: bool) -> Vec<Job> {
    let writes = 2000;
    let job = |label: &str, active: u64, timeout: bool| {
        let difference = Difference { few: 1, many: 3, units_per_round: writes + active };
        Job {
            title: label.to_owned(),
            meter: Meter::SystemCalls(difference),
            args: Box::new(move |_, rounds| pipe_args(1000, active, writes, timeout)("", rounds)),
            figures: vec![Figure::new(label, "", 2).must(Times(1.002, "floor"))],
        }
    };
    let toggled = 100;
    vec![
        job("system calls per event, 100 active", 100, false),
        job("system calls per event, 1 active", 1, false),
        job("system calls per event, 1 active, with a timeout re-armed", 1, true),
        Job {
            title: "system calls per stop and start between two waits".into(),
            meter: Meter::SystemCalls(Difference { few: 2, many: 12, units_per_round: toggled }),
            args: Box::new(move |_, rounds| words(format!("toggle {toggled} {rounds}"))),
            // The one wait per round is shared by all watchers.
            figures: vec![
                Figure::new("system calls per stop + start between two waits", "", 2)
                    .must(AtMost(0.0101)),
            ],
        },
    ]
}

fn own(title: &str, args: String, figures: Vec<Figure>) -> Job {
    Job {
        title: title.to_owned(),
        meter: Meter::Own,
        args: Box::new(move |_, _| words(args.clone())),
        figures,
    }
}

fn timers(quick: bool) -> Vec<Job> {
    let (count, agains) = if quick { (100_000, 1_000_000) } else { (1_000_000, 10_000_000) };
    let label = |what: &str| format!("{what}, ns CPU, {count} live");
    vec![own(
        "timers",
        format!("timers {count} {agains}"),
        vec![
            Figure::new(&label("start a timer"), "start_ns", 0).must(Times(1.0, "libev")),
            Figure::new(&label("fire"), "fire_ns", 0).must(Times(0.6, "libev")),
            Figure::new(&label("cancel at random"), "cancel_ns", 0).must(Times(1.0, "libev")),
            Figure::new(&label("random again"), "again_ns", 0).must(Times(0.8, "libev")),
        ],
    )]
}

fn periodics(quick: bool) -> Vec<Job> {
    let (live, rounds) = (100_000, if quick { 1 } else { 10 });
    let operations = [
        ("start", "timer_start_ns", "periodic_start_ns", "start_ratio"),
        ("stop at random", "timer_stop_ns", "periodic_stop_ns", "stop_ratio"),
        ("fire and repeat", "timer_repeat_ns", "periodic_repeat_ns", "repeat_ratio"),
        ("fire once", "timer_once_ns", "periodic_once_ns", "once_ratio"),
    ];
    let mut figures = Vec::new();
    for (what, timer, periodic, ratio) in operations {
        figures.extend([
            Figure::new(&format!("{what}: a timer, ns CPU, {live} live"), timer, 0),
            Figure::new(&format!("{what}: a periodic, ns CPU, {live} live"), periodic, 0),
            // Of one run of one program: what disturbs it disturbs both.
            Figure::new(&format!("{what}: periodic ÷ timer"), ratio, 2).must(AtMost(1.1)),
        ]);
    }
    vec![own("periodics beside timers", format!("periodics {live} {rounds}"), figures)]
}

fn watchers(quick: bool) -> Vec<Job> {
    let rounds = if quick { 50 } else { 300 };
    vec![
        own(
            "add and remove io watchers",
            format!("addremove 1000 {rounds}"),
            vec![
                Figure::new("add a known io watcher again, ns CPU", "add_ns", 0)
                    .must(Times(1.0, "libev")),
                Figure::new("remove it, ns CPU", "remove_ns", 0).must(Times(1.0, "libev")),
            ],
        ),
        own(
            "toggle io watchers",
            format!("toggle 1000 {rounds}"),
            vec![Figure::new("stop + start between two waits, ns CPU", "toggle_ns", 0)],
        ),
    ]
}

fn threads(quick: bool) -> Vec<Job> {
    let (trips, sends) = if quick { (10_000, 1_000_000) } else { (50_000, 10_000_000) };
    vec![
        own(
            "ping-pong between threads",
            format!("pingpong {trips}"),
            vec![
                Figure::new("ping-pong between threads, µs per round trip", "round_trip_us", 1)
                    .must(Times(1.1, "floor")),
            ],
        ),
        own(
            "coalesced sends",
            format!("coalesced {sends}"),
            vec![Figure::new("a coalesced send, ns CPU", "send_ns", 1).must(AtMost(15.0))],
        ),
    ]
}

fn busy(quick: bool) -> Vec<Job> {
    let turns = if quick { 200_000 } else { 2_000_000 };
    let figure = Figure::new("one turn of a busy loop, ns CPU", "turn_ns", 0).must(AtMost(200.0));
    vec![own("busy turns", format!("busy {turns}"), vec![figure])]
}

fn memory(_quick: bool) -> Vec<Job> {
    vec![own(
        "memory",
        "memory 1000000 9000".into(),
        vec![
            Figure::new("bytes per timer beside the closure, RSS at 10⁶", "timer_bytes", 0)
                .must(AtMost(110.0)),
            Figure::new("bytes per io watcher beside the closure, RSS at 9000", "io_bytes", 0)
                .must(AtMost(150.0)),
        ],
    )]
}

fn signals(quick: bool) -> Vec<Job> {
    let trips = if quick { 20_000 } else { 200_000 };
    let kills = 100_000;
    let from = |label: &str, key, digits| Figure::new(label, key, digits).must(Times(1.5, "libev"));
    vec![
        own(
            "signals",
            format!("signals {trips}"),
            vec![
                from("a signal to oneself, from callback to callback, ns", "itself_ns", 0),
                from("a signal from another process, asked for, µs", "another_us", 1),
            ],
        ),
        own(
            "a storm of signals",
            format!("storm {kills}"),
            vec![
                Figure::new(&format!("callbacks for {kills} signals in a row"), "callbacks", 0),
                Figure::new("one of these signals, ns CPU of the receiver", "kill_ns", 0),
            ],
        ),
    ]
}

fn children(quick: bool) -> Vec<Job> {
    let exits = if quick { 200 } else { 1000 };
    let mut figures: Vec<Figure> =
        [(10, "exit_10_us"), (100, "exit_100_us"), (1000, "exit_1000_us")]
            .map(|(live, key)| {
                Figure::new(&format!("exit of one of {live} watched children, µs CPU"), key, 1)
            })
            .into();
    figures.push(Figure::new("the same: of 1000 ÷ of 10", "growth", 2).must(AtMost(2.0)));
    vec![own("exits of children", format!("children {exits}"), figures)]
}

fn stat(quick: bool) -> Vec<Job> {
    let (files, writes) = (10_000, if quick { 50 } else { 500 });
    vec![own(
        "stat watchers",
        format!("stat {files} {writes}"),
        vec![
            Figure::new(
                &format!("{files} watched files at rest, % of a processor"),
                "rest_percent",
                2,
            )
            .must(AtMost(1.0)),
            Figure::new("inotify watches they take", "inotify_watches", 0).must(AtMost(1.0)),
            Figure::new("a write to one of them is told after, µs", "seen_us", 0),
        ],
    )]
}

fn latency(quick: bool) -> Vec<Job> {
    let count = if quick { 1000 } else { 5000 };
    let figure = Figure::new("a 100 µs timer fires after, µs", "fire_us", 1)
        .must(AtMost(170.0))
        .must(Times(1.1, "floor"));
    vec![own("a 100 µs timer", format!("timer100us {count}"), vec![figure])]
}

fn pipes(quick: bool) -> Vec<Job> {
    let (writes, rounds) = if quick { (10_000, 5) } else { (10_000, 20) };
    let mut jobs = Vec::new();
    for timeout in [false, true] {
        for pairs in [100, 1000, 5000] {
            for active in [1, 10, 100, 1000].into_iter().filter(|&active| active <= pairs) {
                let label =
                    format!("{pairs} / {active}{}", if timeout { " + timeout" } else { "" });
                let args = pipe_args(pairs, active, writes, timeout);
                // A CPU figure and a wall figure for every cell; `table::grid` reads them in this order.
                let cpu = Figure::new(&label, "cpu_ns", 0).must(Times(1.1, "libev"));
                let wall = Figure::new(&label, "wall_ns", 0);
                jobs.push(Job {
                    title: format!("pipes {label}"),
                    meter: Meter::Own,
                    args: Box::new(move |contender, _| args(contender, rounds)),
                    figures: vec![cpu, wall],
                });
            }
        }
    }
    jobs
}
