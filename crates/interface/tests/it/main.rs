//! The interface as its users see it: one binary for all tests of this crate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "in a test a panic is the report"
)]

#[rustfmt::skip] // Generated, one operation per line.
mod decodes;
mod faults;
#[path = "../../generator/mod.rs"]
mod generator;
mod sample;
mod survival;
mod table;
mod wire;
