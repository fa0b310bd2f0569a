//! Patterns: paths with wildcards.

// Matching goes from left to right and gives every wildcard as little as it can. When something does not fit,
// only the last `*` takes one byte more; when that may not, because a slash comes, only the last `#` does. No earlier
// one need be asked: the text between two wildcards was found as far left as it is, and everything that could
// follow a later one can follow this one too, for the later wildcard takes what lies between.
//
// A `*` behind a `#` is begun again for every byte that the `#` takes. It notes up to where it was tried in vain,
// and does not try that again: what follows depends on the place alone. So each wildcard is tried once at each
// byte of the path, and the whole is linear in it, times the length of the pattern.

use super::captures::{Captures, Names};

/// What a pattern may have in bytes, and in wildcards.
const LONGEST: usize = 1024;
const MOST_WILDCARDS: usize = 16;
/// How many of those may be `*` or `#`.
const MOST_GLOBS: usize = 8;

/// A path with wildcards.
pub(super) struct Pattern {
    pieces: Vec<Piece>,
    names: Names,
    wildcards: usize,
}

// The numbers are indices of captures.
// Invariants: no text is empty; texts do not follow each other, nor do wildcards; before a segment is a slash, and after
// it a slash or the end.
#[derive(PartialEq, Eq)]
enum Piece {
    Text(Box<str>),
    Segment(usize),
    Star(usize),
    Hash(usize),
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.is_same(other) && self.names == other.names
    }
}

/// A wildcard that can take more: its index, where it ends, and what comes after it.
struct Open {
    wildcard: usize,
    end: usize,
    next: usize,
}

impl Pattern {
    /// Reads a pattern. `None` if there is no wildcard in it.
    pub(super) fn parse(text: &str) -> Result<Option<Self>, &'static str> {
        if text.len() > LONGEST {
            return Err("is longer than 1024 bytes");
        }
        if !text.starts_with(['/', '#']) {
            return Err("does not begin with a slash");
        }
        if text.contains('?') {
            return Err("has a question mark, and a query is no part of a path");
        }
        let mut pieces = Vec::new();
        let mut names: Vec<Option<Box<str>>> = Vec::new();
        let mut rest = text;
        while let Some(first) = rest.chars().next() {
            match first {
                '*' | '#' => {
                    if matches!(pieces.last(), Some(Piece::Star(_) | Piece::Hash(_))) {
                        return Err("has two globs beside each other");
                    }
                    let wildcard = names.len();
                    let star = first == '*';
                    pieces.push(if star { Piece::Star(wildcard) } else { Piece::Hash(wildcard) });
                    names.push(None);
                    rest = rest.get(1..).unwrap_or_default();
                }
                '{' => {
                    let Some((name, after)) = rest.get(1..).and_then(|rest| rest.split_once('}'))
                    else {
                        return Err("has a { that is not closed");
                    };
                    if !matches!(pieces.last(), Some(Piece::Text(text)) if text.ends_with('/'))
                        || !(after.is_empty() || after.starts_with('/'))
                    {
                        return Err("has a name that is not a whole segment");
                    }
                    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
                    if name.is_empty() || !name.chars().all(plain) {
                        return Err("has a name that is not of letters, digits, - and _");
                    }
                    if names.iter().any(|other| other.as_deref() == Some(name)) {
                        return Err("has a name twice");
                    }
                    pieces.push(Piece::Segment(names.len()));
                    names.push(Some(name.into()));
                    rest = after;
                }
                '}' => return Err("has a } without a {"),
                _ => {
                    let end = rest.find(['*', '#', '{', '}']).unwrap_or(rest.len());
                    let (plain, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
                    pieces.push(Piece::Text(plain.into()));
                    rest = after;
                }
            }
        }
        let globs = names.iter().filter(|name| name.is_none()).count();
        if globs > MOST_GLOBS || names.len() > MOST_WILDCARDS {
            return Err("has more than 8 globs, or 16 wildcards");
        }
        let wildcards = names.len();
        Ok((wildcards > 0).then(|| Self { pieces, names: Some(names.into()), wildcards }))
    }

