//! Names: what is asked, kept and forgotten. Other than the system is asked where an answer is to be
//! held back or counted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicUsize;
use std::sync::{Mutex, PoisonError, mpsc};

use super::*;
use crate::testing::MockClock;
use crate::{Backend, Run};

/// Instantiates cases, functions of a backend, on each.
macro_rules! cases {
    ($($case:ident,)+) => {
        mod epoll {
            $(#[test] fn $case() { super::$case(crate::Backend::Epoll); })+
        }
        mod poll {
            $(#[test] fn $case() { super::$case(crate::Backend::Poll); })+
        }
    };
}
pub(in crate::net) use cases;

cases! {
    a_host_of_this_machine_has_its_addresses_and_the_port,
    a_name_nobody_has_is_named_in_the_error,
    an_address_is_its_own_answer_and_nobody_is_asked,
    what_is_no_name_is_refused_at_once,
    questions_about_one_host_share_a_look_up_and_are_told_in_order,
    an_answer_is_kept_for_its_life_and_told_from_the_loop,
    that_there_is_none_is_kept_for_a_shorter_time,
    trouble_of_this_machine_is_not_kept,
    an_empty_answer_is_an_error,
    a_life_of_zero_keeps_nothing,
    what_is_forgotten_is_asked_anew_also_while_it_is_under_way,
    all_names_can_be_forgotten,
    the_time_is_over_and_the_next_one_joins_the_look_up,
    the_limit_can_be_changed_while_it_is_waited_for,
    an_answer_that_has_come_is_not_late,
    a_cancelled_question_is_not_answered_and_the_others_are,
    a_look_up_nobody_waits_for_does_not_keep_the_loop_running_and_is_learnt,
    a_panic_of_done_leaves_the_others_their_answer,
    done_may_ask_again_and_run_the_loop,
    a_look_up_that_panics_is_an_error_and_is_not_kept,
    a_pool_that_is_full_is_an_error_at_once,
    dropping_the_loop_drops_what_is_outstanding,
}

/// Says that it is called, and answers when it is told to.
pub(in crate::net) struct Gate {
    pub(in crate::net) asked: mpsc::Receiver<String>,
    answer: mpsc::Sender<Vec<SocketAddr>>,
}

impl Gate {
    pub(in crate::net) fn set(ev: &mut EvLoop) -> Self {
        let (says, asked) = mpsc::channel();
        let (answer, answers) = mpsc::channel();
        let answers = Mutex::new(answers);
        set_oracle(ev, move |host| {
            let _ = says.send(host.to_owned());
            let answer = answers.lock().unwrap_or_else(PoisonError::into_inner).recv();
            answer.map_err(|_| io::Error::other("the gate is gone"))
        });
        Self { asked, answer }
    }

    pub(in crate::net) fn open(&self, addresses: &[&str]) {
        self.answer.send(addresses.iter().map(|ip| at(ip, 0)).collect()).unwrap();
    }
}

pub(in crate::net) fn at(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().unwrap(), port)
}

fn live(backend: Backend) -> EvLoop {
    EvLoop::builder().backend(backend).env(false).build().unwrap()
}

pub(in crate::net) fn clocked(backend: Backend) -> (EvLoop, MockClock) {
    let clock = MockClock::new();
    let ev = EvLoop::builder().backend(backend).env(false).mock_clock(&clock).build();
    (ev.unwrap(), clock)
}

/// Answers with 192.0.2.n, n being how many were asked.
fn count(ev: &mut EvLoop) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&count);
    set_oracle(ev, move |_| {
        let n = counts.fetch_add(1, Ordering::SeqCst) + 1;
        Ok(vec![at(&format!("192.0.2.{n}"), 0)])
    });
    count
}

type Told = Rc<RefCell<Vec<String>>>;

