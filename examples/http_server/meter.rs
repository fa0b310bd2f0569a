//! What the dashboard draws: how many requests come in each second, how long they take, how late the loops are; and who
//! is connected.
//!
//! A [`Meter`] is common to all threads; each thread has a [`Desk`]. A server that nobody looks at pays for none of this: how many
//! requests there were since somebody has looked, and who is connected, the servers know by themselves. How long
//! requests take, what they were for, and how late a loop is, is measured while somebody looks. There is no timer for
//! seconds: a sample is taken by whoever looks first when one is over, and seconds in which nobody has looked had their
//! average.

use std::cell::Cell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use evloop::EvLoop;
use evloop::http::{Completed, CompletionReason, Connection, HookSwitch, Method, Routes, Server};
use evloop::net::Stream;

/// How many seconds are drawn.
pub const SECONDS: usize = 60;

/// How many connections are listed.
pub const LISTED: usize = 8;

/// How often a loop looks how late it is.
const TICK: Duration = Duration::from_millis(100);

/// For how long it does after somebody has looked, at least.
const PATIENCE: Duration = Duration::from_secs(5);

/// And at most, however rarely they look: they may have left meanwhile.
const LONGEST_PATIENCE: Duration = Duration::from_secs(10);

/// Eight to each power of two, up to an hour in microseconds.
const BUCKETS: usize = 256;

/// The longest path that is remembered, in bytes.
const LONGEST: usize = 60;

/// What happened in a second.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    /// Requests that came.
    pub rate: u64,
    /// So many microseconds, or less, half of those took that ended; `None` if there were none, or nobody has looked.
    pub half: Option<u64>,
    /// And 99 of 100.
    pub most: Option<u64>,
    /// The worst lag of a loop, in microseconds; `None` if nobody has looked.
    pub lag: Option<u64>,
}

/// Common to all threads.
pub struct Meter {
    began: Instant,
    /// Until then somebody looks, in milliseconds from the beginning.
    until: AtomicU64,
    /// While it is on, requests are told when they end.
    looked_at: HookSwitch,
    took: [AtomicU64; BUCKETS],
    /// The worst since the last sample, in microseconds and one more; 0 if there was none.
    lag: AtomicU64,
    history: Mutex<History>,
    /// The oldest connections of each thread, as they were when somebody has looked last.
    listed: Mutex<HashMap<ThreadId, Vec<Row>>>,
    /// By number, which is by age.
    websockets: Mutex<BTreeMap<u64, Stream>>,
}

#[derive(Default)]
struct History {
    samples: VecDeque<Sample>,
    /// The number of the next one: so many seconds after the beginning it begins.
    next: u64,
    /// When nobody has looked last, in milliseconds from the beginning.
    rest: Range<u64>,
    /// What was counted when the last one was taken.
    before: Counts,
    /// How many requests there had been.
    requests: u64,
}

struct Counts([u64; BUCKETS]);

impl Default for Counts {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

/// A connection.
#[derive(Clone)]
pub struct Row {
    /// Those of older ones are smaller.
    pub id: u64,
    pub peer: String,
    pub opened: Instant,
    /// `None` for a WebSocket, which the server has let go of.
    pub requests: Option<u32>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    /// What it asks for, or has asked for last since somebody looks.
    pub last: String,
}

impl Row {
    /// One of this loop's, as it is now.
    fn of(ev: &EvLoop, stream: Stream) -> Option<Self> {
        let info = stream.info(ev)?;
        let peer = stream.peer(ev);
        Some(Self {
            id: stream.id(),
            peer: peer.map_or_else(|| "–".to_owned(), |peer| peer.to_string()),
            opened: info.opened.unwrap_or_else(Instant::now),
            requests: None,
            bytes_in: info.bytes_in,
            bytes_out: info.bytes_out,
            last: "WebSocket".to_owned(),
        })
    }

    /// `before` is what was known of it.
    fn of_http(ev: &EvLoop, connection: Connection, before: Option<&Self>) -> Option<Self> {
        let info = connection.info(ev)?;
        let mut row = Self::of(ev, connection.stream())?;
        row.requests = Some(info.requests);
        match (info.request, before) {
            (Some((method, target)), _) => row.ask(&method, &target),
            (None, Some(before)) => row.last.clone_from(&before.last),
            (None, None) => row.last.clear(),
        }
        Some(row)
    }

