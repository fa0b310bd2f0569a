//! One connection that sends and receives as fast as the server lets it.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use crate::server::Server;
use crate::{peer, report, wrong};

const MIB: u64 = 1 << 20;

/// What comes before and after the measured part; of these every byte is compared.
const MARGIN: u64 = 32 * MIB;

/// The bytes repeat after so many: a prime, so that blocks of no size can be mixed up unseen.
const PERIOD: usize = 1_000_003;

/// So much is offered or asked for at once.
const BLOCK: usize = 256 * 1024;

const PATIENCE_MS: i32 = 60_000;

pub fn measure(server: &Server, mib: u64) -> io::Result<()> {
    let Some(mut peer) = peer::connect(server, 1)?.pop() else {
        return Err(wrong("no connection"));
    };
    let bytes = mib * MIB;
    let mut flow = Flow::new(MARGIN + bytes + MARGIN);
    flow.carry(&mut peer.socket, MARGIN, true)?;
    let begin = server.read()?;
    flow.carry(&mut peer.socket, MARGIN + bytes, false)?;
    let end = server.read()?;
    flow.carry(&mut peer.socket, MARGIN + bytes + MARGIN, true)?;
    peer.finish()?;
    let spent = begin.until(&end);
    let gib = bytes as f64 / (1024 * MIB) as f64;
    report("cpu_ms", spent.cpu_ns / 1e6 / gib);
    report("wall_ms", spent.wall_ns / 1e6 / gib);
    report("mib_per_s", mib as f64 / (spent.wall_ns / 1e9));
    report("peak_mib", server.peak_memory()? / MIB as f64);
    Ok(())
}

struct Flow {
    /// The pattern, and as much of its beginning again as a block from its end needs.
    pattern: Vec<u8>,
    scratch: Vec<u8>,
    total: u64,
    sent: u64,
    received: u64,
}

impl Flow {
    fn new(total: u64) -> Self {
        let mut state = 0x9E37_79B9_7F4A_7C15_u64;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 32) as u8
        };
        let mut pattern: Vec<u8> = (0..PERIOD).map(|_| random()).collect();
        pattern.extend_from_within(..BLOCK);
        Self { pattern, scratch: vec![0; BLOCK], total, sent: 0, received: 0 }
    }

    /// Sends whatever fits, until so many bytes in all have come back.
    fn carry(&mut self, socket: &mut TcpStream, until: u64, compared: bool) -> io::Result<()> {
        while self.received < until {
            let sent = self.send(socket)?;
            let received = self.receive(socket, until, compared)?;
            if sent + received == 0 {
                self.wait(socket)?;
            }
        }
        Ok(())
    }

    fn send(&mut self, socket: &mut TcpStream) -> io::Result<usize> {
        let offset = (self.sent % PERIOD as u64) as usize;
        let count = (self.total - self.sent).min(BLOCK as u64) as usize;
        if count == 0 {
            return Ok(0);
        }
        let sent = or_nothing(socket.write(&self.pattern[offset..offset + count]))?;
        self.sent += sent as u64;
        Ok(sent)
    }

    fn receive(&mut self, socket: &mut TcpStream, until: u64, compared: bool) -> io::Result<usize> {
        let room = (until - self.received).min(BLOCK as u64) as usize;
        let received = if compared {
            let received = or_nothing(end_is_wrong(socket.read(&mut self.scratch[..room])))?;
            let offset = (self.received % PERIOD as u64) as usize;
            if self.scratch[..received] != self.pattern[offset..offset + received] {
                return Err(wrong("an answer is not what was sent"));
            }
            received
        } else {
            or_nothing(end_is_wrong(discard(socket, room)))?
        };
        self.received += received as u64;
        if self.received > self.sent {
            return Err(wrong("the server sends more than it got"));
        }
        Ok(received)
    }

    fn wait(&self, socket: &TcpStream) -> io::Result<()> {
        let events =
            if self.sent < self.total { libc::POLLIN | libc::POLLOUT } else { libc::POLLIN };
        let mut entry = libc::pollfd { fd: socket.as_raw_fd(), events, revents: 0 };
        // SAFETY: it is one entry.
        match unsafe { libc::poll(&mut entry, 1, PATIENCE_MS) } {
            0 => Err(wrong("the server neither takes nor sends anything")),
            count if count < 0 => Err(io::Error::last_os_error()),
            _ => Ok(()),
        }
    }
}

/// Takes bytes without copying them: with half the work of the server, this side is not what limits it.
fn discard(socket: &TcpStream, count: usize) -> io::Result<usize> {
    let flags = libc::MSG_TRUNC | libc::MSG_DONTWAIT;
    // SAFETY: TCP writes nothing with MSG_TRUNC; it only counts.
    let taken = unsafe { libc::recv(socket.as_raw_fd(), std::ptr::null_mut(), count, flags) };
    if taken < 0 { Err(io::Error::last_os_error()) } else { Ok(taken as usize) }
}

fn end_is_wrong(received: io::Result<usize>) -> io::Result<usize> {
    match received {
        Ok(0) => Err(wrong("the server closed the connection")),
        received => received,
    }
}

fn or_nothing(moved: io::Result<usize>) -> io::Result<usize> {
    match moved {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        moved => moved,
    }
}
