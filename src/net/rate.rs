//! Rates: how fast streams may be, by token buckets.
//!
//! A bucket holds as many tokens as bytes may move now. It fills continuously at a rate, up to its burst,
//! and each byte takes one out. [`RateLimit`] says how fast and how much for each direction; a
//! [`RateGroup`] is a pair of buckets that many streams draw from, in fair turns.

// # The group's turns
//
// As long as the shared bucket holds enough, whoever asks gets some of it. When it does not, those who ask
// stand in a line, in the order they came, and are served in rounds: a round is everybody who stands in the
// line when it begins, each has one turn in it, and who asks again stands behind for the next. So a fast
// asker cannot take what another one waits for. A round begins when the one before is over and a tick's
// worth of tokens is there. A turn is an equal part of what there is then; what one leaves of it
// is there for the next round, which begins the sooner. It is never less than the minimum share, as turns
// of a few bytes cost more than they carry: then the first in line go first, and the round takes several
// ticks.
//
// Nobody is called: a member is told when to ask again. Members that fall silent (which the core should
// say with `withdraw`, `leave` or a charge) would hold up the rest, so who is long overdue is struck off.
//
// # Invariants
//
// Σ taken ≤ level at the start + Σ refilled, as no grant exceeds the level and the charge follows the grant
// before anybody else asks. In `Line`: `queue` is sorted by ticket, its first entry is no gap, `waiting` is
// the number of entries that are no gaps, and `in_round` of these have a ticket below `round_end`.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;
use std::{fmt, mem};

use slab::Slab;

use super::Direction;
use crate::{Error, ErrorKind, Result};

const LIMITING: &str = "setting a rate limit";

const SECOND: u64 = 1_000_000_000;
const MILLISECOND: u64 = 1_000_000;

/// More than any machine moves, and far enough from the end of the numbers to add and subtract.
const MOST: u64 = 1 << 62;

/// How often a starved stream is served if nobody says otherwise. Shorter is smoother, and wakes up the
/// loop more often.
const TICK: Duration = Duration::from_millis(100);
const SHORTEST_TICK: Duration = Duration::from_millis(1);
const LONGEST_TICK: Duration = Duration::from_secs(60);

/// The least turn in a group if nobody says otherwise: below that the headers of the packets weigh more
/// than what they carry.
const MIN_SHARE: usize = 256;

/// A member in line looks again at least this often (or once a tick if that is longer): those before it may
/// have left, and the limit may be another one.
const LONGEST_WAIT: u64 = SECOND;

/// How fast something may be, in each direction (`ev_token_bucket_cfg`).
///
/// Both directions are unlimited at first. A limit is a *rate* in bytes per second, and a *burst* in
/// bytes: as much as may move at once after a rest. Over any time t, no more than rate × t + burst
/// moves.
///
/// ```
/// use evloop::net::RateLimit;
///
/// // At most 64 KiB/s from the peer, and a quarter of a megabyte at once after a rest.
/// let limit = RateLimit::new().read(64 << 10, 256 << 10)?;
/// assert_eq!(limit.read_rate(), Some(64 << 10));
/// assert_eq!(limit.write_rate(), None);
/// # Ok::<(), evloop::Error>(())
/// ```
///
/// # Sharp edges
///
/// * **What counts** is what the system was given or has given: with TLS, bytes as they are on the wire,
///   without the headers of packets.
/// * **It is an upper bound.** A loop that is late does not make up for more than the burst, so a burst of
///   less than rate × [tick](Self::tick) keeps the stream below its rate when the loop cannot wake up
///   that often. Twice that is a good choice.
/// * **A burst of one byte means one byte at a time**: each system call moves at most the burst.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct RateLimit {
    read: Option<Rate>,
    write: Option<Rate>,
    tick: Duration,
}

/// Both are at least 1 and at most `MOST`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Rate {
    per_second: u64,
    burst: u64,
}

impl RateLimit {
    /// No limit in either direction, to begin with.
    #[must_use]
    pub const fn new() -> Self {
        Self { read: None, write: None, tick: TICK }
    }

    /// The same limit for each direction, of which each has a bucket of its own.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn both(per_second: u64, burst: u64) -> Result<Self> {
        Self::new().read(per_second, burst)?.write(per_second, burst)
    }

    /// Limits what comes from the peer to so many bytes per second, and so many at once.
    ///
    /// Numbers beyond what machines can do (2⁶²) count as that.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if one of them is 0: nothing would ever move. For that there is
    /// disabling the direction.
    pub fn read(self, per_second: u64, burst: u64) -> Result<Self> {
        Ok(Self { read: Some(Rate::new(per_second, burst)?), ..self })
    }

    /// Limits what goes to the peer to so many bytes per second, and so many at once.
    ///
    /// # Errors
    ///
    /// As for [`read`](Self::read).
    pub fn write(self, per_second: u64, burst: u64) -> Result<Self> {
        Ok(Self { write: Some(Rate::new(per_second, burst)?), ..self })
    }

    /// How long a stream that has used up its bucket waits, so as not to be served byte by byte: until
    /// what flows in during a tick is there (or all it wants, or the burst, if that is less). 100 ms if this
    /// is never called.
    ///
    /// Unlike libevent's, buckets fill continuously: the tick has no influence on the rate. Less than 1 ms
    /// counts as that, and more than a minute as a minute.
    #[must_use]
    pub fn tick(self, tick: Duration) -> Self {
        Self { tick: tick.clamp(SHORTEST_TICK, LONGEST_TICK), ..self }
    }

    /// Bytes per second from the peer; `None`: unlimited.
    #[must_use]
    pub fn read_rate(&self) -> Option<u64> {
        self.read.map(|rate| rate.per_second)
    }

    /// Bytes at once from the peer; `None`: unlimited.
    #[must_use]
    pub fn read_burst(&self) -> Option<u64> {
        self.read.map(|rate| rate.burst)
    }

    /// Bytes per second to the peer; `None`: unlimited.
    #[must_use]
    pub fn write_rate(&self) -> Option<u64> {
        self.write.map(|rate| rate.per_second)
    }

    /// Bytes at once to the peer; `None`: unlimited.
    #[must_use]
    pub fn write_burst(&self) -> Option<u64> {
        self.write.map(|rate| rate.burst)
    }

    /// The [tick](Self::tick) as it counts.
    #[must_use]
    pub fn tick_length(&self) -> Duration {
        self.tick
    }

    /// A full bucket for this direction; `None` if it is unlimited.
    pub(super) fn bucket(&self, direction: Direction) -> Option<Bucket> {
        let rate = match direction {
            Direction::Read => self.read,
            Direction::Write => self.write,
        };
        rate.map(|rate| Bucket::new(rate, self.tick))
    }
}

