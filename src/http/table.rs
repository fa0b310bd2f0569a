//! The routing table: which route a method and a path lead to.
//!
//! A path without wildcards is found by its hash, at once; then patterns are tried in the order in which they
//! were added. Who asks for a path of the table with a method it does not have is told which it has.

// The table knows nothing of handlers, requests and replies: it maps to whatever it is given. All that a peer sends is
// the method and the path; what they cost is linear in the path's length for each pattern.

mod captures;
mod pattern;
#[cfg(test)]
mod tests;

use std::{error, fmt};

use crate::wire::{Method, decode_path};
use crate::{Error, ErrorKind};

pub(crate) use captures::Captures;
use pattern::Pattern;

/// Where a method and a path lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found<'a, T> {
    /// To this route.
    Route(&'a T),
    /// Nowhere, but other methods would lead somewhere: [`Table::allowed`] says which.
    WrongMethod,
    /// Nowhere.
    None,
}

/// A pattern by itself, for those who are interested in some paths only.
pub(crate) struct PathPattern {
    exact: Box<str>,
    /// What it is where it has wildcards.
    wild: Option<Pattern>,
}

impl PathPattern {
    /// # Errors
    ///
    /// As for [`Table::insert`].
    pub(crate) fn new(pattern: &str) -> Result<Self, Error> {
        let wild = Pattern::parse(pattern).map_err(|why| bad_route(pattern, why))?;
        Ok(Self { exact: pattern.into(), wild })
    }

    /// Whether it matches a decoded path.
    pub(crate) fn matches(&self, path: &str) -> bool {
        match &self.wild {
            Some(pattern) => pattern.matches(path, &mut Captures::default()),
            None => &*self.exact == path,
        }
    }
}

/// Routes by method and path.
// Invariants: `slots` is a power of two long and at least twice as long as `exact`; each is 0 or one more than an
// index into `exact`, at the first free place at or after the hash of that path. `longest` is the length of the
// longest path of `exact`.
pub(crate) struct Table<T> {
    exact: Vec<Exact<T>>,
    slots: Vec<u32>,
    longest: usize,
    patterns: Vec<(Pattern, Methods<T>)>,
}

/// A path without wildcards.
struct Exact<T> {
    path: Box<str>,
    /// A target with this path means just this one: there is nothing in it to be decoded.
    is_raw: bool,
    methods: Methods<T>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { exact: Vec::new(), slots: vec![0; 2], longest: 0, patterns: Vec::new() }
    }
}

impl<T> Table<T> {
    /// Adds a route: for one method, or for any that has no route of its own at that path.
    ///
    /// | in a pattern | matches |
    /// |---|---|
    /// | `{name}` | one whole segment, not an empty one |
    /// | `*` | any run of bytes but `/`, also none |
    /// | `#` | any run of bytes, also none |
    /// | anything else | itself |
    ///
    /// What is matched is the decoded path. Wildcards take as little as they can, from left to right. A pattern that
    /// ends in `/#` is a prefix, with the slash.
    ///
    /// # Errors
    ///
    /// [`InvalidInput`](ErrorKind::InvalidInput), whose source names the pattern, if the pattern is none, or is
    /// there already for that method. Patterns that differ in nothing but names are the same.
    pub(crate) fn insert(
        &mut self,
        method: Option<Method>,
        pattern: &str,
        value: T,
    ) -> Result<(), Error> {
        let bad = |why| bad_route(pattern, why);
        let parsed = Pattern::parse(pattern).map_err(bad)?;
        let Some(parsed) = parsed else {
            let at = match self.exact_index(pattern) {
                Some(at) => at,
                None => self.insert_path(pattern)?,
            };
            let Some(exact) = self.exact.get_mut(at) else { return Err(bad(FULL)) };
            return exact.methods.insert(method, value).map_err(bad);
        };
        let twin = |(other, methods): &(Pattern, Methods<T>)| {
            other.is_same(&parsed) && methods.has(method.as_ref())
        };
        if self.patterns.iter().any(twin) {
            return Err(bad(TWICE));
        }
        // Only the last may be joined: a route must not come before those that were added before it.
        if let Some((last, methods)) = self.patterns.last_mut() {
            if *last == parsed {
                return methods.insert(method, value).map_err(bad);
            }
        }
        let mut methods = Methods::default();
        methods.insert(method, value).map_err(bad)?;
        self.patterns.push((parsed, methods));
        Ok(())
    }