/// Notes what was answered.
fn notes(told: &Told) -> impl FnOnce(&mut EvLoop, Result<Vec<SocketAddr>>) + use<> + 'static {
    let told = Rc::clone(told);
    move |_, answer| told.borrow_mut().push(text(answer))
}

fn text(answer: Result<Vec<SocketAddr>>) -> String {
    match answer {
        Ok(addresses) => {
            let texts: Vec<String> = addresses.iter().map(SocketAddr::to_string).collect();
            texts.join(" ")
        }
        Err(e) => format!("{:?}: {}", e.kind(), e.source().unwrap()),
    }
}

/// Asks, with no limit, so that the mock clock stands still, and runs until there is an answer.
fn learn(ev: &mut EvLoop, host: &str) -> String {
    let told = Told::default();
    ev.resolve(host, 1, notes(&told)).unwrap().set_limit(ev, Duration::MAX);
    assert!(told.borrow().is_empty(), "told from inside the call");
    ev.run().unwrap();
    let told = told.take();
    assert_eq!(told.len(), 1);
    told.concat()
}

fn silently<T>(f: impl FnOnce() -> T) -> std::thread::Result<T> {
    catch_unwind(AssertUnwindSafe(f))
}

fn a_host_of_this_machine_has_its_addresses_and_the_port(backend: Backend) {
    let mut ev = live(backend);
    let told = Rc::new(Cell::new(false));
    let tells = Rc::clone(&told);
    let question = ev.resolve("LocalHost", 80, move |_, addresses| {
        let addresses = addresses.unwrap();
        assert!(!addresses.is_empty());
        assert!(addresses.iter().all(|a| a.ip().is_loopback() && a.port() == 80));
        tells.set(true);
    });
    let question = question.unwrap();
    assert!(question.is_active(&ev));
    assert!(!ev.run().unwrap());
    assert!(told.get());
    assert!(!question.is_active(&ev));
    assert!(!question.cancel(&mut ev));
    assert!(!question.set_limit(&mut ev, Duration::MAX));
}

fn a_name_nobody_has_is_named_in_the_error(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let told = learn(&mut ev, "nowhere.invalid");
    assert_eq!(told, "Resolve: no address for nowhere.invalid");
}

fn an_address_is_its_own_answer_and_nobody_is_asked(backend: Backend) {
    let mut ev = live(backend);
    let asked = count(&mut ev);
    for (host, answer) in [("192.0.2.77", "192.0.2.77:1"), ("::1", "[::1]:1")] {
        assert_eq!(learn(&mut ev, host), answer);
    }
    assert_eq!(asked.load(Ordering::SeqCst), 0);
}

fn what_is_no_name_is_refused_at_once(backend: Backend) {
    let mut ev = live(backend);
    let (label, name) = ("a".repeat(64), format!("{}.", "a".repeat(49)).repeat(6));
    for host in ["", ".", "a..b", "a b", "a\0", "1.2.3", "bücher", "-a", "[::1]", &label, &name] {
        let refused = ev.resolve(host, 1, |_, _| unreachable!()).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::InvalidInput, "{host:?}");
    }
    assert!(!ev.run().unwrap());
}

fn questions_about_one_host_share_a_look_up_and_are_told_in_order(backend: Backend) {
    let mut ev = live(backend);
    let gate = Gate::set(&mut ev);
    let told = Told::default();
    for port in 1..=3 {
        ev.resolve("host.example", port, notes(&told)).unwrap();
    }
    assert_eq!(gate.asked.recv().unwrap(), "host.example");
    ev.resolve("HOST.example", 4, notes(&told)).unwrap();
    gate.open(&["192.0.2.1"]);
    ev.run().unwrap();
    assert_eq!(told.take(), ["192.0.2.1:1", "192.0.2.1:2", "192.0.2.1:3", "192.0.2.1:4"]);
    ev.resolve("other.example", 5, notes(&told)).unwrap();
    gate.open(&["192.0.2.2"]);
    ev.run().unwrap();
    assert_eq!(told.take(), ["192.0.2.2:5"]);
    assert_eq!(gate.asked.try_iter().collect::<Vec<_>>(), ["other.example"]);
}

