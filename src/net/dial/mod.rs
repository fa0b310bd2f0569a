//! Dialling: from an address to a connected socket.

// A *call* is one dial, from the address to the one report; it lies in a table of the loop's under its id,
// and the id is all that the watchers' closures hold: a call that was cancelled or has ended is not found
// by them. Whoever works on a call takes it out of the table and puts it back, so nothing is borrowed
// while watchers are made or freed.
//
// A call has up to three stages: the name is resolved; the addresses race each other (RFC 8305); and, where
// it ended inside of somebody's `dial`, the report waits for the loop to deliver it.
//
// The sockets of attempts under way belong to the watchers that wait for them, or to the call: either way
// they are closed when the loop is dropped.

use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::error::Error as StdError;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use std::{fmt, io, mem};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd, ioctl_fionbio};
use rustix::net::{SocketAddrAny, SocketType, getpeername, getsockname, sockopt};

use super::resolve::{self, Resolve, Unresolved};
use super::socket::{Target, take_error};
use super::{Address, Phase, Place, Reason, Scheme};
use crate::{Error, ErrorKind, EvLoop, Interest, Io, Result, Timer};

const CONNECTING: &str = "connecting";

/// How long it may take in all unless somebody says otherwise.
const LIMIT: Duration = Duration::from_secs(10);

/// The "Connection Attempt Delay" of RFC 8305, and its bounds.
const DELAY: Duration = Duration::from_millis(250);
const SHORTEST_DELAY: Duration = Duration::from_millis(10);
const LONGEST_DELAY: Duration = Duration::from_secs(2);

/// How many addresses are tried unless somebody says otherwise, and at most.
const ATTEMPTS: usize = 16;
const MOST_ATTEMPTS: usize = 64;

/// How long a Unix socket that cannot take us in is left alone: at first, and at most.
const PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// More interruptions in a row are not by signals.
const INTERRUPTIONS: usize = 16;

/// How a connection is made.
///
/// ```
/// use evloop::net::{ConnectOptions, Family};
/// use std::time::Duration;
///
/// let options = ConnectOptions::new()
///     .family(Family::PreferV4)
///     .timeout(Duration::from_secs(3))
///     // Like curl's `--resolve`: the server that is to become example.org.
///     .hint("example.org", ["127.0.0.1".parse()?]);
/// # let _ = options;
/// # Ok::<(), std::net::AddrParseError>(())
/// ```
///
/// # Which address is tried when
///
/// A name may have many addresses, some of which nobody can reach. They are tried in the order of the
/// resolver, but the families in turns, beginning with the [preferred](Self::family) one. When an attempt has
/// failed, or has come to nothing within [250 ms](Self::attempt_delay), the next one is begun beside it. The
/// first connection wins, the other attempts are given up (RFC 8305, "happy eyeballs"). "This machine"
/// (`:80`) is `::1` and `127.0.0.1`.
///
/// If all fail, the error is of the kind [`Connect`](ErrorKind::Connect), if it took too long
/// [`TimedOut`](ErrorKind::TimedOut); a [`ConnectError`] says what became of each attempt.
#[derive(Clone, Debug)]
pub struct ConnectOptions {
    family: Family,
    hints: BTreeMap<String, Vec<IpAddr>>,
    from_v4: Option<SocketAddr>,
    from_v6: Option<SocketAddr>,
    limit: Duration,
    resolve_limit: Duration,
    delay: Duration,
    attempts: usize,
}

/// Which addresses of a name are tried, and which of them first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default)]
#[non_exhaustive]
pub enum Family {
    /// All, in turns, beginning with the family that the resolver names first: that of IPv6, where the
    /// machine has it.
    #[default]
    Any,
    /// All, in turns, IPv4 first.
    PreferV4,
    /// All, in turns, IPv6 first.
    PreferV6,
    /// Those of IPv4 alone (curl's `-4`).
    OnlyV4,
    /// Those of IPv6 alone (curl's `-6`).
    OnlyV6,
}

impl Default for ConnectOptions {
    fn default() -> Self {
        Self {
            family: Family::default(),
            hints: BTreeMap::new(),
            from_v4: None,
            from_v6: None,
            limit: LIMIT,
            resolve_limit: resolve::PATIENCE,
            delay: DELAY,
            attempts: ATTEMPTS,
        }
    }
}

