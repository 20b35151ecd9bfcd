//! The one client of every request that leaves this server: to identity providers now, to relying parties later. It resolves a name
//! once and connects to that address, refuses addresses that are not global unless the operator allows them, follows no redirect,
//! and bounds bytes and time.