fn an_answer_is_kept_for_its_life_and_told_from_the_loop(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let asked = count(&mut ev);
    assert_eq!(learn(&mut ev, "host.example"), "192.0.2.1:1");
    clock.advance(LIFE - Duration::from_nanos(1));
    assert_eq!(learn(&mut ev, "host.example"), "192.0.2.1:1");
    assert_eq!(learn(&mut ev, "host.example."), "192.0.2.2:1", "another name");
    clock.advance(Duration::from_nanos(1));
    assert_eq!(learn(&mut ev, "host.example"), "192.0.2.3:1");
    assert_eq!(asked.load(Ordering::SeqCst), 3);
}

fn that_there_is_none_is_kept_for_a_shorter_time(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let count = Arc::new(AtomicUsize::new(0));
    let counts = Arc::clone(&count);
    set_oracle(&mut ev, move |_| {
        counts.fetch_add(1, Ordering::SeqCst);
        Err(io::Error::other("nobody knows"))
    });
    for asked in [1, 1, 2] {
        assert_eq!(learn(&mut ev, "host.example"), "Resolve: no address for host.example");
        assert_eq!(count.load(Ordering::SeqCst), asked);
        clock.advance(NEGATIVE_LIFE / 2);
    }
}

fn trouble_of_this_machine_is_not_kept(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    let emfile = rustix::io::Errno::MFILE.raw_os_error();
    set_oracle(&mut ev, move |_| Err(io::Error::from_raw_os_error(emfile)));
    assert_eq!(learn(&mut ev, "host.example"), "Resolve: no address for host.example");
    count(&mut ev);
    assert_eq!(learn(&mut ev, "host.example"), "192.0.2.1:1");
}

fn an_empty_answer_is_an_error(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    set_oracle(&mut ev, |_| Ok(Vec::new()));
    assert_eq!(learn(&mut ev, "host.example"), "Resolve: no address for host.example");
}

fn a_life_of_zero_keeps_nothing(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    count(&mut ev);
    ev.set_name_life(Duration::ZERO, Duration::ZERO);
    assert_eq!(learn(&mut ev, "host.example"), "192.0.2.1:1");
    assert_eq!(learn(&mut ev, "host.example"), "192.0.2.2:1");
    ev.set_name_life(Duration::MAX, Duration::MAX);
    assert_eq!(learn(&mut ev, "host.example"), "192.0.2.3:1");
    assert_eq!(learn(&mut ev, "host.example"), "192.0.2.3:1");
}

fn what_is_forgotten_is_asked_anew_also_while_it_is_under_way(backend: Backend) {
    let mut ev = live(backend);
    let gate = Gate::set(&mut ev);
    assert!(!ev.forget_name("host.example"));
    let told = Told::default();
    ev.resolve("host.example", 1, notes(&told)).unwrap();
    gate.asked.recv().unwrap();
    assert!(ev.forget_name("HOST.example"));
    ev.resolve("host.example", 2, notes(&told)).unwrap();
    // Either may get either answer; each gets one.
    gate.open(&["192.0.2.1"]);
    gate.open(&["192.0.2.1"]);
    ev.run().unwrap();
    told.borrow_mut().sort();
    assert_eq!(told.take(), ["192.0.2.1:1", "192.0.2.1:2"]);
    assert_eq!(gate.asked.try_iter().count(), 1);
    assert!(ev.forget_name("host.example"));
    assert!(!ev.forget_name("host.example"));
}

fn all_names_can_be_forgotten(backend: Backend) {
    let (mut ev, _clock) = clocked(backend);
    count(&mut ev);
    assert_eq!(learn(&mut ev, "a.example"), "192.0.2.1:1");
    assert_eq!(learn(&mut ev, "b.example"), "192.0.2.2:1");
    ev.forget_names();
    assert_eq!(learn(&mut ev, "a.example"), "192.0.2.3:1");
    assert_eq!(learn(&mut ev, "b.example"), "192.0.2.4:1");
}

