//! Connections that do nothing, and what they cost the server in memory. Of `load` and of `load-ws`.

use std::time::Duration;
use std::{io, mem, thread};

use crate::server::Server;
use crate::{peer, report};

/// Opened before the first reading: what the server makes once is not a connection's.
const FIRST: usize = 100;

/// What a server does after its last answer it has done by then.
const SETTLED: Duration = Duration::from_millis(200);

pub fn measure(server: &Server, connections: usize) -> io::Result<()> {
    let mut first = peer::connect(server, FIRST)?;
    first.iter_mut().try_for_each(|peer| peer.exchange())?;
    let growth = |since: (f64, f64)| {
        let now = settled_memory(server)?;
        Ok::<_, io::Error>([now.0 - since.0, now.1 - since.1].map(|b| b / connections as f64))
    };
    let before = settled_memory(server)?;
    let mut peers = peer::connect(server, connections)?;
    let [rss, pss] = growth(before)?;
    report("unused_rss", rss);
    report("unused_pss", pss);
    peers.iter_mut().try_for_each(|peer| peer.exchange())?;
    let [rss, pss] = growth(before)?;
    report("used_rss", rss);
    report("used_pss", pss);
    // They end with this process, and only then: until here each was open.
    mem::forget((first, peers));
    Ok(())
}

fn settled_memory(server: &Server) -> io::Result<(f64, f64)> {
    thread::sleep(SETTLED);
    server.memory()
}