impl ConnectOptions {
    /// The default ones.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets which addresses are tried, and which first. Default: [`Family::Any`].
    #[must_use]
    pub fn family(mut self, family: Family) -> Self {
        self.family = family;
        self
    }

    /// Says which addresses a host has (curl's `--resolve`): the resolver is not asked then. A second call for
    /// the same host replaces the first; with no addresses at all the host has none.
    #[must_use]
    pub fn hint(mut self, host: &str, addresses: impl IntoIterator<Item = IpAddr>) -> Self {
        self.hints.insert(normal(host), addresses.into_iter().collect());
        self
    }

    /// Sets the address of this machine that is connected from; the port is 0 for any.
    ///
    /// It counts for its family, so it may be called twice. If it was called for one family alone,
    /// addresses of the other are not tried. Unix sockets do not care.
    ///
    /// With a port there can be one connection to each peer at a time.
    #[must_use]
    pub fn bind(mut self, local: SocketAddr) -> Self {
        match local {
            SocketAddr::V4(_) => self.from_v4 = Some(local),
            SocketAddr::V6(_) => self.from_v6 = Some(local),
        }
        self
    }

    /// Sets how long it may take in all, resolving included. Default: 10 s. [`Duration::MAX`] for as long as
    /// the system tries, which is some two minutes for each address.
    #[must_use]
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets how long resolving a name may take. Default: 10 s, so no less than the
    /// [whole](Self::timeout).
    #[must_use]
    pub fn resolve_timeout(mut self, limit: Duration) -> Self {
        self.resolve_limit = limit;
        self
    }

    /// Sets how long one address is tried alone before the next one is tried beside it: 10 ms to 2 s.
    /// Default: 250 ms.
    #[must_use]
    pub fn attempt_delay(mut self, delay: Duration) -> Self {
        self.delay = delay.clamp(SHORTEST_DELAY, LONGEST_DELAY);
        self
    }

    /// Sets how many addresses are tried at most: 1 to 64. Default: 16.
    #[must_use]
    pub fn max_attempts(mut self, attempts: usize) -> Self {
        self.attempts = attempts.clamp(1, MOST_ATTEMPTS);
        self
    }

    /// What was said about the host.
    fn hinted(&self, host: &str) -> Option<Rc<[SocketAddr]>> {
        let addresses = self.hints.get(normal(host).as_str())?;
        Some(addresses.iter().map(|ip| SocketAddr::new(*ip, 0)).collect())
    }

    fn plan(&self) -> Plan {
        let Self { family, from_v4, from_v6, attempts, .. } = *self;
        Plan { family, from_v4, from_v6, attempts }
    }
}

