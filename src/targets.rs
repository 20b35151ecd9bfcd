//! What those need who make targets (`extension`, `seed`) and those who tell them (`delivery`): how a target's secret is kept, what
//! signs a webhook's requests, and what a stream is told of itself.

pub mod streams;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ambient::Random;
use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::keys::Place;
use crate::pool::Target;

/// What a webhook's receiver is given, once: `whsec_` and 32 random bytes, as Standard Webhooks writes them.
pub fn new_webhook_secret(rng: &dyn Random) -> String {
    let mut bytes = [0; 32];
    rng.fill(&mut bytes);
    format!("whsec_{}", BASE64_STANDARD.encode(bytes))
}

/// The key in such a text; `None` for what is none, or shorter than 24 bytes or longer than 64.
pub fn webhook_key(secret: &str) -> Option<Vec<u8>> {
    let key = BASE64_STANDARD.decode(secret.strip_prefix("whsec_")?).ok()?;
    (24..=64).contains(&key.len()).then_some(key)
}

/// What a target has to hide, as its row keeps it.
pub fn seal(cx: &Cx, pool_id: &str, target_id: &str, secret: &impl Serialize) -> Result<Vec<u8>> {
    let plain = zeroize::Zeroizing::new(serde_json::to_vec(secret).map_err(Error::internal)?);
    Ok(cx.app.vault.seal(cx.rng(), &place(pool_id, target_id), &plain)?.0)
}

pub fn open<T: DeserializeOwned>(cx: &Cx, target: &Target) -> Result<Option<T>> {
    let Some(sealed) = &target.secret else { return Ok(None) };
    let plain = cx.app.vault.open(&place(&target.pool_id, &target.id), sealed)?;
    serde_json::from_slice(&plain)
        .map(Some)
        .map_err(|_| Error::internal(format!("the secret of target {} does not parse", target.id)))
}

fn place<'a>(pool_id: &'a str, target_id: &'a str) -> Place<'a> {
    Place { table: "targets", pool: pool_id, row: target_id, column: "secret" }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ambient::SeededRandom;

    #[test]
    fn a_webhooks_secret_is_a_key_and_nothing_else_is() {
        let secret = new_webhook_secret(&SeededRandom::new(1));
        assert_eq!(webhook_key(&secret).unwrap().len(), 32);
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "whsec_!", secret.trim_start_matches("whsec_")]
        {
            assert!(webhook_key(bad).is_none(), "{bad}");
        }
        let long = format!("whsec_{}", BASE64_STANDARD.encode([0; 65]));
        assert!(webhook_key(&long).is_none());
    }
}
