//! What the dashboard draws: how many requests end in each second, how long they took, how late the loops are; and who
//! is connected.
//!
//! A [`Meter`] is what all threads count in; each thread has a [`Desk`], which is told what happens there. A sample is taken
//! by whoever is there first when a second is over, be it a request or somebody who looks. There is no timer for it: a
//! server that nobody asks sleeps, and the seconds slept through had no requests. How late a loop is, is measured while
//! somebody looks.

use std::cell::Cell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use evloop::EvLoop;
use evloop::http::{Completed, CompletionReason, ConnectionEvent, Method, Routes};
use evloop::net::Stream;

/// How many seconds are drawn.
pub const SECONDS: usize = 60;

/// How many connections are listed.
pub const LISTED: usize = 8;

/// How often a loop looks how late it is.
const TICK: Duration = Duration::from_millis(100);

/// For how long it does after somebody has looked.
const PATIENCE: Duration = Duration::from_secs(5);

/// Eight to each power of two, up to an hour in microseconds.
const BUCKETS: usize = 256;

/// The longest path that is remembered, in bytes.
const LONGEST: usize = 60;

/// What happened in a second.
#[derive(Clone, Copy, Default)]
pub struct Sample {
    /// Requests that ended.
    pub rate: u64,
    /// So many microseconds, or less, half of them took; `None` if there were none.
    pub half: Option<u64>,
    /// And 99 of 100.
    pub most: Option<u64>,
    /// The worst lag of a loop, in microseconds; `None` if nobody has looked.
    pub lag: Option<u64>,
}

/// Counted by all threads.
pub struct Meter {
    began: Instant,
    took: [AtomicU64; BUCKETS],
    /// The worst since the last sample, in microseconds and one more; 0 if there was none.
    lag: AtomicU64,
    /// [`History::next`], for who only wants to know whether it is time.
    next: AtomicU64,
    history: Mutex<History>,
    /// The connections of each thread, by number, which is by age.
    seen: Box<[Mutex<BTreeMap<u64, Row>>]>,
}

#[derive(Default)]
struct History {
    samples: VecDeque<Sample>,
    /// The number of the next one: so many seconds after the beginning it begins.
    next: u64,
    /// What was counted when the last one was taken.
    before: Counts,
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
    pub id: u64,
    pub stream: Stream,
    pub peer: String,
    pub opened: Instant,
    /// `None` for a WebSocket, which the server has let go of.
    pub requests: Option<u64>,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub last: String,
}

impl Meter {
    pub fn new(threads: usize) -> Self {
        Self {
            began: Instant::now(),
            took: [const { AtomicU64::new(0) }; BUCKETS],
            lag: AtomicU64::new(0),
            next: AtomicU64::new(0),
            history: Mutex::default(),
            seen: (0..threads).map(|_| Mutex::default()).collect(),
        }
    }

    pub fn uptime(&self) -> Duration {
        self.began.elapsed()
    }

    /// The samples from a number on, of those that are still there, and the number of the one to come.
    pub fn samples(&self, from: u64) -> (Vec<Sample>, u64) {
        let mut history = locked(&self.history);
        self.catch_up(&mut history);
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

    /// The oldest connections of all threads, how many there are, and how many of them are WebSockets.
    pub fn connections(&self) -> (Vec<Row>, usize, usize) {
        let (mut rows, mut open, mut websockets) = (Vec::new(), 0, 0);
        for seen in &self.seen {
            let seen = locked(seen);
            rows.extend(seen.values().take(LISTED).cloned());
            open += seen.len();
            websockets += seen.values().filter(|row| row.requests.is_none()).count();
        }
        rows.sort_by_key(|row| row.id);
        (rows, open, websockets)
    }

    /// A request has ended.
    fn note(&self, started: Instant) {
        let now = Instant::now();
        self.look(now);
        let took = microseconds(now.saturating_duration_since(started));
        self.took[bucket_of(took)].fetch_add(1, Relaxed);
    }

    /// Takes a sample if it is time for one.
    fn look(&self, now: Instant) {
        if now.duration_since(self.began).as_secs() > self.next.load(Relaxed) {
            // Another thread may be at it.
            if let Ok(mut history) = self.history.try_lock() {
                self.catch_up(&mut history);
            }
        }
    }

    /// Takes the samples of the seconds that are over.
    fn catch_up(&self, history: &mut History) {
        let over = self.began.elapsed().as_secs();
        let missing = over.saturating_sub(history.next);
        if missing == 0 {
            return;
        }
        history.next = over;
        self.next.store(over, Relaxed);
        let mut counts = Counts::default();
        let pairs = counts.0.iter_mut().zip(&mut history.before.0);
        for ((count, before), total) in pairs.zip(&self.took) {
            let total = total.load(Relaxed);
            *count = total - *before;
            *before = total;
        }
        let rate = counts.0.iter().sum();
        history.push(Sample {
            rate,
            half: percentile(&counts, rate, 50),
            most: percentile(&counts, rate, 99),
            lag: self.lag.swap(0, Relaxed).checked_sub(1),
        });
        // Had there been any requests in the seconds behind that one, the first of them would have looked.
        for _ in 1..missing.min(SECONDS as u64 + 1) {
            history.push(Sample::default());
        }
    }
}

impl History {
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
    thread: usize,
    /// Until then the loop looks how late it is.
    until: Cell<Option<Instant>>,
}

impl Desk {
    pub fn new(meter: Arc<Meter>, thread: usize) -> Rc<Self> {
        Rc::new(Self { meter, thread, until: Cell::new(None) })
    }

