//! What all programs that put a load on a server do alike. Included by `load`, `load-http` and `load-ws`.

use std::io;
use std::process::ExitCode;

use crate::epoll;
use crate::server::Server;

/// What a program measures: of a subject, its numbers and the server; nothing if it knows no such subject.
pub type Measure = fn(&str, &[u64], &Server) -> Option<io::Result<()>>;

/// The program: `NAME SUBJECT PORT PID NUMBERS…`, of which no number is 0.
pub fn run(name: &str, usage: &str, measure: Measure) -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(measured) = read(&args, measure) else {
        eprintln!("{usage}");
        return ExitCode::from(2);
    };
    match measured {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name} {}: {error}", args.join(" "));
            ExitCode::FAILURE
        }
    }
}

fn read(args: &[String], measure: Measure) -> Option<io::Result<()>> {
    let (subject, numbers) = args.split_first()?;
    let numbers: Vec<u64> =
        numbers.iter().map(|text| text.parse()).collect::<Result<_, _>>().ok()?;
    if numbers.contains(&0) {
        return None;
    }
    let (&[port, pid], numbers) = numbers.split_first_chunk::<2>()?;
    let server = Server { port: port.try_into().ok()?, pid: pid.try_into().ok()? };
    match epoll::end_with_parent().and_then(|()| epoll::raise_fd_limit()) {
        Ok(()) => measure(subject, numbers, &server),
        Err(error) => Some(Err(error)),
    }
}

pub fn report(key: &str, value: f64) {
    println!("{key}={value:.3}");
}

/// The server did something that no such server may.
pub fn wrong(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, what)
}