    fn ask(&mut self, method: &Method, target: &str) {
        // Not the query: what people search for is nobody's business.
        let end = target.find('?').unwrap_or(target.len()).min(LONGEST);
        self.last.clear();
        self.last.push_str(method.as_str());
        self.last.push(' ');
        self.last.push_str(target.get(..end).unwrap_or_default());
    }
}

impl Meter {
    pub fn new() -> Self {
        Self {
            began: Instant::now(),
            until: AtomicU64::new(0),
            looked_at: HookSwitch::new(),
            took: [const { AtomicU64::new(0) }; BUCKETS],
            lag: AtomicU64::new(0),
            history: Mutex::default(),
            listed: Mutex::default(),
            websockets: Mutex::default(),
        }
    }

    pub fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// The samples from a number on, of those that are still there, and the number of the one to come.
    pub fn samples(&self, from: u64) -> (Vec<Sample>, u64) {
        let history = locked(&self.history);
        let known = history.samples.len();
        let wanted = usize::try_from(history.next.saturating_sub(from)).unwrap_or(known);
        let skipped = known.saturating_sub(wanted);
        (history.samples.iter().skip(skipped).copied().collect(), history.next)
    }

    /// Whether a sample is still there, or will be the next.
    pub fn knows(&self, number: u64) -> bool {
        let history = locked(&self.history);
        number <= history.next && number + history.samples.len() as u64 >= history.next
    }

    /// The oldest connections of all threads, and how many WebSockets there are.
    pub fn connections(&self) -> (Vec<Row>, usize) {
        let rows = locked(&self.listed).values().flatten().cloned().collect();
        (rows, locked(&self.websockets).len())
    }

    /// Lists the oldest connections of this loop.
    pub fn list(&self, ev: &EvLoop, server: Server) {
        let mut connections = server.connections(ev);
        if connections.len() > LISTED {
            connections.select_nth_unstable_by_key(LISTED, |connection| connection.id());
            connections.truncate(LISTED);
        }
        let websockets: Vec<_> = locked(&self.websockets).values().copied().collect();
        let websockets = websockets.into_iter().filter_map(|stream| Row::of(ev, stream));
        let thread = thread::current().id();
        // Each is looked for among all, and the other threads do not wait for that.
        let before = locked(&self.listed).get(&thread).cloned().unwrap_or_default();
        let known = |id| before.iter().find(|row| row.id == id);
        let rows: Vec<_> = connections
            .into_iter()
            .filter_map(|connection| Row::of_http(ev, connection, known(connection.id())))
            .chain(websockets.take(LISTED))
            .collect();
        locked(&self.listed).insert(thread, rows);
    }

    /// One of this thread's, as it is now.
    pub fn row(&self, ev: &EvLoop, connection: Connection) -> Option<Row> {
        Row::of_http(ev, connection, None)
    }

    /// So many requests have come up to now. Takes the samples of the seconds that are over.
    pub fn count(&self, requests: u64) {
        let mut history = locked(&self.history);
        let over = self.began.elapsed().as_secs();
        let missing = over.saturating_sub(history.next);
        if missing == 0 {
            return;
        }
        let first = history.next;
        history.next = over;
        let mut counts = Counts::default();
        let pairs = counts.0.iter_mut().zip(&mut history.before.0);
        for ((count, before), total) in pairs.zip(&self.took) {
            let total = total.load(Relaxed);
            *count = total - *before;
            *before = total;
        }
        // Of several that have asked, one who was answered later may have been told of fewer.
        let came = u128::from(requests.saturating_sub(history.requests));
        history.requests = history.requests.max(requests);
        // As evenly as whole numbers can be.
        let until = |second: u64| came * u128::from(second - first) / u128::from(missing);
        let ended = counts.0.iter().sum();
        let (half, most) = (percentile(&counts, ended, 50), percentile(&counts, ended, 99));
        let lag = self.lag.swap(0, Relaxed).checked_sub(1);
        for second in first.max(over.saturating_sub(SECONDS as u64))..over {
            let rate = u64::try_from(until(second + 1) - until(second)).unwrap_or(u64::MAX);
            let all = Sample { rate, half, most, lag };
            let rested = history.rested_in(second);
            history.push(if rested { Sample { rate, ..Sample::default() } } else { all });
        }
    }

    /// A request of this thread has ended.
    fn completed(&self, completed: &Completed) {
        let request = &completed.request;
        if let Some(rows) = locked(&self.listed).get_mut(&thread::current().id()) {
            if let Some(row) = rows.iter_mut().find(|row| row.id == request.connection.id()) {
                row.ask(&request.method, &request.target);
            }
        }
        // What was cut off has not taken a time that says anything. `duration` is in the loop's time, which does not
        // pass within an iteration.
        if let (CompletionReason::Ok, Some(started)) = (completed.reason, completed.started) {
            let took = microseconds(started.elapsed());
            self.took[bucket_of(took)].fetch_add(1, Relaxed);
        }
    }

