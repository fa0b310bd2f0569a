//! A limit that many streams have together: who is in it, and what they ask.
//!
//! The core of the streams asks before it moves something and charges behind it; nobody is called.

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use slab::Slab;

use super::bucket::{Allowance, unsigned};
use super::limit::RateLimit;
use super::line::{Asked, Line};
use crate::net::Direction;

/// The least turn in a group if nobody says otherwise: below that the headers of the packets weigh more
/// than what they carry.
const MIN_SHARE: usize = 256;

/// A limit that many streams have together (`bufferevent_rate_limit_group`).
///
/// What all of them move stays within the limit, and those that want more than there is take turns. A
/// stream has a limit of its own besides, if one was set: then both hold. This is a handle: clones are
/// the same group, which lives as long as one of them or a stream in it does.
///
/// ```
/// use evloop::net::{Direction, RateGroup, RateLimit};
///
/// // All uploads together: 1 MiB/s.
/// let uploads = RateGroup::new(RateLimit::new().read(1 << 20, 2 << 20)?);
/// assert_eq!(uploads.level(Direction::Read), Some(2 << 20));
/// assert_eq!(uploads.level(Direction::Write), None);
/// uploads.set_limit(RateLimit::new().read(1 << 10, 2 << 10)?); // at night
/// assert_eq!(uploads.level(Direction::Read), Some(2 << 10));
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **A group belongs to one loop**, as its streams do. A limit for several threads is divided among groups.
/// * **Turns are equal**, whatever a stream's own limit is; what one leaves goes to the others.
/// * **With many streams and little to share** turns are of the
///   [minimum share](Self::set_min_share), and a round of them takes streams × share ÷ rate. The
///   streams' time-outs do not run meanwhile: held back is not timed out.
/// * **A changed limit** is noticed by streams that wait within a second, or within a tick if that is longer.
#[derive(Clone)]
pub struct RateGroup {
    pub(super) inner: Rc<RefCell<Group>>,
}

pub(super) struct Group {
    limit: RateLimit,
    min_share: u64,
    members: Slab<Member>,
    /// The id of the next one to join.
    next: u64,
    pub(super) read: Line,
    pub(super) write: Line,
}

pub(super) struct Member {
    id: u64,
    /// Its ticket in each line, if it stands there.
    read: Option<u64>,
    write: Option<u64>,
}

/// Who draws from a group. Never used again for another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::net) struct MemberId {
    pub(super) slot: usize,
    id: u64,
}

impl RateGroup {
    /// Makes a group with full buckets (`bufferevent_rate_limit_group_new`). Streams join it with
    /// `set_rate_group`.
    #[must_use]
    pub fn new(limit: RateLimit) -> Self {
        let group = Group {
            limit,
            min_share: unsigned(MIN_SHARE),
            members: Slab::new(),
            next: 0,
            read: Line::new(limit.bucket(Direction::Read)),
            write: Line::new(limit.bucket(Direction::Write)),
        };
        Self { inner: Rc::new(RefCell::new(group)) }
    }

    /// The limit as it is set.
    #[must_use]
    pub fn limit(&self) -> RateLimit {
        self.inner.borrow().limit
    }

    /// Sets another limit (`bufferevent_rate_limit_group_set_cfg`). What is in the buckets stays, as far as
    /// the new burst allows; where there was no limit, the bucket is full at first.
    pub fn set_limit(&self, limit: RateLimit) {
        let group = &mut *self.inner.borrow_mut();
        group.limit = limit;
        for direction in [Direction::Read, Direction::Write] {
            let (line, members) = group.line(direction);
            let adapted =
                line.bucket.as_mut().is_some_and(|bucket| bucket.set_limit(&limit, direction));
            if !adapted {
                line.bucket = limit.bucket(direction);
            }
            if line.bucket.is_none() {
                line.dissolve();
                for (_, member) in members.iter_mut() {
                    *member.ticket(direction) = None;
                }
            }
        }
    }

    /// Sets the least that a turn is, in bytes (`bufferevent_rate_limit_group_set_min_share`): 256 if this
    /// is never called, at least 1. More than flows in during a tick counts as that.
    pub fn set_min_share(&self, bytes: usize) {
        self.inner.borrow_mut().min_share = unsigned(bytes).max(1);
    }

    /// How many streams are in it.
    #[must_use]
    pub fn members(&self) -> usize {
        self.inner.borrow().members.len()
    }

    /// How many bytes are in the bucket of this direction: negative when more was taken than there was.
    /// `None`: unlimited (`bufferevent_rate_limit_group_get_read_limit`).
    ///
    /// As of when one of its streams last asked or moved something: since then it may have filled.
    #[must_use]
    pub fn level(&self, direction: Direction) -> Option<i64> {
        let group = &mut *self.inner.borrow_mut();
        group.line(direction).0.bucket.as_ref().map(|bucket| bucket.level)
    }

