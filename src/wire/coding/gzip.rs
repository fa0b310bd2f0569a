//! The header of a gzip member (RFC 1952 §2.3), byte by byte.

use flate2::Crc;

use super::CodingFault;

const HAS_CRC: u8 = 1 << 1;
const HAS_EXTRA: u8 = 1 << 2;
const HAS_NAME: u8 = 1 << 3;
const HAS_COMMENT: u8 = 1 << 4;
const RESERVED: u8 = 0xE0;

/// Bytes of a header, of which an extra field may have 64 KiB.
const MOST: u32 = 70 * 1024;

/// Where in a header the next byte is.
enum At {
    Fixed(u8),
    ExtraLow,
    ExtraHigh(u8),
    Extra(u16),
    Name,
    Comment,
    CrcLow,
    CrcHigh(u8),
}

/// Reads one header. What it says is not kept: it is the name and the time of a file.
pub(super) struct Header {
    at: At,
    flags: u8,
    len: u32,
    crc: Crc,
}

impl Header {
    pub(super) fn new() -> Self {
        Self { at: At::Fixed(0), flags: 0, len: 0, crc: Crc::new() }
    }

    /// Whether not even the two bytes have come that say that it is one.
    pub(super) fn is_unsure(&self) -> bool {
        matches!(self.at, At::Fixed(..2))
    }

    /// Takes the next byte. Says whether it was the last.
    pub(super) fn byte(&mut self, byte: u8) -> Result<bool, CodingFault> {
        self.len += 1;
        if self.len > MOST {
            return Err(CodingFault::TooMuchFraming);
        }
        let sum = self.crc.sum() as u16;
        if !matches!(self.at, At::CrcLow | At::CrcHigh(_)) {
            self.crc.update(&[byte]);
        }
        self.at = match self.at {
            At::Fixed(index) => {
                let is_right = match index {
                    0 => byte == 0x1F,
                    1 => byte == 0x8B,
                    2 => byte == 8,
                    3 => {
                        self.flags = byte;
                        byte & RESERVED == 0
                    }
                    // The time, how hard it was tried, the system.
                    _ => true,
                };
                if !is_right {
                    return Err(CodingFault::BadHeader);
                }
                if index < 9 {
                    At::Fixed(index + 1)
                } else {
                    return Ok(self.go_on());
                }
            }
            At::ExtraLow => At::ExtraHigh(byte),
            At::ExtraHigh(low) => match u16::from_le_bytes([low, byte]) {
                0 => return Ok(self.go_on()),
                len => At::Extra(len),
            },
            At::Extra(1) => return Ok(self.go_on()),
            At::Extra(left) => At::Extra(left.saturating_sub(1)),
            At::Name | At::Comment if byte == 0 => return Ok(self.go_on()),
            At::Name => At::Name,
            At::Comment => At::Comment,
            At::CrcLow => At::CrcHigh(byte),
            At::CrcHigh(low) if u16::from_le_bytes([low, byte]) == sum => return Ok(true),
            At::CrcHigh(_) => return Err(CodingFault::BadChecksum),
        };
        Ok(false)
    }

    /// The next part that there is. Says whether there is none.
    fn go_on(&mut self) -> bool {
        let parts = [
            (HAS_EXTRA, At::ExtraLow),
            (HAS_NAME, At::Name),
            (HAS_COMMENT, At::Comment),
            (HAS_CRC, At::CrcLow),
        ];
        for (flag, at) in parts {
            if self.flags & flag != 0 {
                self.flags &= !flag;
                self.at = at;
                return false;
            }
        }
        true
    }
}
