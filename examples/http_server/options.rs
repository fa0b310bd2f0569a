//! What the command line says.

use std::ffi::OsString;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::Duration;

use evloop::Backend;
use evloop::http::{AccessLog, ServerOptions};
use evloop::net::{Address, Scheme};

use crate::note;
use crate::routes::Setup;
use crate::tls::Certificate;

pub const USAGE: &str = "\
usage: http_server [OPTION]...

  --listen ADDR          where to listen: host:port, :port, unix:/path; may be repeated
                         (127.0.0.1:8080, unless systemd gives sockets)
  --threads N            loops, each on a thread of its own  (1)
  --backend epoll|poll   how the loop waits
  --root DIR             what /files shows
  --upload-dir DIR       where PUT /upload/NAME puts files
  --tls-cert F           serves HTTPS with the certificates in this file, in PEM; SIGHUP reads it again
  --tls-key F            their key
  --max-connections N    connections at a time, on each thread; 0 is as many as there are descriptors  (10000)
  --max-per-ip N         connections of one address at a time, on each thread; 0 is any number  (0)
  --max-body BYTES       the largest body that is gathered  (8388608)
  --header-timeout S     for a whole head, in seconds; 0 is for ever, as with the next three  (10)
  --body-timeout S       between two pieces of a body  (30)
  --idle-timeout S       between two requests  (60)
  --write-timeout S      in which a client takes nothing of its reply  (30)
  --drain-timeout S      for the rest, after SIGTERM or Ctrl-C; 0 is at once  (10)
  --access-log [FILE]    writes a line for each request, to standard error without FILE; SIGHUP opens it again
  --quiet                says nothing but where it listens
  --help                 this
";

pub enum Wanted {
    Serve(Box<Options>),
    Help,
}

pub struct Options {
    pub listen: Vec<Address>,
    pub threads: usize,
    pub backend: Option<Backend>,
    pub drain_timeout: Duration,
    pub quiet: bool,
    pub tls: Option<Certificate>,
    pub log: Option<AccessLog>,
    root: Option<PathBuf>,
    upload_dir: Option<PathBuf>,
    max_per_ip: Option<u32>,
    max_connections: Option<usize>,
    max_body: Option<u64>,
    header_timeout: Option<Limit>,
    body_timeout: Option<Limit>,
    idle_timeout: Option<Limit>,
    write_timeout: Option<Limit>,
}

/// A time-out, or that there is none.
type Limit = Option<Duration>;

/// Reads the arguments; what is wrong with them is said in one line.
///
/// Where there is no `--listen` it is the default address, unless sockets were `given` to the program.
pub fn read(arguments: impl Iterator<Item = OsString>, given: usize) -> Result<Wanted, String> {
    let arguments: Result<Vec<_>, _> = arguments.map(OsString::into_string).collect();
    let arguments = arguments.map_err(|wrong| format!("not UTF-8: {}", wrong.to_string_lossy()))?;
    let mut arguments = arguments.into_iter().peekable();
    let (mut certificates, mut key) = (None, None);
    let mut options = Options {
        listen: Vec::new(),
        threads: 1,
        backend: None,
        drain_timeout: Duration::from_secs(10),
        quiet: false,
        tls: None,
        log: None,
        root: None,
        upload_dir: None,
        max_per_ip: None,
        max_connections: None,
        max_body: None,
        header_timeout: None,
        body_timeout: None,
        idle_timeout: None,
        write_timeout: None,
    };
    while let Some(argument) = arguments.next() {
        // `--name=value` as well as `--name value`.
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (argument.as_str(), None),
        };
        match name {
            "--help" | "-h" => return Ok(Wanted::Help),
            "--quiet" if attached.is_none() => {
                options.quiet = true;
                continue;
            }
            "--quiet" => return Err("--quiet takes no value".to_owned()),
            // Its value may be left out.
            "--access-log" => {
                let file = attached.or_else(|| arguments.next_if(|next| !next.starts_with("--")));
                options.log = Some(log(file.as_deref())?);
                continue;
            }
            _ => {}
        }
        let known = [
            "--listen",
            "--threads",
            "--backend",
            "--root",
            "--upload-dir",
            "--tls-cert",
            "--tls-key",
            "--max-per-ip",
            "--max-connections",
            "--max-body",
            "--header-timeout",
            "--body-timeout",
            "--idle-timeout",
            "--write-timeout",
            "--drain-timeout",
        ];
        if !known.contains(&name) {
            return Err(format!("there is no option {argument}"));
        }
        let Some(value) = attached.or_else(|| arguments.next()) else {
            return Err(format!("{name} needs a value"));
        };
        match name {
            "--listen" => {
                let address =
                    value.parse().map_err(|error| format!("{name} {value}: {error:#}"))?;
                options.listen.push(address);
            }
            "--threads" => {
                options.threads = number(name, &value)?;
                if !(1..=1024).contains(&options.threads) {
                    return Err(format!("{name} {value}: from 1 to 1024"));
                }
            }
            "--backend" => {
                options.backend = Some(match value.as_str() {
                    "epoll" => Backend::Epoll,
                    "poll" => Backend::Poll,
                    _ => return Err(format!("{name} {value}: epoll or poll")),
                });
            }
            "--root" => options.root = Some(folder(name, &value)?),
            "--upload-dir" => options.upload_dir = Some(folder(name, &value)?),
            "--tls-cert" => certificates = Some(value),
            "--tls-key" => key = Some(value),
            "--max-per-ip" => options.max_per_ip = Some(number(name, &value)?),
            "--max-connections" => options.max_connections = Some(number(name, &value)?),
            "--max-body" => options.max_body = Some(number(name, &value)?),
            "--header-timeout" => options.header_timeout = Some(seconds(name, &value)?),
            "--body-timeout" => options.body_timeout = Some(seconds(name, &value)?),
            "--idle-timeout" => options.idle_timeout = Some(seconds(name, &value)?),
            "--write-timeout" => options.write_timeout = Some(seconds(name, &value)?),
            _ => {
                // To wait for ever is not to stop.
                let limit = seconds(name, &value)?;
                options.drain_timeout = limit.unwrap_or(Duration::ZERO);
            }
        }
    }
    options.tls = match (certificates, key) {
        (None, None) => None,
        (Some(certificates), Some(key)) => Some(Certificate::read(certificates, key)?),
        (only, _) => {
            Certificate::IS_BUILT_IN?;
            let (there, missing) = match only {
                Some(_) => ("--tls-cert", "--tls-key"),
                None => ("--tls-key", "--tls-cert"),
            };
            return Err(format!("{there} needs {missing}"));
        }
    };
    // Nobody gets less than what the scheme says, nor something else.
    for address in &options.listen {
        let missing = match (address.scheme(), options.tls.is_some()) {
            (Some(Scheme::Https), false) => {
                Certificate::IS_BUILT_IN?;
                "https needs --tls-cert and --tls-key"
            }
            (Some(Scheme::Http), true) => "with --tls-cert it is https",
            _ => continue,
        };
        return Err(format!("--listen {address}: {missing}"));
    }
    if given > 0 && !options.listen.is_empty() {
        return Err("--listen: it was given sockets (LISTEN_FDS), and serves those".to_owned());
    }
    if options.listen.is_empty() && given == 0 {
        let default = "127.0.0.1:8080".parse().map_err(|error| format!("{error}"))?;
        options.listen.push(default);
    }
    Ok(Wanted::Serve(Box::new(options)))
}

