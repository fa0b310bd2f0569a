//! A WebSocket client that can say what no client may.

use std::time::{Duration, Instant};

use crate::client::{Client, Ending, shown};
use crate::server::Server;
use crate::words::PATIENCE;

pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;
/// The bit of the last frame of a message.
pub const FIN: u8 = 0x80;

const KEY: [u8; 4] = [0x5A, 0xC3, 0x01, 0xFE];

pub struct Ws {
    pub client: Client,
    /// Both ends compress.
    #[cfg_attr(not(feature = "compress"), expect(dead_code, reason = "nobody asks without it"))]
    pub deflates: bool,
    /// What has come, and how much of that was taken.
    input: Vec<u8>,
    taken: usize,
}

/// What the server sends.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// With FIN and the reserved bits.
    pub first: u8,
    pub payload: Vec<u8>,
}

/// A request for a WebSocket, with these fields more.
pub fn handshake(fields: &str) -> String {
    format!(
        "GET /ws HTTP/1.1\r\nHost: chaos\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n{fields}\r\n"
    )
}

/// A masked frame: its first byte, and the bytes in it.
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = claimed(first, payload.len() as u64);
    bytes.extend(payload.iter().zip(KEY.iter().cycle()).map(|(byte, key)| byte ^ key));
    bytes
}

/// The head alone of such a frame, with the shortest way to say the length.
pub fn claimed(first: u8, length: u64) -> Vec<u8> {
    let mut bytes = vec![first];
    match length {
        0..=125 => bytes.push(0x80 | length as u8),
        126..=0xFFFF => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&length.to_be_bytes());
        }
    }
    bytes.extend_from_slice(&KEY);
    bytes
}

impl Ws {
    #[track_caller]
    pub fn open(server: &Server) -> Self {
        Self::open_on(server.client(), "")
    }

    #[track_caller]
    pub fn open_on(mut client: Client, fields: &str) -> Self {
        client.send(handshake(fields));
        let response = client.response();
        assert_eq!(response.status, 101, "{:?}", response.fields);
        assert_eq!(response.field("Sec-WebSocket-Accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
        let deflates = response.field("Sec-WebSocket-Extensions").is_some();
        Self { deflates, ..Self::on(client) }
    }

    /// On a connection whose handshake is done.
    pub fn on(client: Client) -> Self {
        Self { client, deflates: false, input: Vec::new(), taken: 0 }
    }

    #[track_caller]
    fn take(&mut self, length: usize, deadline: Instant) -> Result<Vec<u8>, Ending> {
        loop {
            if let Some(bytes) = self.input.get(self.taken..self.taken + length) {
                self.taken += length;
                return Ok(bytes.to_vec());
            }
            let more = match self.client.more(deadline) {
                Ok(more) => more,
                Err(Ending::Open(_)) => return Err(Ending::Open(self.rest())),
                Err(Ending::Eof(_)) => return Err(Ending::Eof(self.rest())),
                Err(Ending::Reset(_)) => return Err(Ending::Reset(self.rest())),
            };
            self.input.drain(..std::mem::take(&mut self.taken));
            self.input.extend(more);
        }
    }

    fn rest(&mut self) -> Vec<u8> {
        self.input.split_off(std::mem::take(&mut self.taken))
    }

    #[track_caller]
    pub fn send(&mut self, first: u8, payload: &[u8]) {
        self.client.send(frame(first, payload));
    }

    /// The next frame; nothing when the connection has ended instead, or nothing came.
    #[track_caller]
    pub fn try_frame(&mut self, within: Duration) -> Result<Frame, Ending> {
        let deadline = Instant::now() + within;
        let head = self.take(2, deadline)?;
        assert_eq!(head[1] & 0x80, 0, "a server does not mask");
        let length = match head[1] {
            126 => {
                let more = self.take(2, deadline)?;
                u16::from_be_bytes(more.try_into().unwrap()) as usize
            }
            127 => {
                let more = self.take(8, deadline)?;
                u64::from_be_bytes(more.try_into().unwrap()) as usize
            }
            short => short as usize,
        };
        let payload = self.take(length, deadline)?;
        Ok(Frame { first: head[0], payload })
    }

    #[track_caller]
    pub fn frame(&mut self) -> Frame {
        match self.try_frame(PATIENCE) {
            Ok(frame) => frame,
            Err(ending) => panic!("no frame: {}", shown(&ending)),
        }
    }

    /// Text goes and comes back.
    #[track_caller]
    pub fn echoes(&mut self, text: &str) {
        self.send(FIN | TEXT, text.as_bytes());
        let back = self.frame();
        assert_eq!((back.first, back.payload.as_slice()), (FIN | TEXT, text.as_bytes()));
    }

    /// The server closes with this code, whatever it has sent before, and ends the connection.
    #[track_caller]
    pub fn is_closed_with(&mut self, code: u16, what: &str) {
        loop {
            match self.try_frame(PATIENCE) {
                Ok(Frame { first, payload }) if first == FIN | CLOSE => {
                    let got = payload.get(..2).map(|two| u16::from_be_bytes([two[0], two[1]]));
                    assert_eq!(got, Some(code), "{what}: {}", payload.escape_ascii());
                    break;
                }
                Ok(_) => {}
                Err(ending) => panic!("{what}: no close frame: {}", shown(&ending)),
            }
        }
        // Whoever is told that is gone soon; so is the connection.
        let _ = self.client.offer(frame(FIN | CLOSE, &code.to_be_bytes()));
        let ending = self.client.end_within(PATIENCE);
        let is_all = ending.bytes().is_empty() && self.rest().is_empty();
        assert!(!ending.is_open() && is_all, "{what}: {}", shown(&ending));
        // It has ended first, and waits for our end.
        self.client.half_close();
    }

    /// Says goodbye and is answered.
    #[track_caller]
    pub fn close(mut self) {
        self.send(FIN | CLOSE, &1000_u16.to_be_bytes());
        self.is_closed_with(1000, "goodbye");
    }
}