fn the_time_is_over_and_the_next_one_joins_the_look_up(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let gate = Gate::set(&mut ev);
    let told = Told::default();
    ev.resolve("host.example", 1, notes(&told)).unwrap();
    assert!(!ev.run().unwrap(), "kept running by a look-up that nobody waits for");
    assert_eq!(told.take(), ["TimedOut: no answer about host.example within 10s"]);
    assert_eq!(clock.elapsed(), PATIENCE);
    gate.asked.recv().unwrap();
    let question = ev.resolve("host.example", 2, notes(&told)).unwrap();
    question.set_limit(&mut ev, Duration::MAX);
    gate.open(&["192.0.2.1"]);
    ev.run().unwrap();
    assert_eq!(told.take(), ["192.0.2.1:2"]);
    assert_eq!(gate.asked.try_iter().count(), 0);
}

fn the_limit_can_be_changed_while_it_is_waited_for(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let gate = Gate::set(&mut ev);
    let told = Told::default();
    let question = ev.resolve("host.example", 1, notes(&told)).unwrap();
    assert!(question.set_limit(&mut ev, Duration::from_secs(60)));
    assert!(question.set_limit(&mut ev, Duration::from_secs(2)));
    ev.run().unwrap();
    assert_eq!(told.take(), ["TimedOut: no answer about host.example within 2s"]);
    assert_eq!(clock.elapsed(), Duration::from_secs(2));
    drop(gate);
}

fn an_answer_that_has_come_is_not_late(backend: Backend) {
    let (mut ev, clock) = clocked(backend);
    let gate = Gate::set(&mut ev);
    let told = Told::default();
    ev.resolve("host.example", 1, notes(&told)).unwrap();
    gate.asked.recv().unwrap();
    // What the pool's thread posts behind the answer comes behind it.
    let (posted, is_posted) = mpsc::channel();
    let query = *ev.local::<Names>().current.borrow().get("host.example").unwrap();
    ev.remote().post(move |ev| {
        answered(ev, query, Ok(Ok(vec![at("192.0.2.1", 0)])));
        posted.send(()).unwrap();
    });
    clock.advance(PATIENCE);
    ev.run_mode(Run::NoWait).unwrap();
    is_posted.recv().unwrap();
    assert_eq!(told.take(), ["192.0.2.1:1"]);
    drop(gate);
}

fn a_cancelled_question_is_not_answered_and_the_others_are(backend: Backend) {
    let mut ev = live(backend);
    let gate = Gate::set(&mut ev);
    let told = Told::default();
    let keys = [1, 2, 3].map(|port| ev.resolve("host.example", port, notes(&told)).unwrap());
    assert_eq!(Rc::strong_count(&told), 4);
    assert!(keys[1].cancel(&mut ev));
    assert!(!keys[1].cancel(&mut ev));
    assert_eq!(Rc::strong_count(&told), 3);
    // One more when the answer is there and about to be delivered.
    let third = keys[2];
    ev.local::<Names>().questions.borrow_mut().get_mut(&keys[0].0).unwrap().done =
        Box::new(move |ev, answer| {
            assert!(answer.is_ok());
            assert!(third.set_limit(ev, Duration::ZERO), "no effect any more");
            assert!(third.cancel(ev));
        });
    gate.open(&["192.0.2.1"]);
    ev.run().unwrap();
    assert!(told.take().is_empty());
    assert_eq!(Rc::strong_count(&told), 1);
}

