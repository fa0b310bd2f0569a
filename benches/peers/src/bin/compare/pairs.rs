//! A server and its load: two processes, a processor each, of which none outlives its measurement.

use std::ffi::OsString;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};
use std::{io, mem, thread};

use crate::connections::Job;
use crate::contenders::{Contender, Servers};
use crate::figures::{Difference, Meter};
use crate::measure::{
    self, CALLGRIND, PATIENCE, Row, STRACE, Values, collected_instructions, parse_figures,
};

/// How long a server may take to listen, and to end when it is told to.
const A_MOMENT: Duration = Duration::from_secs(60);

/// Puts one load on all servers. One that fails ends the comparison; a missing tool costs only its rows.
pub fn measure(
    job: &Job,
    servers: &Servers,
    repeat: usize,
    notes: &mut Vec<String>,
) -> Result<Vec<Row>, String> {
    let tool = job.meter.tool();
    if [tool, job.load_tool].into_iter().any(|tool| measure::is_missing(tool, &job.title, notes)) {
        return Ok(Vec::new());
    }
    // Counts hardly vary; times do.
    let repeat = if tool.is_some() { 1 } else { repeat };
    measure::interleave(&job.title, &job.figures, &servers.contenders, repeat, |contender| {
        let mut run = |messages, tool| -> Result<Option<Measured>, String> {
            let why = match run(job, contender, servers, messages, tool)? {
                Outcome::Measured(measured) => return Ok(Some(measured)),
                Outcome::Unsupported { why } => why,
            };
            let note = format!("{} left out: {}", contender.name, why);
            if !why.is_empty() && !notes.contains(&note) {
                notes.push(note);
            }
            Ok(None)
        };
        match job.meter {
            Meter::Own => {
                let Some(measured) = run(0, &[])? else { return Ok(Vec::new()) };
                let figures = parse_figures(&measured.said)
                    .ok_or_else(|| format!("the load printed no figures:\n{}", measured.said))?;
                job.figures
                    .iter()
                    .map(|figure| match figures.get(figure.key) {
                        Some(&value) => Ok(Some(value)),
                        None => Err(format!("the load printed no {}", figure.key)),
                    })
                    .collect()
            }
            Meter::Instructions(difference) => difference_of(difference, |messages| {
                let Some(measured) = run(messages, CALLGRIND)? else { return Ok(None) };
                Ok(Some(vec![collected_instructions(&measured.complaints)?]))
            }),
            Meter::SystemCalls(difference) => difference_of(difference, |messages| {
                let Some(measured) = run(messages, STRACE)? else { return Ok(None) };
                let calls = Calls::parse(&measured.complaints)?;
                Ok(Some(job.figures.iter().map(|figure| calls.of(figure.key)).collect()))
            }),
        }
    })
}

fn difference_of(
    difference: Difference,
    mut count: impl FnMut(u64) -> Result<Option<Vec<f64>>, String>,
) -> Result<Values, String> {
    let Difference { few, many, units_per_round } = difference;
    let Some(least) = count(few)? else { return Ok(Vec::new()) };
    let Some(most) = count(many)? else { return Ok(Vec::new()) };
    let units = ((many - few) * units_per_round) as f64;
    Ok(most.iter().zip(least).map(|(most, least)| Some((most - least) / units)).collect())
}

/// What strace has counted, by what it is for.
#[derive(Default)]
struct Calls {
    receive: f64,
    send: f64,
    wait: f64,
    others: f64,
}

impl Calls {
    /// strace's table: `100.00 SECONDS USECS CALLS [ERRORS] NAME` between two rules, the total behind them.
    fn parse(complaints: &str) -> Result<Self, String> {
        let mut calls = Self::default();
        let rows = complaints.lines().skip_while(|line| !line.starts_with("------")).skip(1);
        for row in rows.take_while(|line| !line.starts_with("------")) {
            let words: Vec<&str> = row.split_whitespace().collect();
            let count = words.get(3).and_then(|word| word.parse::<f64>().ok());
            let (Some(&name), Some(count)) = (words.last(), count) else {
                return Err(format!("strace's table is not understood:\n{complaints}"));
            };
            *calls.kind(name) += count;
        }
        if calls.of("all") > 0.0 {
            Ok(calls)
        } else {
            Err(format!("strace counted nothing:\n{complaints}"))
        }
    }

