//! Masks (RFC 6455 §5.3).

/// Masks bytes, or unmasks them, which is the same; the first of them with the key's first byte. Goes eight bytes at a
/// time and more.
///
/// ```
/// let mut bytes = *b"hello, world";
/// evloop::wire::websocket::mask(&mut bytes, [1, 2, 3, 4]);
/// assert_ne!(&bytes, b"hello, world");
/// evloop::wire::websocket::mask(&mut bytes, [1, 2, 3, 4]);
/// assert_eq!(&bytes, b"hello, world");
/// ```
pub fn mask(bytes: &mut [u8], key: [u8; 4]) {
    let [a, b, c, d] = key;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let mut chunks = bytes.chunks_exact_mut(8);
    for chunk in &mut chunks {
        if let Ok(word) = <[u8; 8]>::try_from(&*chunk) {
            chunk.copy_from_slice(&(u64::from_ne_bytes(word) ^ wide).to_ne_bytes());
        }
    }
    for (byte, key) in chunks.into_remainder().iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}
