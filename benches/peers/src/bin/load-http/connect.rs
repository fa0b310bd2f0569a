//! A connection for every request, which the server ends after its answer.

use std::io;
use std::os::fd::AsRawFd;

use crate::answer::{Answer, Request};
use crate::client::{self, Client, PATIENCE_MS, Room};
use crate::epoll::Epoll;
use crate::server::Server;
use crate::{report, wrong};

const BEFORE: u64 = 1000;

pub fn measure(server: &Server, at_once: usize, requests: u64) -> io::Result<()> {
    let request = Request::get_and_close();
    let answer = Answer::learn(server, &request)?;
    let mut room = Room::new();
    let mut epoll = Epoll::new()?;
    let begin_one = |epoll: &Epoll, index: usize| -> io::Result<Client> {
        let mut client = client::open(server)?;
        client.send(&request)?;
        epoll.add(client.stream.as_raw_fd(), libc::EPOLLIN, index as u64)?;
        Ok(client)
    };
    let mut clients: Vec<Option<Client>> =
        (0..at_once).map(|index| begin_one(&epoll, index).map(Some)).collect::<io::Result<_>>()?;
    let last = BEFORE + requests;
    let (mut answers, mut open) = (0, at_once);
    let mut readings = Vec::with_capacity(2);
    while open > 0 {
        let ready = epoll.wait(PATIENCE_MS)?;
        if ready == 0 {
            return Err(wrong("the server owes answers"));
        }
        for position in 0..ready {
            let index = epoll.report(position).0 as usize;
            let Some(client) = &mut clients[index] else { continue };
            if !client.receive_last(&answer, &mut room)? {
                continue;
            }
            // Closed before the next one is opened.
            clients[index] = None;
            answers += 1;
            if answers == BEFORE || answers == last {
                readings.push(server.read()?);
            }
            // As many are open until the last reading.
            if answers < last {
                clients[index] = Some(begin_one(&epoll, index)?);
            } else {
                open -= 1;
            }
        }
    }
    let [begin, end] = readings.as_slice() else { return Err(wrong("answers were miscounted")) };
    let (spent, requests) = (begin.until(end), requests as f64);
    report("cpu_us", spent.cpu_ns / 1e3 / requests);
    report("per_s", requests / (spent.wall_ns / 1e9));
    Ok(())
}
