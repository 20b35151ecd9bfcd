//! What only `cenote dev` serves.

pub mod outbox;
pub mod sample;
