//! One message that has the server send another one, of a KiB, to all; when all have it, the next one.

use std::io::{self, Read};
use std::os::fd::AsRawFd;

use crate::epoll::Epoll;
use crate::peer::{self, PATIENCE_MS};
use crate::server::Server;
use crate::{report, wrong};

/// A text without a mask, of a length in two bytes.
const FRAME: usize = 4 + 1024;

/// Rounds before the measured ones.
const BEFORE: u64 = 3;

pub fn measure(server: &Server, clients: usize, rounds: u64) -> io::Result<()> {
    let mut peers = peer::connect(server, clients)?;
    let mut epoll = Epoll::new()?;
    for (index, peer) in peers.iter().enumerate() {
        epoll.add(peer.socket.as_raw_fd(), libc::EPOLLIN, index as u64)?;
    }
    let mut frame = vec![0x81, 126, 4, 0];
    frame.resize(FRAME, b'b');
    let mut received = vec![0; clients];
    let mut begin = None;
    for round in 0..BEFORE + rounds {
        if round == BEFORE {
            begin = Some(server.read()?);
        }
        received.fill(0);
        peers[0].send()?;
        let mut missing = clients;
        while missing > 0 {
            let ready = epoll.wait(PATIENCE_MS)?;
            if ready == 0 {
                return Err(wrong("the server owes somebody a message"));
            }
            for position in 0..ready {
                let index = epoll.report(position).0 as usize;
                let (at, socket) = (&mut received[index], &mut peers[index].socket);
                let mut room = [0; FRAME + 1];
                let count = match socket.read(&mut room) {
                    Ok(0) => return Err(wrong("the server closed a connection")),
                    Ok(count) => count,
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                    Err(error) => return Err(error),
                };
                if frame.get(*at..*at + count) != Some(&room[..count]) {
                    return Err(wrong("a message is not what was to come"));
                }
                *at += count;
                missing -= usize::from(*at == FRAME);
            }
        }
    }
    let Some(begin) = begin else { return Err(wrong("no round")) };
    let spent = begin.until(&server.read()?);
    let sent = (rounds * clients as u64) as f64;
    report("cpu_ns", spent.cpu_ns / sent);
    report("wall_ns", spent.wall_ns / sent);
    peers.iter_mut().try_for_each(|peer| peer.finish())
}
