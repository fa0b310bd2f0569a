//! Time, and waiting for things.

use std::time::{Duration, Instant};

/// How long anything may take that should happen at once. Generous: machines are busy.
pub const PATIENCE: Duration = Duration::from_secs(10);

pub const fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

pub const fn secs(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Waits until it is so; fails, saying what was waited for, when patience is at its end.
#[track_caller]
pub fn until(what: &str, is_so: impl FnMut() -> bool) {
    until_within(PATIENCE, what, is_so);
}

#[track_caller]
pub fn until_within(patience: Duration, what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < patience, "after {patience:?} still not: {what}");
        std::thread::sleep(ms(5));
    }
}
