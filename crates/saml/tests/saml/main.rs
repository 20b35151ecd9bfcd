//! The crate against software that nobody here wrote (`xmlsec1`, `openssl`, vectors of pysaml2) and against attacks by their names.
//! `./test` installs xmlsec1; without it these tests fail.
#![cfg(test)]

mod support;

mod differential;
mod encrypted;
mod forged;
mod logout;
mod metadata;
mod mutated;
mod pysaml2;
mod responses;
mod sent;
mod wrapped;
