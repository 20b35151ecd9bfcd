//! Global Token Revocation (draft-parecki-oauth-global-token-revocation): a provider asks that all of one person ends. It shows who it
//! is by a token that it signed for this very address.

use serde_json::Value;

use super::{Code, Ending, Refused, Subject, Transmitter, audiences, signed};
use crate::ambient::{DAY, Ms};
use crate::cx::Cx;
use crate::error::Result;
use crate::federation::oidc::id_token::{SKEW, id, in_time, moment};
use crate::federation::sign_out::inward::Named;
use crate::keys::{self, foreign};
use crate::pool::identity::SUBJECT;
use crate::pool::provider::Kind;
use crate::pool::{Pool, Provider};
use crate::store::identities::{self, Key};

/// For the records.
const REASON: &str = "global_token_revocation";

/// A token lives at most so long: its `jti` is remembered until it ends.
const LONGEST: Ms = DAY;

/// Who asks, verified.
pub struct Asked {
    /// Several where one party is configured under several names.
    pub providers: Vec<Provider>,
    pub jti: String,
    pub until_ms: Ms,
    issuers: Vec<String>,
}

/// Verifies the token of the request. `here`: the address that it must be for.
pub async fn verify(cx: &Cx, pool: &Pool, token: &str, here: &str) -> Result<Asked, Refused> {
    let refuse = |why: &'static str| Code::Key.because(why);
    let parsed =
        foreign::parse(token).map_err(|malformed| Code::Key.because(malformed.to_string()))?;
    let typ = parsed.typ.as_deref().map(str::to_ascii_lowercase);
    let typ = typ.as_deref().map(|typ| typ.trim_start_matches("application/"));
    if !matches!(typ, None | Some("jwt" | "global-token-revocation+jwt")) {
        return Err(refuse("its typ is not global-token-revocation+jwt"));
    }
    let iss = parsed.claimed_issuer().ok_or_else(|| refuse("it has no iss"))?;
    let all = cx.app.directory.providers(cx.db(), pool).await;
    let all = all.map_err(crate::federation::Trouble::from)?;
    let (mut providers, mut issuers, mut claims, mut trouble) =
        (Vec::new(), Vec::new(), None, None);
    for provider in all.all().iter().filter(|provider| has_keys(provider)) {
        let verified = match Transmitter::of(cx, provider).await {
            Ok(transmitter) if transmitter.is_issuer(&iss) => {
                issuers.extend(transmitter.issuers);
                signed(cx, provider, &parsed).await
            }
            Ok(_) => continue,
            // Whoever is away is most likely not the one who asks.
            Err(away) => Err(away),
        };
        match verified {
            Ok(verified) => {
                providers.push(provider.clone());
                claims = Some(verified);
            }
            Err(refused) => trouble = Some(refused),
        }
    }
    let Some(claims) = claims else {
        return Err(trouble.unwrap_or_else(|| {
            refuse("its iss is not the issuer of a provider of this user pool")
        }));
    };
    if !audiences(&claims).contains(&here) {
        return Err(Code::Key.because(format!("its aud is not {here}")));
    }
    in_time(&claims, cx.now).map_err(|why| Code::Key.because(why))?;
    let jti = id(&claims, "jti").ok_or_else(|| refuse("its jti is missing, empty or too long"))?;
    let expires = moment(&claims, "exp").ok_or_else(|| refuse("it has no exp"))?;
    if expires > cx.now.saturating_add(LONGEST) {
        return Err(refuse("its exp is more than a day away"));
    }
    Ok(Asked { providers, jti, until_ms: expires.saturating_add(SKEW), issuers })
}

/// Google and Apple sign events with the keys of their ID tokens; the others have none.
fn has_keys(provider: &Provider) -> bool {
    matches!(provider.kind, Kind::Oidc | Kind::Google | Kind::SignInWithApple)
}

impl Asked {
    /// Whom the body means; the member was called `subject` in drafts.
    pub fn subject(body: &[u8]) -> Result<Subject, Refused> {
        let refuse = |why: &'static str| Code::Request.because(why);
        let body: Value = serde_json::from_slice(body)
            .map_err(|_| refuse("The body is not a JSON object with the member sub_id."))?;
        let subject = body.get("sub_id").or_else(|| body.get("subject"));
        let subject = subject.ok_or_else(|| refuse("The body has no member sub_id."))?;
        Subject::parse_simple(subject)
            .map_err(|why| Code::Request.because(format!("sub_id cannot be used: {why}.")))
    }

    /// Whom it means at one of the providers: those of its names that somebody here signs in with.
    pub async fn endings(
        &self,
        cx: &Cx,
        pool: &Pool,
        provider: &Provider,
        subject: &Subject,
    ) -> Result<Vec<Ending>> {
        let mut endings = Vec::new();
        for sub in subject.people(cx, pool, provider, &self.issuers).await? {
            let value_key = keys::hash(&sub);
            let key = Key { provider: &provider.name, attribute: SUBJECT, value_key: &value_key };
            if identities::find(cx.db(), &pool.id, key).await?.is_some() {
                let named = Named { subject: Some(sub), ..Named::default() };
                endings.push(Ending { reason: REASON, named });
            }
        }
        Ok(endings)
    }
}
