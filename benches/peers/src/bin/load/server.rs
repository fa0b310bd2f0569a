//! The server under load, looked at from outside.

use std::time::Instant;
use std::{fs, io, mem};

pub struct Server {
    pub port: u16,
    pub pid: i32,
}

/// What a server had used at one moment.
pub struct Reading {
    /// User and system time of all its threads.
    cpu_ns: f64,
    /// How often it has waited for something.
    sleeps: f64,
    at: Instant,
}

/// What it has used between two.
pub struct Spent {
    pub cpu_ns: f64,
    pub wall_ns: f64,
    pub sleeps: f64,
}

impl Reading {
    pub fn until(&self, later: &Self) -> Spent {
        Spent {
            cpu_ns: later.cpu_ns - self.cpu_ns,
            wall_ns: later.at.duration_since(self.at).as_nanos() as f64,
            sleeps: later.sleeps - self.sleeps,
        }
    }
}

impl Server {
    pub fn read(&self) -> io::Result<Reading> {
        let sleeps = self.entry("status", "voluntary_ctxt_switches:")?;
        Ok(Reading { cpu_ns: self.cpu_ns()?, sleeps, at: Instant::now() })
    }

    /// The clock that the system keeps of every process: what `wait4` would tell at its end, in nanoseconds and now.
    fn cpu_ns(&self) -> io::Result<f64> {
        // SAFETY: both are plain numbers, of which zero is one; each call fills the place it is given.
        let (mut clock, mut time): (libc::clockid_t, libc::timespec) = unsafe { mem::zeroed() };
        // SAFETY: as above.
        let failed = unsafe { libc::clock_getcpuclockid(self.pid, &mut clock) };
        if failed != 0 {
            return Err(io::Error::from_raw_os_error(failed));
        }
        // SAFETY: as above.
        if unsafe { libc::clock_gettime(clock, &mut time) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(time.tv_sec as f64 * 1e9 + time.tv_nsec as f64)
    }

    /// Bytes of its resident set, and of its share of it.
    pub fn memory(&self) -> io::Result<(f64, f64)> {
        let bytes = |key| Ok::<_, io::Error>(self.entry("smaps_rollup", key)? * 1024.0);
        Ok((bytes("Rss:")?, bytes("Pss:")?))
    }

    /// The most its resident set has ever been, in bytes.
    pub fn peak_memory(&self) -> io::Result<f64> {
        Ok(self.entry("status", "VmHWM:")? * 1024.0)
    }

    fn entry(&self, file: &str, key: &str) -> io::Result<f64> {
        let path = format!("/proc/{}/{file}", self.pid);
        let text = fs::read_to_string(&path)?;
        let line = text.lines().find_map(|line| line.strip_prefix(key));
        let number = line.and_then(|rest| rest.split_whitespace().next()?.parse().ok());
        number.ok_or_else(|| io::Error::other(format!("{path} has no {key}")))
    }
}
