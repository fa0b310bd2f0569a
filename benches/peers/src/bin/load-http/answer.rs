//! What is asked, and what must come back.
//!
//! The first answer is read as HTTP and judged. Every other one must be the same, byte for byte but for the time of day: that
//! is as strict and costs next to nothing.

use std::io::Read;
use std::ops::Range;
use std::{io, str};

use crate::client::{self, Client, PATIENCE, Stream};
use crate::server::Server;
use crate::{served, wrong};

/// As `wrk` asks.
const GET: &str = "GET /plaintext HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n";
const HELLO: &[u8] = b"Hello, World!";

const UPLOAD: usize = 1024;

/// Far above what any of these servers says.
const MOST: usize = 64 * 1024;

/// One or several pipelined requests of a kind.
pub struct Request {
    /// What is sent with one call.
    pub bytes: Vec<u8>,
    /// How many requests these are.
    pub depth: usize,
    one: Vec<u8>,
    /// The body of each answer.
    expected: Vec<u8>,
    closes: bool,
}

impl Request {
    pub fn get(depth: usize) -> Self {
        Self::new(format!("{GET}\r\n").into_bytes(), depth, HELLO.to_vec(), false)
    }

    /// The connection ends with its answer.
    pub fn get_and_close() -> Self {
        Self::new(format!("{GET}Connection: close\r\n\r\n").into_bytes(), 1, HELLO.to_vec(), true)
    }

    /// A body of one KiB, which the server sends back.
    pub fn post() -> Self {
        let body: Vec<u8> = (0..UPLOAD).map(|position| (position * 31 % 251) as u8).collect();
        let mut bytes = format!(
            "POST /echo HTTP/1.1\r\nHost: 127.0.0.1:8080\r\nContent-Type: application/octet-stream\r\nContent-Length: {UPLOAD}\r\n\r\n"
        )
        .into_bytes();
        bytes.extend_from_slice(&body);
        Self::new(bytes, 1, body, false)
    }

    /// A file of so many KiB.
    pub fn file(kib: u64) -> Self {
        let name = served::name(kib);
        let bytes = format!("GET /files/{name} HTTP/1.1\r\nHost: 127.0.0.1:8080\r\n\r\n");
        let size = (kib * 1024) as usize;
        let mut expected = served::pattern(0).repeat(size.div_ceil(served::PERIOD));
        expected.truncate(size);
        Self::new(bytes.into_bytes(), 1, expected, false)
    }

    fn new(one: Vec<u8>, depth: usize, expected: Vec<u8>, closes: bool) -> Self {
        Self { bytes: one.repeat(depth), depth, one, expected, closes }
    }
}

/// What every answer of one server to one request looks like.
pub struct Answer {
    bytes: Vec<u8>,
    /// Where the time of day is; empty where the server does not tell it.
    time: Range<usize>,
}

impl Answer {
    /// Asks once, over a connection that ends with it.
    pub fn learn(server: &Server, request: &Request) -> io::Result<Self> {
        Self::learn_over(client::connect_first(server)?, request)
    }