impl Default for RateLimit {
    fn default() -> Self {
        Self::new()
    }
}

impl Rate {
    fn new(per_second: u64, burst: u64) -> Result<Self> {
        if per_second == 0 || burst == 0 {
            let cause = "a rate and a burst are at least 1";
            return Err(Error::caused(ErrorKind::InvalidInput, LIMITING, cause.into()));
        }
        Ok(Self { per_second: per_second.min(MOST), burst: burst.min(MOST) })
    }
}

/// Whether somebody may move bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Allowance {
    /// At most so many, now. What was moved is to be charged before anybody else asks.
    Now(usize),
    /// None before this time, in nanoseconds: then it is to be asked again. Always later than now.
    WaitUntil(u64),
}

/// A token bucket. Times are nanoseconds since any fixed moment.
#[derive(Clone, Debug)]
pub(super) struct Bucket {
    rate: Rate,
    /// What the interval in progress counts with: the lower rate if it was changed meanwhile.
    counting: u64,
    /// Bytes that may move. At most the burst; negative when more was taken than there was.
    level: i64,
    /// What has flowed in beyond that, in billionths of a byte: less than one byte.
    fraction: u64,
    /// When it was last refilled. The first look finds it as it was made.
    refilled: Option<u64>,
    tick: u64,
}

impl Bucket {
    fn new(rate: Rate, tick: Duration) -> Self {
        let level = signed(rate.burst);
        let tick = u64::try_from(tick.as_nanos()).unwrap_or(u64::MAX);
        Self { rate, counting: rate.per_second, level, fraction: 0, refilled: None, tick }
    }

    /// Goes on at another rate. What is in it stays, as far as it fits; the time since the last refill
    /// counts at the lower of the two, so neither bound is exceeded. `false`: there is no limit any more, and
    /// no bucket needed.
    #[must_use]
    pub(super) fn set_limit(&mut self, limit: &RateLimit, direction: Direction) -> bool {
        let Some(new) = limit.bucket(direction) else { return false };
        self.counting = self.counting.min(new.rate.per_second);
        self.rate = new.rate;
        self.tick = new.tick;
        self.level = self.level.min(signed(self.rate.burst));
        true
    }

    /// How many bytes may move now.
    pub(super) fn available(&mut self, now: u64) -> usize {
        self.refill(now);
        usize::try_from(self.level.max(0)).unwrap_or(usize::MAX)
    }

    /// What is in it, debts included.
    pub(super) fn level(&mut self, now: u64) -> i64 {
        self.refill(now);
        self.level
    }

    /// Takes out what was moved, also more than there is: that is owed. Follows a look at the same time: what
    /// flowed in before it would count as having come after it.
    pub(super) fn take(&mut self, n: usize) {
        self.add(-i64::try_from(n).unwrap_or(i64::MAX));
    }

    /// Puts in, or takes out. Never above the burst.
    pub(super) fn add(&mut self, n: i64) {
        let most = signed(self.rate.burst);
        self.level = self.level.saturating_add(n).clamp(-signed(MOST), most);
    }

    /// When there is enough of what is wanted to make it worth while; `now` if there is.
    pub(super) fn ready_at(&mut self, now: u64, want: usize) -> u64 {
        self.refill(now);
        let need = self.quantum().min(unsigned(want)).max(1);
        now.saturating_add(self.time_until(signed(need)))
    }

    /// What may move of what is wanted.
    pub(super) fn allowance(&mut self, now: u64, want: usize) -> Allowance {
        if want == 0 || self.ready_at(now, want) == now {
            return Allowance::Now(self.available(now).min(want));
        }
        let soonest = now.saturating_add(MILLISECOND);
        Allowance::WaitUntil(self.ready_at(now, want).max(soonest))
    }

    fn refill(&mut self, now: u64) {
        let before = self.refilled.unwrap_or(now);
        // A clock that seems to go backwards brings nothing, and takes nothing.
        let elapsed = now.saturating_sub(before);
        self.refilled = Some(now.max(before));
        let rate = mem::replace(&mut self.counting, self.rate.per_second);
        let burst = signed(self.rate.burst);
        if self.level >= burst {
            self.fraction = 0;
            return;
        }
        // Mostly it fits into one word, and 128 bits divide slowly.
        let (whole, fraction) =
            match rate.checked_mul(elapsed).and_then(|flow| flow.checked_add(self.fraction)) {
                Some(flow) => (flow / SECOND, flow % SECOND),
                None => {
                    let flow = u128::from(rate) * u128::from(elapsed) + u128::from(self.fraction);
                    let second = u128::from(SECOND);
                    let whole = u64::try_from(flow / second).unwrap_or(u64::MAX);
                    (whole, u64::try_from(flow % second).unwrap_or(0))
                }
            };
        self.level = self.level.saturating_add(signed(whole.min(MOST)));
        self.fraction = fraction;
        if self.level >= burst {
            self.level = burst;
            self.fraction = 0;
        }
    }

