//! What every page with a form has in common: where it posts to, its CSRF pair, the app that it is for, and the links beside it.

use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::Response;
use minijinja::{Value, context};

use super::request::AuthorizeRequest;
use super::{cookies, pages, step, texts};
use crate::account::{Via, address};
use crate::error::Result;
use crate::pool::Client;
use crate::site::Visit;

/// The app that a page is for. A page of a sign-in has its authorize request; one that a mail or an app links to may come without.
pub struct Caller {
    pub client: Arc<Client>,
    pub request: Option<AuthorizeRequest>,
}

impl Caller {
    /// `Err` holds the answer to a request that is not one.
    pub async fn of(visit: &Visit) -> Result<std::result::Result<Caller, Response>> {
        let query = &visit.query;
        let client_id = query.get("client_id").unwrap_or_default();
        let alone = !query.has("response_type") && !query.has("redirect_uri");
        if !alone || client_id.is_empty() {
            let request = match AuthorizeRequest::check_own(visit).await? {
                Ok(request) => request,
                Err(refusal) => return Ok(Err(refusal)),
            };
            return Ok(Ok(Caller { client: request.client.clone(), request: Some(request) }));
        }
        let found = visit.cx.app.directory.client(visit.cx.db(), client_id).await?;
        let client = found.filter(|(pool, _)| pool.id == visit.site.pool.id);
        Ok(match client {
            // Only whose users sign in here: what others do through their own servers, under a secret, is not open to everybody.
            Some((_, client)) if is_hosted(&client) => Ok(Caller { client, request: None }),
            Some(_) => Err(pages::to_error(visit, "unauthorized_client", client_id)),
            None => Err(pages::to_error(visit, "invalid_client", client_id)),
        })
    }

    pub fn via<'a>(&'a self, visit: &'a Visit) -> Via<'a> {
        Via { pool: &visit.site.pool, client: &self.client }
    }
}

fn is_hosted(client: &Client) -> bool {
    client.supports_cognito() && (client.allows_oauth("code") || client.allows_oauth("implicit"))
}

/// Renders a page of a sign-in with a form that posts to its own address.
pub async fn show(
    visit: &Visit,
    request: &AuthorizeRequest,
    template: &str,
    values: Value,
) -> Result<Response> {
    show_ending(visit, request, template, values, Vec::new()).await
}

/// The same where a form may also end at these sources.
pub async fn show_ending(
    visit: &Visit,
    request: &AuthorizeRequest,
    template: &str,
    values: Value,
    ends: Vec<String>,
) -> Result<Response> {
    render(visit, &request.client, Some(request), template, values, ends).await
}

/// The same for a page that may stand alone.
pub async fn show_for(
    visit: &Visit,
    caller: &Caller,
    template: &str,
    values: Value,
) -> Result<Response> {
    render(visit, &caller.client, caller.request.as_ref(), template, values, Vec::new()).await
}

async fn render(
    visit: &Visit,
    client: &Client,
    request: Option<&AuthorizeRequest>,
    template: &str,
    values: Value,
    ends: Vec<String>,
) -> Result<Response> {
    let csrf = cookies::csrf(visit);
    let pool = &visit.site.pool;
    // Nobody is sent where nothing can be done.
    let own = client.supports_cognito();
    let link = |path: &str, open: bool| open.then(|| visit.page(path, &step::query(visit)));
    let common = context! {
        csrf => csrf.as_str(),
        action => action(visit),
        client => client.model().client_name.clone(),
        login => link("/login", request.is_some()),
        forgot => link("/forgotPassword", own && address::recovery_order(pool).is_ok()),
        signup => link("/signup", own && !pool.only_administrators_create_users()),
    };
    let values = context! { ..values, ..common };
    let mut allow = pages::Allow::form(request.map(|request| request.redirect_uri.as_str()));
    allow.forms.extend(
        ends.into_iter().filter(|source| !allow.forms.contains(source)).collect::<Vec<_>>(),
    );
    let mut response = pages::page(visit, template, values, &allow).await?;
    cookies::set_csrf(visit, &mut response, &csrf);
    Ok(response)
}

/// A page that only says something, by the keys of its texts, and where one can go on from it.
pub async fn message(
    visit: &Visit,
    status: StatusCode,
    (title, text): (&str, &str),
    go_on: Option<(String, &str)>,
) -> Result<Response> {
    let texts = &texts::of(visit);
    let (link, label) = go_on.unwrap_or_default();
    let values = context! {
        title => texts.say(title, &[]),
        text => texts.say(text, &[]),
        link,
        label => texts.say(label, &[]),
    };
    let mut response = pages::page(visit, "message.html", values, &pages::Allow::default()).await?;
    *response.status_mut() = status;
    Ok(response)
}

/// Where a page posts to: its own path with its query.
fn action(visit: &Visit) -> String {
    let path = visit.parts.uri.path();
    match visit.parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}
