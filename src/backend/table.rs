//! Tables that are indexed by the number of a descriptor.

/// Lengthens a table of descriptors. By a quarter at least, so that it is not moved each time, and not to twice its length:
/// half of that would be memory of nobody.
pub(crate) fn lengthen<T: Clone>(table: &mut Vec<T>, len: usize, vacant: T) {
    if len > table.capacity() {
        let more = (len - table.len()).max(table.len() / 4).max(64);
        table.reserve_exact(more);
    }
    table.resize(len, vacant);
}
