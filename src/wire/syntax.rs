//! The characters of HTTP: which byte may stand where, and finding the first that may not.

/// A byte of a token (RFC 9110 §5.6.2).
pub(crate) const TOKEN: u8 = 1;
/// A byte of a request's target: visible ASCII, without the `#` of a fragment.
pub(crate) const TARGET: u8 = 2;
/// A byte of a host's name (RFC 3986 §3.2.2) without `%` and `,`.
pub(crate) const HOST: u8 = 4;
/// A byte of a field's value, but for the tab: what is not a control.
pub(crate) const VALUE: u8 = 8;

/// A byte of a target that is not the `?` of a query.
pub(crate) const PATH: u8 = 16;
static CLASSES: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0; 256];
    let mut at = 0;
    while at < 256 {
        let byte = at as u8;
        let mut class = 0;
        if byte.is_ascii_alphanumeric() || has(b"!#$%&'*+-.^_`|~", byte) {
            class |= TOKEN;
        }
        if byte.is_ascii_graphic() && byte != b'#' {
            class |= if byte == b'?' { TARGET } else { TARGET | PATH };
        }
        if byte.is_ascii_alphanumeric() || has(b"-._~!$&'()*+;=", byte) {
            class |= HOST;
        }
        if byte >= 0x20 && byte != 0x7F {
            class |= VALUE;
        }
        table[at] = class;
        at += 1;
    }
    table
}

const fn has(set: &[u8], byte: u8) -> bool {
    let mut at = 0;
    while at < set.len() {
        if set[at] == byte {
            return true;
        }
        at += 1;
    }
    false
}

/// Whether a byte belongs to a class.
#[inline(always)]
pub(crate) fn is(byte: u8, class: u8) -> bool {
    CLASSES[usize::from(byte)] & class != 0
}

/// Whether these bytes are a token: one or more of its characters.
#[inline]
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(|b| is(*b, TOKEN))
}

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// Where the lowest marked byte is.
#[inline(always)]
const fn first(marks: u64) -> usize {
    (marks.trailing_zeros() / 8) as usize
}

/// Where the first control byte is: below 0x20 but not the tab, or 0x7F.
#[inline]
pub(crate) fn find_control(bytes: &[u8]) -> Option<usize> {
    let mut rest = after_value(bytes)?;
    while let [b'\t', tail @ ..] = rest {
        rest = after_value(tail)?;
    }
    Some(bytes.len() - rest.len())
}

// The two below go by words of eight bytes. A test sets the highest bit of each byte it finds. Where it
// subtracts or adds, a borrow or carry out of a byte that is found may mark those above it wrongly: only
// the lowest mark is looked at.

/// What begins with the first byte that is below 0x20 or is 0x7F.
#[inline(always)]
fn after_words(bytes: &[u8]) -> Option<&[u8]> {
    after_marked(bytes, VALUE, |word| {
        let low = word.wrapping_sub(ONES * 0x20);
        let del = (word ^ (ONES * 0x7F)).wrapping_sub(ONES);
        (low | del) & !word
    })
}

/// What begins with the first byte that `marks` marks, or, of the last seven, that is not of the class.
#[inline(always)]
fn after_marked(bytes: &[u8], class: u8, marks: impl Fn(u64) -> u64) -> Option<&[u8]> {
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        let marks = marks(u64::from_le_bytes(*chunk)) & HIGH;
        if marks != 0 {
            return rest.get(first(marks)..);
        }
        rest = tail;
    }
    rest.get(rest.iter().position(|b| !is(*b, class))?..)
}

/// What begins with the first byte that is not of the class.
// By eight, so that there is no counting between them.
#[inline(always)]
pub(crate) fn after(bytes: &[u8], class: u8) -> Option<&[u8]> {
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<8>() {
        for (n, byte) in chunk.iter().enumerate() {
            if !is(*byte, class) {
                return rest.get(n..);
            }
        }
        rest = tail;
    }
    rest.get(rest.iter().position(|b| !is(*b, class))?..)
}

/// What begins with the first control byte, or tab.
#[inline(always)]
pub(crate) fn after_value(bytes: &[u8]) -> Option<&[u8]> {
    let mut rest = bytes;
    while let Some((chunk, tail)) = rest.split_first_chunk::<16>() {
        // These are compared all at once.
        let control = |b: u8| (b < 0x20) | (b == 0x7F);
        if chunk.iter().fold(false, |any, b| any | control(*b)) {
            let marks = u128::from_le_bytes(chunk.map(|b| if control(b) { 0xFF } else { 0 }));
            return rest.get(marks.trailing_zeros() as usize / 8..);
        }
        rest = tail;
    }
    after_words(rest)
}

/// Whether a token is this name, which is in lower case and of letters and hyphens.
// Setting one bit makes letters lower case, and makes a hyphen of nothing that is in a token.
#[inline(always)]
pub(crate) fn is_name<const N: usize>(token: &[u8], name: &[u8; N]) -> bool {
    match token.first_chunk::<N>() {
        Some(start) if token.len() == N => {
            start.iter().zip(name).fold(0, |other, (a, b)| other | ((a | 0x20) ^ b)) == 0
        }
        _ => false,
    }
}

/// Without the spaces and tabs around it.
#[inline]
pub(crate) fn trim(mut bytes: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = bytes {
        bytes = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = bytes {
        bytes = rest;
    }
    bytes
}

/// The members of a list (RFC 9110 §5.6.1), trimmed, without the empty ones. A comma in a quoted string
/// does not divide.
pub(crate) fn members(list: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    let mut escaped = false;
    list.split(move |byte| {
        if escaped {
            escaped = false;
            return false;
        }
        match byte {
            b'"' => quoted = !quoted,
            b'\\' if quoted => escaped = true,
            b',' => return !quoted,
            _ => {}
        }
        false
    })
    .map(trim)
    .filter(|member| !member.is_empty())
}

/// Whether a field can have it as its value (RFC 9110 §5.5): no control byte but a tab.
pub(crate) fn is_field_value(bytes: &[u8]) -> bool {
    find_control(bytes).is_none()
}
