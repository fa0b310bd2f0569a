//! How many connections there may be: in all, from one host, per second.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::Remote;

/// How many of a listener's connections are open. Shared with their permits, which may be on other threads.
pub(super) struct Counts {
    listener: u64,
    connections: AtomicUsize,
    /// The listener does not accept because there are as many as may be: who gives one back says so. Set
    /// before the number is looked at, and looked at after the number was changed, so one of the two
    /// sides sees the other.
    held: AtomicBool,
    remote: Remote,
}

impl Counts {
    pub(super) fn new(listener: u64, remote: Remote) -> Self {
        let (connections, held) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { listener, connections, held, remote }
    }

    pub(super) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Whether to be told when a connection is given back.
    pub(super) fn hold(&self, held: bool) {
        self.held.store(held, Ordering::SeqCst);
    }
}

/// A connection's place among those that its listener allows.
///
/// [`Accepted::into_parts`](super::Accepted::into_parts) hands it out beside the socket: keep it as long as the
/// connection is to be counted, on whatever thread, and drop it then.
///
/// ```
/// use evloop::EvLoop;
/// use evloop::net::ListenOptions;
/// use std::net::TcpStream;
///
/// let mut ev = EvLoop::new()?;
/// let one = ListenOptions::new().max_connections(1);
/// let listener = one.listen(&mut ev, "127.0.0.1:0", |ev, accepted| {
///     let listener = accepted.listener();
///     let (socket, permit) = accepted.into_parts();
///     drop(socket);
///     assert_eq!(listener.stats(ev).expect("it exists").connections, 1);
///     drop(permit);
///     assert_eq!(listener.stats(ev).expect("it exists").connections, 0);
///     listener.close(ev);
/// })?;
/// let address = listener.addresses(&ev)[0].to_string();
/// let _client = TcpStream::connect(address)?;
/// ev.run()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[must_use = "dropped, it counts the connection no longer"]
pub struct Permit {
    counts: Arc<Counts>,
    /// What counts the connections of a host is how many hold this.
    _host: Option<Arc<()>>,
}

impl Permit {
    pub(super) fn new(counts: &Arc<Counts>, host: Option<Arc<()>>) -> Self {
        counts.connections.fetch_add(1, Ordering::SeqCst);
        Self { counts: Arc::clone(counts), _host: host }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.counts.connections.fetch_sub(1, Ordering::SeqCst);
        if self.counts.held.swap(false, Ordering::SeqCst) {
            let id = self.counts.listener;
            // A loop that is gone has no listener either.
            self.counts.remote.post(move |ev| super::look_again(ev, id));
        }
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Permit").finish_non_exhaustive()
    }
}

/// How many connections each host has.
pub(super) struct Hosts {
    /// 0 for any number.
    most: u32,
    open: RefCell<BTreeMap<Host, Arc<()>>>,
    /// With so many entries those of hosts that are gone are thrown out: at least half of what is there
    /// then came since the last time, so the work is constant per connection.
    sweep_at: Cell<usize>,
}

/// What counts as one host.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Host {
    V4(u32),
    /// The first 64 bits: who has one address there has them all.
    V6(u64),
    /// The last 64 bits of a link-local address: the first are the same for all.
    Neighbour(u64),
}

impl Host {
    fn of(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4.to_bits()),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Self::Neighbour(v6.to_bits() as u64),
            IpAddr::V6(v6) => Self::V6((v6.to_bits() >> 64) as u64),
        }
    }
}

/// A host has as many as it may.
pub(super) struct TooMany;

const FEWEST_TO_SWEEP: usize = 64;

impl Hosts {
    pub(super) fn new(most: u32) -> Self {
        Self { most, open: RefCell::default(), sweep_at: Cell::new(FEWEST_TO_SWEEP) }
    }