/// Host names are compared without regard to case, and to the dot of the root.
fn normal(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// What of the options is needed until the last attempt has begun.
#[derive(Clone, Copy)]
struct Plan {
    family: Family,
    from_v4: Option<SocketAddr>,
    from_v6: Option<SocketAddr>,
    attempts: usize,
}

impl Plan {
    fn allows(&self, address: &SocketAddr) -> bool {
        let is_bound = self.from_v4.is_some() || self.from_v6.is_some();
        let family = match self.family {
            Family::OnlyV4 => address.is_ipv4(),
            Family::OnlyV6 => address.is_ipv6(),
            Family::Any | Family::PreferV4 | Family::PreferV6 => true,
        };
        family && (!is_bound || self.from(address).is_some())
    }

    fn from(&self, address: &SocketAddr) -> Option<SocketAddr> {
        if address.is_ipv4() { self.from_v4 } else { self.from_v6 }
    }

    /// What is tried, in this order.
    fn order(&self, addresses: impl IntoIterator<Item = SocketAddr>) -> VecDeque<Target> {
        let allowed = addresses.into_iter().filter(|address| self.allows(address));
        let (mut v6, mut v4) = (VecDeque::new(), VecDeque::new());
        let mut is_v6_first = None;
        for address in allowed {
            is_v6_first.get_or_insert(address.is_ipv6());
            if address.is_ipv6() { v6.push_back(address) } else { v4.push_back(address) }
        }
        let mut is_v6_next = match self.family {
            Family::PreferV4 => false,
            Family::PreferV6 => true,
            Family::Any | Family::OnlyV4 | Family::OnlyV6 => is_v6_first.unwrap_or(false),
        };
        let mut order = VecDeque::new();
        while order.len() < self.attempts {
            let (this, other) = if is_v6_next { (&mut v6, &mut v4) } else { (&mut v4, &mut v6) };
            let Some(address) = this.pop_front().or_else(|| other.pop_front()) else { break };
            order.push_back(Target::Ip(address));
            is_v6_next = !is_v6_next;
        }
        order
    }
}

/// What became of the attempts to connect: the source of an [`Error`] of the kind
/// [`Connect`](ErrorKind::Connect), and of [`TimedOut`](ErrorKind::TimedOut) if it was not a name that took too
/// long.
///
/// ```
/// # use evloop::{Error, net::ConnectError};
/// fn explain(error: &Error) -> String {
///     let Some(attempts) = ConnectError::of(error).map(ConnectError::attempts) else {
///         return error.to_string();
///     };
///     let lines = attempts.iter().map(|attempt| format!("{}: {}", attempt.address, attempt.error));
///     lines.collect::<Vec<_>>().join("\n")
/// }
/// ```
#[derive(Debug)]
pub struct ConnectError {
    attempts: Vec<Attempt>,
}

/// An attempt to connect that failed.
#[derive(Debug)]
#[non_exhaustive]
pub struct Attempt {
    /// Where to.
    pub address: Address,
    /// Why it failed; [`io::ErrorKind::TimedOut`] also if it was under way when the time was over.
    pub error: io::Error,
}

impl ConnectError {
    /// The one that is the source of an error, if it is.
    #[must_use]
    pub fn of(error: &Error) -> Option<&Self> {
        StdError::source(error)?.downcast_ref()
    }

    /// All attempts, in the order they were begun.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &*self.attempts {
            [] => f.write_str("no address was tried"),
            [Attempt { address, error }] => write!(f, "{address}: {error}"),
            [.., Attempt { address, error }] => {
                write!(f, "{address}: {error}, the last of {} attempts", self.attempts.len())
            }
        }
    }
}

impl StdError for ConnectError {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.attempts.last().map(|attempt| &attempt.error as _)
    }
}

/// For the event `closed`: what a dial's error comes to.
pub(super) fn reason_of(error: &Error) -> Reason {
    let source = StdError::source(error);
    let is_about_a_name = source.is_some_and(|source| source.is::<Unresolved>());
    let refused = |e: &io::Error| e.kind() == io::ErrorKind::ConnectionRefused;
    let last = ConnectError::of(error).and_then(|e| e.attempts.last()).map(|last| &last.error);
    let last = last.or_else(|| source?.downcast_ref());
    match error.kind() {
        ErrorKind::TimedOut if is_about_a_name => Reason::Timeout(Phase::Resolve),
        ErrorKind::TimedOut => Reason::Timeout(Phase::Connect),
        _ if last.is_some_and(refused) => Reason::Refused,
        _ => Reason::Failed,
    }
}

/// A connected socket: non-blocking, closed on exec, otherwise as the system made it.
#[derive(Debug)]
pub(super) struct Dialed {
    pub(super) socket: OwnedFd,
    /// Whom it is connected to: of a name's addresses the one.
    #[cfg_attr(not(test), expect(dead_code, reason = "streams ask the socket"))]
    pub(super) address: Address,
    /// What was tried in vain, in the order it was begun.
    #[cfg_attr(not(test), expect(dead_code, reason = "it worked in the end"))]
    pub(super) failed: Vec<Attempt>,
}

/// The key of a dial.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) struct Dial(u64);

