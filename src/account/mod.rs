//! Everything that happens to a user besides signing in. The doors call these; each commits one batch.

pub mod admin;
pub mod claims;
pub mod password;
pub mod sessions;
