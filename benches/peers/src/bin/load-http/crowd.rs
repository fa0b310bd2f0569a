//! The same busy connections, alone and then among many that have made one request and do nothing.

use std::{io, mem};

use crate::answer::{Answer, Request};
use crate::server::Server;
use crate::{client, exchange, report};

pub fn measure(server: &Server, active: usize, idle: usize, requests: u64) -> io::Result<()> {
    let request = Request::get(1);
    let answer = Answer::learn(server, &request)?;
    let mut clients = client::open_used(server, active, &request, &answer)?;
    let mut busy = || {
        let spent = exchange::busy(server, &mut clients, &request, &answer, requests)?;
        Ok::<_, io::Error>(spent.cpu_ns / 1e3 / requests as f64)
    };
    let alone = busy()?;
    let crowd = client::open_used(server, idle, &request, &answer)?;
    let beside = busy()?;
    report("alone_us", alone);
    report("beside_us", beside);
    // Of one server in one run: what disturbs one disturbs both.
    report("ratio", beside / alone);
    // Until here each was open.
    mem::forget(crowd);
    Ok(())
}
