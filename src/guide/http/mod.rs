//! Serving HTTP: five chapters, from a first server to one that others depend on. Feature `http-server`.
//!
//! * [A first server](first_server): routes, handlers, errors, stopping.
//! * [Streaming](streaming): bodies in pieces, in both directions, no faster than the slower side.
//! * [Late replies](late_replies): from a timer, from another thread, from the work pool; clients that leave.
//! * [Limits and time-outs](limits): all of them, what a client sees of them, and which to change.
//! * [Behind a proxy](behind_a_proxy): nginx and haproxy in front, several threads, restarts that lose nobody.
//!
//! What each item does to the byte is said where it is: [`evloop::http`](crate::http) begins with the life of a
//! request. The protocol without sockets is [`evloop::wire`](crate::wire). A server with a route for each of all this
//! is `examples/http_server` in the repository.

pub mod behind_a_proxy;
pub mod first_server;
pub mod late_replies;
pub mod limits;
pub mod streaming;
