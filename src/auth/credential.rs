//! The password credential: SRP salt and verifier, sealed. Cognito's SRP is fixed by its clients and needs `g^x`, a fast
//! hash; the seal is what makes a stolen database worthless alone. A plain password is checked against the same verifier.

use cenote_srp::Verifier;
use zeroize::Zeroizing;

use crate::cx::Cx;
use crate::error::{Error, Result};
use crate::keys::Place;
use crate::pool::{Pool, User};

const SALT: usize = 16;

/// What is known of a user's password, real or invented.
#[derive(Clone)]
pub struct Credential {
    pub salt: [u8; SALT],
    pub verifier: Verifier,
}

/// Makes and seals the credential of a password.
pub async fn make(
    cx: &Cx,
    pool: &Pool,
    sub: &str,
    username: &str,
    password: &str,
) -> Result<Vec<u8>> {
    let mut salt = [0; SALT];
    cx.rng().fill(&mut salt);
    let (pool_name, name) = (pool.srp_name().to_owned(), username.to_owned());
    let password = Zeroizing::new(password.to_owned());
    let verifier = cx
        .app
        .compute
        .run(move || cenote_srp::verifier(&pool_name, &name, &password, &salt))
        .await?;
    let plain = Zeroizing::new([salt.as_slice(), verifier.as_bytes()].concat());
    Ok(cx.app.vault.seal(cx.rng(), &place(&pool.id, sub), &plain)?.0)
}

/// The user's credential, or for a name without one an invented credential, stable for that name: the work that
/// follows is the same.
pub fn of(cx: &Cx, pool: &Pool, user: Option<&User>, login: &str) -> Result<Credential> {
    match user.and_then(|user| user.password.as_ref().map(|sealed| (user, sealed))) {
        Some((user, sealed)) => {
            let plain = cx.app.vault.open(&place(&pool.id, &user.sub), sealed)?;
            let (salt, verifier) = plain.split_first_chunk::<SALT>().ok_or_else(damaged)?;
            Ok(Credential {
                salt: *salt,
                verifier: Verifier::from_bytes(verifier).ok_or_else(damaged)?,
            })
        }
        None => invent(cx, pool, login),
    }
}

/// Whether a plain password belongs to the credential. Takes one exponentiation, on the bounded pool.
pub async fn matches(
    cx: &Cx,
    pool: &Pool,
    credential: Credential,
    username: &str,
    password: &str,
) -> Result<bool> {
    let (pool_name, name) = (pool.srp_name().to_owned(), username.to_owned());
    let password = Zeroizing::new(password.to_owned());
    let work = move || {
        cenote_srp::password_matches(
            &credential.verifier,
            &pool_name,
            &name,
            &password,
            &credential.salt,
        )
    };
    cx.app.compute.run(work).await
}

fn invent(cx: &Cx, pool: &Pool, login: &str) -> Result<Credential> {
    let mac = |purpose: &str| cx.app.vault.mac(&pool.id, purpose, login.as_bytes());
    let salt = *mac("invented salt").first_chunk::<SALT>().ok_or_else(damaged)?;
    // Any number below N that is not 0 is a verifier of some password.
    let bytes: Vec<u8> = (0..11).flat_map(|n| mac(&format!("invented verifier {n}"))).collect();
    Ok(Credential { salt, verifier: Verifier::from_bytes(&bytes).ok_or_else(damaged)? })
}

fn place<'a>(pool_id: &'a str, sub: &'a str) -> Place<'a> {
    Place { table: "users", pool: pool_id, row: sub, column: "password" }
}

fn damaged() -> Error {
    Error::internal("a stored password credential is damaged")
}
