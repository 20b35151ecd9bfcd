//! Signing tokens for an open session: always after the commit, so that losers of a race cost nothing.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use cenote_interface::types::AuthenticationResultType;
use serde_json::json;

use super::{Birth, claims, ring, scopes};
use crate::ambient::SECOND;
use crate::cx::Cx;
use crate::error::Result;
use crate::keys::{Ring, SigningKey};
use crate::pool::group::GroupClaims;
use crate::pool::{Client, Pool, TokenSession, User};
use crate::store::groups;

/// Signed tokens, in neither door's form yet.
pub struct Issued {
    pub access_token: String,
    /// With an API sign-in, or the scope `openid`.
    pub id_token: Option<String>,
    /// New, or the rotated one; `None` where the caller keeps what it has.
    pub refresh_token: Option<String>,
    pub expires_in_secs: i64,
}

/// Tokens of a user's session.
pub async fn issue(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    user: &User,
    session: &TokenSession,
    refresh_token: Option<String>,
) -> Result<Issued> {
    let session = &scopes::still_granted(cx, pool, client, session).await?;
    // Read at every minting: a refresh tells of the groups that the user is in by then.
    let groups = GroupClaims::of(groups::docs_of_user(cx.db(), user).await?);
    let hosted = session.flow.is_hosted();
    let access_claims = claims::access(cx, pool, client, user, session, &groups);
    let id_claims = (!hosted || session.scope.split(' ').any(|scope| scope == "openid"))
        .then(|| claims::id(cx, pool, client, user, session, &groups));
    let (access_token, id_token) = sign(cx, pool, move |keys| {
        let access_token = keys.access()?.sign_jwt(&access_claims)?;
        let id_token = match id_claims {
            Some(mut claims) => {
                if hosted {
                    claims.insert("at_hash".into(), json!(at_hash(&access_token)));
                }
                Some(keys.id()?.sign_jwt(&claims)?)
            }
            None => None,
        };
        Ok((access_token, id_token))
    })
    .await?;
    Ok(Issued {
        access_token,
        id_token,
        refresh_token,
        expires_in_secs: claims::validity(session, client.access_ms(), cx.now) / SECOND,
    })
}

/// A token that the client gets for itself: one signature, and nothing in the database.
pub async fn issue_machine(
    cx: &Cx,
    pool: &Pool,
    client: &Client,
    scope: &str,
    birth: Birth,
) -> Result<Issued> {
    let claims = claims::machine(cx, pool, client, scope, birth);
    let access_token = sign(cx, pool, move |keys| keys.access()?.sign_jwt(&claims)).await?;
    cx.app.meters.issued("client_credentials");
    Ok(Issued {
        access_token,
        id_token: None,
        refresh_token: None,
        expires_in_secs: client.access_ms() / SECOND,
    })
}

/// Signs on the bounded pool, ahead of passwords: all that one answer needs in one job.
pub async fn sign<T: Send + 'static>(
    cx: &Cx,
    pool: &Pool,
    work: impl FnOnce(&Keys) -> Result<T> + Send + 'static,
) -> Result<T> {
    let keys = Keys { ring: ring::of(cx, pool).await?, pool: pool.id.clone() };
    cx.app.compute.sign(move || work(&keys)).await?
}

/// The active keys of a pool.
pub struct Keys {
    ring: Arc<Ring>,
    pool: String,
}

impl Keys {
    pub fn access(&self) -> Result<&SigningKey> {
        self.ring.access().ok_or_else(|| ring::missing(&self.pool))
    }

    pub fn id(&self) -> Result<&SigningKey> {
        self.ring.id().ok_or_else(|| ring::missing(&self.pool))
    }
}

impl Issued {
    /// The form of the JSON door.
    pub fn into_result(self) -> AuthenticationResultType {
        AuthenticationResultType {
            access_token: Some(self.access_token),
            expires_in: Some(self.expires_in_secs),
            token_type: Some("Bearer".to_owned()),
            refresh_token: self.refresh_token,
            id_token: self.id_token,
            new_device_metadata: None,
        }
    }
}

/// OIDC Core, 3.1.3.6: the left half of the hash of the access token.
fn at_hash(access_token: &str) -> String {
    let hash = digest::digest(&digest::SHA256, access_token.as_bytes());
    URL_SAFE_NO_PAD.encode(hash.as_ref().split_at(16).0)
}
