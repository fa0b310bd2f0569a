//! Request heads: what is accepted, what is refused and why, however the bytes are divided.

mod wire {
    pub mod request_cases;
    pub mod request_limits;
    pub mod request_splits;
    pub mod request_ways;
}