    /// Has what happens told to the desk.
    pub fn watch(self: &Rc<Self>, routes: Routes) -> Routes {
        let (comes, asks, ends) = (Rc::clone(self), Rc::clone(self), Rc::clone(self));
        routes
            .on_connection(move |ev, connection, event| match event {
                ConnectionEvent::Opened => comes.opened(ev, connection.stream()),
                _ => comes.closed(connection.stream()),
            })
            .on_request_line(move |_, connection, method, target| {
                asks.request(connection.stream(), method, target);
            })
            .on_completed(move |_, completed| ends.completed(completed))
    }

    fn with<R>(&self, change: impl FnOnce(&mut BTreeMap<u64, Row>) -> R) -> Option<R> {
        self.meter.seen.get(self.thread).map(|seen| change(&mut locked(seen)))
    }

    fn opened(&self, ev: &EvLoop, stream: Stream) {
        let peer = stream.peer(ev);
        let row = Row {
            id: stream.id(),
            stream,
            peer: peer.map_or_else(|| "–".to_owned(), |peer| peer.to_string()),
            opened: Instant::now(),
            requests: Some(0),
            bytes_in: 0,
            bytes_out: 0,
            last: String::new(),
        };
        self.with(|seen| seen.insert(stream.id(), row));
    }

    /// Also told by WebSockets, of whose end the server does not know.
    pub fn closed(&self, stream: Stream) {
        self.with(|seen| seen.remove(&stream.id()));
    }

    fn request(&self, stream: Stream, method: &Method, target: &str) {
        // Not the query: what people search for is nobody's business.
        let end = target.find('?').unwrap_or(target.len()).min(LONGEST);
        let path = target.get(..end).unwrap_or_default();
        self.with(|seen| {
            let Some(row) = seen.get_mut(&stream.id()) else { return };
            row.requests = row.requests.map(|requests| requests + 1);
            row.last.clear();
            row.last.push_str(method.as_str());
            row.last.push(' ');
            row.last.push_str(path);
        });
    }

    fn completed(&self, completed: &Completed) {
        let is_upgraded = completed.reason == CompletionReason::Upgraded;
        self.with(|seen| {
            let Some(row) = seen.get_mut(&completed.request.connection.id()) else { return };
            row.bytes_in += completed.bytes_in;
            row.bytes_out += completed.bytes_out;
            if is_upgraded {
                row.requests = None;
                row.last = "WebSocket".to_owned();
            }
        });
        // What was cut off has not taken a time that says anything. `duration` is in the loop's time, which does not pass
        // within an iteration.
        if let (CompletionReason::Ok, Some(started)) = (completed.reason, completed.started) {
            self.meter.note(started);
        }
    }

    /// A WebSocket has said something.
    #[cfg(feature = "websocket")]
    pub fn moved(&self, ev: &EvLoop, stream: Stream) {
        let Some(info) = stream.info(ev) else { return };
        self.with(|seen| {
            let Some(row) = seen.get_mut(&stream.id()) else { return };
            (row.bytes_in, row.bytes_out) = (info.bytes_in, info.bytes_out);
        });
    }

    /// Somebody looks, and will again in less than so long.
    pub fn look(self: &Rc<Self>, ev: &mut EvLoop, again_in: Duration) {
        let until = Instant::now() + PATIENCE.max(again_in);
        if self.until.replace(Some(until)).is_some() {
            return;
        }
        let desk = Rc::clone(self);
        let mut due: Option<Instant> = None;
        let timer = ev.timer(TICK, TICK, move |ev, e| {
            let now = Instant::now();
            if let Some(due) = due {
                let late = microseconds(now.saturating_duration_since(due));
                desk.meter.lag.fetch_max(late.saturating_add(1), Relaxed);
            }
            desk.meter.look(now);
            due = e.watcher.due(ev);
            if desk.until.get().is_none_or(|until| now > until) {
                desk.until.set(None);
                e.watcher.free(ev);
            }
        });
        timer.start(ev).set_ref(ev, false);
    }

    /// One of this thread's, as it is now.
    pub fn row(&self, stream: Stream) -> Option<Row> {
        self.with(|seen| seen.get(&stream.id()).cloned())?
    }
}
