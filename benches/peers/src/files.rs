//! Watchers of files: what `stat` does, for those that have them.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::workload::{CpuClock, Random, report};

/// Watchers of files: what `stat` needs of a contender.
pub trait Files {
    /// Without an interval of its own.
    fn watch(&mut self, index: usize, path: &Path);
    /// Runs the loop for so long, whatever is seen.
    fn rest(&mut self, time: Duration);
    /// Runs the loop until a change is told, and returns the index of the file.
    fn next_seen(&mut self) -> usize;
}

/// Files in a directory of their own; in memory if it can be, where inotify is trusted.
struct Directory(PathBuf);

impl Directory {
    fn new() -> Self {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        let path = place.join(format!("peers-{:016x}", RandomState::new().hash_one(0)));
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    fn file(&self, index: usize) -> PathBuf {
        self.0.join(index.to_string())
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        // A directory left over harms nobody.
        _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Every watch of every inotify instance is a line of `/proc/self/fdinfo`.
fn inotify_watches() -> usize {
    let all = std::fs::read_dir("/proc/self/fdinfo").expect("/proc is mounted");
    all.filter_map(|entry| std::fs::read_to_string(entry.ok()?.path()).ok())
        .map(|about| about.lines().filter(|line| line.starts_with("inotify wd:")).count())
        .sum()
}

pub fn measure(count: usize, writes: u64, files: &mut impl Files) {
    const SETTLE: Duration = Duration::from_secs(1);
    const REST: Duration = Duration::from_secs(3);
    let directory = Directory::new();
    for index in 0..count {
        std::fs::File::create(directory.file(index)).expect("a new file");
    }
    for index in 0..count {
        files.watch(index, &directory.file(index));
    }
    // The first look at everything is not rest.
    files.rest(SETTLE);
    let (wall, cpu) = (Instant::now(), CpuClock::start());
    files.rest(REST);
    report("rest_percent", 100.0 * cpu.ns() / wall.elapsed().as_nanos() as f64);
    report("inotify_watches", inotify_watches() as f64);

    let mut random = Random::new();
    let mut sum = Duration::ZERO;
    for _ in 0..writes {
        let index = random.below(count as u64) as usize;
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .open(directory.file(index))
            .expect("the file is there");
        let begin = Instant::now();
        file.write_all(b"e").expect("a byte of room");
        while files.next_seen() != index {}
        sum += begin.elapsed();
    }
    report("seen_us", sum.as_nanos() as f64 / 1000.0 / writes as f64);
}
