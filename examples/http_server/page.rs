//! The dashboard: a page that is complete without scripts, and what its script is sent to keep it up to date.
//!
//! All figures are made into text here, so that the page and its events cannot differ.

use std::fmt::Write as _;
use std::hash::{BuildHasher, RandomState};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use evloop::EvLoop;
use evloop::http::{CompletionReason, Connection, Request, ServerStats};

use crate::meter::{Desk, LISTED, Row, SECONDS, Sample};
use crate::routes::{Setup, quote};

const DASHBOARD: &str = include_str!("dashboard.html");

/// What the charts' full height stands for at least.
const RATE: u64 = 10;
const LATENCY: u64 = 100;
const LAG: u64 = 1000;

/// Everything that is shown at a moment.
pub struct View {
    /// By the names of their places in the page.
    text: Vec<(String, String)>,
    rows: Vec<Shown>,
}

/// A row of the table: whether it is the reader's own, and its cells.
struct Shown {
    is_own: bool,
    cells: [String; 6],
}

impl View {
    /// `own` is the connection of who is shown it, one of this thread's.
    pub fn new(ev: &EvLoop, stats: &ServerStats, desk: &Desk, own: Connection) -> Self {
        let (samples, _) = desk.meter.samples(0);
        let last = samples.last().copied().unwrap_or_default();
        // The last figures there are: a second without requests has none.
        let timed = samples.iter().rev().find(|sample| sample.half.is_some());
        let (mut rows, websockets) = desk.meter.connections();
        let open = stats.connections + websockets;
        rows.extend(desk.meter.row(ev, own));
        let rows = shown(rows, own.id());
        let hidden = open.saturating_sub(rows.len());
        let highest = |of: fn(&Sample) -> Option<u64>| samples.iter().filter_map(of).max();
        let lag = last.lag.unwrap_or_else(|| since_wake_up(ev));
        let text = [
            ("open", number(open as u64)),
            ("accepted", number(stats.accepted)),
            ("requests", number(stats.requests)),
            ("bytes_in", bytes(stats.bytes_in)),
            ("bytes_out", bytes(stats.bytes_out)),
            ("uptime", age(desk.meter.uptime())),
            ("iterations", number(ev.iteration())),
            ("rate", format!("{} /s", number(last.rate))),
            ("p50", took(timed.and_then(|sample| sample.half))),
            ("p99", took(timed.and_then(|sample| sample.most))),
            ("lag", took(Some(lag))),
            ("rate_high", format!("highest {} /s", number(highest(|s| Some(s.rate)).unwrap_or(0)))),
            ("latency_high", format!("highest {}", took(highest(|s| s.most)))),
            ("lag_high", format!("highest {}", took(highest(|s| s.lag).max(Some(lag))))),
            (
                "more",
                if hidden == 0 {
                    String::new()
                } else {
                    format!("and {} more", number(hidden as u64))
                },
            ),
        ];
        let mut text: Vec<_> = text.map(|(name, text)| (name.to_owned(), text)).into();
        for reason in CompletionReason::ALL {
            text.push((format!("end-{reason}"), number(stats.completed(reason))));
        }
        Self { text, rows }
    }