    /// Somebody looks, from now until then.
    fn look(&self, now: Instant, until: Instant) {
        let mut history = locked(&self.history);
        let (now, until) = (self.moment(now), self.moment(until));
        let before = self.until.fetch_max(until, Relaxed);
        if before < now {
            history.rest = before..now;
        }
        self.looked_at.set(true);
    }

    /// Whether nobody looks any more; what is measured for those who do ends with that.
    fn rests(&self) -> bool {
        let is_over = || self.moment(Instant::now()) > self.until.load(Relaxed);
        if !is_over() {
            return false;
        }
        // Another thread may be asked just now.
        let _history = locked(&self.history);
        let rests = is_over();
        if rests {
            self.looked_at.set(false);
        }
        rests
    }

    fn moment(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.began).as_millis()).unwrap_or(u64::MAX)
    }
}

impl History {
    /// Whether nobody has looked from the beginning of a second to its end.
    fn rested_in(&self, second: u64) -> bool {
        self.rest.start <= second * 1000 && (second + 1) * 1000 <= self.rest.end
    }

    fn push(&mut self, sample: Sample) {
        if self.samples.len() == SECONDS {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

fn bucket_of(microseconds: u64) -> usize {
    if microseconds < 8 {
        return microseconds as usize;
    }
    // Which power of two, and the three bits behind the first.
    let power = 63 - microseconds.leading_zeros();
    let eighth = (microseconds >> (power - 3)) & 7;
    ((power as usize - 2) * 8 + eighth as usize).min(BUCKETS - 1)
}

/// The middle of what falls into a bucket.
fn middle_of(bucket: usize) -> u64 {
    if bucket < 8 {
        return bucket as u64;
    }
    let step = 1 << (bucket / 8 - 1);
    (8 + bucket as u64 % 8) * step + step / 2
}

/// What so many of a hundred do not exceed.
fn percentile(counts: &Counts, total: u64, of_hundred: u64) -> Option<u64> {
    let wanted = (total * of_hundred).div_ceil(100);
    let mut sum = 0;
    let mut cumulative = counts.0.iter().map(|count| {
        sum += count;
        sum
    });
    let bucket = cumulative.position(|sum| sum >= wanted && sum > 0)?;
    Some(middle_of(bucket).max(1))
}

fn microseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// What a thread that has panicked has left in it is counts, and those are right.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Is told what happens on one thread.
pub struct Desk {
    pub meter: Arc<Meter>,
    /// The loop looks how late it is.
    is_looking: Cell<bool>,
}

impl Desk {
    pub fn new(meter: Arc<Meter>) -> Rc<Self> {
        Rc::new(Self { meter, is_looking: Cell::new(false) })
    }

    /// Has what happens told to the desk.
    pub fn watch(self: &Rc<Self>, routes: Routes) -> Routes {
        let meter = Arc::clone(&self.meter);
        routes.on_completed_while(&self.meter.looked_at, move |_, completed| {
            meter.completed(completed);
        })
    }

    /// A connection has become a WebSocket.
    #[cfg(feature = "websocket")]
    pub fn opened(&self, stream: Stream) {
        locked(&self.meter.websockets).insert(stream.id(), stream);
    }

    /// One has ended.
    #[cfg(feature = "websocket")]
    pub fn closed(&self, stream: Stream) {
        locked(&self.meter.websockets).remove(&stream.id());
    }

    /// Somebody looks, and will again in less than so long.
    pub fn look(self: &Rc<Self>, ev: &mut EvLoop, again_in: Duration) {
        let now = Instant::now();
        self.meter.look(now, now + again_in.clamp(PATIENCE, LONGEST_PATIENCE));
        if self.is_looking.replace(true) {
            return;
        }
        let desk = Rc::clone(self);
        let mut due: Option<Instant> = None;
        let timer = ev.timer(TICK, TICK, move |ev, e| {
            if let Some(due) = due {
                let late = microseconds(due.elapsed());
                desk.meter.lag.fetch_max(late.saturating_add(1), Relaxed);
            }
            due = e.watcher.due(ev);
            if desk.meter.rests() {
                desk.is_looking.set(false);
                e.watcher.free(ev);
            }
        });
        timer.start(ev).set_ref(ev, false);
    }
}
