//! Checksums: CRC-32 (RFC 1952 §8) and Adler-32 (RFC 1950 §8.2).

use flate2::Crc;

/// The sum of what is or was packed.
pub(super) enum Check {
    Crc(Crc),
    Adler(Adler),
    /// Nobody asks for one.
    None,
}

impl Check {
    pub(super) fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Crc(crc) => crc.update(bytes),
            Self::Adler(adler) => adler.update(bytes),
            Self::None => {}
        }
    }

    /// What stands behind the data.
    pub(super) fn trailer(&self) -> Trailer {
        let mut trailer = Trailer { bytes: [0; 8], len: 0 };
        match self {
            Self::Crc(crc) => {
                // The length modulo 2^32, which is what `amount` counts.
                trailer.push(crc.sum().to_le_bytes());
                trailer.push(crc.amount().to_le_bytes());
            }
            Self::Adler(adler) => trailer.push(adler.sum().to_be_bytes()),
            Self::None => {}
        }
        trailer
    }
}

/// Up to eight bytes.
pub(super) struct Trailer {
    bytes: [u8; 8],
    len: usize,
}

impl Trailer {
    fn push(&mut self, four: [u8; 4]) {
        if let Some(place) = self.bytes.get_mut(self.len..self.len + 4) {
            place.copy_from_slice(&four);
            self.len += 4;
        }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

pub(super) struct Adler {
    a: u32,
    b: u32,
}

impl Adler {
    pub(super) fn new() -> Self {
        Self { a: 1, b: 0 }
    }

    fn update(&mut self, bytes: &[u8]) {
        /// The largest prime below 2^16.
        const PRIME: u32 = 65521;
        /// So many bytes of 255 do not overflow `b`, whatever it is before.
        const MOST: usize = 5552;
        for bytes in bytes.chunks(MOST) {
            for &byte in bytes {
                self.a += u32::from(byte);
                self.b += self.a;
            }
            self.a %= PRIME;
            self.b %= PRIME;
        }
    }

    fn sum(&self) -> u32 {
        self.b << 16 | self.a
    }
}
