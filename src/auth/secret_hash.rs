//! How an app client with a secret proves that a request is its own (`cognito-behaviour`, 6.1).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zeroize::Zeroizing;

use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::keys::{self, Place};
use crate::pool::Client;

/// Checks SECRET_HASH: base64 of HMAC-SHA256 under a secret of the client over name and client id. Any of `names` will do.
pub fn check(cx: &Cx, client: &Client, names: &[&str], given: Option<&str>) -> Result<()> {
    let id = &client.id;
    let unverifiable =
        || Error::not_authorized(format!("Unable to verify secret hash for client {id}"));
    match (client.is_public(), given) {
        (true, None) => Ok(()),
        (true, Some(_)) => Err(unverifiable()),
        (false, None) => Err(Error::not_authorized(format!(
            "Client {id} is configured with secret but SECRET_HASH was not received"
        ))),
        (false, Some(given)) => {
            let mut matched = false;
            for secret in secrets(cx, client)? {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
                for name in names {
                    let tag = hmac::sign(&key, format!("{name}{id}").as_bytes());
                    matched |=
                        keys::same(STANDARD.encode(tag.as_ref()).as_bytes(), given.as_bytes());
                }
            }
            if matched { Ok(()) } else { Err(unverifiable()) }
        }
    }
}

/// Whether this is one of the client's secrets, where the secret itself is sent. A public client has none to check.
pub fn is_secret(cx: &Cx, client: &Client, given: &str) -> Result<bool> {
    let mut matched = false;
    for secret in secrets(cx, client)? {
        matched |= keys::same(secret.as_bytes(), given.as_bytes());
    }
    Ok(matched)
}

/// The client's secrets in the clear, newest last.
pub fn secrets(cx: &Cx, client: &Client) -> Result<Vec<Zeroizing<String>>> {
    client
        .doc
        .secrets
        .iter()
        .map(|secret| {
            let sealed = STANDARD.decode(&secret.sealed).map_err(Error::internal)?;
            let plain = cx.app.vault.open(&place(client, &secret.id), &sealed)?;
            String::from_utf8(plain.to_vec()).map(Zeroizing::new).map_err(Error::internal)
        })
        .collect()
}

/// Seals a new secret for the client's document.
pub fn seal(cx: &Cx, client: &Client, secret_id: &str, secret: &str) -> Result<String> {
    let sealed = cx.app.vault.seal(cx.rng(), &place(client, secret_id), secret.as_bytes())?;
    Ok(STANDARD.encode(sealed.0))
}

fn place<'a>(client: &'a Client, secret_id: &'a str) -> Place<'a> {
    Place { table: "clients", pool: &client.pool_id, row: secret_id, column: "secrets" }
}
