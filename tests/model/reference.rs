//! The reference: what loop.md 1.4, 1.6, 2 and 3 say, in naive lists.
//!
//! It is driven by the real loop: hooks around the wait tell it where the iteration stands, each
//! callback that runs is checked against what may run next. Where the spec leaves an order open
//! (descriptors in the kernel's report, when exactly a `feed_later` comes) it accepts every one.

use std::collections::VecDeque;

use evloop::{Break, Events, Interest};

pub const COUNT: usize = 15;
pub const PAIRS: usize = 3;
/// The bit that only `feed_later` uses here, to tell its events from others.
pub const LATER: Events = Events::ASYNC;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    Io,
    Timer,
    Idle,
    Prepare,
    Check,
}

pub fn kind_of(id: usize) -> Kind {
    match id {
        0..5 => Kind::Io,
        5..9 => Kind::Timer,
        9..11 => Kind::Idle,
        11..13 => Kind::Prepare,
        _ => Kind::Check,
    }
}

/// The pair that an io watcher watches: the first two pairs have two watchers each.
pub fn pair_of(id: usize) -> usize {
    id % PAIRS
}

#[derive(Clone, Debug)]
pub struct Watcher {
    pub exists: bool,
    pub active: bool,
    pub holds: bool,
    pub priority: i8,
    pub running: bool,
    missed: Option<Events>,
    /// The bits of `feed_later`, and whether their iteration has begun.
    later: Option<bool>,
    started: u64,
    /// A repeater that has armed itself again since: whether that counts as a start among equal
    /// due times is left open.
    rearmed: bool,
    pub interest: Interest,
    /// Milliseconds: what is left while stopped, the period, and when it is due.
    after: u64,
    pub repeat: u64,
    due: u64,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    id: usize,
    bits: Events,
    /// The wait and what it belongs to there, where that leaves an order open.
    group: Option<(u64, Group)>,
    check: bool,
}

/// Neighbours in a queue whose order is left open.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Group {
    /// The descriptors of a report come in the kernel's order; the watchers of one in start order.
    Pair(usize),
    /// Timers equally due, a repeater that armed itself again among them.
    Due(u64),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Step 0: what was pending when `run` was entered.
    Entered,
    Prepared,
    Waiting,
    Waited,
    /// `invoke_pending`.
    Bare,
}

pub struct Model {
    pub watchers: Vec<Watcher>,
    bands: [VecDeque<Entry>; 5],
    stages: Vec<Stage>,
    breaking: Option<Break>,
    invoking: Option<(usize, Events)>,
    sequence: u64,
    pub now: u64,
    pub iteration: u64,
    /// Level-triggered readiness by data (`None`: scripted, reported once).
    pub data: Option<[bool; PAIRS]>,
    pub scripted: Vec<(usize, Events)>,
}

fn band(priority: i8) -> usize {
    usize::try_from(2 - priority).expect("a clamped priority")
}

/// What an interest has in common with what is ready.
fn share(interest: Interest, ready: Events) -> Events {
    let mut share = Events::NONE;
    for (asked, told) in [(Interest::READ, Events::READ), (Interest::WRITE, Events::WRITE)] {
        if interest.contains(asked) {
            share |= ready & told;
        }
    }
    share
}

impl Model {
    pub fn new(level_triggered: bool) -> Self {
        Model {
            watchers: vec![Watcher::new(); COUNT],
            bands: Default::default(),
            stages: Vec::new(),
            breaking: None,
            invoking: None,
            sequence: 0,
            now: 0,
            iteration: 0,
            data: level_triggered.then_some([false; PAIRS]),
            scripted: Vec::new(),
        }
    }

