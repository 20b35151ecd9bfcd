//! The one integration-test binary: a module per subject.
#![cfg(test)]

mod births;
mod browser;
mod clients;
mod domains;
mod failures;
mod hosted;
mod house;
mod keys;
mod pools;
mod process;
mod sign_in;
mod sign_out;
mod sigv4;
mod store;
mod tls;
mod wire;
