//! The identifiers and random texts of the house: their shapes, how they are made, and how a session id and its
//! UUID turn into each other. Nothing here knows what they are used for.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use uuid::{Builder, Uuid};

use crate::ambient::{Ms, Random};

const LOWER: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
const ALNUM: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const BASE32: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/// `us-east-1_Ab3dEf9Gh`: clients split it at the underscore to find the region.
pub fn pool_id(region: &str, rng: &dyn Random) -> String {
    format!("{region}_{}", text(ALNUM, 9, rng))
}

/// Cognito's pattern for pool ids, but without the hyphens and underscores after the first underscore, on which Amplify breaks.
pub fn is_pool_id(text: &str) -> bool {
    let Some((region, name)) = text.split_once('_') else { return false };
    text.len() <= 55
        && !region.is_empty()
        && region.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-')
        && !name.is_empty()
        && name.bytes().all(|c| c.is_ascii_alphanumeric())
}

/// 26 of `[a-z0-9]`.
pub fn client_id(rng: &dyn Random) -> String {
    text(LOWER, 26, rng)
}

/// 52 of `[a-z0-9]`: 268 bits.
pub fn client_secret(rng: &dyn Random) -> String {
    text(LOWER, 52, rng)
}

/// `AKIA` and 16 of `[A-Z2-7]`, as AWS writes access keys.
pub fn access_key_id(rng: &dyn Random) -> String {
    format!("AKIA{}", text(BASE32, 16, rng))
}

/// 40 letters and digits: 238 bits, and nothing that a shell would take apart.
pub fn access_key_secret(rng: &dyn Random) -> String {
    text(ALNUM, 40, rng)
}

/// 32 random bytes in base64url, 43 characters: cookie handles, authorization codes, challenge sessions.
pub fn handle(rng: &dyn Random) -> String {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// Six digits, each of the million equally likely.
pub fn confirmation_code(rng: &dyn Random) -> String {
    format!("{:06}", below(1_000_000, rng))
}

/// A password that an administrator hands out: at least 16 characters (more if the policy asks), each of Cognito's four
/// classes at least once, so it satisfies every policy. Characters that are misread (0 O 1 l I) or that mail and markup
/// might change (`<`, `&`, quotes, braces) are left out.
pub fn temporary_password(minimum_length: usize, rng: &dyn Random) -> String {
    const CLASSES: [&[u8]; 4] =
        [b"ABCDEFGHJKLMNPQRSTUVWXYZ", b"abcdefghijkmnopqrstuvwxyz", b"23456789", b"!@#%*+-=?_"];
    let all = CLASSES.concat();
    let length = minimum_length.clamp(16, 256);
    let mut letters: Vec<char> = CLASSES.iter().map(|class| one(class, rng)).collect();
    while letters.len() < length {
        letters.push(one(&all, rng));
    }
    // Fisher-Yates, so that a letter's place does not tell its class.
    for last in (1..letters.len()).rev() {
        letters.swap(last, index(last + 1, rng));
    }
    letters.into_iter().collect()
}

/// One life of a revocation feed: 16 random bytes.
pub fn incarnation(rng: &dyn Random) -> String {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A version 4 UUID: `sub` and other ids without order.
pub fn uuid_v4(rng: &dyn Random) -> Uuid {
    let mut bytes = [0; 16];
    rng.fill(&mut bytes);
    Builder::from_random_bytes(bytes).into_uuid()
}

/// A version 7 UUID (RFC 9562, section 5.7) that holds a moment, at most 48 bits of milliseconds.
pub fn uuid_v7(ms: Ms, rng: &dyn Random) -> Uuid {
    let mut bytes = [0; 10];
    rng.fill(&mut bytes);
    // Clamped, not wrapped: a wrapped moment would sort before everything.
    let ms = u64::try_from(ms).unwrap_or(0).min((1 << 48) - 1);
    Builder::from_unix_timestamp_millis(ms, &bytes).into_uuid()
}

/// The moment that a version 7 UUID holds; `None` for any other version, which holds none.
pub fn uuid_v7_ms(uuid: &Uuid) -> Option<Ms> {
    if uuid.get_version_num() != 7 {
        return None;
    }
    Ms::try_from(uuid.as_u128() >> 80).ok()
}

/// What a session id names (`SessionIdType`, `^(tkn|sso)[a-z0-9]{25}$`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionKind {
    /// One refresh-token family.
    Token,
    /// One browser at the hosted pages.
    Sso,
}

impl SessionKind {
    pub fn prefix(self) -> &'static str {
        match self {
            SessionKind::Token => "tkn",
            SessionKind::Sso => "sso",
        }
    }
}

