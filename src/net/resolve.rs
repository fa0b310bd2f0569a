//! Names: which addresses a host has, asked where it does not hold up the loop.

// Asked is the system, with getaddrinfo, which blocks: so it is a job of the work pool. Three things stand
// between a *question*, which is what somebody here waits for, and a *query*, which is such a job:
//
// * what is known: answers are kept for a while. getaddrinfo does not say how long they are good for;
// * coalescing: of a host there is one query at a time, whoever asks meanwhile joins it;
// * patience: a question ends after its time, a query cannot be ended. It is left to run, and joined by
//   whoever asks next, so that a name nobody answers for occupies one thread and not all of them. Its
//   answer is learnt when it comes, but it keeps no loop running that has nobody waiting.
//
// Everybody is told by a deferred closure of his own: never from inside his own call, and a panic of
// one leaves the others theirs.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error as StdError;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fmt, io};

use super::Work;
use super::address::check_name;
use crate::sys::fork;
use crate::{Error, ErrorKind, EvLoop, Result, Timer};

const RESOLVING: &str = "resolving a name";

/// How long an answer is waited for unless somebody says otherwise.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);

/// How long answers are kept, and that there is none, unless somebody says otherwise.
const LIFE: Duration = Duration::from_secs(30);
const NEGATIVE_LIFE: Duration = Duration::from_secs(1);

/// Of how many names answers are kept.
const MOST_NAMES: usize = 1000;

/// How many addresses of a name are looked at.
const MOST_ADDRESSES: usize = 64;

/// The key of a question that [`EvLoop::resolve`] has asked (`evdns_getaddrinfo_request`).
///
/// A number: what was answered or cancelled is no longer found by it, nor is it found in another loop.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Resolve(u64);

impl EvLoop {
    /// Asks which addresses `host` has, and calls `done` with them, `port` filled in, in an iteration to
    /// come (`evdns_getaddrinfo`, `uv_getaddrinfo`).
    ///
    /// The system's resolver is asked, with all it is told by `/etc/hosts`, `/etc/resolv.conf` and
    /// `/etc/nsswitch.conf`, on a thread of the [work pool](EvLoop::work). The addresses come in its order: the
    /// one to be tried first comes first. There is at least one. Questions about one host that are asked
    /// while it is looked up share the one look-up; answers are [kept](Self::set_name_life) for a
    /// while.
    ///
    /// An address in place of the name is its own answer.
    ///
    /// ```
    /// use evloop::EvLoop;
    ///
    /// let mut ev = EvLoop::new()?;
    /// ev.resolve("localhost", 80, |_, addresses| {
    ///     let addresses = addresses.expect("every machine has one");
    ///     assert!(addresses.iter().all(|a| a.ip().is_loopback() && a.port() == 80));
    /// })?;
    /// ev.run()?; // ends when the answer was delivered
    /// # Ok::<(), evloop::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidInput`] if it is no name: names are of ASCII letters, digits, `-` and `_`, up to
    /// 253 bytes. [`ErrorKind::Full`] and [`ErrorKind::Thread`] if the [pool](EvLoop::work) does not take the
    /// look-up, [`ErrorKind::Forked`] in a forked child that has not taken over. `done` is dropped then.
    ///
    /// `done` itself is called with an error if there is no address: [`ErrorKind::Resolve`], with the name
    /// in the source's text, [`ErrorKind::TimedOut`] after [10 s](Resolve::set_limit), and
    /// [`ErrorKind::Forked`] in a forked child that has taken over: the look-up is the parent's.
    ///
    /// # Sharp edges
    ///
    /// * **A look-up cannot be ended.** When all who asked have cancelled or run out of time it goes on, and
    ///   what it finds is kept. It does not keep the loop running then, but dropping the last loop waits for
    ///   it, as for all [work](EvLoop::work).
    /// * **All threads may wait** for a resolver that does not answer, for different names: then work
    ///   queues up behind them. [`set_work_threads`](crate::net::set_work_threads) gives more.
    /// * **A name without a dot at its end** may be looked for in the domains of `/etc/resolv.conf` too.
    pub fn resolve(
        &mut self,
        host: &str,
        port: u16,
        done: impl FnOnce(&mut EvLoop, Result<Vec<SocketAddr>>) + 'static,
    ) -> Result<Resolve> {
        let done = move |ev: &mut EvLoop, answer: Result<Rc<[SocketAddr]>>| {
            let at_port = |address: &SocketAddr| {
                let mut address = *address;
                address.set_port(port);
                address
            };
            done(ev, answer.map(|addresses| addresses.iter().map(at_port).collect()));
        };
        if let Ok(ip) = host.parse::<IpAddr>() {
            self.be_unforked(RESOLVING)?;
            let known: Rc<[SocketAddr]> = Rc::new([SocketAddr::new(ip, 0)]);
            return Ok(answer_later(self, host, Ok(known), Box::new(done)));
        }
        check_name(host)?;
        ask(self, &host.to_ascii_lowercase(), PATIENCE, done)
    }