/// Connects to `to`. From the loop `on_resolved` is called if there was a name to resolve and it has
/// addresses, then `done`, unless it is cancelled; neither from inside this call.
///
/// # Errors
///
/// `InvalidInput` for port 0, a `udp://` address, and a number of a family that the options exclude; `Forked`.
/// Everything else is told to `done`.
pub(super) fn dial(
    ev: &mut EvLoop,
    to: &Address,
    options: &ConnectOptions,
    on_resolved: impl FnOnce(&mut EvLoop) + 'static,
    done: impl FnOnce(&mut EvLoop, Result<Dialed>) + 'static,
) -> Result<Dial> {
    ev.be_unforked(CONNECTING)?;
    if to.scheme() == Some(Scheme::Udp) {
        return Err(invalid("there are no connections by UDP"));
    }
    if to.port() == Some(0) {
        return Err(invalid("there is no connecting to port 0"));
    }
    let plan = options.plan();
    let mut race = Race::new(plan, options.delay);
    let mut asked = None;
    match to.place() {
        Place::Name { host, port } => asked = Some((host.clone(), *port)),
        Place::Any(port) => {
            let (v6, v4) = (Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into());
            let here = [v6, v4].map(|ip: IpAddr| SocketAddr::new(ip, *port));
            race.waiting = plan.order(here);
        }
        place => match Target::of(place) {
            Ok(Some(Target::Ip(address))) => race.waiting = plan.order([address]),
            Ok(Some(target)) => race.waiting.push_back(target),
            Ok(None) => return Err(invalid("it is not clear what is to be connected to")),
            // Such as a zone that there is not, just now.
            Err(error) => race.fail(0, Some(to.clone()), error),
        },
    }
    if asked.is_none() && race.waiting.is_empty() && race.failed.is_empty() {
        return Err(invalid("the address is of a family that the options exclude"));
    }
    let to = to.clone();
    let done = move |ev: &mut EvLoop, outcome: Result<Winner>| {
        let dialed = outcome.map(|Winner { socket, address, failed }| {
            let address = address.unwrap_or(to);
            Dialed { socket, address, failed }
        });
        done(ev, dialed);
    };
    let id = draw_id();
    let limit = watch_the_time(ev, id, options.limit);
    let Some((host, port)) = asked else {
        let outcome = advance(ev, id, &mut race);
        let call = Call { stage: Stage::Racing(race), limit, done: Box::new(done) };
        settle_later(ev, id, call, outcome);
        return Ok(Dial(id));
    };
    let mut refused = None;
    let mut question = None;
    if let Some(addresses) = options.hinted(&host) {
        ev.defer(move |ev| named(ev, id, Ok(addresses)));
    } else {
        let told = move |ev: &mut EvLoop, answer| named(ev, id, answer);
        match resolve::ask(ev, &host, options.resolve_limit, told) {
            Ok(asked) => question = Some(asked),
            Err(error) => refused = Some(Err(error)),
        }
    }
    let naming = Naming { host, port, question, race, on_resolved: Box::new(on_resolved) };
    let call = Call { stage: Stage::Naming(naming), limit, done: Box::new(done) };
    settle_later(ev, id, call, refused);
    Ok(Dial(id))
}

/// Waits for the completion of a connection that somebody else has begun, as long as the options allow. The
/// socket is made non-blocking and is closed on exec. One that is connected already is fine.
///
/// # Errors
///
/// `InvalidInput` for what is not a socket, and for one that listens; `Forked`. Everything else is told to
/// `done`; the source is the system's error itself, since it is not known whom it is about.
pub(super) fn dial_adopted(
    ev: &mut EvLoop,
    socket: OwnedFd,
    options: &ConnectOptions,
    done: impl FnOnce(&mut EvLoop, Result<OwnedFd>) + 'static,
) -> Result<Dial> {
    ev.be_unforked(CONNECTING)?;
    if sockopt::socket_acceptconn(&socket).map_err(unfit)? {
        return Err(invalid("the socket listens"));
    }
    let flags = fcntl_getfd(&socket).map_err(unfit)?;
    fcntl_setfd(&socket, flags | FdFlags::CLOEXEC).map_err(unfit)?;
    ioctl_fionbio(&socket, true).map_err(unfit)?;
    let id = draw_id();
    let limit = watch_the_time(ev, id, options.limit);
    let mut race = Race::new(options.plan(), options.delay);
    let outcome = match watch(ev, id, 0, socket) {
        Ok(wait) => {
            race.open.push(Open { number: 0, target: None, wait });
            None
        }
        Err(error) => {
            race.fail(0, None, error);
            Some(Err(race.error(ErrorKind::Connect)))
        }
    };
    let done = |ev: &mut EvLoop, outcome: Result<Winner>| done(ev, outcome.map(|won| won.socket));
    let call = Call { stage: Stage::Racing(race), limit, done: Box::new(done) };
    settle_later(ev, id, call, outcome);
    Ok(Dial(id))
}

