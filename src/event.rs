//! Two vocabularies, kept apart on purpose: [`Interest`] is what you ask for, [`Events`] is what
//! you are told.
//!
//! Both are small sets that combine with `|`. A hang-up or an error on a descriptor is told as
//! everything the watcher asked for, because the next read or write is where the program learns
//! what happened.

use std::fmt;
use std::ops::{BitAnd, BitOr, BitOrAssign, BitXor, Sub};

/// What an io watcher asks to be told about (libev's `EV_READ | EV_WRITE` on the way in).
///
/// ```
/// use evloop::Interest;
///
/// let both = Interest::READ | Interest::WRITE;
/// assert!(both.contains(Interest::READ));
/// assert_eq!(format!("{both:?}"), "READ | WRITE");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Interest(u8);

/// What a callback is told (libev's `revents`).
///
/// An io watcher gets the readiness bits it asked for; every other kind of watcher has a bit of
/// its own; [`CUSTOM`](Events::CUSTOM) is for the program, in [`feed`](crate::Io::feed).
///
/// ```
/// use evloop::Events;
///
/// let ready = Events::READ | Events::TIMER;
/// assert!(ready.contains(Events::TIMER));
/// assert!(!ready.intersects(Events::WRITE | Events::ERROR));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Events(u32);

macro_rules! set {
    ($set:ident($repr:ty) { $($(#[$doc:meta])* $name:ident = $value:expr;)* }) => {
        impl $set {
            /// The empty set.
            pub const NONE: Self = Self(0);
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// Whether all of `other` is in this set.
            #[must_use]
            #[inline]
            pub const fn contains(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any of `other` is in this set.
            #[must_use]
            #[inline]
            pub const fn intersects(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// Whether the set is empty.
            #[must_use]
            #[inline]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }
        }

        impl BitOr for $set {
            type Output = Self;
            #[inline]
            fn bitor(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }
        }

        impl BitOrAssign for $set {
            #[inline]
            fn bitor_assign(&mut self, other: Self) {
                self.0 |= other.0;
            }
        }

        impl BitAnd for $set {
            type Output = Self;
            #[inline]
            fn bitand(self, other: Self) -> Self {
                Self(self.0 & other.0)
            }
        }

        /// The members that are in one of the two sets only.
        impl BitXor for $set {
            type Output = Self;
            #[inline]
            fn bitxor(self, other: Self) -> Self {
                Self(self.0 ^ other.0)
            }
        }

        /// The set without the members of another.
        impl Sub for $set {
            type Output = Self;
            #[inline]
            fn sub(self, other: Self) -> Self {
                Self(self.0 & !other.0)
            }
        }

        impl fmt::Debug for $set {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut rest = self.0;
                let mut first = true;
                $(if rest & $value != 0 {
                    rest &= !$value;
                    f.write_str(if first { "" } else { " | " })?;
                    f.write_str(stringify!($name))?;
                    first = false;
                })*
                if rest != 0 {
                    write!(f, "{}{rest:#x}", if first { "" } else { " | " })
                } else if first {
                    f.write_str("NONE")
                } else {
                    Ok(())
                }
            }
        }
    };
}

// READ, WRITE, PRIORITY and PEER_CLOSE stand at the same places in both sets, so that "what is
// ready of what was asked for" is one AND, and the first three where poll(2) has them, so that
// reading a report is another (`backend::Report::ready`). `Interest::MASK` names those places.
set! { Interest(u8) {
    /// There is something to read, or the stream has ended.
    READ = 1;
    /// There is room to write.
    WRITE = 4;
    /// Urgent data: TCP's out-of-band byte, a changed pseudo file (`POLLPRI`).
    PRIORITY = 2;
    /// The peer has shut down its sending half (`POLLRDHUP`): told although unread data may
    /// still be waiting.
    PEER_CLOSE = 8;
    /// Edge-triggered: tell only of changes, not of the state. All watchers of one descriptor
    /// must agree. The `poll` backend refuses it.
    EDGE = 16;
} }

set! { Events(u32) {
    /// Readable, or at the end of the stream, or in error.
    READ = 1;
    /// Writable, or hung up, or in error.
    WRITE = 4;
    /// Urgent data.
    PRIORITY = 2;
    /// The peer will send no more.
    PEER_CLOSE = 8;
    /// The watcher cannot go on and has been stopped: its descriptor was closed under the loop,
    /// the system refused a later change of its registration, or its process is no child of ours.
    ERROR = 16;
    /// A timer is due.
    TIMER = 32;
    /// The loop has nothing better to do.
    IDLE = 64;
    /// The loop is about to wait.
    PREPARE = 128;
    /// The loop has waited.
    CHECK = 256;
    /// A [`Notifier`](crate::Notifier) called.
    ASYNC = 512;
    /// The wall clock has come to the time of a periodic.
    PERIODIC = 1024;
    /// A signal was delivered.
    SIGNAL = 2048;
    /// A child process ended, stopped or went on.
    CHILD = 4096;
    /// A file changed.
    STAT = 8192;
    /// The process is a fork of the one that made the loop.
    FORK = 16384;
    /// The loop is being dropped.
    CLEANUP = 32768;
    /// Free for programs to use with `feed` and `invoke`; the loop itself never sends it.
    CUSTOM = 1 << 31;
} }

impl Interest {
    /// What a kernel can report, without the mode.
    pub(crate) const MASK: Self = Self(15);

    #[inline]
    pub(crate) const fn bits(self) -> u8 {
        self.0
    }

    #[inline]
    pub(crate) const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// The same readiness in the words it is told in.
    #[inline]
    pub(crate) fn told(self) -> Events {
        Events((self.0 & Self::MASK.0).into())
    }
}

#[cfg(feature = "test-util")]
impl Events {
    /// The readiness among them, as what asks for it.
    pub(crate) fn readiness(self) -> Interest {
        Interest((self.0 & u32::from(Interest::MASK.0)) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn readiness_stands_at_the_same_bits_in_both_sets() {
        for (asked, told) in [
            (Interest::READ, Events::READ),
            (Interest::WRITE, Events::WRITE),
            (Interest::PRIORITY, Events::PRIORITY),
            (Interest::PEER_CLOSE, Events::PEER_CLOSE),
        ] {
            assert_eq!(asked.told(), told);
            assert!(Interest::MASK.contains(asked));
        }
        assert!(!Interest::MASK.intersects(Interest::EDGE));
    }

    #[test]
    fn sets_print_as_the_names_they_hold() {
        assert_eq!(format!("{:?}", Events::NONE), "NONE");
        assert_eq!(format!("{:?}", Events::READ | Events::CUSTOM), "READ | CUSTOM");
        assert_eq!(format!("{:?}", Events(1 << 20)), "0x100000");
        assert_eq!(format!("{:?}", Interest::READ | Interest::EDGE), "READ | EDGE");
    }
}
