//! Challenge sessions: a half-done sign-in, known by an opaque handle of which the database holds the hash. Single-use, short-lived,
//! bound to the client, and dead as soon as anything ends the user's codes.

use serde::{Deserialize, Serialize};

use super::machine::invalid_session;
use super::{At, Door};
use crate::ambient::{MINUTE, Ms};
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::keys::{self, Place};
use crate::pool::{Factor, User};
use crate::store::Batch;
use crate::store::codes::{self, Challenge};
use crate::tokens::Birth;
use crate::{ids, store};

/// What a challenge remembers. Sealed: it may hold the server's SRP secret.
#[derive(Serialize, Deserialize)]
pub enum Doc {
    /// PASSWORD_VERIFIER.
    Srp {
        door: Door,
        /// What the user was called in the first request, folded.
        login: String,
        /// USER_ID_FOR_SRP.
        srp_name: String,
        /// Whether `sub` is a user's; otherwise it was invented.
        known: bool,
        password_ver: i64,
        a: String,
        b_secret: Vec<u8>,
        b_public: Vec<u8>,
    },
    /// NEW_PASSWORD_REQUIRED: the temporary password was proved.
    NewPassword { password_ver: i64 },
    /// The password was proved; a second factor is asked for.
    Second { door: Door, password_ver: i64, ask: Ask },
    /// Of no API: a sign-up at the hosted pages that waits for its confirmation.
    SignedUp { password_ver: i64 },
}

/// What is asked for after the password.
#[derive(Serialize, Deserialize)]
pub enum Ask {
    /// SOFTWARE_TOKEN_MFA.
    SoftwareToken,
    /// SMS_MFA or EMAIL_OTP: the MAC of a code that went to this address. `sets_up` makes it the user's address and factor.
    Sent { factor: Factor, address: String, mac: [u8; 32], sets_up: bool },
    /// SELECT_MFA_TYPE.
    Which { factors: Vec<Factor> },
    /// MFA_SETUP, with the secret that was given out for it, if one was.
    SetUp { factors: Vec<Factor>, secret: Option<Vec<u8>> },
    /// MFA_SETUP, and it is done.
    IsSetUp { factor: Factor },
}

/// A challenge that is still open.
pub struct Open {
    pub row: Challenge,
    pub doc: Doc,
    hash: [u8; 32],
}

impl Open {
    /// Refuses a challenge that something has ended: a sign-out kills half-done sign-ins, too.
    pub fn check_alive(&self, at: At<'_>, user: &User) -> Result<()> {
        let epoch =
            user.epoch_ms.max(user.code_epoch_ms).max(at.client.epoch_ms).max(at.pool.epoch_ms);
        if self.row.birth_ms < epoch {
            return Err(invalid_session());
        }
        Ok(())
    }

    /// Of several answers one is taken.
    pub fn consume(&self, cx: &Cx, batch: &mut Batch, at: At<'_>) {
        codes::consume_challenge(batch, &at.pool.id, &self.hash, cx.now);
    }
}

/// Adds a challenge to the batch and returns its handle. It begins with the client's id: AssociateSoftwareToken and
/// VerifySoftwareToken name nothing else.
pub fn insert(
    cx: &Cx,
    batch: &mut Batch,
    at: At<'_>,
    sub: &str,
    birth: Birth,
    doc: &Doc,
) -> Result<String> {
    let handle = format!("{}.{}", at.client.id, ids::handle(cx.rng()));
    let hash = keys::hash(&handle);
    let plain = serde_json::to_vec(doc).map_err(Error::internal)?;
    let row = Challenge {
        sub: sub.to_owned(),
        client_id: at.client.id.clone(),
        birth_ms: birth.ms(),
        doc: cx.app.vault.seal(cx.rng(), &place(&at.pool.id, &hex(&hash)), &plain)?.0,
        expires_ms: cx.now + lifetime(at, doc),
        consumed_ms: None,
    };
    store::codes::insert_challenge(batch, &at.pool.id, &hash, &row);
    Ok(handle)
}

/// As the client says; at the hosted pages at least as long as a page of several lasts. A sign-up waits for mail.
fn lifetime(at: At<'_>, doc: &Doc) -> Ms {
    match (at.door, doc) {
        (_, Doc::SignedUp { .. }) => 15 * MINUTE,
        (Door::Hosted | Door::Federation, _) => at.client.challenge_ms().max(5 * MINUTE),
        (Door::Api | Door::Admin, _) => at.client.challenge_ms(),
    }
}

/// Finds the open challenge of a handle, in Cognito's words if it is not open (`cognito-behaviour`, 6.4).
pub async fn find(cx: &Cx, at: At<'_>, handle: &str) -> Result<Open> {
    let invalid = |message: &'static str| Error::not_authorized(message);
    let hash = keys::hash(handle);
    let row = codes::challenge(cx.db(), &at.pool.id, &hash)
        .await?
        .filter(|row| row.client_id == at.client.id)
        .ok_or_else(invalid_session)?;
    if row.consumed_ms.is_some() {
        return Err(invalid("Invalid session for the user, session can only be used once."));
    }
    if row.expires_ms <= cx.now {
        return Err(invalid("Invalid session for the user, session is expired."));
    }
    let plain = cx.app.vault.open(&place(&at.pool.id, &hex(&hash)), &row.doc)?;
    let doc = serde_json::from_slice(&plain).map_err(Error::internal)?;
    Ok(Open { row, doc, hash })
}

/// Whose challenge it is, or was.
pub async fn whose(cx: &Cx, at: At<'_>, handle: &str) -> Result<Option<String>> {
    let row = codes::challenge(cx.db(), &at.pool.id, &keys::hash(handle)).await?;
    Ok(row.filter(|row| row.client_id == at.client.id).map(|row| row.sub))
}

/// The client in a handle: where to look for it, and no proof of anything.
pub fn client_of(handle: &str) -> Option<&str> {
    handle.split_once('.').map(|(client_id, _)| client_id)
}

fn place<'a>(pool_id: &'a str, row: &'a str) -> Place<'a> {
    Place { table: "challenges", pool: pool_id, row, column: "doc" }
}

fn hex(hash: &[u8; 32]) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
