//! The files that are served: what they are called, how large they are, and what is in them. Included by `serve-http`,
//! which makes them, and `load-http`, which knows them by heart.

/// KiB of each of them.
pub const SIZES: [u64; 3] = [4, 1024, 100 * 1024];

pub fn name(kib: u64) -> String {
    format!("{kib}.bin")
}

/// The bytes repeat after so many: a prime, so that blocks of no size can be mixed up unseen.
pub const PERIOD: usize = 1_000_003;

/// The bytes, and as many from the beginning again.
pub fn pattern(again: usize) -> Vec<u8> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    let mut pattern: Vec<u8> = (0..PERIOD).map(|_| random()).collect();
    pattern.extend_from_within(..again);
    pattern
}
