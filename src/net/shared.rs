//! Bytes that many hold at once, none of whom can change them.

use std::fmt;
use std::ops::{Bound, Deref, RangeBounds};
use std::sync::Arc;

use bytes::Bytes;

/// Bytes with a count of who holds them: cloned and sliced without copying.
///
/// Made from what owns the bytes: a static slice, a `Vec<u8>`, a `String`, an `Arc<[u8]>`, or through
/// [`from_owner`](Self::from_owner) anything else. The owner is dropped with the last of its clones
/// and slices, wherever those were left.
///
/// ```
/// use evloop::net::{Buffer, Shared};
///
/// let page = Shared::from(vec![b'x'; 100_000]);
/// let mut one = Buffer::new();
/// let mut other = Buffer::new();
/// one.append_shared(page.clone());
/// other.append_shared(page.slice(..50_000));
/// assert_eq!((one.len(), other.len()), (100_000, 50_000)); // and one page in memory
/// ```
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Shared(pub(super) Bytes);

impl Shared {
    /// Bytes that live as long as the program. Allocates nothing.
    ///
    /// ```
    /// use evloop::net::Shared;
    ///
    /// static GREETING: Shared = Shared::from_static(b"220 ready\r\n");
    /// assert_eq!(GREETING.len(), 11);
    /// ```
    #[must_use]
    pub const fn from_static(bytes: &'static [u8]) -> Self {
        Self(Bytes::from_static(bytes))
    }

    /// The bytes of any owner, a memory map or a block of a pool. They are asked for once, now.
    ///
    /// The owner's `Drop` is what `evbuffer_add_reference` has a clean-up callback for: it runs when
    /// the last one lets go of the bytes, on that one's thread.
    ///
    /// ```
    /// use evloop::net::{Buffer, Shared};
    /// use std::sync::mpsc::{channel, Sender};
    ///
    /// struct Block([u8; 512], Sender<&'static str>);
    /// impl AsRef<[u8]> for Block {
    ///     fn as_ref(&self) -> &[u8] {
    ///         &self.0
    ///     }
    /// }
    /// impl Drop for Block {
    ///     fn drop(&mut self) {
    ///         let _ = self.1.send("back to the pool");
    ///     }
    /// }
    ///
    /// let (released, releases) = channel();
    /// let mut output = Buffer::new();
    /// output.append_shared(Shared::from_owner(Block([0; 512], released)));
    /// output.drain(511);
    /// assert!(releases.try_recv().is_err());
    /// output.drain(1);
    /// assert_eq!(releases.try_recv(), Ok("back to the pool"));
    /// ```
    #[must_use]
    pub fn from_owner(owner: impl AsRef<[u8]> + Send + 'static) -> Self {
        Self(Bytes::from_owner(owner))
    }

    /// A part of them, held together with the rest. What of the range lies outside is left out.
    ///
    /// ```
    /// use evloop::net::Shared;
    ///
    /// let words = Shared::from("one two");
    /// assert_eq!(&*words.slice(4..), b"two");
    /// assert_eq!(&*words.slice(4..1000), b"two");
    /// assert!(words.slice(1000..).is_empty());
    /// ```
    #[must_use]
    pub fn slice(&self, range: impl RangeBounds<usize>) -> Self {
        let (from, to) = bounds(&range, self.0.len());
        Self(self.0.slice(from..to))
    }
}

/// The range as two numbers, the first not above the second, neither above `len`.
pub(super) fn bounds(range: &impl RangeBounds<usize>, len: usize) -> (usize, usize) {
    let to = match range.end_bound() {
        Bound::Unbounded => len,
        Bound::Included(&last) => last.saturating_add(1),
        Bound::Excluded(&to) => to,
    };
    let to = to.min(len);
    (start(range).min(to), to)
}

/// Where the range begins.
pub(super) fn start(range: &impl RangeBounds<usize>) -> usize {
    match range.start_bound() {
        Bound::Unbounded => 0,
        Bound::Included(&from) => from,
        Bound::Excluded(&before) => before.saturating_add(1),
    }
}

impl Deref for Shared {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl From<Vec<u8>> for Shared {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<Box<[u8]>> for Shared {
    fn from(bytes: Box<[u8]>) -> Self {
        Self(bytes.into())
    }
}

impl From<String> for Shared {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl From<Arc<[u8]>> for Shared {
    fn from(bytes: Arc<[u8]>) -> Self {
        Self::from_owner(bytes)
    }
}

impl From<&'static [u8]> for Shared {
    fn from(bytes: &'static [u8]) -> Self {
        Self::from_static(bytes)
    }
}

impl From<&'static str> for Shared {
    fn from(text: &'static str) -> Self {
        Self::from_static(text.as_bytes())
    }
}

/// Tells the length, not the bytes: they may be secret, and they may be many.
impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("len", &self.0.len()).finish()
    }
}