impl Dial {
    /// Gives it up: all its sockets are closed, and what was to be called is dropped.
    ///
    /// Returns whether it was under way: not cancelled, and `done` not called yet.
    pub(super) fn cancel(self, ev: &mut EvLoop) -> bool {
        let Some(Call { stage, limit, done }) = take(ev, self.0) else { return false };
        limit.free(ev);
        release(ev, stage);
        drop(done);
        true
    }

    /// Whether `done` is still to be called.
    #[cfg(test)]
    pub(super) fn is_active(self, ev: &EvLoop) -> bool {
        ev.local_if_made::<Calls>().is_some_and(|calls| calls.0.borrow().contains_key(&self.0))
    }
}

/// What is being dialled, per loop.
#[derive(Default)]
struct Calls(RefCell<BTreeMap<u64, Call>>);

struct Call {
    stage: Stage,
    /// For the whole.
    limit: Timer,
    done: Done,
}

type Done = Box<dyn FnOnce(&mut EvLoop, Result<Winner>)>;

enum Stage {
    Naming(Naming),
    Racing(Race),
    /// It ended inside of a user's call, and the loop has not come to report it.
    Over(Result<Winner>),
}

/// The name is being resolved.
struct Naming {
    host: String,
    port: u16,
    /// `None` if the options have the answer.
    question: Option<Resolve>,
    /// What follows.
    race: Race,
    on_resolved: Box<dyn FnOnce(&mut EvLoop)>,
}

/// Addresses are tried. As long as it goes on an attempt is under way.
struct Race {
    plan: Plan,
    delay: Duration,
    waiting: VecDeque<Target>,
    /// How many attempts were begun; they are numbered in this order.
    begun: usize,
    open: Vec<Open>,
    failed: Vec<Failed>,
    /// Begins the next attempt beside those that are under way.
    next: Option<Timer>,
}

struct Open {
    number: usize,
    /// `None` for an adopted socket.
    target: Option<Target>,
    wait: Wait,
}

/// What an attempt waits for.
enum Wait {
    /// The system. The watcher owns the socket.
    System(Io),
    /// Room in the queue of a Unix socket, which nobody is told of: the timer looks again.
    Room { timer: Timer, socket: OwnedFd, pause: Duration },
}

struct Failed {
    number: usize,
    address: Option<Address>,
    error: io::Error,
}

struct Winner {
    socket: OwnedFd,
    address: Option<Address>,
    failed: Vec<Attempt>,
}

/// How an attempt stands.
enum Standing {
    Connected(OwnedFd),
    Waits(Wait),
}

impl Wait {
    fn end(self, ev: &mut EvLoop) {
        match self {
            Self::System(io) => io.free(ev),
            Self::Room { timer, .. } => timer.free(ev),
        };
    }
}

impl Race {
    fn new(plan: Plan, delay: Duration) -> Self {
        let (waiting, open, failed) = (VecDeque::new(), Vec::new(), Vec::new());
        Self { plan, delay, waiting, begun: 0, open, failed, next: None }
    }

    fn take_open(&mut self, number: usize) -> Option<Open> {
        let place = self.open.iter().position(|open| open.number == number)?;
        Some(self.open.remove(place))
    }

    fn fail(&mut self, number: usize, address: Option<Address>, error: io::Error) {
        self.failed.push(Failed { number, address, error });
    }

    fn won(&mut self, socket: OwnedFd, target: Option<Target>) -> Winner {
        let (failed, _) = self.take_failed();
        Winner { socket, address: target.as_ref().map(Target::address), failed }
    }

    fn error(&mut self, kind: ErrorKind) -> Error {
        match self.take_failed() {
            (_, Some(error)) => Error::os(kind, CONNECTING, error),
            (attempts, None) => {
                Error::caused(kind, CONNECTING, Box::new(ConnectError { attempts }))
            }
        }
    }

