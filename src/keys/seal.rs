//! Secrets at rest: the master key, values sealed under keys derived from it, keyed and plain hashes.
//! Where the sealed bytes are stored is the store's business; nothing here reads or writes the database.

use std::fmt;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::{constant_time, digest, hmac};
use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD};
use quick_cache::sync::Cache;
use zeroize::{Zeroize as _, Zeroizing};

use crate::ambient::Random;
use crate::error::{Error, Result};

const KEY_ID_LEN: usize = 8;
const MAKE_ONE: &str = "Make one with: (umask 077; openssl rand -hex 32 > master.key)";

/// The seals and keyed hashes of one server: everything is derived from one master key by HKDF-SHA256
/// (RFC 5869), with one AES key per pool, so values of different pools never share a key.
pub struct Vault {
    /// HKDF's pseudo-random key: the output of its extract step.
    root: hmac::Key,
    key_id: [u8; KEY_ID_LEN],
    /// AES keys by pool id: the key schedule costs more than sealing a short value.
    sealing: Cache<String, Arc<LessSafeKey>>,
}

/// Where a sealed value lives. It is authenticated with the value, so a sealed value that is copied to another
/// row or column of the database cannot be opened there. `pool` also selects the key; it is empty for what belongs to no pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'a> {
    pub table: &'a str,
    pub pool: &'a str,
    pub row: &'a str,
    pub column: &'a str,
}

/// A sealed value as it is stored: key id (8 bytes), nonce (12), ciphertext, tag (16).
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed(pub Vec<u8>);

const CANARY: &[u8] = b"cenote";
const CANARY_PLACE: Place<'static> =
    Place { table: "meta", pool: "", row: "canary", column: "value" };

