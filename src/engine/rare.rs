//! What is not always so, one bit each: a turn looks at all of it with one test.
//!
//! None of the bits is also one of the flags that come from outside (`remote`), so that both fit into one
//! word and one test.

use super::EvLoop;

impl EvLoop {
    /// There are hooks around the wait.
    pub(super) const HOOKS: u32 = 1 << 8;
    /// The counters are on.
    pub(super) const MONITOR: u32 = 1 << 9;
    /// There are deadlines beside the timers'.
    pub(super) const LINES: u32 = 1 << 10;
    /// There are internal io watchers.
    pub(super) const INTERNALS: u32 = 1 << 11;
    /// The process was forked, and the fork watchers were not called yet.
    pub(super) const FORKED: u32 = 1 << 12;
    /// Something was gathered and not queued yet.
    pub(super) const GATHERED: u32 = 1 << 13;
    /// There are started prepare watchers.
    pub(super) const PREPARES: u32 = 1 << 14;
    /// There are started check watchers.
    pub(super) const CHECKS: u32 = 1 << 15;
    /// Whatever makes more of the end of a wait than the kernel's report.
    pub(super) const AFTER_THE_WAIT: u32 =
        Self::LINES | Self::INTERNALS | Self::GATHERED | Self::CHECKS;

    #[inline]
    pub(super) fn has(&self, rare: u32) -> bool {
        self.rare & rare != 0
    }

    pub(super) fn note(&mut self, rare: u32, on: bool) {
        if on {
            self.rare |= rare;
        } else {
            self.rare &= !rare;
        }
    }

    /// To be called when a watcher of a group was started or stopped.
    pub(crate) fn note_groups(&mut self) {
        self.note(Self::PREPARES, !self.prepares.roster.is_empty());
        self.note(Self::CHECKS, !self.checks.roster.is_empty());
    }

    /// To be called when a line other than the timers' has become empty or got its first entry.
    pub(super) fn note_lines(&mut self) {
        let lines = !self.periodics.heap.is_empty();
        #[cfg(feature = "stat")]
        let lines = lines || self.stats.has_deadlines();
        self.note(Self::LINES, lines);
    }
}
