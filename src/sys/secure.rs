//! Whether the environment may be trusted.

/// Whether the process runs with raised privileges (set-user-ID, set-group-ID, file capabilities): the
/// kernel's own word for it, `AT_SECURE`, as the dynamic linker uses it.
pub(crate) fn raised_privileges() -> bool {
    // SAFETY: getauxval only reads the vector the kernel gave the process; an unknown type is 0.
    unsafe { libc::getauxval(libc::AT_SECURE) != 0 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_test_run_has_no_raised_privileges() {
        assert!(!super::raised_privileges());
    }
}