    /// Where they lead, and what the wildcards took. HEAD leads where GET does, unless it has a route of its own.
    ///
    /// Routes that do not have the method are passed over; what comes after them may have it.
    // It has two callers, and must be as cheap for one as if that were the only one.
    #[inline(always)]
    pub(crate) fn find(
        &self,
        method: &Method,
        path: &str,
        captures: &mut Captures,
    ) -> Found<'_, T> {
        captures.clear();
        let exact = self.look_up(path.as_bytes()).map(|(_, exact)| &exact.methods);
        match exact.and_then(|methods| methods.find(method)) {
            Some(value) => Found::Route(value),
            None => self.find_pattern(method, path, captures, exact.is_some()),
        }
    }

    /// Where a path leads that has come as it is written in the table, so that there is no need to decode it first. `None`
    /// says nothing: it may lead somewhere decoded.
    #[inline(always)]
    pub(crate) fn find_raw(&self, method: &Method, raw: &[u8]) -> Option<&T> {
        let (_, exact) = self.look_up(raw)?;
        exact.methods.find(method).filter(|_| exact.is_raw)
    }

    /// As [`find`](Self::find), among the patterns; `known` is whether the path leads somewhere already.
    #[inline(never)]
    fn find_pattern(
        &self,
        method: &Method,
        path: &str,
        captures: &mut Captures,
        mut known: bool,
    ) -> Found<'_, T> {
        for (pattern, methods) in &self.patterns {
            if !pattern.matches(path, captures) {
                continue;
            }
            match methods.find(method) {
                Some(value) => return Found::Route(value),
                None => known = true,
            }
        }
        captures.clear();
        if known { Found::WrongMethod } else { Found::None }
    }

    /// Which methods lead somewhere from this path, for `Allow`: in the order in which they were added, HEAD
    /// after GET, and OPTIONS, which the server answers by itself. Empty if none does.
    ///
    /// A route for any method counts as those that RFC 9110 §9.3 and RFC 5789 define, but for TRACE and CONNECT.
    pub(crate) fn allowed(&self, path: &str) -> Vec<Method> {
        let mut allowed = Vec::new();
        if let Some((_, exact)) = self.look_up(path.as_bytes()) {
            exact.methods.list(&mut allowed);
        }
        let mut captures = Captures::default();
        for (pattern, methods) in &self.patterns {
            if pattern.matches(path, &mut captures) {
                methods.list(&mut allowed);
            }
        }
        if !allowed.is_empty() {
            add(&mut allowed, &Method::OPTIONS);
        }
        allowed
    }

    /// Where in `exact` this path is.
    fn exact_index(&self, path: &str) -> Option<usize> {
        Some(self.look_up(path.as_bytes())?.0)
    }

    #[inline(always)]
    fn look_up(&self, path: &[u8]) -> Option<(usize, &Exact<T>)> {
        // Before it is hashed: a path that is longer than all of ours costs nothing.
        if path.len() > self.longest {
            return None;
        }
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash(path);
        loop {
            let index = self.slots.get(at & mask)?.checked_sub(1)? as usize;
            let exact = self.exact.get(index)?;
            if is_same(exact.path.as_bytes(), path) {
                return Some((index, exact));
            }
            at = at.wrapping_add(1);
        }
    }

    /// Adds a path that is not there yet.
    fn insert_path(&mut self, path: &str) -> Result<usize, Error> {
        let index = self.exact.len();
        let entry = u32::try_from(index + 1).map_err(|_| bad_route(path, FULL))?;
        let is_raw = decode_path(path).is_ok_and(|decoded| decoded == path);
        self.exact.push(Exact { path: path.into(), is_raw, methods: Methods::default() });
        self.longest = self.longest.max(path.len());
        if self.slots.len() < 2 * self.exact.len() {
            self.slots = vec![0; (2 * self.exact.len()).next_power_of_two()];
            for (entry, exact) in (1..).zip(&self.exact) {
                place(&mut self.slots, hash(exact.path.as_bytes()), entry);
            }
        } else {
            place(&mut self.slots, hash(path.as_bytes()), entry);
        }
        Ok(index)
    }
}

