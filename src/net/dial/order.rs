//! Which addresses are tried, and in which order.
//!
//! The resolver's order, the families in turns (RFC 8305), no more than may be.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::Family;
use crate::net::socket::Target;

/// What of the options is needed until the last attempt has begun.
#[derive(Clone, Copy)]
pub(super) struct Plan {
    pub(super) family: Family,
    pub(super) from_v4: Option<SocketAddr>,
    pub(super) from_v6: Option<SocketAddr>,
    pub(super) attempts: usize,
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

    pub(super) fn from(&self, address: &SocketAddr) -> Option<SocketAddr> {
        if address.is_ipv4() { self.from_v4 } else { self.from_v6 }
    }

    /// What is tried, in this order.
    pub(super) fn order(
        &self,
        addresses: impl IntoIterator<Item = SocketAddr>,
    ) -> VecDeque<Target> {
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
