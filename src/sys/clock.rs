//! The monotonic clock as a number.
//!
//! Through libc and not rustix: rustix looks for the kernel's vDSO by itself and does not survive
//! valgrind, which hides it.

/// Nanoseconds of `CLOCK_MONOTONIC`. No system call where the kernel offers a vDSO.
#[inline]
pub(crate) fn monotonic_nanos() -> u64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a local that outlives the call, which writes it and nothing else. The
    // call cannot fail: the clock exists on every Linux, and on failure the zeros stay.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &raw mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

#[cfg(test)]
mod tests {
    #[test]
    fn it_does_not_run_backwards() {
        let readings: Vec<_> = (0..100).map(|_| super::monotonic_nanos()).collect();
        assert!(readings.is_sorted());
        assert!(readings[0] > 0);
    }
}
