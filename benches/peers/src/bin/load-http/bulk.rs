//! Large files over connections that stay, one at a time on each: the end of one asks for the next.

use std::io;
use std::net::TcpStream;
use std::os::fd::AsRawFd;

use crate::answer::{Answer, Request};
use crate::client::{self, Client, PATIENCE_MS, Room};
use crate::epoll::Epoll;
use crate::server::Server;
use crate::{report, wrong};

const GIB: f64 = (1_u64 << 30) as f64;

/// What is thrown away with one call, at most.
const BLOCK: u64 = 1 << 20;

pub fn measure(server: &Server, connections: usize, kib: u64, requests: u64) -> io::Result<()> {
    let request = Request::file(kib);
    // Of this one every byte is compared.
    let answer = Answer::learn(server, &request)?.head();
    let mut room = Room::new();
    let mut epoll = Epoll::new()?;
    let mut downloads = Vec::with_capacity(connections);
    for index in 0..connections {
        let mut client = client::open(server)?;
        epoll.add(client.stream.as_raw_fd(), libc::EPOLLIN, index as u64)?;
        client.send(&request)?;
        downloads.push(Download { client, body: 0, answers: 0 });
    }
    let size = kib * 1024;
    // Each connection has had one when the measurement begins. It counts bytes, since each is then somewhere in a file.
    let (mut began, mut waiting, mut bytes, mut answers) = (None, connections, 0, 0);
    let mut readings = None;
    let mut busy = connections;
    while busy > 0 {
        let ready = epoll.wait(PATIENCE_MS)?;
        if ready == 0 {
            return Err(wrong("the server owes answers"));
        }
        for position in 0..ready {
            let download = &mut downloads[epoll.report(position).0 as usize];
            let (taken, is_whole) = download.receive(&answer, size, &mut room)?;
            bytes += taken;
            if !is_whole {
                continue;
            }
            download.answers += 1;
            waiting -= usize::from(download.answers == 1);
            match &began {
                None if waiting == 0 => began = Some((server.read()?, bytes)),
                Some((begin, before)) => {
                    answers += 1;
                    if answers == requests {
                        readings = Some((begin.until(&server.read()?), bytes - before));
                    }
                }
                None => {}
            }
            // All are busy until the last reading.
            match readings {
                None => download.client.send(&request)?,
                Some(_) => busy -= 1,
            }
        }
    }
    let Some((spent, bytes)) = readings else { return Err(wrong("answers were miscounted")) };
    report("cpu_ms", spent.cpu_ns / 1e6 / (bytes as f64 / GIB));
    report("mib_per_s", bytes as f64 / (1 << 20) as f64 / (spent.wall_ns / 1e9));
    // And of this one, in the end.
    Answer::learn(server, &request)?;
    downloads.iter_mut().try_for_each(|download| download.client.finish())
}

struct Download {
    client: Client,
    /// How much of the body there is to come; none before its head is there.
    body: u64,
    answers: u64,
}

impl Download {
    /// Takes what has come: so many bytes of the body, and whether it is complete with them.
    fn receive(&mut self, answer: &Answer, size: u64, room: &mut Room) -> io::Result<(u64, bool)> {
        if self.body == 0 {
            // No byte of the body.
            self.client.receive_at_most(answer.left(&self.client), answer, room)?;
            if !self.client.is_done() {
                return Ok((0, false));
            }
            self.body = size;
        }
        let taken = discard(&self.client.stream, self.body.min(BLOCK))?;
        self.body -= taken;
        Ok((taken, self.body == 0))
    }
}

/// Takes bytes without copying them: with half the work of the server, this side is not what limits it.
fn discard(socket: &TcpStream, count: u64) -> io::Result<u64> {
    let (fd, flags) = (socket.as_raw_fd(), libc::MSG_TRUNC | libc::MSG_DONTWAIT);
    // SAFETY: TCP writes nothing with MSG_TRUNC; it only counts.
    let taken = unsafe { libc::recv(fd, std::ptr::null_mut(), count as usize, flags) };
    match taken {
        0 => Err(wrong("the server closed a connection within an answer")),
        1.. => Ok(taken as u64),
        _ => match io::Error::last_os_error() {
            error if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
            error => Err(error),
        },
    }
}
