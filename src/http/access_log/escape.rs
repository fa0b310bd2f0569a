//! What clients have said, so that it cannot be taken for what the log says.

/// What stands at the end of what was cut.
const CUT: &[u8] = b"...";

/// Between quotes of a line: everything but visible ASCII and, where that is wanted, the space is `\xHH`; at most
/// `most` bytes. Nothing at all is a hyphen.
pub(super) fn text(bytes: &[u8], most: usize, space: bool, out: &mut Vec<u8>) {
    if bytes.is_empty() {
        out.push(b'-');
        return;
    }
    let start = out.len();
    let mut whole = start;
    for byte in bytes {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', *byte]),
            b' ' if space => out.push(b' '),
            b'!'..=b'~' => out.push(*byte),
            _ => {
                out.extend_from_slice(b"\\x");
                hex(*byte, out);
            }
        }
        if out.len() - start > most {
            out.truncate(whole);
            out.extend_from_slice(CUT);
            return;
        }
        if out.len() - start <= most.saturating_sub(CUT.len()) {
            whole = out.len();
        }
    }
}

/// A string of JSON with its quotes, in ASCII; at most `most` bytes between them. What is no UTF-8 is U+FFFD.
pub(super) fn json(bytes: &[u8], most: usize, out: &mut Vec<u8>) {
    out.push(b'"');
    let start = out.len();
    let mut whole = start;
    let text = String::from_utf8_lossy(bytes);
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend_from_slice(&[b'\\', c as u8]),
            ' '..='~' => out.push(c as u8),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.extend_from_slice(b"\\u");
                    let [high, low] = unit.to_be_bytes();
                    hex(high, out);
                    hex(low, out);
                }
            }
        }
        if out.len() - start > most {
            out.truncate(whole);
            out.extend_from_slice(CUT);
            break;
        }
        if out.len() - start <= most.saturating_sub(CUT.len()) {
            whole = out.len();
        }
    }
    out.push(b'"');
}

fn hex(byte: u8, out: &mut Vec<u8>) {
    for digit in [byte >> 4, byte & 15] {
        out.push(if digit < 10 { b'0' + digit } else { b'a' + digit - 10 });
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text_of(bytes: &[u8], most: usize) -> String {
        let mut out = Vec::new();
        text(bytes, most, true, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn json_of(bytes: &[u8], most: usize) -> String {
        let mut out = Vec::new();
        json(bytes, most, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn whatever_could_end_a_line_or_a_string_is_escaped() {
        assert_eq!(text_of(b"a\"b\\c\r\n\0\x7f\xe4 z", 99), r#"a\"b\\c\x0d\x0a\x00\x7f\xe4 z"#);
        assert_eq!(text_of(b"", 99), "-");
        let text = "a\"b\\c\r\n\u{0}\u{7f}\u{e4}\u{1F600}\u{2028}".as_bytes();
        let escaped = r#""a\"b\\c\u000d\u000a\u0000\u007f\u00e4\ud83d\ude00\u2028""#;
        assert_eq!(json_of(text, 99), escaped);
        assert_eq!(json_of(b"\xff", 99), r#""\ufffd""#);
        assert_eq!(json_of(b"", 99), r#""""#);
    }

    #[test]
    fn what_is_too_long_is_cut_between_escapes() {
        assert_eq!(text_of(b"0123456789", 10), "0123456789");
        assert_eq!(text_of(b"0123456789a", 10), "0123456...");
        assert_eq!(text_of(b"0123\x01\x02\x03", 10), "0123...");
        assert_eq!(json_of(b"0123456789a", 10), r#""0123456...""#);
        assert_eq!(json_of("0123\u{1F600}".as_bytes(), 12), r#""0123...""#);
    }

    proptest! {
        #[test]
        fn nothing_gets_through(bytes in prop::collection::vec(any::<u8>(), 1..200), most in 3..100_usize) {
            let text = text_of(&bytes, most);
            prop_assert!(text.len() <= most);
            prop_assert!(text.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let unescaped = text.replace("\\\\", "").replace("\\\"", "");
            prop_assert!(!unescaped.contains('"'));
            let json = json_of(&bytes, most);
            prop_assert!(json.len() <= most + 2);
            prop_assert!(json.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let inner = &json[1..json.len() - 1];
            prop_assert!(!inner.replace("\\\\", "").replace("\\\"", "").contains('"'));
        }
    }
}
