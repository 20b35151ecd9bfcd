//! What only `cenote dev` serves.

pub mod outbox;
