//! Forms with files: `multipart/form-data` (RFC 7578, RFC 2046), as it comes
//! (`MHD_create_post_processor`, `mg_http_next_multipart`).
//!
//! ```
//! use evloop::wire::multipart::{MultipartEvent, MultipartLimits, MultipartParser};
//!
//! let content_type = "multipart/form-data; boundary=cut";
//! let body = b"--cut\r\nContent-Disposition: form-data; name=\"title\"\r\n\r\nA day\r\n\
//!     --cut\r\nContent-Disposition: form-data; name=\"image\"; filename=\"day.png\"\r\n\
//!     Content-Type: image/png\r\n\r\n\x89PNG\r\n--cut--\r\n";
//!
//! let mut parser = MultipartParser::for_type(content_type, MultipartLimits::default())?;
//! let mut told = Vec::new();
//! for mut input in body.chunks(7) {
//!     loop {
//!         let progress = parser.feed(input)?;
//!         input = &input[progress.used..];
//!         match progress.event {
//!             None => break, // read more, and feed that
//!             Some(MultipartEvent::Begin(head)) => told.push(format!("{} {:?} ", head.name(), head.filename())),
//!             Some(MultipartEvent::Data(data)) => {
//!                 told.last_mut().unwrap().push_str(&String::from_utf8_lossy(data));
//!             }
//!             Some(_) => {}
//!         }
//!     }
//! }
//! parser.end_of_input()?;
//! assert_eq!(told.len(), 2);
//! assert_eq!(told[0], "title None A day");
//! assert!(told[1].starts_with("image Some(\"day.png\")"));
//! # Ok::<(), evloop::wire::multipart::MultipartFault>(())
//! ```
//!
//! # What always holds
//!
//! * All that is fed is used. What may be the beginning of a boundary is remembered as a number, not kept, and told as
//!   content when it is none.
//! * However the bytes are cut, the same parts come of them, or the same fault, with the same content before it.
//!   Nothing is looked at twice.
//! * The only memory is that of one part's head, up to [`MultipartLimits::head`].
//! * Nothing is guessed: with a line break of LF alone, a part without a name, two names, or something behind
//!   a boundary, it is a fault. A body that ends without its last boundary was cut, and that is one too.
//!
//! # Sharp edges
//!
//! * **A boundary that goes on is no other boundary.** `--cutter` in a form whose boundary is `cut` is a
//!   fault: RFC 2046 says that it is the boundary with something behind it. Clients choose theirs so that this does not
//!   happen.
//! * **What is before the first boundary and behind the last is skipped**, and counts for the total.
//! * **Charsets are not converted.** Who sends a form as a page in UTF-8 sends UTF-8.

mod fault;
mod parser;
mod part;

pub use fault::MultipartFault;
pub use parser::{MultipartEvent, MultipartParser, MultipartProgress};
pub use part::PartHead;

use super::parameters;

/// How much of a form is taken.
///
/// ```
/// use evloop::wire::multipart::MultipartLimits;
///
/// let limits = MultipartLimits { file: 1 << 30, total: 2 << 30, ..MultipartLimits::default() };
/// assert_eq!((limits.parts, limits.head, limits.field), (128, 8192, 65536));
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MultipartLimits {
    /// Parts, fields and files together; 128.
    pub parts: usize,
    /// Bytes of the head of one part, with all its line ends; 8 KiB.
    pub head: usize,
    /// Bytes of the content of a part that is no file; 64 KiB.
    pub field: u64,
    /// Bytes of one file; 16 MiB.
    pub file: u64,
    /// Bytes of the body, with everything that is not content; 64 MiB.
    pub total: u64,
}

impl Default for MultipartLimits {
    fn default() -> Self {
        Self { parts: 128, head: 8 << 10, field: 64 << 10, file: 16 << 20, total: 64 << 20 }
    }
}

/// The boundary in a value of `Content-Type`.
///
/// # Errors
///
/// [`NotMultipart`](MultipartFault::NotMultipart) if it is another type, has no boundary or two, or is malformed;
/// [`BadBoundary`](MultipartFault::BadBoundary) if the boundary is none (RFC 2046 §5.1.1).
///
/// ```
/// use evloop::wire::multipart::{MultipartFault, boundary};
///
/// assert_eq!(boundary("multipart/form-data; boundary=\"a b\"")?, "a b");
/// assert_eq!(boundary("multipart/form-data"), Err(MultipartFault::NotMultipart));
/// # Ok::<(), MultipartFault>(())
/// ```
pub fn boundary(content_type: &str) -> Result<String, MultipartFault> {
    let (kind, parameters) = parameters(content_type);
    if !kind.eq_ignore_ascii_case("multipart/form-data") {
        return Err(MultipartFault::NotMultipart);
    }
    match parameters.named("boundary") {
        Ok(Some(boundary)) if is_boundary(&boundary) => Ok(boundary.into_owned()),
        Ok(Some(_)) => Err(MultipartFault::BadBoundary),
        _ => Err(MultipartFault::NotMultipart),
    }
}

fn is_boundary(text: &str) -> bool {
    let may = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
    (1..=70).contains(&text.len()) && text.bytes().all(may) && !text.ends_with(' ')
}