    /// The attempts in order; and that of an adopted socket.
    fn take_failed(&mut self) -> (Vec<Attempt>, Option<io::Error>) {
        let mut failed = mem::take(&mut self.failed);
        failed.sort_by_key(|failed| failed.number);
        let mut attempts = Vec::with_capacity(failed.len());
        for Failed { address, error, .. } in failed {
            match address {
                Some(address) => attempts.push(Attempt { address, error }),
                None => return (attempts, Some(error)),
            }
        }
        (attempts, None)
    }
}

fn draw_id() -> u64 {
    static IDS: AtomicU64 = AtomicU64::new(1);
    IDS.fetch_add(1, Ordering::Relaxed)
}

fn take(ev: &mut EvLoop, id: u64) -> Option<Call> {
    ev.local::<Calls>().0.borrow_mut().remove(&id)
}

fn put(ev: &mut EvLoop, id: u64, call: Call) {
    ev.local::<Calls>().0.borrow_mut().insert(id, call);
}

/// Takes a call of which one attempt is to be looked after.
fn take_attempt(ev: &mut EvLoop, id: u64, number: usize) -> Option<(Call, Open)> {
    let mut call = take(ev, id)?;
    let open = match &mut call.stage {
        Stage::Racing(race) => race.take_open(number),
        Stage::Naming(_) | Stage::Over(_) => None,
    };
    match open {
        Some(open) => Some((call, open)),
        None => {
            put(ev, id, call);
            None
        }
    }
}

// --- the end -----------------------------------------------------------------------------------

/// Goes on waiting, or reports how it ended. Only from the loop.
fn settle(ev: &mut EvLoop, id: u64, call: Call, outcome: Option<Result<Winner>>) {
    let Some(outcome) = outcome else { return put(ev, id, call) };
    let Call { stage, limit, done } = call;
    limit.free(ev);
    release(ev, stage);
    done(ev, outcome);
}

/// The same from inside a user's call: what is to be reported waits for the loop.
fn settle_later(ev: &mut EvLoop, id: u64, mut call: Call, outcome: Option<Result<Winner>>) {
    if let Some(outcome) = outcome {
        let stage = mem::replace(&mut call.stage, Stage::Over(outcome));
        release(ev, stage);
        ev.defer(move |ev| deliver(ev, id));
    }
    put(ev, id, call);
}

fn deliver(ev: &mut EvLoop, id: u64) {
    let Some(Call { stage, limit, done }) = take(ev, id) else { return };
    limit.free(ev);
    if let Stage::Over(outcome) = stage {
        done(ev, outcome);
    }
}

/// Ends what is under way: closes the sockets, frees the watchers.
fn release(ev: &mut EvLoop, stage: Stage) {
    match stage {
        Stage::Naming(Naming { question, race, .. }) => {
            if let Some(question) = question {
                question.cancel(ev);
            }
            release(ev, Stage::Racing(race));
        }
        Stage::Racing(race) => {
            for open in race.open {
                open.wait.end(ev);
            }
            if let Some(next) = race.next {
                next.free(ev);
            }
        }
        Stage::Over(_) => {}
    }
}

fn watch_the_time(ev: &mut EvLoop, id: u64, limit: Duration) -> Timer {
    start_timer(ev, limit, move |ev| {
        // Behind the sockets: if the loop was held up, one that is connected by now has come in time.
        ev.defer(move |ev| time_is_up(ev, id, limit));
    })
}

/// The timer counts from the present moment: the callback that dials may have computed for long. It is freed by
/// who waits for it.
fn start_timer(
    ev: &mut EvLoop,
    delay: Duration,
    mut due: impl FnMut(&mut EvLoop) + 'static,
) -> Timer {
    ev.timer(delay, Duration::ZERO, move |ev, _| due(ev)).start_from_real_now(ev)
}

fn time_is_up(ev: &mut EvLoop, id: u64, limit: Duration) {
    let Some(mut call) = take(ev, id) else { return };
    let outcome = match &mut call.stage {
        Stage::Naming(naming) => Some(Err(Unresolved::late(&naming.host, limit))),
        Stage::Racing(race) => {
            for open in mem::take(&mut race.open) {
                let address = open.target.as_ref().map(Target::address);
                race.fail(open.number, address, io::ErrorKind::TimedOut.into());
                open.wait.end(ev);
            }
            Some(Err(race.error(ErrorKind::TimedOut)))
        }
        // There is an outcome, which is about to be delivered.
        Stage::Over(_) => None,
    };
    settle(ev, id, call, outcome);
}

