//! Signing in by SRP (`cognito-behaviour`, 6.3): the first message makes a PASSWORD_VERIFIER challenge whose handle is the
//! SECRET_BLOCK; the second proves the password without sending it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cenote_srp::{ClientPublic, Server, salt_hex};
use uuid::{Builder, Uuid};

use super::challenge::{self, Doc};
use super::credential;
use super::machine::{Event, Step, Verdict, next};
use super::verdict::{Subject, after_password, deny};
use super::{At, Challenged, Outcome};
use crate::cx::Cx;
use crate::error::{Error, Kind, Result};
use crate::pool::{attributes, names};
use crate::store::clocks::{self, BornOf};
use crate::store::{Batch, users};
use crate::tokens;

/// USER_SRP_AUTH: answers SRP_A with salt, SRP_B and the SECRET_BLOCK. A name that nobody has gets the same,
/// invented, where the client hides existence.
pub async fn begin(cx: &Cx, at: At<'_>, name: &str, srp_a: &str) -> Result<Outcome> {
    let a = ClientPublic::parse(srp_a)
        .map_err(|refused| Error::invalid(format!("SRP_A is not usable: {refused}")))?;
    let subject = Subject::find(cx, at, name).await?;
    match next(&subject.facts(at, cx.now), Event::Begin) {
        Step::Check => {}
        Step::Deny { error, counts } => {
            return deny(cx, at, &subject, Batch::new(), error, counts).await;
        }
        step => return Err(Error::internal(format!("SRP cannot begin with {step:?}"))),
    }
    if subject.user.is_none() && !at.client.hides_user_existence() {
        let error = Error::new(Kind::UserNotFound, "User does not exist.");
        return deny(cx, at, &subject, Batch::new(), error, false).await;
    }

    let credential = credential::of(cx, at.pool, subject.user.as_ref(), &subject.login)?;
    let mut b = [0; 32];
    cx.rng().fill(&mut b);
    let salt = credential.salt;
    let server = cx.app.compute.run(move || Server::new(&credential.verifier, b)).await?;

    let invented = invented_sub(cx, at, &subject.login);
    let (sub, srp_name) = match &subject.user {
        Some(user) => (user.sub.clone(), user.username.clone()),
        None if at.pool.names_are_attributes()
            || attributes::is_email(name)
            || attributes::is_phone(name) =>
        {
            (invented.clone(), invented)
        }
        None => (invented, subject.login.clone()),
    };
    let doc = Doc::Srp {
        door: at.door,
        login: subject.login.clone(),
        srp_name: srp_name.clone(),
        known: subject.user.is_some(),
        password_ver: subject.user.as_ref().map_or(0, |user| user.password_ver),
        a: a.to_hex(),
        b_secret: server.secret().to_vec(),
        b_public: server.public_bytes().to_vec(),
    };

    let mut batch = Batch::new();
    let birth = match &subject.user {
        Some(user) => {
            let birth = tokens::tick(cx, at.pool, at.client, user);
            clocks::advance_clock(
                &mut batch,
                &at.pool.id,
                &user.sub,
                birth.ms(),
                BornOf::Nothing,
                Error::conflict().because(&user.sub),
            );
            birth
        }
        None => {
            clocks::touch_stranger(&mut batch, &at.pool.id, &sub);
            tokens::tick_stranger(cx, at.pool, at.client)
        }
    };
    let handle = challenge::insert(cx, &mut batch, at, &sub, birth, &doc)?;
    cx.db().commit(batch).await?;

    let parameters = BTreeMap::from([
        ("SALT".to_owned(), salt_hex(&salt)),
        ("SECRET_BLOCK".to_owned(), STANDARD.encode(&handle)),
        ("SRP_B".to_owned(), server.public_hex()),
        ("USERNAME".to_owned(), srp_name.clone()),
        ("USER_ID_FOR_SRP".to_owned(), srp_name),
    ]);
    Ok(Outcome::Challenged(Challenged { name: "PASSWORD_VERIFIER", session: None, parameters }))
}

/// What a client sends for PASSWORD_VERIFIER.
pub struct Claim<'a> {
    pub name: &'a str,
    pub secret_block: &'a str,
    pub timestamp: &'a str,
    pub signature: &'a str,
}

/// Checks the claim. Right or wrong, the challenge is used up.
pub async fn answer(cx: &Cx, at: At<'_>, claim: &Claim<'_>) -> Result<Outcome> {
    let block = decode(claim.secret_block).ok_or_else(incorrect)?;
    let handle = std::str::from_utf8(&block).map_err(|_| incorrect())?;
    let open = challenge::find(cx, at, handle).await?;
    let Doc::Srp { door, login, srp_name, known, password_ver, a, b_secret, b_public } = &open.doc
    else {
        return Err(incorrect());
    };
    if *door != at.door {
        return Err(incorrect());
    }
    let user = if *known { users::find(cx.db(), &at.pool.id, &open.row.sub).await? } else { None };
    if let Some(user) = &user {
        open.check_alive(at, user)?;
    }
    let subject = Subject::of(cx, at, user, login.clone()).await?;
    // The answer must name whom the challenge was for: a SECRET_HASH over another name proves nothing.
    let given = names::fold(at.pool, claim.name);
    let named = given == *login
        || claim.name == srp_name
        || subject.user.as_ref().is_some_and(|user| names::is_name_of(at.pool, user, claim.name));
    if !named {
        return Err(incorrect());
    }
    let credential = credential::of(cx, at.pool, subject.user.as_ref(), &subject.login)?;
    let server = <[u8; 32]>::try_from(b_secret.as_slice())
        .ok()
        .and_then(|b| Server::from_parts(b, b_public));
    let server = server.ok_or_else(|| Error::internal("a stored SRP challenge is damaged"))?;
    let a = ClientPublic::parse(a).map_err(Error::internal)?;
    let signature = decode(claim.signature).unwrap_or_default();
    let same_password = subject.user.as_ref().is_none_or(|user| user.password_ver == *password_ver);

    // The timestamp needs no clock: it is covered by the signature, and the challenge is single-use and short-lived.
    let (pool_name, name, timestamp) =
        (at.pool.srp_name().to_owned(), srp_name.clone(), claim.timestamp.to_owned());
    let right = cx
        .app
        .compute
        .run(move || {
            let key = server.key(&credential.verifier, &a);
            key.is_ok_and(|key| key.verify(&pool_name, &name, &block, &timestamp, &signature))
        })
        .await?;

    let mut batch = Batch::new();
    open.consume(cx, &mut batch, at);
    let verdict = if right && same_password { Verdict::Right } else { Verdict::Wrong };
    after_password(cx, at, &subject, verdict, batch, Some(open.row.birth_ms)).await
}

/// A `sub` for a name that nobody has, the same each time.
fn invented_sub(cx: &Cx, at: At<'_>, login: &str) -> String {
    let mac = cx.app.vault.mac(&at.pool.id, "invented sub", login.as_bytes());
    let bytes = mac.first_chunk::<16>().copied().unwrap_or_default();
    let uuid: Uuid = Builder::from_random_bytes(bytes).into_uuid();
    uuid.to_string()
}

/// Clients send standard base64; some of them the URL-safe form.
fn decode(text: &str) -> Option<Vec<u8>> {
    let text: String = text
        .chars()
        .map(|c| match c {
            '-' => '+',
            '_' => '/',
            c => c,
        })
        .collect();
    STANDARD.decode(text).ok()
}

fn incorrect() -> Error {
    Error::not_authorized("Incorrect username or password.")
}
