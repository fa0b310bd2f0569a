//! Nonces that a server knows again without having kept them, and how often those were used that were.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha512_256};

/// Bytes of a nonce: when it was made, what is random of it, and the proof that it is ours.
const TIME: usize = 8;
const RANDOM: usize = 16;
const PROOF: usize = 16;

/// A nonce that is ours.
type Key = (u64, [u8; RANDOM]);

/// The nonces of one server.
// A nonce carries a proof that only we can make, so nothing is kept of those that are handed out: whoever asks
// without logging in costs no memory. Those with which somebody has logged in are in the table, with the counts that were
// used. If the table is full the oldest is dropped, and with it every nonce as old that is not in the table:
// what was dropped must not be taken for one that was never used.
pub(super) struct Nonces {
    secret: [u8; 32],
    used: BTreeMap<Key, Window>,
    most: usize,
    lifetime: Duration,
    /// Nonces made before this, or then, are good only if they are in the table.
    floor: Option<u64>,
}

/// The counts that were used with a nonce: the highest, and which of the 63 below it.
#[derive(Clone, Copy, Default)]
struct Window {
    highest: u32,
    /// The lowest bit is the highest count.
    bits: u64,
}

/// What there is to be said of a nonce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Use {
    Fresh,
    /// It is not ours, or too old.
    Stale,
    /// It was used with this count, or may have been.
    Replayed,
}

impl Window {
    /// Whether this count is new. It is not, from then on.
    fn take(&mut self, count: u32) -> bool {
        if count > self.highest {
            let by = count - self.highest;
            self.bits = self.bits.checked_shl(by).unwrap_or(0) | 1;
            self.highest = count;
            return true;
        }
        let bit = 1_u64.checked_shl(self.highest - count).unwrap_or(0);
        let is_new = bit != 0 && count != 0 && self.bits & bit == 0;
        self.bits |= bit;
        is_new
    }
}

impl Nonces {
    pub(super) fn new(secret: [u8; 32], most: usize, lifetime: Duration) -> Self {
        Self { secret, used: BTreeMap::new(), most: most.max(1), lifetime, floor: None }
    }

    /// A new one, which is good only for whoever gives the same `bound`.
    pub(super) fn make(&self, now: Duration, random: [u8; RANDOM], bound: &[&[u8]]) -> String {
        let created = nanos(now);
        let proof = self.proof(created, &random, bound);
        URL_SAFE_NO_PAD.encode([created.to_be_bytes().as_slice(), &random, &proof].concat())
    }

    fn proof(&self, created: u64, random: &[u8; RANDOM], bound: &[&[u8]]) -> [u8; PROOF] {
        // The secret in front makes this a proof, since no more can be appended to a hash that was cut short.
        let mut hasher = Sha512_256::new();
        hasher.update(self.secret);
        hasher.update(created.to_be_bytes());
        hasher.update(random);
        for part in bound {
            hasher.update((part.len() as u64).to_be_bytes());
            hasher.update(part);
        }
        let mut proof = [0; PROOF];
        for (to, from) in proof.iter_mut().zip(hasher.finalize()) {
            *to = from;
        }
        proof
    }

    /// Uses a nonce that somebody has logged in with.
    pub(super) fn take(&mut self, now: Duration, nonce: &str, bound: &[&[u8]], count: u32) -> Use {
        let Some(key) = self.known(nonce, bound) else { return Use::Stale };
        let now = nanos(now);
        let lifetime = nanos(self.lifetime);
        let is_over = |created: u64| now.checked_sub(created).is_none_or(|age| age > lifetime);
        if is_over(key.0) {
            return Use::Stale;
        }
        if let Some(window) = self.used.get_mut(&key) {
            return if window.take(count) { Use::Fresh } else { Use::Replayed };
        }
        if self.floor.is_some_and(|floor| key.0 <= floor) {
            return Use::Stale;
        }
        let mut window = Window::default();
        if !window.take(count) {
            return Use::Replayed;
        }
        while let Some(oldest) = self.used.first_entry() {
            let (created, _) = *oldest.key();
            if !is_over(created) {
                if self.used.len() < self.most {
                    break;
                }
                self.floor = self.floor.max(Some(created));
            }
            self.used.pop_first();
        }
        self.used.insert(key, window);
        Use::Fresh
    }

    /// What a nonce says, if it is ours.
    fn known(&self, nonce: &str, bound: &[&[u8]]) -> Option<Key> {
        // Longer ones are not ours, and not worth looking at.
        if nonce.len() > 64 {
            return None;
        }
        let bytes = URL_SAFE_NO_PAD.decode(nonce).ok()?;
        let (created, rest) = bytes.split_first_chunk::<TIME>()?;
        let (random, proof) = rest.split_first_chunk::<RANDOM>()?;
        let created = u64::from_be_bytes(*created);
        let expected = self.proof(created, random, bound);
        super::super::same(proof, expected).then_some((created, *random))
    }

    pub(super) fn len(&self) -> usize {
        self.used.len()
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
