//! The real loop beside the reference: every operation is done to both, then they are compared.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::os::unix::net::UnixStream;
use std::rc::Rc;
use std::time::Duration;

use evloop::testing::{MockClock, Script};
use evloop::{Break, Check, EvLoop, Events, Idle, Interest, Io, Prepare, Run, Timer};
use proptest::prelude::*;

use crate::reference::{COUNT, Kind, LATER, Model, PAIRS, kind_of, pair_of};
use crate::sockets::{drain, put, shared_pair};

#[derive(Clone, Copy, Debug)]
pub enum Op {
    Start(usize),
    Stop(usize),
    Free(usize),
    Create(usize, u64, u64),
    Feed(usize, Events),
    FeedLater(usize),
    Clear(usize),
    SetPriority(usize, i8),
    SetRef(usize, bool),
    SetInterest(usize, Interest),
    Again(usize),
    Restart(usize, u64),
    SetRepeat(usize, u64),
    Invoke(usize, Events),
    InvokePending,
    Break(Break),
    Put(usize),
    Drain(usize),
    /// At most three deep.
    Nest,
    /// Only outside callbacks.
    Run,
    Advance(u64),
}

pub fn operations() -> impl Strategy<Value = Op> {
    let id = 0..COUNT;
    let timer = 5..9_usize;
    let interest = prop::sample::select(vec![
        Interest::NONE,
        Interest::READ,
        Interest::WRITE,
        Interest::READ | Interest::WRITE,
    ]);
    let bits = prop::sample::select(vec![Events::NONE, Events::CUSTOM, Events::PRIORITY]);
    let how = prop::sample::select(vec![Break::One, Break::All, Break::Cancel]);
    prop_oneof![
        12 => id.clone().prop_map(Op::Start),
        6 => id.clone().prop_map(Op::Stop),
        3 => id.clone().prop_map(Op::Free),
        4 => (id.clone(), 0..4_u64, 0..3_u64).prop_map(|(i, a, r)| Op::Create(i, a, r)),
        5 => (id.clone(), bits.clone()).prop_map(|(i, b)| Op::Feed(i, b)),
        2 => id.clone().prop_map(Op::FeedLater),
        3 => id.clone().prop_map(Op::Clear),
        4 => (id.clone(), -3..4_i8).prop_map(|(i, p)| Op::SetPriority(i, p)),
        2 => (id.clone(), any::<bool>()).prop_map(|(i, r)| Op::SetRef(i, r)),
        4 => (0..5_usize, interest).prop_map(|(i, x)| Op::SetInterest(i, x)),
        3 => timer.clone().prop_map(Op::Again),
        2 => (timer.clone(), 0..4_u64).prop_map(|(i, d)| Op::Restart(i, d)),
        2 => (timer, 0..3_u64).prop_map(|(i, d)| Op::SetRepeat(i, d)),
        2 => (id, bits).prop_map(|(i, b)| Op::Invoke(i, b)),
        1 => Just(Op::InvokePending),
        1 => how.prop_map(Op::Break),
        4 => (0..PAIRS).prop_map(Op::Put),
        3 => (0..PAIRS).prop_map(Op::Drain),
        3 => Just(Op::Nest),
        8 => Just(Op::Run),
        4 => (0..5_u64).prop_map(Op::Advance),
    ]
}

#[derive(Clone, Copy)]
enum Key {
    Io(Io),
    Timer(Timer),
    Idle(Idle),
    Prepare(Prepare),
    Check(Check),
}

/// The same verb on whatever kind of key.
macro_rules! on_key {
    ($key:expr, $k:ident => $verb:expr) => {
        match $key {
            Key::Io($k) => $verb,
            Key::Timer($k) => $verb,
            Key::Idle($k) => $verb,
            Key::Prepare($k) => $verb,
            Key::Check($k) => $verb,
        }
    };
}

pub struct World {
    model: Model,
    keys: Vec<Key>,
    pairs: Vec<(Rc<UnixStream>, UnixStream)>,
    /// What the callbacks do, in the order in which they are called.
    inside: VecDeque<Vec<Op>>,
    clock: MockClock,
    script: Option<Script>,
}

type Shared = Rc<RefCell<World>>;

