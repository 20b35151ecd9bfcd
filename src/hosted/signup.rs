//! `/signup`: the name, what the pool requires, and a password; then the code.

use axum::http::StatusCode;
use axum::response::Response;
use minijinja::context;
use uuid::Uuid;

use super::fields::{self, Field};
use super::form::{self, Caller};
use super::step::{self, Done, Step, What};
use super::{challenge, cookies, login, texts, words};
use crate::account::{address, sign_up};
use crate::auth::signed_up;
use crate::error::{Error, Kind, Result};
use crate::ids;
use crate::pool::{Client, Pool, Status, User, attributes, names};
use crate::site::{Params, Visit};
use crate::store::users;

struct Form {
    username: Field,
    /// What else is asked: attributes of the schema.
    more: Vec<Field>,
    password: [Field; 2],
    alert: String,
    /// By which a second press of the button is known: it makes the same user.
    id: Uuid,
}

pub async fn page(visit: &Visit) -> Result<Response> {
    let caller = match Caller::of(visit).await? {
        Ok(caller) => caller,
        Err(refusal) => return Ok(refusal),
    };
    if visit.site.pool.only_administrators_create_users() {
        return closed(visit, &caller).await;
    }
    Form::blank(visit, &caller.client).show(visit, &caller).await
}

pub async fn submit(visit: &Visit, posted: &Params) -> Result<Response> {
    let caller = match Caller::of(visit).await? {
        Ok(caller) => caller,
        Err(refusal) => return Ok(refusal),
    };
    let (texts, pool, client) = (&texts::of(visit), &*visit.site.pool, &*caller.client);
    if pool.only_administrators_create_users() {
        return closed(visit, &caller).await;
    }
    if let Err(refusal) = cookies::check_csrf(visit, posted) {
        return refusal.page_before(visit, "/signup").await;
    }
    let mut form = Form::blank(visit, client);
    if let Some(id) = posted.get("form").and_then(|id| Uuid::parse_str(id).ok()) {
        form.id = id;
    }
    let name = form.username.read(texts, posted);
    if let Err(error) = names::choose(pool, &name) {
        form.username.refuse(words::say(texts, &error));
    }
    let mut pairs = Vec::new();
    for field in &mut form.more {
        let typed = field.read(texts, posted);
        field.check_attribute(texts, pool, client, &typed);
        pairs.push((field.name.clone(), typed));
    }
    let password = fields::read_password(&mut form.password, texts, pool, posted);
    if form.all().iter().any(|field| !field.error.is_empty()) {
        return form.show(visit, &caller).await;
    }

    let sub = sub_of(visit, form.id, &name, &password, &pairs);
    let (user, sent) = match before(visit, &sub).await? {
        Some(before) => before,
        None => {
            let (cx, via) = (&visit.cx, caller.via(visit));
            let made = sign_up::sign_up_as(cx, via, sub.clone(), &name, &password, &pairs).await;
            match made {
                Ok((user, details)) => {
                    let masked = details.and_then(|details| details.destination);
                    // They have just typed the address: in full it shows whether it is right.
                    let typed = address::all(&user).into_iter().map(|to| to.value);
                    let mut typed = typed.filter(|to| address::is_mask_of(masked.as_deref(), to));
                    (user, typed.next().or(masked))
                }
                // Perhaps by this very form, posted twice at once.
                Err(error) if matches!(error.kind, Kind::UsernameExists | Kind::AliasExists) => {
                    match before(visit, &sub).await? {
                        Some(before) => before,
                        None => return form.refused(visit, &caller, &error).await,
                    }
                }
                Err(error) => return form.refused(visit, &caller, &error).await,
            }
        }
    };
    if sent.is_none() {
        return login::after(visit, &caller, Done::Waiting, &name).await;
    }
    // Without it the user signs in by hand: no reason to tell them that the account could not be made.
    let session = match signed_up::begin(&visit.cx, challenge::at(visit, client), &user).await {
        Ok(session) => Some(session),
        Err(error) => {
            tracing::info!(request_id = %visit.cx.request.id, ?error, "whoever signed up here must sign in by hand");
            None
        }
    };
    let what = What::Confirm { sent, session, again: false };
    step::go(visit, "/confirmUser", &Step::new(visit, what, &name))
}

/// The user that the same form has already made, and where their code went: its first answer got lost, or the button was pressed twice.
async fn before(visit: &Visit, sub: &str) -> Result<Option<(User, Option<String>)>> {
    let pool = &visit.site.pool;
    let user = users::find(visit.cx.db(), &pool.id, sub).await?;
    Ok(user.filter(|user| user.status == Status::Unconfirmed).map(|user| {
        let to = address::for_sign_up(pool, &user, |_| true);
        (user, to.map(|to| to.value))
    }))
}

