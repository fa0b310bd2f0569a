//! The same bytes, cut in every way that matters.

/// Calls `run` with the bytes whole, one by one, and in two at every place; all must come to the same.
/// Of long inputs, not every place.
pub fn in_every_way<T: PartialEq + std::fmt::Debug>(
    bytes: &[u8],
    run: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> T,
) -> T {
    let whole = run(&mut std::iter::once(bytes));
    assert_eq!(run(&mut bytes.chunks(1)), whole, "byte by byte: {}", bytes.escape_ascii());
    let step = if bytes.len() <= 600 { 1 } else { bytes.len() / 97 };
    for at in (0..=bytes.len()).step_by(step) {
        let (left, right) = bytes.split_at(at);
        let cut = run(&mut [left, right].into_iter());
        assert_eq!(cut, whole, "cut at {at}: {}", bytes.escape_ascii());
    }
    whole
}

/// The bytes in pieces of these lengths, over and over, empty ones included.
pub fn pieces<'a>(bytes: &'a [u8], lengths: &'a [usize]) -> Vec<&'a [u8]> {
    let mut rest = bytes;
    let mut all = Vec::new();
    for length in lengths.iter().cycle() {
        // A cycle of zeros would not end.
        let length = if lengths.iter().all(|length| *length == 0) { 1 } else { *length };
        let (piece, behind) = rest.split_at(length.min(rest.len()));
        all.push(piece);
        rest = behind;
        if rest.is_empty() {
            break;
        }
    }
    all
}
