//! Chunked bodies, as one would read them who has all the bytes.

use evloop::wire::ChunkLimits;

use crate::naive;

/// Where the extension that begins here ends, if it is one.
fn extension(line: &[u8]) -> Option<usize> {
    let space = |from: usize| from + line[from..].iter().take_while(|b| b" \t".contains(b)).count();
    let token = |from: usize| {
        let length = line[from..].iter().take_while(|b| naive::is_token(&[**b])).count();
        (length > 0).then_some(from + length)
    };
    let at = space(0);
    if line.get(at) != Some(&b';') {
        return None;
    }
    let name = token(space(at + 1))?;
    let equals = space(name);
    if line.get(equals) != Some(&b'=') {
        return Some(name);
    }
    let value = space(equals + 1);
    if line.get(value) != Some(&b'"') {
        return token(value);
    }
    let mut at = value + 1;
    loop {
        match line.get(at)? {
            b'"' => return Some(at + 1),
            b'\\' => {
                line.get(at + 1)?;
                at += 2;
            }
            _ => at += 1,
        }
    }
}

/// The body an input begins with, if it is complete and well-formed.
pub fn naively(input: &[u8], limits: ChunkLimits) -> Option<(Vec<u8>, naive::Fields, usize)> {
    let mut data = Vec::new();
    let (mut rest, mut framing, mut extensions) = (input, 0, 0);
    loop {
        let line = &rest[..naive::find(rest, b"\r\n")?];
        let digits = line.iter().take_while(|b| b.is_ascii_hexdigit()).count();
        let (size, mut tail) = line.split_at(digits);
        if size.is_empty() || size.len() > limits.line || !naive::is_text(line) {
            return None;
        }
        extensions += tail.len();
        while !tail.is_empty() {
            tail = &tail[extension(tail)?..];
        }
        // More than this says is too much, whatever it is.
        let size = u64::from_str_radix(std::str::from_utf8(size).ok()?, 16).ok()?;
        if extensions > limits.extensions || framing + digits > 16 * 1024 + 16 * data.len() {
            return None;
        }
        framing += line.len() + 2;
        rest = &rest[line.len() + 2..];
        let size = usize::try_from(size).ok()?;
        if framing as u128 > 16 * 1024 + 16 * (data.len() as u128 + size as u128) {
            return None;
        }
        if size == 0 {
            break;
        }
        data.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
        framing += 2;
        if framing > 16 * 1024 + 16 * data.len() {
            return None;
        }
    }
    let (mut fields, mut bytes) = (Vec::new(), 0);
    loop {
        let line = &rest[..naive::find(rest, b"\r\n")?];
        rest = &rest[line.len() + 2..];
        if line.is_empty() {
            break;
        }
        bytes += line.len() + 2;
        fields.push(naive::field(line)?);
        if fields.len() > limits.trailer_fields || bytes > limits.trailers {
            return None;
        }
    }
    // The list is longer; these are those that would hurt most.
    let dropped =
        ["content-length", "transfer-encoding", "host", "authorization", "set-cookie", "cookie"];
    fields.retain(|(name, _)| !dropped.contains(&name.to_lowercase().as_str()));
    Some((data, fields, input.len() - rest.len()))
}
