//! The one integration-test binary: a module per subject.
#![cfg(test)]

mod births;
mod browser;
mod hosted;
mod house;
mod keys;
mod sign_in;
mod sign_out;
mod signature;
mod sigv4;
mod store;
mod tls;
mod wire;