    /// What flows in during a tick, as far as it fits.
    fn quantum(&self) -> u64 {
        let flow = u128::from(self.rate.per_second) * u128::from(self.tick) / u128::from(SECOND);
        u64::try_from(flow).unwrap_or(u64::MAX).clamp(1, self.rate.burst)
    }

    /// How long until so much is in it (if the burst allows), after a refill.
    fn time_until(&self, level: i64) -> u64 {
        let missing = i128::from(level) - i128::from(self.level);
        if missing <= 0 {
            return 0;
        }
        // At most 2⁶³ and a bit, times 2³⁰. What is missing is at least a byte, and the fraction is less.
        self.time_of(missing.unsigned_abs() * u128::from(SECOND) - u128::from(self.fraction))
    }

    /// How long it takes so many bytes to flow in.
    fn time_for(&self, bytes: u64) -> u64 {
        self.time_of(u128::from(bytes) * u128::from(SECOND))
    }

    fn time_of(&self, flow: u128) -> u64 {
        u64::try_from(flow.div_ceil(u128::from(self.rate.per_second))).unwrap_or(u64::MAX)
    }
}

fn signed(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

fn unsigned(n: usize) -> u64 {
    u64::try_from(n).unwrap_or(u64::MAX)
}

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
    inner: Rc<RefCell<Group>>,
}

struct Group {
    limit: RateLimit,
    min_share: u64,
    members: Slab<Member>,
    /// The id of the next one to join.
    next: u64,
    read: Line,
    write: Line,
}

struct Member {
    id: u64,
    /// Its ticket in each line, if it stands there.
    read: Option<u64>,
    write: Option<u64>,
}

/// Who draws from a group. Never used again for another one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct MemberId {
    slot: usize,
    id: u64,
}

/// One direction of a group.
struct Line {
    /// None: unlimited, and nobody waits.
    bucket: Option<Bucket>,
    queue: VecDeque<Place>,
    waiting: u64,
    next_ticket: u64,
    /// Who has a ticket below this takes part in the round.
    round_end: u64,
    in_round: u64,
    /// What each may take in the round. The same for all of it: its last members would find more for each
    /// than its first did.
    turn: u64,
    total: u64,
}

struct Place {
    ticket: u64,
    /// When its member was told to ask again. `None`: a gap, its member has gone.
    told: Option<u64>,
    slot: usize,
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
    pub(super) fn join(&self) -> MemberId {
        let group = &mut *self.inner.borrow_mut();
        let id = group.next;
        group.next += 1;
        MemberId { slot: group.members.insert(Member { id, read: None, write: None }), id }
    }

    /// It does not any more. A second time, nothing happens.
    pub(super) fn leave(&self, member: MemberId) {
        self.withdraw(member, Direction::Read);
        self.withdraw(member, Direction::Write);
        let group = &mut *self.inner.borrow_mut();
        if group.members.get(member.slot).is_some_and(|found| found.id == member.id) {
            group.members.remove(member.slot);
        }
    }

    /// It wants nothing for now: gives up its place in the line.
    pub(super) fn withdraw(&self, member: MemberId, direction: Direction) {
        let group = &mut *self.inner.borrow_mut();
        let (line, members) = group.line(direction);
        if let Some(ticket) = find(members, member).and_then(|m| m.ticket(direction).take()) {
            line.remove(ticket);
        }
    }