    /// Whether they match the same paths: names do not matter.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        self.pieces == other.pieces
    }

    /// Whether the whole path matches, and what the wildcards took.
    pub(super) fn matches(&self, path: &str, captures: &mut Captures) -> bool {
        // Most patterns are told apart by what they begin with.
        if let Some(Piece::Text(text)) = self.pieces.first() {
            if !path.as_bytes().starts_with(text.as_bytes()) {
                return false;
            }
        }
        if u32::try_from(path.len()).is_err() {
            return false;
        }
        let spans = captures.prepare(self.wildcards);
        if self.walk(path.as_bytes(), spans).is_none() {
            return false;
        }
        captures.name(&self.names);
        true
    }

    /// `None` if the path does not match.
    fn walk(&self, path: &[u8], spans: &mut [(u32, u32)]) -> Option<()> {
        let mut star: Option<Open> = None;
        let mut hash: Option<Open> = None;
        // For each wildcard, the place before which it was tried in vain.
        let mut spent = [0; MOST_WILDCARDS];
        let (mut at, mut next) = (0, 0);
        loop {
            let rest = path.get(at..)?;
            let fits = match self.pieces.get(next) {
                None if rest.is_empty() => return Some(()),
                None => false,
                Some(Piece::Text(text)) => {
                    let fits = rest.starts_with(text.as_bytes());
                    at += text.len();
                    fits
                }
                Some(Piece::Segment(wildcard)) => {
                    let len = rest.iter().position(|&byte| byte == b'/').unwrap_or(rest.len());
                    set(spans, *wildcard, at, at + len)?;
                    at += len;
                    len > 0
                }
                Some(Piece::Star(wildcard)) => {
                    let fits = at >= *spent.get(*wildcard)?;
                    if fits {
                        set(spans, *wildcard, at, at)?;
                        star = Some(Open { wildcard: *wildcard, end: at, next: next + 1 });
                    } else {
                        // Nor would one before it lead to a place that is new.
                        spend(&mut spent, hash.as_ref(), star.take(), spans)?;
                    }
                    fits
                }
                Some(Piece::Hash(wildcard)) => {
                    if next + 1 == self.pieces.len() {
                        set(spans, *wildcard, at, path.len())?;
                        return Some(());
                    }
                    set(spans, *wildcard, at, at)?;
                    star = None;
                    hash = Some(Open { wildcard: *wildcard, end: at, next: next + 1 });
                    true
                }
            };
            if fits {
                next += 1;
                continue;
            }
            let open = match &mut star {
                Some(open) if path.get(open.end).is_some_and(|&byte| byte != b'/') => open,
                _ => {
                    spend(&mut spent, hash.as_ref(), star.take(), spans)?;
                    hash.as_mut()?
                }
            };
            open.end += 1;
            (at, next) = (open.end, open.next);
            if at > path.len() {
                return None;
            }
            spans.get_mut(open.wildcard)?.1 = u32::try_from(at).ok()?;
        }
    }
}

/// Notes that the wildcards behind `hash`, up to `star`, were tried in vain up to where they end.
fn spend(
    spent: &mut [usize],
    hash: Option<&Open>,
    star: Option<Open>,
    spans: &[(u32, u32)],
) -> Option<()> {
    // Without a `#` nothing is tried again.
    let (Some(hash), Some(star)) = (hash, star) else { return Some(()) };
    for wildcard in hash.wildcard + 1..=star.wildcard {
        let end = spans.get(wildcard)?.1 as usize;
        let spent = spent.get_mut(wildcard)?;
        *spent = (*spent).max(end + 1);
    }
    Some(())
}

fn set(spans: &mut [(u32, u32)], wildcard: usize, from: usize, to: usize) -> Option<()> {
    *spans.get_mut(wildcard)? = (u32::try_from(from).ok()?, u32::try_from(to).ok()?);
    Some(())
}
