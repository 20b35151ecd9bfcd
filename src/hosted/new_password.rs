//! The page of NEW_PASSWORD_REQUIRED: whom an administrator made chooses a password of their own, and fills in what the pool requires.

use axum::response::Response;
use minijinja::context;

use super::challenge::{self, Asked};
use super::fields::{self, Field};
use super::request::AuthorizeRequest;
use super::{form, texts, words};
use crate::auth::new_password;
use crate::error::{Kind, Result};
use crate::site::{Params, Visit};

struct Form {
    password: [Field; 2],
    missing: Vec<Field>,
}

pub async fn page(visit: &Visit, request: &AuthorizeRequest, asked: &Asked) -> Result<Response> {
    show(visit, request, asked, blank(visit, asked)).await
}

pub async fn submit(
    visit: &Visit,
    request: &AuthorizeRequest,
    asked: &Asked,
    posted: &Params,
) -> Result<Response> {
    let (texts, pool, client) = (&texts::of(visit), &visit.site.pool, &request.client);
    let mut form = blank(visit, asked);
    let password = fields::read_password(&mut form.password, texts, pool, posted);
    let mut pairs = Vec::new();
    for field in &mut form.missing {
        let typed = field.read(texts, posted);
        field.check_attribute(texts, pool, client, &typed);
        pairs.push((field.name.clone(), typed));
    }
    if form.all().iter().any(|field| !field.error.is_empty()) {
        return show(visit, request, asked, form).await;
    }
    let at = challenge::at(visit, client);
    let answer =
        new_password::answer(&visit.cx, at, &asked.session, &asked.username, &password, &pairs)
            .await;
    match answer {
        Ok(outcome) => {
            challenge::go_on(visit, request, outcome, &asked.username, Some(asked.began_ms)).await
        }
        Err(error) => {
            let wrong = match error.kind {
                Kind::InvalidPassword | Kind::PasswordHistoryPolicyViolation => {
                    form.password.first_mut()
                }
                // Only addresses are somebody's alone.
                Kind::AliasExists => {
                    form.missing.iter_mut().find(|field| error.message.contains(&field.name))
                }
                _ => None,
            };
            match wrong {
                Some(field) => {
                    field.error = words::say(texts, &error);
                    show(visit, request, asked, form).await
                }
                None => Err(error),
            }
        }
    }
}

impl Form {
    fn all(&mut self) -> Vec<&mut Field> {
        self.password.iter_mut().chain(&mut self.missing).collect()
    }
}

fn blank(visit: &Visit, asked: &Asked) -> Form {
    let texts = &texts::of(visit);
    let missing: Vec<String> = asked
        .parameters
        .get("requiredAttributes")
        .and_then(|list| serde_json::from_str(list).ok())
        .unwrap_or_default();
    let missing = missing.iter().filter_map(|name| name.strip_prefix("userAttributes."));
    Form {
        password: fields::new_password(texts, &visit.site.pool),
        missing: missing.map(|name| fields::attribute(texts, name)).collect(),
    }
}

async fn show(
    visit: &Visit,
    request: &AuthorizeRequest,
    asked: &Asked,
    mut form: Form,
) -> Result<Response> {
    let wrong = fields::focus(&mut form.all());
    let more = context! {
        wrong,
        username => asked.username.as_str(),
        password => form.password,
        missing => form.missing,
    };
    form::show(visit, request, "new-password.html", more).await
}
