//! Requests over connections that stay, one write's worth at a time on each: the last answer to it sends the next one.

use std::io;
use std::os::fd::AsRawFd;

use crate::answer::{Answer, Request};
use crate::client::{self, Client, PATIENCE_MS, Room, Stream};
use crate::epoll::Epoll;
use crate::server::{Server, Spent};
use crate::{report, wrong};

/// Requests before the measured ones: buffers, caches and the scheduler settle. As many however many are measured, so
/// that the difference of two runs is that of the measured ones.
const BEFORE: u64 = 2048;

pub fn measure(
    server: &Server,
    request: &Request,
    connections: usize,
    requests: u64,
) -> io::Result<()> {
    measure_with(server, request, connections, requests, client::connect_first)
}

/// The same, over connections that are made otherwise.
pub fn measure_with<S: Stream>(
    server: &Server,
    request: &Request,
    connections: usize,
    requests: u64,
    connect: impl Fn(&Server) -> io::Result<S>,
) -> io::Result<()> {
    let answer = Answer::learn_over(connect(server)?, request)?;
    let mut clients = client::open_used_with(server, connections, request, &answer, connect)?;
    let spent = busy(server, &mut clients, request, &answer, requests)?;
    let requests = requests as f64;
    report("cpu_us", spent.cpu_ns / 1e3 / requests);
    report("per_s", requests / (spent.wall_ns / 1e9));
    // Counted or not, the end of a connection is in every run.
    clients.iter_mut().try_for_each(|client| client.finish())
}

/// Keeps all connections busy until so many requests are answered; what the server spent on them. How many are asked in all
/// does not depend on who is faster, and all are answered in the end.
pub fn busy<S: Stream>(
    server: &Server,
    clients: &mut [Client<S>],
    request: &Request,
    answer: &Answer,
    requests: u64,
) -> io::Result<Spent> {
    let mut room = Room::new();
    let mut epoll = Epoll::new()?;
    for (index, client) in clients.iter().enumerate() {
        epoll.add(client.stream.socket().as_raw_fd(), libc::EPOLLIN, index as u64)?;
    }
    let depth = request.depth as u64;
    let last = BEFORE + requests;
    // As many are on their way until the last reading.
    let all = last + depth * clients.len() as u64;
    for client in clients.iter_mut() {
        client.send(request)?;
    }
    let (mut answers, mut asked, mut busy) = (0, depth * clients.len() as u64, clients.len());
    let (mut begin, mut end) = (None, None);
    while busy > 0 {
        let ready = epoll.wait(PATIENCE_MS)?;
        if ready == 0 {
            return Err(wrong("the server owes answers"));
        }
        for position in 0..ready {
            let client = &mut clients[epoll.report(position).0 as usize];
            answers += client.receive(answer, &mut room)? as u64;
            if answers >= BEFORE && begin.is_none() {
                begin = Some(server.read()?);
            }
            if answers >= last && end.is_none() {
                end = Some(server.read()?);
            }
            if client.is_done() {
                if asked < all {
                    client.send(request)?;
                    asked += depth;
                } else {
                    busy -= 1;
                }
            }
        }
    }
    match (begin, end) {
        (Some(begin), Some(end)) => Ok(begin.until(&end)),
        _ => Err(wrong("answers were miscounted")),
    }
}
