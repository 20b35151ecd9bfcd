//! The password credential: SRP salt and verifier, sealed. Cognito's SRP is fixed by its clients and needs `g^x`, a fast
//! hash; the seal is what makes a stolen database worthless alone. A plain password is checked against the same verifier.

use cenote_srp::Verifier;
use zeroize::Zeroizing;

use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::keys::Place;
use crate::pool::{Pool, User};
use crate::store::{Batch, users};

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

/// Adds a new password of a user to the batch. It may not be one of the last that the policy remembers.
pub async fn change(
    cx: &Cx,
    batch: &mut Batch,
    pool: &Pool,
    user: &User,
    password: &str,
) -> Result<()> {
    let keep = pool.password_history();
    if keep > 0 {
        let mut former = users::password_history(cx.db(), user, keep - 1).await?;
        former.extend(user.password.clone());
        for sealed in former {
            let credential = open(cx, pool, &user.sub, &sealed)?;
            if matches(cx, pool, credential, &user.username, password).await? {
                return Err(Error::new(
                    Kind::PasswordHistoryPolicyViolation,
                    "Password has previously been used. Please choose a different password.",
                ));
            }
        }
    }
    let sealed = make(cx, pool, &user.sub, &user.username, password).await?;
    users::set_password(batch, user, sealed, keep);
    Ok(())
}

/// The user's credential, or for a name without one an invented credential, stable for that name: the work that
/// follows is the same.
pub fn of(cx: &Cx, pool: &Pool, user: Option<&User>, login: &str) -> Result<Credential> {
    match user.and_then(|user| user.password.as_ref().map(|sealed| (user, sealed))) {
        Some((user, sealed)) => open(cx, pool, &user.sub, sealed),
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

fn open(cx: &Cx, pool: &Pool, sub: &str, sealed: &[u8]) -> Result<Credential> {
    let plain = cx.app.vault.open(&place(&pool.id, sub), sealed)?;
    let (salt, verifier) = plain.split_first_chunk::<SALT>().ok_or_else(damaged)?;
    Ok(Credential { salt: *salt, verifier: Verifier::from_bytes(verifier).ok_or_else(damaged)? })
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