impl Vault {
    pub fn new(master: &MasterKey) -> Vault {
        let extract = hmac::Key::new(hmac::HMAC_SHA256, b"cenote vault 1");
        let root =
            hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&extract, master.0.as_slice()).as_ref());
        let mut key_id = [0; KEY_ID_LEN];
        for (to, from) in key_id.iter_mut().zip(*expand(&root, &["key id"])) {
            *to = from;
        }
        Vault { root, key_id, sealing: Cache::new(4096) }
    }

    /// Encrypts with AES-256-GCM under the pool's key and a random nonce. Random nonces are safe for 2^32 seals
    /// per pool (NIST SP 800-38D, section 8.3), far beyond what a pool writes. Fails only on absurdly long input.
    pub fn seal(&self, rng: &dyn Random, place: &Place<'_>, plain: &[u8]) -> Result<Sealed> {
        let mut nonce = [0; NONCE_LEN];
        rng.fill(&mut nonce);
        let mut out = Vec::with_capacity(KEY_ID_LEN + NONCE_LEN + plain.len() + 16);
        out.extend(self.key_id);
        out.extend(nonce);
        // Encrypted in a buffer of its own, which grows by the tag only: the plaintext is overwritten in place.
        let mut secret = Vec::with_capacity(plain.len() + 16);
        secret.extend(plain);
        self.sealing_key(place.pool)?
            .seal_in_place_append_tag(
                Nonce::assume_unique_for_key(nonce),
                Aad::from(place.associated_data()),
                &mut secret,
            )
            .map_err(|_| {
                secret.zeroize();
                Error::internal(format!("sealing {place} failed"))
            })?;
        out.extend(secret);
        Ok(Sealed(out))
    }

    /// Decrypts what `seal` made for the same place. The cause of a failure names the place and the likely
    /// reason, never the content; the caller of the server only sees an internal error.
    pub fn open(&self, place: &Place<'_>, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
        let Some((key_id, rest)) = sealed.split_first_chunk::<KEY_ID_LEN>() else {
            return Err(Error::internal(format!("the sealed value of {place} is cut short")));
        };
        let Some((nonce, rest)) = rest.split_first_chunk::<NONCE_LEN>() else {
            return Err(Error::internal(format!("the sealed value of {place} is cut short")));
        };
        if *key_id != self.key_id {
            return Err(Error::internal(format!(
                "the value of {place} was sealed under master key {}, but this server runs with master key {}",
                hex(key_id),
                hex(&self.key_id)
            )));
        }
        let mut buffer = Zeroizing::new(rest.to_vec());
        let length = self
            .sealing_key(place.pool)?
            .open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(place.associated_data()), &mut buffer)
            .map_err(|_| {
                Error::internal(format!(
                    "the sealed value of {place} does not open: it was altered, or copied there from another place"
                ))
            })?
            .len();
        buffer.truncate(length);
        Ok(buffer)
    }

    /// HMAC-SHA256 under a key of this pool and purpose: for short confirmation codes (a plain hash of six
    /// digits is reversed in no time), fake salts of unknown users, CSRF and paging tokens.
    pub fn mac(&self, pool: &str, purpose: &str, data: &[u8]) -> [u8; 32] {
        let key = expand(&self.root, &["mac", pool, purpose]);
        bytes32(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key.as_slice()), data).as_ref())
    }

    /// Whether `mac` is what `Vault::mac` gives, in constant time.
    pub fn mac_matches(&self, pool: &str, purpose: &str, data: &[u8], mac: &[u8]) -> bool {
        same(&self.mac(pool, purpose, data), mac)
    }

    /// A sealed constant, stored when a database is made, by which `check_canary` knows the master key again.
    pub fn canary(&self, rng: &dyn Random) -> Result<Vec<u8>> {
        Ok(self.seal(rng, &CANARY_PLACE, CANARY)?.0)
    }

    /// Refuses a master key that did not make this database. The message is for the operator, at start.
    pub fn check_canary(&self, canary: &[u8]) -> Result<()> {
        match self.open(&CANARY_PLACE, canary) {
            Ok(plain) if same(&plain, CANARY) => Ok(()),
            Ok(_) => Err(mismatch("the stored canary holds something else")),
            Err(error) => Err(mismatch(error.cause().unwrap_or_default())),
        }
    }

    /// The first bytes of every value sealed here: which master key is needed to open it.
    pub fn key_id(&self) -> [u8; KEY_ID_LEN] {
        self.key_id
    }

    fn sealing_key(&self, pool: &str) -> Result<Arc<LessSafeKey>> {
        self.sealing.get_or_insert_with(pool, || {
            let key = expand(&self.root, &["aes-256-gcm", pool]);
            let key = UnboundKey::new(&AES_256_GCM, key.as_slice())
                .map_err(|_| Error::internal("a derived AES key was refused"))?;
            Ok(Arc::new(LessSafeKey::new(key)))
        })
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Vault({}, [redacted])", hex(&self.key_id))
    }
}

fn mismatch(cause: &str) -> Error {
    Error::invalid(
        "The master key does not match this database: its secrets were sealed under another key. \
         Start with the master key file that this database was made with; without it, they cannot be recovered.",
    )
    .because(cause)
}

/// HKDF-Expand (RFC 5869, section 2.3) for one block of 32 bytes. Each part is preceded by its length,
/// so that no two lists of parts give the same key.
fn expand(root: &hmac::Key, parts: &[&str]) -> Zeroizing<[u8; 32]> {
    let mut block = hmac::Context::with_key(root);
    for part in parts {
        block.update(&(part.len() as u64).to_be_bytes());
        block.update(part.as_bytes());
    }
    block.update(&[1]);
    Zeroizing::new(bytes32(block.sign().as_ref()))
}

impl Place<'_> {
    fn associated_data(&self) -> Vec<u8> {
        let mut data = Vec::with_capacity(96);
        for part in [self.table, self.pool, self.row, self.column] {
            data.extend((part.len() as u64).to_be_bytes());
            data.extend(part.as_bytes());
        }
        data
    }
}

impl fmt::Display for Place<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{} ({:?}, {:?})", self.table, self.column, self.pool, self.row)
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed({} bytes)", self.0.len())
    }
}

