//! Running contenders, and reading what they, valgrind or strace say.

use std::collections::HashMap;
use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::contenders::Contender;
use crate::figures::{Difference, Figure, Job, Meter};

/// One row: per contender what each repetition gave; nobody's samples are missing, only whole contenders.
pub struct Row {
    pub figure: Figure,
    pub samples: HashMap<&'static str, Vec<f64>>,
}

impl Row {
    pub fn median(&self, contender: &str) -> Option<f64> {
        self.samples.get(contender).map(|samples| median(samples.clone()))
    }

    /// The median of the ratios within one repetition: what disturbed both at once cancels.
    pub fn ratio(&self, contender: &str, to: &str) -> Option<f64> {
        let (ours, theirs) = (self.samples.get(contender)?, self.samples.get(to)?);
        Some(median(ours.iter().zip(theirs).map(|(ours, theirs)| ours / theirs).collect()))
    }
}

fn median(mut samples: Vec<f64>) -> f64 {
    samples.sort_by(f64::total_cmp);
    let middle = samples.len() / 2;
    if samples.len() % 2 == 1 {
        samples[middle]
    } else {
        (samples[middle - 1] + samples[middle]) / 2.0
    }
}

/// Longer than any workload takes on a slow machine; a contender that hangs must not hang the comparison.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Runs one job through all contenders. A contender that fails ends the comparison; a missing tool only its rows.
pub fn measure(
    job: &Job,
    contenders: &[Contender],
    repeat: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<Row>, String> {
    let tool = job.meter.tool();
    if is_missing(tool, &job.title, notes) {
        return Ok(Vec::new());
    }
    // Counts hardly vary; times do.
    let repeat = if tool.is_some() { 1 } else { repeat };
    interleave(&job.title, &job.figures, contenders, repeat, |contender| match job.meter {
        Meter::Own => own_figures(job, contender),
        Meter::Instructions(difference) => difference_of(difference, |rounds| {
            let output = run(job, contender, rounds, CALLGRIND)?;
            Ok(output.is_supported.then_some(collected_instructions(&output.complaints)?))
        }),
        Meter::SystemCalls(difference) => difference_of(difference, |rounds| {
            let output = run(job, contender, rounds, STRACE)?;
            Ok(output.is_supported.then_some(counted_calls(&output.complaints)?))
        }),
    })
}

/// The tools, and how they are asked to speak of nothing but their counts.
pub const CALLGRIND: &[&str] = &[
    "valgrind",
    "--tool=callgrind",
    "--callgrind-out-file=/dev/null",
    // Also where a program takes the place of the one that was started.
    "--trace-children=yes",
];
pub const STRACE: &[&str] = &["strace", "-c", "-f"];

/// Lets all contenders run, one after the other, so many times. `values_of` gives one value per figure.
pub fn interleave(
    title: &str,
    figures: &[Figure],
    contenders: &[Contender],
    repeat: usize,
    mut values_of: impl FnMut(&Contender) -> Result<Values, String>,
) -> Result<Vec<Row>, String> {
    let mut rows: Vec<Row> = figures
        .iter()
        .map(|figure| Row { figure: figure.clone(), samples: HashMap::new() })
        .collect();
    for repetition in 0..repeat {
        eprintln!("compare: {title} ({}/{repeat})", repetition + 1);
        for turn in 0..contenders.len() {
            // Each repetition begins with another one, so that nobody always runs behind the same neighbour.
            let contender = &contenders[(turn + repetition) % contenders.len()];
            for (row, value) in rows.iter_mut().zip(values_of(contender)?) {
                if let Some(value) = value {
                    row.samples.entry(contender.name).or_default().push(value);
                }
            }
        }
    }
    Ok(rows)
}

/// Whether a tool is needed and not there, which leaves a job out.
pub fn is_missing(tool: Option<&str>, title: &str, notes: &mut Vec<String>) -> bool {
    let Some(tool) = tool.filter(|tool| !is_installed(tool)) else { return false };
    notes.push(format!("no figure for \"{title}\": {tool} is not installed"));
    eprintln!("compare: {tool} is not installed, leaving out \"{title}\"");
    true
}

fn is_installed(tool: &str) -> bool {
    let mut command = Command::new(tool);
    // Whatever it thinks of being asked: wrk calls this wrong usage.
    command.arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

/// One value per figure of the job; none where the contender has nothing of the kind.
pub type Values = Vec<Option<f64>>;

fn own_figures(job: &Job, contender: &Contender) -> Result<Values, String> {
    let output = run(job, contender, 0, &[])?;
    let values: Values =
        job.figures.iter().map(|figure| output.figures.get(figure.key).copied()).collect();
    if output.is_supported && values.iter().all(Option::is_none) {
        return Err(format!("{} printed no figure for \"{}\"", contender.name, job.title));
    }
    Ok(values)
}

fn difference_of(
    difference: Difference,
    count: impl Fn(u64) -> Result<Option<f64>, String>,
) -> Result<Values, String> {
    let Difference { few, many, units_per_round } = difference;
    let (Some(least), Some(most)) = (count(few)?, count(many)?) else {
        return Ok(vec![None]);
    };
    Ok(vec![Some((most - least) / ((many - few) * units_per_round) as f64)])
}

struct Output {
    figures: HashMap<String, f64>,
    is_supported: bool,
    /// Standard error; the tools speak there.
    complaints: String,
}

fn run(job: &Job, contender: &Contender, rounds: u64, tool: &[&str]) -> Result<Output, String> {
    let args = (job.args)(contender.name, rounds);
    let mut command = match tool.split_first() {
        None => Command::new(&contender.program),
        Some((tool, tool_args)) => {
            let mut command = Command::new(tool);
            command.args(tool_args).arg(&contender.program);
            command
        }
    };
    command.args(&contender.prefix).args(&args);
    // A group of its own, so that a tool and what it runs can be ended together.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let failed =
        |what: String| format!("{} failed at `{}`: {what}", contender.name, args.join(" "));

    let mut child = command.spawn().map_err(|error| failed(error.to_string()))?;
    let deadline = Instant::now() + PATIENCE;
    // All that is said here fits a pipe, so it can be read afterwards.
    let status = loop {
        if let Some(status) = child.try_wait().map_err(|error| failed(error.to_string()))? {
            break status;
        }
        if Instant::now() > deadline {
            // SAFETY: kill has no memory preconditions; the group is the one made above and its leader not yet reaped.
            unsafe { libc::kill(-(child.id() as i32), libc::SIGKILL) };
            let _ = child.wait();
            return Err(failed(format!("still running after {PATIENCE:?}")));
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    let (mut said, mut complaints) = (String::new(), String::new());
    let read = child
        .stdout
        .take()
        .map(|mut pipe| pipe.read_to_string(&mut said))
        .is_some_and(|read| read.is_ok())
        && child
            .stderr
            .take()
            .map(|mut pipe| pipe.read_to_string(&mut complaints))
            .is_some_and(|read| read.is_ok());
    if !status.success() || !read {
        return Err(failed(format!("{status}\n{complaints}")));
    }
    let figures = parse_figures(&said)
        .ok_or_else(|| failed(format!("printed something that is no figure:\n{said}")))?;
    Ok(Output { is_supported: !figures.contains_key("unsupported"), figures, complaints })
}

/// Lines of `key=value`, and nothing else.
pub fn parse_figures(said: &str) -> Option<HashMap<String, f64>> {
    said.lines()
        .map(|line| {
            let (key, value) = line.split_once('=')?;
            Some((key.to_owned(), value.parse().ok().filter(|value: &f64| value.is_finite())?))
        })
        .collect()
}

/// callgrind ends with `==PID== Collected : N`.
pub fn collected_instructions(complaints: &str) -> Result<f64, String> {
    let line = complaints.lines().rev().find_map(|line| line.split_once("Collected :"));
    let number = line.and_then(|(_, number)| number.trim().parse().ok());
    number.ok_or_else(|| format!("callgrind collected nothing:\n{complaints}"))
}

/// strace's table ends with a line `100.00 SECONDS USECS CALLS [ERRORS] total`.
fn counted_calls(complaints: &str) -> Result<f64, String> {
    let line = complaints.lines().rev().find(|line| line.trim_end().ends_with(" total"));
    let number =
        line.and_then(|line| line.split_whitespace().nth(3)).and_then(|number| number.parse().ok());
    number.ok_or_else(|| format!("strace counted nothing:\n{complaints}"))
}
