//! What is known, written down, so that a process that starts while the server is away knows the sign-outs of before. A lost or
//! damaged file costs nothing but that. Whoever can write the file can make it forget: it belongs to the process alone (mode 0600).

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};

use super::Endpoints;
use crate::format::{Entry, Position, decode, encode};

const MAGIC: &[u8; 8] = b"CNTVER\0\x01";
const MAX_HEAD: usize = 1024 * 1024;

#[derive(Debug)]
pub(crate) struct Disk {
    pub endpoints: Endpoints,
    pub position: Option<Position>,
    pub told_ms: u64,
    pub token_keys: Vec<u8>,
    pub feed_keys: Vec<u8>,
    pub entries: Vec<Entry>,
}

#[derive(Deserialize, Serialize)]
struct Head {
    pool: String,
    endpoints: Endpoints,
    position: Option<(String, u64, String)>,
    told_ms: u64,
    token_keys: String,
    feed_keys: String,
}

impl Disk {
    /// Completely or not at all: beside it first, then in its place.
    pub fn write(&self, path: &Path, pool: &str) -> std::io::Result<()> {
        let position = self.position.as_ref();
        let head = Head {
            pool: pool.to_owned(),
            endpoints: self.endpoints.clone(),
            position: position.map(|at| (at.incarnation.clone(), at.seq, encode(at.h))),
            told_ms: self.told_ms,
            token_keys: encode(&self.token_keys),
            feed_keys: encode(&self.feed_keys),
        };
        let head = serde_json::to_vec(&head)?;
        let length = u32::try_from(head.len()).map_err(std::io::Error::other)?.to_be_bytes();
        let mut hash = Context::new(&SHA256);
        let beside = PathBuf::from(format!("{}.new", path.display()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut file = std::io::BufWriter::new(options.open(&beside)?);
        for part in [MAGIC.as_slice(), &length, &head] {
            hash.update(part);
            file.write_all(part)?;
        }
        for entry in &self.entries {
            let line = entry.to_bytes();
            hash.update(&line);
            file.write_all(&line)?;
        }
        file.write_all(hash.finish().as_ref())?;
        file.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
        std::fs::rename(&beside, path)
    }

    /// Why not, in words, if it cannot be used.
    pub fn read(path: &Path, pool: &str, max_entries: usize) -> Result<Disk, String> {
        let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
        let most = max_entries.saturating_mul(32).saturating_add(MAX_HEAD) as u64;
        let mut bytes = Vec::new();
        file.take(most).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Disk::parse(&bytes, pool).ok_or_else(|| "it is damaged, or of another pool".to_owned())
    }

    fn parse(bytes: &[u8], pool: &str) -> Option<Disk> {
        let (content, digest) = bytes.split_at_checked(bytes.len().checked_sub(32)?)?;
        let mut hash = Context::new(&SHA256);
        hash.update(content);
        if hash.finish().as_ref() != digest {
            return None;
        }
        let (length, rest) = content.strip_prefix(MAGIC)?.split_first_chunk::<4>()?;
        let (head, lines) = rest.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        let head: Head = serde_json::from_slice(head).ok()?;
        let (lines, []) = lines.as_chunks::<32>() else { return None };
        let position = match head.position {
            None => None,
            Some((incarnation, seq, h)) => {
                Some(Position { incarnation, seq, h: decode(&h)?.try_into().ok()? })
            }
        };
        (head.pool == pool).then_some(Disk {
            endpoints: head.endpoints,
            position,
            told_ms: head.told_ms,
            token_keys: decode(&head.token_keys)?,
            feed_keys: decode(&head.feed_keys)?,
            entries: lines.iter().map(Entry::from_bytes).collect(),
        })
    }
}
