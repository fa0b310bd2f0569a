//! How much a stream may move now, by its own rate and its group's.

use super::cell::State;
use crate::net::Direction;
use crate::net::rate::{Allowance, Bucket, MemberId, RateGroup, RateLimit};

/// The buckets a stream draws from. One without any has none of this.
#[derive(Default)]
pub(super) struct Rate {
    pub(super) limit: Option<RateLimit>,
    own: [Option<Bucket>; 2],
    group: Option<(RateGroup, MemberId)>,
}

impl Rate {
    pub(super) fn set_limit(&mut self, limit: Option<RateLimit>) {
        for (direction, own) in [Direction::Read, Direction::Write].into_iter().zip(&mut self.own) {
            let goes_on = match (&mut *own, &limit) {
                (Some(bucket), Some(limit)) => bucket.set_limit(limit, direction),
                _ => false,
            };
            if !goes_on {
                *own = limit.as_ref().and_then(|limit| limit.bucket(direction));
            }
        }
        self.limit = limit;
    }

    pub(super) fn set_group(&mut self, group: Option<&RateGroup>) {
        if let Some((old, member)) = self.group.take() {
            old.leave(member);
        }
        self.group = group.map(|group| (group.clone(), group.join()));
    }

    pub(super) fn level(&mut self, direction: Direction, now: u64) -> Option<i64> {
        Some(self.own[index(direction)].as_mut()?.level(now))
    }

    pub(super) fn add(&mut self, direction: Direction, n: i64) {
        if let Some(bucket) = &mut self.own[index(direction)] {
            bucket.add(n);
        }
    }
}

impl Drop for Rate {
    fn drop(&mut self) {
        if let Some((group, member)) = self.group.take() {
            group.leave(member);
        }
    }
}

fn index(direction: Direction) -> usize {
    match direction {
        Direction::Read => 0,
        Direction::Write => 1,
    }
}

/// How many of `want` bytes may move, or when to ask again.
#[inline]
pub(super) fn allowance(
    state: &mut State,
    direction: Direction,
    now: u64,
    want: usize,
) -> Result<usize, u64> {
    // Most streams have no rate, and are not to pay for a call.
    if state.extra.is_none() { Ok(want) } else { limited(state, direction, now, want) }
}

#[inline(never)]
fn limited(state: &mut State, direction: Direction, now: u64, want: usize) -> Result<usize, u64> {
    let Some(rate) = state.extra.as_mut().and_then(|extra| extra.rate.as_mut()) else {
        return Ok(want);
    };
    let mut allowed = want;
    if let Some(bucket) = &mut rate.own[index(direction)] {
        match bucket.allowance(now, want) {
            Allowance::Now(n) => allowed = n,
            Allowance::WaitUntil(until) => return Err(until),
        }
    }
    if let Some((group, member)) = &rate.group {
        match group.allowance(*member, direction, now, allowed) {
            Allowance::Now(n) => allowed = n,
            Allowance::WaitUntil(until) => return Err(until),
        }
    }
    Ok(allowed)
}

/// So many bytes were moved.
#[inline]
pub(super) fn charge(state: &mut State, direction: Direction, n: usize) {
    if state.extra.is_some() {
        take(state, direction, n);
    }
}

#[inline(never)]
fn take(state: &mut State, direction: Direction, n: usize) {
    let Some(rate) = state.extra.as_mut().and_then(|extra| extra.rate.as_mut()) else { return };
    if let Some(bucket) = &mut rate.own[index(direction)] {
        bucket.take(n);
    }
    if let Some((group, member)) = &rate.group {
        group.charge(*member, direction, n);
    }
}

/// Where it wants nothing, others need not wait for it.
pub(super) fn withdraw(state: &State) {
    let Some(rate) = state.extra.as_ref().and_then(|extra| extra.rate.as_ref()) else { return };
    let Some((group, member)) = &rate.group else { return };
    if !state.wants_input() {
        group.withdraw(*member, Direction::Read);
    }
    if state.output_len() == 0 || !state.wants_output() {
        group.withdraw(*member, Direction::Write);
    }
}

/// It moves no more: its place in the group's line is the next one's.
pub(super) fn leave(state: &mut State) {
    if let Some(extra) = &mut state.extra {
        extra.rate = None;
    }
}
