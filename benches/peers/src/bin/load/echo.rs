//! Messages of 64 bytes over many connections, one at a time on each: an answer is what sends the next one. Of
//! `load` and of `load-ws`: what a connection and a message are, `peer` says.

use std::io;
use std::os::fd::AsRawFd;

use crate::epoll::Epoll;
use crate::peer::PATIENCE_MS;
use crate::server::Server;
use crate::{peer, report, wrong};

/// So many messages go before the measured ones.
pub fn measure(server: &Server, connections: usize, before: u64, messages: u64) -> io::Result<()> {
    let mut peers = peer::connect(server, connections)?;
    let mut epoll = Epoll::new()?;
    for (index, peer) in peers.iter().enumerate() {
        epoll.add(peer.socket.as_raw_fd(), libc::EPOLLIN, index as u64)?;
    }
    let last = before + messages;
    let (mut answers, mut open) = (0, connections);
    let mut readings = Vec::with_capacity(2);
    for peer in &mut peers {
        peer.send()?;
    }
    while open > 0 {
        let ready = epoll.wait(PATIENCE_MS)?;
        if ready == 0 {
            return Err(wrong("the server owes answers"));
        }
        for position in 0..ready {
            let peer = &mut peers[epoll.report(position).0 as usize];
            if !peer.receive()? {
                continue;
            }
            answers += 1;
            if answers == before || answers == last {
                readings.push(server.read()?);
            }
            // All connections are busy until the last reading.
            if answers < last { peer.send()? } else { open -= 1 }
        }
    }
    let [begin, end] = readings.as_slice() else {
        return Err(wrong("messages were miscounted"));
    };
    let (spent, messages) = (begin.until(end), messages as f64);
    report("cpu_ns", spent.cpu_ns / messages);
    report("wall_ns", spent.wall_ns / messages);
    report("sleeps", spent.sleeps / messages);
    peers.iter_mut().try_for_each(|peer| peer.finish())
}
