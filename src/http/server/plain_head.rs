//! The `Date` of replies, made once a second, and with it the head that most of them have.

use std::time::{SystemTime, UNIX_EPOCH};

use super::options::ServerOptions;
use crate::EvLoop;
use crate::wire::{self, http_date, is_field_value};

/// A whole field line, and until when it is right.
#[derive(Default)]
pub(super) struct DateLine {
    line: Vec<u8>,
    /// In nanoseconds of the loop.
    until: u64,
}

const SECOND: u64 = 1_000_000_000;

impl DateLine {
    /// The line at `now`, in nanoseconds of the loop. The clock on the wall is asked when a second has passed:
    /// should it have been set meanwhile, that is seen within one.
    #[inline]
    pub(super) fn line(&mut self, now: u64, wall: impl FnOnce() -> SystemTime) -> &[u8] {
        if now >= self.until {
            self.renew(now, wall());
        }
        &self.line
    }

    #[cold]
    fn renew(&mut self, now: u64, wall: SystemTime) {
        let into = wall.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos());
        self.until = now.saturating_add(SECOND - u64::from(into));
        self.line.clear();
        self.line.extend_from_slice(b"Date: ");
        self.line.extend_from_slice(&http_date(wall));
        self.line.extend_from_slice(b"\r\n");
    }
}

/// The head of a plain reply.
#[derive(Default)]
pub(super) struct PlainHead {
    bytes: Vec<u8>,
    /// Where in them the length is.
    length_at: usize,
    length: u64,
    content_type: String,
    /// In nanoseconds of the loop.
    until: u64,
    date: DateLine,
}

impl PlainHead {
    /// Replies of one type mostly follow each other, and those of one length often do: the last one is kept. `None` for
    /// a type that cannot be one.
    #[inline]
    pub(super) fn of(
        &mut self,
        ev: &EvLoop,
        options: &ServerOptions,
        content_type: &str,
        length: u64,
    ) -> Option<&[u8]> {
        let now = ev.now_nanos();
        if now >= self.until || self.content_type != content_type {
            if !is_field_value(content_type.as_bytes()) {
                return None;
            }
            self.renew(ev, options, content_type, now);
            self.set_length(length);
        } else if self.length != length {
            self.set_length(length);
        }
        Some(&self.bytes)
    }

    #[inline(never)]
    fn set_length(&mut self, length: u64) {
        self.length = length;
        self.bytes.truncate(self.length_at);
        wire::number(&mut self.bytes, length);
        self.bytes.extend_from_slice(b"\r\n\r\n");
    }

    #[cold]
    fn renew(&mut self, ev: &EvLoop, options: &ServerOptions, content_type: &str, now: u64) {
        self.bytes.clear();
        self.bytes.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
        if options.date {
            self.bytes.extend_from_slice(self.date.line(now, || ev.wall_now()));
        }
        self.until = self.date.until.max(now + 1);
        if let Some(name) = &options.server_name {
            self.bytes.extend_from_slice(b"Server: ");
            self.bytes.extend_from_slice(name.as_bytes());
            self.bytes.extend_from_slice(b"\r\n");
        }
        self.bytes.extend_from_slice(b"Content-Type: ");
        self.bytes.extend_from_slice(content_type.as_bytes());
        self.bytes.extend_from_slice(b"\r\nContent-Length: ");
        self.length_at = self.bytes.len();
        self.content_type.clear();
        self.content_type.push_str(content_type);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn it_changes_when_the_second_on_the_wall_does() {
        let wall = UNIX_EPOCH + Duration::from_millis(784_111_777_900);
        let mut date = DateLine::default();
        assert_eq!(date.line(5, || wall), b"Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n");
        let at = |nanos| wall + Duration::from_nanos(nanos);
        assert_eq!(date.line(100_000_004, || at(99_999_999))[29..31], *b"37");
        assert_eq!(date.line(100_000_005, || at(100_000_000))[29..31], *b"38");
    }
}
