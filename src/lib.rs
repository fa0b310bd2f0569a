//! A libev-style event loop: typed watchers, plain callbacks, one thread.
#![deny(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod backend;
mod engine;
mod error;
mod event;
mod sys;
#[cfg(feature = "test-util")]
pub mod testing;
mod watch;

pub use backend::Backend;
pub use engine::{Break, Builder, EvLoop, Kind, Remote, Run};
pub use error::{Error, ErrorKind, Result};
pub use event::{Events, Interest};
pub use watch::{
    AnyWatcher, Async, AsyncEvent, Check, CheckEvent, Idle, IdleEvent, Io, IoEvent, Notifier,
    Prepare, PrepareEvent, SendError, Sender, Timer, TimerEvent, Watcher, stdin,
};