// --- the name ----------------------------------------------------------------------------------

fn named(ev: &mut EvLoop, id: u64, answer: Result<Rc<[SocketAddr]>>) {
    let Some(call) = take(ev, id) else { return };
    let Call { stage: Stage::Naming(naming), limit, done } = call else {
        return put(ev, id, call);
    };
    let Naming { host, port, question: _, mut race, on_resolved } = naming;
    let answer = match answer {
        Ok(addresses) if addresses.is_empty() => Err(Unresolved::none(&host)),
        Ok(addresses) => {
            let at_port = addresses.iter().map(|address| {
                let mut address = *address;
                address.set_port(port);
                address
            });
            race.waiting = race.plan.order(at_port);
            if race.waiting.is_empty() { Err(Unresolved::unwanted(&host)) } else { Ok(()) }
        }
        Err(error) => Err(error),
    };
    let call = Call { stage: Stage::Racing(race), limit, done };
    match answer {
        Err(error) => {
            drop(on_resolved);
            settle(ev, id, call, Some(Err(error)));
        }
        Ok(()) => {
            put(ev, id, call);
            // Said beforehand, so that it happens also if the callback panics.
            ev.defer(move |ev| begin_race(ev, id));
            on_resolved(ev);
        }
    }
}

// --- the race ----------------------------------------------------------------------------------

fn begin_race(ev: &mut EvLoop, id: u64) {
    let Some(mut call) = take(ev, id) else { return };
    let outcome = match &mut call.stage {
        Stage::Racing(race) => advance(ev, id, race),
        Stage::Naming(_) | Stage::Over(_) => None,
    };
    settle(ev, id, call, outcome);
}

/// Begins attempts until one more is under way, or none is left to begin. Returns how the race ended, if it
/// has.
fn advance(ev: &mut EvLoop, id: u64, race: &mut Race) -> Option<Result<Winner>> {
    if let Some(next) = race.next.take() {
        next.free(ev);
    }
    while let Some(target) = race.waiting.pop_front() {
        let number = race.begun;
        race.begun += 1;
        match attempt(ev, id, number, &target, race.plan) {
            Ok(Standing::Connected(socket)) => return Some(Ok(race.won(socket, Some(target)))),
            Ok(Standing::Waits(wait)) => {
                race.open.push(Open { number, target: Some(target), wait });
                break;
            }
            Err(error) => race.fail(number, Some(target.address()), error),
        }
    }
    if race.open.is_empty() {
        return Some(Err(race.error(ErrorKind::Connect)));
    }
    if !race.waiting.is_empty() {
        race.next = Some(start_timer(ev, race.delay, move |ev| begin_race(ev, id)));
    }
    None
}

fn attempt(
    ev: &mut EvLoop,
    id: u64,
    number: usize,
    target: &Target,
    plan: Plan,
) -> io::Result<Standing> {
    let socket = target.socket(SocketType::STREAM)?;
    if let Target::Ip(address) = target {
        if let Some(local) = plan.from(address) {
            // With port 0 this takes a port of its own from the system's range, whoever the peer is: rustix
            // does not offer IP_BIND_ADDRESS_NO_PORT, which would leave the choice to `connect`.
            Target::Ip(local).bind(&socket)?;
        }
    }
    push(ev, id, number, socket, target, PAUSE)
}

/// Asks the system for the connection.
fn push(
    ev: &mut EvLoop,
    id: u64,
    number: usize,
    socket: OwnedFd,
    target: &Target,
    pause: Duration,
) -> io::Result<Standing> {
    for _ in 0..INTERRUPTIONS {
        let Err(error) = target.connect(&socket) else {
            check_peer(&socket)?;
            return Ok(Standing::Connected(socket));
        };
        match (Errno::from_io_error(&error), target) {
            (Some(Errno::INTR), _) => {}
            // After an interruption it says that it is connecting already, or has done so.
            (Some(Errno::INPROGRESS | Errno::ALREADY), _) => {
                return Ok(Standing::Waits(watch(ev, id, number, socket)?));
            }
            (Some(Errno::ISCONN), _) => {
                check_peer(&socket)?;
                return Ok(Standing::Connected(socket));
            }
            (Some(Errno::AGAIN), Target::Unix(_)) => {
                let timer = start_timer(ev, pause, move |ev| look_for_room(ev, id, number));
                return Ok(Standing::Waits(Wait::Room { timer, socket, pause }));
            }
            _ => return Err(error),
        }
    }
    Err(Errno::INTR.into())
}