/// SHA-256 of a secret with at least 128 random bits (refresh tokens, cookie handles, authorization codes): such a
/// secret cannot be guessed, so a fast hash is enough and can be looked up by index. Also names what is public (a logo).
pub fn hash(secret: impl AsRef<[u8]>) -> [u8; 32] {
    bytes32(digest::digest(&digest::SHA256, secret.as_ref()).as_ref())
}

/// Equality in time that depends on the lengths only.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    constant_time::verify_slices_are_equal(a, b).is_ok()
}

/// The operator's one secret: 32 bytes that never touch the database.
pub struct MasterKey(Zeroizing<[u8; 32]>);

impl MasterKey {
    /// Reads a file of one line: 64 hexadecimal digits, or base64 of 32 bytes. A file that others can read, and
    /// a placeholder such as zeros, are refused. The messages are for the operator and name the file.
    pub fn from_file(path: &Path) -> Result<MasterKey> {
        let shown = path.display();
        let refuse =
            |why: String| Error::invalid(format!("The master key file {shown} {why}. {MAKE_ONE}"));
        let mut file = File::open(path).map_err(|e| refuse(format!("cannot be read: {e}")))?;
        let about = file.metadata().map_err(|e| refuse(format!("cannot be read: {e}")))?;
        if !about.is_file() {
            return Err(refuse("is not a regular file".into()));
        }
        #[cfg(unix)]
        {
            let mode = std::os::unix::fs::PermissionsExt::mode(&about.permissions());
            if mode & 0o007 != 0 {
                return Err(Error::invalid(format!(
                    "The master key file {shown} has mode {:04o}: every user of this machine can reach it. \
                     Run: chmod 600 {shown}",
                    mode & 0o7777
                )));
            }
        }
        // Allocated whole at once: a growing buffer would leave copies of the secret behind.
        let mut text = Zeroizing::new(String::with_capacity(1024));
        file.by_ref()
            .take(1024)
            .read_to_string(&mut text)
            .map_err(|e| refuse(format!("cannot be read as text: {e}")))?;
        let key = MasterKey::parse(text.trim()).ok_or_else(|| {
            refuse(
                "does not hold one line of 64 hexadecimal digits, nor the base64 of 32 bytes"
                    .into(),
            )
        })?;
        let mut seen = [false; 256];
        for byte in key.0.iter() {
            if let Some(seen) = seen.get_mut(usize::from(*byte)) {
                *seen = true;
            }
        }
        // 32 random bytes hold fewer than 8 different values with probability below 2^-80.
        if seen.iter().filter(|seen| **seen).count() < 8 {
            return Err(refuse("holds a placeholder, not a random key".into()));
        }
        Ok(key)
    }

    pub fn generate(rng: &dyn Random) -> MasterKey {
        let mut key = Zeroizing::new([0; 32]);
        rng.fill(key.as_mut_slice());
        MasterKey(key)
    }

    /// The text of a master key file. Only for writing that file, with `files::write_private`.
    pub fn to_hex(&self) -> Zeroizing<String> {
        Zeroizing::new(hex(self.0.as_slice()))
    }

    fn parse(text: &str) -> Option<MasterKey> {
        let mut key = Zeroizing::new([0; 32]);
        if text.len() == 64 {
            for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
                let &[high, low] = pair else { return None };
                let digit = |c: u8| char::from(c).to_digit(16).and_then(|d| u8::try_from(d).ok());
                *byte = digit(high)? << 4 | digit(low)?;
            }
            return Some(MasterKey(key));
        }
        let bytes =
            BASE64_STANDARD.decode(text).or_else(|_| BASE64_STANDARD_NO_PAD.decode(text)).ok()?;
        let bytes = Zeroizing::new(bytes);
        if bytes.len() != key.len() {
            return None;
        }
        key.copy_from_slice(&bytes);
        Some(MasterKey(key))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey([redacted])")
    }
}

fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        for nibble in [byte >> 4, byte & 15] {
            text.push(char::from_digit(nibble.into(), 16).unwrap_or_default());
        }
    }
    text
}

/// The 32 bytes of a SHA-256 output, which the library types only as a slice.
fn bytes32(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}
