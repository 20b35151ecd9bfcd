//! The one integration-test binary: a module per subject.
#![cfg(test)]

mod births;
mod browser;
mod cli;
mod clients;
mod dev;
mod domains;
mod failures;
mod hosted;
mod house;
mod keys;
mod pools;
mod process;
mod seed;
mod serve;
mod sign_in;
mod sign_out;
mod signature;
mod sigv4;
mod store;
mod tls;
mod wire;