    fn kind(&mut self, name: &str) -> &mut f64 {
        match name {
            "read" | "readv" | "recvfrom" | "recvmsg" | "recvmmsg" => &mut self.receive,
            "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg" => &mut self.send,
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => &mut self.wait,
            _ => &mut self.others,
        }
    }

    fn of(&self, key: &str) -> f64 {
        match key {
            "receive" => self.receive,
            "send" => self.send,
            "wait" => self.wait,
            "others" => self.others,
            _ => self.receive + self.send + self.wait + self.others,
        }
    }
}

enum Outcome {
    Measured(Measured),
    /// The contender has nothing of the kind.
    Unsupported {
        why: String,
    },
}

struct Measured {
    /// By the load, on standard output.
    said: String,
    /// By the server, on standard error; the tools speak there.
    complaints: String,
}

fn run(
    job: &Job,
    contender: &Contender,
    servers: &Servers,
    messages: u64,
    tool: &[&str],
) -> Result<Outcome, String> {
    let failed = |what: String| format!("{} failed at \"{}\": {what}", contender.name, job.title);
    let mut line: Vec<OsString> = tool.iter().map(OsString::from).collect();
    line.push(contender.program.clone().into());
    line.extend(contender.prefix.clone());
    line.push(job.mode.into());
    let mut server = Running::start(&line, 0).map_err(failed)?;
    let address = match server.address().map_err(failed)? {
        Answer::At(address) => address,
        Answer::Unsupported { why } => return Ok(Outcome::Unsupported { why }),
    };

    let mut line: Vec<OsString> = vec![servers.load.clone().into(), job.subject.into()];
    line.extend([address.port.to_string(), address.pid.to_string()].map(OsString::from));
    line.extend((job.numbers)(messages).into_iter().map(OsString::from));
    let side = usize::from(!job.on_one_processor);
    let mut load = Running::start(&line, side).map_err(failed)?;
    let mut said = load.stdout()?;
    let (status, complaints) = load.wait(PATIENCE).map_err(failed)?;
    if !status.success() {
        // The server's own words explain it better, if it has come to an end.
        let server = match server.ended().map_err(failed)? {
            Some((status, complaints)) => format!("\nthe server: {status}\n{complaints}"),
            None => String::new(),
        };
        return Err(failed(format!("{status}\n{complaints}{server}")));
    }
    let mut figures = String::new();
    said.read_to_string(&mut figures).map_err(|error| failed(error.to_string()))?;

    // The server itself, so that what watches it lives on to say what it saw.
    // SAFETY: kill has no memory preconditions; the process is one of ours that has not ended.
    unsafe { libc::kill(address.pid, libc::SIGTERM) };
    let (status, complaints) = server.wait(A_MOMENT).map_err(failed)?;
    if status.success() {
        Ok(Outcome::Measured(Measured { said: figures, complaints }))
    } else {
        Err(failed(format!("the server: {status}\n{complaints}")))
    }
}

/// A child, in a group of its own with whatever it starts; all of it ends with this value, or with this process.
struct Running {
    child: Child,
    is_over: bool,
}

/// What a server says first.
enum Answer {
    At(Address),
    Unsupported { why: String },
}

struct Address {
    port: u16,
    /// Of the server itself; the child may be a tool that has started it.
    pid: libc::pid_t,
}

