//! Whether work grows with its input and no faster.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// The time this thread has computed, whatever else the machine does.
fn computed() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Runs `work` with a size and with eight times as much, each the best of a few.
#[track_caller]
pub fn linear(size: usize, work: impl Fn(usize)) {
    let time = |size| {
        (0..5)
            .map(|_| {
                let start = computed();
                work(size);
                computed() - start
            })
            .min()
            .unwrap_or_default()
    };
    let (short, long) = (time(size), time(8 * size));
    assert!(long < short * 8 * 3, "{short:?} for {size}, {long:?} for eight times as much");
}
