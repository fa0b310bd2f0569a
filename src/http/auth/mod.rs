//! Who is asking: Basic (RFC 7617), Bearer (RFC 6750) and Digest (RFC 7616). Feature `auth`.
//!
//! Each is used in one of two ways: as a guard in front of everything, or as a check in a handler. Whoever is let in is
//! [the request's user](crate::http::Request::user); whoever is not is answered with 401 and told how to log in
//! (`MHD_basic_auth_get_username_password3`, `MHD_digest_auth_check3`, `mg_http_creds`).
//!
//! ```
//! use evloop::EvLoop;
//! use evloop::http::auth::{Basic, Digest, DigestSettings, DigestUsers};
//! use evloop::http::{Reply, Request, Routes};
//!
//! // Everything is behind it.
//! let guarded = Routes::new()
//!     .before(Basic::users("attic", [("Aladdin", "open sesame")]).guard())
//!     .get("/", |ev: &mut EvLoop, request: Request, reply: Reply| {
//!         reply.text(ev, format!("hello {}", request.user().unwrap_or("nobody")))
//!     });
//!
//! // Some of it is.
//! let users = DigestUsers::new("cellar").user("Mufasa", "Circle of Life");
//! let digest = Digest::new(DigestSettings::new("cellar"), users)?;
//! let partly = Routes::new()
//!     .get("/", |ev, _request, reply| reply.text(ev, "hello"))
//!     .get("/secret", move |ev: &mut EvLoop, mut request: Request, reply: Reply| {
//!         let Some(reply) = digest.check(ev, &mut request, reply) else { return Ok(()) };
//!         reply.text(ev, "well, well")
//!     });
//! # Ok::<(), evloop::Error>(())
//! ```
//!
//! # Sharp edges
//!
//! * **Basic and Bearer send the secret itself**: over TLS only.
//! * **One request is checked once.** Credentials of a digest are good for one time: behind a guard, a second check in the
//!   handler refuses them.
//! * **Servers on several threads** have a [`Digest`] each: a client whose next connection is with another thread is asked
//!   once more, without its user noticing.

mod basic;
mod bearer;
mod digest;
mod judging;

pub use crate::wire::auth::{
    AuthFault, Challenge, DigestAlgorithm, DigestRefusal, DigestSettings, DigestUser, DigestUsers,
    UserDigest, same,
};
pub use basic::Basic;
pub use bearer::Bearer;
pub use digest::Digest;
pub use judging::AnyOf;
