//! UTF-8 that comes in pieces.

use std::str::from_utf8;

/// What is left of a piece that ends inside of a character. It is such that more can make one of it.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Utf8 {
    begun: [u8; 4],
    len: u8,
}

impl Utf8 {
    /// Takes the next piece; says whether all is right so far, at the first byte that is not.
    pub(super) fn feed(&mut self, mut piece: &[u8]) -> bool {
        while self.len > 0 {
            let Some((first, rest)) = piece.split_first() else { return true };
            piece = rest;
            let at = usize::from(self.len);
            let Some(place) = self.begun.get_mut(at) else { return false };
            *place = *first;
            self.len += 1;
            match from_utf8(self.begun.get(..=at).unwrap_or_default()) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_some() => return false,
                Err(_) => {}
            }
        }
        let Err(error) = from_utf8(piece) else { return true };
        let tail = piece.get(error.valid_up_to()..).unwrap_or_default();
        let Some(begun) = self.begun.get_mut(..tail.len()) else { return false };
        if error.error_len().is_some() {
            return false;
        }
        begun.copy_from_slice(tail);
        self.len = tail.len() as u8;
        true
    }

    /// Whether it may end here.
    pub(super) fn is_whole(self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_judged_as_the_whole_is() {
        let texts: [&[u8]; 9] = [
            "aé€😀z".as_bytes(),
            b"\xf0\x9f\x98",
            b"\xed\xa0\x80",
            b"\xf4\x90\x80\x80",
            b"\xc0\xaf",
            b"\xff",
            b"a\x80",
            b"\xe2\x82\xe2\x82\xac",
            b"\xf0\x80\x80\x80",
        ];
        for text in texts {
            for at in 0..=text.len() {
                let mut utf8 = Utf8::default();
                let (left, right) = text.split_at(at);
                let ok = utf8.feed(left) && utf8.feed(right) && utf8.is_whole();
                assert_eq!(ok, from_utf8(text).is_ok(), "{text:?} at {at}");
            }
        }
    }

    #[test]
    fn every_beginning_of_a_character_is_judged_byte_by_byte_as_at_once() {
        let further = [0x00, 0x7F, 0x80, 0x8F, 0x90, 0x9F, 0xA0, 0xBF, 0xC0, 0xFF];
        for first in 0x7F..=0xFF_u8 {
            for second in 0..=0xFF_u8 {
                for third in further {
                    for fourth in further {
                        let bytes = [first, second, third, fourth];
                        let mut utf8 = Utf8::default();
                        for (at, byte) in bytes.iter().enumerate() {
                            let so_far = bytes.get(..=at).unwrap_or_default();
                            let (is_right, is_whole) = match from_utf8(so_far) {
                                Ok(_) => (true, true),
                                Err(error) => (error.error_len().is_none(), false),
                            };
                            assert_eq!(utf8.feed(&[*byte]), is_right, "{so_far:x?}");
                            if !is_right {
                                break;
                            }
                            assert_eq!(utf8.is_whole(), is_whole, "{so_far:x?}");
                        }
                    }
                }
            }
        }
    }
}
