//! One direction of a group: who stands in its line, and when it is whose turn.

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

use std::collections::VecDeque;

use slab::Slab;

use super::bucket::{Allowance, Bucket, MILLISECOND, SECOND, signed, unsigned};
use super::group::Member;
use super::limit::MOST;
use crate::net::Direction;

/// A member in line looks again at least this often (or once a tick if that is longer): those before it may
/// have left, and the limit may be another one.
const LONGEST_WAIT: u64 = SECOND;

/// One direction of a group.
pub(super) struct Line {
    /// None: unlimited, and nobody waits.
    pub(super) bucket: Option<Bucket>,
    pub(super) queue: VecDeque<Place>,
    pub(super) waiting: u64,
    pub(super) next_ticket: u64,
    /// Who has a ticket below this takes part in the round.
    pub(super) round_end: u64,
    pub(super) in_round: u64,
    /// What each may take in the round. The same for all of it: its last members would find more for each
    /// than its first did.
    turn: u64,
    pub(super) total: u64,
}

pub(super) struct Place {
    pub(super) ticket: u64,
    /// When its member was told to ask again. `None`: a gap, its member has gone.
    pub(super) told: Option<u64>,
    slot: usize,
}

pub(super) struct Asked {
    pub(super) now: u64,
    pub(super) want: usize,
    /// How many members the group has.
    pub(super) count: u64,
    pub(super) min_share: u64,
}

impl Line {
    pub(super) fn new(bucket: Option<Bucket>) -> Self {
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
    pub(super) fn ask(
        &mut self,
        ticket: Option<u64>,
        slot: usize,
        asked: &Asked,
    ) -> (Option<u64>, Allowance) {
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
    pub(super) fn strike_off(
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

    pub(super) fn remove(&mut self, ticket: u64) {
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
    pub(super) fn dissolve(&mut self) {
        self.queue.clear();
        self.waiting = 0;
        self.in_round = 0;
    }
}
