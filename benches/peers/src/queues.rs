//! Periodics beside timers: what `periodics` does, for those that have both.

use std::time::Duration;

use crate::workload::{CpuClock, TimerPlan, report};

/// Of `periodics`, and the repeat of the timers beside them.
pub const INTERVAL: Duration = Duration::from_secs(7200);

/// What a `periodics` run does to either kind in a round:
///
/// 1. start all, far from due; stop all, at random;
/// 2. start all to be due soon, sleep until they are, fire them in one go: once such that repeat, and once such that do
///    not.
///
/// What is due soon is so after a tenth of a second, because setting and starting them takes time and a periodic that is
/// late waits for its next interval.
pub struct QueuePlan {
    pub soon: Vec<Duration>,
    pub far: Vec<Duration>,
    pub stop_order: Vec<u32>,
}

/// A loop with timers or periodics and nothing else in it: what `periodics` needs of a contender, of both kinds.
pub trait Queue {
    /// Starts all of them, then stops them, inside a callback; the CPU time of either.
    fn start_and_stop(&mut self, plan: &'static QueuePlan) -> [f64; 2];
    /// Starts all of them inside a callback.
    fn start_soon(&mut self, plan: &'static QueuePlan, repeats: bool);
    /// Runs the loop until all have fired.
    fn fire(&mut self);
    fn stop_all(&mut self);
}

pub fn measure(rounds: u64, plan: &'static QueuePlan, mut queues: [&mut dyn Queue; 2]) {
    const OPERATIONS: [&str; 4] = ["start", "stop", "repeat", "once"];
    let mut spent = [[0.0; OPERATIONS.len()]; 2];
    for queue in &mut queues {
        // Faults memory in.
        queue.start_and_stop(plan);
    }
    for round in 0..rounds as usize {
        // The other kind first in the next round.
        let order = [round % 2, (round + 1) % 2];
        for which in order {
            let [start, stop] = queues[which].start_and_stop(plan);
            spent[which][0] += start;
            spent[which][1] += stop;
        }
        for (operation, repeats) in [(2, true), (3, false)] {
            for which in order {
                queues[which].start_soon(plan, repeats);
            }
            TimerPlan::sleep_until_due();
            for which in order {
                let clock = CpuClock::start();
                queues[which].fire();
                spent[which][operation] += clock.ns();
                queues[which].stop_all();
            }
        }
    }
    let all = plan.far.len() as f64 * rounds as f64;
    let [timers, periodics] = spent;
    for ((name, timer), periodic) in OPERATIONS.iter().zip(timers).zip(periodics) {
        report(&format!("timer_{name}_ns"), timer / all);
        report(&format!("periodic_{name}_ns"), periodic / all);
        report(&format!("{name}_ratio"), periodic / timer);
    }
}

impl QueuePlan {
    pub fn new(count: usize) -> &'static Self {
        let TimerPlan { soon, far, cancel_order, .. } = TimerPlan::new(count);
        let soon = soon.into_iter().map(|after| Duration::from_millis(100) + after * 9 / 10);
        let far = far.into_iter().map(|after| INTERVAL / 2 + after);
        Box::leak(Box::new(Self {
            soon: soon.collect(),
            far: far.collect(),
            stop_order: cancel_order,
        }))
    }
}