fn a_look_up_nobody_waits_for_does_not_keep_the_loop_running_and_is_learnt(backend: Backend) {
    let mut ev = live(backend);
    let gate = Gate::set(&mut ev);
    let told = Told::default();
    ev.resolve("host.example", 1, notes(&told)).unwrap().cancel(&mut ev);
    assert!(!ev.has_refs());
    gate.asked.recv().unwrap();
    gate.open(&["192.0.2.1"]);
    while ev.local::<Names>().known.borrow().is_empty() {
        ev.run_mode(Run::NoWait).unwrap();
        std::thread::yield_now();
    }
    assert_eq!(learn(&mut ev, "host.example"), "192.0.2.1:1");
    assert_eq!(gate.asked.try_iter().count(), 0);
}

fn a_panic_of_done_leaves_the_others_their_answer(backend: Backend) {
    let mut ev = live(backend);
    count(&mut ev);
    let told = Told::default();
    ev.resolve("host.example", 1, |_, _| std::panic::resume_unwind(Box::new(()))).unwrap();
    ev.resolve("host.example", 2, notes(&told)).unwrap();
    assert!(silently(|| ev.run()).is_err());
    ev.run().unwrap();
    assert_eq!(told.take(), ["192.0.2.1:2"]);
}

fn done_may_ask_again_and_run_the_loop(backend: Backend) {
    let mut ev = live(backend);
    count(&mut ev);
    let told = Told::default();
    let (first, second) = (notes(&told), notes(&told));
    ev.resolve("host.example", 1, move |ev, answer| {
        ev.resolve("host.example", 2, second).unwrap();
        ev.forget_names();
        ev.run().unwrap();
        first(ev, answer);
    })
    .unwrap();
    ev.run().unwrap();
    assert_eq!(told.take(), ["192.0.2.1:2", "192.0.2.1:1"]);
}

fn a_look_up_that_panics_is_an_error_and_is_not_kept(backend: Backend) {
    let mut ev = live(backend);
    set_oracle(&mut ev, |_| std::panic::resume_unwind(Box::new("oh")));
    assert_eq!(learn(&mut ev, "host.example"), "Panicked: no address for host.example");
    count(&mut ev);
    assert_eq!(learn(&mut ev, "host.example"), "192.0.2.1:1");
}

fn a_pool_that_is_full_is_an_error_at_once(backend: Backend) {
    let mut ev = live(backend);
    refuse(&mut ev);
    let error = ev.resolve("host.example", 1, |_, _| unreachable!()).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Full);
    assert!(!ev.run().unwrap());
}

fn dropping_the_loop_drops_what_is_outstanding(backend: Backend) {
    let mut ev = live(backend);
    let gate = Gate::set(&mut ev);
    let told = Told::default();
    ev.resolve("host.example", 1, notes(&told)).unwrap();
    ev.resolve("::1", 1, notes(&told)).unwrap();
    assert_eq!(Rc::strong_count(&told), 3);
    // The look-up runs; the last loop waits for it.
    drop(gate);
    drop(ev);
    assert_eq!(Rc::strong_count(&told), 1);
    assert!(told.take().is_empty());
}

#[test]
fn as_many_names_are_kept_as_may_be_and_who_would_go_first_makes_room() {
    let names = Names::default();
    let found = || -> Answer { Ok(Rc::new([at("192.0.2.1", 0)])) };
    for n in 0..MOST_NAMES as u64 {
        names.learn(format!("{n}.example"), found(), n);
    }
    names.learn("none.example".to_owned(), Err(Failure::NONE), 5000);
    assert_eq!(names.known.borrow().len(), MOST_NAMES);
    assert!(names.answer("0.example", 5000).is_none());
    assert!(names.answer("1.example", 5000).is_some());
    // Again: no room is needed.
    names.learn("1.example".to_owned(), found(), 5000);
    assert_eq!(names.known.borrow().len(), MOST_NAMES);
    // Those whose time is over go all at once.
    names.learn("late.example".to_owned(), found(), u64::MAX - 1);
    assert_eq!(names.known.borrow().len(), 1);
    assert!(names.answer("late.example", u64::MAX).is_none());
}
