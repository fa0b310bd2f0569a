//! TLS: whatever comes over an encrypted connection goes back over it.
//!
//! `tls_echo [--listen ADDR] --tls-cert F --tls-key F`, by default 127.0.0.1:8084. A certificate to try it with:
//!
//! ```sh
//! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
//!     -addext subjectAltName=DNS:localhost -keyout key.pem -out cert.pem
//! openssl s_client -quiet -connect localhost:8084 -CAfile cert.pem -verify_return_error
//! ```
//!
//! `SIGHUP` has it read both files again, for the connections that come then.

use std::error::Error;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use evloop::net::{Address, Direction, Stream, StreamEvent, TlsIdentity, TlsInfo, TlsServer};
use evloop::{Break, ErrorKind, EvLoop};
use libc::{SIGHUP, SIGINT, SIGTERM};

const USAGE: &str = "usage: tls_echo [--listen ADDR] --tls-cert F --tls-key F";

/// How much of what has come may wait for room in the output.
const MOST_WAITING: usize = 256 * 1024;

/// How long a peer may send nothing, or read nothing of what waits for it.
const IDLE: Duration = Duration::from_secs(300);

struct Options {
    address: Address,
    certificates: String,
    key: String,
}

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let options = match arguments() {
        Ok(options) => options,
        Err(wrong) => return refuse(&format!("{wrong}; {USAGE}")),
    };
    let tls = match identity(&options) {
        Ok(identity) => TlsServer::builder(identity).build()?,
        Err(wrong) => return refuse(&wrong),
    };
    let mut ev = EvLoop::new()?;
    for signum in [SIGINT, SIGTERM] {
        ev.signal(signum, |ev, _| ev.break_loop(Break::All)).start(&mut ev)?;
    }

    let address = options.address.clone();
    let for_new = tls.clone();
    let opened = ev.listen(address.clone(), move |ev, accepted| {
        // What comes of it is told to `echo`.
        accepted.serve_tls(ev, &for_new, echo);
    });
    let listener = match opened {
        Ok(listener) => listener,
        Err(error) if error.kind() == ErrorKind::InvalidInput => {
            return refuse(&format!("{address}: {error:#}"));
        }
        Err(error) => {
            note(&format!("{address}: {error:#}"));
            return Ok(ExitCode::FAILURE);
        }
    };
    // Every clone shows the new certificate.
    let reload = ev.signal(SIGHUP, move |_, _| match identity(&options) {
        Ok(identity) => {
            tls.set_identity(identity);
            note("the certificate was read again");
        }
        Err(wrong) => note(&format!("the certificate stays as it is: {wrong}")),
    });
    reload.start(&mut ev)?;

    // Not `println!`, which panics when nobody reads standard output any more.
    for here in listener.addresses(&ev) {
        writeln!(io::stdout(), "listening on {here}")?;
    }
    note("sends everything back; SIGHUP reads the certificate again, Ctrl-C ends it");
    ev.run()?;
    Ok(ExitCode::SUCCESS)
}

fn echo(ev: &mut EvLoop, stream: Stream, event: StreamEvent) {
    match event {
        StreamEvent::Opened => {
            stream.set_read_marks(ev, 0, Some(MOST_WAITING));
            stream.set_read_timeout(ev, Some(IDLE));
            stream.set_write_timeout(ev, Some(IDLE));
        }
        StreamEvent::Handshaked => {
            if let Some(info) = stream.filter_info::<TlsInfo>(ev) {
                note(&format!("{}: {} {}", peer(ev, stream), info.version, info.suite));
            }
        }
        // As far as there is room in the output, without copying; the rest when it is drained. What waits
        // is limited by the high mark.
        StreamEvent::Received(_) | StreamEvent::Drained => {
            stream.forward(ev, stream, usize::MAX);
        }
        StreamEvent::Eof { .. } => {
            let rest = stream.take_all(ev);
            let _ = stream.write_owned(ev, rest);
            stream.close_after_flush(ev);
        }
        StreamEvent::Timeout(Direction::Read) => stream.close_after_flush(ev),
        StreamEvent::Timeout(Direction::Write) => stream.close_now(ev),
        StreamEvent::Error { error, .. } => {
            note(&format!("{}: {error:#}", peer(ev, stream)));
        }
        _ => {}
    }
}

fn peer(ev: &EvLoop, stream: Stream) -> String {
    stream.peer(ev).map_or_else(|| format!("connection {}", stream.id()), |peer| peer.to_string())
}

fn identity(options: &Options) -> Result<TlsIdentity, String> {
    let read = |path| std::fs::read(path).map_err(|error| format!("{path}: {error}"));
    let (certificates, key) = (read(&options.certificates)?, read(&options.key)?);
    TlsIdentity::from_pem(certificates, key)
        .map_err(|error| format!("{}, {}: {error:#}", options.certificates, options.key))
}

/// Nothing depends on anybody reading this.
fn note(text: &str) {
    let _ = writeln!(io::stderr(), "tls_echo: {text}");
}

fn refuse(wrong: &str) -> Result<ExitCode, Box<dyn Error>> {
    note(wrong);
    Ok(ExitCode::from(2))
}

fn arguments() -> Result<Options, String> {
    let mut address = "127.0.0.1:8084".parse().map_err(|error: evloop::Error| error.to_string())?;
    let (mut certificates, mut key) = (None, None);
    // `env::args` would panic.
    let given: Result<Vec<_>, _> = std::env::args_os().skip(1).map(OsString::into_string).collect();
    let given = given.map_err(|wrong| format!("not UTF-8: {}", wrong.to_string_lossy()))?;
    let mut arguments = given.into_iter();
    while let Some(argument) = arguments.next() {
        let mut value = |what| arguments.next().ok_or(format!("{argument} needs {what}"));
        match argument.as_str() {
            "--listen" => {
                let text = value("an address")?;
                address = text.parse().map_err(|error: evloop::Error| match error.source() {
                    Some(why) => format!("--listen {text}: {why}"),
                    None => format!("--listen {text}: {error}"),
                })?;
            }
            "--tls-cert" => certificates = Some(value("a file")?),
            "--tls-key" => key = Some(value("a file")?),
            other => return Err(format!("unknown argument {other}")),
        }
    }
    let certificates = certificates.ok_or("--tls-cert is missing")?;
    let key = key.ok_or("--tls-key is missing")?;
    Ok(Options { address, certificates, key })
}
