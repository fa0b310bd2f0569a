//! Values of parameters that are not ASCII: `UTF-8'en'%e2%82%ac` (RFC 8187, once RFC 5987), in parameters whose names end
//! with an asterisk.

use super::target::hex_pair;

/// The text that such a value stands for. `None` if it is malformed, in a charset that nobody uses, or not text.
///
/// UTF-8 must be understood by everybody; ISO 8859-1 is what clients before RFC 8187 may send.
pub(crate) fn decode(value: &str) -> Option<String> {
    let mut parts = value.splitn(3, '\'');
    let (charset, _language, encoded) = (parts.next()?, parts.next()?, parts.next()?);
    let bytes = unescape(encoded.as_bytes())?;
    if charset.eq_ignore_ascii_case("utf-8") {
        String::from_utf8(bytes).ok()
    } else if charset.eq_ignore_ascii_case("iso-8859-1") {
        Some(bytes.into_iter().map(char::from).collect())
    } else {
        None
    }
}

/// Writes text that way, in UTF-8 and of no language.
#[cfg(feature = "auth")]
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::from("UTF-8''");
    for byte in text.bytes() {
        if is_plain(byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn unescape(encoded: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let [high, low, after @ ..] = after else { return None };
            bytes.push(hex_pair(*high, *low)?);
            rest = after;
        } else if is_plain(byte) {
            bytes.push(byte);
        } else {
            return None;
        }
    }
    Some(bytes)
}

/// `attr-char` of RFC 8187 §3.2.1.
fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$&+-.^_`|~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::decode;

    #[test]
    fn the_examples_of_the_rfc_are_read() {
        assert_eq!(decode("iso-8859-1'en'%A3%20rates").as_deref(), Some("£ rates"));
        let text = decode("UTF-8''%c2%a3%20and%20%e2%82%ac%20rates");
        assert_eq!(text.as_deref(), Some("£ and € rates"));
    }

    #[test]
    fn what_is_malformed_is_nothing() {
        for value in ["", "UTF-8", "UTF-8'", "UTF-8''%e", "UTF-8''%gg", "UTF-8''a b", "UTF-8''%ff"]
        {
            assert_eq!(decode(value), None, "{value}");
        }
        assert_eq!(decode("koi8-r''%c1"), None);
    }
}
