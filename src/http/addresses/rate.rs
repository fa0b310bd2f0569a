use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::{IpKey, IpNetwork};

/// How many addresses are remembered, unless it is said otherwise.
const TABLE: usize = 65_536;

/// How often one address may ask: a bucket of tokens for each ([`IpKey`]; IPv6 by /64), which is full at first, and from
/// which every request takes one.
///
/// It is a table that knows no clock and no server; [`Routes::limit_rate`](super::super::Routes::limit_rate) puts it before
/// handlers, but one can as well count log-ins that have failed:
///
/// ```
/// use evloop::http::RequestRate;
/// use std::time::{Duration, Instant};
///
/// let mut rate = RequestRate::per_second(2, 3);
/// let (ip, now) = ("192.0.2.1".parse().unwrap(), Instant::now());
/// for _ in 0..3 {
///     assert_eq!(rate.take(ip, now), Ok(()));
/// }
/// assert_eq!(rate.take(ip, now), Err(Duration::from_millis(500)));
/// assert_eq!(rate.take(ip, now + Duration::from_millis(500)), Ok(()));
/// ```
///
/// # Sharp edges
///
/// * **The table is bounded**: 65 536 addresses, or [as many as is said](Self::table). Those whose bucket is full again
///   are forgotten first. Who has more addresses than that is not stopped by counting addresses.
/// * **Many may share an address**, behind one router or proxy: see
///   [`except`](Self::except), and tell the server which proxies are trusted.
// When a bucket is full again is all that is kept of it (the generic cell rate algorithm of ATM). A bucket that nobody
// has touched for as long as it takes to fill is full, so those of the generation before last need not be kept.
#[derive(Debug, Clone)]
pub struct RequestRate {
    /// Nanoseconds per token, and of a whole bucket.
    token: u64,
    bucket: u64,
    /// How many keys each generation may have.
    most: usize,
    young: HashMap<IpKey, u64>,
    old: HashMap<IpKey, u64>,
    /// When the younger generation began.
    since: u64,
    begun: Option<Instant>,
    except: Vec<IpNetwork>,
}

impl RequestRate {
    /// So many requests a second on the average, and so many at once; of either at least one.
    #[must_use]
    pub fn per_second(requests: u32, burst: u32) -> Self {
        Self::per(Duration::from_secs(1), requests, burst)
    }

    /// So many requests in such a time on the average, and so many at once; of either at least one.
    #[must_use]
    pub fn per(time: Duration, requests: u32, burst: u32) -> Self {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let token = (time / u64::from(requests.max(1))).max(1);
        Self {
            token,
            bucket: token.saturating_mul(burst.max(1).into()),
            most: TABLE / 2,
            young: HashMap::new(),
            old: HashMap::new(),
            since: 0,
            begun: None,
            except: Vec::new(),
        }
    }

    /// How many addresses are remembered at most: each takes about 40 bytes. At least 2.
    #[must_use]
    pub fn table(mut self, addresses: usize) -> Self {
        self.most = (addresses / 2).max(1);
        self
    }

    /// Does not count those of a network.
    #[must_use]
    pub fn except(mut self, network: IpNetwork) -> Self {
        self.except.push(network);
        self
    }

    /// Takes a token, if there is one.
    ///
    /// # Errors
    ///
    /// How long to wait for one. Asking in vain costs nothing more.
    pub fn take(&mut self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        if self.except.iter().any(|network| network.contains(address)) {
            return Ok(());
        }
        let begun = *self.begun.get_or_insert(now);
        let now = now.saturating_duration_since(begun).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX);
        if now.saturating_sub(self.since) >= self.bucket || self.young.len() >= self.most {
            self.age(now);
        }
        let key = IpKey::from(address);
        let known = self.young.get(&key).or_else(|| self.old.get(&key)).copied();
        let full = known.unwrap_or(0).max(now).saturating_add(self.token);
        let wait = full.saturating_sub(now).saturating_sub(self.bucket);
        if wait > 0 {
            return Err(Duration::from_nanos(wait));
        }
        self.young.insert(key, full);
        Ok(())
    }

    /// How many addresses are remembered now.
    #[must_use]
    pub fn remembered(&self) -> usize {
        self.young.len() + self.old.len()
    }

    /// The younger generation is the older one now.
    fn age(&mut self, now: u64) {
        std::mem::swap(&mut self.young, &mut self.old);
        self.young.clear();
        if now.saturating_sub(self.since) >= self.bucket.saturating_mul(2) {
            self.old.clear();
        }
        self.since = now;
    }
}
