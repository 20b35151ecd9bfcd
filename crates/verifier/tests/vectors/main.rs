//! The vectors in `verifiers/vectors`, which the verifiers of all languages and the server are held to: that they are what this code
//! makes (`CENOTE_WRITE_DOCS=1` writes them), and that this crate passes them.

#![cfg(test)]
#![allow(clippy::disallowed_methods, reason = "tests measure, wait and sign")]

mod feed;
mod hold;
mod signer;
mod tokens;

use std::path::PathBuf;

fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../verifiers/vectors")
}

#[test]
fn the_vectors_are_what_this_code_makes() {
    let (json, snapshot) = feed::vectors();
    let json = serde_json::to_string_pretty(&json).unwrap() + "\n";
    for (name, made) in [("feed.json", json.into_bytes()), ("feed.snapshot.bin", snapshot)] {
        let path = directory().join(name);
        if std::env::var_os("CENOTE_WRITE_DOCS").is_some() {
            std::fs::write(&path, &made).unwrap();
        }
        let kept = std::fs::read(&path).unwrap_or_default();
        assert!(
            kept == made,
            "verifiers/vectors/{name} is not what tests/vectors makes: if that is meant, run \
             CENOTE_WRITE_DOCS=1 cargo test -p cenote-verifier --test vectors"
        );
    }
}
