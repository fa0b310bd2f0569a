//! The rules of heads and bodies as one would write them down who has all the bytes and all the time.
//!
//! Nothing here is shared with what is tested, but for the check of an authority.

/// How a head may be.
#[derive(Clone, Copy)]
pub struct Limits {
    pub target: usize,
    pub head: usize,
    pub fields: usize,
    pub empty_lines: usize,
}

pub type Fields = Vec<(String, Vec<u8>)>;

#[derive(PartialEq, Eq, Debug, Clone, Copy)]
pub enum Framing {
    None,
    Length(u64),
    Chunked,
}

/// A first line and the fields, and how many bytes they are, with the empty line.
pub struct Head {
    pub first: Vec<u8>,
    pub fields: Fields,
    pub end: usize,
}

/// Splits at a string, so that joining with it gives the input.
pub fn split<'a>(input: &'a [u8], at: &[u8]) -> Vec<&'a [u8]> {
    let mut parts = Vec::new();
    let mut from = 0;
    let mut here = 0;
    while here + at.len() <= input.len() {
        if &input[here..here + at.len()] == at {
            parts.push(&input[from..here]);
            here += at.len();
            from = here;
        } else {
            here += 1;
        }
    }
    parts.push(&input[from..]);
    parts
}

pub fn find(input: &[u8], what: &[u8]) -> Option<usize> {
    input.windows(what.len()).position(|window| window == what)
}

pub fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty()
        && bytes.iter().all(|b| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b))
}

pub fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| *b == b'\t' || (*b >= 32 && *b != 127))
}

pub fn trim(bytes: &[u8]) -> &[u8] {
    let Some(from) = bytes.iter().position(|b| !b" \t".contains(b)) else { return &[] };
    let to = bytes.iter().rposition(|b| !b" \t".contains(b)).unwrap_or(from);
    &bytes[from..=to]
}

pub fn field(line: &[u8]) -> Option<(String, Vec<u8>)> {
    let colon = line.iter().position(|b| *b == b':')?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    (is_token(name) && is_text(value))
        .then(|| (String::from_utf8_lossy(name).into_owned(), trim(value).to_owned()))
}

/// The head an input begins with, if it is complete and every line is well-formed.
pub fn head(input: &[u8], limits: Limits) -> Option<Head> {
    let mut rest = input;
    let mut empty = 0;
    while let Some(behind) = rest.strip_prefix(b"\r\n") {
        rest = behind;
        empty += 1;
    }
    let end = find(rest, b"\r\n\r\n")?;
    if empty > limits.empty_lines || end + 4 > limits.head {
        return None;
    }
    let lines = split(&rest[..end], b"\r\n");
    let (first, lines) = lines.split_first()?;
    let fields: Fields = lines.iter().map(|line| field(line)).collect::<Option<_>>()?;
    let well = fields.len() <= limits.fields && is_text(first);
    well.then(|| Head { first: first.to_vec(), fields, end: input.len() - rest.len() + end + 4 })
}

pub fn values<'a>(fields: &'a Fields, name: &str) -> Vec<&'a [u8]> {
    fields
        .iter()
        .filter(|(each, _)| each.to_lowercase() == name)
        .map(|(_, value)| value.as_slice())
        .collect()
}

/// Whether a word is in the list that these fields are.
pub fn lists(fields: &Fields, name: &str, word: &str) -> bool {
    // Commas in quotes divide nothing.
    values(fields, name).iter().any(|value| {
        let mut quoted = false;
        let mut escaped = false;
        let mut members = vec![Vec::new()];
        for byte in *value {
            if *byte == b',' && !quoted {
                members.push(Vec::new());
                continue;
            }
            if escaped {
                escaped = false;
            } else if *byte == b'"' {
                quoted = !quoted;
            } else if *byte == b'\\' && quoted {
                escaped = true;
            }
            members.last_mut().expect("one is there").push(*byte);
        }
        members.iter().any(|member| trim(member).to_ascii_lowercase() == word.as_bytes())
    })
}

/// Which bytes are the body, or `None` if that is not said unambiguously.
pub fn framing(fields: &Fields, http_10: bool) -> Option<Framing> {
    let lengths = values(fields, "content-length");
    let codings = values(fields, "transfer-encoding");
    match (lengths.as_slice(), codings.as_slice()) {
        ([], []) => Some(Framing::None),
        ([length], []) => {
            let digits = !length.is_empty() && length.iter().all(u8::is_ascii_digit);
            let length: u64 = std::str::from_utf8(length).ok().filter(|_| digits)?.parse().ok()?;
            (length < 1 << 63).then_some(Framing::Length(length))
        }
        ([], [coding]) if !http_10 && coding.to_ascii_lowercase() == b"chunked" => {
            Some(Framing::Chunked)
        }
        _ => None,
    }
}

pub fn keeps_alive(fields: &Fields, http_10: bool) -> bool {
    !lists(fields, "connection", "close") && (!http_10 || lists(fields, "connection", "keep-alive"))
}
