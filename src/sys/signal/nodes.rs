//! What seats stand on: a list that only grows, which a handler can walk at any time.

use std::iter;
use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, AtomicU64, Ordering};

use super::Ring;

/// What a seat stands on. Signals are bits: number n is bit n - 1.
pub(super) struct Node {
    /// Written before the node is in the list, and never again.
    next: Option<&'static Node>,
    pub(super) taken: AtomicBool,
    /// What the owner listens for.
    pub(super) interest: AtomicU64,
    /// What came and was not taken yet. Means nothing where there is no interest.
    pub(super) pending: AtomicU64,
    /// From a box that the owner's seat answers for; null while nobody owns the node.
    pub(super) ring: AtomicPtr<Arc<dyn Ring>>,
    /// How many handlers may be using `ring`.
    pub(super) users: AtomicU32,
    /// The [`fork::generation`] of the process whose loop this is.
    pub(super) generation: AtomicU32,
}

impl Node {
    /// Appends a node, taken already.
    pub(super) fn append() -> &'static Self {
        let node = Box::leak(Box::new(Self {
            next: None,
            taken: AtomicBool::new(true),
            interest: AtomicU64::new(0),
            pending: AtomicU64::new(0),
            ring: AtomicPtr::new(ptr::null_mut()),
            users: AtomicU32::new(0),
            generation: AtomicU32::new(0),
        }));
        let mut head = NODES.load(Ordering::Relaxed);
        loop {
            // SAFETY: null, or a node that was leaked: valid for ever, and never borrowed mutably
            // once it was in the list.
            node.next = unsafe { head.as_ref() };
            // Release, with the Acquire in `nodes`: the node is complete when it is found. The ones
            // behind it are too: all changes of this word are read-modify-writes.
            match NODES.compare_exchange(head, node, Ordering::Release, Ordering::Relaxed) {
                Ok(_) => return node,
                Err(now) => head = now,
            }
        }
    }
}

/// The newest node.
static NODES: AtomicPtr<Node> = AtomicPtr::new(ptr::null_mut());

pub(super) fn nodes() -> impl Iterator<Item = &'static Node> {
    // SAFETY: as in `append`.
    let newest = unsafe { NODES.load(Ordering::Acquire).as_ref() };
    iter::successors(newest, |node| node.next)
}
