//! What the system says about a process: descriptors, memory, time, switches, threads.

use std::fs;
use std::time::Duration;

use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, kill_process, prlimit};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process(pub u32);

/// What all threads of a process have used up so far.
#[derive(Clone, Copy, Debug)]
pub struct Used {
    /// On a processor, as the scheduler counts it.
    pub time: Duration,
    /// How often a thread has gone to sleep: once per call that waits.
    pub sleeps: u64,
}

impl Process {
    fn path(self, name: &str) -> String {
        format!("/proc/{}/{name}", self.0)
    }

    /// How many descriptors are open.
    pub fn descriptors(self) -> usize {
        fs::read_dir(self.path("fd")).map_or(0, Iterator::count)
    }

    /// What the descriptors are, for messages.
    pub fn descriptor_list(self) -> Vec<String> {
        let Ok(listed) = fs::read_dir(self.path("fd")) else { return Vec::new() };
        let name = |entry: fs::DirEntry| {
            let target = fs::read_link(entry.path()).unwrap_or_default();
            format!("{} {}", entry.file_name().to_string_lossy(), target.display())
        };
        let mut all: Vec<String> = listed.flatten().map(name).collect();
        all.sort();
        all
    }

    /// How many of them are sockets.
    pub fn sockets(self) -> usize {
        self.descriptor_list().iter().filter(|name| name.contains(" socket:")).count()
    }

    /// A line of `status` that is a number, in the unit that stands there (kB for memory).
    pub fn status(self, key: &str) -> u64 {
        let text = fs::read_to_string(self.path("status")).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
        line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
    }

    /// Resident memory of its own in KiB: not the pages of the program itself.
    pub fn resident(self) -> u64 {
        self.status("RssAnon")
    }

    pub fn threads(self) -> u64 {
        self.status("Threads")
    }

    pub fn used(self) -> Used {
        let (mut time, mut sleeps) = (0, 0);
        let tasks = fs::read_dir(self.path("task")).map(|all| all.flatten().collect::<Vec<_>>());
        for task in tasks.unwrap_or_default() {
            let read = |name| fs::read_to_string(task.path().join(name)).unwrap_or_default();
            let ran = read("schedstat");
            time += ran.split(' ').next().and_then(|n| n.parse::<u64>().ok()).unwrap_or(0);
            let key = "\nvoluntary_ctxt_switches:";
            let status = read("status");
            let rest = status.split(key).nth(1).unwrap_or("");
            sleeps += rest.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0);
        }
        Used { time: Duration::from_nanos(time), sleeps }
    }

    /// What is used up while the closure runs.
    pub fn used_during(self, action: impl FnOnce()) -> Used {
        let before = self.used();
        action();
        let after = self.used();
        Used {
            time: after.time.saturating_sub(before.time),
            sleeps: after.sleeps.saturating_sub(before.sleeps),
        }
    }

    /// Whether all of its threads sleep, and none waits for its turn on a processor.
    pub fn sleeps(self) -> bool {
        let mut tasks = fs::read_dir(self.path("task")).unwrap();
        tasks.all(|task| {
            let text = fs::read_to_string(task.unwrap().path().join("stat"));
            // `NUMBER (NAME) STATE …`
            text.is_ok_and(|text| {
                text.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('S'))
            })
        })
    }

    fn pid(self) -> Pid {
        Pid::from_raw(i32::try_from(self.0).unwrap()).unwrap()
    }

    pub fn signal(self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Waits until the process is stopped (by SIGSTOP).
    pub fn await_stopped(self) {
        crate::words::until("the process is stopped", || {
            let text = fs::read_to_string(self.path("status")).unwrap_or_default();
            text.contains("State:\tT")
        });
    }

    /// So many more descriptors it may have from now on, and no more.
    pub fn leave_descriptors(self, more: usize) {
        let listed = fs::read_dir(self.path("fd")).unwrap();
        let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name();
        let open: Vec<u64> = listed.map(|e| name(e).to_str().unwrap().parse().unwrap()).collect();
        // The limit is of numbers, and the lowest that is free is given out.
        let mut free = (0..).filter(|number| !open.contains(number));
        self.limit_descriptors(free.nth(more).unwrap());
    }

    /// How many descriptors it may have from now on. The hard limit is ours, which it inherited.
    pub fn limit_descriptors(self, most: u64) {
        let maximum = getrlimit(Resource::Nofile).maximum;
        prlimit(Some(self.pid()), Resource::Nofile, Rlimit { current: Some(most), maximum })
            .unwrap();
    }
}