fn folder(name: &str, value: &str) -> Result<PathBuf, String> {
    let found = std::fs::metadata(value).map_err(|error| format!("{name} {value}: {error}"))?;
    if !found.is_dir() {
        return Err(format!("{name} {value}: not a directory"));
    }
    Ok(PathBuf::from(value))
}

/// A file, or standard error.
fn log(file: Option<&str>) -> Result<AccessLog, String> {
    let opened = match file {
        Some(file) => AccessLog::file(file),
        None => match io::stderr().as_fd().try_clone_to_owned() {
            Ok(stderr) => AccessLog::fd(stderr),
            Err(error) => return Err(format!("--access-log: {error}")),
        },
    };
    let log = opened.map_err(|error| format!("--access-log: {error:#}"))?;
    Ok(log.timings().on_error(|wrong| {
        note(&format!("the access log: {}; {} lines are lost", wrong.error, wrong.dropped));
    }))
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    // Rust's numbers may have a plus.
    let digits = value.bytes().all(|byte| byte.is_ascii_digit());
    let number = value.parse().ok().filter(|_| digits);
    number.ok_or_else(|| format!("{name} {value}: a whole number is needed"))
}

fn seconds(name: &str, value: &str) -> Result<Limit, String> {
    let seconds = value.parse().ok().and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    match seconds {
        Some(Duration::ZERO) => Ok(None),
        Some(limit) => Ok(Some(limit)),
        None => Err(format!("{name} {value}: a number of seconds is needed")),
    }
}

impl Options {
    pub fn server(&self) -> ServerOptions {
        let mut options = ServerOptions::new();
        if let Some(most) = self.max_per_ip {
            options = options.max_per_ip(most);
        }
        if let Some(tls) = &self.tls {
            options = tls.serve_with(options);
        }
        if let Some(most) = self.max_connections {
            options = options.max_connections(most);
        }
        if let Some(bytes) = self.max_body {
            options = options.max_body(bytes);
        }
        if let Some(limit) = self.header_timeout {
            options = options.header_timeout(limit);
        }
        if let Some(limit) = self.body_timeout {
            options = options.body_timeout(limit);
        }
        if let Some(limit) = self.idle_timeout {
            options = options.idle_timeout(limit);
        }
        if let Some(limit) = self.write_timeout {
            options = options.write_timeout(limit);
        }
        options
    }

    pub fn setup(&self) -> Setup {
        Setup {
            threads: self.threads,
            has_tls: self.tls.is_some(),
            root: self.root.clone(),
            upload_dir: self.upload_dir.clone(),
            max_body: self.max_body,
            log: self.log.clone(),
        }
    }
}
