//! What every page with a form has in common: where it posts to, its CSRF pair, the app that it is for, and the links beside it.

use axum::response::Response;
use minijinja::{Value, context};

use super::request::AuthorizeRequest;
use super::{cookies, pages, step};
use crate::error::Result;
use crate::site::Visit;

/// Renders a page with a form that posts to its own address.
pub async fn show(
    visit: &Visit,
    request: &AuthorizeRequest,
    template: &str,
    values: Value,
) -> Result<Response> {
    let csrf = cookies::csrf(visit);
    let link = |path: &str| visit.page(path, &step::query(visit));
    let common = context! {
        csrf => csrf.as_str(),
        action => action(visit),
        client => request.client.model().client_name.clone(),
        login => link("/login"),
    };
    let values = context! { ..values, ..common };
    let mut response = pages::page(visit, template, values, Some(&request.redirect_uri)).await?;
    cookies::set_csrf(visit, &mut response, &csrf);
    Ok(response)
}

/// This page's own path with its query.
fn action(visit: &Visit) -> String {
    let path = visit.parts.uri.path();
    match visit.parts.uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    }
}
