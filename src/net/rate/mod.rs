//! Rates: how fast streams may be, by token buckets.
//!
//! A bucket holds as many tokens as bytes may move now. It fills continuously at a rate, up to its burst,
//! and each byte takes one out. [`RateLimit`] says how fast and how much for each direction; a
//! [`RateGroup`] is a pair of buckets that many streams draw from, in fair turns.

mod bucket;
mod group;
mod limit;
mod line;

pub(super) use bucket::{Allowance, Bucket};
pub(super) use group::MemberId;
pub use group::RateGroup;
pub use limit::RateLimit;

#[cfg(test)]
mod tests;
