//! What a server counts.

use super::CompletionReason;
use super::connection::conn_flag;
use super::service::Service;
use crate::EvLoop;

/// Sums over the connections that are gone.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) accepted: u64,
    pub(super) requests: u64,
    pub(super) bytes_in: u64,
    pub(super) bytes_out: u64,
    pub(super) completions: [u64; CompletionReason::ALL.len()],
}

/// What a server has done so far: see [`Server::stats`](super::Server::stats).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
#[non_exhaustive]
pub struct ServerStats {
    /// Connections that there are now.
    pub connections: usize,
    /// Connections that there were, and are.
    pub accepted: u64,
    /// Requests whose head was complete.
    pub requests: u64,
    /// Bytes that have come; of a connection that was taken over, those before that.
    pub bytes_in: u64,
    /// Bytes that have left, in the same way.
    pub bytes_out: u64,
    completions: [u64; CompletionReason::ALL.len()],
}

impl ServerStats {
    /// How many requests have ended for a reason.
    #[must_use]
    pub fn completed(&self, reason: CompletionReason) -> u64 {
        self.completions[index_of(reason)]
    }

    /// Both together, for servers on several loops.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.connections += other.connections;
        self.accepted += other.accepted;
        self.requests += other.requests;
        self.bytes_in += other.bytes_in;
        self.bytes_out += other.bytes_out;
        for (mine, theirs) in self.completions.iter_mut().zip(other.completions) {
            *mine += theirs;
        }
        self
    }
}

pub(super) fn index_of(reason: CompletionReason) -> usize {
    CompletionReason::ALL.iter().position(|&one| one == reason).unwrap_or(0)
}

pub(super) fn of(ev: &EvLoop, service: &Service) -> ServerStats {
    let state = service.state.borrow();
    let mut stats = ServerStats {
        connections: state.conns.len(),
        accepted: state.counters.accepted,
        requests: state.counters.requests,
        bytes_in: state.counters.bytes_in,
        bytes_out: state.counters.bytes_out,
        completions: state.counters.completions,
    };
    for (_, conn) in &state.conns {
        if !conn.has(conn_flag::BLOCKED) {
            // What was written has left; it is only counted with the next request.
            stats.completions[index_of(CompletionReason::Ok)] += u64::from(conn.unsent);
        }
        if let Some((bytes_in, bytes_out)) = conn.stream.moved(ev) {
            stats.bytes_in += bytes_in;
            stats.bytes_out += bytes_out;
        }
    }
    stats
}
