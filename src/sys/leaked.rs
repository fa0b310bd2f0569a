//! A value of the process that is made on demand, lives for ever, and can be replaced.
//!
//! For what a forked child must leave alone: it can neither drop its copy of the parent's value nor wait
//! for a lock in it, so it puts its own in place. Taking the value is one load, never a lock that a thread
//! which was not forked could hold.

use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

/// At most one value at a time; what is replaced is leaked.
pub(crate) struct Leaked<T: 'static> {
    /// Null, or from a `Box` that was leaked here and is never freed.
    at: AtomicPtr<T>,
}

impl<T: Send + Sync> Leaked<T> {
    pub(crate) const fn new() -> Self {
        Self { at: AtomicPtr::new(ptr::null_mut()) }
    }

    pub(crate) fn get(&self) -> Option<&'static T> {
        // SAFETY: see the field: what is not null was a `Box`'s, is valid for ever, and nobody has
        // anything but shared references to it. Acquire: its making is seen.
        unsafe { self.at.load(Ordering::Acquire).as_ref() }
    }

    /// Puts `new` in the place of `old`; if somebody else has replaced that meanwhile, theirs is
    /// returned and `new` is dropped.
    pub(crate) fn replace(&self, old: Option<&'static T>, new: T) -> &'static T {
        let old = old.map_or(ptr::null_mut(), |old| ptr::from_ref(old).cast_mut());
        let new = Box::into_raw(Box::new(new));
        match self.at.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: it came from a `Box` just now and nothing frees it.
            Ok(_) => unsafe { &*new },
            Err(theirs) => {
                // SAFETY: it came from a `Box` just now and nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: as in `get`; it is not null, since null is never put in.
                unsafe { &*theirs }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn of_many_that_make_one_all_get_the_same() {
        static VALUE: Leaked<usize> = Leaked::new();
        let barrier = Barrier::new(8);
        let got: Vec<usize> = std::thread::scope(|scope| {
            let make = |n| {
                let barrier = &barrier;
                scope.spawn(move || {
                    barrier.wait();
                    *VALUE.replace(None, n)
                })
            };
            let threads: Vec<_> = (1..=8).map(make).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        let first = *VALUE.get().unwrap();
        assert!(got.iter().all(|&n| n == first));
    }

    #[test]
    fn what_is_replaced_stays_valid_for_who_has_it() {
        static VALUE: Leaked<String> = Leaked::new();
        assert!(VALUE.get().is_none());
        let first = VALUE.replace(None, "first".to_owned());
        let second = VALUE.replace(Some(first), "second".to_owned());
        assert_eq!((first.as_str(), second.as_str()), ("first", "second"));
        // Somebody late gets what is there.
        assert_eq!(VALUE.replace(Some(first), "third".to_owned()), "second");
        assert_eq!(VALUE.get().unwrap(), "second");
    }
}