    fn tick(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    // What can be asked.

    fn queued(&self, id: usize) -> Option<&Entry> {
        self.bands.iter().flatten().find(|e| e.id == id)
    }

    pub fn is_pending(&self, id: usize) -> bool {
        self.queued(id).is_some() || self.watchers[id].missed.is_some()
    }

    pub fn pending_count(&self) -> usize {
        let missed = self.watchers.iter().filter(|w| w.missed.is_some()).count();
        missed + self.bands.iter().map(VecDeque::len).sum::<usize>()
    }

    pub fn has_later(&self, id: usize) -> bool {
        self.watchers[id].later.is_some()
    }

    pub fn any_later(&self) -> bool {
        (0..COUNT).any(|id| self.has_later(id))
    }

    pub fn has_refs(&self) -> bool {
        self.watchers.iter().any(|w| w.active && w.holds)
    }

    pub fn any_idle(&self) -> bool {
        (0..COUNT).any(|id| kind_of(id) == Kind::Idle && self.watchers[id].active)
    }

    pub fn is_running(&self, kinds: &[Kind]) -> bool {
        (0..COUNT).any(|id| self.watchers[id].running && kinds.contains(&kind_of(id)))
    }

    pub fn remaining(&self, id: usize) -> u64 {
        let w = &self.watchers[id];
        if w.active { w.due.saturating_sub(self.now) } else { w.after }
    }

    /// How many runs are on the stack.
    pub fn depth(&self) -> usize {
        self.stages.iter().filter(|s| **s != Stage::Bare).count()
    }

    pub fn frames(&self) -> usize {
        self.stages.len()
    }

    pub fn may_feed_later(&self) -> bool {
        self.stages.is_empty() || self.stages == [Stage::Waited]
    }

    // What can be done.

    pub fn create(&mut self, id: usize, after: u64, repeat: u64, interest: Interest) {
        self.watchers[id] = Watcher { exists: true, after, repeat, interest, ..Watcher::new() };
    }

    pub fn start(&mut self, id: usize) {
        let (sequence, now) = (self.tick(), self.now);
        let w = &mut self.watchers[id];
        if w.exists && !w.active {
            w.active = true;
            w.started = sequence;
            w.rearmed = false;
            w.due = now + w.after;
        }
    }

    fn forget(&mut self, id: usize) -> Events {
        let mut bits = self.watchers[id].missed.take().unwrap_or(Events::NONE);
        for band in &mut self.bands {
            if let Some(at) = band.iter().position(|e| e.id == id) {
                bits |= band.remove(at).expect("just found").bits;
            }
        }
        bits
    }

    pub fn stop(&mut self, id: usize) {
        self.forget(id);
        let now = self.now;
        let w = &mut self.watchers[id];
        w.later = None;
        if w.active {
            w.active = false;
            w.after = w.due.saturating_sub(now);
        }
    }

    pub fn free(&mut self, id: usize) {
        self.stop(id);
        self.watchers[id].exists = false;
    }

    pub fn clear(&mut self, id: usize) -> Events {
        self.forget(id)
    }

    pub fn again(&mut self, id: usize) {
        self.forget(id);
        let (active, repeat) = (self.watchers[id].active, self.watchers[id].repeat);
        match (active, repeat) {
            (true, 0) => self.stop(id),
            (false, 0) => {}
            _ => self.arm(id, repeat),
        }
    }

    /// Due so long from now, started if need be, last among its equals.
    pub fn arm(&mut self, id: usize, d: u64) {
        let (sequence, now) = (self.tick(), self.now);
        let w = &mut self.watchers[id];
        w.active = true;
        w.started = sequence;
        w.rearmed = false;
        w.due = now + d;
    }

    pub fn feed(&mut self, id: usize, bits: Events) {
        self.queue(Entry { id, bits, group: None, check: false });
    }

    /// At most one at a time, so that it is known which iteration is its.
    pub fn feed_later(&mut self, id: usize) {
        self.watchers[id].later = Some(false);
    }

    pub fn break_loop(&mut self, how: Break) {
        self.breaking = match (how, self.breaking) {
            (Break::Cancel, _) => None,
            (Break::One, Some(Break::All)) => Some(Break::One),
            (how, _) => Some(how),
        };
    }

    pub fn expect_invoke(&mut self, id: usize, bits: Events) {
        self.invoking = Some((id, bits));
    }

    fn queue(&mut self, entry: Entry) {
        let w = &mut self.watchers[entry.id];
        if w.running {
            *w.missed.get_or_insert(Events::NONE) |= entry.bits;
        } else if let Some(old) = self.bands.iter_mut().flatten().find(|e| e.id == entry.id) {
            old.bits |= entry.bits;
        } else {
            self.bands[band(w.priority)].push_back(entry);
        }
    }

    // What the loop does.

    pub fn enter_run(&mut self) {
        self.breaking = None;
        if self.depth() == 0 {
            self.watchers.iter_mut().for_each(|w| w.later = w.later.map(|_| true));
        }
        self.stages.push(Stage::Entered);
    }

    pub fn leave_run(&mut self) {
        self.prepare_if_due();
        assert_eq!(self.queue_len(), 0, "a run returned with events undelivered: {:?}", self.bands);
        let stage = self.stages.pop().expect("a run");
        match stage {
            Stage::Waited => {
                for (id, w) in self.watchers.iter().enumerate() {
                    let lost = self.stages.is_empty() && w.later == Some(true);
                    assert!(!lost, "feed_later to {id} was not delivered");
                }
            }
            _ => assert!(self.breaking.is_some(), "a run without a wait: {stage:?}"),
        }
        if matches!(self.breaking, Some(Break::One)) {
            self.breaking = None;
        }
    }

    pub fn enter_bare(&mut self) {
        self.stages.push(Stage::Bare);
    }

    pub fn leave_bare(&mut self) {
        assert_eq!(self.queue_len(), 0, "invoke_pending left events: {:?}", self.bands);
        assert_eq!(self.stages.pop(), Some(Stage::Bare));
    }

    fn queue_len(&self) -> usize {
        self.bands.iter().map(VecDeque::len).sum()
    }

    fn prepare_if_due(&mut self) {
        if self.stages.last() == Some(&Stage::Entered) && self.queue_len() == 0 {
            *self.stages.last_mut().expect("just seen") = Stage::Prepared;
            for id in self.started(Kind::Prepare) {
                self.feed(id, Events::PREPARE);
            }
        }
    }

    pub fn before_wait(&mut self) {
        self.prepare_if_due();
        assert_eq!(self.queue_len(), 0, "a wait with events undelivered: {:?}", self.bands);
        assert!(self.breaking.is_none(), "a wait although a break was requested");
        let stage = self.stages.last_mut().expect("a run");
        assert_eq!(*stage, Stage::Prepared, "one wait per pass");
        *stage = Stage::Waiting;
    }

    /// Step 14 of the iteration.
    pub fn after_wait(&mut self) {
        let stage = self.stages.last_mut().expect("a run");
        assert_eq!(*stage, Stage::Waiting);
        *stage = Stage::Waited;
        self.iteration += 1;
        for id in self.started(Kind::Check) {
            self.queue(Entry { id, bits: Events::CHECK, group: None, check: true });
        }
        self.expire_timers();
        self.report_io();
        self.queue_idle();
    }

    /// The started watchers of a kind, in start order.
    fn started(&self, kind: Kind) -> Vec<usize> {
        let mut ids: Vec<_> =
            (0..COUNT).filter(|id| kind_of(*id) == kind && self.watchers[*id].active).collect();
        ids.sort_by_key(|id| self.watchers[*id].started);
        ids
    }

    fn expire_timers(&mut self) {
        let mut due = self.started(Kind::Timer);
        due.retain(|id| self.watchers[*id].due <= self.now);
        due.sort_by_key(|id| self.watchers[*id].due);
        let open: Vec<_> = due
            .iter()
            .map(|id| &self.watchers[*id])
            .filter_map(|w| w.rearmed.then_some(w.due))
            .collect();
        for id in due {
            let now = self.now;
            let w = &mut self.watchers[id];
            let group = open.contains(&w.due).then_some((self.iteration, Group::Due(w.due)));
            if w.repeat == 0 {
                w.active = false;
                w.after = 0;
            } else {
                w.due = (w.due + w.repeat).max(now);
                w.rearmed = true;
            }
            self.queue(Entry { id, bits: Events::TIMER, group, check: false });
        }
    }

    fn report_io(&mut self) {
        let reports = match self.data {
            Some(data) => (0..PAIRS)
                .map(|p| (p, if data[p] { Events::READ | Events::WRITE } else { Events::WRITE }))
                .collect(),
            None => std::mem::take(&mut self.scripted),
        };
        let withdrawn = self.depth() >= 2;
        for (pair, ready) in reports {
            for id in self.started(Kind::Io) {
                let w = &self.watchers[id];
                let bits = share(w.interest, ready);
                if pair_of(id) == pair && !bits.is_empty() && !(w.running && withdrawn) {
                    let group = Some((self.iteration, Group::Pair(pair)));
                    self.queue(Entry { id, bits, group, check: false });
                }
            }
        }
    }

    fn queue_idle(&mut self) {
        for priority in [2, 1, 0, -1, -2] {
            if self.bands[band(priority)].iter().any(|e| !e.check) {
                return;
            }
            let mut idle = self.started(Kind::Idle);
            idle.retain(|id| self.watchers[*id].priority == priority);
            if !idle.is_empty() {
                idle.into_iter().for_each(|id| self.feed(id, Events::IDLE));
                return;
            }
        }
    }

    /// A callback is called: is it its turn, and are these its bits?
    pub fn enter_callback(&mut self, id: usize, bits: Events) {
        assert!(!self.watchers[id].running, "{id} was entered twice");
        if let Some(expected) = self.invoking.take() {
            assert_eq!((id, bits), expected, "invoke called something else");
        } else if bits.contains(LATER) {
            self.take_later(id, bits);
        } else {
            self.prepare_if_due();
            self.take_next(id, bits);
        }
        self.watchers[id].running = true;
    }

    fn take_later(&mut self, id: usize, bits: Events) {
        assert_eq!(self.watchers[id].later.take(), Some(true), "{id}: feed_later came too early");
        if bits != LATER {
            let own = self.forget(id);
            assert_eq!(bits, own | LATER, "{id}: other bits than were queued");
        }
    }

    fn take_next(&mut self, id: usize, bits: Events) {
        let stage = self.stages.last();
        let Some(band) = self.bands.iter_mut().find(|b| !b.is_empty()) else {
            panic!("{id} was told {bits:?} with nothing pending, {stage:?}");
        };
        // What waits for a `feed_later` too may come when that comes.
        let settled = |e: &Entry| self.watchers[e.id].later != Some(true);
        let queue: Vec<_> = band.iter().filter(|e| settled(e)).collect();
        let at = match queue.first().and_then(|e| e.group) {
            Some((wait, Group::Pair(_))) => {
                let mine = Some((wait, Group::Pair(pair_of(id))));
                let near = |e: &&&Entry| matches!(e.group, Some((w, Group::Pair(_))) if w == wait);
                queue.iter().take_while(near).position(|e| e.group == mine).unwrap_or(0)
            }
            Some(equal) => {
                let near = |e: &&&Entry| e.group == Some(equal);
                queue.iter().take_while(near).position(|e| e.id == id).unwrap_or(0)
            }
            None => 0,
        };
        let next = if settled(&Entry { id, bits, group: None, check: false }) {
            queue.get(at).map_or(id, |e| e.id)
        } else {
            id
        };
        let at = band.iter().position(|e| e.id == next);
        let next = at.and_then(|at| band.remove(at)).expect("something queued");
        assert_eq!((id, bits), (next.id, next.bits), "out of turn; queued: {band:?}, {stage:?}");
    }

    pub fn leave_callback(&mut self, id: usize) {
        let w = &mut self.watchers[id];
        w.running = false;
        if let Some(bits) = w.missed.take() {
            self.feed(id, bits);
        }
    }
}

impl Watcher {
    fn new() -> Self {
        Watcher {
            exists: false,
            active: false,
            holds: true,
            priority: 0,
            running: false,
            missed: None,
            later: None,
            started: 0,
            rearmed: false,
            interest: Interest::NONE,
            after: 0,
            repeat: 0,
            due: 0,
        }
    }
}