    /// Sets how long answers of the resolver are kept: 30 s if this is never called, and 1 s that there is
    /// none. Zero keeps nothing.
    ///
    /// The system's resolver does not tell how long an answer is good for, so this is one time for all.
    /// What is kept already keeps its time. At most 1000 names are kept; who would have gone first
    /// makes room.
    pub fn set_name_life(&mut self, found: Duration, not_found: Duration) {
        let names = self.local::<Names>();
        names.life.set(found);
        names.negative_life.set(not_found);
    }

    /// Forgets the addresses of a host. Who asks from now on causes a new look-up, also while an older one
    /// is under way, whose answer goes to those who wait for it and is not kept.
    ///
    /// Returns whether there was something to forget.
    pub fn forget_name(&mut self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let names = self.local::<Names>();
        let known = names.known.borrow_mut().remove(&host).is_some();
        let asked = names.current.borrow_mut().remove(&host).is_some();
        known || asked
    }

    /// Forgets the addresses of all hosts, as [`forget_name`](Self::forget_name) does of one: for when the
    /// machine has moved to another network.
    pub fn forget_names(&mut self) {
        let names = self.local::<Names>();
        names.known.borrow_mut().clear();
        names.current.borrow_mut().clear();
    }
}

impl Resolve {
    /// Sees to it that `done` is not called, and drops it.
    ///
    /// Returns whether it was outstanding: not cancelled, and `done` not called yet.
    pub fn cancel(self, ev: &mut EvLoop) -> bool {
        leave(ev, self.0).is_some()
    }

    /// Whether `done` is still to be called.
    #[must_use]
    pub fn is_active(self, ev: &EvLoop) -> bool {
        let names = ev.local_if_made::<Names>();
        names.is_some_and(|names| names.questions.borrow().contains_key(&self.0))
    }

    /// Has the answer waited for that long from now on, instead of 10 s from the beginning;
    /// [`Duration::MAX`] for as long as the system's resolver takes.
    ///
    /// Returns whether it is outstanding.
    pub fn set_limit(self, ev: &mut EvLoop, limit: Duration) -> bool {
        let names = ev.local::<Names>();
        let is_waiting = match names.questions.borrow().get(&self.0) {
            Some(question) => question.query.is_some(),
            None => return false,
        };
        if is_waiting {
            let timer = watch_the_time(ev, self.0, limit);
            let old = match names.questions.borrow_mut().get_mut(&self.0) {
                Some(question) => question.timer.replace(timer),
                None => Some(timer),
            };
            if let Some(old) = old {
                old.free(ev);
            }
        }
        true
    }
}

/// What the system said; to be told to as many as asked.
type Answer = std::result::Result<Rc<[SocketAddr]>, Failure>;

type Done = Box<dyn FnOnce(&mut EvLoop, Result<Rc<[SocketAddr]>>)>;