    /// Whether a member may move bytes, and how many of those it wants. One that has left may not move any.
    pub(super) fn allowance(
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
    pub(super) fn charge(&self, member: MemberId, direction: Direction, n: usize) {
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
    fn ticket(&mut self, direction: Direction) -> &mut Option<u64> {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}

struct Asked {
    now: u64,
    want: usize,
    /// How many members the group has.
    count: u64,
    min_share: u64,
}

impl Line {
    fn new(bucket: Option<Bucket>) -> Self {
        Self {
            bucket,
            queue: VecDeque::new(),
            waiting: 0,
            next_ticket: 0,
            round_end: 0,
            in_round: 0,
            turn: 0,
            total: 0,
        }
    }

    /// Returns the ticket with which it stands in the line now, too.
    fn ask(&mut self, ticket: Option<u64>, slot: usize, asked: &Asked) -> (Option<u64>, Allowance) {
        let Asked { now, want, .. } = *asked;
        let Some(bucket) = &mut self.bucket else { return (None, Allowance::Now(want)) };
        let available = unsigned(bucket.available(now));
        let quantum = bucket.quantum();
        let share = asked.min_share.min(quantum);
        let want = unsigned(want);
        let go = |n: u64| Allowance::Now(usize::try_from(n).unwrap_or(usize::MAX));

        if self.waiting == 0 && available >= want.min(quantum) {
            // Enough for everybody so far. Not all of it at once: others may be about to ask.
            let part = (available / asked.count.max(1)).max(quantum);
            return (None, go(want.min(part).min(available)));
        }
        let ticket = ticket.unwrap_or_else(|| {
            let ticket = self.next_ticket;
            self.next_ticket += 1;
            self.queue.push_back(Place { ticket, told: Some(now), slot });
            self.waiting += 1;
            ticket
        });
        // One that waits alone needs no more than it wants.
        let is_alone = self.waiting == 1;
        let worth = if is_alone { quantum.min(want) } else { quantum };
        if self.in_round == 0 && available >= worth {
            self.round_end = self.next_ticket;
            self.in_round = self.waiting;
            self.turn = (available / self.waiting).max(share);
        }

        // Gaps count: with them it is at most twice as far back as it really is, and comes too late once.
        let index = self.queue.partition_point(|place| place.ticket < ticket);
        let position = unsigned(index);
        // How much must have come until there is a turn for one behind so many: those for whom there is
        // enough in the same tick come together, when all of it is there, so that the loop wakes up once.
        let until_turn = |before: u64, turn: u64| {
            let together = (quantum / turn.max(1)).max(1);
            let earlier = (before / together).saturating_mul(together).saturating_mul(turn);
            earlier.saturating_add(worth)
        };
        let mut soonest = MILLISECOND;
        let need = if ticket < self.round_end {
            let reserved = self.in_round.saturating_mul(self.turn);
            if available >= reserved {
                return (Some(ticket), go(want.min(self.turn)));
            }
            // Minimum shares, or what there was has become less. Then it must fit.
            let turn = self.turn.min(quantum);
            let least = position.saturating_mul(turn).saturating_add(turn.min(want));
            if available >= least {
                return (Some(ticket), go(want.min(turn)));
            }
            until_turn(position, turn)
        } else if self.in_round == 0 {
            until_turn(position, share)
        } else {
            // First the rest of this round, which is not over before its last one was to come, then those of
            // the next that are before it. There may be enough already, for those who are late.
            let last = self.queue.partition_point(|place| place.ticket < self.round_end);
            let last = last.checked_sub(1).and_then(|last| self.queue.get(last)?.told);
            let due = last.map_or(0, |told| told.saturating_sub(now));
            soonest = due.max(bucket.time_for(quantum) / 4).max(MILLISECOND);
            let rest = self.in_round.saturating_mul(self.turn);
            let before = position.saturating_sub(self.in_round);
            rest.saturating_add(until_turn(before, share))
        };
        let wait = bucket.time_until(signed(need.min(MOST)));
        let wait = wait.max(soonest).min(LONGEST_WAIT.max(bucket.tick));
        let until = now.saturating_add(wait);
        if let Some(place) = self.queue.get_mut(index) {
            place.told = Some(until);
        }
        (Some(ticket), Allowance::WaitUntil(until))
    }

    /// Takes those out of the front of the line that were to ask long ago.
    fn strike_off(
        &mut self,
        now: u64,
        asking: Option<u64>,
        members: &mut Slab<Member>,
        direction: Direction,
    ) {
        let patience = self.bucket.as_ref().map_or(0, |bucket| bucket.tick).max(LONGEST_WAIT);
        while let Some(&Place { ticket, told: Some(told), slot }) = self.queue.front() {
            if now <= told.saturating_add(patience) || asking == Some(ticket) {
                break;
            }
            if let Some(member) = members.get_mut(slot) {
                *member.ticket(direction) = None;
            }
            self.remove(ticket);
        }
    }

    fn remove(&mut self, ticket: u64) {
        let index = self.queue.partition_point(|place| place.ticket < ticket);
        let Some(place) = self.queue.get_mut(index).filter(|place| place.ticket == ticket) else {
            return;
        };
        if place.told.take().is_none() {
            return;
        }
        self.waiting -= 1;
        self.in_round -= u64::from(ticket < self.round_end);
        while self.queue.front().is_some_and(|place| place.told.is_none()) {
            self.queue.pop_front();
        }
        // No more gaps than members: each sweep is paid for by the removals before it.
        if unsigned(self.queue.len()) > self.waiting * 2 {
            self.queue.retain(|place| place.told.is_some());
        }
    }

    /// Nobody has to wait any more.
    fn dissolve(&mut self) {
        self.queue.clear();
        self.waiting = 0;
        self.in_round = 0;
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::collections::BinaryHeap;

    use proptest::prelude::*;

    use super::*;

    const READ: Direction = Direction::Read;
    const WRITE: Direction = Direction::Write;

    fn bucket(per_second: u64, burst: u64) -> Bucket {
        RateLimit::new().read(per_second, burst).unwrap().bucket(READ).unwrap()
    }

    fn drained(per_second: u64, burst: u64) -> Bucket {
        let mut bucket = bucket(per_second, burst);
        let all = bucket.available(0);
        bucket.take(all);
        bucket
    }

    #[test]
    fn a_rate_or_burst_of_nothing_is_refused_and_too_much_counts_as_the_most() {
        for (rate, burst) in [(0, 1), (1, 0), (0, 0)] {
            assert_eq!(
                RateLimit::new().read(rate, burst).unwrap_err().kind(),
                ErrorKind::InvalidInput
            );
            assert_eq!(
                RateLimit::new().write(rate, burst).unwrap_err().kind(),
                ErrorKind::InvalidInput
            );
        }
        let limit = RateLimit::both(u64::MAX, u64::MAX).unwrap();
        assert_eq!((limit.read_rate(), limit.write_burst()), (Some(MOST), Some(MOST)));
        assert_eq!(RateLimit::new().tick(Duration::ZERO).tick_length(), SHORTEST_TICK);
        assert_eq!(RateLimit::new().tick(Duration::MAX).tick_length(), LONGEST_TICK);
        assert_eq!(RateLimit::default(), RateLimit::new());
    }

    #[test]
    fn a_bucket_begins_full_whenever_that_is_and_never_holds_more() {
        for begin in [0, 12_345, u64::MAX - SECOND] {
            let mut bucket = bucket(1000, 500);
            assert_eq!(bucket.available(begin), 500);
            assert_eq!(bucket.available(begin + SECOND), 500);
            bucket.take(500);
            assert_eq!(bucket.available(begin + SECOND), 0);
        }
    }

    #[test]
    fn looking_often_brings_as_much_as_looking_once() {
        let (mut often, mut once) = (drained(7, 1000), drained(7, 1000));
        let mut now = 0;
        while now < 10 * SECOND {
            often.refill(now);
            now += 1_234_567;
        }
        assert_eq!(often.available(now), 70);
        assert_eq!(once.available(now), 70);
        assert_eq!(often.fraction, once.fraction);
    }

    #[test]
    fn what_is_promised_for_a_time_is_there_then_and_not_a_nanosecond_before() {
        for (rate, want) in [(1, 1), (7, 3), (1000, 100), (999_999_937, 12_345), (MOST, 5)] {
            let mut bucket =
                RateLimit::new().read(rate, MOST).unwrap().tick(LONGEST_TICK).bucket(READ).unwrap();
            bucket.available(0);
            bucket.level = 0;
            let at = bucket.ready_at(0, want);
            if at > 0 {
                assert!(bucket.clone().available(at - 1) < want, "{rate} {want}");
            }
            assert!(bucket.available(at) >= want, "{rate} {want}");
        }
    }

    #[test]
    fn a_starved_stream_waits_for_a_tick_or_for_less_if_it_wants_or_fits_less() {
        let ms = |n: u64| n * MILLISECOND;
        assert_eq!(drained(1000, 4000).allowance(0, 9999), Allowance::WaitUntil(ms(100)));
        assert_eq!(drained(1000, 4000).allowance(0, 20), Allowance::WaitUntil(ms(20)));
        assert_eq!(drained(1000, 50).allowance(0, 9999), Allowance::WaitUntil(ms(50)));
        // Less than a millisecond is no wait.
        assert_eq!(drained(1_000_000_000, 1).allowance(0, 9), Allowance::WaitUntil(ms(1)));
        assert_eq!(drained(1000, 4000).allowance(0, 0), Allowance::Now(0));
        assert_eq!(bucket(1000, 4000).allowance(0, 9999), Allowance::Now(4000));
        assert_eq!(bucket(1000, 4000).allowance(0, 20), Allowance::Now(20));
    }

    #[test]
    fn what_was_taken_too_much_is_owed() {
        let mut bucket = bucket(1000, 100);
        assert_eq!(bucket.level(0), 100);
        bucket.take(1100);
        assert_eq!(bucket.level(0), -1000);
        assert_eq!(bucket.available(SECOND / 2), 0);
        assert_eq!(bucket.ready_at(SECOND / 2, 1), SECOND + MILLISECOND);
        bucket.add(i64::MAX);
        assert_eq!(bucket.level(SECOND), 100);
    }

    #[test]
    fn a_clock_that_goes_back_brings_nothing_and_takes_nothing() {
        let mut bucket = drained(1000, 100);
        assert_eq!(bucket.available(SECOND), 100);
        bucket.take(100);
        assert_eq!(bucket.available(0), 0);
        assert_eq!(bucket.available(SECOND + 10 * MILLISECOND), 10);
    }

    #[test]
    fn a_changed_rate_counts_at_the_lower_one_for_the_time_before_it() {
        let fast = RateLimit::new().read(1_000_000, 5_000_000).unwrap();
        let slow = RateLimit::new().read(1000, 5000).unwrap();
        let mut bucket = drained(1000, 5000);
        assert!(bucket.set_limit(&fast, READ));
        assert_eq!(bucket.available(SECOND), 1000);
        assert_eq!(bucket.available(2 * SECOND), 1_001_000);
        assert!(bucket.set_limit(&slow, READ));
        assert_eq!(bucket.available(2 * SECOND), 5000);
        assert!(!bucket.set_limit(&slow, WRITE));
    }

    #[test]
    fn extreme_numbers_saturate() {
        for (rate, burst) in [(1, 1), (1, MOST), (MOST, 1), (MOST, MOST)] {
            for tick in [SHORTEST_TICK, LONGEST_TICK] {
                let limit = RateLimit::new().read(rate, burst).unwrap().tick(tick);
                let mut bucket = limit.bucket(READ).unwrap();
                for now in [0, u64::MAX, 1, u64::MAX] {
                    for n in [0, 1, usize::MAX, usize::MAX] {
                        bucket.take(n);
                        bucket.ready_at(now, n);
                        bucket.allowance(now, n);
                        assert!(bucket.level(now) <= signed(burst));
                    }
                    bucket.add(i64::MIN);
                    bucket.add(i64::MIN);
                    bucket.allowance(now, usize::MAX);
                    bucket.add(i64::MAX);
                    bucket.add(i64::MAX);
                }
                let group = RateGroup::new(limit);
                group.set_min_share(usize::MAX);
                let (one, two) = (group.join(), group.join());
                for now in [0, u64::MAX, 1, u64::MAX] {
                    for n in [1, usize::MAX] {
                        group.allowance(one, READ, now, n);
                        group.allowance(two, READ, now, n);
                        group.charge(one, READ, n);
                        group.add(READ, i64::MIN);
                        group.allowance(two, READ, now, n);
                        group.add(READ, i64::MAX);
                    }
                }
            }
        }
    }

    /// What a member of the simulation wants.
    #[derive(Clone, Copy)]
    enum Appetite {
        /// All it can get, always.
        Greedy,
        /// So many bytes, so many nanoseconds after it got the last of the ones before.
        Sparse(usize, u64),
    }

    struct Player {
        id: MemberId,
        appetite: Appetite,
        left: usize,
        got: u64,
        /// The longest it had to wait for a turn.
        waited: u64,
        hungry_since: Option<u64>,
    }

    /// Members at a socket that always has something, in a loop whose iterations take a while.
    struct Game {
        group: RateGroup,
        now: u64,
        players: Vec<Player>,
        /// Who does something next: time, order, player.
        agenda: BinaryHeap<Reverse<(u64, u64, usize)>>,
        order: u64,
        /// How late the loop may be, at most.
        lag: u64,
        asked: u64,
        moved: u64,
    }

    const STEP: u64 = 20_000;

    impl Game {
        fn new(limit: RateLimit) -> Self {
            Self {
                group: RateGroup::new(limit),
                now: 0,
                players: Vec::new(),
                agenda: BinaryHeap::new(),
                order: 0,
                lag: 0,
                asked: 0,
                moved: 0,
            }
        }

        fn join(&mut self, count: usize, appetite: Appetite) {
            for _ in 0..count {
                let id = self.group.join();
                let (left, hungry_since) = (0, None);
                self.players.push(Player { id, appetite, left, got: 0, waited: 0, hungry_since });
                self.plan(self.now, self.players.len() - 1);
            }
        }

        fn plan(&mut self, at: u64, player: usize) {
            self.order += 1;
            self.agenda.push(Reverse((at, self.order, player)));
        }

        fn play(&mut self, until: u64) {
            while let Some(&Reverse((at, _, index))) = self.agenda.peek() {
                if at > until {
                    break;
                }
                self.agenda.pop();
                self.now = self.now.max(at);
                let now = self.now;
                let player = &mut self.players[index];
                let want = match player.appetite {
                    Appetite::Greedy => 65536,
                    Appetite::Sparse(n, _) if player.left == 0 => {
                        player.left = n;
                        n
                    }
                    Appetite::Sparse(..) => player.left,
                };
                self.asked += 1;
                let next = match self.group.allowance(player.id, READ, now, want) {
                    Allowance::Now(n) => {
                        assert!(n > 0 && n <= want);
                        self.group.charge(player.id, READ, n);
                        player.got += n as u64;
                        self.moved += n as u64;
                        let since = player.hungry_since.take().unwrap_or(now);
                        player.waited = player.waited.max(now - since);
                        match player.appetite {
                            Appetite::Greedy => now + STEP,
                            Appetite::Sparse(_, pause) => {
                                player.left -= n;
                                now + if player.left == 0 { pause } else { STEP }
                            }
                        }
                    }
                    Allowance::WaitUntil(at) => {
                        assert!(at > now);
                        player.hungry_since.get_or_insert(now);
                        // Not at random, but as good as that.
                        at + self.order.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (self.lag + 1)
                    }
                };
                self.plan(next, index);
                let group = self.group.inner.borrow();
                assert_eq!(group.read.total, self.moved);
                check(&group.read);
            }
            self.now = until;
        }

        fn forget_the_past(&mut self) -> u64 {
            for player in &mut self.players {
                (player.got, player.waited) = (0, 0);
            }
            mem::take(&mut self.asked)
        }
    }

    /// The invariants at the head of the file.
    fn check(line: &Line) {
        if line.queue.len() > 64 {
            // Once in a while.
            if line.next_ticket % 64 != 0 {
                return;
            }
        }
        let there = line.queue.iter().filter(|place| place.told.is_some());
        assert_eq!(there.count() as u64, line.waiting);
        let in_round = |place: &&Place| place.told.is_some() && place.ticket < line.round_end;
        assert_eq!(line.queue.iter().filter(in_round).count() as u64, line.in_round);
        assert!(line.queue.front().is_none_or(|place| place.told.is_some()));
        assert!(line.queue.iter().is_sorted_by_key(|place| place.ticket));
        assert!(line.queue.len() as u64 <= 2 * line.waiting);
    }

    fn near(what: u64, fair: u64) -> bool {
        what.abs_diff(fair) * 10 <= fair
    }

    #[test]
    fn greedy_members_get_equal_shares_and_all_there_is() {
        // Rates at which turns are parts of a tick, and ones at which they are the minimum share.
        for (count, rate, seconds) in [
            (1, 1_000_000, 20),
            (2, 1_000_000, 20),
            (10, 1_000_000, 20),
            (10, 20_000, 60),
            (100, 1_000_000, 10),
            (1000, 10_000_000, 4),
            (1000, 1_000_000, 15),
        ] {
            for burst in [rate / 10, rate / 5, rate, rate * 10] {
                let mut game = Game::new(RateLimit::new().read(rate, burst).unwrap());
                game.join(count, Appetite::Greedy);
                game.play(5 * SECOND);
                assert!(game.moved <= 5 * rate + burst);
                game.forget_the_past();
                let before = game.moved;
                game.play((5 + seconds) * SECOND);
                assert!(game.moved <= (5 + seconds) * rate + burst);
                let all = game.moved - before;
                // A bucket that holds a tick's worth is full when that is over.
                let least = if burst == rate / 10 { 95 } else { 99 };
                assert!(all * 100 >= seconds * rate * least, "{count} {rate} {burst}: {all}");
                for player in &game.players {
                    let got = player.got;
                    assert!(near(got, all / count as u64), "{count} {rate} {burst}: {got}");
                }
            }
        }
    }

    #[test]
    fn a_loop_that_is_late_and_out_of_order_is_fair_too() {
        for (count, rate, lag) in
            [(2, 1_000_000, 30), (10, 1_000_000, 30), (100, 100_000, 5), (100, 100_000, 200)]
        {
            let mut game = Game::new(RateLimit::new().read(rate, rate).unwrap());
            game.lag = lag * MILLISECOND;
            game.join(count, Appetite::Greedy);
            game.play(20 * SECOND);
            game.forget_the_past();
            let before = game.moved;
            game.play(80 * SECOND);
            let all = game.moved - before;
            assert!(all * 100 >= 60 * rate * 97, "{count} {lag}: {all}");
            for player in &game.players {
                let got = player.got;
                assert!(near(got, all / count as u64), "{count} {lag}: {got} of {all}");
            }
        }
    }

    #[test]
    fn the_loop_is_not_woken_up_more_often_than_turns_and_ticks_demand() {
        let mut game = Game::new(RateLimit::new().read(1_000_000, 1_000_000).unwrap());
        game.join(10, Appetite::Greedy);
        game.play(10 * SECOND);
        game.forget_the_past();
        game.play(20 * SECOND);
        // Ten ticks a second, in each of which ten have a turn and ask a second time.
        assert!(game.asked <= 10 * 10 * 10 * 3, "{}", game.asked);
    }

    #[test]
    fn sparse_members_get_what_they_want_beside_greedy_ones_which_get_the_rest() {
        let mut game = Game::new(RateLimit::new().read(1_000_000, 1_000_000).unwrap());
        game.join(5, Appetite::Greedy);
        game.join(5, Appetite::Sparse(100, 50 * MILLISECOND));
        game.play(5 * SECOND);
        game.forget_the_past();
        let before = game.moved;
        game.play(65 * SECOND);
        let all = game.moved - before;
        assert!(all * 100 >= 60 * 1_000_000 * 99, "{all}");
        let sparse: u64 = game.players[5..].iter().map(|player| player.got).sum();
        for player in &game.players[..5] {
            assert!(near(player.got, (all - sparse) / 5), "{}", player.got);
        }
        for player in &game.players[5..] {
            // 100 bytes after at most 50 ms and two ticks.
            assert!(player.got >= 60 * 4 * 100, "{}", player.got);
            assert!(player.waited <= 200 * MILLISECOND, "{}", player.waited);
        }
    }

    #[test]
    fn sparse_members_alone_do_not_wait_for_more_than_they_want() {
        let mut game = Game::new(RateLimit::new().read(1000, 100).unwrap());
        game.join(1, Appetite::Sparse(10, MILLISECOND));
        game.play(10 * SECOND);
        assert!(near(game.moved, 10_000), "{}", game.moved);
        assert!(game.players[0].waited <= 20 * MILLISECOND);
    }

    #[test]
    fn nobody_starves_however_many_there_are() {
        let mut game = Game::new(RateLimit::new().read(100_000, 100_000).unwrap());
        game.join(1000, Appetite::Greedy);
        // A round is 1000 × 256 bytes.
        game.play(60 * SECOND);
        for player in &game.players {
            assert!(player.got > 0);
            assert!(player.waited <= 5 * SECOND, "{}", player.waited);
        }
    }

    #[test]
    fn members_that_leave_the_line_give_their_turns_to_the_others() {
        let mut game = Game::new(RateLimit::new().read(100_000, 20_000).unwrap());
        game.join(100, Appetite::Greedy);
        game.play(10 * SECOND);
        // Every second one, with the first in line among them, and then almost all.
        for keep in [2, 50] {
            let mut gone = Vec::new();
            for (index, player) in game.players.iter().enumerate() {
                if index % keep != 1 {
                    game.group.leave(player.id);
                    game.group.leave(player.id);
                    gone.push(index);
                }
            }
            game.agenda.retain(|Reverse((_, _, index))| !gone.contains(index));
            game.play(game.now + 3 * SECOND);
            game.forget_the_past();
            let begin = (game.now, game.moved);
            game.play(begin.0 + 20 * SECOND);
            let all = game.moved - begin.1;
            assert!(all >= 20 * 95_000, "{keep}: {all}");
            let staying = game.group.members() as u64;
            assert_eq!(staying, 100 / keep as u64);
            for (index, player) in game.players.iter().enumerate() {
                let share = if gone.contains(&index) { 0 } else { all / staying };
                assert!(near(player.got, share), "{index}: {} of {share}", player.got);
            }
        }
    }

    #[test]
    fn members_that_fall_silent_in_line_do_not_hold_up_the_rest_for_long() {
        let mut game = Game::new(RateLimit::new().read(10_000, 10_000).unwrap());
        game.join(200, Appetite::Greedy);
        game.play(20 * SECOND);
        game.agenda.retain(|Reverse((_, _, index))| *index >= 195);
        game.play(30 * SECOND);
        game.forget_the_past();
        let before = game.moved;
        game.play(60 * SECOND);
        assert!(game.moved - before >= 30 * 9_900, "{}", game.moved - before);
        // Those who come back are members as before.
        game.plan(game.now, 0);
        game.forget_the_past();
        game.play(120 * SECOND);
        assert!(near(game.players[0].got, 100_000), "{}", game.players[0].got);
    }

    #[test]
    fn a_limit_changed_live_holds_from_then_on() {
        let limit = |rate| RateLimit::new().read(rate, rate).unwrap();
        let mut game = Game::new(limit(1000));
        game.join(10, Appetite::Greedy);
        game.play(10 * SECOND);
        for rate in [1_000_000, 2000, 10, 100_000] {
            game.group.set_limit(limit(rate));
            // Those that wait notice within a second.
            game.play(game.now + SECOND);
            let begin = (game.now, game.moved);
            game.play(begin.0 + 60 * SECOND);
            let all = game.moved - begin.1;
            assert!(all <= 61 * rate + 1 && all >= 57 * rate, "{rate}: {all}");
        }
        // No limit: whoever asks, moves.
        game.group.set_limit(RateLimit::new());
        assert_eq!(game.group.level(READ), None);
        let id = game.players[3].id;
        assert_eq!(game.group.allowance(id, READ, game.now, 1 << 40), Allowance::Now(1 << 40));
        // And one again: the bucket is full.
        game.group.set_limit(limit(500));
        assert_eq!(game.group.level(READ), Some(500));
        game.group.charge(id, READ, 500);
        let answer = game.group.allowance(id, READ, game.now, 1000);
        assert!(matches!(answer, Allowance::WaitUntil(_)));
    }

    #[test]
    fn a_group_limits_only_the_direction_it_was_told_to_and_counts_both() {
        let group = RateGroup::new(RateLimit::new().write(1000, 1000).unwrap());
        let (one, two) = (group.join(), group.join());
        assert_eq!(group.allowance(one, READ, 0, usize::MAX), Allowance::Now(usize::MAX));
        group.charge(one, READ, 1 << 40);
        assert_eq!(group.allowance(two, READ, 0, 5), Allowance::Now(5));
        group.charge(two, READ, 5);
        assert_eq!(group.allowance(one, WRITE, 0, 9999), Allowance::Now(500));
        group.charge(one, WRITE, 1000);
        assert!(matches!(group.allowance(two, WRITE, 0, 9999), Allowance::WaitUntil(_)));
        assert_eq!((group.level(READ), group.level(WRITE)), (None, Some(0)));
        assert_eq!((group.total(READ), group.total(WRITE)), ((1 << 40) + 5, 1000));
        group.reset_totals();
        assert_eq!((group.total(READ), group.total(WRITE)), (0, 0));
    }

    #[test]
    fn buckets_are_adjusted_by_hand() {
        let group = RateGroup::new(RateLimit::new().read(1000, 1000).unwrap());
        let one = group.join();
        group.add(READ, -1500);
        assert_eq!(group.level(READ), Some(-500));
        assert_eq!(group.allowance(one, READ, 0, 100), Allowance::WaitUntil(600 * MILLISECOND));
        group.add(READ, 550);
        group.add(WRITE, -5);
        assert_eq!(group.allowance(one, READ, 0, 10), Allowance::Now(10));
        group.add(READ, i64::MAX);
        assert_eq!(group.level(READ), Some(1000));
        assert_eq!(group.total(READ), 0);
    }

    #[test]
    fn who_has_left_moves_nothing_and_its_key_is_nobody_elses() {
        let group = RateGroup::new(RateLimit::new().read(1000, 1000).unwrap());
        let one = group.join();
        group.leave(one);
        let two = group.join();
        assert_eq!(one.slot, two.slot);
        assert_eq!(group.allowance(one, READ, 0, 10), Allowance::Now(0));
        group.withdraw(one, READ);
        group.leave(one);
        assert_eq!(group.members(), 1);
        assert_eq!(group.allowance(two, READ, 0, 10), Allowance::Now(10));
    }

    #[test]
    fn a_turn_that_found_nothing_to_move_is_over_all_the_same() {
        let group = RateGroup::new(RateLimit::new().read(1000, 1000).unwrap());
        group.set_min_share(1);
        let (one, two) = (group.join(), group.join());
        group.charge(one, READ, 1000);
        for id in [one, two] {
            assert!(matches!(group.allowance(id, READ, 0, 9999), Allowance::WaitUntil(_)));
        }
        let at = 100 * MILLISECOND;
        assert_eq!(group.allowance(one, READ, at, 9999), Allowance::Now(50));
        group.charge(one, READ, 0);
        assert_eq!(group.allowance(two, READ, at, 9999), Allowance::Now(50));
        group.charge(two, READ, 50);
        // What the first has left has the next round begin the sooner.
        let next = at + 50 * MILLISECOND;
        assert_eq!(group.allowance(two, READ, at, 50), Allowance::Now(50));
        group.charge(two, READ, 50);
        assert_eq!(group.allowance(two, READ, at, 50), Allowance::WaitUntil(next));
    }

    #[derive(Clone, Debug)]
    enum Act {
        Ask { member: usize, want: usize, takes: usize },
        Pass(u64),
        Leave(usize),
        Withdraw(usize),
        Join,
        Change(u64, u64),
        MinShare(usize),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![
            8 => (any::<usize>(), 1..5000usize, 0..=5000usize)
                .prop_map(|(member, want, takes)| Act::Ask { member, want, takes }),
            4 => (0..300 * MILLISECOND).prop_map(Act::Pass),
            1 => (0..10 * SECOND).prop_map(Act::Pass),
            1 => any::<usize>().prop_map(Act::Leave),
            1 => any::<usize>().prop_map(Act::Withdraw),
            1 => Just(Act::Join),
            1 => (1..20_000u64, 1..20_000u64).prop_map(|(rate, burst)| Act::Change(rate, burst)),
            1 => (1..4000usize).prop_map(Act::MinShare),
        ]
    }

    proptest! {
        #[test]
        fn no_sequence_moves_more_than_rate_times_time_and_the_burst(
            acts in prop::collection::vec(act(), 1..300),
            rate in 1..20_000u64,
            burst in 1..20_000u64,
        ) {
            let group = RateGroup::new(RateLimit::new().read(rate, burst).unwrap());
            let mut members = vec![group.join(), group.join(), group.join()];
            let (mut rate, mut now) = (rate, 0u64);
            // Billionths of bytes that may have moved by now: a changed limit adds no burst.
            let (mut allowed, mut moved) = (u128::from(burst) * u128::from(SECOND), 0u128);
            for act in acts {
                let pick = |n: usize| n % members.len();
                match act {
                    Act::Ask { member, want, takes } => {
                        let id = members[pick(member)];
                        match group.allowance(id, READ, now, want) {
                            Allowance::Now(n) => {
                                prop_assert!(n <= want);
                                let n = n.min(takes);
                                group.charge(id, READ, n);
                                moved += n as u128 * u128::from(SECOND);
                            }
                            Allowance::WaitUntil(at) => prop_assert!(at > now),
                        }
                    }
                    Act::Pass(time) => {
                        now += time;
                        allowed += u128::from(rate) * u128::from(time);
                    }
                    Act::Leave(member) if members.len() > 1 => {
                        group.leave(members.swap_remove(pick(member)));
                    }
                    Act::Leave(_) => {}
                    Act::Withdraw(member) => group.withdraw(members[pick(member)], READ),
                    Act::Join => members.push(group.join()),
                    Act::Change(other, burst) => {
                        group.set_limit(RateLimit::new().read(other, burst).unwrap());
                        rate = other;
                    }
                    Act::MinShare(n) => group.set_min_share(n),
                }
                prop_assert!(moved <= allowed);
                check(&group.inner.borrow().read);
            }
            // Whoever is left gets something in the end.
            for &id in &members[1..] {
                group.leave(id);
            }
            let mut asked = 0;
            while let Allowance::WaitUntil(at) = group.allowance(members[0], READ, now, 100) {
                now = at;
                asked += 1;
                prop_assert!(asked < 10);
            }
        }
    }
}