    /// Puts so many bytes into the bucket of this direction, or takes them out of it
    /// (`bufferevent_rate_limit_group_decrement_read`). Above the burst they are lost; below zero, all wait
    /// until it has filled again. Without a limit it does nothing.
    ///
    /// For traffic that is not a stream's and should count, or should not.
    pub fn add(&self, direction: Direction, bytes: i64) {
        let group = &mut *self.inner.borrow_mut();
        if let Some(bucket) = &mut group.line(direction).0.bucket {
            bucket.add(bytes);
        }
    }

    /// How many bytes its streams have moved in this direction, since the last reset
    /// (`bufferevent_rate_limit_group_get_totals`).
    #[must_use]
    pub fn total(&self, direction: Direction) -> u64 {
        self.inner.borrow_mut().line(direction).0.total
    }

    /// Sets both totals to 0 (`bufferevent_rate_limit_group_reset_totals`).
    pub fn reset_totals(&self) {
        let group = &mut *self.inner.borrow_mut();
        group.read.total = 0;
        group.write.total = 0;
    }

    // From here on it is what the core of the streams calls:
    //
    // * `allowance` before it moves something, and `charge` after it, before anything else: also with 0,
    //   when the socket had nothing or took nothing, as that ends the turn too;
    // * `allowance` again at the time it was told, not before (that does no harm, and brings nothing);
    // * `withdraw` when it does not want to move anything any more, but for now: disabled, watermark,
    //   output gone, held back by its own bucket. `leave` when it is over.
    //
    // A stream with a bucket of its own asks that first, and the group for what that allows.

    /// Another one draws from the group.
    pub(in crate::net) fn join(&self) -> MemberId {
        let group = &mut *self.inner.borrow_mut();
        let id = group.next;
        group.next += 1;
        MemberId { slot: group.members.insert(Member { id, read: None, write: None }), id }
    }

    /// It does not any more. A second time, nothing happens.
    pub(in crate::net) fn leave(&self, member: MemberId) {
        self.withdraw(member, Direction::Read);
        self.withdraw(member, Direction::Write);
        let group = &mut *self.inner.borrow_mut();
        if group.members.get(member.slot).is_some_and(|found| found.id == member.id) {
            group.members.remove(member.slot);
        }
    }

    /// It wants nothing for now: gives up its place in the line.
    pub(in crate::net) fn withdraw(&self, member: MemberId, direction: Direction) {
        let group = &mut *self.inner.borrow_mut();
        let (line, members) = group.line(direction);
        if let Some(ticket) = find(members, member).and_then(|m| m.ticket(direction).take()) {
            line.remove(ticket);
        }
    }

    /// Whether a member may move bytes, and how many of those it wants. One that has left may not move any.
    pub(in crate::net) fn allowance(
        &self,
        member: MemberId,
        direction: Direction,
        now: u64,
        want: usize,
    ) -> Allowance {
        let group = &mut *self.inner.borrow_mut();
        let (count, min_share) = (unsigned(group.members.len()), group.min_share);
        let (line, members) = group.line(direction);
        let Some(found) = find(members, member) else { return Allowance::Now(0) };
        if line.bucket.is_none() || want == 0 {
            return Allowance::Now(want);
        }
        let ticket = *found.ticket(direction);
        line.strike_off(now, ticket, members, direction);
        let (ticket, answer) =
            line.ask(ticket, member.slot, &Asked { now, want, count, min_share });
        if let Some(found) = find(members, member) {
            *found.ticket(direction) = ticket;
        }
        answer
    }

    /// It has moved so many bytes: ends its turn, if it had one.
    pub(in crate::net) fn charge(&self, member: MemberId, direction: Direction, n: usize) {
        self.withdraw(member, direction);
        let group = &mut *self.inner.borrow_mut();
        let line = group.line(direction).0;
        line.total = line.total.saturating_add(unsigned(n));
        if let Some(bucket) = &mut line.bucket {
            bucket.take(n);
        }
    }
}

impl fmt::Debug for RateGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = self.inner.borrow();
        f.debug_struct("RateGroup")
            .field("limit", &group.limit)
            .field("members", &group.members.len())
            .finish_non_exhaustive()
    }
}

fn find(members: &mut Slab<Member>, member: MemberId) -> Option<&mut Member> {
    members.get_mut(member.slot).filter(|found| found.id == member.id)
}

impl Group {
    fn line(&mut self, direction: Direction) -> (&mut Line, &mut Slab<Member>) {
        match direction {
            Direction::Read => (&mut self.read, &mut self.members),
            Direction::Write => (&mut self.write, &mut self.members),
        }
    }
}

impl Member {
    pub(super) fn ticket(&mut self, direction: Direction) -> &mut Option<u64> {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}
