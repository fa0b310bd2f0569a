//! What the wildcards of a pattern took.

use std::rc::Rc;

/// The parts of a path that wildcards matched, in their order in the pattern.
///
/// They are places in the path, which is given again to read them. Its memory is kept for the next path.
#[derive(Clone, Default, Debug)]
pub(crate) struct Captures {
    spans: Vec<(u32, u32)>,
    names: Names,
}

/// The names of a pattern's wildcards; globs have none.
pub(super) type Names = Option<Rc<[Option<Box<str>>]>>;

impl Captures {
    /// Forgets them.
    pub(crate) fn clear(&mut self) {
        self.spans.clear();
        self.names = None;
    }

    /// The one at this index, counted from 0. `path` is the one they were found in.
    pub(crate) fn at<'p>(&self, path: &'p str, index: usize) -> Option<&'p str> {
        let &(from, to) = self.spans.get(index)?;
        path.get(from as usize..to as usize)
    }

    /// The one of this name.
    pub(crate) fn named<'p>(&self, path: &'p str, name: &str) -> Option<&'p str> {
        let names = self.names.as_deref()?;
        self.at(path, names.iter().position(|each| each.as_deref() == Some(name))?)
    }

    /// How many there are.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.spans.len()
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// All of them, with their names.
    #[cfg(test)]
    pub(crate) fn iter<'c, 'p>(
        &'c self,
        path: &'p str,
    ) -> impl Iterator<Item = (Option<&'c str>, &'p str)> {
        let names = self.names.as_deref().unwrap_or_default();
        let named = names.iter().map(Option::as_deref).chain(std::iter::repeat(None));
        (0..self.len()).zip(named).filter_map(move |(at, name)| Some((name, self.at(path, at)?)))
    }

    /// Where its memory is, to see that it stays.
    #[cfg(test)]
    pub(super) fn memory(&self) -> *const (u32, u32) {
        self.spans.as_ptr()
    }

    /// Room for so many, all of them empty, to be set.
    pub(super) fn prepare(&mut self, count: usize) -> &mut [(u32, u32)] {
        self.spans.clear();
        self.spans.resize(count, (0, 0));
        &mut self.spans
    }

    pub(super) fn name(&mut self, names: &Names) {
        self.names.clone_from(names);
    }
}