/// Runs one history against one loop.
pub fn history(
    (mut ev, clock, script): (EvLoop, MockClock, Option<Script>),
    outside: &[Op],
    inside: Vec<Vec<Op>>,
) {
    let world = Rc::new(RefCell::new(World {
        model: Model::new(script.is_none()),
        keys: Vec::new(),
        pairs: (0..PAIRS).map(|_| shared_pair()).collect(),
        inside: inside.into(),
        clock,
        script,
    }));
    let (before, after) = (Rc::clone(&world), Rc::clone(&world));
    ev.on_wait(
        move || before.borrow_mut().model.before_wait(),
        move || after.borrow_mut().model.after_wait(),
    );
    for id in 0..COUNT {
        let key = create(&world, &mut ev, id, 1, (id % 2) as u64);
        world.borrow_mut().keys.push(key);
    }
    for op in outside {
        apply(&world, &mut ev, op);
        compare(&world, &mut ev);
    }
    // Once more with nothing left to be done by callbacks, then the end.
    world.borrow_mut().inside.clear();
    apply(&world, &mut ev, &Op::Run);
    compare(&world, &mut ev);
}

fn create(world: &Shared, ev: &mut EvLoop, id: usize, after: u64, repeat: u64) -> Key {
    let interest = if id % 2 == 0 { Interest::READ } else { Interest::WRITE };
    world.borrow_mut().model.create(id, after, repeat, interest);
    let near = Rc::clone(&world.borrow().pairs[pair_of(id)].0);
    let w = Rc::clone(world);
    let (after, repeat) = (Duration::from_millis(after), Duration::from_millis(repeat));
    match kind_of(id) {
        Kind::Io => Key::Io(ev.io(near, interest, move |ev, e| called(&w, ev, id, e.ready))),
        Kind::Timer => {
            Key::Timer(ev.timer(after, repeat, move |ev, e| called(&w, ev, id, e.ready)))
        }
        Kind::Idle => Key::Idle(ev.idle(move |ev, e| called(&w, ev, id, e.ready))),
        Kind::Prepare => Key::Prepare(ev.prepare(move |ev, e| called(&w, ev, id, e.ready))),
        Kind::Check => Key::Check(ev.check(move |ev, e| called(&w, ev, id, e.ready))),
    }
}

fn called(world: &Shared, ev: &mut EvLoop, id: usize, bits: Events) {
    world.borrow_mut().model.enter_callback(id, bits);
    compare(world, ev);
    let ops = world.borrow_mut().inside.pop_front().unwrap_or_default();
    for op in &ops {
        apply(world, ev, op);
        compare(world, ev);
    }
    world.borrow_mut().model.leave_callback(id);
}

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

/// One operation on both. What the spec leaves open is skipped, each with its reason.
fn apply(world: &Shared, ev: &mut EvLoop, op: &Op) {
    match *op {
        Op::Run | Op::Advance(_) | Op::Nest | Op::InvokePending | Op::Invoke(..) => {
            control(world, ev, op);
        }
        Op::Create(id, after, repeat) => {
            let free = !world.borrow().model.watchers[id].exists;
            if free && !world.borrow().model.watchers[id].running {
                let key = create(world, ev, id, after, repeat);
                let old = std::mem::replace(&mut world.borrow_mut().keys[id], key);
                let revived = on_key!(old, k => k.exists(ev) || k.stop(ev) || k.feed(ev, LATER));
                assert!(!revived, "{id}: an old key means nothing");
            }
        }
        Op::Put(pair) => make_ready(world, pair),
        Op::Drain(pair) => {
            let mut world = world.borrow_mut();
            if let Some(data) = &mut world.model.data {
                data[pair] = false;
                drain(&world.pairs[pair].0);
            }
        }
        Op::Break(how) => {
            world.borrow_mut().model.break_loop(how);
            ev.break_loop(how);
        }
        _ => verb(world, ev, op),
    }
}

fn make_ready(world: &Shared, pair: usize) {
    let world = &mut *world.borrow_mut();
    let (model, far) = (&mut world.model, &world.pairs[pair].1);
    match (&mut model.data, &world.script) {
        (Some(data), _) => {
            if !std::mem::replace(&mut data[pair], true) {
                put(far);
            }
        }
        (None, Some(script)) => {
            // A script tells once; it names a watcher, so take one that is active.
            let told = model.scripted.iter().any(|(p, _)| *p == pair);
            let active = (0..5).find(|id| pair_of(*id) == pair && model.watchers[*id].active);
            if let (false, Some(id), 0) = (told, active, model.depth()) {
                let Key::Io(io) = world.keys[id] else { unreachable!("an io watcher") };
                script.ready(io, Events::READ | Events::WRITE);
                model.scripted.push((pair, Events::READ | Events::WRITE));
            }
        }
        (None, None) => unreachable!("either the kernel or a script"),
    }
}

