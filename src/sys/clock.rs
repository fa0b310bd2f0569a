//! The clocks as numbers.
//!
//! Through libc and not rustix: rustix looks for the kernel's vDSO by itself and does not survive
//! valgrind, which hides it.

/// Nanoseconds of `CLOCK_MONOTONIC`. No system call where the kernel offers a vDSO.
#[inline]
pub(crate) fn monotonic_nanos() -> u64 {
    let now = read(libc::CLOCK_MONOTONIC);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

/// Nanoseconds of `CLOCK_REALTIME`, since 1970. A clock set to before that is at 0.
pub(crate) fn realtime_nanos() -> u64 {
    let now = read(libc::CLOCK_REALTIME);
    let Ok(seconds) = u64::try_from(now.tv_sec) else { return 0 };
    seconds.saturating_mul(1_000_000_000).saturating_add(now.tv_nsec as u64)
}

#[inline]
fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local that outlives the call, which writes it and nothing else. The
    // call cannot fail: both clocks exist on every Linux, and on failure the zeros stay.
    unsafe { libc::clock_gettime(clock, &raw mut now) };
    now
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_does_not_run_backwards() {
        let readings: Vec<_> = (0..100).map(|_| super::monotonic_nanos()).collect();
        assert!(readings.is_sorted());
        assert!(readings[0] > 0);
    }

    #[test]
    fn the_wall_clock_is_that_of_the_standard_library() {
        let std = || std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_nanos() as u64;
        let (before, now, after) = (std(), super::realtime_nanos(), std());
        assert!((before..=after).contains(&now));
    }
}