/// The prefix and the UUID in base 36: 25 digits are exactly enough (36^25 > 2^128), so id and UUID are
/// one and the same, and ids sort by birth as their UUIDs do.
pub fn session_id(kind: SessionKind, uuid: &Uuid) -> String {
    let mut digits = [0; 25];
    let mut rest = uuid.as_u128();
    for digit in digits.iter_mut().rev() {
        *digit = (rest % 36) as u8;
        rest /= 36;
    }
    let digits = digits.iter().filter_map(|digit| char::from_digit(u32::from(*digit), 36));
    kind.prefix().chars().chain(digits).collect()
}

/// The inverse of `session_id`. Exactly one text per UUID is accepted: upper case, other lengths and numbers
/// beyond 128 bits are not ids.
pub fn parse_session_id(id: &str) -> Option<(SessionKind, Uuid)> {
    let (kind, digits) = match id.split_at_checked(3)? {
        ("tkn", digits) => (SessionKind::Token, digits),
        ("sso", digits) => (SessionKind::Sso, digits),
        _ => return None,
    };
    if digits.len() != 25 {
        return None;
    }
    let mut number: u128 = 0;
    for digit in digits.chars() {
        if digit.is_ascii_uppercase() {
            return None;
        }
        number = number.checked_mul(36)?.checked_add(digit.to_digit(36)?.into())?;
    }
    Some((kind, Uuid::from_u128(number)))
}

/// A new token session born at that moment.
pub fn token_session(birth_ms: Ms, rng: &dyn Random) -> String {
    session_id(SessionKind::Token, &uuid_v7(birth_ms, rng))
}

/// The token session that a token's `origin_jti` (or `event_id`) names: a version 7 UUID in its usual spelling.
pub fn token_session_of(uuid: &str) -> Option<String> {
    let parsed = Uuid::try_parse(uuid).ok().filter(|parsed| uuid_v7_ms(parsed).is_some())?;
    Some(session_id(SessionKind::Token, &parsed))
}

/// The UUID in a session id of either kind.
pub fn session_uuid(id: &str) -> Option<Uuid> {
    parse_session_id(id).map(|(_, uuid)| uuid)
}

fn text(alphabet: &[u8], length: usize, rng: &dyn Random) -> String {
    (0..length).map(|_| one(alphabet, rng)).collect()
}

fn one(alphabet: &[u8], rng: &dyn Random) -> char {
    alphabet.get(index(alphabet.len(), rng)).copied().map_or('?', char::from)
}

fn index(bound: usize, rng: &dyn Random) -> usize {
    below(u32::try_from(bound).unwrap_or(u32::MAX), rng) as usize
}

/// A uniform number below `bound`, by rejection: a bare remainder would favour small numbers.
fn below(bound: u32, rng: &dyn Random) -> u32 {
    let fair = u32::MAX - u32::MAX % bound.max(1);
    loop {
        let mut bytes = [0; 4];
        rng.fill(&mut bytes);
        let number = u32::from_be_bytes(bytes);
        if number < fair {
            return number % bound.max(1);
        }
    }
}

/// A new browser session born at `birth_ms`.
pub fn sso_session(birth_ms: Ms, rng: &dyn Random) -> String {
    session_id(SessionKind::Sso, &uuid_v7(birth_ms, rng))
}