fn control(world: &Shared, ev: &mut EvLoop, op: &Op) {
    let outside = world.borrow().model.frames() == 0 && !is_running(world);
    let deep = world.borrow().model.frames() >= 3;
    match *op {
        Op::Advance(d) if outside => {
            let mut world = world.borrow_mut();
            world.clock.advance(ms(d));
            world.model.now += d;
            ev.update_now();
        }
        Op::Run if outside => run(world, ev),
        Op::Nest if !deep && may_nest(world) => run(world, ev),
        Op::InvokePending if !deep => {
            world.borrow_mut().model.enter_bare();
            ev.invoke_pending();
            world.borrow_mut().model.leave_bare();
        }
        Op::Invoke(id, bits) if !deep => {
            let key = world.borrow().keys[id];
            let w = world.borrow().model.watchers[id].clone();
            // A watcher that is pending and running at once: where does a further event go?
            if world.borrow().model.is_pending(id) && w.exists && !w.running {
                return;
            }
            let callable = w.exists && !w.running;
            if callable {
                world.borrow_mut().model.expect_invoke(id, bits);
            }
            assert_eq!(on_key!(key, k => k.invoke(ev, bits)), callable, "invoke {id}");
        }
        _ => {}
    }
}

fn is_running(world: &Shared) -> bool {
    use Kind::{Check, Idle, Io, Prepare, Timer};
    world.borrow().model.is_running(&[Io, Timer, Idle, Prepare, Check])
}

fn may_nest(world: &Shared) -> bool {
    let model = &world.borrow().model;
    model.depth() >= 1
        // An error, tested elsewhere.
        && !model.is_running(&[Kind::Prepare, Kind::Check])
        // Does an event collected by a running watcher keep idle ones quiet? Left open.
        && !model.any_idle()
        && !model.is_running(&[Kind::Idle])
        // Which iteration is "the next"?
        && !model.any_later()
        // What a script tells a watcher whose interest is withdrawn is lost or not.
        && (model.scripted.is_empty() || !model.is_running(&[Kind::Io]))
}

fn run(world: &Shared, ev: &mut EvLoop) {
    world.borrow_mut().model.enter_run();
    let left = ev.run_mode(Run::NoWait).expect("a pass");
    let model = &mut world.borrow_mut().model;
    model.leave_run();
    if !model.any_later() {
        assert_eq!(left, model.has_refs(), "what run says is left");
    }
}

