//! The same bytes, whole, one by one, and cut at random.

/// Calls `run` with the input cut in several ways, and returns what all of them came to.
///
/// How it is cut depends on the input alone, so that a crash happens again.
pub fn in_every_way<T: PartialEq + std::fmt::Debug>(
    input: &[u8],
    run: impl Fn(&mut dyn Iterator<Item = &[u8]>) -> T,
) -> T {
    let whole = run(&mut std::iter::once(input));
    assert_eq!(run(&mut input.chunks(1)), whole, "byte by byte");
    let mut random = Random::from(input);
    for most in [3, 40, 400] {
        let pieces = pieces(input, &mut random, most);
        assert_eq!(run(&mut pieces.iter().copied()), whole, "cut into {pieces:?}");
    }
    whole
}

/// The input in pieces of at most so many bytes, empty ones among them.
pub fn pieces<'a>(input: &'a [u8], random: &mut Random, most: usize) -> Vec<&'a [u8]> {
    let mut rest = input;
    let mut pieces = Vec::new();
    while !rest.is_empty() {
        let (piece, behind) = rest.split_at(random.below(most + 1).min(rest.len()));
        pieces.push(piece);
        rest = behind;
    }
    pieces
}

/// Numbers that depend on the input.
pub struct Random(u64);

impl From<&[u8]> for Random {
    fn from(input: &[u8]) -> Self {
        // FNV-1a.
        let hash = input.iter().fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01B3)
        });
        Self(hash | 1)
    }
}

impl Random {
    /// A number below this one.
    pub fn below(&mut self, end: usize) -> usize {
        // Marsaglia's xorshift.
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 16) as usize % end
    }
}