    /// One more connection of this host, if it may have one.
    pub(super) fn admit(&self, ip: Option<IpAddr>) -> Result<Option<Arc<()>>, TooMany> {
        let Some(ip) = ip.filter(|_| self.most > 0) else { return Ok(None) };
        let mut open = self.open.borrow_mut();
        if open.len() >= self.sweep_at.get() {
            open.retain(|_, held| Arc::strong_count(held) > 1);
            self.sweep_at.set(FEWEST_TO_SWEEP.max(open.len() * 2));
        }
        let held = open.entry(Host::of(ip)).or_default();
        // The map has one of its own. Others only ever let go of theirs: the number may be too high by
        // what happens at this moment, never too low.
        if Arc::strong_count(held) > self.most as usize {
            return Err(TooMany);
        }
        Ok(Some(Arc::clone(held)))
    }
}

/// A token bucket of accepts: so many per second on average, and a burst of so many at once.
pub(super) struct Rate {
    /// Between two accepts; `None` for no limit.
    interval: Option<Duration>,
    /// How far ahead of the average a burst may run.
    ahead: Duration,
    /// When the next would be due if all came at the average rate.
    due: Cell<Option<Instant>>,
}

impl Rate {
    pub(super) fn new(per_second: u32, burst: u32) -> Self {
        let interval = Duration::from_secs(1).checked_div(per_second);
        let ahead = interval.unwrap_or_default().saturating_mul(burst.max(1) - 1);
        Self { interval, ahead, due: Cell::new(None) }
    }

    /// When the next may be accepted, if that is not now.
    pub(super) fn not_before(&self, now: Instant) -> Option<Instant> {
        self.due.get()?.checked_sub(self.ahead).filter(|due| *due > now)
    }

    pub(super) fn spend(&self, now: Instant) {
        let Some(interval) = self.interval else { return };
        let due = self.due.get().map_or(now, |due| due.max(now));
        self.due.set(Some(due + interval));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> Option<IpAddr> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn a_host_has_as_many_as_it_may_and_gets_them_back() {
        let hosts = Hosts::new(2);
        let first = hosts.admit(ip("192.0.2.1")).ok().unwrap();
        let _second = hosts.admit(ip("192.0.2.1")).ok().unwrap();
        assert!(hosts.admit(ip("192.0.2.1")).is_err());
        assert!(hosts.admit(ip("::ffff:192.0.2.1")).is_err(), "the same host");
        assert!(hosts.admit(ip("192.0.2.2")).is_ok());
        drop(first);
        assert!(hosts.admit(ip("192.0.2.1")).is_ok());
    }

    #[test]
    fn sixty_four_bits_are_one_host() {
        let hosts = Hosts::new(1);
        let _held = hosts.admit(ip("2001:db8::1")).ok().unwrap();
        assert!(hosts.admit(ip("2001:db8::ffff:0:0:2")).is_err());
        assert!(hosts.admit(ip("2001:db8:0:1::1")).is_ok());
        let _neighbour = hosts.admit(ip("fe80::1")).ok().unwrap();
        assert!(hosts.admit(ip("fe80::1")).is_err());
        assert!(hosts.admit(ip("fe80::2")).is_ok());
    }

    #[test]
    fn hosts_that_are_gone_take_no_memory_for_long() {
        let hosts = Hosts::new(1);
        for n in 0..100_000_u32 {
            drop(hosts.admit(Some(IpAddr::V4(n.into()))));
            assert!(hosts.open.borrow().len() <= FEWEST_TO_SWEEP);
        }
    }

    #[test]
    fn a_burst_is_followed_by_the_average() {
        let (rate, start) = (Rate::new(10, 3), Instant::now());
        for _ in 0..3 {
            assert_eq!(rate.not_before(start), None);
            rate.spend(start);
        }
        let next = rate.not_before(start).unwrap();
        assert_eq!(next - start, Duration::from_millis(100));
        rate.spend(next);
        assert_eq!(rate.not_before(next), Some(next + Duration::from_millis(100)));
        // After a rest there is a burst again, and not more than that.
        let later = start + Duration::from_secs(100);
        for _ in 0..3 {
            assert_eq!(rate.not_before(later), None);
            rate.spend(later);
        }
        assert!(rate.not_before(later).is_some());
    }

    #[test]
    fn no_rate_is_no_limit() {
        let (rate, now) = (Rate::new(0, 0), Instant::now());
        for _ in 0..1000 {
            assert_eq!(rate.not_before(now), None);
            rate.spend(now);
        }
    }
}