/// The verbs of the keys.
fn verb(world: &Shared, ev: &mut EvLoop, op: &Op) {
    let id = match *op {
        Op::Start(id) | Op::Stop(id) | Op::Free(id) | Op::Feed(id, _) | Op::FeedLater(id) => id,
        Op::Clear(id) | Op::SetPriority(id, _) | Op::SetRef(id, _) | Op::SetInterest(id, _) => id,
        Op::Again(id) | Op::Restart(id, _) | Op::SetRepeat(id, _) => id,
        _ => unreachable!("not a verb: {op:?}"),
    };
    let mut world = world.borrow_mut();
    let key = world.keys[id];
    let scripted = world.model.scripted.iter().any(|(pair, _)| *pair == pair_of(id));
    let model = &mut world.model;
    let w = model.watchers[id].clone();
    let (exists, pending, later) = (w.exists, model.is_pending(id), model.has_later(id));
    match (*op, key) {
        (Op::Start(_), Key::Io(io)) => {
            assert_eq!(io.start(ev).is_ok(), exists, "start {id}");
            model.start(id);
        }
        (Op::Start(_), _) => {
            // Idle watchers beside a feed_later or in a nested run: see `may_nest`.
            if kind_of(id) == Kind::Idle && (model.any_later() || model.frames() > 1) {
                return;
            }
            match key {
                Key::Timer(k) => drop(k.start(ev)),
                Key::Idle(k) => drop(k.start(ev)),
                Key::Prepare(k) => drop(k.start(ev)),
                Key::Check(k) => drop(k.start(ev)),
                Key::Io(_) => unreachable!("above"),
            }
            model.start(id);
        }
        (Op::Stop(_), _) => {
            assert_eq!(on_key!(key, k => k.stop(ev)), exists, "stop {id}");
            model.stop(id);
        }
        // The script names a watcher; leave it alive until the wait.
        (Op::Free(_), Key::Io(_)) if scripted => {}
        (Op::Free(_), _) => {
            assert_eq!(on_key!(key, k => k.free(ev)), exists, "free {id}");
            model.free(id);
        }
        // An event of no bits cannot be told from having joined what `feed_later` brings.
        (Op::Feed(_, bits), _) if bits.is_empty() && later => {}
        (Op::Feed(_, bits), _) => {
            assert_eq!(on_key!(key, k => k.feed(ev, bits)), exists, "feed {id}");
            if exists {
                model.feed(id, bits);
            }
        }
        // At most one at a time, with nothing that it may or may not join.
        (Op::FeedLater(_), _)
            if model.may_feed_later() && !model.any_idle() && !later && !pending =>
        {
            assert_eq!(on_key!(key, k => k.feed_later(ev, LATER)), exists, "later {id}");
            if exists {
                model.feed_later(id);
            }
        }
        (Op::Clear(_), _) if !later => {
            let bits = on_key!(key, k => k.clear_pending(ev));
            assert_eq!(bits, model.clear(id), "clear_pending {id}");
        }
        // Which priority an event collected while running has is left open.
        (Op::SetPriority(_, p), _) if !w.running => {
            on_key!(key, k => drop(k.set_priority(ev, p)));
            if exists {
                model.watchers[id].priority = p.clamp(-2, 2);
            }
        }
        (Op::SetRef(_, holds), _) => {
            on_key!(key, k => drop(k.set_ref(ev, holds)));
            if exists {
                model.watchers[id].holds = holds;
            }
        }
        // Whether a queued event is cut down to the new interest is left open.
        (Op::SetInterest(_, interest), Key::Io(io)) if !pending => {
            assert_eq!(io.set_interest(ev, interest).is_ok(), exists, "set_interest {id}");
            if exists {
                model.watchers[id].interest = interest;
            }
        }
        (Op::Again(_), Key::Timer(timer)) if !later => {
            timer.again(ev);
            if exists {
                model.again(id);
            }
        }
        // Whether a restart forgets what is pending is left open.
        (Op::Restart(_, d), Key::Timer(timer)) if !pending && !later => {
            timer.restart(ev, ms(d));
            if exists {
                model.arm(id, d);
            }
        }
        (Op::SetRepeat(_, d), Key::Timer(timer)) => {
            timer.set_repeat(ev, ms(d));
            if exists {
                model.watchers[id].repeat = d;
            }
        }
        _ => {}
    }
}

/// Everything that can be asked gives the same answer.
fn compare(world: &Shared, ev: &mut EvLoop) {
    ev.verify();
    let world = world.borrow();
    let model = &world.model;
    for (id, key) in world.keys.iter().enumerate() {
        let w = &model.watchers[id];
        let now = on_key!(*key, k => (k.exists(ev), k.is_active(ev), k.is_pending(ev)));
        assert_eq!((now.0, now.1), (w.exists, w.active), "{id}: exists, is active");
        if !model.has_later(id) {
            assert_eq!(now.2, model.is_pending(id), "{id}: is pending");
        }
        if w.exists {
            assert_eq!(on_key!(*key, k => k.priority(ev)), w.priority, "{id}: priority");
        }
        if let (Key::Timer(timer), true) = (key, w.exists) {
            assert_eq!(timer.remaining(ev), ms(model.remaining(id)), "{id}: remaining");
            assert_eq!(timer.repeat(ev), ms(w.repeat), "{id}: repeat");
        }
    }
    if !model.any_later() {
        assert_eq!(ev.pending_count(), model.pending_count(), "pending");
    }
    assert_eq!(ev.has_refs(), model.has_refs(), "references");
    assert_eq!(ev.iteration(), model.iteration, "iteration");
    if model.frames() == model.depth() {
        assert_eq!(ev.depth() as usize, model.depth(), "depth");
    }
}