    /// The same over a connection that is there.
    pub fn learn_over(mut stream: impl Stream, request: &Request) -> io::Result<Self> {
        stream.socket().set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&request.one)?;
        let most = MOST + request.expected.len();
        let mut bytes = Vec::new();
        let body = loop {
            if let Some(body) = parse(&bytes).map_err(|what| unlike(what, &bytes))? {
                break body;
            }
            if !receive(&mut stream, &mut bytes, most)? {
                return Err(unlike("the server closed the connection", &bytes));
            }
        };
        if body != request.expected {
            return Err(unlike("the body is not what was to come", &bytes));
        }
        if request.closes && receive(&mut stream, &mut bytes, most)? {
            return Err(unlike("more follows the last answer", &bytes));
        }
        let time = match field(&bytes, "date") {
            Some(value) => {
                let from = value.as_ptr().addr() - bytes.as_ptr().addr();
                from..from + value.len()
            }
            None => 0..0,
        };
        Ok(Self { bytes, time })
    }

    /// What comes before the body.
    pub fn head(mut self) -> Self {
        self.bytes.truncate(end_of_head(&self.bytes).unwrap_or_default());
        self
    }

    /// How much is missing of what a connection receives.
    pub fn left(&self, client: &Client) -> usize {
        self.bytes.len() - client.at()
    }

    /// Compares what has come of some answers in a row, of the first of which there were `at` bytes before. Says how many it
    /// completes; `at` is then that of the first which is not complete.
    #[inline]
    pub fn compare(&self, at: &mut usize, mut received: &[u8]) -> io::Result<usize> {
        let mut completed = 0;
        while !received.is_empty() {
            let expected = &self.bytes[*at..];
            let (part, rest) = received.split_at(received.len().min(expected.len()));
            if part != &expected[..part.len()] && !self.is_later(*at, part) {
                return Err(unlike("an answer is not like the first one", received));
            }
            *at += part.len();
            received = rest;
            if *at == self.bytes.len() {
                (*at, completed) = (0, completed + 1);
            }
        }
        Ok(completed)
    }

    /// Whether that part differs in nothing but the time of day.
    fn is_later(&self, at: usize, part: &[u8]) -> bool {
        (at..)
            .zip(part)
            .all(|(place, byte)| self.time.contains(&place) || *byte == self.bytes[place])
    }
}

fn receive(stream: &mut impl Read, bytes: &mut Vec<u8>, most: usize) -> io::Result<bool> {
    let mut room = [0; 64 * 1024];
    let count = stream.read(&mut room)?;
    bytes.extend_from_slice(&room[..count]);
    if bytes.len() > most {
        return Err(unlike("the answer does not end", bytes));
    }
    Ok(count > 0)
}

/// The body of the answer that these bytes are; none while a part of it is missing.
fn parse(bytes: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let Some(head) = end_of_head(bytes) else { return Ok(None) };
    if !bytes.starts_with(b"HTTP/1.1 200 ") {
        return Err("the status is not 200");
    }
    let rest = &bytes[head..];
    let chunked = field(bytes, "transfer-encoding").is_some_and(|coding| coding == "chunked");
    let length = field(bytes, "content-length").and_then(|text| text.parse::<usize>().ok());
    match (length, chunked) {
        (Some(length), false) => match rest.len() {
            there if there < length => Ok(None),
            there if there > length => Err("more follows the body"),
            _ => Ok(Some(rest.to_vec())),
        },
        (None, true) => chunks(rest),
        _ => Err("the length of the body is not known"),
    }
}

fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|window| window == b"\r\n\r\n").map(|place| place + 4)
}

fn field<'a>(bytes: &'a [u8], name: &str) -> Option<&'a str> {
    let head = str::from_utf8(&bytes[..end_of_head(bytes)?]).ok()?;
    head.split("\r\n").find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}

fn chunks(mut rest: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    let mut body = Vec::new();
    loop {
        let Some(line) = rest.windows(2).position(|window| window == b"\r\n") else {
            return Ok(None);
        };
        let size = str::from_utf8(&rest[..line])
            .ok()
            .and_then(|text| usize::from_str_radix(text, 16).ok());
        let size = size.filter(|&size| size <= MOST).ok_or("a chunk has no size")?;
        let Some(chunk) = rest.get(line + 2..line + 2 + size + 2) else { return Ok(None) };
        let (data, end) = chunk.split_at(size);
        if end != b"\r\n" {
            return Err("a chunk does not end");
        }
        body.extend_from_slice(data);
        rest = &rest[line + 2 + size + 2..];
        match (size, rest.is_empty()) {
            (0, true) => return Ok(Some(body)),
            (0, false) => return Err("more follows the body"),
            _ => {}
        }
    }
}

fn unlike(what: &str, bytes: &[u8]) -> io::Error {
    let beginning = &bytes[..bytes.len().min(300)];
    wrong(&format!("{what}:\n{}", beginning.escape_ascii()))
}
