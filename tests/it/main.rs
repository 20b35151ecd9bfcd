//! The one integration-test binary: a module per subject.
#![cfg(test)]

mod admin_users;
mod attributes;
mod births;
mod browser;
mod cli;
mod clients;
mod compatibility;
mod dev;
mod domains;
mod edges;
mod failures;
mod hosted;
mod house;
mod keys;
mod limits;
mod list_users;
mod metrics;
mod outbox;
mod passwords;
mod pools;
mod process;
mod purge;
mod recovery;
mod seed;
mod serve;
mod sign_in;
mod sign_out;
mod sign_up;
mod signature;
mod sigv4;
mod store;
mod tls;
mod wire;
