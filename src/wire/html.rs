//! Text in HTML.

use std::borrow::Cow;

/// Makes text stand in HTML as itself: between tags, and in attribute values in quotes of either kind.
///
/// Borrowed if there is nothing to do.
///
/// ```
/// use evloop::wire::html::escape;
///
/// assert_eq!(escape("a < b & \"c\""), "a &lt; b &amp; &quot;c&quot;");
/// assert_eq!(escape("plain"), "plain");
/// ```
///
/// # Sharp edges
///
/// It is of no use in attribute values without quotes, in `<script>` and `<style>`, nor for the scheme of a link:
/// `javascript:` has nothing in it to escape.
#[must_use]
pub fn escape(text: &str) -> Cow<'_, str> {
    let special = ['&', '<', '>', '"', '\''];
    if !text.contains(special) {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + text.len() / 8 + 8);
    for part in text.split_inclusive(special) {
        let mut plain = part.chars();
        let entity = match plain.next_back() {
            Some('&') => "&amp;",
            Some('<') => "&lt;",
            Some('>') => "&gt;",
            Some('"') => "&quot;",
            Some('\'') => "&#39;",
            _ => {
                escaped.push_str(part);
                continue;
            }
        };
        escaped.push_str(plain.as_str());
        escaped.push_str(entity);
    }
    Cow::Owned(escaped)
}