/// The names a loop knows and asks for.
struct Names {
    known: RefCell<BTreeMap<String, Known>>,
    /// The query that is to be joined, by host. Not those that were asked before a `forget`.
    current: RefCell<BTreeMap<String, u64>>,
    queries: RefCell<BTreeMap<u64, Query>>,
    questions: RefCell<BTreeMap<u64, Question>>,
    life: Cell<Duration>,
    negative_life: Cell<Duration>,
    /// What is asked in place of the system.
    #[cfg(test)]
    oracle: RefCell<Option<Oracle>>,
    /// The pool takes nothing.
    #[cfg(test)]
    is_refused: Cell<bool>,
}

#[cfg(test)]
pub(super) type Oracle = Arc<dyn Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

struct Known {
    answer: Answer,
    /// In nanoseconds of the loop's clock.
    until: u64,
}

struct Query {
    host: String,
    work: Work,
    /// The process whose thread looks it up.
    generation: u32,
    /// The questions it is to answer, in the order they were asked.
    asking: BTreeSet<u64>,
}

struct Question {
    host: String,
    /// `None` once there is an answer to be delivered.
    query: Option<u64>,
    timer: Option<Timer>,
    done: Done,
}

impl Default for Names {
    fn default() -> Self {
        Self {
            known: RefCell::default(),
            current: RefCell::default(),
            queries: RefCell::default(),
            questions: RefCell::default(),
            life: Cell::new(LIFE),
            negative_life: Cell::new(NEGATIVE_LIFE),
            #[cfg(test)]
            oracle: RefCell::default(),
            #[cfg(test)]
            is_refused: Cell::new(false),
        }
    }
}

impl Names {
    fn answer(&self, host: &str, now: u64) -> Option<Answer> {
        let mut known = self.known.borrow_mut();
        let entry = known.get(host)?;
        if now < entry.until {
            return Some(entry.answer.clone());
        }
        known.remove(host);
        None
    }

    /// The query about the host that is under way; in a forked child not the parent's, which comes to
    /// nothing there.
    fn to_join(&self, host: &str) -> Option<u64> {
        let id = *self.current.borrow().get(host)?;
        let queries = self.queries.borrow();
        let is_ours = |query: &&Query| query.generation == fork::generation();
        queries.get(&id).filter(is_ours).map(|_| id)
    }

    fn learn(&self, host: String, answer: Answer, now: u64) {
        let life = if answer.is_ok() { self.life.get() } else { self.negative_life.get() };
        let until = now.saturating_add(life.as_nanos().try_into().unwrap_or(u64::MAX));
        let mut known = self.known.borrow_mut();
        if known.len() >= MOST_NAMES && !known.contains_key(&host) {
            known.retain(|_, entry| now < entry.until);
        }
        if known.len() >= MOST_NAMES && !known.contains_key(&host) {
            let first = known.iter().min_by_key(|(_, entry)| entry.until);
            if let Some(first) = first.map(|(host, _)| host.clone()) {
                known.remove(&first);
            }
        }
        if until > now {
            known.insert(host, Known { answer, until });
        } else {
            known.remove(&host);
        }
    }
}

static IDS: AtomicU64 = AtomicU64::new(1);

fn draw_id() -> u64 {
    IDS.fetch_add(1, Ordering::Relaxed)
}

/// Asks about a name that is one, in lower case. The addresses have port 0.
pub(super) fn ask(
    ev: &mut EvLoop,
    host: &str,
    limit: Duration,
    done: impl FnOnce(&mut EvLoop, Result<Rc<[SocketAddr]>>) + 'static,
) -> Result<Resolve> {
    ev.be_unforked(RESOLVING)?;
    let names = ev.local::<Names>();
    if let Some(answer) = names.answer(host, ev.real_nanos()) {
        return Ok(answer_later(ev, host, answer, Box::new(done)));
    }
    let query = match names.to_join(host) {
        Some(query) => query,
        None => begin(ev, &names, host)?,
    };
    let id = draw_id();
    let timer = Some(watch_the_time(ev, id, limit));
    let question =
        Question { host: host.to_owned(), query: Some(query), timer, done: Box::new(done) };
    names.questions.borrow_mut().insert(id, question);
    let work = names.queries.borrow_mut().get_mut(&query).map(|query| {
        query.asking.insert(id);
        query.work
    });
    if let Some(work) = work {
        work.set_ref(ev, true);
    }
    Ok(Resolve(id))
}

