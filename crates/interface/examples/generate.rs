//! Rewrites the generated files of this crate: `cargo run -p cenote-interface --example generate`.
//! Run it after a change of the interface description; a test fails until it has been run.

#[path = "../generator/mod.rs"]
mod generator;

use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    for (path, text) in generator::files()? {
        fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join(path), text)?;
    }
    Ok(())
}
