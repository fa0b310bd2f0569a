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
mod tests;
