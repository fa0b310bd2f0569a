//! Markdown.

use crate::figures::Bound;
use crate::measure::Row;

const OURS: &str = "ours";
const LIBEV: &str = "libev";

/// One row per figure, one column per contender and per ratio, then what ours must reach and whether it does.
pub fn figures(contenders: &[&str], ratios: &[(&str, &str)], rows: &[Row]) -> String {
    let titles: Vec<String> = ratios.iter().map(|(of, to)| format!("{of} ÷ {to}")).collect();
    let last: Vec<&str> =
        titles.iter().map(String::as_str).chain(["ours must", "verdict"]).collect();
    let mut text = header("figure", contenders, &last);
    for row in rows {
        let digits = row.figure.digits;
        let cells = contenders.iter().map(|name| match row.median(name) {
            Some(median) => format!("{:.digits$}", rounded(median, digits)),
            None => "–".into(),
        });
        let ratios = ratios.iter().map(|(of, to)| {
            // Nothing is a multiple of nothing.
            let is_something = row.median(to).is_some_and(|median| rounded(median, digits) != 0.0);
            match row.ratio(of, to).filter(|_| is_something) {
                Some(ratio) => format!("{ratio:.2}"),
                None => "–".into(),
            }
        });
        let mut must: Vec<String> = row.figure.must.iter().map(describe).collect();
        must.extend(row.figure.goal.iter().map(|goal| format!("goal {}", describe(goal))));
        let tail = [must.join(", "), verdict(row)];
        let label = std::iter::once(row.figure.label.clone());
        text += &line(label.chain(cells).chain(ratios).chain(tail));
    }
    text
}

/// One row per cell of the pipe benchmark: CPU / wall ns per event, and the ratios of ours to libev.
pub fn grid(contenders: &[&str], rows: &[Row]) -> String {
    let mut text = header(
        "pairs / active, ns CPU / ns wall per event",
        contenders,
        &["ours ÷ libev, CPU / wall", "verdict"],
    );
    for pair in rows.chunks_exact(2) {
        let [cpu, wall] = pair else { unreachable!("chunks of two") };
        let cells = contenders.iter().map(|name| match (cpu.median(name), wall.median(name)) {
            (Some(cpu), Some(wall)) => format!("{cpu:.0} / {wall:.0}"),
            _ => "–".into(),
        });
        let ratios = match (cpu.ratio(OURS, LIBEV), wall.ratio(OURS, LIBEV)) {
            (Some(cpu), Some(wall)) => format!("{cpu:.2} / {wall:.2}"),
            _ => "–".into(),
        };
        text += &line(
            std::iter::once(cpu.figure.label.clone()).chain(cells).chain([ratios, verdict(cpu)]),
        );
    }
    text
}

/// As it is printed, and never a negative zero.
fn rounded(value: f64, digits: usize) -> f64 {
    let scale = 10_f64.powi(digits as i32);
    (value * scale).round() / scale + 0.0
}

fn header(first: &str, contenders: &[&str], last: &[&str]) -> String {
    let columns: Vec<&str> = [first].iter().chain(contenders).chain(last).copied().collect();
    let rule = columns.iter().map(|_| "---".to_owned());
    line(columns.iter().map(|&column| column.to_owned())) + &line(rule)
}

fn line(cells: impl Iterator<Item = String>) -> String {
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

fn describe(bound: &Bound) -> String {
    match *bound {
        Bound::AtMost(limit) => format!("≤ {limit}"),
        Bound::Times(1.0, peer) => format!("≤ {peer}"),
        Bound::Times(times, peer) => format!("≤ {times} × {peer}"),
    }
}

/// By how much a bound is missed (0.1: ten percent above), negative where it is kept; none where nobody can say.
fn excess(row: &Row, bound: &Bound) -> Option<f64> {
    match *bound {
        Bound::AtMost(limit) => Some(row.median(OURS)? / limit - 1.0),
        Bound::Times(times, peer) => Some(row.ratio(OURS, peer)? / times - 1.0),
    }
}

fn verdict(row: &Row) -> String {
    let excesses: Option<Vec<f64>> =
        row.figure.must.iter().map(|bound| excess(row, bound)).collect();
    match excesses.as_deref() {
        None | Some([]) => "–".into(),
        Some(excesses) => {
            let worst = excesses.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            if worst > 0.0 {
                return format!("**missed by {:.0} %**", (worst * 100.0).ceil());
            }
            match row.figure.goal.as_ref().and_then(|goal| excess(row, goal)) {
                Some(excess) if excess <= 0.0 => "goal met".into(),
                _ => "met".into(),
            }
        }
    }
}
