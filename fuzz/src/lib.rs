//! What the targets share: ways to cut an input, and the rules of HTTP stated once more, naively.

pub mod body;
pub mod cuts;
pub mod naive;
pub mod request;