impl Form {
    fn blank(visit: &Visit, client: &Client) -> Form {
        let (texts, pool) = (&texts::of(visit), &*visit.site.pool);
        let mut username = fields::username(texts, pool);
        match (pool.signs_in_with("email"), pool.signs_in_with("phone_number")) {
            (true, false) => username.kind = "email",
            (false, true) => {
                username.kind = "tel";
                username.hint = texts.say("hint_phone", &[]);
            }
            (true, true) | (false, false) => {}
        }
        Form {
            username,
            more: asked(pool, client).iter().map(|name| fields::attribute(texts, name)).collect(),
            password: fields::first_password(texts, pool),
            alert: String::new(),
            id: ids::uuid_v4(visit.cx.rng()),
        }
    }

    fn all(&mut self) -> Vec<&mut Field> {
        std::iter::once(&mut self.username)
            .chain(&mut self.more)
            .chain(&mut self.password)
            .collect()
    }

    /// Shows the form again with what the house said, beside the field that it is about.
    async fn refused(mut self, visit: &Visit, caller: &Caller, error: &Error) -> Result<Response> {
        let texts = &texts::of(visit);
        let about = |name: &str| error.message.contains(name);
        let field = match error.kind {
            Kind::UsernameExists | Kind::AliasExists => {
                let found = self.more.iter_mut().find(|field| about(&field.name));
                Some(found.unwrap_or(&mut self.username))
            }
            Kind::InvalidPassword | Kind::PasswordHistoryPolicyViolation => {
                self.password.first_mut()
            }
            Kind::InvalidParameter
            | Kind::NotAuthorized
            | Kind::CodeDeliveryFailure
            | Kind::LimitExceeded
            | Kind::TooManyRequests => None,
            _ => return Err(error.clone()),
        };
        let text = words::say(texts, error);
        match field {
            Some(field) => field.error = text,
            None => self.alert = text,
        }
        self.show(visit, caller).await
    }

    async fn show(mut self, visit: &Visit, caller: &Caller) -> Result<Response> {
        let wrong = fields::focus(&mut self.all());
        let values = context! {
            username => self.username,
            more => self.more,
            password => self.password,
            alert => self.alert,
            id => self.id.to_string(),
            wrong,
        };
        form::show_for(visit, caller, "signup.html", values).await
    }
}

/// What is asked besides the name: what the schema requires and this client may write, and an address for the code if there is none yet.
fn asked(pool: &Pool, client: &Client) -> Vec<String> {
    let is_name = |name: &str| {
        // Where either may be the name, which of them it is shows only when it is typed.
        pool.signs_in_with(name)
    };
    let mut asked: Vec<String> = attributes::required(pool)
        .filter(|name| !is_name(name) && client.may_write(name))
        .map(str::to_owned)
        .collect();
    let verified = ["email", "phone_number"].into_iter().filter(|name| pool.auto_verifies(name));
    let has_address = |name: &str| is_name(name) || asked.iter().any(|other| other == name);
    let mut verified: Vec<&str> = verified.filter(|name| client.may_write(name)).collect();
    if !verified.iter().any(|name| has_address(name)) {
        verified.truncate(1);
        // Where people look for it: right below the name.
        asked.splice(0..0, verified.into_iter().map(str::to_owned));
    }
    asked
}

/// The `sub` of the user that this form makes with what was typed: always the same, and nobody's guess. Who goes back and corrects their
/// address posts another form.
fn sub_of(
    visit: &Visit,
    form: Uuid,
    name: &str,
    password: &str,
    pairs: &[(String, String)],
) -> String {
    let form = form.to_string();
    let pairs = pairs.iter().flat_map(|(name, value)| [name.as_str(), value.as_str()]);
    // Nothing that was posted has a zero in it.
    let data = [&form, name, password].into_iter().chain(pairs).collect::<Vec<_>>().join("\0");
    let mac = visit.cx.app.vault.mac(&visit.site.pool.id, "sign-up form", data.as_bytes());
    let bytes = mac.first_chunk::<16>().copied().unwrap_or_default();
    uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
}

async fn closed(visit: &Visit, caller: &Caller) -> Result<Response> {
    let back = caller.request.is_some().then(|| visit.page("/login", &step::query(visit)));
    let go_on = back.map(|link| (link, "button_sign_in"));
    form::message(visit, StatusCode::FORBIDDEN, ("sign_up_title", "error_no_sign_up"), go_on).await
}