fn watch(ev: &mut EvLoop, id: u64, number: usize, socket: OwnedFd) -> io::Result<Wait> {
    let looks = move |ev: &mut EvLoop, socket, _| look(ev, id, number, socket);
    Ok(Wait::System(ev.once(socket, Interest::WRITE, None, looks)?))
}

/// A socket that was connecting is writable.
fn look(ev: &mut EvLoop, id: u64, number: usize, socket: OwnedFd) {
    let Some((call, open)) = take_attempt(ev, id, number) else { return };
    let standing = match is_connected(&socket) {
        Ok(true) => Ok(Standing::Connected(socket)),
        Ok(false) => watch(ev, id, number, socket).map(Standing::Waits),
        Err(error) => Err(error),
    };
    go_on(ev, id, call, (number, open.target), standing);
}

/// A Unix socket's queue was full a moment ago.
fn look_for_room(ev: &mut EvLoop, id: u64, number: usize) {
    let Some((mut call, open)) = take_attempt(ev, id, number) else { return };
    match (open.wait, open.target) {
        (Wait::Room { timer, socket, pause }, Some(target)) => {
            timer.free(ev);
            let pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
            let standing = push(ev, id, number, socket, &target, pause);
            go_on(ev, id, call, (number, Some(target)), standing);
        }
        (wait, target) => {
            if let Stage::Racing(race) = &mut call.stage {
                race.open.push(Open { number, target, wait });
            }
            put(ev, id, call);
        }
    }
}

/// An attempt stands somewhere else than before.
fn go_on(
    ev: &mut EvLoop,
    id: u64,
    mut call: Call,
    (number, target): (usize, Option<Target>),
    standing: io::Result<Standing>,
) {
    let Stage::Racing(race) = &mut call.stage else { return put(ev, id, call) };
    let outcome = match standing {
        Ok(Standing::Connected(socket)) => Some(Ok(race.won(socket, target))),
        Ok(Standing::Waits(wait)) => {
            race.open.push(Open { number, target, wait });
            None
        }
        Err(error) => {
            race.fail(number, target.as_ref().map(Target::address), error);
            advance(ev, id, race)
        }
    };
    settle(ev, id, call, outcome);
}

/// Whether a socket that was found writable is connected; if not, it was called too early.
fn is_connected(socket: &OwnedFd) -> io::Result<bool> {
    take_error(socket)?;
    match check_peer(socket) {
        Err(error) if Errno::from_io_error(&error) == Some(Errno::NOTCONN) => {
            // Somebody fed the event; or somebody else has taken the error, which leaves it writable.
            let mut polled = [PollFd::new(socket, PollFlags::OUT)];
            let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
            if poll(&mut polled, Some(&at_once))? == 0 { Ok(false) } else { Err(error) }
        }
        checked => checked.map(|()| true),
    }
}

/// A connection to a port of this machine that nobody listens on, and that the system happens to have chosen as
/// our own, is one to itself (RFC 9293, simultaneous open). Nobody is there, and as long as it lasts nobody
/// can be.
fn check_peer(socket: &OwnedFd) -> io::Result<()> {
    let ip = |address: SocketAddrAny| {
        SocketAddr::try_from(address).ok().map(|address| (address.ip(), address.port()))
    };
    let peer = getpeername(socket)?.and_then(ip);
    if peer.is_some() && peer == ip(getsockname(socket)?) {
        // Without this the port would be in TIME_WAIT.
        sockopt::set_socket_linger(socket, Some(Duration::ZERO))?;
        return Err(Errno::CONNREFUSED.into());
    }
    Ok(())
}

#[cold]
fn invalid(why: &'static str) -> Error {
    Error::caused(ErrorKind::InvalidInput, CONNECTING, why.into())
}

#[cold]
fn unfit(errno: Errno) -> Error {
    Error::os(ErrorKind::InvalidInput, CONNECTING, errno.into())
}

#[cfg(test)]
mod tests;
