//! An operator's folder of templates: which files it may hold, and reading them.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::built_in;
use crate::error::{Error, Result};

/// Far more than any page needs.
const LARGEST: u64 = 1 << 20;

/// The files of a folder, by the name that the built-in one has, and how old and large each is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stamp(BTreeMap<String, (PathBuf, Option<SystemTime>, u64)>);

/// Refuses a file that would have no effect: it may be a misspelt one.
pub fn stamp(folder: &Path) -> Result<Stamp> {
    let mut stamp = Stamp::default();
    list(folder, "", &mut stamp)?;
    Ok(stamp)
}

fn list(folder: &Path, prefix: &str, stamp: &mut Stamp) -> Result<()> {
    let unreadable = |error: std::io::Error| {
        Error::invalid(format!(
            "The templates folder {} cannot be read: {error}.",
            folder.display()
        ))
    };
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (path, name) = (entry.path(), entry.file_name());
        let name = name.to_string_lossy();
        // What editors and version control leave behind.
        if name.starts_with('.') || name.ends_with('~') {
            continue;
        }
        let name = format!("{prefix}{name}");
        // Follows links: a folder that an orchestrator mounts is full of them.
        let metadata = fs::metadata(&path).map_err(unreadable)?;
        if metadata.is_dir() && name == "texts" {
            list(&path, "texts/", stamp)?;
        } else if !metadata.is_file() || !built_in().any(|(known, _)| known == name) {
            let known: Vec<String> = built_in().map(|(known, _)| known).collect();
            return Err(Error::invalid(format!(
                "{} is not a template of the hosted pages. Those are: {}.",
                path.display(),
                known.join(", ")
            )));
        } else {
            stamp.0.insert(name, (path, metadata.modified().ok(), metadata.len()));
        }
    }
    Ok(())
}

pub fn read(stamp: &Stamp) -> Result<BTreeMap<String, String>> {
    let mut files = BTreeMap::new();
    for (name, (path, _, length)) in &stamp.0 {
        if *length > LARGEST {
            return Err(Error::invalid(format!(
                "{} is larger than {LARGEST} bytes.",
                path.display()
            )));
        }
        let text = fs::read_to_string(path).map_err(|error| {
            Error::invalid(format!("{} cannot be read: {error}.", path.display()))
        })?;
        files.insert(name.clone(), text);
    }
    Ok(files)
}
