//! The one integration-test binary: a module per subject.
#![cfg(test)]

mod house;
mod keys;
mod pools;
mod sigv4;
mod store;
mod tls;