    /// As an event: `text` by place, the rows of the table, the samples that are new.
    pub fn json(&self, samples: &[Sample], is_all: bool) -> String {
        let mut out = String::from(r#"{"text":{"#);
        for (index, (name, text)) in self.text.iter().enumerate() {
            out.push_str(if index == 0 { "" } else { "," });
            quote(&mut out, name);
            out.push(':');
            quote(&mut out, text);
        }
        out.push_str(r#"},"rows":["#);
        for (index, row) in self.rows.iter().enumerate() {
            let comma = if index == 0 { "" } else { "," };
            let _ = write!(out, r#"{comma}{{"mine":{},"cells":["#, row.is_own);
            for (index, cell) in row.cells.iter().enumerate() {
                out.push_str(if index == 0 { "" } else { "," });
                quote(&mut out, cell);
            }
            out.push_str("]}");
        }
        let _ = write!(out, r#"],"all":{is_all},"samples":{}}}"#, array(samples));
        out
    }

    /// As a page. `nonce` is what its own script and style are known by, `origin` where it has come from.
    pub fn html(&self, setup: &Setup, desk: &Desk, nonce: &str, origin: &str) -> String {
        let (samples, next) = desk.meter.samples(0);
        let mut page = String::with_capacity(DASHBOARD.len() + 8192);
        let mut rest = DASHBOARD;
        // What stands between double braces is replaced.
        while let Some((before, (name, after))) =
            rest.split_once("{{").and_then(|(before, rest)| Some((before, rest.split_once("}}")?)))
        {
            page.push_str(before);
            rest = after;
            match name {
                "nonce" => page.push_str(nonce),
                "origin" => escape(&mut page, origin),
                "clock" => page.push_str(&clock()),
                "next" => page.push_str(&next.to_string()),
                "loops" if setup.threads == 1 => page.push_str("one event loop"),
                "loops" => {
                    let _ = write!(page, "{} event loops, one in each thread", setup.threads);
                }
                "samples" => page.push_str(&array(&samples)),
                "rate_path" => bars(&mut page, &samples, RATE, |s| s.rate, |s| s.rate),
                "rate_scale" => {
                    let full = full(&samples, RATE, |s| s.rate);
                    let _ = write!(page, "{} /s", number(full));
                }
                "latency_scale" => page.push_str(&round(full(&samples, LATENCY, most))),
                "lag_scale" => page.push_str(&round(full(&samples, LAG, lag))),
                "p50_path" => bars(&mut page, &samples, LATENCY, |s| s.half.unwrap_or(0), most),
                "p99_path" => bars(&mut page, &samples, LATENCY, most, most),
                "lag_path" => bars(&mut page, &samples, LAG, lag, lag),
                "rows" => self.rows.iter().for_each(|row| row.html(&mut page)),
                "ends" => self.ends(&mut page),
                _ => match self.text.iter().find(|(known, _)| known == name) {
                    Some((_, text)) => escape(&mut page, text),
                    None => page.push_str(setup.note(name)),
                },
            }
        }
        page.push_str(rest);
        page
    }

    fn ends(&self, page: &mut String) {
        for (name, text) in &self.text {
            if let Some(reason) = name.strip_prefix("end-") {
                let reason = reason.replace('-', " ");
                let _ = writeln!(
                    page,
                    r#"      <div><dt>ended: {reason}</dt><dd class="figure" id="{name}">{text}</dd></div>"#
                );
            }
        }
    }
}

fn most(sample: &Sample) -> u64 {
    sample.most.unwrap_or(0)
}

fn lag(sample: &Sample) -> u64 {
    sample.lag.unwrap_or(0)
}

/// In microseconds: what there is to say of the lag before it was measured.
fn since_wake_up(ev: &EvLoop) -> u64 {
    let busy = Instant::now().saturating_duration_since(ev.now());
    u64::try_from(busy.as_micros()).unwrap_or(u64::MAX)
}

/// The reader's own connection, and the oldest others.
fn shown(mut rows: Vec<Row>, own: u64) -> Vec<Shown> {
    rows.sort_by_key(|row| (row.id != own, row.id));
    rows.dedup_by_key(|row| row.id);
    rows.truncate(LISTED);
    let shown = |row: Row| Shown { is_own: row.id == own, cells: cells(row) };
    rows.into_iter().map(shown).collect()
}

fn cells(row: Row) -> [String; 6] {
    [
        row.peer,
        roughly(row.opened.elapsed()),
        row.requests.map_or_else(|| "–".to_owned(), |requests| number(requests.into())),
        bytes(row.bytes_in),
        bytes(row.bytes_out),
        row.last,
    ]
}

impl Shown {
    fn html(&self, page: &mut String) {
        let class = if self.is_own { " class=\"mine\"" } else { "" };
        let _ = write!(page, "        <tr{class}>");
        for (index, cell) in self.cells.iter().enumerate() {
            page.push_str(match index {
                0 => "<th scope=\"row\" title=\"",
                1 => "<td class=\"age\" title=\"",
                2..=4 => "<td class=\"wide\" title=\"",
                _ => "<td title=\"",
            });
            escape(page, cell);
            page.push_str("\">");
            escape(page, cell);
            page.push_str(if index == 0 { "</th>" } else { "</td>" });
        }
        page.push_str("</tr>\n");
    }
}

/// The bars of a chart, as the script draws them: 5 units for a second, and 100 for the full height.
fn bars(
    page: &mut String,
    samples: &[Sample],
    least: u64,
    of: fn(&Sample) -> u64,
    top: fn(&Sample) -> u64,
) {
    let full = full(samples, least, top) as f64;
    for (index, sample) in samples.iter().enumerate() {
        let value = of(sample);
        if value > 0 {
            let x = 5 * (SECONDS - samples.len() + index);
            let height = (value as f64 * 100.0 / full).max(1.0);
            let _ = write!(page, "M{x}.5 100v-{height:.1}h4v{height:.1}z");
        }
    }
}

/// What the full height of a chart stands for, of 1, 2, 5, 10, 20 …: the first that is not less than any.
fn full(samples: &[Sample], least: u64, top: fn(&Sample) -> u64) -> u64 {
    let value = samples.iter().map(top).max().unwrap_or(0).max(least);
    let mut unit: u64 = 1;
    while unit.saturating_mul(10) < value {
        unit = unit.saturating_mul(10);
    }
    let steps = [1, 2, 5, 10].map(|step| unit.saturating_mul(step));
    steps.into_iter().find(|&step| step >= value).unwrap_or(u64::MAX)
}

fn array(samples: &[Sample]) -> String {
    let mut out = String::from("[");
    for (index, sample) in samples.iter().enumerate() {
        let or_null =
            |value: Option<u64>| value.map_or_else(|| "null".to_owned(), |n| n.to_string());
        let (half, most) = (or_null(sample.half), or_null(sample.most));
        let (lag, comma) = (or_null(sample.lag), if index == 0 { "" } else { "," });
        let _ = write!(out, "{comma}[{},{half},{most},{lag}]", sample.rate);
    }
    out.push(']');
    out
}

// --- figures as text ----------------------------------------------------------------------------

/// `12 345`, with narrow spaces that do not break; from a thousand million on, `1.23 bn`.
fn number(value: u64) -> String {
    if value >= 1_000_000_000 {
        return format!("{} bn", three_digits(value as f64 / 1e9));
    }
    let digits = value.to_string();
    let mut out = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index) % 3 == 0 {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    out
}

fn bytes(value: u64) -> String {
    if value < 1000 {
        return format!("{value} B");
    }
    let mut scaled = value as f64 / 1000.0;
    let mut units = ["kB", "MB", "GB", "TB"].into_iter();
    let mut unit = units.next().unwrap_or_default();
    while scaled >= 999.5 {
        let Some(next) = units.next() else { break };
        (scaled, unit) = (scaled / 1000.0, next);
    }
    format!("{} {unit}", three_digits(scaled))
}

/// Of microseconds.
fn took(value: Option<u64>) -> String {
    match value {
        None => "–".to_owned(),
        Some(value @ ..1000) => format!("{value} µs"),
        Some(value @ ..1_000_000) => format!("{} ms", three_digits(value as f64 / 1e3)),
        Some(value) => format!("{} s", three_digits(value as f64 / 1e6)),
    }
}

/// A round one.
fn round(value: u64) -> String {
    took(Some(value)).replace(".00 ", " ").replace(".0 ", " ")
}

fn three_digits(value: f64) -> String {
    let decimals = if value < 9.995 { 2 } else { usize::from(value < 99.95) };
    format!("{value:.decimals$}")
}

fn age(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min {:02} s", seconds % 60),
        3600..86_400 => format!("{hours} h {:02} min", minutes % 60),
        _ => format!("{days} d {:02} h", hours % 24),
    }
}

/// In the one unit that there is room for in a table.
fn roughly(age: Duration) -> String {
    match age.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds @ 60..3600 => format!("{} min", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h", seconds / 3600),
        seconds => format!("{} d", seconds / 86_400),
    }
}

fn clock() -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    format!("{:02}:{:02}:{:02} UTC", now / 3600 % 24, now / 60 % 60, now % 60)
}

/// Text in HTML.
fn escape(out: &mut String, text: &str) {
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
}

/// Where the page was asked for, for examples of commands.
pub fn origin(setup: &Setup, request: &Request) -> String {
    let scheme = if setup.has_tls { "https" } else { "http" };
    format!("{scheme}://{}", request.host().unwrap_or("localhost"))
}

/// What nobody can guess: the standard library's hashes have random keys.
pub fn nonce() -> String {
    let part = || RandomState::new().hash_one(Instant::now());
    format!("{:016x}{:016x}", part(), part())
}