impl Running {
    fn start(line: &[OsString], side: usize) -> Result<Self, String> {
        let [program, args @ ..] = line else { return Err("nothing to start".into()) };
        let only = processor_of(side);
        let mut command = Command::new(program);
        command.args(args).process_group(0);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let before_exec = move || {
            // SAFETY: neither call has memory preconditions beyond the set, which is as large as is said.
            let done = unsafe {
                let signal = libc::SIGKILL as libc::c_ulong;
                libc::prctl(libc::PR_SET_PDEATHSIG, signal) == 0
                    && only.is_none_or(|only| {
                        libc::sched_setaffinity(0, size_of_val(&only), &only) == 0
                    })
            };
            if done { Ok(()) } else { Err(io::Error::last_os_error()) }
        };
        // SAFETY: it only makes system calls, which is allowed between fork and exec.
        unsafe { command.pre_exec(before_exec) };
        let child = command.spawn().map_err(|error| format!("{program:?}: {error}"))?;
        Ok(Self { child, is_over: false })
    }

    fn stdout(&mut self) -> Result<impl Read + Send + use<>, String> {
        self.child.stdout.take().ok_or_else(|| "no standard output".to_owned())
    }

    fn address(&mut self) -> Result<Answer, String> {
        let lines = BufReader::new(self.stdout()?).lines();
        let (sender, receiver) = mpsc::channel();
        // It ends with the server, whose output it reads.
        thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        let deadline = Instant::now() + A_MOMENT;
        let (mut pid, mut port) = (None, None);
        loop {
            let rest = deadline.saturating_duration_since(Instant::now());
            let line = match receiver.recv_timeout(rest) {
                Ok(line) => line,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    return Err(format!("does not listen after {A_MOMENT:?}"));
                }
                Err(mpsc::RecvTimeoutError::Disconnected) => {
                    let (status, complaints) = self.wait(A_MOMENT)?;
                    return Err(format!("{status} before it listened\n{complaints}"));
                }
            };
            match line.split_once('=') {
                Some(("unsupported", why)) => {
                    return Ok(Answer::Unsupported { why: why.to_owned() });
                }
                // Zero and below are whole groups to `kill`, and 1 is nobody's server.
                Some(("pid", text)) => pid = text.parse().ok().filter(|&pid| pid > 1),
                Some(("port", text)) => port = text.parse().ok(),
                _ => return Err(format!("said {line:?} instead of where it listens")),
            }
            if let (Some(pid), Some(port)) = (pid, port) {
                return Ok(Answer::At(Address { pid, port }));
            }
        }
    }

    /// How it has ended, and what it wrote to standard error, which fits a pipe; none while it runs.
    fn ended(&mut self) -> Result<Option<(ExitStatus, String)>, String> {
        let Some(status) = self.child.try_wait().map_err(|error| error.to_string())? else {
            return Ok(None);
        };
        self.is_over = true;
        let mut complaints = String::new();
        if let Some(mut stderr) = self.child.stderr.take() {
            stderr.read_to_string(&mut complaints).map_err(|error| error.to_string())?;
        }
        Ok(Some((status, complaints)))
    }

    fn wait(&mut self, patience: Duration) -> Result<(ExitStatus, String), String> {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(ended) = self.ended()? {
                return Ok(ended);
            }
            if Instant::now() > deadline {
                return Err(format!("still running after {patience:?}"));
            }
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            // SAFETY: kill has no memory preconditions; the group is the child's, which is not yet reaped.
            unsafe { libc::kill(-(self.child.id() as libc::pid_t), libc::SIGKILL) };
            let _ = self.child.wait();
        }
    }
}

/// The processor of side 0 or 1; none where there is but one.
fn processor_of(side: usize) -> Option<libc::cpu_set_t> {
    // SAFETY: a set of all zeros is a valid, empty set; the call gets its true size, 0 is the calling thread.
    unsafe {
        let mut allowed: libc::cpu_set_t = mem::zeroed();
        if libc::sched_getaffinity(0, size_of_val(&allowed), &mut allowed) != 0 {
            return None;
        }
        let mut processors =
            (0..libc::CPU_SETSIZE as usize).filter(|&number| libc::CPU_ISSET(number, &allowed));
        let sides = [processors.next()?, processors.next()?];
        let mut only: libc::cpu_set_t = mem::zeroed();
        libc::CPU_SET(sides[side], &mut only);
        Some(only)
    }
}
