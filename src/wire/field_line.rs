//! One field line (RFC 9112 §5).

use super::Fault;
use super::syntax::{TOKEN, find_control, is, trim};

/// What a field line says.
pub(super) struct FieldLine<'a> {
    pub(super) name: &'a [u8],
    /// Without the white space around it.
    pub(super) value: &'a [u8],
    /// Where in the line the value begins.
    pub(super) value_at: usize,
}

/// Divides `name ":" OWS value OWS`, a line without its end.
pub(super) fn field_line(line: &[u8]) -> Result<FieldLine<'_>, Fault> {
    if let [b' ' | b'\t', ..] = line {
        return Err(Fault::FoldedField);
    }
    let end = line.iter().position(|byte| !is(*byte, TOKEN)).ok_or(Fault::MissingColon)?;
    let (name, rest) = line.split_at_checked(end).ok_or(Fault::MissingColon)?;
    match rest {
        [b':', rest @ ..] if !name.is_empty() => {
            if let Some(at) = find_control(rest) {
                return Err(bad(rest.get(at), Fault::BadFieldValue));
            }
            let space = rest.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
            Ok(FieldLine { name, value: trim(rest), value_at: end + 1 + space })
        }
        _ => Err(bad(rest.first(), Fault::BadFieldName)),
    }
}

/// The fault of a byte that must not be here: some are worse than out of place. The same as in a
/// request's head.
fn bad(byte: Option<&u8>, otherwise: Fault) -> Fault {
    match byte {
        Some(b'\r' | b'\n') => Fault::BadLineEnd,
        Some(b'\t') => otherwise,
        Some(0..=31 | 127) => Fault::ControlByte,
        _ => otherwise,
    }
}
