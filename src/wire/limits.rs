//! How much of anything is accepted.
//!
//! What a peer sends is kept only within these limits, and they are looked at while it arrives: whoever
//! sends more learns it at the first byte too many, and no memory is taken for it.

/// Limits of a request's or response's head.
///
/// ```
/// use evloop::wire::{Fault, HeadLimits, RequestParser};
///
/// let mut parser = RequestParser::new(HeadLimits { target: 16, ..HeadLimits::default() });
/// assert_eq!(parser.feed(b"GET /a-target-that-goes-on"), Err(Fault::TargetTooLong));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the request's target: 8192.
    pub target: usize,
    /// Bytes of the whole head, with the empty line that ends it, without those before it: 65 536. More
    /// than `u32::MAX` is as much as that.
    pub head: usize,
    /// Field lines: 100.
    pub fields: usize,
    /// Empty lines before the first line: 4.
    pub empty_lines: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { target: 8192, head: 65_536, fields: 100, empty_lines: 4 }
    }
}

/// Limits of a chunked body's framing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Bytes of a size line, without its extensions: 256.
    pub line: usize,
    /// Bytes of all chunk extensions of one body: 16 KiB.
    pub extensions: usize,
    /// Bytes of the trailer section: 16 KiB.
    pub trailers: usize,
    /// Field lines of the trailer section: 100.
    pub trailer_fields: usize,
    /// Bytes of framing of one body, beside 16 for each byte of data: 16 KiB. It is what a body of tiny chunks exceeds.
    pub framing: u64,
}

impl Default for ChunkLimits {
    fn default() -> Self {
        Self {
            line: 256,
            extensions: 16 * 1024,
            trailers: 16 * 1024,
            trailer_fields: 100,
            framing: 16 * 1024,
        }
    }
}
