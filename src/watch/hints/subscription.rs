//! A wish to be hinted of one path, which follows the path to where it leads.

use std::mem;
use std::path::Path;
use std::sync::Arc;

use super::control::Control;
use super::hub::{Hub, Link, hub};
use super::inbox::Inbox;
use super::route::{Route, Seen};
use super::table::Subscriber;
use super::{Coverage, generation, lock};

/// How often one renewal follows a path that changes while it is looked at.
const ATTEMPTS: usize = 8;

/// A wish to be hinted of one path; ends when it is dropped.
pub(crate) struct Subscription {
    pub(super) hub: &'static Hub,
    key: u64,
    seen: Seen,
    base: Option<Link>,
    own: Option<Link>,
    coverage: Coverage,
    /// Whether all directories could be watched that should be.
    is_complete: bool,
}

/// Has the inbox hinted with `key` of changes of what is at `path`, not followed if it is a link.
///
/// A relative path starts at the current directory of this moment. Never fails; see
/// [`coverage`](Subscription::coverage).
pub(crate) fn subscribe(inbox: &Arc<Inbox>, key: u64, path: &Path) -> Subscription {
    let mut subscription = Subscription::nowhere(key);
    subscription.renew(inbox, path);
    subscription
}

impl Subscription {
    fn nowhere(key: u64) -> Self {
        let (seen, coverage) = (Seen::default(), Coverage::None);
        Self { hub: hub(), key, seen, base: None, own: None, coverage, is_complete: false }
    }

    pub(crate) fn coverage(&self) -> Coverage {
        self.coverage
    }

    /// Follows the path to where it leads now; to be done after each hint, before looking.
    ///
    /// Two looks at the file system and no more if nothing has changed. The inbox is the one of
    /// [`subscribe`], except in a forked child, which has to make a new one.
    pub(crate) fn renew(&mut self, inbox: &Arc<Inbox>, path: &Path) {
        if self.hub.generation != generation() {
            *self = Self::nowhere(self.key);
        }
        let mut is_tried = false;
        for _ in 0..ATTEMPTS {
            let Ok(route) = Route::find(path) else {
                self.leave();
                return;
            };
            if route.seen == self.seen && !self.is_lost() && (is_tried || self.is_complete) {
                return;
            }
            self.take(inbox, route);
            is_tried = true;
        }
        // It changes faster than it can be followed: it is polled, and the next look tries again.
        if self.coverage == Coverage::Full {
            self.coverage = Coverage::Partial;
        }
        self.is_complete = false;
    }

    fn is_lost(&self) -> bool {
        let table = lock(&self.hub.table);
        [&self.base, &self.own].into_iter().flatten().any(|link| table.dirs[link.dir].lost)
    }

    fn take(&mut self, inbox: &Arc<Inbox>, route: Route) {
        let is_certain = route.is_certain();
        let hub = self.hub;
        let subscriber = || Subscriber { inbox: Arc::clone(inbox), key: self.key };
        let mut control = lock(&hub.control);
        // The new before the old, so that a directory they share stays watched.
        let base = route
            .base
            .as_ref()
            .and_then(|place| hub.link(&mut control, place, route.seen.name(), subscriber()));
        let own =
            route.own.as_ref().and_then(|place| hub.link(&mut control, place, None, subscriber()));
        self.is_complete =
            base.is_some() == route.base.is_some() && own.is_some() == route.own.is_some();
        self.coverage = match (&base, &own) {
            (None, None) => Coverage::None,
            _ if self.is_complete && is_certain => Coverage::Full,
            _ => Coverage::Partial,
        };
        let old = (mem::replace(&mut self.base, base), mem::replace(&mut self.own, own));
        let seen = mem::replace(&mut self.seen, route.seen);
        Self::unlink(hub, &mut control, &seen, old);
    }

    fn unlink(hub: &Hub, control: &mut Control, seen: &Seen, links: (Option<Link>, Option<Link>)) {
        if let Some(link) = links.0 {
            hub.unlink(control, &link, seen.name());
        }
        if let Some(link) = links.1 {
            hub.unlink(control, &link, None);
        }
        hub.rest(control);
    }

    fn leave(&mut self) {
        let (seen, links) = (mem::take(&mut self.seen), (self.base.take(), self.own.take()));
        self.coverage = Coverage::None;
        self.is_complete = false;
        if links.0.is_some() || links.1.is_some() {
            Self::unlink(self.hub, &mut lock(&self.hub.control), &seen, links);
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // The parent's watches stay the parent's.
        if self.hub.generation == generation() {
            self.leave();
        }
    }
}
