//! What only `cenote dev` serves.

pub mod idp;
pub mod outbox;
pub mod sample;
