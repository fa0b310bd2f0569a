//! Streams, over each transport and on both backends: net-and-http-server.md 2.1–2.4, 2.6–2.9; reliability.md
//! R1–R4, R9–R11, R13 as far as they concern connections.

#![allow(clippy::unwrap_used)]

#[path = "suite/streaming.rs"]
mod streaming;
mod suite;
#[cfg(feature = "tls")]
mod tls;

#[path = "cases/stream_buffers.rs"]
mod buffers;
#[path = "cases/stream_closing.rs"]
mod closing;
#[path = "cases/stream_filters.rs"]
mod filters;
#[path = "cases/stream_many.rs"]
mod many;
#[path = "cases/stream_order.rs"]
mod order;
#[path = "cases/stream_quiet.rs"]
mod quiet;
#[path = "cases/stream_rates.rs"]
mod rates;
#[path = "cases/stream_robust.rs"]
mod robust;
#[path = "cases/stream_time.rs"]
mod time;
#[cfg(feature = "tls")]
#[path = "cases/stream_tls.rs"]
mod tls_streams;
