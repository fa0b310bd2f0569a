//! Connections that have made one request and do nothing, and what they cost the server in memory.

use std::time::Duration;
use std::{io, mem, thread};

use crate::answer::{Answer, Request};
use crate::server::Server;
use crate::{client, report};

/// Opened before the first reading: what the server makes once is not a connection's.
const FIRST: usize = 100;

/// What a server does after its last answer it has done by then.
const SETTLED: Duration = Duration::from_millis(200);

pub fn measure(server: &Server, connections: usize) -> io::Result<()> {
    let request = Request::get(1);
    let answer = Answer::learn(server, &request)?;
    let first = client::open_used(server, FIRST, &request, &answer)?;
    let before = settled_memory(server)?;
    let others = client::open_used(server, connections, &request, &answer)?;
    let after = settled_memory(server)?;
    report("rss", (after.0 - before.0) / connections as f64);
    report("pss", (after.1 - before.1) / connections as f64);
    // They end with this process, and only then: until here each was open.
    mem::forget((first, others));
    Ok(())
}

fn settled_memory(server: &Server) -> io::Result<(f64, f64)> {
    thread::sleep(SETTLED);
    server.memory()
}