/// A question whose answer is there already.
fn answer_later(ev: &mut EvLoop, host: &str, answer: Answer, done: Done) -> Resolve {
    let id = draw_id();
    let question = Question { host: host.to_owned(), query: None, timer: None, done };
    ev.local::<Names>().questions.borrow_mut().insert(id, question);
    ev.defer(move |ev| tell(ev, id, answer));
    Resolve(id)
}

fn watch_the_time(ev: &mut EvLoop, id: u64, limit: Duration) -> Timer {
    // From the present moment: the callback that asks may have computed for long. Answers are posted, which
    // goes before timers: one that is there is not late.
    ev.timer(limit, Duration::ZERO, move |ev, _| {
        if let Some(question) = leave(ev, id) {
            (question.done)(ev, Err(Unresolved::late(&question.host, limit)));
        }
    })
    .start_from_real_now(ev)
}

/// Begins to look a host up.
fn begin(ev: &mut EvLoop, names: &Names, host: &str) -> Result<u64> {
    let id = draw_id();
    #[cfg(test)]
    if names.is_refused.get() {
        return Err(Failure { kind: ErrorKind::Full, cause: None }.into_error(host));
    }
    #[cfg(test)]
    let oracle = names.oracle.borrow().clone();
    let asked = host.to_owned();
    let job = move || {
        #[cfg(test)]
        if let Some(oracle) = oracle {
            return oracle(&asked);
        }
        look_up(&asked)
    };
    let work = ev.work(job, move |ev, outcome| answered(ev, id, outcome));
    let work = work.map_err(|e| Failure::of(e).into_error(host))?;
    let generation = fork::generation();
    let query = Query { host: host.to_owned(), work, generation, asking: BTreeSet::new() };
    names.queries.borrow_mut().insert(id, query);
    names.current.borrow_mut().insert(host.to_owned(), id);
    Ok(id)
}

/// Blocks.
fn look_up(host: &str) -> io::Result<Vec<SocketAddr>> {
    let mut addresses = Vec::new();
    for address in (host, 0).to_socket_addrs()? {
        // `/etc/hosts` may say it twice.
        if !addresses.contains(&address) {
            addresses.push(address);
        }
        if addresses.len() == MOST_ADDRESSES {
            break;
        }
    }
    Ok(addresses)
}

/// A look-up has come to its end.
fn answered(ev: &mut EvLoop, id: u64, outcome: Result<io::Result<Vec<SocketAddr>>>) {
    let names = ev.local::<Names>();
    let Some(query) = names.queries.borrow_mut().remove(&id) else { return };
    let is_current = names.current.borrow().get(&query.host) == Some(&id);
    if is_current {
        names.current.borrow_mut().remove(&query.host);
    }
    let (answer, is_lasting) = match outcome {
        Ok(Ok(addresses)) if addresses.is_empty() => (Err(Failure::NONE), true),
        Ok(Ok(addresses)) => (Ok(Rc::from(addresses)), true),
        Ok(Err(e)) => {
            // With a number it is about this machine: no descriptor left, no memory.
            let is_lasting = e.raw_os_error().is_none();
            let cause: Arc<dyn StdError + Send + Sync> = Arc::new(e);
            (Err(Failure { kind: ErrorKind::Resolve, cause: Some(cause) }), is_lasting)
        }
        Err(e) => (Err(Failure::of(e)), false),
    };
    if is_current && is_lasting {
        names.learn(query.host, answer.clone(), ev.real_nanos());
    }
    for id in query.asking {
        let timer = names.questions.borrow_mut().get_mut(&id).and_then(|question| {
            question.query = None;
            question.timer.take()
        });
        if let Some(timer) = timer {
            timer.free(ev);
        }
        let answer = answer.clone();
        ev.defer(move |ev| tell(ev, id, answer));
    }
}