fn place(slots: &mut [u32], hash: usize, entry: u32) {
    let mask = slots.len().wrapping_sub(1);
    for at in 0..slots.len() {
        if let Some(slot @ 0) = slots.get_mut(hash.wrapping_add(at) & mask) {
            *slot = entry;
            return;
        }
    }
}

/// Looks at the length and at up to 24 bytes: the first, the last, and of a longer path those in the middle.
///
/// Not proof against paths made to collide, and need not be: those in the table are the program's own, and a peer's
/// path meets as many of them as the worst of those do.
#[inline(always)]
fn hash(bytes: &[u8]) -> usize {
    const FACTOR: u64 = 0x9E37_79B9_7F4A_7C15;
    let hash = if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        let [first, last] = [first, last].map(|word| u64::from_le_bytes(*word));
        let ends = first.wrapping_mul(FACTOR) ^ last;
        if bytes.len() <= 16 { ends } else { ends.wrapping_mul(FACTOR) ^ middle(bytes) }
    } else if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        u64::from(u32::from_le_bytes(*first)) << 32 | u64::from(u32::from_le_bytes(*last))
    } else {
        bytes.iter().fold(0, |word, &byte| word << 8 | u64::from(byte))
    };
    // The high bits are the ones that all of the input has gone into.
    let hash = (hash ^ bytes.len() as u64).wrapping_mul(FACTOR);
    (hash >> 32) as usize
}

fn middle(bytes: &[u8]) -> u64 {
    let rest = bytes.get(bytes.len() / 2 - 4..);
    rest.and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word))
}

/// Whether they are equal. Those that are short are not worth a call.
#[inline(always)]
fn is_same(ours: &[u8], theirs: &[u8]) -> bool {
    if ours.len() != theirs.len() {
        return false;
    }
    match ours.len() {
        0..4 => ours.iter().zip(theirs).all(|(a, b)| a == b),
        8..=16 => {
            ours.first_chunk::<8>() == theirs.first_chunk()
                && ours.last_chunk::<8>() == theirs.last_chunk()
        }
        _ => ours == theirs,
    }
}

/// The routes of one path or pattern.
struct Methods<T> {
    each: Vec<(Method, T)>,
    any: Option<T>,
}

impl<T> Default for Methods<T> {
    fn default() -> Self {
        Self { each: Vec::new(), any: None }
    }
}

impl<T> Methods<T> {
    fn get(&self, method: &Method) -> Option<&T> {
        self.each.iter().find(|(each, _)| each == method).map(|(_, value)| value)
    }

    fn has(&self, method: Option<&Method>) -> bool {
        match method {
            Some(method) => self.get(method).is_some(),
            None => self.any.is_some(),
        }
    }

    fn insert(&mut self, method: Option<Method>, value: T) -> Result<(), &'static str> {
        if self.has(method.as_ref()) {
            return Err(TWICE);
        }
        match method {
            Some(method) => self.each.push((method, value)),
            None => self.any = Some(value),
        }
        Ok(())
    }

    fn find(&self, method: &Method) -> Option<&T> {
        match self.get(method) {
            None => self.find_other(method),
            found => found,
        }
    }

    #[inline(never)]
    fn find_other(&self, method: &Method) -> Option<&T> {
        let get = if *method == Method::HEAD { self.get(&Method::GET) } else { None };
        get.or(self.any.as_ref())
    }

    fn list(&self, allowed: &mut Vec<Method>) {
        const ANY: [Method; 5] =
            [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH];
        let any = if self.any.is_some() { &ANY[..] } else { &[] };
        for method in self.each.iter().map(|(method, _)| method).chain(any) {
            add(allowed, method);
            if *method == Method::GET {
                add(allowed, &Method::HEAD);
            }
        }
    }
}

fn add(list: &mut Vec<Method>, method: &Method) {
    if !list.contains(method) {
        list.push(method.clone());
    }
}

const TWICE: &str = "is there already for this method";
const FULL: &str = "is one too many";

/// Why a route was refused.
#[derive(Debug)]
struct BadRoute {
    pattern: Box<str>,
    why: &'static str,
}

impl fmt::Display for BadRoute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the pattern {:?} {}", self.pattern, self.why)
    }
}

impl error::Error for BadRoute {}

#[cold]
fn bad_route(pattern: &str, why: &'static str) -> Error {
    let cause = BadRoute { pattern: pattern.into(), why };
    Error::caused(ErrorKind::InvalidInput, "adding a route", Box::new(cause))
}
