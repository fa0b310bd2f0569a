use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::mem;
use std::time::Duration;

use proptest::prelude::*;

use super::bucket::{MILLISECOND, SECOND, signed};
use super::limit::{LONGEST_TICK, MOST, SHORTEST_TICK};
use super::line::{Line, Place};
use super::*;
use crate::ErrorKind;
use crate::net::Direction;

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
        assert_eq!(RateLimit::new().read(rate, burst).unwrap_err().kind(), ErrorKind::InvalidInput);
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