fn tell(ev: &mut EvLoop, id: u64, answer: Answer) {
    if let Some(question) = leave(ev, id) {
        let answer = answer.map_err(|failure| failure.into_error(&question.host));
        (question.done)(ev, answer);
    }
}

/// Takes a question back.
fn leave(ev: &mut EvLoop, id: u64) -> Option<Question> {
    let names = ev.local::<Names>();
    let question = names.questions.borrow_mut().remove(&id)?;
    if let Some(timer) = question.timer {
        timer.free(ev);
    }
    let unattended = question.query.and_then(|query| {
        let mut queries = names.queries.borrow_mut();
        let query = queries.get_mut(&query)?;
        query.asking.remove(&id);
        query.asking.is_empty().then_some(query.work)
    });
    if let Some(work) = unattended {
        work.set_ref(ev, false);
    }
    Some(question)
}

/// Why there are no addresses; many may be told.
#[derive(Clone)]
struct Failure {
    kind: ErrorKind,
    cause: Option<Arc<dyn StdError + Send + Sync>>,
}

impl Failure {
    /// The resolver has found nothing, and had nothing to say about it.
    const NONE: Self = Self { kind: ErrorKind::Resolve, cause: None };

    /// The pool has not done it.
    fn of(error: Error) -> Self {
        Self { kind: error.kind(), cause: Some(Arc::new(error)) }
    }

    #[cold]
    fn into_error(self, host: &str) -> Error {
        let source = Unresolved { host: host.to_owned(), why: Why::NoAddress(self.cause) };
        Error::caused(self.kind, RESOLVING, Box::new(source))
    }
}

/// The source of all errors of this module but those about bad names.
#[derive(Debug)]
pub(super) struct Unresolved {
    host: String,
    why: Why,
}

#[derive(Debug)]
enum Why {
    NoAddress(Option<Arc<dyn StdError + Send + Sync>>),
    /// It has addresses, but none that may be used.
    Unwanted,
    Late(Duration),
}

impl Unresolved {
    /// It has addresses, none of which is of a family that is asked for.
    #[cold]
    pub(super) fn unwanted(host: &str) -> Error {
        let source = Self { host: host.to_owned(), why: Why::Unwanted };
        Error::caused(ErrorKind::Resolve, RESOLVING, Box::new(source))
    }

    /// It was said beforehand that it has none.
    #[cold]
    pub(super) fn none(host: &str) -> Error {
        Failure::NONE.into_error(host)
    }

    /// It took longer than somebody would wait.
    #[cold]
    pub(super) fn late(host: &str, limit: Duration) -> Error {
        let source = Self { host: host.to_owned(), why: Why::Late(limit) };
        Error::caused(ErrorKind::TimedOut, RESOLVING, Box::new(source))
    }
}

impl fmt::Display for Unresolved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, why } = self;
        match why {
            Why::NoAddress(_) => write!(f, "no address for {host}"),
            Why::Unwanted => write!(f, "no address of a family that may be used for {host}"),
            Why::Late(limit) => write!(f, "no answer about {host} within {limit:?}"),
        }
    }
}

impl StdError for Unresolved {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.why {
            Why::NoAddress(Some(cause)) => Some(&**cause),
            _ => None,
        }
    }
}

/// Has another one asked than the system.
#[cfg(test)]
pub(super) fn set_oracle(
    ev: &mut EvLoop,
    oracle: impl Fn(&str) -> io::Result<Vec<SocketAddr>> + Send + Sync + 'static,
) {
    *ev.local::<Names>().oracle.borrow_mut() = Some(Arc::new(oracle));
}

/// Has the pool take nothing.
#[cfg(test)]
pub(super) fn refuse(ev: &mut EvLoop) {
    ev.local::<Names>().is_refused.set(true);
}

#[cfg(test)]
pub(super) mod tests;
